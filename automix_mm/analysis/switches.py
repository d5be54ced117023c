"""The switches of a training step that change its speed, not what it computes."""

from __future__ import annotations

from typing import NamedTuple

from mmengine.config import Config

from automix_mm import launch


class Switches(NamedTuple):
    """What is switched on.

    Attributes:
        precision: 'fp16' or 'bf16' autocast, or None for float32.
    """

    precision: str | None = None


def apply_switches(cfg: Config, switches: Switches) -> None:
    """Write switches into a training config as tools/train.py does.

    Args:
        cfg: The config, changed in place.
        switches: What to switch on.

    Raises:
        ValueError: If the machine lacks what a switch needs.
    """
    if switches.precision is not None:
        launch.check_precision(switches.precision)
    if switches.precision == 'fp16':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    elif switches.precision == 'bf16':
        cfg.optim_wrapper.type = 'automix_mm.BFloat16OptimWrapper'

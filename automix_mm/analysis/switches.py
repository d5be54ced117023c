"""The switches of a training step that change its speed, not what it computes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.config import Config

from automix_mm import launch
from automix_mm.engine.compilation import compile_networks
from automix_mm.engine.memory_layout import use_channels_last

from .step_cost import TrainingStep


class Switches(NamedTuple):
    """What is switched on.

    Attributes:
        precision: 'fp16' or 'bf16' autocast, or None for that of the config.
        channels_last: Weights and images in the memory layout channels_last.
        compile: Mode of torch.compile for encoders and mix block, or the backbone of a plain
            classifier; None compiles nothing.
        fused: One fused kernel for the optimizer's step.
    """

    precision: str | None = None
    channels_last: bool = False
    compile: str | None = None
    fused: bool = False


LADDER = {
    'plain': Switches(),
    '+ channels_last': Switches(channels_last=True),
    '+ bf16': Switches('bf16', channels_last=True),
    '+ compile': Switches('bf16', channels_last=True, compile='default'),
    '+ fused optimizer': Switches('bf16', channels_last=True, compile='default', fused=True),
}
"""Each step of the ladder adds one switch to the one before."""


def apply_switches(cfg: Config, switches: Switches) -> None:
    """Write switches into the config of a training, as the options of tools/train.py do.

    Args:
        cfg: The config, changed in place.
        switches: What to switch on.

    Raises:
        ValueError: If the machine or the config lacks what a switch needs.
    """
    launch.set_switches(cfg, switches.precision, switches.compile, switches.channels_last)
    if switches.fused:
        cfg.optim_wrapper.optimizer.fused = True


def build_step(
    cfg: Config,
    switches: Switches,
    batch_size: int,
    image_size: tuple[int, int],
    device: torch.device,
) -> TrainingStep:
    """Build a training step outside a runner, whose hooks would switch on what they stand for.

    Args:
        cfg: A training config, changed in place.
        switches: What to switch on.
        batch_size: Images per step.
        image_size: Height and width.
        device: Where to train.
    """
    apply_switches(cfg, switches)
    step = TrainingStep(cfg, batch_size, image_size, device)
    if switches.channels_last:
        use_channels_last(step.model)
    if switches.compile is not None:
        compile_networks(step.model, switches.compile)
    return step

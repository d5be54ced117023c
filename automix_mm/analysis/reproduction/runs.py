"""The trainings behind the cells, and how far each of them is."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from mmengine.config import Config

from automix_mm.hooks.last10_hook import LAST_EPOCHS

from ..training_log import scan_log
from .event_files import read_events
from .experiments import Cell
from .locks import NAME as LOCK
from .trained_config import differing_setting

OUTPUT = 'output.log'
"""Everything that a training prints, of all its starts."""
RECORD = 'reproduce.json'
"""What was started: command, devices, settings."""


class Run(NamedTuple):
    """One training: a cell with a seed.

    Attributes:
        config: Path of the config.
        epochs: Length of the run.
        own_epochs: Length in the config.
        overrides: Settings that differ from the config, sorted, by dotted name.
        seed: Seed of weights, data order and draws.
        batch: Images per step over all devices, None where the config does not say.
        workers_batch: Images per step and device in the config.
    """

    config: Path
    epochs: int
    own_epochs: int
    overrides: tuple[tuple[str, Any], ...]
    seed: int
    batch: int | None
    workers_batch: int

    @property
    def label(self) -> str:
        """Name of the folder that has a folder for each seed."""
        parts = [self.config.stem]
        if self.epochs != self.own_epochs:
            parts.append(f'{self.epochs}e')
        if self.overrides:
            text = json.dumps(self.overrides, sort_keys=True)
            for name, value in self.overrides:
                short = f'{name.rsplit(".", 1)[-1]}={value}'
                parts.append(re.sub(r'[^\w.=+-]', '', short)[:40])
            parts.append(hashlib.sha256(text.encode()).hexdigest()[:6])
        return '_'.join(parts)

    def work_dir(self, root: Path) -> Path:
        """Folder of logs and checkpoints below ``root``."""
        return root / self.label / f'seed{self.seed}'


class State(NamedTuple):
    """How far a run is.

    Attributes:
        status: ``'complete'``, ``'partial'`` or ``'missing'``.
        done: Last validated epoch.
        result: Median top-1 of the last ten epochs in percent; None unless complete.
        note: Why the log cannot be used and the run cannot go on, mostly empty.
        top1: Top-1 in percent by epoch, as far as the run is; empty if there is a note.
    """

    status: str
    done: int = 0
    result: float | None = None
    note: str = ''
    top1: Mapping[int, float] = MappingProxyType({})


@cache
def read_config(path: Path) -> Config:
    """Reads a config, once.

    Args:
        path: Its path.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f'there is no config {path}')
    return Config.fromfile(str(path))


def make_run(
    cell: Cell,
    folder: Path,
    seed: int,
    epochs: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Run:
    """Finds the training that a cell needs.

    Settings that are the config's own anyway are left out, so that cells with equal settings
    share a run whatever table they are from.

    Args:
        cell: A cell with a config.
        folder: Folder that has ``configs``.
        seed: The seed.
        epochs: Length of the run instead of the cell's.
        options: Further settings that replace those of the config.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If the config does not exist.
        ValueError: If the config does not train by epochs, or for fewer than ten.
    """
    path = folder / str(cell.config)
    cfg = read_config(path)
    own = cfg.get('train_cfg', {}).get('max_epochs')
    if not own:
        raise ValueError(f'{path}: expected a training by epochs (train_cfg.max_epochs), got none.')
    length = epochs or cell.epochs or own
    if length < LAST_EPOCHS:
        raise ValueError(
            f'{path}: the result is the median of the last {LAST_EPOCHS} epochs, so a run needs at '
            f'least as many, got {length}.'
        )
    asked = {'train_cfg.val_interval': 1, **cell.overrides, **(options or {})}
    differing = {name: value for name, value in asked.items() if lookup(cfg, name) != value}
    return Run(
        config=path,
        epochs=length,
        own_epochs=own,
        overrides=tuple(sorted(differing.items())),
        seed=seed,
        batch=cfg.get('auto_scale_lr', {}).get('base_batch_size'),
        workers_batch=cfg.train_dataloader.batch_size,
    )


def lookup(cfg: Any, name: str) -> Any:
    """Reads a setting by its dotted name, None where there is none."""
    if isinstance(cfg, Config):
        cfg = cfg._cfg_dict  # the mapping behind it
    for part in name.split('.'):
        if isinstance(cfg, (list, tuple)) and part.isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        elif isinstance(cfg, Mapping) and part in cfg:
            cfg = cfg[part]
        else:
            return None
    return cfg


def read_top1(work_dir: Path) -> dict[int, float]:
    """Reads the accuracies of a run from its own logs, JSON or else TensorBoard.

    Where a run was resumed, the later start counts for an epoch that two of them have.

    Args:
        work_dir: Folder of the run.

    Returns:
        Top-1 of the reported head in percent by epoch, ascending; empty without a log.

    Raises:
        ValueError: If a log cannot be read.
    """
    try:
        top1 = scan_log(work_dir).top1
    except FileNotFoundError:
        top1 = {}
    except (KeyError, TypeError) as error:
        raise ValueError(f'{work_dir}: a validation in the log has no {error}') from error
    return dict(sorted((top1 or read_events(work_dir, 'accuracy/top1')).items()))


def result_of(top1: Mapping[int, float], epochs: int) -> float | None:
    """Takes the median of exactly the last ten epochs (paper, 4.1).

    Args:
        top1: Accuracy by epoch.
        epochs: Length of the run.

    Returns:
        The median, or None if the run has not come to its end or one of the ten is absent.
    """
    last = range(epochs - LAST_EPOCHS + 1, epochs + 1)
    if any(epoch not in top1 for epoch in last):
        return None
    return statistics.median(top1[epoch] for epoch in last)


def inspect(run: Run, root: Path) -> State:
    """Finds out how far a run is.

    Args:
        run: The run.
        root: Folder of all runs.

    Returns:
        Its state; with a note if there is a log and it is damaged or of another training.
    """
    work_dir = run.work_dir(root)
    if not work_dir.is_dir() or not any(path.name != LOCK for path in work_dir.iterdir()):
        return State('missing')
    try:
        top1 = read_top1(work_dir)
        note = differing_setting(run.config, run.overrides, run.epochs, run.seed, work_dir)
    except ValueError as error:
        top1, note = {}, str(error)
    done = max(top1, default=0)
    note = note or _flaw(top1, run.epochs)
    if note:
        return State('partial', done, None, f'{note}; move {work_dir} away to train it anew')
    result = result_of(top1, run.epochs)
    return State('partial' if result is None else 'complete', done, result, '', top1)


def _flaw(top1: Mapping[int, float], epochs: int) -> str:
    """What keeps accuracies from ever giving a result."""
    done = max(top1, default=0)
    unreal = [str(epoch) for epoch, value in top1.items() if not math.isfinite(value)]
    if unreal:
        return f'the accuracy of epoch {", ".join(unreal)} is not a finite number'
    if done > epochs:
        return f'{done} epochs in the log, expected {epochs}'
    last = range(epochs - LAST_EPOCHS + 1, done + 1)
    absent = [str(epoch) for epoch in last if epoch not in top1]
    return f'no accuracy of epoch {", ".join(absent)} in the log' if absent else ''

"""Changes the length of a training run and of everything that is timed by it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, DefaultScope

_POINTS = ('begin', 'end', 'T_max', 'step_size', 'total_steps')
"""Fields of schedulers that count epochs or iterations."""
_LISTS = ('milestones', 'periods')
_SCALABLE = (
    'ConstantLR',
    'CosineAnnealingLR',
    'CosineRestartLR',
    'ExponentialLR',
    'LinearLR',
    'MultiStepLR',
    'OneCycleLR',
    'PolyLR',
    'StepLR',
)
_INFINITE = int(1e9)
"""The host's value for "until the end of training"."""


def set_epochs(cfg: Config, epochs: int) -> list[str]:
    """Makes a run last ``epochs`` epochs and stretches every schedule with it.

    Begin, end, period and milestones of all parameter schedulers, the first validation, dynamic
    validation intervals, the first checkpoint and ``begin_epoch`` of hooks move in proportion; the
    decay of an exponential schedule is adapted so that its end value stays. Values of learning
    rates do not change. Momentum schedules of the models count the steps of the loop by
    themselves.

    Args:
        cfg: The config, changed in place.
        epochs: New number of epochs, at least 1.

    Returns:
        Notes for the log on what was done beyond plain scaling.

    Raises:
        ValueError: If ``epochs`` is not positive, if the config has no training loop of known
            length, or if a scheduler is of a type whose timing is not known.
    """
    if epochs < 1:
        raise ValueError(f'--epochs must be at least 1, got {epochs}.')
    loop = cfg.get('train_cfg')
    if loop is None:
        raise ValueError('--epochs needs a config with a train_cfg; this one has none.')
    if loop.get('max_epochs'):
        field, new = 'max_epochs', epochs
    elif loop.get('max_iters'):
        field, new = 'max_iters', epochs * iterations_per_epoch(cfg)
    else:
        raise ValueError(
            '--epochs needs max_epochs or max_iters in train_cfg, got only '
            f'{sorted(loop)}. Set the length with --cfg-options instead.'
        )
    ratio = new / loop[field]
    loop[field] = new
    _scale_loop(loop, ratio)
    notes = [f'Training lasts {epochs} epochs; all schedules are scaled by {ratio:g}.']
    cfg.param_scheduler, dropped = _scale_schedulers(cfg.get('param_scheduler'), ratio)
    notes += [
        f'{name} is shorter than half a step at this length and is left out.' for name in dropped
    ]
    _scale_hooks(cfg, ratio)
    return notes


def iterations_per_epoch(cfg: Config) -> int:
    """Counts the batches of one pass over the training data, per process.

    Args:
        cfg: The config; its training dataset is built once to learn its length.

    Returns:
        Number of batches, at least 1.

    Raises:
        ValueError: If the dataset has no length or is smaller than a batch.
    """
    loader = cfg.train_dataloader
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        dataset = DATASETS.build(loader.dataset)
    try:
        samples = len(dataset)
    except TypeError as error:
        raise ValueError(
            f'--epochs needs training data of known length, but {type(dataset).__name__} has '
            'none. Set train_cfg.max_iters with --cfg-options instead.'
        ) from error
    per_step = loader.get('batch_size', 1) * world_size_from_env()
    count = samples // per_step if loader.get('drop_last') else -(-samples // per_step)
    if count < 1:
        raise ValueError(f'{samples} training samples do not fill one step of {per_step} samples.')
    return count


def world_size_from_env() -> int:
    """Reads the number of processes before they have found each other.

    Returns:
        What torchrun, slurm or Open MPI set for this process, else 1.
    """
    for name in ('WORLD_SIZE', 'SLURM_NTASKS', 'OMPI_COMM_WORLD_SIZE'):
        if name in os.environ:
            return int(os.environ[name])
    return 1


def _scale_loop(loop: ConfigDict, ratio: float) -> None:
    if loop.get('val_begin', 1) > 1:
        loop.val_begin = max(1, round(loop.val_begin * ratio))
    if loop.get('dynamic_intervals'):
        loop.dynamic_intervals = [
            (round(start * ratio), interval) for start, interval in loop.dynamic_intervals
        ]


def _scale_hooks(cfg: Config, ratio: float) -> None:
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or [])]
    for hook in hooks:
        for field in ('save_begin', 'begin_epoch', 'begin_iter'):
            if isinstance(hook, dict) and hook.get(field):
                hook[field] = round(hook[field] * ratio)


def _each(schedulers: Any) -> Iterator[ConfigDict]:
    """Walks through the forms the host accepts: one dict, a list, or a dict of either."""
    if schedulers is None:
        return
    if isinstance(schedulers, (list, tuple)):
        for item in schedulers:
            yield from _each(item)
    elif 'type' in schedulers:
        yield schedulers
    else:
        for item in schedulers.values():
            yield from _each(item)


def _scale_schedulers(schedulers: Any, ratio: float) -> tuple[Any, list[str]]:
    dropped = []
    for scheduler in _each(schedulers):
        _scale_scheduler(scheduler, ratio)
        if scheduler.get('begin', 0) == scheduler.get('end', _INFINITE):
            dropped.append(scheduler)
    return _without(schedulers, dropped), [str(item.type) for item in dropped]


def _without(schedulers: Any, dropped: list[ConfigDict]) -> Any:
    if isinstance(schedulers, (list, tuple)):
        return [item for item in schedulers if not any(item is gone for gone in dropped)]
    if isinstance(schedulers, dict) and 'type' not in schedulers:
        for name in schedulers:
            schedulers[name] = _without(schedulers[name], dropped)
    return schedulers


def _scale_scheduler(scheduler: ConfigDict, ratio: float) -> None:
    name = str(scheduler.type).rsplit('.', 1)[-1]
    if name.replace('Momentum', 'LR').replace('ParamScheduler', 'LR') not in _SCALABLE:
        raise ValueError(
            f'--epochs cannot stretch the schedule {scheduler.type}: expected one of '
            f'{", ".join(_SCALABLE)} (or their momentum variants). Set the lengths of '
            'train_cfg and param_scheduler with --cfg-options instead.'
        )
    for field in _POINTS:
        if field in scheduler and scheduler[field] not in (None, 0, _INFINITE):
            least = 0 if field in ('begin', 'end') else 1
            scheduler[field] = max(least, round(scheduler[field] * ratio))
    for field in _LISTS:
        if field in scheduler:
            scheduler[field] = [max(1, round(point * ratio)) for point in scheduler[field]]
    if name.startswith('Exponential'):
        scheduler.gamma = scheduler.gamma ** (1 / ratio)

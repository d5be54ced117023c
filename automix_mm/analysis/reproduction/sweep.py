"""A grid of settings of one config, for data of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from .experiments import Cell, Experiment
from .runs import lookup, read_config

_ALPHAS = (
    'model.mixer.pair.alpha',
    'model.mixer.alpha',
    'model.train_cfg.augments.alpha',
)


def setting_name(name: str, cfg: Config) -> str:
    """Finds the setting that a short name means in a config.

    Args:
        name: ``'alpha'`` (of the mixer's Beta distribution), ``'lr_min'`` (end of the cosine), or
            a dotted name, which is taken as it is.
        cfg: The config.

    Returns:
        The dotted name.

    Raises:
        ValueError: If the config has no such setting.
    """
    if name == 'alpha':
        return _alpha(cfg)
    if name == 'lr_min':
        return _eta_min(cfg)
    if '.' not in name:
        raise ValueError(f'--sweep knows alpha, lr_min and dotted names of settings, got {name!r}.')
    parent = name.rsplit('.', 1)[0]
    if lookup(cfg, parent) is None:
        raise ValueError(f'--sweep {name}: the config has no {parent}.')
    return name


def _alpha(cfg: Config) -> str:
    augments = lookup(cfg, 'model.train_cfg.augments')
    count = len(augments) if isinstance(augments, list) else 0
    names = [*_ALPHAS, *(f'model.train_cfg.augments.{i}.alpha' for i in range(count))]
    found = [one for one in names if lookup(cfg, one) is not None]
    if len(found) != 1:
        raise ValueError(
            f'alpha: expected one of {", ".join(_ALPHAS)} in the config, found '
            f'{", ".join(found) or "none"}. Write it into the config, or name it in full.'
        )
    return found[0]


def _eta_min(cfg: Config) -> str:
    schedule = cfg.get('param_scheduler')
    if isinstance(schedule, dict):
        schedules = {'param_scheduler': schedule}
    else:
        schedules = {f'param_scheduler.{i}': one for i, one in enumerate(schedule or [])}
    cosines = [key for key, one in schedules.items() if one.get('type') == 'CosineAnnealingLR']
    if len(cosines) != 1:
        raise ValueError(
            f'lr_min: expected one cosine schedule in param_scheduler, found {len(cosines)}. Name '
            'the setting in full, such as param_scheduler.1.eta_min.'
        )
    return f'{cosines[0]}.eta_min'


def make_sweep(config: Path, axes: Iterable[str], seeds: tuple[int, ...]) -> Experiment:
    """Builds the experiment of a sweep: every combination of the values.

    Args:
        config: Path of the config.
        axes: ``NAME=VALUE,VALUE,...``; the last one becomes the columns, the others the rows.
            Without axes the experiment is the config as it is.
        seeds: Seeds of each cell.

    Returns:
        The experiment, named ``sweep_CONFIG``.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If an axis is of another form, or the config has no such setting.
    """
    cfg = read_config(config)
    points = [_axis(axis, cfg) for axis in axes]
    cells = []
    for point in itertools.product(*points):
        labels = [label for label, _, _ in point]
        overrides = {name: value for _, name, value in point}
        row = ', '.join(labels[:-1] if len(labels) > 1 else labels) or config.stem
        column = labels[-1] if len(labels) > 1 else 'top-1 (%)'
        cells.append(Cell(row, column, str(config), None, overrides, None, '', {}))
    title = f'{config.stem}, top-1 (%)'
    return Experiment(f'sweep_{config.stem}', title, 'Sweep', 'trained', tuple(cells), seeds)


def _axis(axis: str, cfg: Config) -> list[tuple[str, str, Any]]:
    """Label, dotted name and value of every point of an axis."""
    name, separator, values = axis.partition('=')
    texts = [text for text in values.split(',') if text]
    if not separator or not texts:
        raise ValueError(f'--sweep expects NAME=VALUE,VALUE,..., got {axis!r}.')
    setting = setting_name(name, cfg)
    parse = DictAction._parse_int_float_bool
    return [(f'{name}={text}', setting, parse(text)) for text in texts]

"""From chosen experiments to trainings and their commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .experiments import Cell, Experiment
from .runs import Run, State, inspect, make_run

LAUNCHERS = ('none', 'pytorch', 'slurm')


@dataclass(frozen=True)
class Settings:
    """What the command line asks for beside the experiments.

    Attributes:
        folder: Folder that has ``configs`` and ``tools``.
        root: Folder of all runs.
        seeds: Seeds instead of the experiment's own.
        epochs: Length of all runs instead of the cells' own.
        options: Further settings that replace those of the configs, by dotted name.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.
        devices: Devices per run.
    """

    folder: Path
    root: Path
    seeds: tuple[int, ...] = ()
    epochs: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    launcher: str = 'none'
    devices: int = 1

    def __post_init__(self) -> None:
        if self.launcher not in LAUNCHERS:
            raise ValueError(f'launcher must be one of {LAUNCHERS}, got {self.launcher!r}.')
        if self.devices < 1 or (self.launcher == 'none' and self.devices > 1):
            raise ValueError(
                f'--gpus {self.devices} does not fit --launcher {self.launcher}: expected 1 '
                'without a launcher, at least 1 with pytorch or slurm.'
            )
        if self.launcher == 'slurm' and not os.environ.get('PARTITION'):
            raise ValueError('--launcher slurm expects the partition in the variable PARTITION.')


@dataclass
class Task:
    """A run, the cells it serves and its state.

    Attributes:
        run: The run.
        cells: ``EXPERIMENT ROW/COLUMN`` of each cell that it serves.
        state: How far it is.
    """

    run: Run
    cells: list[str]
    state: State

    @property
    def name(self) -> str:
        """Folder below the root."""
        return f'{self.run.label}/seed{self.run.seed}'


def plan(experiments: Sequence[Experiment], settings: Settings) -> tuple[list[Task], list[str]]:
    """Lists the trainings behind some experiments, each once.

    Args:
        experiments: The experiments.
        settings: What is asked for.

    Returns:
        The tasks in the order of the cells, seed by seed, and one sentence for each cell that has
        no training.

    Raises:
        ValueError: If a cell cannot be trained as asked for.
    """
    tasks: dict[tuple, Task] = {}
    without: list[str] = []
    for experiment in experiments:
        if experiment.kind == 'parameters':
            continue
        for cell in experiment.cells:
            name = f'{experiment.name} {cell.name}'
            runs, reason = runs_of(cell, experiment, settings)
            if reason:
                without.append(f'{name}: {reason}')
            for run in runs:
                key = (run.config, run.label, run.seed)  # overrides may hold lists
                if key not in tasks:
                    tasks[key] = Task(run, [], inspect(run, settings.root))
                tasks[key].cells.append(name)
    return list(tasks.values()), without


def runs_of(cell: Cell, experiment: Experiment, settings: Settings) -> tuple[list[Run], str]:
    """Makes the runs of a cell, one for each seed.

    Args:
        cell: The cell.
        experiment: Whose cell it is.
        settings: What is asked for.

    Returns:
        The runs and, if there are none, why.

    Raises:
        ValueError: If the cell cannot be trained as asked for.
    """
    if not cell.config:
        return [], cell.unavailable
    seeds = settings.seeds or experiment.seeds
    try:
        return [
            make_run(cell, settings.folder, seed, settings.epochs, settings.options)
            for seed in seeds
        ], ''
    except FileNotFoundError as error:
        return [], str(error)


def command(run: Run, settings: Settings) -> tuple[list[str], dict[str, str]]:
    """Builds the command of a run; it goes on where the run was cut.

    Args:
        run: The run.
        settings: What is asked for.

    Returns:
        The command and what it needs in its environment.

    Raises:
        ValueError: If the batch of the config cannot be divided among the devices.
    """
    tools = settings.folder / 'tools'
    work_dir = str(run.work_dir(settings.root))
    options = ['--seed', str(run.seed), '--resume']
    if run.epochs != run.own_epochs:
        options += ['--epochs', str(run.epochs)]
    replaced = [f'{name}={_text(value)}' for name, value in run.overrides]
    batch = _batch(run, settings.devices)
    if batch:
        replaced.append(f'train_dataloader.batch_size={batch}')
    if replaced:
        options += ['--cfg-options', *replaced]
    config, count = str(run.config), str(settings.devices)
    if settings.launcher == 'pytorch':
        script = ['bash', str(tools / 'dist_train.sh'), config, count, '--work-dir', work_dir]
        return [*script, *options], dict(PYTHON=sys.executable)
    if settings.launcher == 'slurm':
        partition = os.environ['PARTITION']
        script = ['bash', str(tools / 'slurm_train.sh'), partition, run.label, config, work_dir]
        return [*script, *options], dict(PYTHON=sys.executable, GPUS=count)
    script = [sys.executable, str(tools / 'train.py'), config, '--work-dir', work_dir]
    return [*script, *options], {}


def _batch(run: Run, devices: int) -> int | None:
    """Images per device that keep the batch of the paper; None for the config's own number."""
    named = [name for name, _ in run.overrides]
    if run.batch is None or 'train_dataloader.batch_size' in named:
        return None
    if run.batch % devices:
        raise ValueError(
            f'{run.config.name} has a batch of {run.batch} (auto_scale_lr.base_batch_size), which '
            f'{devices} devices cannot share equally: expected a divisor of {run.batch} as --gpus.'
        )
    share = run.batch // devices
    return None if share == run.workers_batch else share


def _text(value: Any) -> str:
    """A value as --cfg-options reads it."""
    return value if isinstance(value, str) else repr(value).replace(' ', '')

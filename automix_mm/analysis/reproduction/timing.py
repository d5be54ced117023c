"""How long a run takes, from what runs before it have measured."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from .runs import RECORD, Run, State

_LINE = re.compile(r'Epoch\((train|val)\)\s+\[\d+\]\[\s*\d+/(\d+)\].*?\stime: ([\d.]+)')
_ON_GPU = 'CUDA available: True'


class EpochTime(NamedTuple):
    """A measured training.

    Attributes:
        seconds: Seconds per epoch.
        devices: Devices that took part.
        on_gpu: Whether they are GPUs.
        source: Where it was measured.
    """

    seconds: float
    devices: int
    on_gpu: bool
    source: str


class Hours(NamedTuple):
    """Device-hours that a run still needs.

    Attributes:
        value: The hours; None where nothing was measured.
        on_gpu: Whether they are hours of GPUs.
        source: Where the time of an epoch was measured, empty where it was not.
    """

    value: float | None
    on_gpu: bool = True
    source: str = ''

    def __str__(self) -> str:
        if self.value is None:
            return 'time not measured'
        origin = f' as measured in {self.source}' if self.source else ''
        return f'{self.value:.2f} {_unit(self.on_gpu)} left{origin}'


def read_epoch_time(work_dir: Path) -> EpochTime | None:
    """Reads what a run has logged: its median step times, of training and of validation.

    Args:
        work_dir: Folder of the run.

    Returns:
        The time of an epoch; None where no interval of training was logged.
    """
    files = sorted(work_dir.glob('*/*.log'))
    text = '\n'.join(file.read_text(encoding='utf-8', errors='replace') for file in files)
    steps = [(mode, int(count), float(time)) for mode, count, time in _LINE.findall(text)]
    train = [(count, time) for mode, count, time in steps if mode == 'train']
    val = [(count, time) for mode, count, time in steps if mode == 'val']
    if not train:
        return None
    seconds = _product(train[1:] or train) + (_product(val) if val else 0.0)  # first: warm-up
    record = work_dir / RECORD
    try:
        devices = json.loads(record.read_text())['devices'] if record.is_file() else 1
    except ValueError:
        return None  # cut while it was written
    return EpochTime(seconds, devices, _ON_GPU in text, f'{work_dir.parent.name}/{work_dir.name}')


def _product(steps: list[tuple[int, float]]) -> float:
    """Number of iterations times their median time."""
    return steps[-1][0] * statistics.median(time for _, time in steps)


def read_benchmark(path: Path) -> dict[str, EpochTime]:
    """Reads step times that were measured on GPUs elsewhere.

    Args:
        path: JSON such as ``{"r18_cifar100": {"seconds_per_iteration": 0.05,
            "iterations_per_epoch": 500, "devices": 1}}``; ``devices`` is 1 where it is absent.

    Returns:
        Times of an epoch by name of the config without folder and suffix.

    Raises:
        ValueError: If the file is of another form.
    """
    try:
        return {
            Path(name).stem: EpochTime(
                float(row['seconds_per_iteration']) * int(row['iterations_per_epoch']),
                int(row.get('devices', 1)),
                True,
                path.name,
            )
            for name, row in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: expected {{"CONFIG_NAME": {{"seconds_per_iteration": 0.05, '
            f'"iterations_per_epoch": 500}}}}, got {error!r}.'
        ) from error


class Timing:
    """Finds the best measurement for a run: its own, its config's, a benchmark's.

    Args:
        root: Folder of all runs.
        benchmark: Times of an epoch by name of the config.
    """

    def __init__(self, root: Path, benchmark: Mapping[str, EpochTime] | None = None) -> None:
        self.root = root
        self.benchmark = benchmark or {}
        self._known: dict[Path, EpochTime | None] = {}

    def of(self, run: Run) -> EpochTime | None:
        """Returns the time of an epoch of a run, None where nothing was measured."""
        own = run.work_dir(self.root)
        for work_dir in (own, *sorted(own.parent.glob('seed*')), *self._others(run.config.stem)):
            found = self._read(work_dir)
            if found:
                return found
        return self.benchmark.get(run.config.stem)

    def _others(self, stem: str) -> list[Path]:
        """Runs of the same config: of other lengths, then with other settings."""
        label = re.compile(rf'{re.escape(stem)}(_\d+e)?(_[\w.]+=.*)?')
        folders = self.root.glob(f'{stem}*/seed*')
        found = (path for path in folders if label.fullmatch(path.parent.name))
        return sorted(found, key=lambda path: ('=' in path.parent.name, path))

    def _read(self, work_dir: Path) -> EpochTime | None:
        if work_dir not in self._known:
            self._known[work_dir] = read_epoch_time(work_dir)
        return self._known[work_dir]

    def hours_left(self, run: Run, state: State) -> Hours:
        """Returns the device-hours that a run still needs."""
        if state.status == 'complete':
            return Hours(0.0)
        epoch = self.of(run)
        if epoch is None:
            return Hours(None)
        left = max(run.epochs - state.done, 0)
        return Hours(left * epoch.seconds * epoch.devices / 3600, epoch.on_gpu, epoch.source)


def describe_total(hours: Iterable[Hours]) -> str:
    """Sums up the hours of the runs that are not complete; says of how many they are known.

    Args:
        hours: Hours of each of these runs.
    """
    all_hours = list(hours)
    known = [one for one in all_hours if one.value is not None]
    if not known:
        return 'GPU-hours left: not measured (no log in the work dirs, no --benchmark).'
    sums = [
        f'{sum(one.value or 0.0 for one in known if one.on_gpu is on_gpu):.2f} {_unit(on_gpu)}'
        for on_gpu in (True, False)
        if any(one.on_gpu is on_gpu for one in known)
    ]
    text = f'Left: {" and ".join(sums)} for {len(known)} of {len(all_hours)} runs'
    unknown = len(all_hours) - len(known)
    return text + (f'; the time of {unknown} was not measured.' if unknown else '.')


def _unit(on_gpu: bool) -> str:
    return 'GPU-hours' if on_gpu else 'CPU-hours'

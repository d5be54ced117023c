"""How long a run takes, from what runs before it have measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..training_log import scan_log
from .runs import RECORD, Run, State

_TRAIN_LINE = re.compile(r'Epoch\(train\)\s+\[\d+\]\[\s*\d+/(\d+)\]')


class StepTime(NamedTuple):
    """A measured training.

    Attributes:
        seconds: Median seconds per iteration.
        iterations: Iterations per epoch.
        devices: Devices that took part.
        source: Where it was measured.
    """

    seconds: float
    iterations: int
    devices: int
    source: str

    def hours(self, epochs: int) -> float:
        """Device-hours of so many epochs of training, without validations."""
        return self.seconds * self.iterations * self.devices * epochs / 3600


def read_step_time(work_dir: Path) -> StepTime | None:
    """Reads what a run has logged.

    Args:
        work_dir: Folder of the run.

    Returns:
        Its step time; None where no interval of training was logged.
    """
    try:
        log = scan_log(work_dir)
    except (FileNotFoundError, ValueError):
        return None
    counts = [int(n) for n in _texts(work_dir)]
    if not log.seconds or not counts:
        return None
    record = work_dir / RECORD
    devices = json.loads(record.read_text())['devices'] if record.is_file() else 1
    return StepTime(log.seconds_per_iteration(), counts[-1], devices, str(work_dir))


def _texts(work_dir: Path) -> list[str]:
    """Iterations per epoch, as every line of a log's text repeats them."""
    found = []
    for file in sorted(work_dir.glob('*/*.log')):
        found += _TRAIN_LINE.findall(file.read_text(encoding='utf-8', errors='replace'))
    return found


def read_benchmark(path: Path) -> dict[str, StepTime]:
    """Reads step times that were measured elsewhere.

    Args:
        path: JSON such as ``{"r18_cifar100": {"seconds_per_iteration": 0.05,
            "iterations_per_epoch": 500, "devices": 1}}``; ``devices`` is 1 where it is absent.

    Returns:
        Step times by name of the config without folder and suffix.

    Raises:
        ValueError: If the file is of another form.
    """
    try:
        return {
            Path(name).stem: StepTime(
                float(row['seconds_per_iteration']),
                int(row['iterations_per_epoch']),
                int(row.get('devices', 1)),
                str(path),
            )
            for name, row in json.loads(path.read_text()).items()
        }
    except (OSError, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path}: expected {{"CONFIG_NAME": {{"seconds_per_iteration": 0.05, '
            f'"iterations_per_epoch": 500}}}}, got {error!r}.'
        ) from error


class Timing:
    """Finds the best measurement for a run: its own, its config's, a benchmark's.

    Args:
        root: Folder of all runs.
        benchmark: Step times by name of the config.
    """

    def __init__(self, root: Path, benchmark: Mapping[str, StepTime] | None = None) -> None:
        self.root = root
        self.benchmark = benchmark or {}
        self._known: dict[Path, StepTime | None] = {}

    def of(self, run: Run) -> StepTime | None:
        """Returns the step time of a run, None where nothing was measured."""
        own = run.work_dir(self.root)
        stem = run.config.stem
        # Other lengths and seeds of a config take the same time per step; so may other settings.
        others = [*own.parent.glob('seed*'), *self._folders(stem, '_*e/seed*')]
        others += [*self.root.glob(f'{stem}/seed*'), *self._folders(stem, '_*=*/seed*')]
        for work_dir in (own, *others):
            found = self._read(work_dir)
            if found:
                return found
        return self.benchmark.get(stem)

    def _folders(self, stem: str, rest: str) -> list[Path]:
        return sorted(self.root.glob(stem + rest))

    def _read(self, work_dir: Path) -> StepTime | None:
        if work_dir not in self._known:
            self._known[work_dir] = read_step_time(work_dir)
        return self._known[work_dir]

    def hours_left(self, run: Run, state: State) -> float | None:
        """Returns the device-hours that a run still needs, None where nothing was measured."""
        if state.status == 'complete':
            return 0.0
        step = self.of(run)
        return None if step is None else step.hours(max(run.epochs - state.done, 0))


def total_hours(hours: list[float | None]) -> dict[str, Any]:
    """Sums up what is known.

    Args:
        hours: Hours of each run, None where they are not known.

    Returns:
        ``hours`` of the measured runs, their number ``measured`` and the number of ``runs``.
    """
    known = [one for one in hours if one is not None]
    return dict(hours=sum(known), measured=len(known), runs=len(hours))

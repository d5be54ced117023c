"""What a training has logged: accuracy after every epoch, seconds per iteration."""

import json
import statistics
from pathlib import Path
from typing import NamedTuple

from automix_mm.hooks.last10_hook import LAST_EPOCHS

_MEDIAN = '_last10_median'  # what Last10Hook logs is no head of its own


class TrainingLog(NamedTuple):
    """The log of one training, over all its starts.

    Attributes:
        name: Name of the work directory.
        top1: Top-1 accuracy of the reported head in percent, by validation step.
        heads: The same for every head of a momentum classifier, by head.
        seconds: Seconds per training iteration, one value for each logged interval.
    """

    name: str
    top1: dict[int, float]
    heads: dict[str, dict[int, float]]
    seconds: list[float]

    def result(self) -> float:
        """Return the median top-1 of the last ten validations (paper, 4.1), in percent.

        Raises:
            ValueError: If there are fewer than ten.
        """
        return last_median(self.top1, self.name)

    def seconds_per_iteration(self) -> float:
        """Return the median over the logged intervals, without the first one, a warm-up."""
        return statistics.median(self.seconds[1:] or self.seconds)


def last_median(by_step: dict[int, float], name: str) -> float:
    """Return the median of the values of the last ten steps.

    Args:
        by_step (dict[int, float]): Values by validation step.
        name (str): Whose they are, for the message.

    Raises:
        ValueError: If there are fewer than ten.
    """
    if len(by_step) < LAST_EPOCHS:
        raise ValueError(
            f'{name}: the median of the last {LAST_EPOCHS} validations needs as many, got '
            f'{len(by_step)}: train longer or validate more often (val_interval)'
        )
    return statistics.median(by_step[step] for step in sorted(by_step)[-LAST_EPOCHS:])


def read_log(work_dir: str | Path) -> TrainingLog:
    """Read the logs that the host's LocalVisBackend wrote, oldest start first.

    A resumed training has one log for each start; later values of a step replace earlier ones.

    Args:
        work_dir (str | Path): Work directory of a training.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If there is no validation in it, or a line is no JSON object.
    """
    log = scan_log(work_dir)
    if not log.top1:
        raise ValueError(f'{work_dir}: no accuracy/top1 in the log yet, nothing was validated')
    return log


def scan_log(work_dir: str | Path) -> TrainingLog:
    """Read a log as :func:`read_log` does, also one without any validation.

    Args:
        work_dir (str | Path): Work directory of a training.

    Raises:
        FileNotFoundError: If there is no log.
        ValueError: If a line is no JSON object; half a line at the end, left by a kill, is none.
    """
    work_dir = Path(work_dir)
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'expected the log of a training at {work_dir}/*/vis_data/scalars.json, found none: '
            'give the work_dir of tools/train.py'
        )
    log = TrainingLog(work_dir.name, {}, {}, [])
    for file in files:
        text = file.read_text()
        lines = text.splitlines()
        if lines and not text.endswith('\n'):
            lines.pop()
        for number, line in enumerate(lines, 1):
            try:
                _take(json.loads(line), log)
            except (json.JSONDecodeError, AttributeError) as error:
                raise ValueError(f'{file}, line {number}: expected a JSON object') from error
    return log


def _take(line: dict[str, float], log: TrainingLog) -> None:
    """Add one line of a log: a validation, or an interval of the training."""
    if 'loss' in line and 'time' in line:
        log.seconds.append(line['time'])
    for key, value in line.items():
        name = key.removeprefix('accuracy/top1')
        if name in (key, _MEDIAN):
            continue
        by_step = log.heads.setdefault(name.lstrip('_'), {}) if name else log.top1
        by_step[int(line['step'])] = value

"""Images per second of several methods while one switch after the other is added."""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch.utils.flop_counter import FlopCounterMode

from .bench_traffic import TrafficMode, Work, extrapolate
from .machine_peaks import Peaks
from .step_cost import CPU_ATTENTION, TrainingStep
from .switches import Switches, build_step

COUNTED = (2, 4)
"""Images in the two batches whose work is counted; see :func:`bench_traffic.extrapolate`."""


class Setup(NamedTuple):
    """What is the same for all cells of the table.

    Attributes:
        batch_size: Images per step.
        image_size: Height and width.
        device: Where to train.
        steps: Steps per timing; a multiple of k's clean_interval has its share of full passes.
        repeats: Timings of each method, in turn.
        warmup: Steps before the first timing.
    """

    batch_size: int
    image_size: tuple[int, int]
    device: torch.device
    steps: int = 10
    repeats: int = 5
    warmup: int = 3


def steady_step(path: str, switches: Switches, setup: Setup, images: int) -> TrainingStep:
    """Build the training step of a config, on a batch that lies in the device's memory.

    The comparison with linear mixing, a logged figure of one iteration in 50, is left out.

    Args:
        path: The config.
        switches: What is on.
        setup: Image size and device.
        images: Images per step.
    """
    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    step = build_step(cfg, switches, images, setup.image_size, setup.device)
    step.model.linear_interval = 0
    step.images, step.labels = (each.to(setup.device) for each in (step.images, step.labels))
    return step


@functools.cache
def count_work(path: str, switches: Switches, setup: Setup) -> Work:
    """Count arithmetic and traffic of one step, the mean over a round of k's clean passes.

    To be counted without torch.compile, which hides the operators: a compiled step fuses some of
    them and moves less than this.

    Args:
        path: The config.
        switches: What is on, ``compile`` aside.
        setup: Batch, image size and device.

    Raises:
        ValueError: If ``compile`` is on.
    """
    if switches.compile is not None:
        raise ValueError('operators cannot be counted in compiled networks: count without it')

    def count(images: int) -> Work:
        step = steady_step(path, switches, setup, images)
        k = getattr(step.model, 'k', None)
        steps = 1 if k is None else k.clean_interval
        flops = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
        with TrafficMode() as traffic, flops:
            step.run(steps)
        return Work(flops.get_total_flops() / steps, traffic.bytes / steps)

    return extrapolate(count, COUNTED, setup.batch_size)


def time_methods(
    paths: Mapping[str, str],
    switches: Switches,
    setup: Setup,
    late: Callable[[], bool] = lambda: False,
) -> dict[str, list[float]]:
    """Time the steps of several configs in turn, A B C A B C.

    Args:
        paths: Configs by method.
        switches: What is on.
        setup: How to measure.
        late: Tells whether time is up; every method is timed once all the same.

    Returns:
        Seconds per step of each timing, by method.
    """
    steps = {
        name: steady_step(path, switches, setup, setup.batch_size) for name, path in paths.items()
    }
    for step in steps.values():
        step.run(setup.warmup)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(setup.repeats):
        if repeat and late():
            break
        for name, step in steps.items():
            times[name].append(step.run(setup.steps))
    return times


def make_cell(times: Sequence[float], work: Work, peaks: Peaks, setup: Setup) -> dict[str, Any]:
    """Return what the table says about one method with some switches on.

    Args:
        times: Seconds per step.
        work: What a step costs.
        peaks: What the device can do in this precision.
        setup: How it was measured.
    """
    seconds = statistics.median(times)
    return dict(
        images_per_second=setup.batch_size / seconds,
        images_per_second_least=setup.batch_size / max(times),
        images_per_second_most=setup.batch_size / min(times),
        seconds=list(times),
        gflops=work.flops / 1e9,
        gbytes=work.bytes / 1e9,
        share_of_arithmetic=work.flops / seconds / peaks.flops,
        share_of_bandwidth=work.bytes / seconds / peaks.bytes,
    )


def ratio(cell: Mapping[str, Any], base: Mapping[str, Any]) -> float:
    """Return how many times as long a step of one method takes as one of another.

    The median over the pairs of timings that followed each other, where both were timed in one run;
    else that of the medians.

    Args:
        cell: A cell of the table.
        base: The cell to compare it with.
    """
    if cell.get('run') == base.get('run') and len(cell['seconds']) == len(base['seconds']):
        pairs = zip(cell['seconds'], base['seconds'], strict=True)
        return statistics.median(mine / other for mine, other in pairs)
    return statistics.median(cell['seconds']) / statistics.median(base['seconds'])


def table(cells: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Return the cells as Markdown.

    Args:
        cells: Cells by step of the ladder and method.
    """
    methods = list(dict.fromkeys(name for row in cells.values() for name in row))
    compared = [name for name in methods if name != 'vanilla'] if 'vanilla' in methods else []
    head = ['switches', *(f'{name}, images/s' for name in methods)]
    head += [f'{name} / vanilla, time' for name in compared]
    head += [f'{name}, share of arithmetic / memory' for name in methods]
    lines = [head, ['---', *['---:'] * (len(head) - 1)]]
    for level, row in cells.items():
        line = [level, *(_rate(row.get(name)) for name in methods)]
        for name in compared:
            mine, base = row.get(name, {}), row.get('vanilla', {})
            timed = 'seconds' in mine and 'seconds' in base
            line.append(f'{ratio(mine, base):.2f}' if timed else '')
        lines.append([*line, *(_shares(row.get(name)) for name in methods)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _rate(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ''
    if 'reason' in cell:
        return 'not run'
    rate = cell['images_per_second']
    digits = 0 if rate >= 100 else 1 if rate >= 10 else 2
    return f'{rate:,.{digits}f}'


def _shares(cell: Mapping[str, Any] | None) -> str:
    if cell is None or 'reason' in cell:
        return ''
    return f'{cell["share_of_arithmetic"]:.0%} / {cell["share_of_bandwidth"]:.0%}'


def deadline(minutes: float | None) -> Callable[[], bool]:
    """Return a function that tells whether so many minutes, counted from now, are over."""
    end = math.inf if minutes is None else time.perf_counter() + 60 * minutes
    return lambda: time.perf_counter() > end

"""The table of a comparison, and the floors that tell a broken build from a working one."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table

from .short_runs import Plan, RunResult

Runs = Mapping[str, Mapping[int, RunResult]]
"""Results by method and seed."""

HEALTH = {
    'mask_lam_corr': ('mask mean follows lam', 0.9),
    'mask_std': ('masks vary inside an image', 0.02),
    'gain_over_linear': ("k's loss, linear - block", 0.0),
}
"""Figures of a mix block: what each says, and the value above which the block is healthy."""


def group_runs(plans: Sequence[Plan], results: Sequence[RunResult]) -> Runs:
    """Sorts results by method and seed.

    Args:
        plans: The runs.
        results: Their results, in the same order.

    Returns:
        Results by method and seed, both in the order of ``plans``.
    """
    groups: dict[str, dict[int, RunResult]] = {}
    for plan, result in zip(plans, results, strict=True):
        groups.setdefault(plan.method, {})[plan.seed] = result
    return groups


def mean_std(values: Sequence[float]) -> str:
    """Formats mean and sample standard deviation; one value alone has none.

    Args:
        values: At least one value.

    Returns:
        For example ``'91.25 ± 0.40'``.
    """
    if len(values) == 1:
        return f'{values[0]:.2f}'
    return f'{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}'


def summary_rows(runs: Runs) -> list[list[str]]:
    """Builds the table of accuracies, a row for each method.

    Args:
        runs: Results by method and seed; every method has the same seeds.

    Returns:
        Method, mean and deviation of the last top-1, top-1 of every seed, mean seconds of a run.
    """
    rows = []
    for method, by_seed in runs.items():
        last = [result.top1[-1] for result in by_seed.values()]
        seconds = statistics.mean(result.seconds for result in by_seed.values())
        rows.append([method, mean_std(last), *[f'{top1:.2f}' for top1 in last], f'{seconds:.0f}'])
    return rows


def summary_table(runs: Runs) -> Table:
    """Dresses :func:`summary_rows` for a terminal.

    Args:
        runs: Results by method and seed.

    Returns:
        The table.
    """
    seeds = list(next(iter(runs.values())))
    table = Table()
    table.add_column('method')
    table.add_column('mean ± std' if len(seeds) > 1 else 'top-1', justify='right', style='bold')
    for seed in seeds:
        table.add_column(f'seed {seed}', justify='right')
    table.add_column('seconds a run', justify='right')
    for row in summary_rows(runs):
        table.add_row(*row)
    return table


def health_rows(runs: Mapping[int, RunResult]) -> list[list[str]]:
    """Builds the table of a mix block's health.

    Args:
        runs: Results of a method with a mix block, by seed.

    Returns:
        Name, mean [lowest, highest] of the runs, healthy range and meaning of every figure; empty
        if the method has no block.
    """
    rows = []
    for name, (meaning, least) in HEALTH.items():
        values = [result.figures[name] for result in runs.values() if name in result.figures]
        if values:
            measured = f'{statistics.mean(values):.3f} [{min(values):.3f}, {max(values):.3f}]'
            rows.append([name, measured, f'> {least:g}', meaning])
    return rows


def missed_floors(runs: Runs, floors: Mapping[str, float]) -> list[str]:
    """Finds runs that ended below the floor of their method.

    Args:
        runs: Results by method and seed.
        floors: Least top-1 accuracy in percent that a working build reaches, by method; methods
            without one always pass.

    Returns:
        One sentence for each run below its floor. A run whose accuracy is not a number is below.
    """
    return [
        f'{method}, seed {seed}, ended at {result.top1[-1]:.2f} %, below its floor of '
        f'{floors[method]:g} %.'
        for method, by_seed in runs.items()
        if method in floors
        for seed, result in by_seed.items()
        if not result.top1[-1] >= floors[method]
    ]

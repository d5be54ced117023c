"""What the runs have measured, beside the paper's values."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from .experiments import Cell, Experiment
from .parameters import compare_count, count_parameters
from .planning import Settings, runs_of
from .runs import inspect


class Measured(NamedTuple):
    """A cell with its results.

    Attributes:
        cell: The cell.
        by_seed: Result of each complete seed: median top-1 of its last ten epochs in percent, or
            parameters in millions.
        seeds: Number of seeds asked for.
        absent: What is missing, one sentence each.
        epochs: Length of the runs, None without training.
        label: Folder of the runs, empty without training.
    """

    cell: Cell
    by_seed: dict[int, float]
    seeds: int
    absent: tuple[str, ...]
    epochs: int | None = None
    label: str = ''

    @property
    def mean(self) -> float | None:
        """Mean over the complete seeds, None without any."""
        return statistics.mean(self.by_seed.values()) if self.by_seed else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the complete seeds, None for fewer than two."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None

    @property
    def difference(self) -> float | None:
        """Mean minus the paper's value, None where either is missing."""
        if self.mean is None or self.cell.paper is None:
            return None
        return self.mean - self.cell.paper


class Collected(NamedTuple):
    """An experiment with its results.

    Attributes:
        experiment: The experiment.
        cells: Its cells, in its order.
        remarks: What a reader has to know about all of them.
    """

    experiment: Experiment
    cells: tuple[Measured, ...]
    remarks: tuple[str, ...]

    @property
    def absent(self) -> list[str]:
        """Everything that is missing."""
        return [text for one in self.cells for text in one.absent]


def collect(experiment: Experiment, settings: Settings) -> Collected:
    """Reads the results of an experiment from the logs of its runs, or counts parameters.

    Args:
        experiment: The experiment.
        settings: Folders, seeds and changed settings.

    Returns:
        The results; nothing that was not measured is in them.
    """
    remarks = []
    if experiment.kind == 'parameters':
        return _counted(experiment)
    if settings.epochs:
        remarks.append(f'Every run has {settings.epochs} epochs here, whatever the paper has.')
    if settings.options:
        changed = ', '.join(f'{name}={value}' for name, value in settings.options.items())
        remarks.append(f'Settings changed in every run: {changed}.')
    cells = [_trained(cell, experiment, settings) for cell in experiment.cells]
    return Collected(experiment, tuple(cells), tuple(remarks))


def _counted(experiment: Experiment) -> Collected:
    counts = [(cell, count_parameters(cell)) for cell in experiment.cells]
    cells = tuple(Measured(cell, {0: count / 1e6}, 1, ()) for cell, count in counts)
    gaps = [compare_count(cell, count, experiment.digits) for cell, count in counts]
    remarks = [gap for gap in gaps if gap]
    matches = len(cells) - len(remarks)
    remarks.append(f'{matches} of {len(cells)} counts are the printed ones.')
    return Collected(experiment, cells, tuple(remarks))


def _trained(cell: Cell, experiment: Experiment, settings: Settings) -> Measured:
    runs, reason = runs_of(cell, experiment, settings)
    by_seed, absent = {}, [f'{cell.name}: {reason}'] if reason else []
    for run in runs:
        state = inspect(run, settings.root)
        if state.result is not None:
            by_seed[run.seed] = state.result
            continue
        how = f'{state.done} of {run.epochs} epochs' if state.status == 'partial' else 'not run'
        note = f' ({state.note})' if state.note else ''
        absent.append(f'{cell.name}, seed {run.seed}: {how}{note}')
    seeds = len(settings.seeds or experiment.seeds)
    epochs, label = (runs[0].epochs, runs[0].label) if runs else (None, '')
    return Measured(cell, by_seed, seeds, tuple(absent), epochs, label)


def markdown(found: Collected) -> str:
    """Writes a table in the paper's shape.

    Args:
        found: The results.

    Returns:
        Markdown: a cell is "mean ± standard deviation (paper value, difference)".
    """
    experiment = found.experiment
    by_name = {one.cell.name: one for one in found.cells}
    lines = [f'### {experiment.where}: {experiment.title}', '']
    lines += [
        f'| | {" | ".join(experiment.columns)} |',
        '|---' * (len(experiment.columns) + 1) + '|',
    ]
    for row in experiment.rows:
        texts = [_text(by_name.get(f'{row}/{column}'), experiment) for column in experiment.columns]
        lines.append(f'| {row} | {" | ".join(texts)} |')
    lines += ['', _legend(experiment), *found.remarks]
    if found.absent:
        lines += ['', f'Missing ({len(found.absent)}):', '', *[f'- {one}' for one in found.absent]]
    return '\n'.join(lines) + '\n'


def _legend(experiment: Experiment) -> str:
    if experiment.kind == 'parameters':
        return 'Counted (paper, difference), in millions.'
    rule = 'median top-1 of the last 10 epochs, mean ± sample standard deviation over the seeds'
    if _quoted(experiment):
        return f'Ours: {rule} (paper, difference). A dash: not measured, or not printed.'
    return f'Values: {rule}. A dash: not measured.'


def _quoted(experiment: Experiment) -> bool:
    """Whether the paper prints any of its values."""
    return any(cell.paper is not None for cell in experiment.cells)


def _text(one: Measured | None, experiment: Experiment) -> str:
    if one is None:
        return ''
    ours = '—' if one.mean is None else f'{one.mean:.2f}'
    if one.spread is not None:
        ours += f' ± {one.spread:.2f}'
    if one.by_seed and len(one.by_seed) < one.seeds:
        ours += f' [{len(one.by_seed)} of {one.seeds} seeds]'
    if not _quoted(experiment):
        return ours
    paper = '—' if one.cell.paper is None else f'{one.cell.paper:.{experiment.digits}f}'
    gap = '' if one.difference is None else f', {round(one.difference, 2) + 0.0:+.2f}'  # no -0.00
    return f'{ours} (paper {paper}{gap})'


def as_rows(found: Collected) -> list[dict[str, Any]]:
    """Lists the results, a flat record for each cell.

    Args:
        found: The results.

    Returns:
        Records with the same keys; None where nothing was measured or printed.
    """
    rows = []
    for one in found.cells:
        values = list(one.by_seed.values())
        rows.append(
            dict(
                experiment=found.experiment.name,
                row=one.cell.row,
                column=one.cell.column,
                config=one.cell.config,
                runs=one.label or None,
                epochs=one.epochs,
                mean=one.mean,
                std=one.spread,
                lowest=min(values, default=None),
                highest=max(values, default=None),
                seeds_complete=len(values),
                seeds=one.seeds,
                paper=one.cell.paper,
                difference=one.difference,
                by_seed=one.by_seed,
                missing=list(one.absent),
            )
        )
    return rows


def write_results(found: Collected, folder: Path) -> list[Path]:
    """Writes Markdown, CSV and JSON.

    Args:
        found: The results.
        folder: Where to, made if it is missing.

    Returns:
        The three paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f'{found.experiment.name}.{kind}' for kind in ('md', 'csv', 'json')]
    rows = as_rows(found)
    paths[0].write_text(markdown(found), encoding='utf-8')
    with open(paths[1], 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        for row in rows:
            texts = {name: json.dumps(row[name]) for name in ('by_seed', 'missing')}
            writer.writerow(row | texts)
    experiment = found.experiment
    report = dict(
        experiment=experiment.name,
        title=experiment.title,
        where=experiment.where,
        rule='median top-1 of exactly the last 10 epochs, then the mean over the seeds',
        remarks=found.remarks,
        cells=rows,
    )
    if experiment.kind == 'parameters':
        report['rule'] = 'parameters in millions'
    paths[2].write_text(json.dumps(report, indent=1) + '\n', encoding='utf-8')
    return paths

"""The paper's figures of results, from the logs of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..style import COLORS, GREY, LINE_STYLES, new_figure, save_figure
from .experiments import Cell, Experiment
from .planning import Settings, runs_of
from .results import Collected, collect
from .runs import inspect

# Nine methods: two dark tones of Paul Tol's muted palette beside the seven of all pictures. Black
# and the solid line are kept for the last row, AutoMix in the tables.
_COLORS = (*COLORS[:6], '#882255', '#999933', COLORS[6])
_STYLES = (*LINE_STYLES[1:], (0, (3, 1)), (0, (5, 1, 1, 1)), '-')


class Line(NamedTuple):
    """The curve of a cell.

    Attributes:
        label: For the legend.
        place: Position of its row, which gives it colour and line style.
        epochs: Validated in every run, (T,).
        top1: In percent, (runs, T).
    """

    label: str
    place: int
    epochs: np.ndarray
    top1: np.ndarray


def draw_experiment(experiment: Experiment, settings: Settings, folder: Path) -> list[Path]:
    """Draws an experiment as PNG and SVG.

    Args:
        experiment: Of kind ``'curves'`` or ``'sensitivity'``.
        settings: Folders, seeds and changed settings.
        folder: Where to write.

    Returns:
        The two paths; none if nothing was measured yet.
    """
    if experiment.kind == 'sensitivity':
        figure = _sensitivity(collect(experiment, settings))
    else:
        figure = _convergence(experiment, settings)
    if figure is None:
        return []
    paths = [folder / f'{experiment.name}.{kind}' for kind in ('png', 'svg')]
    for path in paths:
        save_figure(figure, str(path))
    return paths


def read_line(cell: Cell, place: int, experiment: Experiment, settings: Settings) -> Line | None:
    """Reads the curves of a cell's runs, complete or not.

    Args:
        cell: The cell.
        place: Position of its row.
        experiment: Whose cell it is.
        settings: Folders, seeds and changed settings.

    Returns:
        The curves at the epochs that all started runs have; None if there are none.
    """
    runs, _ = runs_of(cell, experiment, settings)
    logs = [log for log in (inspect(run, settings.root).top1 for run in runs) if log]
    if not logs:
        return None
    epochs = sorted(set.intersection(*(set(log) for log in logs)))
    if not epochs:
        return None
    label = cell.row
    if len(logs) < len(runs):
        label += f' ({len(logs)} of {len(runs)} seeds)'
    if epochs[-1] < runs[0].epochs:
        label += f' (to epoch {epochs[-1]})'
    top1 = np.array([[log[epoch] for epoch in epochs] for log in logs])
    return Line(label, place, np.array(epochs), top1)


def _convergence(experiment: Experiment, settings: Settings) -> Figure | None:
    rows = experiment.rows
    panels: dict[str, list[Line]] = {}
    for cell in experiment.cells:
        line = read_line(cell, rows.index(cell.row), experiment, settings)
        if line:
            panels.setdefault(cell.column, []).append(line)
    if not panels:
        return None
    if len(panels) == 1:
        figure = new_figure(12, 4.8)
        grid = figure.subplots(1, 2, squeeze=False).T
    else:
        figure = new_figure(4.2 * len(panels) + 0.4, 8)
        grid = figure.subplots(2, len(panels), sharey='row')
    for (whole, end), (column, lines) in zip(grid.T, panels.items(), strict=True):
        for axes in (whole, end):
            _draw_lines(axes, lines, len(rows))
        whole.set_title(f'{column}, whole training', fontsize=10)
        end.set_title(f'{column}, last third enlarged', fontsize=10)
        if len(panels) == 1:
            end.legend(loc='center left', bbox_to_anchor=(1.02, 0.5), fontsize=9, handlelength=3.6)
        else:
            whole.legend(loc='lower right', fontsize=8, handlelength=3.4)
    _enlarge_end(grid[1], [line for lines in panels.values() for line in lines])
    for axes in grid[:, 0]:
        axes.set_ylabel('top-1 accuracy (%)')
    return _finish(figure, experiment.title)


def _enlarge_end(row: Iterable[Axes], lines: Sequence[Line]) -> None:
    """Shows the last third of the epochs only, all axes of the row at one scale."""
    last = max(line.epochs[-1] for line in lines)
    start = last - (last - min(line.epochs[0] for line in lines)) / 3
    if start == last:
        return
    values = np.concatenate([line.top1[:, line.epochs >= start].ravel() for line in lines])
    margin = max(0.06 * float(np.ptp(values)), 0.2)
    for axes in row:
        axes.set_xlim(start, last)
        axes.set_ylim(values.min() - margin, values.max() + margin)


def _draw_lines(axes: Axes, lines: Sequence[Line], rows: int) -> None:
    # Noisy curves of hundreds of epochs would hide each other.
    thin = 0.6 if max(len(line.epochs) for line in lines) > 100 else 1.0
    for line in lines:
        last = line.place == rows - 1
        index = len(_COLORS) - 1 if last else line.place % (len(_COLORS) - 1)
        color, style = _COLORS[index], _STYLES[index % len(_STYLES)]
        epochs, top1 = line.epochs, line.top1
        if len(top1) > 1:
            axes.fill_between(
                epochs, top1.min(0), top1.max(0), color=color, alpha=0.15, linewidth=0
            )
        marker = 'o' if len(epochs) == 1 else None
        axes.plot(
            epochs,
            top1.mean(0),
            color=color,
            linestyle=style,
            linewidth=(2.4 if last else 1.7) * thin,
            zorder=3 if last else 2,
            label=line.label,
            marker=marker,
        )
    axes.set_xlabel('epoch')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _tidy(axes)


def _sensitivity(found: Collected) -> Figure | None:
    if not any(one.by_seed for one in found.cells):
        return None
    panels = found.experiment.columns
    figure = new_figure(5.2 * len(panels), 4)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, column in zip(grid, panels, strict=True):
        cells = [one for one in found.cells if one.cell.column == column]
        places = range(len(cells))
        axes.plot(
            places,
            [np.nan if one.mean is None else one.mean for one in cells],  # a gap, no line across
            color=COLORS[0],
            marker='o',
            linewidth=2,
            label='ours, mean',
        )
        points = [
            (x, value)
            for x, one in zip(places, cells, strict=True)
            for value in one.by_seed.values()
        ]
        if points:
            axes.plot(*np.array(points).T, '_', color=COLORS[0], label='a seed')
        printed = [(x, one.cell.paper) for x, one in zip(places, cells, strict=True)]
        known = [(x, value) for x, value in printed if value is not None]
        if known:
            axes.plot(*np.array(known).T, 'D', color=COLORS[1], fillstyle='none', label='paper')
        axes.set_xticks(list(places), [one.cell.row for one in cells])
        axes.set_xlim(-0.5, len(cells) - 0.5)
        axes.set_xlabel(column)
        axes.legend(fontsize=8)
        _tidy(axes)
    figure.axes[0].set_ylabel('top-1 accuracy (%)')
    return _finish(figure, found.experiment.title)


def _tidy(axes: Axes) -> None:
    axes.grid(True, color='#e4e4e4', linewidth=0.8)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(color=GREY)


def _finish(figure: Figure, title: str) -> Figure:
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return figure

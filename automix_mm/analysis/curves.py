"""Accuracy over the training, for several methods and several runs of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from .style import COLORS, GREY, LINE_STYLES, TEXT_COLOR, new_figure, save_figure


class Curve(NamedTuple):
    """Values of one run.

    Attributes:
        epochs: Epochs after which the values were measured, ascending.
        values: One value for each of ``epochs``, such as top-1 accuracy in percent.
    """

    epochs: Sequence[float]
    values: Sequence[float]


def draw_curves(
    curves: Mapping[str, Sequence[Curve]],
    path: str,
    title: str = '',
    ylabel: str = 'top-1 accuracy (%)',
    floor: float | None = None,
) -> str:
    """Draws the whole training and, beside it, an enlarged view of its last third.

    A thick line is the mean over the runs of a method, the band around it reaches from the lowest
    to the highest run.

    Args:
        curves: Runs of each method, by the name shown in the legend. The runs of a method must
            have been measured at the same epochs.
        path: Path of the PNG to write.
        title: Line above the picture.
        ylabel: What the values are.
        floor: Value to mark with a dotted line.

    Returns:
        The path.

    Raises:
        ValueError: If there is nothing to draw, or the runs of a method do not fit together.
    """
    means = {name: _summarize(name, runs) for name, runs in curves.items()}
    if not means:
        raise ValueError('draw_curves needs at least one method, got none.')
    figure = new_figure(10, 4.2)
    whole, end = figure.subplots(1, 2, width_ratios=(1, 1))
    for axes in (whole, end):
        _draw_methods(axes, means)
        axes.set_xlabel('epoch')
        axes.set_ylabel(ylabel)
        axes.grid(True, color='#e4e4e4', linewidth=0.8)
        axes.spines[['top', 'right']].set_visible(False)
        if floor is not None:
            axes.axhline(floor, color=GREY, linestyle=':', linewidth=1.2)
    if floor is not None:
        whole.annotate(
            f'floor {floor:g}',
            (0.01, floor),
            xycoords=('axes fraction', 'data'),
            xytext=(0, 3),
            textcoords='offset points',
            color=TEXT_COLOR,
            fontsize=8,
        )
    whole.set_title('whole training', fontsize=10)
    _zoom_on_end(end, means)
    whole.legend(loc='lower right', fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    return save_figure(figure, path)


def _summarize(name: str, runs: Sequence[Curve]) -> np.ndarray:
    """Epochs, mean, lowest and highest value of a method, (4, T)."""
    if not runs or not len(runs[0].epochs):
        raise ValueError(f'{name}: expected at least one run with one value, got {runs!r}.')
    epochs = np.asarray(runs[0].epochs, dtype=float)
    for run in runs:
        if len(run.values) != len(run.epochs) or not np.array_equal(run.epochs, epochs):
            raise ValueError(
                f'{name}: expected runs with one value at each of {len(epochs)} equal epochs, '
                f'got {len(run.values)} values at epochs {list(run.epochs)}.'
            )
    values = np.asarray([run.values for run in runs], dtype=float)  # (runs, T)
    return np.stack([epochs, values.mean(0), values.min(0), values.max(0)])


def _draw_methods(axes: Axes, means: Mapping[str, np.ndarray]) -> None:
    for index, (name, (epochs, mean, low, high)) in enumerate(means.items()):
        color, style = COLORS[index % len(COLORS)], LINE_STYLES[index % len(LINE_STYLES)]
        axes.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
        marker = 'o' if len(epochs) == 1 else None
        axes.plot(
            epochs, mean, color=color, linestyle=style, linewidth=2, label=name, marker=marker
        )


def _zoom_on_end(axes: Axes, means: Mapping[str, np.ndarray]) -> None:
    """Limits the axes to the last third of the epochs and the values that occur there."""
    last = max(rows[0].max() for rows in means.values())
    first = min(rows[0].min() for rows in means.values())
    start = last - (last - first) / 3
    seen = np.concatenate([rows[2:, rows[0] >= start].ravel() for rows in means.values()])
    margin = max(0.05 * (seen.max() - seen.min()), 0.5)
    axes.set_ylim(seen.min() - margin, seen.max() + margin)
    if last > start:
        axes.set_xlim(start, last)
    axes.set_title('last third, enlarged', fontsize=10)

"""The picture of pairs under any mixer: masks over mixes for each lam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from .mix_grid import MixGrid
from .style import TEXT_COLOR, new_figure, save_figure

MASK_COLORS = 'cividis'
#: Inches: width of an image, of the spaces between images and behind the pair, of the margin.
CELL, SPACE, GAP, MARGIN = 1.0, 0.08, 0.42, 0.1
#: Inches: height of the legend, of the text above the pair, below a mask and below a mix, of the
#: space between two pairs; of the caption, height of a line and width of a letter.
LEGEND, ABOVE, BELOW_MASK, BELOW_MIX, APART = 0.26, 0.2, 0.2, 0.34, 0.16
LINE, LETTER = 0.15, 0.055
LONGEST_NAME = 18


def draw_mix_grid(grids: Sequence[MixGrid], path: str, caption: str = '') -> str:
    """Draws each pair: own image over partner, beside them masks over mixes for each lam.

    Args:
        grids: The pairs, with as many values of lam each.
        path: Path of the picture to write; the suffix (.png, .svg, .pdf) sets its format.
        caption: Text below the picture, lines divided by newlines.

    Returns:
        The path.
    """
    columns = max(len(grid.lams) for grid in grids)
    width = 2 * MARGIN + GAP + CELL * (1 + columns) + SPACE * columns
    lines = [part for line in caption.splitlines() for part in wrap(line, int(width / LETTER))]
    heights = [_height(grid) for grid in grids]
    height = 2 * MARGIN + LEGEND + sum(heights) + APART * (len(grids) - 1) + LINE * len(lines)
    figure = new_figure(width, height)
    top = height - MARGIN - LEGEND
    _draw_legend(figure)
    for grid, taken in zip(grids, heights, strict=True):
        for cell in _cells(grid, top):
            left, bottom, wide, tall = cell.box
            box = (left / width, bottom / height, wide / width, tall / height)
            _show(figure.add_axes(box), cell)
        for number, row in enumerate(grid.rows):
            middle = top - ABOVE - _step(grid) * number - _tall(grid) - BELOW_MASK / 2
            place = (MARGIN + CELL + (GAP + SPACE) / 2) / width, middle / height
            style: dict[str, Any] = dict(fontsize=9, ha='center', va='center', color=TEXT_COLOR)
            figure.text(*place, row.name, rotation='vertical', **style)
        top -= taken + APART
    corner = MARGIN / width, MARGIN / height
    style = dict(fontsize=7, va='bottom', linespacing=1.3, color=TEXT_COLOR)
    figure.text(*corner, '\n'.join(lines), **style)
    return save_figure(figure, path)


@dataclass(frozen=True)
class _Cell:
    """An image with its texts; the box is left, bottom, width and height in inches."""

    image: np.ndarray
    box: tuple[float, float, float, float]
    above: str = ''
    below: str = ''
    is_mask: bool = False


def _tall(grid: MixGrid) -> float:
    return CELL * grid.own.shape[0] / grid.own.shape[1]


def _step(grid: MixGrid) -> float:
    """Height of a mixer's masks and mixes."""
    return 2 * _tall(grid) + BELOW_MASK + BELOW_MIX


def _height(grid: MixGrid) -> float:
    return ABOVE + _step(grid) * len(grid.rows)


def _cells(grid: MixGrid, top: float) -> Iterator[_Cell]:
    """Yields the pair, then masks and mixes of each row, below ``top``."""
    tall = _tall(grid)
    upper = top - ABOVE - tall
    for image, title, name, bottom in (
        (grid.own, 'a: own', grid.names[0], upper),
        (grid.partner, 'b: partner', grid.names[1], upper - tall - BELOW_MASK - ABOVE),
    ):
        yield _Cell(image, (MARGIN, bottom, CELL, tall), title, _shorten(name))
    for number, row in enumerate(grid.rows):
        bottom = upper - _step(grid) * number
        for column, (mask, mixed) in enumerate(zip(row.masks, row.mixed, strict=True)):
            left = MARGIN + CELL + GAP + SPACE + column * (CELL + SPACE)
            below = f'mean {mask.mean():.2f}'
            yield _Cell(mask, (left, bottom, CELL, tall), below=below, is_mask=True)
            weight = row.weights[column]
            below = f'lam {grid.lams[column]:g}\na {weight:.2f}   b {1 - weight:.2f}'
            yield _Cell(mixed, (left, bottom - BELOW_MASK - tall, CELL, tall), below=below)


def _shorten(name: str) -> str:
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f'{name[: half - 1]}...{name[2 - half :]}'


def _show(axes: Axes, cell: _Cell) -> None:
    """Shows a mask in 0..1 or an image (H, W, C) in 0..255 between its texts."""
    axes.set_xticks([])
    axes.set_yticks([])
    if cell.is_mask:
        axes.imshow(cell.image, cmap=MASK_COLORS, vmin=0, vmax=1)
    else:
        grey = cell.image.shape[-1] == 1
        axes.imshow(cell.image[..., 0] if grey else cell.image, cmap='gray', vmin=0, vmax=255)
    axes.set_title(cell.above, fontsize=8, color=TEXT_COLOR, pad=3)
    axes.set_xlabel(cell.below, fontsize=7, color=TEXT_COLOR, labelpad=2, linespacing=1.2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_legend(figure: Figure) -> None:
    """Says what the colors of a mask mean, in a line at the top right."""
    width, height = figure.get_size_inches()
    bar = 2 * CELL * 0.6
    box = ((width - MARGIN - bar - 0.3) / width, 1 - (MARGIN + 0.13) / height)
    axes = figure.add_axes((*box, bar / width, 0.11 / height))
    figure.colorbar(ScalarMappable(Normalize(0, 1), MASK_COLORS), axes, orientation='horizontal')
    axes.set_xticks([])
    style: dict[str, Any] = dict(fontsize=7, va='center', color=TEXT_COLOR)
    middle = box[1] + 0.055 / height
    figure.text(box[0] - 0.06 / width, middle, 'mask: 0, all b', ha='right', **style)
    figure.text(box[0] + (bar + 0.06) / width, middle, '1, all a', ha='left', **style)

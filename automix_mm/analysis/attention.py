"""How a mix block comes to its mask: similarity of one position of a to all of b, and content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from automix_mm.mixing import Pair
from automix_mm.mixing.attention import similarity
from automix_mm.models import MixBlock

from .mix_drawing import LETTER, LINE, MASK_COLORS
from .mix_network import Network
from .style import TEXT_COLOR, new_figure, save_figure

ROW_COLORS, CONTENT_COLORS = 'magma', 'PuOr_r'
MARK_COLOR = '#E69F00'
#: Inches: width of an image, of the spaces between images, of the margin; height of the text above
#: the first row, of that below an image, and of the color bars with their text.
CELL, SPACE, MARGIN, ABOVE, BELOW, BARS = 1.3, 0.12, 0.12, 0.22, 0.36, 0.5


@dataclass(frozen=True)
class Attention:
    """What a mix block computes for a pair at one lam; its maps have h x w cells.

    Attributes:
        lam: Weight of the own image that the block is given.
        rows: For each of P positions of the own image, its row of the similarity over the partner,
            (P, h, w); each sums to 1.
        content: Content, one number for each cell, (h, w).
        mask: Weight of the own image at each pixel, (H, W), in [0, 1].
    """

    lam: float
    rows: np.ndarray
    content: np.ndarray
    mask: np.ndarray

    @property
    def peaks(self) -> np.ndarray:
        """Largest entry of each row as a multiple of what every cell has in an even row, (P,)."""
        return self.rows.max((1, 2)) * self.content.size

    @property
    def spreads(self) -> np.ndarray:
        """Cells over which each row spreads, (P,): the exponential of its entropy, 1 to h * w."""
        rows = np.maximum(self.rows.astype(np.float64), 1e-30)
        return np.exp(-(rows * np.log(rows)).sum((1, 2)))


@torch.no_grad()
def attend_from(
    network: Network, images: Tensor, lams: Sequence[float], positions: Sequence[tuple[int, int]]
) -> list[Attention]:
    """Looks into the mix block of a network while it paints masks for a pair.

    Args:
        network: Network with a mix block.
        images: Own image and partner, (2, C, H, W), uint8, RGB.
        lams: Values of lam in [0, 1].
        positions: Pixels (x, y) of the own image, from the top left corner.

    Returns:
        What it computes for each lam.

    Raises:
        ValueError: If the network has no mix block or a position is outside the image.
    """
    block = network.classifier.mixer
    if not isinstance(block, MixBlock):
        raise ValueError(f'only a mix block attends, this network has a {type(block).__name__}')
    height, width = images.shape[2:]
    outside = [at for at in positions if not (0 <= at[0] < width and 0 <= at[1] < height)]
    if outside or not positions:
        raise ValueError(
            f'positions must be pixels (x, y) of an image of width {width} and height {height}, '
            f'got {outside or "none"}'
        )
    inputs = network.inputs(images)
    size = (inputs.shape[-2], inputs.shape[-1])
    features = block.look(network.encoder, inputs, inputs)
    high, wide = features.shape[-2:]
    # Of the padded image, as the features are.
    cells = [(y * high // size[0]) * wide + x * wide // size[1] for x, y in positions]
    partner = torch.tensor([1, 0], device=inputs.device)
    seen = []
    for lam in lams:
        pair = Pair(torch.tensor(float(lam), device=inputs.device), partner)
        query, key, content, mask = watch(block, features, pair, size)
        chosen = query[:1].flatten(2).transpose(1, 2)[:, cells]  # (1, P, C/2)
        rows = similarity(chosen, key[:1].flatten(2).transpose(1, 2))  # (1, P, hw)
        seen.append(
            Attention(
                float(lam),
                rows.unflatten(2, (high, wide))[0].float().cpu().numpy(),
                content[0, 0].float().cpu().numpy(),
                mask[0, 0, :height, :width].float().cpu().numpy(),
            )
        )
    return seen


def watch(block: MixBlock, features: Tensor, pair: Pair, size: tuple[int, int]) -> list[Tensor]:
    """Returns what the block's projections put out, and its masks.

    The three run in the order of the formula: own features, partner features, content. The first
    two may be one module.

    Args:
        block: The mix block.
        features: Feature map of N images, (N, C, h, w).
        pair: lam and partners.
        size: Image size (H, W).

    Returns:
        Query and key (N, C / 2, h, w), content (N, 1, h, w), masks (N, 1, H, W).
    """
    outputs: list[Tensor] = []
    layers = {
        id(layer): layer
        for layer in (
            block.own_projection,
            getattr(block, 'partner_projection', block.own_projection),
            block.content_projection,
        )
    }
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
        for layer in layers.values()
    ]
    try:
        mask = block(features, pair, size)
    finally:
        for hook in hooks:
            hook.remove()
    return [*outputs, mask]


# ------------------------------------------------------------------------------------ drawing


def draw_attention(
    images: np.ndarray,
    positions: Sequence[tuple[int, int]],
    seen: Sequence[Attention],
    path: str,
    caption: str = '',
) -> str:
    """Draws for each lam: a with the positions, their rows over b, the content, the mask.

    Args:
        images: Own image and partner, (2, H, W, C), uint8, RGB or grey.
        positions: The P pixels (x, y) of the own image.
        seen: What :func:`attend_from` returns.
        path: Path of the picture; the suffix (.png, .svg, .pdf) sets its format.
        caption: Text below the picture, lines divided by newlines.

    Returns:
        The path.
    """
    columns = 3 + len(positions)
    tall = CELL * images.shape[1] / images.shape[2]
    width = 2 * MARGIN + columns * CELL + (columns - 1) * SPACE
    lines = [part for line in caption.splitlines() for part in wrap(line, int(width / LETTER))]
    step = tall + BELOW
    height = 2 * MARGIN + ABOVE + step * len(seen) + BARS + LINE * len(lines)
    figure = new_figure(width, height)
    peak = max(float(one.peaks.max()) for one in seen)
    reach = max(float(np.abs(one.content).max()) for one in seen) or 1.0
    norms = Normalize(0, peak), Normalize(-reach, reach), Normalize(0, 1)
    top = height - MARGIN - ABOVE
    for number, one in enumerate(seen):
        bottom = top - tall - step * number
        boxes = [
            ((MARGIN + (CELL + SPACE) * i) / width, bottom / height, CELL / width, tall / height)
            for i in range(columns)
        ]
        axes = [figure.add_axes(box) for box in boxes]
        _draw_row(axes, images, positions, one, norms)
        if number == 0:
            titles = ['a: own', *[f'row of {i + 1} over b' for i in range(len(positions))]]
            for cell, title in zip(axes, [*titles, 'content', 'mask'], strict=True):
                cell.set_title(title, fontsize=8, color=TEXT_COLOR, pad=3)
    _draw_bars(figure, norms, len(lines))
    corner = MARGIN / width, MARGIN / height
    style: dict[str, Any] = dict(fontsize=7, va='bottom', linespacing=1.3, color=TEXT_COLOR)
    figure.text(*corner, '\n'.join(lines), **style)
    return save_figure(figure, path)


def _draw_row(
    axes: Sequence[Axes],
    images: np.ndarray,
    positions: Sequence[tuple[int, int]],
    one: Attention,
    norms: tuple[Normalize, Normalize, Normalize],
) -> None:
    """Fills the axes of one lam."""
    height, width = images.shape[1:3]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    grey = images.mean(-1)
    _show(axes[0], images[0] if images.shape[-1] == 3 else grey[0])
    for number, (x, y) in enumerate(positions, 1):
        style: dict[str, Any] = dict(fontsize=8, ha='center', va='center', color='black')
        circle: dict[str, Any] = dict(
            boxstyle='circle,pad=0.15', facecolor=MARK_COLOR, edgecolor='white'
        )
        axes[0].text(x, y, str(number), bbox=circle, **style)
    texts = [f'lam {one.lam:g}']
    for cell, row, peak, spread in zip(axes[1:-2], one.rows, one.peaks, one.spreads, strict=True):
        _show(cell, grey[1])
        heat: dict[str, Any] = dict(
            cmap=ROW_COLORS, norm=norms[0], extent=extent, interpolation='nearest'
        )
        cell.imshow(row * row.size, alpha=0.65, **heat)
        texts.append(f'peak {peak:.1f} x even\nspread: {spread:.1f} of {row.size} cells')
    content: dict[str, Any] = dict(
        cmap=CONTENT_COLORS, norm=norms[1], extent=extent, interpolation='nearest'
    )
    axes[-2].imshow(one.content, **content)
    texts.append(f'{one.content.min():.1f} to {one.content.max():.1f}')
    axes[-1].imshow(one.mask, cmap=MASK_COLORS, norm=norms[2], extent=extent)
    texts.append(f'mean {one.mask.mean():.2f}')
    for cell, text in zip(axes, texts, strict=True):
        cell.set_xticks([])
        cell.set_yticks([])
        cell.set_xlabel(text, fontsize=7, color=TEXT_COLOR, labelpad=2, linespacing=1.2)
        for spine in cell.spines.values():
            spine.set_visible(False)


def _show(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, cmap='gray', vmin=0, vmax=255)


def _draw_bars(
    figure: Figure, norms: tuple[Normalize, Normalize, Normalize], caption_lines: int
) -> None:
    """Draws the scale of the rows, of the content and of the masks below their columns."""
    width, height = figure.get_size_inches()
    bottom = (MARGIN + LINE * caption_lines + 0.32) / height
    columns = (1, -2, -1)
    names = ('row, x even', 'content', 'mask: b to a')
    colors = (ROW_COLORS, CONTENT_COLORS, MASK_COLORS)
    last = round((width - 2 * MARGIN + SPACE) / (CELL + SPACE))
    for column, name, color, norm in zip(columns, names, colors, norms, strict=True):
        left = MARGIN + (CELL + SPACE) * (column % last) + 0.08 * CELL
        axes = figure.add_axes((left / width, bottom, 0.84 * CELL / width, 0.09 / height))
        scale = ScalarMappable(norm, color)
        figure.colorbar(scale, axes, orientation='horizontal', ticks=MaxNLocator(3))
        axes.tick_params(labelsize=6, length=2, pad=1)
        axes.set_title(name, fontsize=7, color=TEXT_COLOR, pad=2)

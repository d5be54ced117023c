"""One pair of images under any mixer: what it shows for some lam, and what the labels get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from automix_mm.mixing import Mixer, Pair, one_hot
from automix_mm.models.classifiers import MomentumClassifier

from .style import TEXT_COLOR, new_figure, save_figure

#: Inches: width of an image, of the spaces between images and behind the pair, of the margin.
CELL, SPACE, GAP, MARGIN = 0.95, 0.06, 0.42, 0.08
#: Inches: height of the text above and below an image; of the caption, height of a line and width
#: of a letter.
ABOVE, BELOW, LINE, LETTER = 0.2, 0.22, 0.15, 0.055


@dataclass(frozen=True)
class MixRow:
    """One mixer on one pair, for L values of lam.

    Attributes:
        name: What stands beside the row.
        mixed: Mixed images, (L, H, W, C) with C of 1 or 3, uint8, RGB.
        weights: Label weight of the own image in each, in [0, 1].
    """

    name: str
    mixed: np.ndarray
    weights: Sequence[float]


@dataclass(frozen=True)
class MixGrid:
    """A pair under several mixers.

    Attributes:
        own: Own image, (H, W, C) with C of 1 or 3, uint8, RGB.
        partner: Partner image of the same shape.
        lams: The L values of lam, weight of the own image, that the mixers were asked for.
        rows: What each mixer made of them.
    """

    own: np.ndarray
    partner: np.ndarray
    lams: Sequence[float]
    rows: Sequence[MixRow]

    def __post_init__(self) -> None:
        expected = (len(self.lams), *self.own.shape)
        wrong = [
            f'{row.mixed.shape} with {len(row.weights)} weights ({row.name})'
            for row in self.rows
            if row.mixed.shape != expected or len(row.weights) != len(self.lams)
        ]
        if self.own.shape != self.partner.shape or wrong:
            raise ValueError(
                f'Expected own and partner images of one shape and {len(self.lams)} mixed images '
                f'and weights, got {self.own.shape}, {self.partner.shape} and {wrong}.'
            )


class Network:
    """A classifier in evaluation mode, through whose encoder mixers look at images.

    Args:
        classifier: The classifier; k looks, or q without Momentum.
    """

    def __init__(self, classifier: MomentumClassifier) -> None:
        self.classifier = classifier.eval()
        self.encoder = classifier.q if classifier.k is None else classifier.k

    @property
    def channels(self) -> int:
        """Channels of the images that the network takes."""
        convolutions = (p for p in self.encoder.backbone.parameters() if p.dim() == 4)
        return next(convolutions).shape[1]

    def inputs(self, images: Tensor) -> Tensor:
        """Preprocesses images (N, C, H, W), uint8, RGB, as the data pipeline's are."""
        preprocessor = self.classifier.data_preprocessor
        # What turns images into RGB expects them as OpenCV reads them.
        given = images.flip(1) if preprocessor.to_rgb and images.shape[1] == 3 else images
        return preprocessor(dict(inputs=list(given)))['inputs']

    def images(self, inputs: Tensor, size: Sequence[int]) -> Tensor:
        """Undoes :meth:`inputs`: pixels in 0..255 of the first (H, W) of ``size``, float."""
        preprocessor = self.classifier.data_preprocessor
        inputs = inputs[..., : size[0], : size[1]]  # without padding
        std = getattr(preprocessor, 'std', None)
        return inputs if std is None else inputs * std + preprocessor.mean

    @torch.no_grad()
    def guess(self, inputs: Tensor) -> Tensor:
        """Returns the class that each input seems to be, as target distributions (N, K)."""
        scores = self.classifier(inputs)
        return one_hot(scores.argmax(1), scores.shape[1])


def mix_pair(
    mixer: Mixer,
    images: Tensor,
    lams: Sequence[float],
    seed: int = 0,
    network: Network | None = None,
) -> tuple[np.ndarray, list[float], Any]:
    """Mixes an image with its partner, for each lam with the same other random numbers.

    A mixer that needs labels gets the classes that the network predicts.

    Args:
        mixer: The mixer, in evaluation mode where it has one.
        images: Own image and partner, (2, C, H, W), uint8, RGB.
        lams: Values of lam in [0, 1].
        seed: Seed of all that is random beside lam, such as the place of a box.
        network: What the mixer looks through; mixers of pixels need none.

    Returns:
        Mixed images (L, H, W, C), uint8; the label weight of the own image in each; what was drawn
        last.
    """
    size = images.shape[2:]
    inputs = images.float() if network is None else network.inputs(images)
    seen = None
    if network is not None:
        seen = mixer.look(network.encoder, inputs, network.guess(inputs))
    shown, weights, draw = [], [], None
    for lam in lams:
        generator = torch.Generator().manual_seed(seed)
        pair = Pair(torch.tensor(float(lam)), torch.tensor([1, 0]))
        draw = mixer.place(pair, (inputs.shape[-2], inputs.shape[-1]), generator)
        with torch.no_grad():
            mixed = mixer.mix(inputs, draw, seen)
        shown.append(
            mixed.images[:1] if network is None else network.images(mixed.images, size)[:1]
        )
        weights.append(float(mixed.pair.lam.expand(2)[0]))
    pixels = torch.cat(shown).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).numpy(), weights, draw


def draw_mix_grid(grid: MixGrid, path: str, caption: str = '') -> str:
    """Draws a row for each mixer: own image, partner, then the mixed image for each lam.

    Args:
        grid: The pair and the rows.
        path: Path of the picture to write; the suffix (.png, .svg, .pdf) sets its format.
        caption: Text below the picture, lines divided by newlines.

    Returns:
        The path.
    """
    tall = CELL * grid.own.shape[0] / grid.own.shape[1]
    step = tall + BELOW + SPACE
    width = 2 * MARGIN + GAP + CELL * (2 + len(grid.lams)) + SPACE * (1 + len(grid.lams))
    lines = [part for line in caption.splitlines() for part in wrap(line, int(width / LETTER))]
    height = 2 * MARGIN + ABOVE + step * len(grid.rows) + LINE * len(lines)
    figure = new_figure(width, height)
    for number, row in enumerate(grid.rows):
        bottom = height - MARGIN - ABOVE - tall - step * number
        left = MARGIN
        for column, image in enumerate((grid.own, grid.partner, *row.mixed)):
            if number == 0 or column > 1:
                box = (left / width, bottom / height, CELL / width, tall / height)
                _show(figure.add_axes(box), image, *_texts(grid, row, number, column))
            left += CELL + (GAP if column == 1 else SPACE)
        middle = (MARGIN + 2 * CELL + SPACE + GAP / 2) / width, (bottom + tall / 2) / height
        style: dict[str, Any] = dict(fontsize=9, ha='center', va='center', color=TEXT_COLOR)
        figure.text(*middle, row.name, rotation='vertical', **style)
    corner = MARGIN / width, MARGIN / height
    style = dict(fontsize=7, va='bottom', linespacing=1.3, color=TEXT_COLOR)
    figure.text(*corner, '\n'.join(lines), **style)
    return save_figure(figure, path)


def _texts(grid: MixGrid, row: MixRow, number: int, column: int) -> tuple[str, str]:
    """Returns what stands above and below an image."""
    if column < 2:
        return ('a: own', 'b: partner')[column], ''
    weight = row.weights[column - 2]
    above = f'lam = {grid.lams[column - 2]:g}' if number == 0 else ''
    return above, f'a {weight:.2f}  b {1 - weight:.2f}'


def _show(axes: Axes, image: np.ndarray, above: str, below: str) -> None:
    """Shows (H, W, C) in 0..255 between two lines of text."""
    axes.set_xticks([])
    axes.set_yticks([])
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image, cmap='gray', vmin=0, vmax=255)
    axes.set_title(above, fontsize=8, color=TEXT_COLOR, pad=3)
    axes.set_xlabel(below, fontsize=8, color=TEXT_COLOR, labelpad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)

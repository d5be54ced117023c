"""What a mix block does: its masks and mixes beside linear mixing of the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor

from automix_mm.mixing import Pair
from automix_mm.models.classifiers import MomentumClassifier
from automix_mm.models.mix_blocks import MixBlock

from .mix_drawing import MASK_COLORS
from .style import TEXT_COLOR, new_figure, save_figure

DETAIL_COLORS = 'PuOr_r'


@dataclass(frozen=True)
class MixedSamples:
    """R pairs of images with the masks that a mix block paints for L values of lam.

    Attributes:
        own: Own images, (R, H, W, C) with C of 1 or 3, uint8, RGB.
        partner: Partner images of the same shape.
        lams: The L values of lam, weight of the own image.
        masks: Weight of the own image at each pixel, (R, L, H, W), in [0, 1].
    """

    own: np.ndarray
    partner: np.ndarray
    lams: Sequence[float]
    masks: np.ndarray

    def __post_init__(self) -> None:
        expected = (len(self.own), len(self.lams), *self.own.shape[1:3])
        if self.own.shape != self.partner.shape or self.masks.shape != expected:
            raise ValueError(
                'Expected own and partner images (R, H, W, C) and masks (R, L, H, W), got '
                f'{self.own.shape}, {self.partner.shape} and {self.masks.shape} for '
                f'{len(self.lams)} values of lam.'
            )

    def mix(self, row: int, column: int) -> np.ndarray:
        """Mixes a pair by its mask.

        Args:
            row: Number of the pair.
            column: Number of the lam.

        Returns:
            The mix in 0..255, (H, W, C) float.
        """
        return self._blend(row, self.masks[row, column, ..., None])

    def linear(self, row: int, column: int) -> np.ndarray:
        """Mixes a pair linearly, as Mixup does.

        Args:
            row: Number of the pair.
            column: Number of the lam.

        Returns:
            The mix in 0..255, (H, W, C) float.
        """
        return self._blend(row, np.float64(self.lams[column]))

    @property
    def largest_deviation(self) -> float:
        """Largest distance of a mask's pixel from the mean of its mask, at least 0.01."""
        return max(float(np.abs(self.masks - self.masks.mean((2, 3), keepdims=True)).max()), 0.01)

    def _blend(self, row: int, weight: np.ndarray | np.float64) -> np.ndarray:
        return weight * self.own[row] + (1 - weight) * self.partner[row]


@torch.no_grad()
def paint_samples(
    classifier: MomentumClassifier, own: Tensor, partner: Tensor, lams: Sequence[float]
) -> MixedSamples:
    """Lets the mix block of a trained classifier paint masks, in evaluation mode.

    Args:
        classifier: The trained classifier.
        own: Own images (R, C, H, W), uint8, channels in the order that the data pipeline delivers.
        partner: Partner images of the same shape.
        lams: Values of lam in [0, 1].

    Returns:
        The pairs with their masks.

    Raises:
        ValueError: If the images are not uint8 or of different shapes.
    """
    if own.dtype != torch.uint8 or own.shape != partner.shape or own.dim() != 4:
        raise ValueError(
            'Expected own and partner images (R, C, H, W) uint8 of one shape, got '
            f'{tuple(own.shape)} {own.dtype} and {tuple(partner.shape)} {partner.dtype}.'
        )
    was_training = classifier.training
    classifier.eval()
    images = torch.cat([own, partner])  # (2R, C, H, W)
    inputs = classifier.data_preprocessor(dict(inputs=list(images)))['inputs']
    judge = classifier.encoders.get('k', classifier.q)
    block = cast(MixBlock, classifier.mixer)
    features = judge.features(inputs, block.feature_stage)
    index = torch.arange(len(images), device=inputs.device).roll(len(own))
    size = (inputs.shape[-2], inputs.shape[-1])
    masks = [
        block(features, Pair(inputs.new_full((len(images),), lam), index), size) for lam in lams
    ]
    classifier.train(was_training)
    return MixedSamples(
        own=own.permute(0, 2, 3, 1).cpu().numpy(),
        partner=partner.permute(0, 2, 3, 1).cpu().numpy(),
        lams=tuple(lams),
        masks=torch.cat(masks, 1)[: len(own)].float().cpu().numpy(),
    )


def draw_mixed_samples(samples: MixedSamples, path: str, title: str = '') -> str:
    """Draws a row for each pair: own image, partner, then mask, its mix and the linear mix.

    Masks are shown twice: on a scale from 0 to 1, where the mean below each can be compared with
    the lam above it, and as deviation from that mean, which shows what the mask follows inside
    the image. Either scale is the same for all masks. Grey images are drawn dark on light.

    Args:
        samples: Pairs and masks.
        path: Path of the PNG to write.
        title: Line above the picture.

    Returns:
        The path.
    """
    rows, groups = len(samples.own), len(samples.lams)
    figure = new_figure(2.6 + 3.4 * groups, 1.1 + 1.05 * rows)
    height = figure.get_figheight()
    top, bottom = 1 - 0.95 / height, 0.25 / height
    # A narrow spare column before each group keeps the groups apart.
    ratios = [1, 1] + [0.3, 1, 1, 1, 1] * groups
    cells = figure.subplots(
        rows,
        len(ratios),
        squeeze=False,
        width_ratios=ratios,
        gridspec_kw=dict(left=0.01, right=0.91, top=top, bottom=bottom, wspace=0.06, hspace=0.3),
    )
    detail = Normalize(-samples.largest_deviation, samples.largest_deviation)
    for row in range(rows):
        _draw_pair(cells[row], samples, row, detail)
    _name_columns(cells[0], samples.lams)
    middle = (top + bottom) / 2
    for low, high, norm, colors, label in (
        (middle + 0.04, top, Normalize(0, 1), MASK_COLORS, 'mask: weight of own'),
        (bottom, middle - 0.04, detail, DETAIL_COLORS, 'mask - its mean'),
    ):
        bar = figure.colorbar(
            ScalarMappable(norm, colors), cax=figure.add_axes((0.922, low, 0.011, high - low))
        )
        bar.set_label(label, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / height, va='top')
    return save_figure(figure, path)


def _draw_pair(cells: np.ndarray, samples: MixedSamples, row: int, detail: Normalize) -> None:
    """Fills one row of axes, (2 + 5L,), with a pair."""
    for axes in cells:
        axes.set_xticks([])
        axes.set_yticks([])
    _show_image(cells[0], samples.own[row])
    _show_image(cells[1], samples.partner[row])
    for group in range(len(samples.lams)):
        spare, whole, deviation, automix, mixup = cells[2 + 5 * group : 7 + 5 * group]
        spare.set_visible(False)
        mask = samples.masks[row, group]
        whole.imshow(mask, cmap=MASK_COLORS, vmin=0, vmax=1)
        whole.set_xlabel(f'mean {mask.mean():.2f}', fontsize=8, color=TEXT_COLOR, labelpad=2)
        deviation.imshow(mask - mask.mean(), cmap=DETAIL_COLORS, norm=detail)
        deviation.set_xlabel(f'std {mask.std():.3f}', fontsize=8, color=TEXT_COLOR, labelpad=2)
        _show_image(automix, samples.mix(row, group))
        _show_image(mixup, samples.linear(row, group))


def _name_columns(cells: np.ndarray, lams: Sequence[float]) -> None:
    """Writes the headings above the first row of axes, (2 + 5L,)."""
    names = ['own', 'partner'] + ['', 'mask', 'detail', 'AutoMix', 'Mixup'] * len(lams)
    for axes, name in zip(cells, names, strict=True):
        axes.set_title(name, fontsize=9, color=TEXT_COLOR, pad=4)
    for group, lam in enumerate(lams):
        cells[4 + 5 * group].annotate(
            f'lam = {lam:g}',
            (1.03, 1),  # between the second and the third of the four
            xycoords='axes fraction',
            xytext=(0, 19),
            textcoords='offset points',
            ha='center',
            fontsize=10,
            fontweight='bold',
        )


def _show_image(axes: Axes, image: np.ndarray) -> None:
    """Shows (H, W, C) in 0..255; one channel dark on light, three as RGB."""
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap='gray_r', vmin=0, vmax=255)
    else:
        axes.imshow(np.clip(image / 255, 0, 1))

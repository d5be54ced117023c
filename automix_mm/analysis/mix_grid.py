"""Pairs of images under any mixer: masks and mixes for some lam, and what the labels get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from automix_mm.batch_augments import BatchAugment
from automix_mm.mixing import Mixed, Mixer, Pair
from automix_mm.models import ManifoldMix, MixBlock

from .mix_network import Network


@dataclass(frozen=True)
class MixRow:
    """One mixer on one pair, for L values of lam.

    Attributes:
        name: What stands beside the row.
        mixed: Mixed images, (L, H, W, C) with C of 1 or 3, uint8, RGB.
        weights: Label weight of the own image in each, in [0, 1].
        masks: Weight of the own image at each pixel, (L, H, W), in [0, 1].
    """

    name: str
    mixed: np.ndarray
    weights: Sequence[float]
    masks: np.ndarray


@dataclass(frozen=True)
class MixGrid:
    """A pair under several mixers.

    Attributes:
        own: Own image, (H, W, C) with C of 1 or 3, uint8, RGB.
        partner: Partner image of the same shape.
        lams: The L values of lam, weight of the own image, that the mixers were asked for.
        rows: What each mixer made of them.
        names: Names of the two images.
    """

    own: np.ndarray
    partner: np.ndarray
    lams: Sequence[float]
    rows: Sequence[MixRow]
    names: tuple[str, str] = ('', '')

    def __post_init__(self) -> None:
        expected = (len(self.lams), *self.own.shape)
        wrong = [
            f'{row.mixed.shape}, {row.masks.shape} with {len(row.weights)} weights ({row.name})'
            for row in self.rows
            if row.mixed.shape != expected
            or row.masks.shape != expected[:3]
            or len(row.weights) != len(self.lams)
        ]
        if self.own.shape != self.partner.shape or wrong:
            raise ValueError(
                f'Expected own and partner images of one shape and {len(self.lams)} mixed images, '
                f'masks and weights, got {self.own.shape}, {self.partner.shape} and {wrong}.'
            )


def shown_mixer(mixer: Mixer) -> tuple[Mixer, str]:
    """Returns what can be shown of a mixer, and how it is called there.

    Args:
        mixer: Any mixer; of ManifoldMix only the input layer has a picture.
    """
    if isinstance(mixer, ManifoldMix):
        return ManifoldMix(layers=('input',)), 'ManifoldMix\n(input layer)'
    return mixer, 'AutoMix' if isinstance(mixer, MixBlock) else type(mixer).__name__


def looks(kind: type[Mixer]) -> bool:
    """Tells whether a mixer looks at the images through a network, as far as it is shown.

    Args:
        kind: Its class.
    """
    return not issubclass(kind, (BatchAugment, ManifoldMix))


def mix_row(
    name: str,
    mixer: Mixer,
    images: Tensor,
    lams: Sequence[float],
    seed: int = 0,
    network: Network | None = None,
) -> MixRow:
    """Mixes an image with its partner, for each lam with the same other random numbers.

    A mixer that needs labels gets the classes that the network predicts.

    Args:
        name: Name of the row.
        mixer: The mixer, in evaluation mode where it has one.
        images: Own image and partner, (2, C, H, W), uint8, RGB.
        lams: Values of lam in [0, 1].
        seed: Seed of all that is random beside lam, such as the place of a box.
        network: What the mixer looks through, in evaluation mode; mixers of pixels need none.

    Returns:
        The row.
    """
    size = images.shape[2:]
    inputs = images.float() if network is None else network.inputs(images)
    seen = None
    if network is not None:
        seen = mixer.look(network.encoder, inputs, network.guess(inputs))
    partner = torch.tensor([1, 0], device=inputs.device)
    shown, masks, weights = [], [], []
    for lam in lams:
        generator = torch.Generator(inputs.device).manual_seed(seed)
        pair = Pair(torch.tensor(float(lam), device=inputs.device), partner)
        draw = mixer.place(pair, (inputs.shape[-2], inputs.shape[-1]), generator)
        with torch.no_grad():
            mixed = mixer.mix(inputs, draw, seen)
            mask = _mask(mixer, inputs, draw, seen, mixed)
        shown.append(
            mixed.images[:1] if network is None else network.images(mixed.images, size)[:1]
        )
        masks.append(mask[0, 0, : size[0], : size[1]])
        weights.append(float(mixed.pair.lam.expand(2)[0]))
    blocks = getattr(draw, 'grid', None) if lams else None
    pixels = torch.cat(shown).round().clamp(0, 255).to(torch.uint8)
    return MixRow(
        f'{name}\n({blocks}x{blocks} blocks)' if blocks else name,
        pixels.permute(0, 2, 3, 1).cpu().numpy(),
        weights,
        torch.stack(masks).float().cpu().numpy(),
    )


def mix_grid(
    mixers: Sequence[tuple[str, Mixer, Network | None]],
    images: Tensor,
    lams: Sequence[float],
    seed: int = 0,
    names: tuple[str, str] = ('', ''),
) -> MixGrid:
    """Mixes a pair by several mixers; see :func:`mix_row`.

    Args:
        mixers: Name of the row, mixer, and what a mixer that needs it looks through.
        images: Own image and partner, (2, C, H, W), uint8, RGB.
        lams: Values of lam in [0, 1].
        seed: Seed of all that is random beside lam.
        names: Names of the two images.

    Returns:
        The rows and the pair.
    """
    rows = [
        mix_row(name, mixer, images, lams, seed, network if looks(type(mixer)) else None)
        for name, mixer, network in mixers
    ]
    own, partner = images.permute(0, 2, 3, 1).numpy()
    return MixGrid(own, partner, lams, rows, names)


def _mask(mixer: Mixer, inputs: Tensor, draw: Any, seen: Any, mixed: Mixed) -> Tensor:
    """Returns the weight of the own image at each pixel, (1, 1, H, W).

    Mixers without a mask get it measured: by how much does the mix become brighter with the own
    image? Nothing that they draw or look for in the partner depends on that.
    """
    if mixed.mask is not None:
        return mixed.mask[:1]
    brighter = inputs.clone()
    brighter[0] += 1
    change = mixer.mix(brighter, draw, seen).images[:1] - mixed.images[:1]
    return change.mean(1, keepdim=True).round(decimals=3).clamp(0, 1)

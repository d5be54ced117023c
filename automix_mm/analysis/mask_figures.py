"""Do masks of a mix block follow lam and the objects? Figures over many pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from automix_mm.mixing import Pair
from automix_mm.mixing.attention import similarity

from .attention import watch
from .mix_network import Network

#: Cells of the feature map by which images are continued where its border is moved outwards.
RIM = 2


@dataclass(frozen=True)
class Painted:
    """What a mix block has painted for N pairs at one lam.

    Attributes:
        mask: Weight of the own image at each pixel, (N, H, W), in [0, 1].
        content: Content of each cell, (N, h, w).
        attended: Mean weight over all positions with which a cell is attended to, (N, h, w); a
            map sums to 1.
    """

    mask: Tensor
    content: Tensor
    attended: Tensor


@torch.no_grad()
def look(network: Network, images: Tensor) -> Tensor:
    """Returns what a mix block is given.

    Args:
        network: Network with a mix block.
        images: Images (N, C, H, W), uint8, RGB.

    Returns:
        Feature map (N, C', h, w).
    """
    return network.classifier.mixer.look(network.encoder, network.inputs(images), images)


def look_reflected(network: Network, images: Tensor, cells: Sequence[int]) -> Tensor:
    """Looks at images that are continued by their reflection, and leaves out the cells outside.

    The block then sees no cell beside the encoder's zero padding.

    Args:
        network: Network with a mix block.
        images: Images (N, C, H, W), uint8, RGB; H and W are multiples of h and w.
        cells: Height and width (h, w) of the feature map.

    Returns:
        Feature map (N, C', h, w).
    """
    high, wide = cells
    tall, broad = RIM * images.shape[2] // high, RIM * images.shape[3] // wide
    continued = F.pad(images.float(), [broad, broad, tall, tall], 'reflect').to(images.dtype)
    features = look(network, continued)  # (N, C', h + 2 RIM, w + 2 RIM)
    return features[:, :, RIM : RIM + high, RIM : RIM + wide].contiguous()


@torch.no_grad()
def paint(
    network: Network, own: Tensor, partner: Tensor, lam: float, size: tuple[int, int]
) -> Painted:
    """Paints the masks of a batch of pairs.

    Args:
        network: Network with a mix block.
        own: Feature maps of the own images, (N, C', h, w).
        partner: Those of their partners, of the same shape.
        lam: Weight of the own images in [0, 1].
        size: Size (H, W) of the masks.

    Returns:
        Masks, content and attention.
    """
    num = len(own)
    pair = Pair(torch.tensor(float(lam)), torch.arange(2 * num).roll(num))
    features = torch.cat([own, partner])  # (2N, C', h, w)
    query, key, content, mask = watch(network.classifier.mixer, features, pair, size)
    rows = similarity(*(x[:num].flatten(2).transpose(1, 2) for x in (query, key)))  # (N, hw, hw)
    attended = rows.mean(1).view_as(content[:num, 0])
    return Painted(mask[:num, 0], content[:num, 0], attended)


def follow_lam(masks: Sequence[Tensor], lams: Sequence[float]) -> dict[str, float | list[float]]:
    """Tells how the mean of a mask follows lam.

    Args:
        masks: Masks (N, H, W) of the same pairs for each lam.
        lams: Values of lam.

    Returns:
        For each ``lam``: ``mean`` of the masks' means, their standard deviation ``among_pairs``
        and the mean standard deviation ``inside`` a mask. For all: ``correlation`` of a mask's mean
        with lam, and ``rising``: share of the steps to the next lam in which a pair's mean grows.
    """
    means = torch.stack([mask.mean((1, 2)) for mask in masks]).double().numpy()  # (L, N)
    repeated = np.repeat(lams, means.shape[1])
    return dict(
        lam=list(lams),
        mean=means.mean(1).tolist(),
        among_pairs=means.std(1).tolist(),
        inside=[float(mask.std((1, 2)).mean()) for mask in masks],
        correlation=float(np.corrcoef(means.ravel(), repeated)[0, 1]),
        rising=float((np.diff(means, axis=0) > 0).mean()),
    )


def border_and_inner(painted: Painted) -> dict[str, list[float]]:
    """Compares the cells at the border of the feature map with those inside.

    Args:
        painted: What was painted.

    Returns:
        [border, inner] means of ``mask``, ``content`` and of ``attended`` as a multiple of an even
        share.
    """
    high, wide = painted.content.shape[1:]
    border = torch.ones(high, wide, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    mask = F.adaptive_avg_pool2d(painted.mask, (high, wide))
    maps = dict(mask=mask, content=painted.content, attended=painted.attended * high * wide)
    return {
        name: [float(values[:, border].mean()), float(values[:, ~border].mean())]
        for name, values in maps.items()
    }


def inside_and_outside(masks: Tensor, boxes: Tensor) -> dict[str, float]:
    """Compares a mask inside objects with the mask beside them.

    Args:
        masks: Masks (N, H, W).
        boxes: Which pixels are inside an object's box, (N, H, W), bool; both kinds in each image.

    Returns:
        ``difference`` of the means inside and outside, averaged over the images; ``error``: its
        standard error; ``higher``: share of images with the higher mean inside.
    """
    inside = (masks * boxes).sum((1, 2)) / boxes.sum((1, 2))
    outside = (masks * ~boxes).sum((1, 2)) / (~boxes).sum((1, 2))
    difference = (inside - outside).double()
    return dict(
        difference=float(difference.mean()),
        error=float(difference.std() / len(difference) ** 0.5),
        higher=float((difference > 0).double().mean()),
    )

"""Boxes: where a part of the partner is pasted over the own image."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .blending import take
from .pairs import Pair


class BoxDraw(NamedTuple):
    """A drawn pair and the box that the partner fills.

    Attributes:
        pair: lam is the effective weight of the own image: the share of it that stays visible.
        box: Rows [top, bottom) and columns [left, right) as (top, left, bottom, right), long; (4,)
            for one box in the whole batch or (N, 4) for a box per sample.
    """

    pair: Pair
    box: Tensor


def clipped_box(
    center_y: Tensor, center_x: Tensor, height: Tensor, width: Tensor, size: tuple[int, int]
) -> Tensor:
    """Return boxes around centres, clipped at the borders of the image.

    A box reaches half its side, rounded down, to either side of its centre, so an odd side loses
    a pixel (Yun et al., 2019, arXiv 1905.04899, as published by its authors). A side as long as
    the image, which only lam 0 asks for, covers it wherever the centre is.

    Args:
        center_y (Tensor): Row of the centre in [0, H), long, 0-dim or (N,).
        center_x (Tensor): Column of the centre in [0, W), as ``center_y``.
        height (Tensor): Height before clipping in pixels, as ``center_y``.
        width (Tensor): Width before clipping in pixels, as ``center_y``.
        size (tuple[int, int]): Image size (H, W).

    Returns:
        Tensor: (top, left, bottom, right), long (4,) or (N, 4), half-open.
    """
    center = torch.stack((center_y, center_x), dim=-1)
    return box_around(center, torch.stack((height, width), dim=-1), size)


def box_around(center: Tensor, sides: Tensor, size: tuple[int, int]) -> Tensor:
    """Do what :func:`clipped_box` does; centre and sides are (row, column), long (..., 2)."""
    # Both axes at once: at the size of CIFAR the number of operators is what a draw costs.
    ends = image_ends(size, center.device)
    half = torch.where(sides == ends, ends, sides // 2)
    return torch.cat(((center - half).clamp(min=0), torch.minimum(center + half, ends)), dim=-1)


@lru_cache(maxsize=64)
def image_ends(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return (H, W), long (2,); kept, since a copy from the host would stop a device."""
    return torch.tensor(size, device=device)


def box_lam(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the share of an image of ``size`` (H, W) outside its box, float32, 0-dim or (N,)."""
    total = size[0] * size[1]
    # Integers are divided once, so a box over the whole image leaves exactly 0.
    return (total - (box[..., 2:] - box[..., :2]).prod(-1)) / total


def in_box(box: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which pixels of an image of ``size`` (H, W) lie in the box: bool (N or 1, 1, H, W)."""
    top, left, bottom, right = box.reshape(-1, 4, 1).unbind(1)  # (N, 1) each
    y, x = (torch.arange(length, device=box.device) for length in size)
    rows, columns = (y >= top) & (y < bottom), (x >= left) & (x < right)  # (N, H), (N, W)
    return (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)  # (N, 1, H, W)


def paste(images: Tensor, partner: Tensor, box: Tensor) -> Tensor:
    """Return the images with the partner's pixels inside the box, at the same place.

    Args:
        images (Tensor): Images (N, C, H, W); left untouched.
        partner (Tensor): Index of each sample's second image, long (N,).
        box (Tensor): (top, left, bottom, right), long (4,) or (N, 4), on the images' device.

    Returns:
        Tensor: Mixed images (N, C, H, W).
    """
    if box.device.type != 'cpu' or box.dim() > 1:
        return paste_masked(images, partner, box)
    top, left, bottom, right = box.tolist()
    mixed = images.clone()
    shown, patch = (each[:, :, top:bottom, left:right] for each in (mixed, images))
    if images.requires_grad:
        shown.copy_(patch.index_select(0, partner))
    else:  # without a copy in between
        torch.index_select(patch, 0, partner, out=shown)
    return mixed


def paste_masked(images: Tensor, partner: Tensor, box: Tensor) -> Tensor:
    """Do what :func:`paste` does without reading the box, for which a device would have to stop."""
    inside = in_box(box, (images.shape[-2], images.shape[-1]))
    return torch.where(inside, take(images, partner), images)

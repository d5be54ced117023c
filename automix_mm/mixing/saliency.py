"""Where an image catches the eye: fine-grained static saliency of a whole batch."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

# Reach of the six surrounds in pixels, those of OpenCV's StaticSaliencyFineGrained.
_REACHES = (12, 24, 48, 28, 56, 112)
# As many pixels at a time keep the sums over their surrounds in a processor's cache.
_CPU_PIXELS = 1 << 17
# Up to this side length, products with small matrices beat many small operators.
_SMALL = 64
_RGB_TO_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


@torch.no_grad()
def fine_grained_saliency(images: Tensor) -> Tensor:
    """Return the fine-grained static saliency (Montabone and Soto, 2010) of each image.

    A pixel is salient when it differs from the mean of its surround. The details are those of
    OpenCV's ``StaticSaliencyFineGrained``: grey values, smoothed twice by the 3x3 binomial filter;
    six square surrounds of 2r x 2r pixels for a reach r of 12 to 112, cut at the borders, without
    the pixel itself; the parts by which the pixel is brighter (on) and darker (off), each summed
    over the surrounds and divided by its largest sum in the image; on + off.

    OpenCV rounds to 8 bits at each step, which needs grey values from 0 to 255. Nothing is rounded
    here, so the result stays the same when an image is multiplied by a number above 0 or a
    constant is added to a channel. Normalised images therefore give the saliency of the picture
    behind them, exactly for equal deviations of the channels and nearly so for those of CIFAR and
    ImageNet, which weigh the colours a few percent differently.

    Args:
        images (Tensor): Images (N, C, H, W) of any float type, RGB where C is 3; other channels
            count alike.

    Returns:
        Tensor: Saliency (N, H, W), float32, not negative; the largest on-part and the largest
            off-part of an image are 1 each. All 0 for an image without contrast.
    """
    with torch.autocast(images.device.type, enabled=False):  # half precision moves the maximum
        grey = _smooth(_to_grey(images))
        count = max(_CPU_PIXELS // max(grey[0].numel(), 1), 1) if grey.is_cpu else len(grey)
        if len(grey) <= count:
            return _saliency(grey)
        return torch.cat([_saliency(part) for part in grey.split(count)])


def most_salient(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Return row and column of the largest value of each map, the first in reading order.

    Ties are the rule: the brightest and the darkest spot of an image both have saliency 1.

    Args:
        saliency (Tensor): Maps (N, H, W).

    Returns:
        tuple[Tensor, Tensor]: Row and column, long (N,) each.
    """
    width = saliency.shape[-1]
    flat = saliency.flatten(1)
    # argmax leaves open which of several it returns; the smallest index does not.
    index = torch.arange(flat.shape[1], device=flat.device)
    first = torch.where(flat == flat.amax(1, keepdim=True), index, flat.shape[1]).amin(1)
    return first // width, first % width


class _Windows(NamedTuple):
    """The S distinct surrounds of all pixels of an image size.

    Attributes:
        reaches: Reach of each surround in columns.
        bottom: Last row + 1 of each surround at each pixel's row, long (S * H,).
        top: First row, as ``bottom``.
        own: What a pixel's value counts in its contrast to each surround, (S, H, W).
        around: What the sum over the surround, the pixel included, counts, (S, H, W).
        rows: Of small images, ones where a row lies in the surround of a pixel's row, (S, H, H).
        columns: The same for columns, transposed, (S, W, W).
    """

    reaches: tuple[int, ...]
    bottom: Tensor
    top: Tensor
    own: Tensor
    around: Tensor
    rows: Tensor | None
    columns: Tensor | None


@lru_cache(maxsize=8)
def _windows(height: int, width: int, device: torch.device) -> _Windows:
    # A surround that covers the image from everywhere needs to be summed only once.
    cut = [(min(reach, height), min(reach, width)) for reach in _REACHES]
    reaches = tuple(dict.fromkeys(cut))
    bounds, own, around, rows, columns = [], [], [], [], []
    for reach_y, reach_x in reaches:
        top, bottom = _span(height, reach_y)
        left, right = _span(width, reach_x)
        bounds.append(torch.stack([bottom, top]))
        rows.append(_covers(top, bottom))
        columns.append(_covers(left, right).mT)
        share = 1 / (torch.outer(bottom - top, right - left) - 1).clamp(min=1)
        # grey - (sum - grey) / (area - 1), as many times as this surround counts.
        times = cut.count((reach_y, reach_x))
        own.append(times * (1 + share))
        around.append(-times * share)
    bottom, top = torch.cat(bounds, 1).to(device)
    return _Windows(
        tuple(reach for _, reach in reaches),
        bottom,
        top,
        torch.stack(own).to(device),
        torch.stack(around).to(device),
        torch.stack(rows).to(device) if max(height, width) <= _SMALL else None,
        torch.stack(columns).to(device) if max(height, width) <= _SMALL else None,
    )


def _covers(begin: Tensor, end: Tensor) -> Tensor:
    """Return ones where position j lies in [begin, end) of i, float32 (length, length)."""
    index = torch.arange(len(begin))
    return ((index >= begin.unsqueeze(1)) & (index < end.unsqueeze(1))).float()


def _span(length: int, reach: int) -> tuple[Tensor, Tensor]:
    """Return begin and end of [i - reach + 1, i + reach + 1) cut to [0, length) for each i."""
    index = torch.arange(length)
    return (index - reach + 1).clamp(min=0), (index + reach + 1).clamp(max=length)


def _saliency(grey: Tensor) -> Tensor:
    """Return the saliency (N, H, W) of smoothed grey values (N, H, W)."""
    windows = _windows(grey.shape[1], grey.shape[2], grey.device)
    sums = _window_sums(grey, windows)  # (N, S, H, W)
    contrast = sums.mul_(windows.around).addcmul_(grey.unsqueeze(1), windows.own)
    on = contrast.clamp(min=0).sum(1)
    off = contrast.clamp_(max=0).sum(1)
    # Without contrast nothing is divided by zero.
    tiny = torch.finfo(grey.dtype).tiny
    on.div_(on.amax((1, 2), keepdim=True).clamp_(min=tiny))
    return on.add_(off.div_(off.amin((1, 2), keepdim=True).clamp_(max=-tiny)))


def _window_sums(grey: Tensor, windows: _Windows) -> Tensor:
    """Sum (N, H, W) over the surrounds of each pixel: (N, S, H, W)."""
    if windows.rows is not None and windows.columns is not None:
        return windows.rows @ grey.unsqueeze(1) @ windows.columns
    num, height, width = grey.shape
    integral = grey.new_zeros(num, height + 1, width + 1)
    torch.cumsum(grey.cumsum(1), 2, out=integral[:, 1:, 1:])
    strips = integral.index_select(1, windows.bottom) - integral.index_select(1, windows.top)
    strips = strips.unflatten(1, (-1, height))  # (N, S, H, W + 1)
    sums = grey.new_empty(num, len(windows.reaches), height, width)
    for index, reach in enumerate(windows.reaches):
        strip, out = strips[:, index], sums[:, index]
        # Ranges of columns are copied far faster than single ones are looked up.
        out[..., width - reach :] = strip[..., width:]
        if reach < width:
            out[..., : width - reach] = strip[..., reach + 1 :]
            out[..., reach - 1 :] -= strip[..., : width - reach + 1]
    return sums


def _to_grey(images: Tensor) -> Tensor:
    """Return grey values (N, H, W), float32, less those of the first pixel."""
    images = images.float()
    if images.shape[1] == 3:
        red, green, blue = _RGB_TO_GREY
        grey = images[:, 0] * red
        grey.add_(images[:, 1], alpha=green).add_(images[:, 2], alpha=blue)
    else:
        grey = images.mean(1)
    # Large offsets would cost precision in the sums; without contrast exact zeros remain.
    return grey - grey[:, :1, :1]


def _smooth(grey: Tensor) -> Tensor:
    """Apply the 3x3 binomial filter twice, borders mirrored without repetition, 256 times."""
    if max(grey.shape[1:]) <= _SMALL:
        rows, columns = (_binomial(length, grey.device) for length in grey.shape[1:])
        return rows @ grey @ columns.mT
    for axis in (1, 2):
        grey = grey.index_select(axis, _mirrored(grey.shape[axis], grey.device))
        for _ in range(4):
            length = grey.shape[axis] - 1
            grey = grey.narrow(axis, 0, length) + grey.narrow(axis, 1, length)
    return grey


@lru_cache(maxsize=32)
def _mirrored(length: int, device: torch.device) -> Tensor:
    return _mirror(length).to(device)


def _mirror(length: int) -> Tensor:
    """Return the positions that stand in for -2 ... length + 1, long (length + 4,)."""
    period = max(2 * (length - 1), 1)
    index = torch.arange(-2, length + 2) % period
    return torch.minimum(index, period - index).clamp(max=length - 1)


@lru_cache(maxsize=32)
def _binomial(length: int, device: torch.device) -> Tensor:
    """Return the filter (1, 4, 6, 4, 1) along an axis with mirrored borders, (length, length)."""
    matrix = torch.zeros(length, length)
    for shift, weight in enumerate((1.0, 4.0, 6.0, 4.0, 1.0)):
        at = _mirror(length)[shift : shift + length]
        matrix[torch.arange(length), at] += weight
    return matrix.to(device)

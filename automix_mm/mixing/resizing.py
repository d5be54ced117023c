"""Pasting of a whole partner, shrunk into a box."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .blending import take
from .boxes import in_box

#: How a partner may be shrunk.
INTERPOLATIONS = ('nearest', 'bilinear')

#: Up to as many numbers per patch, one scatter for the batch is faster than a copy per sample.
_SCATTERED = 8192


def paste_shrunk(images: Tensor, partner: Tensor, box: Tensor, interpolation: str) -> Tensor:
    """Return the images with the whole partner shrunk into the box.

    Args:
        images (Tensor): Images (N, C, H, W); left untouched.
        partner (Tensor): Index of each sample's second image, long (N,).
        box (Tensor): (top, left, bottom, right), long (4,) or (N, 4), on the images' device; an
            empty box leaves its image alone.
        interpolation (str): 'nearest' or 'bilinear'.

    Returns:
        Tensor: Mixed images (N, C, H, W).
    """
    # Writing into parts of an image is not for autograd, and reading a box not for a device.
    if box.device.type != 'cpu' or images.requires_grad:
        return paste_shrunk_masked(images, partner, box, interpolation)
    places = box.reshape(-1, 4).tolist()
    sizes = {(bottom - top, right - left) for top, left, bottom, right in places}
    if len(sizes) > 1:
        return paste_shrunk_masked(images, partner, box, interpolation)
    ((height, width),) = sizes
    mixed = images.clone()
    if not (height and width):
        return mixed
    patches = shrink(images, (height, width), interpolation).index_select(0, partner)
    if len(places) == 1:
        top, left, bottom, right = places[0]
        mixed[:, :, top:bottom, left:right] = patches
    elif patches[0].numel() > _SCATTERED:
        boxes = zip(mixed.unbind(), places, strict=True)
        views = [image[:, y:bottom, x:right] for image, (y, x, bottom, right) in boxes]
        torch._foreach_copy_(views, patches.unbind())
    else:
        _scatter(mixed, patches, box)
    return mixed


def _scatter(images: Tensor, patches: Tensor, box: Tensor) -> None:
    """Write patches (N, C, h, w) into the boxes of dense images, all by one operator."""
    strides = images.stride()
    axes = zip(patches.shape[1:], strides[1:], strict=True)
    channel, row, column = (torch.arange(length) * stride for length, stride in axes)
    inside = channel.view(-1, 1, 1) + row.view(-1, 1) + column  # (C, h, w)
    start = torch.arange(len(images)) * strides[0]  # (N,)
    start = start + box[:, 0] * strides[2] + box[:, 1] * strides[3]
    index = start.unsqueeze(1) + inside.view(1, -1)  # (N, C * h * w)
    images.as_strided((images.numel(),), (1,)).scatter_(0, index.view(-1), patches.reshape(-1))


def shrink(images: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    """Shrink images (N, C, H, W) to ``size`` (h, w); the nearest row i is the own i * H // h."""
    if interpolation != 'nearest':
        return F.interpolate(images, size, mode=interpolation, align_corners=False)
    num, channels, height, width = images.shape
    rows, columns = (
        torch.arange(short, device=images.device) * full // short
        for short, full in zip(size, (height, width), strict=True)
    )
    # Whole rows, then columns of a matrix: several times faster than interpolate on a CPU.
    images = images.index_select(2, rows).reshape(-1, width)  # (N * C * h, W)
    return images.index_select(1, columns).view(num, channels, *size)


def paste_shrunk_masked(images: Tensor, partner: Tensor, box: Tensor, interpolation: str) -> Tensor:
    """Do what :func:`paste_shrunk` does without reading the box.

    The size of the box is unknown to the host then, so every pixel of the image looks up the
    pixel of the partner that would be there.
    """
    other = take(images, partner)
    size = (images.shape[-2], images.shape[-1])
    top, left, bottom, right = box.reshape(-1, 4, 1).unbind(1)  # (N or 1, 1) each
    y, x = (torch.arange(length, device=box.device) for length in size)
    look_up = _nearest if interpolation == 'nearest' else _bilinear
    shrunk = look_up(other, (y - top, x - left), (bottom - top, right - left))
    # The first image decides the memory format of the result.
    return torch.where(in_box(box, size).logical_not(), images, shrunk)


def _nearest(images: Tensor, position: tuple[Tensor, ...], extent: tuple[Tensor, ...]) -> Tensor:
    rows, columns = (
        where.clamp(min=0).minimum((short - 1).clamp(min=0)) * full // short.clamp(min=1)
        for where, short, full in zip(position, extent, images.shape[2:], strict=True)
    )  # (N or 1, H), (N or 1, W)
    source = rows.unsqueeze(2) * images.shape[3] + columns.unsqueeze(1)  # (N or 1, H, W)
    source = source.flatten(1).unsqueeze(1).expand(*images.shape[:2], -1)
    return images.flatten(2).gather(2, source).view(images.shape)


def _bilinear(images: Tensor, position: tuple[Tensor, ...], extent: tuple[Tensor, ...]) -> Tensor:
    # In grid_sample's coordinates the borders of the image are -1 and 1.
    y, x = (
        (2 * where + 1) / short.clamp(min=1) - 1
        for where, short in zip(position, extent, strict=True)
    )  # (N or 1, H), (N or 1, W)
    axes = torch.broadcast_tensors(x.unsqueeze(1), y.unsqueeze(2))  # (N or 1, H, W) each
    grid = torch.stack(axes, dim=-1).expand(len(images), -1, -1, -1)
    wide = torch.promote_types(images.dtype, torch.float32)
    sampled = F.grid_sample(
        images.to(wide), grid.to(wide), 'bilinear', 'border', align_corners=False
    )
    return sampled.to(images.dtype)

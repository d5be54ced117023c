"""Random crop and flip of a whole batch: parameters are drawn first, then applied."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

PADDING_MODES = ('constant', 'edge', 'reflect', 'symmetric')


class Boxes(NamedTuple):
    """One box for each of N images: first row, first column, rows, columns; each long (N,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_below(high: Tensor | int, num: int, generator: torch.Generator) -> Tensor:
    """Draw N integers in [0, high), long (N,) on the generator's device."""
    # float64: in float32 a draw just below 1 would round up to ``high``.
    unit = torch.rand(num, generator=generator, device=generator.device, dtype=torch.float64)
    return (unit * high).long()


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    sizes = (value, value) if isinstance(value, int) else tuple(value)
    if len(sizes) != 2 or min(sizes) < 1:
        raise ValueError(f'{name} must be a size or (height, width), each at least 1, got {value}')
    return sizes[0], sizes[1]


class BatchRandomFlip:
    """Mirror each image left to right with a probability.

    Args:
        prob (float): Probability, in [0, 1].
        direction (str): ``'horizontal'``, the only one.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(self, prob: float, direction: str = 'horizontal') -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be in [0, 1], got {prob}')
        if direction != 'horizontal':
            raise ValueError(f"direction of a batch must be 'horizontal', got {direction!r}")
        self.prob = prob

    def draw(self, num: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Draw which of ``num`` images to mirror, bool (N,)."""
        return torch.rand(num, generator=generator, device=generator.device) < self.prob

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Mirror the images (N, C, H, W) of which ``drawn`` (N,) is true."""
        # Whole images are chosen, not pixels by a mask, which takes ten times as long on a CPU.
        both = torch.cat([images, images.flip(-1)])  # (2N, C, H, W)
        number = torch.arange(len(images), device=images.device)
        return both.index_select(0, number + len(images) * drawn)


class BatchRandomCrop:
    """Pad each image and cut a box of a fixed size out of it, at a place of its own.

    Unlike the host's transform of that name, ``padding_mode`` also holds for ``padding``.

    Args:
        crop_size (int | Sequence[int]): Size of the box, or (height, width).
        padding (int | Sequence[int], optional): Pixels on every side, or (left and right, top and
            bottom), or (left, top, right, bottom).
        pad_val (int): Padding value in 0..255 with ``padding_mode='constant'``.
        padding_mode (str): ``'constant'``, ``'edge'``, ``'reflect'`` (without the border pixel) or
            ``'symmetric'`` (with it).

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_val: int = 0,
        padding_mode: str = 'constant',
    ) -> None:
        if padding_mode not in PADDING_MODES:
            raise ValueError(f'padding_mode must be one of {PADDING_MODES}, got {padding_mode!r}')
        if not isinstance(pad_val, int) or not 0 <= pad_val <= 255:
            raise ValueError(f'pad_val must be an integer in 0..255, got {pad_val!r}')
        sides = (padding or 0,) * 4 if not isinstance(padding, Sequence) else tuple(padding)
        sides = sides * 2 if len(sides) == 2 else sides
        if len(sides) != 4 or min(sides) < 0:
            raise ValueError(f'padding must be 1, 2 or 4 numbers, each 0 or more, got {padding}')
        self.crop_size = _pair(crop_size, 'crop_size')
        self.left, self.top, self.right, self.bottom = sides
        self.pad_val = pad_val
        self.padding_mode = padding_mode

    def draw(self, num: int, size: tuple[int, int], generator: torch.Generator) -> Boxes:
        """Draw boxes in padded images of ``size`` (height, width) before the padding.

        Raises:
            ValueError: If the padded images are smaller than the box.
        """
        padded = (size[0] + self.top + self.bottom, size[1] + self.left + self.right)
        if padded[0] < self.crop_size[0] or padded[1] < self.crop_size[1]:
            raise ValueError(
                f'crop_size {self.crop_size} is larger than the padded images {padded}: '
                'use more padding or a smaller crop'
            )
        spare = [whole - part for whole, part in zip(padded, self.crop_size, strict=True)]
        top, left = (draw_below(count + 1, num, generator) for count in spare)
        height, width = (torch.full_like(top, side) for side in self.crop_size)
        return Boxes(top, left, height, width)

    def apply(self, images: Tensor, drawn: Boxes) -> Tensor:
        """Cut the boxes (N, C, height, width) out of the padded images (N, C, H, W) uint8."""
        padded = self.pad(images)
        windows = padded.unfold(2, self.crop_size[0], 1).unfold(3, self.crop_size[1], 1)
        each = torch.arange(len(images), device=images.device)
        if images.device.type == 'cpu':  # NumPy copies whole rows where torch goes by element
            number, top, left = map(np.asarray, (each, drawn.top, drawn.left))
            return torch.from_numpy(np.asarray(windows)[number, :, top, left])
        return windows[each, :, drawn.top, drawn.left]

    def pad(self, images: Tensor) -> Tensor:
        """Pad images (N, C, H, W) on all sides."""
        sides = (self.left, self.right, self.top, self.bottom)
        if not any(sides):
            return images.contiguous()
        if self.padding_mode == 'constant':
            return torch.nn.functional.pad(images, sides, value=self.pad_val)
        rows = self._sources(images.shape[2], self.top, self.bottom, images.device)
        columns = self._sources(images.shape[3], self.left, self.right, images.device)
        return images.index_select(2, rows).index_select(3, columns)

    def _sources(self, length: int, before: int, after: int, device: torch.device) -> Tensor:
        """Return which pixel each pixel of a padded line repeats, long."""
        inside = 1 if self.padding_mode == 'reflect' else 0
        if self.padding_mode != 'edge' and max(before, after) > length - inside:
            raise ValueError(
                f'padding {max(before, after)} in mode {self.padding_mode!r} needs images of more '
                f'than {max(before, after) - 1 + inside} pixels, got {length}'
            )
        index = torch.arange(-before, length + after, device=device)
        if self.padding_mode == 'edge':
            return index.clamp(0, length - 1)
        index = torch.where(index < 0, -index - 1 + inside, index)
        last = length - 1
        return torch.where(index > last, 2 * last + 1 - inside - index, index)

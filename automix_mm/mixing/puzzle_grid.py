"""Grids of equal blocks: what PuzzleMix cuts images into."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class BlockGrid(NamedTuple):
    """A grid of equal blocks over an image.

    Where the size is no multiple of the block, the blocks of the last row and column stick out.

    Attributes:
        rows: Blocks from top to bottom.
        cols: Blocks from left to right.
        height: Pixels of a block from top to bottom.
        width: Pixels of a block from left to right.
        size: Image size (H, W), at most (rows * height, cols * width).
    """

    rows: int
    cols: int
    height: int
    width: int
    size: tuple[int, int]

    @property
    def side(self) -> float:
        """Blocks per side; of a grid that is not square, the geometric mean."""
        return (self.rows * self.cols) ** 0.5

    def refine(self, height: int, width: int) -> 'BlockGrid':
        """Return the grid of smaller blocks, whose size has to divide that of a block."""
        return BlockGrid(
            self.rows * (self.height // height),
            self.cols * (self.width // width),
            height,
            width,
            self.size,
        )

    def pad(self, images: Tensor) -> Tensor:
        """Repeat the last row and column up to whole blocks: (N, C, H, W) or larger."""
        down, right = self._missing()
        return F.pad(images, (0, right, 0, down), mode='replicate') if down or right else images

    def split(self, images: Tensor) -> Tensor:
        """View images of whole blocks as (N, rows, cols, C, height, width)."""
        blocks = images.unflatten(3, (self.cols, self.width))
        return blocks.unflatten(2, (self.rows, self.height)).permute(0, 2, 4, 1, 3, 5)

    def pool(self, values: Tensor) -> Tensor:
        """Average values (N, 1, H, W) over the blocks, zero outside the image: (N, rows, cols)."""
        down, right = self._missing()
        padded = F.pad(values, (0, right, 0, down)) if down or right else values
        return F.avg_pool2d(padded, (self.height, self.width)).squeeze(1)

    def spread(self, values: Tensor) -> Tensor:
        """Give each pixel of whole blocks its block's value: (N, rows, cols) to (N, 1, ., .)."""
        shape = (len(values), 1, self.rows, self.height, self.cols, self.width)
        return values[:, None, :, None, :, None].expand(shape).flatten(4, 5).flatten(2, 3)

    def crop(self, images: Tensor) -> Tensor:
        """Undo :meth:`pad`."""
        down, right = self._missing()
        if not down and not right:
            return images
        return images[..., : self.size[0], : self.size[1]].contiguous()

    def mean(self, values: Tensor) -> Tensor:
        """Average block values (N, rows, cols) over the pixels of the image: (N,)."""
        down, right = self._missing()
        last_row = values[:, -1:].sum(1, keepdim=True) * down  # (N, 1, cols)
        tall = values.sum(1, keepdim=True) * self.height - last_row
        total = tall.sum((1, 2)) * self.width - tall[..., -1].squeeze(1) * right
        return total / (self.size[0] * self.size[1])

    def _missing(self) -> tuple[int, int]:
        """Pixels by which the blocks stick out, (down, right)."""
        return self.rows * self.height - self.size[0], self.cols * self.width - self.size[1]


def lay_grid(size: tuple[int, int], num: int) -> BlockGrid:
    """Lay about ``num`` x ``num`` blocks over an image, exactly so where ``num`` divides its size.

    Otherwise a block is the smallest whose ``num`` copies reach across the image, and rows or
    columns that would lie outside it are left out.

    Args:
        size (tuple[int, int]): Image size (H, W), any.
        num (int): Blocks per side, at least 1.

    Returns:
        BlockGrid: At most ``num`` rows and columns.
    """
    height, width = -(-size[0] // num), -(-size[1] // num)
    return BlockGrid(-(-size[0] // height), -(-size[1] // width), height, width, size)


def largest_divisor(number: int, most: int) -> int:
    """Return the largest divisor of ``number`` that is at most ``most``."""
    return next(d for d in range(min(number, most), 0, -1) if number % d == 0)

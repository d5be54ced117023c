"""Grids of blocks over images of any size."""

import itertools

import pytest
import torch

from automix_mm.mixing import lay_grid
from automix_mm.mixing.puzzle_grid import largest_divisor

SIZES = [(32, 32), (8, 16), (9, 13), (33, 16), (224, 224), (1, 1), (1, 20), (7, 100)]
EVERY_GRID = pytest.mark.parametrize(
    ('size', 'num'), list(itertools.product(SIZES, (2, 3, 8, 16))), ids=str
)


@pytest.mark.parametrize('num', [2, 4, 8, 16])
@pytest.mark.parametrize('size', [(32, 32), (224, 224), (64, 128)])
def test_sizes_that_the_number_divides_get_that_many_blocks(size, num):
    grid = lay_grid(size, num)
    assert grid[:4] == (num, num, size[0] // num, size[1] // num)
    assert grid.side == num


@EVERY_GRID
def test_blocks_cover_the_image_and_none_lies_outside(size, num):
    grid = lay_grid(size, num)
    sides = ((grid.rows, grid.height, size[0]), (grid.cols, grid.width, size[1]))
    for count, length, pixels in sides:
        assert 1 <= count <= num
        assert (count - 1) * length < pixels <= count * length


@EVERY_GRID
def test_pad_and_crop_undo_each_other(size, num):
    grid, images = lay_grid(size, num), torch.randn(2, 3, *size)
    padded = grid.pad(images)
    assert padded.shape[2:] == (grid.rows * grid.height, grid.cols * grid.width)
    assert torch.equal(grid.crop(padded), images)
    assert torch.equal(padded[..., -1, -1], images[..., -1, -1])


def test_an_image_of_whole_blocks_is_not_copied():
    grid, images = lay_grid((8, 8), 4), torch.randn(2, 3, 8, 8)
    assert grid.pad(images) is images and grid.crop(images) is images


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_split_shows_each_block(layout):
    grid = lay_grid((6, 8), 2)
    images = torch.randn(2, 3, 6, 8).contiguous(memory_format=layout)
    blocks = grid.split(images)
    assert blocks.shape == (2, 2, 2, 3, 3, 4)
    assert torch.equal(blocks[1, 0, 1], images[1, :, :3, 4:])
    blocks[0, 1, 0] = 7  # a view
    assert (images[0, :, 3:, :4] == 7).all()


@EVERY_GRID
def test_pool_keeps_the_sum_and_mean_weighs_by_pixels(size, num):
    grid, values = lay_grid(size, num), torch.rand(2, 1, *size, dtype=torch.float64)
    pooled = grid.pool(values)
    assert pooled.shape == (2, grid.rows, grid.cols)
    total = pooled.sum((1, 2)) * grid.height * grid.width
    torch.testing.assert_close(total, values.sum((1, 2, 3)))
    blocks = torch.rand(2, grid.rows, grid.cols, dtype=torch.float64)
    pixels = grid.crop(grid.spread(blocks))
    assert pixels.shape == (2, 1, *size)
    torch.testing.assert_close(grid.mean(blocks), pixels.mean((1, 2, 3)))


def test_spread_repeats_each_value_over_its_block():
    grid = lay_grid((4, 6), 2)
    pixels = grid.spread(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))[0, 0]
    rows = [[1.0] * 3 + [2.0] * 3] * 2 + [[3.0] * 3 + [4.0] * 3] * 2
    assert pixels.tolist() == rows


def test_refine_makes_smaller_blocks_of_the_same_image():
    grid = lay_grid((16, 24), 2)
    assert grid.refine(4, 3)[:4] == (4, 8, 4, 3)
    assert grid.refine(4, 3).size == grid.size


@pytest.mark.parametrize(
    ('number', 'most', 'found'),
    [(14, 4, 2), (28, 4, 4), (16, 4, 4), (2, 4, 2), (7, 4, 1), (3, 9, 3)],
)
def test_largest_divisor(number, most, found):
    assert largest_divisor(number, most) == found

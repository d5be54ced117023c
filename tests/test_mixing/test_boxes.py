"""Boxes against loops over every pixel, and the two ways to paste against each other."""

import itertools

import pytest
import torch

from automix_mm.mixing import box_lam, clipped_box, in_box, paste, paste_masked
from tests.test_models.test_host_sync import Reads

SIZES = [(6, 6), (5, 8), (1, 7), (7, 1)]


def every_box(size):
    """All boxes in an image of this size, empty ones included, long (M, 4)."""
    spans = [
        [(low, high) for low in range(end + 1) for high in range(low, end + 1)] for end in size
    ]
    boxes = [(y[0], x[0], y[1], x[1]) for y, x in itertools.product(*spans)]
    return torch.tensor(boxes)


def random_boxes(num, size, seed=0):
    boxes = every_box(size)
    order = torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))
    return boxes[order[:num]]


@pytest.mark.parametrize('size', SIZES)
def test_clipped_box_reaches_half_its_side_and_stays_inside(size):
    for y, x in itertools.product(*map(range, size)):
        for height, width in itertools.product(*map(range, size)):
            sides = (y, x, height, width)
            box = clipped_box(*map(torch.tensor, sides), size).tolist()
            rows = [r for r in range(size[0]) if y - height // 2 <= r < y + height // 2]
            columns = [c for c in range(size[1]) if x - width // 2 <= c < x + width // 2]
            assert [r for r in range(size[0]) if box[0] <= r < box[2]] == rows
            assert [c for c in range(size[1]) if box[1] <= c < box[3]] == columns
            assert 0 <= box[0] <= box[2] <= size[0] and 0 <= box[1] <= box[3] <= size[1]


@pytest.mark.parametrize('size', SIZES)
def test_a_box_as_large_as_the_image_covers_it(size):
    for y, x in itertools.product(*map(range, size)):
        box = clipped_box(*map(torch.tensor, (y, x, *size)), size)
        assert box.tolist() == [0, 0, *size]
        assert box_lam(box, size) == 0


def test_boxes_for_every_sample_are_those_one_by_one():
    size, generator = (9, 14), torch.Generator().manual_seed(0)
    ends = (*size, *size)
    sides = [torch.randint(end, (50,), generator=generator) for end in ends]
    boxes = clipped_box(*sides, size)
    assert boxes.shape == (50, 4)
    for i, box in enumerate(boxes):
        assert torch.equal(box, clipped_box(*(side[i] for side in sides), size))
    assert torch.equal(box_lam(boxes, size), torch.stack([box_lam(box, size) for box in boxes]))


@pytest.mark.parametrize('size', SIZES)
def test_lam_is_the_share_of_pixels_outside(size):
    boxes = every_box(size)
    inside = in_box(boxes, size)
    assert inside.shape == (len(boxes), 1, *size) and inside.dtype == torch.bool
    for box, pixels in zip(boxes.tolist(), inside[:, 0], strict=True):
        expected = torch.zeros(size, dtype=torch.bool)
        expected[box[0] : box[2], box[1] : box[3]] = True
        assert torch.equal(pixels, expected)
    lam = box_lam(boxes, size)
    assert lam.dtype == torch.float32
    outside = (~inside).sum((1, 2, 3)).float() / (size[0] * size[1])
    assert torch.equal(lam, outside)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', SIZES)
def test_both_ways_to_paste_agree(size, layout, dtype):
    images = torch.randn(5, 3, *size).to(dtype).contiguous(memory_format=layout)
    partner = torch.tensor([3, 0, 4, 1, 2])
    for box in random_boxes(30, size):
        expected = images.clone()
        top, left, bottom, right = box.tolist()
        for i, other in enumerate(partner.tolist()):
            shown = images[other, :, top:bottom, left:right]
            expected[i, :, top:bottom, left:right] = shown
        for way in (paste, paste_masked):
            mixed = way(images, partner, box)
            assert mixed.dtype == dtype and torch.equal(mixed, expected)
            assert mixed.is_contiguous(memory_format=layout)


def test_a_box_per_sample_goes_to_its_sample():
    images, partner = torch.randn(6, 3, 5, 8), torch.randperm(6)
    boxes = random_boxes(6, (5, 8), seed=1)
    mixed = paste(images, partner, boxes)
    for i, box in enumerate(boxes):
        assert torch.equal(mixed[i], paste(images, partner, box)[i])


def test_pasting_leaves_its_inputs_alone():
    images, partner, box = torch.randn(4, 3, 5, 8), torch.randperm(4), torch.tensor([1, 2, 4, 7])
    for way in (paste, paste_masked):
        copies = [t.clone() for t in (images, partner, box)]
        mixed = way(images, partner, box)
        mixed.add_(1)
        for now, copy in zip((images, partner, box), copies, strict=True):
            assert torch.equal(now, copy)


@pytest.mark.parametrize('way', [paste, paste_masked])
def test_pixels_pass_their_gradient_to_the_image_they_are_of(way):
    images = torch.randn(3, 2, 4, 5, requires_grad=True)
    partner, box = torch.tensor([1, 2, 0]), torch.tensor([1, 2, 4, 5])
    weight = torch.randn(3, 2, 4, 5)
    (way(images, partner, box) * weight).sum().backward()
    inside = in_box(box, (4, 5))
    expected = weight * ~inside + (weight * inside)[partner.argsort()]
    torch.testing.assert_close(images.grad, expected)


def test_the_masked_way_reads_no_value(monkeypatch):
    """A device would have to stop for it; the other way shows that the check sees it."""
    images, partner, box = torch.randn(4, 3, 5, 8), torch.randperm(4), torch.tensor([1, 2, 4, 7])
    with Reads(monkeypatch) as reads:
        paste_masked(images, partner, box)
        assert reads.found == []
        paste(images, partner, box)
        assert reads.found == ['tolist']

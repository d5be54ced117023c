"""Pasting of shrunk partners: every way against a loop, and against torch's own interpolation."""

import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import resizing
from automix_mm.mixing.resizing import paste_shrunk, paste_shrunk_masked, shrink
from tests.test_models.test_host_sync import Reads

SIZE = (12, 9)


def boxes_of(height, width, num, seed=0):
    """Boxes of one size somewhere in the image, long (N, 4)."""
    generator = torch.Generator().manual_seed(seed)
    top = torch.randint(SIZE[0] - height + 1, (num,), generator=generator)
    left = torch.randint(SIZE[1] - width + 1, (num,), generator=generator)
    return torch.stack([top, left, top + height, left + width], 1)


def by_loop(images, partner, boxes):
    """The nearest pixel of the partner, one by one."""
    mixed = images.clone()
    for i, (top, left, bottom, right) in enumerate(boxes.expand(len(images), 4).tolist()):
        for y in range(top, bottom):
            for x in range(left, right):
                row = (y - top) * SIZE[0] // (bottom - top)
                column = (x - left) * SIZE[1] // (right - left)
                mixed[i, :, y, x] = images[partner[i], :, row, column]
    return mixed


@pytest.mark.parametrize('size', [(12, 8), (6, 4), (5, 7), (1, 3), (1, 1)])
def test_shrinking_is_torchs_interpolation(size):
    """Exactly the same pixels as nearest, wherever a float holds the ratio of the sizes."""
    images = torch.randn(2, 3, 12, 8)
    assert torch.equal(shrink(images, size, 'nearest'), F.interpolate(images, size))
    expected = F.interpolate(images, size, mode='bilinear', align_corners=False)
    assert torch.equal(shrink(images, size, 'bilinear'), expected)


@pytest.mark.parametrize('scattered', [0, 1 << 30], ids=['copies', 'scatter'])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('extent', [(4, 3), (7, 5), (1, 1), (12, 9), (0, 0), (1, 9)])
def test_every_way_agrees_with_a_loop(extent, layout, scattered, monkeypatch):
    monkeypatch.setattr(resizing, '_SCATTERED', scattered)
    images = torch.randn(5, 3, *SIZE).contiguous(memory_format=layout)
    partner = torch.tensor([3, 0, 4, 1, 2])
    own_places = boxes_of(*extent, 5)
    for boxes in (own_places, own_places[0]):
        expected = by_loop(images, partner, boxes)
        for way in (paste_shrunk, paste_shrunk_masked):
            mixed = way(images, partner, boxes, 'nearest')
            assert torch.equal(mixed, expected)
            assert mixed.is_contiguous(memory_format=layout)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_bilinear_ways_agree(dtype):
    images, partner = torch.randn(5, 3, *SIZE).to(dtype), torch.randperm(5)
    tolerance = dict(rtol=0, atol=1e-5 if dtype == torch.float32 else 0.02)
    for extent in [(4, 3), (7, 5), (1, 1), (0, 0)]:
        for boxes in (boxes_of(*extent, 5), boxes_of(*extent, 1)[0]):
            one = paste_shrunk(images, partner, boxes, 'bilinear')
            other = paste_shrunk_masked(images, partner, boxes, 'bilinear')
            assert one.dtype == other.dtype == dtype
            torch.testing.assert_close(one, other, **tolerance)
    whole = torch.tensor([0, 0, *SIZE])
    assert torch.equal(paste_shrunk(images, partner, whole, 'bilinear'), images[partner])


def test_boxes_may_differ_in_size():
    images, partner = torch.randn(4, 3, *SIZE), torch.randperm(4)
    boxes = torch.cat([boxes_of(*extent, 1) for extent in [(4, 3), (7, 5), (0, 0), (12, 9)]])
    expected = by_loop(images, partner, boxes)
    assert torch.equal(paste_shrunk(images, partner, boxes, 'nearest'), expected)


def test_pasting_leaves_its_inputs_alone():
    images, partner, boxes = torch.randn(4, 3, *SIZE), torch.randperm(4), boxes_of(4, 3, 4)
    for way in (paste_shrunk, paste_shrunk_masked):
        copies = [t.clone() for t in (images, partner, boxes)]
        way(images, partner, boxes, 'nearest').add_(1)
        for now, copy in zip((images, partner, boxes), copies, strict=True):
            assert torch.equal(now, copy)


@pytest.mark.parametrize('interpolation', resizing.INTERPOLATIONS)
def test_pixels_pass_their_gradient_to_the_image_they_are_of(interpolation):
    """In sum, an image gets what it shows of itself, and what its partners show of it shrunk."""
    images, partner = torch.randn(4, 3, *SIZE, requires_grad=True), torch.tensor([2, 0, 3, 1])
    paste_shrunk(images, partner, boxes_of(4, 3, 4), interpolation).sum().backward()
    pixels = SIZE[0] * SIZE[1]
    torch.testing.assert_close(images.grad.sum((1, 2, 3)), torch.full((4,), 3.0 * pixels))
    assert (images.grad.min() >= 0) and (images.grad.max() > 1)


@pytest.mark.parametrize('interpolation', resizing.INTERPOLATIONS)
def test_the_masked_way_reads_no_value(interpolation, monkeypatch):
    images, partner, boxes = torch.randn(4, 3, *SIZE), torch.randperm(4), boxes_of(4, 3, 4)
    with Reads(monkeypatch) as reads:
        paste_shrunk_masked(images, partner, boxes, interpolation)
        assert reads.found == []
        paste_shrunk(images, partner, boxes, interpolation)
        assert reads.found != []

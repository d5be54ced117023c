"""Blending of images and labels, by hand and by meaning."""

import pytest
import torch

from automix_mm.mixing import Pair, blend, mix_targets, one_hot


def test_blend_two_by_two_by_hand():
    images = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]], [[[10.0, 20.0], [30.0, 40.0]]]])
    mask = torch.tensor([[[[1.0, 0.0], [0.5, 0.25]]], [[[0.0, 1.0], [0.1, 0.75]]]])
    mixed = blend(images, torch.tensor([1, 0]), mask)
    expected = torch.tensor(
        [
            [[[1.0, 20.0], [0.5 * 3 + 0.5 * 30, 0.25 * 4 + 0.75 * 40]]],
            [[[1.0, 20.0], [0.1 * 30 + 0.9 * 3, 0.75 * 40 + 0.25 * 4]]],
        ]
    )
    torch.testing.assert_close(mixed, expected)


def test_every_channel_gets_the_same_mask():
    images = torch.randn(3, 3, 4, 5)
    mask = torch.rand(3, 1, 4, 5)
    partner = torch.tensor([2, 0, 1])
    expected = torch.stack(
        [mask[i, 0] * images[i] + (1 - mask[i, 0]) * images[partner[i]] for i in range(3)]
    )
    torch.testing.assert_close(blend(images, partner, mask), expected)


@pytest.mark.parametrize('lam', [torch.tensor(0.3), torch.tensor([0.1, 0.9, 0.5, 0.25, 0.6])])
def test_lam_is_the_weight_of_the_own_image_and_the_own_label(lam):
    """Image i is constant i and has label i: the mean pixel is then the mean label."""
    labels = torch.arange(5)
    images = labels.float().view(-1, 1, 1, 1).expand(5, 3, 4, 4).contiguous()
    pair = Pair(lam, torch.tensor([3, 0, 4, 1, 2]))
    mixed = blend(images, pair.partner, pair.lam_as(images))
    targets = mix_targets(labels, pair, 5)
    torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ labels.float())
    own = lam.expand(5)
    torch.testing.assert_close(mixed[:, 0, 0, 0], own * labels + (1 - own) * pair.partner)


def test_inputs_are_left_untouched():
    images, mask = torch.randn(4, 3, 2, 2), torch.rand(4, 1, 2, 2)
    partner, labels = torch.tensor([1, 2, 3, 0]), torch.tensor([0, 1, 2, 3])
    pair = Pair(torch.rand(4), partner)
    copies = [t.clone() for t in (images, mask, partner, labels, pair.lam)]
    blend(images, partner, mask)
    mix_targets(labels, pair, 4)
    one_hot(labels, 4)
    for now, copy in zip((images, mask, partner, labels, pair.lam), copies, strict=True):
        assert torch.equal(now, copy)


def test_ends_of_the_mask_show_one_image_only():
    images, partner = torch.randn(3, 3, 4, 4), torch.tensor([1, 2, 0])
    torch.testing.assert_close(blend(images, partner, torch.ones(3, 1, 4, 4)), images)
    assert torch.equal(blend(images, partner, torch.zeros(3, 1, 4, 4)), images[partner])


def test_gradient_of_the_mask_is_the_difference_of_the_images():
    images = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    mask = torch.rand(2, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    partner = torch.tensor([1, 0])
    weight = torch.randn_like(images)
    (blend(images, partner, mask) * weight).sum().backward()
    expected = ((images - images[partner]) * weight).sum(1, keepdim=True)
    torch.testing.assert_close(mask.grad, expected)


def test_blend_keeps_the_dtype_of_the_images():
    images = torch.randn(2, 3, 2, 2).bfloat16()
    assert blend(images, torch.tensor([1, 0]), torch.rand(2, 1, 2, 2)).dtype == torch.bfloat16


def test_targets_by_hand():
    pair = Pair(torch.tensor([0.7, 0.2, 1.0]), torch.tensor([1, 2, 0]))
    targets = mix_targets(torch.tensor([2, 0, 2]), pair, 3)
    expected = torch.tensor([[0.3, 0.0, 0.7], [0.2, 0.0, 0.8], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(targets, expected)


def test_equal_labels_add_up():
    pair = Pair(torch.tensor(0.4), torch.tensor([1, 0]))
    torch.testing.assert_close(
        mix_targets(torch.tensor([1, 1]), pair, 2), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    )


def test_labels_out_of_range_are_clamped_not_an_index_error():
    rows = one_hot(torch.tensor([-1, 7, 2]), 4)
    assert rows.argmax(1).tolist() == [0, 3, 2]
    assert torch.equal(rows.sum(1), torch.ones(3))

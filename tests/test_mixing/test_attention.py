"""Fused one-channel attention against the plain softmax that it stands for."""

import pytest
import torch

from automix_mm.mixing import attend, similarity


def plain(query, key, content):
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    return (scores.softmax(-1) @ content.unsqueeze(-1)).squeeze(-1)


def inputs(num=3, length=7, width=4, dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (num, length, width), (num, length, width), (num, length)
    return [torch.randn(s, dtype=dtype, requires_grad=True) for s in shapes]


@pytest.mark.parametrize('width', [1, 3, 4, 32])
@pytest.mark.parametrize('length', [1, 4, 7, 65])
def test_values_and_gradients_are_those_of_plain_attention(length, width):
    tensors = inputs(length=length, width=width)
    weight = torch.randn(3, length, dtype=torch.float64)
    own, expected = attend(*tensors), plain(*tensors)
    torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-14)
    grads = torch.autograd.grad((own * weight).sum(), tensors)
    reference = torch.autograd.grad((expected * weight).sum(), tensors)
    for grad, ref in zip(grads, reference, strict=True):
        torch.testing.assert_close(grad, ref, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(('length', 'width'), [(5, 3), (4, 1), (1, 4)])
def test_gradcheck(length, width):
    assert torch.autograd.gradcheck(attend, inputs(length=length, width=width))


def test_by_hand():
    """Two positions, one channel: softmax of (0, 0) and of (2 ln 2, 0)."""
    query = torch.tensor([[[0.0], [2.0]]])
    key = torch.tensor([[[torch.tensor(2.0).log().item()], [0.0]]])
    content = torch.tensor([[1.0, 6.0]])
    torch.testing.assert_close(attend(query, key, content), torch.tensor([[3.5, 0.8 + 1.2]]))
    weights = torch.tensor([[[0.5, 0.5], [0.8, 0.2]]])
    torch.testing.assert_close(similarity(query, key), weights)


def test_similarity_rows_sum_to_one_and_reproduce_attend():
    query, key, content = inputs()
    weights = similarity(query, key)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 7, dtype=torch.float64))
    average = (weights @ content.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(average, attend(query, key, content))


def test_scores_far_beyond_exp_do_not_overflow():
    query, key, content = (t.detach().float() * 1e4 for t in inputs())
    query.requires_grad_()
    out = attend(query, key, content)
    assert out.isfinite().all()
    out.sum().backward()
    assert query.grad.isfinite().all()


def test_no_square_matrix_is_kept_for_backward():
    num, length, width = 2, 64, 8
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        attend(*inputs(num, length, width))
    assert max(saved) < num * length * length  # 64 positions, 8 channels
    assert sum(saved) <= 8 * num * length * width

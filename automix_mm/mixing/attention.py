"""Attention with a one-channel content, without the (L, L) matrix kept in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of the (L, L) matrices alive at once: what a CPU's cache holds, what a GPU likes.
_CHUNK = {'cpu': 1 << 21, 'cuda': 1 << 27}


def _chunks(num: int, length: int, device: torch.device) -> list[slice]:
    step = max(1, _CHUNK.get(device.type, _CHUNK['cuda']) // (length * length))
    return [slice(start, start + step) for start in range(0, num, step)]


class _Attend(torch.autograd.Function):
    """Softmax attention whose rows are computed again in the backward pass.

    With P the row softmax of Q K^T, out = P v and g the gradient of out, the gradient of the
    scores is P_ij g_i (v_j - out_i): one matrix product of inner size 2 and one in-place multiply.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, content: Tensor) -> Tensor:
        out = torch.empty_like(content)
        for part in _chunks(*content.shape, content.device):
            weights = torch.bmm(query[part], key[part].transpose(1, 2)).softmax(-1)  # (n, L, L)
            out[part] = torch.bmm(weights, content[part].unsqueeze(2)).squeeze(2)  # (n, L)
        ctx.save_for_backward(query, key, content, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, content, out = ctx.saved_tensors
        grads = torch.empty_like(query), torch.empty_like(key), torch.empty_like(content)
        for part in _chunks(*content.shape, content.device):
            q, k, v, g = query[part], key[part], content[part], grad[part]
            weights = torch.bmm(q, k.transpose(1, 2)).softmax(-1)  # (n, L, L)
            grads[2][part] = torch.bmm(g.unsqueeze(1), weights).squeeze(1)  # (n, L)
            left = torch.stack([g, -g * out[part]], 2)  # (n, L, 2)
            right = torch.stack([v, torch.ones_like(v)], 1)  # (n, 2, L)
            scores = torch.bmm(left, right).mul_(weights)  # (n, L, L), gradient of Q K^T
            grads[0][part] = torch.bmm(scores, k)
            grads[1][part] = torch.bmm(scores.transpose(1, 2), q)
        return grads


def attend(query: Tensor, key: Tensor, content: Tensor) -> Tensor:
    """Average a one-channel content by softmax similarity (paper, Eq. 7 and 8).

    The similarity is computed in pieces and again in the backward pass, so that memory stays
    linear in the number of positions L.

    Args:
        query (Tensor): Projected own features (N, L, D).
        key (Tensor): Projected partner features (N, L, D).
        content (Tensor): Content of each column position (N, L).

    Returns:
        Tensor: softmax(query key^T / sqrt(D)) content, (N, L).
    """
    return _Attend.apply(query * query.shape[-1] ** -0.5, key, content)


def similarity(query: Tensor, key: Tensor) -> Tensor:
    """Return the whole row softmax of Eq. 7, (N, L, L), for looking at it."""
    return torch.bmm(query * query.shape[-1] ** -0.5, key.transpose(1, 2)).softmax(-1)

"""Attention with a one-channel content, without the (L, L) matrix kept in memory."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(query: Tensor, key: Tensor, content: Tensor) -> Tensor:
    """Average a one-channel content by softmax similarity (paper, Eq. 7 and 8).

    Uses torch's fused attention, whose memory is linear in the number of positions L. The fused
    kernel of a CPU needs a content as wide as the similarity, so the content is padded with zeros.

    Args:
        query (Tensor): Projected own features (N, L, D).
        key (Tensor): Projected partner features (N, L, D).
        content (Tensor): Content of each column position (N, L).

    Returns:
        Tensor: softmax(query key^T / sqrt(D)) content, (N, L).
    """
    # Not F.pad: torch.compile's C++ for padding a gathered content does not compile (torch 2.11).
    value = content.new_zeros(query.shape).select_scatter(content, -1, 0)  # (N, L, D)
    query, key, value = (tensor.unsqueeze(1) for tensor in (query, key, value))  # one head
    return F.scaled_dot_product_attention(query, key, value)[:, 0, :, 0]  # (N, L)


def similarity(query: Tensor, key: Tensor) -> Tensor:
    """Return the whole row softmax of Eq. 7, (N, L, L), for looking at it."""
    return torch.bmm(query * query.shape[-1] ** -0.5, key.transpose(1, 2)).softmax(-1)

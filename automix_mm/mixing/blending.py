"""Blending of images by masks, and of labels by lam."""

import torch
from torch import Tensor

from .pairs import Pair


def blend(images: Tensor, partner: Tensor, mask: Tensor) -> Tensor:
    """Mix each image with its partner (paper, Eq. 2): mask * own + (1 - mask) * partner.

    Without a gradient of the mask, the gathered partners are overwritten in place: one copy and one
    pass. With it, only the difference of the two images is kept for the backward pass.

    Args:
        images (Tensor): Images (N, C, H, W); left untouched.
        partner (Tensor): Index of each sample's second image, long (N,).
        mask (Tensor): Weight of the own image in [0, 1], broadcastable to the images, for
            example (N, 1, H, W) from a mix block or ``pair.lam_as(images)`` for linear mixing.

    Returns:
        Tensor: Mixed images (N, C, H, W) in the images' dtype.
    """
    other, mask = take(images, partner), mask.to(images.dtype)
    if mask.requires_grad:
        return torch.addcmul(other, mask, images - other)
    return other.lerp_(images, mask)


def take(images: Tensor, index: Tensor) -> Tensor:
    """Return ``images[index]`` for a batch and a long (N,), as a copy in the same memory format."""
    # index_select copies whole slices, where indexing goes element by element; it returns the
    # dimensions in the order that it is given.
    if images.dim() == 4 and images.is_contiguous(memory_format=torch.channels_last):
        return images.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return images.index_select(0, index)


def mix_targets(labels: Tensor, pair: Pair, num_classes: int) -> Tensor:
    """Mix hard labels: lam on the own class, 1 - lam on the partner's (paper, 3.1.1).

    Labels outside [0, num_classes) are clamped, since a wrong index would end a CUDA program
    without a message; checking them is the caller's part.

    Args:
        labels (Tensor): Class indices, long (N,).
        pair (Pair): The drawn (lam, partner).
        num_classes (int): Number of classes K.

    Returns:
        Tensor: Target distribution (N, K), float32, rows sum to 1.
    """
    return mix_scores(one_hot(labels, num_classes), pair)


def mix_scores(score: Tensor, pair: Pair) -> Tensor:
    """Mix target distributions (N, K): lam on the own one, 1 - lam on the partner's.

    The host gives its batch augments one-hot rows of integers; those become float32.
    """
    if not score.is_floating_point():
        score = score.float()
    return take(score, pair.partner).lerp_(score, pair.lam_as(score))


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Turn class indices (N,) into float32 rows (N, num_classes) without a host sync."""
    index = labels.clamp(0, num_classes - 1).unsqueeze(1)
    rows = torch.zeros(len(labels), num_classes, device=labels.device)
    return rows.scatter_(1, index, 1.0)

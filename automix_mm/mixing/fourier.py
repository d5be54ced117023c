"""Masks from low-pass noise."""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from .pairs import Pair


class FourierDraw(NamedTuple):
    """A drawn pair and the noise whose highest values show the own image.

    Attributes:
        pair: The drawn (lam, partner).
        noise: Low-pass noise, float32 (1, H, W), or (N, H, W) for a mask per sample.
        shown: Number of pixels of the own image that are shown, long, 0-dim or (N,).
    """

    pair: Pair
    noise: Tensor
    shown: Tensor


def low_pass_noise(
    num: int, size: tuple[int, int], decay_power: float, fixed: bool, generator: torch.Generator
) -> Tensor:
    """Draw Gaussian noise whose amplitudes fall with a power of the frequency.

    The amplitude at frequency f (cycles per pixel) is f^-decay_power, constant below one cycle
    per image (Harris et al., 2020, arXiv 2002.12047, Section 4). Only the order of the values
    matters to a mask, so the largest amplitude is 1 here.

    The program that the authors published does not put real and imaginary parts where they belong:
    it takes the first row of frequencies (none vertical) as the real part, and the second (one
    cycle vertically) as the imaginary part, of a spectrum whose vertical axis is what was the
    horizontal one, and whose two columns are the parts of one number. Such noise varies freely
    along the height, but along the width only by one cycle.

    Args:
        num (int): Number of images M.
        size (tuple[int, int]): Image size (H, W).
        decay_power (float): Exponent of the decay.
        fixed (bool): The spectrum as described; otherwise as published.
        generator (torch.Generator): Source of the noise, on whose device it is made.

    Returns:
        Tensor: Noise (M, H, W), float32.
    """
    device = generator.device
    scale = _amplitudes(tuple(size), decay_power, fixed, device)
    shape = (num, *scale.shape, 2)
    parts = torch.randn(shape, generator=generator, device=device) * scale.unsqueeze(-1)
    spectrum = torch.view_as_complex(parts) if fixed else torch.complex(parts[:, 0], parts[:, 1])
    return torch.fft.irfft2(spectrum, s=size)


@lru_cache(maxsize=64)
def _amplitudes(
    size: tuple[int, int], decay_power: float, fixed: bool, device: torch.device
) -> Tensor:
    """Return the amplitude of each wave that is drawn: (H, W // 2 + 1), or 2 rows as published."""
    width = size[1]
    vertical = torch.fft.fftfreq(size[0], device=device)  # (H,)
    if fixed:
        horizontal = torch.fft.rfftfreq(width, device=device)  # (W // 2 + 1,)
    else:
        vertical = vertical[torch.arange(2, device=device).clamp(max=size[0] - 1)]
        horizontal = torch.fft.fftfreq(width, device=device)[: width // 2 + 1 + width % 2]
    frequency = torch.hypot(vertical.unsqueeze(1), horizontal)
    return (frequency * max(size)).clamp(min=1).pow(-decay_power)


def top_share(noise: Tensor, count: Tensor) -> Tensor:
    """Return which pixels are among the ``count`` highest of their image.

    Args:
        noise (Tensor): Noise (M, H, W).
        count (Tensor): Number of pixels in [0, H * W], long, 0-dim or (M,).

    Returns:
        Tensor: Ones and zeros (M, 1, H, W) of the noise's dtype, exactly ``count`` ones each.
    """
    if noise.device.type != 'cpu' or len(noise) > 1:
        return top_share_sorted(noise, count)
    values, number = noise.reshape(1, -1), int(count)
    # Selecting is ten times faster than sorting, and the rarer side is the faster one to select.
    largest = 2 * number <= values.shape[1]
    number = number if largest else values.shape[1] - number
    index = values.topk(number, largest=largest, sorted=False).indices
    mask = torch.full_like(values, 0.0 if largest else 1.0)
    return mask.scatter_(1, index, 1.0 if largest else 0.0).view(noise.unsqueeze(1).shape)


def top_share_sorted(noise: Tensor, count: Tensor) -> Tensor:
    """Do what :func:`top_share` does without reading the number."""
    order = noise.flatten(1).argsort(dim=1, descending=True)  # (M, H * W)
    rank = torch.arange(order.shape[1], device=noise.device)
    ones = (rank < count.reshape(-1, 1)).to(noise.dtype).expand(order.shape)
    return torch.empty_like(ones).scatter_(1, order, ones).view(noise.unsqueeze(1).shape)

"""FMix: binary masks of low-pass noise."""

import math
from typing import Any

import torch
from torch import Tensor

from automix_mm.mixing import Mixed, Pair, PairSampler, blend
from automix_mm.mixing.fourier import FourierDraw, low_pass_noise, top_share
from automix_mm.registry import BATCH_AUGMENTS, MODELS

from .batch_augment import BatchAugment


@MODELS.register_module()
@BATCH_AUGMENTS.register_module()
class FMix(BatchAugment):
    """Show the own image where low-pass noise is highest (Harris et al., 2020, arXiv 2002.12047).

    The mask is binary; its share of ones is lam, rounded up or down to whole pixels at random.
    The label weight is lam as drawn.

    Args:
        alpha (float): Parameter of Beta(alpha, alpha), above 0.
        decay_power (float): Exponent by which the amplitude falls with the frequency, at least 0.
        fixed (bool): Draw the spectrum as the paper describes it. By default it is that of the
            authors' published program, with which their numbers were made; it mixes up the parts
            of the spectrum (see :func:`automix_mm.mixing.fourier.low_pass_noise`).
        per_sample (bool): A lam and a mask for every sample; the original draws one for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        decay_power: float = 3.0,
        fixed: bool = False,
        per_sample: bool = False,
        prob: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= decay_power < math.inf:
            raise ValueError(f'decay_power must be at least 0 and finite, got {decay_power}')
        self.sampler = PairSampler(alpha, per_sample, prob)
        self.decay_power = float(decay_power)
        self.fixed = fixed

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> FourierDraw:
        """Draw the noise: one for a 0-dim lam, N for lam (N,); see :meth:`Mixer.place`."""
        num = len(pair.partner) if pair.lam.dim() else 1
        noise = low_pass_noise(num, size, self.decay_power, self.fixed, generator)
        exact = pair.lam.double() * (size[0] * size[1])
        up = torch.rand(exact.shape, generator=generator, device=exact.device) < 0.5
        shown = torch.where(up, exact.ceil(), exact.floor()).long()
        return FourierDraw(pair, noise, shown)

    def mix(self, images: Tensor, draw: FourierDraw, seen: Any = None) -> Mixed:
        """Select by the mask; see :meth:`Mixer.mix`."""
        mask = top_share(draw.noise, draw.shown)  # (N or 1, 1, H, W)
        return Mixed(blend(images, draw.pair.partner, mask), draw.pair, mask)

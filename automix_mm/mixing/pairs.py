"""Drawing of pairs: which two images are mixed, and in which ratio."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_MASK64 = (1 << 64) - 1


class Pair(NamedTuple):
    """The drawn (lam, partner) of a batch of N images.

    Attributes:
        lam: Weight of a sample's own image and own label in [0, 1], 0-dim or (N,).
        partner: Index of the second sample for each sample, long (N,).
    """

    lam: Tensor
    partner: Tensor

    def lam_as(self, target: Tensor) -> Tensor:
        """Return ``lam`` as (N, 1, ...) or (1, ...), ready to broadcast against ``target``."""
        lam = self.lam.to(target.dtype)
        return lam.reshape(-1, *[1] * (target.dim() - 1))


class PairSampler:
    """Draws pairs: lam from Beta(alpha, alpha), partners from a random permutation.

    The paper draws one lam per batch and branch (Algorithm 1). The paper's 3.1.1 writes the own
    weight as (1 - lam); Beta(alpha, alpha) is symmetric, so both readings have the same
    distribution. A batch of one image is its own partner with lam 1.

    Args:
        alpha (float): Parameter of the Beta distribution, above 0.
        per_sample (bool): One lam for every sample instead of one for the batch.

    Raises:
        ValueError: If ``alpha`` is not above 0 and finite.
    """

    def __init__(self, alpha: float = 1.0, per_sample: bool = False) -> None:
        if not 0 < alpha < math.inf:
            raise ValueError(f'alpha of Beta(alpha, alpha) must be above 0 and finite, got {alpha}')
        self.alpha = float(alpha)
        self.per_sample = per_sample

    def draw(self, num: int, generator: torch.Generator) -> Pair:
        """Draw a pair for ``num`` images on the generator's device, without a host sync.

        Args:
            num (int): Number of images N.
            generator (torch.Generator): Source of all randomness.

        Returns:
            Pair: lam (N,) or 0-dim float32, partner (N,) long.
        """
        device = generator.device
        partner = torch.randperm(num, generator=generator, device=device)  # (N,)
        if num == 1:
            return Pair(torch.ones((), device=device), partner)
        # A Beta draw is the first share of a two-dimensional Dirichlet draw.
        shape = (num, 2) if self.per_sample else (2,)
        alpha = torch.full(shape, self.alpha, dtype=torch.float64, device=device)
        lam = torch._sample_dirichlet(alpha, generator=generator)[..., 0].float()  # (N,) or ()
        return Pair(lam, partner)

    def __repr__(self) -> str:
        return f'PairSampler(alpha={self.alpha}, per_sample={self.per_sample})'


def stream_seed(*numbers: int) -> int:
    """Hash integers (seed, rank, iteration, ...) into one well mixed 63-bit seed.

    The rounds are those of SplitMix64 (Steele et al., 2014). Draws that are a function of
    (seed, rank, iteration) differ between ranks and survive an interruption without any state.
    """
    state = 0
    for number in numbers:
        state = (state ^ (number & _MASK64)) + 0x9E3779B97F4A7C15 & _MASK64
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK64
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK64
        state ^= state >> 31
    return state >> 1

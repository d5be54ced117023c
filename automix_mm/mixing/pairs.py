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
        prob (float): Share of the batches that are mixed, in [0, 1]; the others have lam 1.

    Raises:
        ValueError: If ``alpha`` is not above 0 and finite, or ``prob`` outside [0, 1].
    """

    def __init__(self, alpha: float = 1.0, per_sample: bool = False, prob: float = 1.0) -> None:
        if not 0 < alpha < math.inf:
            raise ValueError(f'alpha of Beta(alpha, alpha) must be above 0 and finite, got {alpha}')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is a share of the batches in [0, 1], got {prob}')
        self.alpha = float(alpha)
        self.per_sample = per_sample
        self.prob = float(prob)

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
        lam = self.draw_lam((num,) if self.per_sample else (), generator)  # (N,) or ()
        if self.prob < 1:
            coin = torch.rand((), generator=generator, device=device)
            lam = torch.where(coin < self.prob, lam, 1.0)
        return Pair(lam, partner)

    def draw_lam(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw lam, float32 of ``shape`` in [0, 1], on the generator's device."""
        # A Beta draw is the first share of a two-dimensional Dirichlet draw.
        alpha = torch.full((*shape, 2), self.alpha, dtype=torch.float64, device=generator.device)
        return torch._sample_dirichlet(alpha, generator=generator)[..., 0].float()

    def __repr__(self) -> str:
        return f'PairSampler(alpha={self.alpha}, per_sample={self.per_sample}, prob={self.prob})'


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


def draw_int(high: int, generator: torch.Generator) -> int:
    """Draw an integer in [0, high) that steers Python, without waiting for a device.

    On a device it is a function of the generator's seed and offset, which the host knows, so
    something has to be drawn from the generator between two calls.
    """
    if generator.device.type == 'cpu':
        return int(torch.randint(high, (), generator=generator))
    return stream_seed(generator.initial_seed(), generator.get_offset()) % high

"""The energy of PuzzleMix: what it costs to take which share of the own image in each block."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .pairs import Pair
from .puzzle_grid import BlockGrid, largest_divisor


class LabelCosts(NamedTuple):
    """The energy of labelings x (N, R, C) with L labels, R x C blocks.

    Its value is the sum of unary[x] over the blocks and of weight * (x_i - x_j)^2 / (L - 1)^2 over
    neighbours i, j. Label l stands for the share 1 - l / (L - 1) of the own image.

    Attributes:
        unary: Cost of each label (N, R, C, L).
        down: Weight between a block and the one below, (N, R - 1, C), not negative.
        right: Weight between a block and the one to its right, (N, R, C - 1), not negative.
    """

    unary: Tensor
    down: Tensor
    right: Tensor

    def energy(self, labels: Tensor) -> Tensor:
        """Return the energy (N,), float64, of labels (N, R, C), long."""
        share = labels.double() / (self.unary.shape[-1] - 1)
        unary = self.unary.double().gather(-1, labels.unsqueeze(-1))
        down = self.down * (share[:, 1:] - share[:, :-1]) ** 2
        right = self.right * (share[:, :, 1:] - share[:, :, :-1]) ** 2
        return unary.flatten(1).sum(1) + down.flatten(1).sum(1) + right.flatten(1).sum(1)


@dataclass(frozen=True)
class PuzzleEnergy:
    """Weights of the energy (Kim et al., 2020, Eq. 4 and its terms), named as by its authors.

    Attributes:
        n_labels: Shares of the own image that a block can take: 3 is {0, 0.5, 1}. At least 2.
        beta: Weight of equal shares in neighbouring blocks, at least 0.
        gamma: How much of that weight depends on how well the images fit there, in [0, 1].
        eta: Weight of the prior, which draws the mean share to lam, at least 0.
        neigh_size: Images are compared across a border at this resolution in pixels, at least 1.
            Of a block that is no multiple of it, the largest divisor below is taken, as the
            authors set 2 for the blocks of 14 pixels that ImageNet has.

    Raises:
        ValueError: If a weight is outside its range.
    """

    n_labels: int = 3
    beta: float = 1.2
    gamma: float = 0.5
    eta: float = 0.2
    neigh_size: int = 4

    def __post_init__(self) -> None:
        for name, least in (('n_labels', 2), ('neigh_size', 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f'{name} must be an integer of at least {least}, got {value!r}')
        for name, most in (('beta', math.inf), ('gamma', 1), ('eta', math.inf)):
            value = getattr(self, name)
            if not 0 <= value <= most or value == math.inf:
                raise ValueError(f'{name} must be in [0, {most}] and finite, got {value}')

    def costs(
        self, images: Tensor, unit: Tensor, saliency: Tensor, pair: Pair, grid: BlockGrid
    ) -> LabelCosts:
        """Return the costs of the labels for a batch, float32 on the images' device.

        Args:
            images (Tensor): Images of whole blocks (N, C, H, W).
            unit (Tensor): What 1 in an image is on the scale on which pixels are in [0, 1], 0-dim
                or (C,). What pixels are at 0 does not matter: only differences do.
            saliency (Tensor): Share of each block in its image's saliency, (N, R, C).
            pair (Pair): The drawn (lam, partner).
            grid (BlockGrid): R x C blocks.
        """
        beta = self.beta / grid.side / 16
        pixels = self._pool(images, grid) * unit.reshape(-1, 1, 1, 1, 1)  # (N, C, R, h, C, w)
        # What is lost where the block is the partner's, and where it is the own one.
        lost = saliency.clone(), saliency[pair.partner]
        down = _fold(pixels, lost, pair.partner, beta * self.gamma)
        pixels, turned = pixels.permute(0, 1, 4, 5, 2, 3), tuple(cost.mT for cost in lost)
        right = _fold(pixels, turned, pair.partner, beta * self.gamma).mT
        share = torch.linspace(1, 0, self.n_labels, device=images.device)
        unary = share * lost[1].unsqueeze(-1) + (1 - share) * lost[0].unsqueeze(-1)
        prior = self._prior(pair.lam) / (grid.rows * grid.cols)  # (N, L) or (L,)
        unary += prior.reshape(-1, 1, 1, self.n_labels)
        # Below zero only where the pixels are not of [0, 1]: the cut needs weights, not rewards.
        return LabelCosts(unary, (down + beta).clamp_(min=0), (right + beta).clamp_(min=0))

    def _pool(self, images: Tensor, grid: BlockGrid) -> Tensor:
        """Average over squares of neigh_size, then split into blocks: (N, C, R, h, C, w)."""
        size = [largest_divisor(pixels, self.neigh_size) for pixels in (grid.height, grid.width)]
        pixels = F.avg_pool2d(images.float(), size)
        return pixels.unflatten(3, (grid.cols, -1)).unflatten(2, (grid.rows, -1))

    def _prior(self, lam: Tensor) -> Tensor:
        """Return eta * -log Binomial(L - 1, lam) of each label, of shape (*lam, L)."""
        last = self.n_labels - 1
        lam = lam.unsqueeze(-1)
        label = torch.arange(self.n_labels, device=lam.device)
        ways = [float(math.comb(last, i)) for i in range(self.n_labels)]
        chance = lam ** (last - label) * (1 - lam) ** label
        return -self.eta * torch.log(chance * torch.tensor(ways, device=lam.device) + 1e-8)


def _fold(pixels: Tensor, lost: tuple[Tensor, ...], partner: Tensor, weight: float) -> Tensor:
    """Add what depends on one block alone to ``lost``; return the rest, a weight per border.

    Across the border between an upper and a lower block the images differ by d[a][b], with a and
    b telling whose image is above and below: p the partner's, o the own one. This function of two
    shares is split into one function for each block and one of the square of their difference.

    Args:
        pixels (Tensor): Images (N, C, R, h, C, w).
        lost (tuple[Tensor, ...]): Cost of losing the own block and the partner's, (N, R, C) each.
        partner (Tensor): Index of each sample's second image, long (N,).
        weight (float): Weight of the differences.

    Returns:
        Tensor: Weight of the border below each block but the last ones, (N, R - 1, C).
    """
    above, below = pixels[:, :, :-1, -1], pixels[:, :, 1:, 0]  # (N, C, R - 1, C, w)
    half = weight / 2

    def differ(upper: Tensor, lower: Tensor) -> Tensor:
        return (upper - lower).abs_().mean((1, 4)) * half  # (N, R - 1, C)

    oo = differ(above, below)
    pp = oo[partner]
    op, po = differ(above, below[partner]), differ(above[partner], below)
    lost_own, lost_partner = lost
    lost_partner[:, :-1] += op + oo
    lost_own[:, :-1] += po + pp
    lost_partner[:, 1:] += po + oo
    lost_own[:, 1:] += op + pp
    return op + po - oo - pp

"""The transport of PuzzleMix: salient blocks move to where their image is shown."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .puzzle_grid import BlockGrid, largest_divisor

_LAST = (1 << 31) - 1


@dataclass(frozen=True)
class PuzzleTransport:
    """Fields of the transport (Kim et al., 2020, Algorithm 1), named as by its authors.

    Attributes:
        t_eps: Price of a way of one grid side, in shares of the saliency; above 0. A block goes
            no further than its saliency pays for.
        t_size: Blocks of at most this size in pixels are moved, where those of the cut are larger;
            -1 moves the blocks of the cut. Of a block that is no multiple of it, the largest
            divisor below is taken. The authors' commands for CIFAR-100 have 4.
        n_iter: Rounds in which blocks compete for places. None: as many as a grid side has blocks,
            as the authors' code for ImageNet; 1 is what their code for CIFAR amounts to.

    Raises:
        ValueError: If a field is outside its range.
    """

    t_eps: float = 0.8
    t_size: int = -1
    n_iter: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.t_eps < math.inf:
            raise ValueError(f't_eps must be above 0 and finite, got {self.t_eps}')
        if self.t_size != -1 and self.t_size < 1:
            raise ValueError(
                f't_size must be at least 1, or -1 for whole blocks, got {self.t_size}'
            )
        if self.n_iter is not None and self.n_iter < 1:
            raise ValueError(f'n_iter must be at least 1, or None, got {self.n_iter}')

    def grid(self, grid: BlockGrid) -> BlockGrid:
        """Return the grid of the blocks that move, for a grid of the cut."""
        if self.t_size == -1:
            return grid
        return grid.refine(*(largest_divisor(s, self.t_size) for s in (grid.height, grid.width)))

    def plan(self, saliency: Tensor, shown: Tensor) -> Tensor:
        """Say which block each place shows, for a batch at once.

        A block moves to the place where its saliency less the price of the way is largest, among
        the places where its image is shown. The strongest of those who want a place gets it; the
        others try their next best, in the next round. As the places that a block may reach are
        those that its saliency pays for, and the saliency of an image sums to 1, all bids of an
        image are at most about pi * side^2 / t_eps, and no matrix of blocks by places is needed.

        Args:
            saliency (Tensor): Share of each block in its image's saliency, (N, R, C).
            shown (Tensor): Where the image is seen at all, bool (N, R, C).

        Returns:
            Tensor: Index r * C + c of the block of the same image that each place shows, long
            (N, R, C). Places that nothing moves to, or that are not seen, keep their own block.
        """
        places, worth, first, end = self._bids(saliency, shown)
        rounds = self.n_iter or max(saliency.shape[1:])
        best = torch.zeros(saliency.numel(), dtype=torch.long, device=saliency.device)
        turn = first.clone()  # the next bid of each block
        bidders = torch.arange(len(best), device=best.device)
        for _ in range(rounds):
            bidders = bidders[turn[bidders] < end[bidders]]
            if not len(bidders):
                break
            wanted = places[turn[bidders]]
            # One number orders the bids: worth first, of equals the block that comes first. The
            # bits of positive floats are ordered as the floats are.
            bids = (worth[turn[bidders]].view(torch.int32).long() << 31) + (_LAST - bidders)
            before = best[wanted]
            best.scatter_reduce_(0, wanted, bids, 'amax')
            now = best[wanted]
            ousted = _LAST - (before[(before != now) & (before > 0)] & _LAST)
            bidders = torch.cat((bidders[bids != now], ousted)).unique()
            turn[bidders] += 1
        home = torch.arange(len(best), device=best.device)
        source = torch.where(best > 0, _LAST - (best & _LAST), home)
        return (source % saliency[0].numel()).view_as(saliency)

    def _bids(self, saliency: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """List for each block the places that it would go to, the best one first.

        Returns:
            tuple[Tensor, Tensor, Tensor, Tensor]: Places and what they are worth to the block, (E,)
            each, and where the bids of each block begin and end, (N * R * C,) each.
        """
        device, (rows, cols) = saliency.device, saliency.shape[1:]
        dy, dx, price = _ways(rows, cols, self.t_eps, device)
        flat = saliency.flatten()
        counts = torch.searchsorted(price, flat)  # ways that cost less than the saliency
        block = torch.repeat_interleave(counts)  # (E,)
        start = counts.cumsum(0) - counts
        way = torch.arange(len(block), device=device) - start[block]
        y, x = block // cols % rows + dy[way], block % cols + dx[way]
        inside = (y >= 0) & (y < rows) & (x >= 0) & (x < cols)
        block, way = block[inside], way[inside]
        place = block + dy[way] * cols + dx[way]
        seen = shown.flatten()[place]
        block, way, place = block[seen], way[seen], place[seen]
        end = torch.bincount(block, minlength=len(flat)).cumsum(0)
        first = torch.cat((end.new_zeros(1), end[:-1]))
        return place, flat[block] - price[way], first, end


def show_blocks(
    mixed: Tensor, images: Tensor, partner: Tensor, share: Tensor, sources: Tensor, grid: BlockGrid
) -> None:
    """Paint the places of ``mixed`` that show another block than their own.

    Args:
        mixed (Tensor): Images (N, C, H, W), mixed without moving a block; written to.
        images (Tensor): Clean images of whole blocks (N, C, H, W).
        partner (Tensor): Index of each sample's second image, long (N,).
        share (Tensor): Share of the own image at each place, (N, R, C).
        sources (Tensor): Blocks of the own images, then of the partners, that the places show,
            long (2, N, R, C), on any device.
        grid (BlockGrid): R x C blocks.
    """
    home = torch.arange(sources[0, 0].numel(), device=sources.device).view(grid.rows, grid.cols)
    n, r, c = (sources != home).any(0).nonzero(as_tuple=True)
    own, other = sources[:, n, r, c]
    n, r, c, own, other = torch.stack((n, r, c, own, other)).to(images.device)
    blocks = grid.split(images)
    theirs = blocks[partner[n], other // grid.cols, other % grid.cols]  # (E, C, height, width)
    ours = blocks[n, own // grid.cols, own % grid.cols]
    weight = share[n, r, c].to(images.dtype).view(-1, 1, 1, 1)
    grid.split(mixed)[n, r, c] = theirs.lerp_(ours, weight)


def _ways(rows: int, cols: int, eps: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return all ways within a grid and their price, the shortest first, then in reading order."""
    dy = torch.arange(1 - rows, rows, device=device).repeat_interleave(2 * cols - 1)
    dx = torch.arange(1 - cols, cols, device=device).repeat(2 * rows - 1)
    length = dy**2 + dx**2
    order = torch.argsort(length, stable=True)
    price = eps * (length[order].float() / max(rows - 1, cols - 1, 1) ** 2)
    return dy[order], dx[order], price

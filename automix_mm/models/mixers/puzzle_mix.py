"""PuzzleMix: salient blocks of two images, chosen by a graph cut and moved by transport."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from automix_mm.mixing import (
    BlockGrid,
    Mixed,
    Mixer,
    Pair,
    PairSampler,
    PuzzleEnergy,
    PuzzleTransport,
    blend,
    draw_int,
    lay_grid,
    show_blocks,
)
from automix_mm.registry import MODELS

from .puzzle_cut import best_labels

#: What the loss of the saliency is multiplied by, lest fp16 gradients underflow.
_LOSS_SCALE = 1024.0


class PuzzleDraw(NamedTuple):
    """What PuzzleMix draws: a pair, whose lam is only the prior, and blocks per side."""

    pair: Pair
    grid: int


@MODELS.register_module()
class PuzzleMix(Mixer):
    """Mixing of salient blocks (Kim et al., 2020, arXiv 2009.06962).

    Each block of a random grid takes the share of the own image that a graph cut finds: it keeps
    saliency, agrees with neighbours, and draws the mean share to lam. Then the blocks of both
    images move to where their image is shown, so that little saliency is covered. The labels get
    the mean share, per sample. Saliency is the gradient of the mix head's loss.

    Cut and transport run on the host, for all images at once; nothing else does.

    Args:
        alpha (float): Parameter of Beta(alpha, alpha) of the prior lam, above 0.
        per_sample (bool): One lam for every sample; the original draws one for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].
        grids (Sequence[int]): Blocks per side, one of which is drawn per batch; each at least 2.
            See :func:`lay_grid` for images that they do not divide.
        energy (dict, optional): Fields of :class:`PuzzleEnergy`.
        transport (bool | dict): Fields of :class:`PuzzleTransport`; False moves no block.
        std (float | Sequence[float]): The data preprocessor's standard deviation of each channel,
            of pixels in [0, 255].
        train_mode (bool): Take the saliency in the mode that the encoder is in. As the authors,
            it is taken in evaluation mode by default. Running statistics stay as they are.

    Raises:
        ValueError: If a field is outside its range.
    """

    unit: Tensor

    def __init__(
        self,
        alpha: float = 1.0,
        per_sample: bool = False,
        prob: float = 1.0,
        grids: Sequence[int] = (2, 4, 8, 16),
        energy: dict | None = None,
        transport: bool | dict = True,
        std: float | Sequence[float] = (58.395, 57.12, 57.375),
        train_mode: bool = False,
    ) -> None:
        super().__init__()
        self.sampler = PairSampler(alpha, per_sample, prob)
        if not grids or not all(isinstance(num, int) and num >= 2 for num in grids):
            raise ValueError(
                f'grids must be blocks per side, integers of at least 2 such as (2, 4, 8, 16), '
                f'got {grids}'
            )
        self.grids = tuple(grids)
        self.energy = PuzzleEnergy(**(energy or {}))
        fields = {} if isinstance(transport, bool) else transport
        self.transport = None if transport is False else PuzzleTransport(**fields)
        unit = torch.as_tensor(std, dtype=torch.float32) / 255
        if unit.dim() > 1 or not (unit > 0).all():
            raise ValueError(f'std must be a number or one per channel, above 0, got {std}')
        self.register_buffer('unit', unit, persistent=False)
        self.train_mode = train_mode

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> PuzzleDraw:
        """Draw the blocks per side for a given pair; see :meth:`Mixer.place`."""
        return PuzzleDraw(pair, self.grids[draw_int(len(self.grids), generator)])

    @torch.enable_grad()
    def look(self, encoder: Any, images: Tensor, target: Tensor) -> Tensor:
        """Return the saliency: the root mean square over channels of the loss's input gradient.

        Only the input's gradient is computed, and no parameter's ``grad`` or buffer is touched.

        Returns:
            Tensor: Saliency (N, 1, H, W), float32, at least 0, in any unit.
        """
        encoder.watch(images)
        seen = images.detach().requires_grad_()
        with encoder.resting(), _mode(encoder, self.train_mode and encoder.training):
            # A view, as hooks of modules (those that count operations) cannot follow a leaf here.
            loss = encoder.loss(seen.view_as(seen), target, 'mix')
        (slope,) = torch.autograd.grad(loss * _LOSS_SCALE, seen)
        return slope.float().square().mean(1, keepdim=True).sqrt()

    @torch.no_grad()
    def mix(self, images: Tensor, draw: PuzzleDraw, seen: Tensor | None = None) -> Mixed:
        """Mix blocks as ``seen``, the saliency (N, 1, H, W), tells; see :meth:`Mixer.mix`.

        Raises:
            ValueError: If the saliency or the channels of ``std`` do not fit the images.
        """
        seen = self._check(images, seen)
        pair = draw.pair
        grid = lay_grid((images.shape[-2], images.shape[-1]), draw.grid)
        whole = grid.pad(images)
        share = self._choose(whole, seen, pair, grid)  # (N, R, C)
        mask = grid.spread(share)  # (N, 1, H, W)
        mixed = blend(whole, pair.partner, mask)
        if self.transport is not None:
            self._move(mixed, whole, seen, share, pair.partner, grid)
        pair = Pair(grid.mean(share), pair.partner)
        return Mixed(grid.crop(mixed), pair, grid.crop(mask))

    def _choose(self, images: Tensor, saliency: Tensor, pair: Pair, grid: BlockGrid) -> Tensor:
        """Return the share of the own image that each block takes, (N, R, C)."""
        costs = self.energy.costs(images, self.unit, _shares(grid.pool(saliency)), pair, grid)
        share = 1 - best_labels(costs) / (self.energy.n_labels - 1)
        # At 0 and 1 the prior is finite, but lam leaves no choice.
        lam = pair.lam.reshape(-1, 1, 1)
        return torch.where((lam == 0) | (lam == 1), lam, share)

    def _move(
        self,
        mixed: Tensor,
        images: Tensor,
        saliency: Tensor,
        share: Tensor,
        partner: Tensor,
        grid: BlockGrid,
    ) -> None:
        """Paint what the transport moves over ``mixed``, where nothing has moved yet."""
        assert self.transport is not None
        fine = self.transport.grid(grid)
        saliency = _shares(fine.pool(saliency))
        share = share.repeat_interleave(fine.rows // grid.rows, 1)
        share = share.repeat_interleave(fine.cols // grid.cols, 2)
        shown = torch.cat((share > 0, share < 1))
        both = torch.cat((saliency, saliency[partner]))
        sources = self.transport.plan(both.cpu(), shown.cpu()).unflatten(0, (2, -1))
        show_blocks(mixed, images, partner, share, sources, fine)

    def _check(self, images: Tensor, saliency: Tensor | None) -> Tensor:
        """Raise unless the saliency is one of the images; return it in float32."""
        expected = (len(images), 1, *images.shape[2:])
        if saliency is None or saliency.shape != expected:
            got = None if saliency is None else tuple(saliency.shape)
            raise ValueError(
                f'PuzzleMix needs the saliency of the images, {expected}, got {got}: hand on what '
                'look(encoder, images, target) returns'
            )
        if self.unit.numel() not in (1, images.shape[1]):
            raise ValueError(
                f'std must be a number or one per channel of the images, {images.shape[1]}, got '
                f'{self.unit.numel()}: give the std of the data preprocessor'
            )
        return saliency.float()


def _shares(saliency: Tensor) -> Tensor:
    """Scale the saliency of blocks (N, R, C) to a sum of 1; without any, all blocks are equal."""
    total = saliency.sum((1, 2), keepdim=True)
    even = 1 / saliency[0].numel()
    return torch.where((total > 0) & total.isfinite(), saliency / total, even)


@contextmanager
def _mode(module: nn.Module, training: bool) -> Iterator[None]:
    """Set the mode inside the block, whatever the modules do in ``train()``."""
    before = {part: part.training for part in module.modules()}
    if not training:
        for part in before:
            part.training = False
    try:
        yield
    finally:
        for part, mode in before.items():
            part.training = mode

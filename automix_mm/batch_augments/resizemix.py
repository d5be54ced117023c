"""ResizeMix: the whole partner, shrunk, somewhere on the own image."""

from typing import Any

import torch
from torch import Tensor

from automix_mm.mixing import BoxDraw, Mixed, Pair, PairSampler, box_around, box_lam
from automix_mm.mixing.boxes import image_ends
from automix_mm.mixing.resizing import INTERPOLATIONS, paste_shrunk
from automix_mm.registry import BATCH_AUGMENTS, MODELS

from .batch_augment import BatchAugment
from .cutmix import draw_center

_PLACES = ('inside', 'shifted', 'clipped')


class ScaleSampler(PairSampler):
    """Draws pairs whose lam follows from the side scale s of the pasted partner: 1 - s^2.

    Args:
        scale (tuple[float, float]): Range of the uniform side scale, within (0, 1].
        prob (float): Share of the batches that are mixed, in [0, 1].
        alpha (float | None): If given, lam is instead Beta(alpha, alpha) mapped into
            ``lam_range``.
        lam_range (tuple[float, float]): Range of that lam, within [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.1, 0.8),
        prob: float = 1.0,
        alpha: float | None = None,
        lam_range: tuple[float, float] = (0.1, 0.8),
    ) -> None:
        super().__init__(1.0 if alpha is None else alpha, prob=prob)
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f'scale must be a range (low, high) within (0, 1], got {scale}')
        if not 0 <= lam_range[0] <= lam_range[1] <= 1:
            raise ValueError(f'lam_range must be a range (low, high) in [0, 1], got {lam_range}')
        self.uniform = alpha is None
        self.low, self.high = scale if self.uniform else lam_range

    def draw_lam(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Draw lam, float32 of ``shape`` in [0, 1], on the generator's device."""
        if not self.uniform:
            return super().draw_lam(shape, generator) * (self.high - self.low) + self.low
        scale = torch.rand(shape, generator=generator, device=generator.device)
        return 1 - (scale * (self.high - self.low) + self.low) ** 2


@MODELS.register_module()
@BATCH_AUGMENTS.register_module()
class ResizeMix(BatchAugment):
    """Paste the whole partner, shrunk (Qin et al., 2020, arXiv 2012.11101, Section 3.2).

    The sides of the pasted partner are a share of the image's, drawn once for the batch; where it
    lies is drawn for every sample. The label weight is the share of the own image that stays
    visible. ``lam`` and the side scale s are tied by lam = 1 - s^2, so a given pair can be placed.

    Args:
        scale (tuple[float, float]): Range of the uniform side scale, within (0, 1].
        place (str): 'inside': uniform over all places where the partner fits. 'shifted': as the
            authors' program does it, a uniform centre, then shifted until the partner fits, which
            prefers the borders. 'clipped': one box with a uniform centre for the whole batch,
            clipped as CutMix's and then filled, as mmpretrain does it.
        interpolation (str): 'nearest', as the authors, or 'bilinear', as mmpretrain.
        alpha (float | None): Draw lam from Beta(alpha, alpha) mapped into ``lam_range`` instead of
            the side scale, as mmpretrain does.
        lam_range (tuple[float, float]): Range of that lam, within [0, 1].
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.1, 0.8),
        place: str = 'inside',
        interpolation: str = 'nearest',
        alpha: float | None = None,
        lam_range: tuple[float, float] = (0.1, 0.8),
        prob: float = 1.0,
    ) -> None:
        super().__init__()
        if place not in _PLACES:
            raise ValueError(f'place must be one of {", ".join(_PLACES)}, got {place!r}')
        if interpolation not in INTERPOLATIONS:
            known = ' or '.join(INTERPOLATIONS)
            raise ValueError(f'interpolation must be {known}, got {interpolation!r}')
        self.sampler = ScaleSampler(scale, prob, alpha, lam_range)
        self.placing = place
        self.interpolation = interpolation

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> BoxDraw:
        """Draw where the shrunk partners lie; see :meth:`Mixer.place`."""
        ends = image_ends(size, pair.lam.device)
        side = (1 - pair.lam.double()).sqrt().unsqueeze(-1)
        # A pixel at least, but none where there is nothing to mix.
        sides = (side * ends).long().clamp(min=1) * (side > 0)  # (2,) or (N, 2)
        if self.placing == 'clipped':
            box = box_around(draw_center(pair.lam.shape, size, generator), sides, size)
            return BoxDraw(Pair(box_lam(box, size), pair.partner), box)
        corner = self._corner(pair.partner.shape, sides, ends - sides, size, generator)
        box = torch.cat((corner, corner + sides), dim=-1)  # (N, 4)
        lam = (size[0] * size[1] - sides.prod(-1)) / (size[0] * size[1])
        return BoxDraw(Pair(lam, pair.partner), box)

    def _corner(
        self,
        shape: tuple[int, ...],
        sides: Tensor,
        free: Tensor,
        size: tuple[int, int],
        generator: torch.Generator,
    ) -> Tensor:
        """Draw the top left corners (N, 2), each at least 0 and at most ``free``."""
        if self.placing == 'shifted':
            center = draw_center(shape, size, generator)
            return (center - sides // 2).clamp(min=0).minimum(free)
        # A float32 below 1 times an integer stays below the integer in double precision.
        places = torch.rand((*shape, 2), generator=generator, device=generator.device)
        return (places.double() * (free + 1)).long()

    def mix(self, images: Tensor, draw: BoxDraw, seen: Any = None) -> Mixed:
        """Paste the shrunk partners; see :meth:`Mixer.mix`."""
        mixed = paste_shrunk(images, draw.pair.partner, draw.box, self.interpolation)
        return Mixed(mixed, draw.pair)

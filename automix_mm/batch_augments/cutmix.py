"""CutMix: a box of the partner over the own image."""

from typing import Any

import torch
from torch import Tensor

from automix_mm.mixing import BoxDraw, Mixed, Pair, PairSampler, box_around, box_lam, paste
from automix_mm.mixing.boxes import image_ends
from automix_mm.registry import BATCH_AUGMENTS, MODELS

from .batch_augment import BatchAugment


@MODELS.register_module()
@BATCH_AUGMENTS.register_module()
class CutMix(BatchAugment):
    """Cut and paste a box (Yun et al., 2019, arXiv 1905.04899, Algorithm A1).

    The box has the sides sqrt(1 - lam) of the image's and a centre anywhere in the image; what
    sticks out is cut off. The label weight is the share of the own image that stays visible. The
    authors mix half of the batches on CIFAR (``prob=0.5``) and all of them on ImageNet.

    Args:
        alpha (float): Parameter of Beta(alpha, alpha), above 0.
        per_sample (bool): A lam and a box for every sample; the original draws one for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(self, alpha: float = 1.0, per_sample: bool = False, prob: float = 1.0) -> None:
        super().__init__()
        self.sampler = PairSampler(alpha, per_sample, prob)

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> BoxDraw:
        """Draw where the box is: one for a 0-dim lam, N for lam (N,); see :meth:`Mixer.place`."""
        # In double precision, as the authors truncate it to whole pixels.
        side = (1 - pair.lam.double()).sqrt().unsqueeze(-1)
        sides = (side * image_ends(size, pair.lam.device)).long()  # (2,) or (N, 2)
        box = box_around(draw_center(pair.lam.shape, size, generator), sides, size)
        return BoxDraw(Pair(box_lam(box, size), pair.partner), box)

    def mix(self, images: Tensor, draw: BoxDraw, seen: Any = None) -> Mixed:
        """Paste the partner's box; see :meth:`Mixer.mix`."""
        return Mixed(paste(images, draw.pair.partner, draw.box), draw.pair)


def draw_center(
    shape: tuple[int, ...], size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Draw pixels of an image of ``size`` (H, W): rows and columns, long ``(*shape, 2)``."""
    device = generator.device
    axes = [torch.randint(end, shape, generator=generator, device=device) for end in size]
    return torch.stack(axes, dim=-1)

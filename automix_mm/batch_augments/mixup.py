"""Mixup: every pixel of a pair in the same ratio."""

from typing import Any

from torch import Tensor

from automix_mm.mixing import Mixed, Pair, PairSampler, blend
from automix_mm.registry import BATCH_AUGMENTS, MODELS

from .batch_augment import BatchAugment


@MODELS.register_module()
@BATCH_AUGMENTS.register_module()
class Mixup(BatchAugment):
    """Linear mixing (Zhang et al., 2018, arXiv 1710.09412, Eq. 1).

    Args:
        alpha (float): Parameter of Beta(alpha, alpha), above 0.
        per_sample (bool): One lam for every sample; the original draws one for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(self, alpha: float = 1.0, per_sample: bool = False, prob: float = 1.0) -> None:
        super().__init__()
        self.sampler = PairSampler(alpha, per_sample, prob)

    def mix(self, images: Tensor, draw: Pair, seen: Any = None) -> Mixed:
        """Mix lam of the own image with 1 - lam of the partner; see :meth:`Mixer.mix`."""
        mixed = blend(images, draw.partner, draw.lam_as(images))
        return Mixed(mixed, draw)

"""SaliencyMix: a box of the partner, around what catches the eye there."""

from typing import Any

from torch import Tensor

from automix_mm.mixing import Mixed, Pair, PairSampler, box_lam, clipped_box, paste
from automix_mm.mixing.saliency import fine_grained_saliency, most_salient
from automix_mm.registry import BATCH_AUGMENTS, MODELS

from .batch_augment import BatchAugment


@MODELS.register_module()
@BATCH_AUGMENTS.register_module()
class SaliencyMix(BatchAugment):
    """Cut and paste the salient box (Uddin et al., 2020, arXiv 2006.01791, Section 3.2).

    The box has the sides sqrt(1 - lam) of the image's and its centre on the most salient pixel of
    the donor; what sticks out is cut off. The label weight is the share of the own image that
    stays visible. As in the authors' program, the first sample's partner is the donor whose box
    the whole batch takes. They mix half of the batches on CIFAR (``prob=0.5``) and all of them on
    ImageNet.

    Saliency is that of :func:`automix_mm.mixing.saliency.fine_grained_saliency`, which takes
    normalised images as they are.

    Args:
        alpha (float): Parameter of Beta(alpha, alpha), above 0.
        per_sample (bool): A lam for every sample, and a box around the most salient pixel of its
            own partner; the original has one of each for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(self, alpha: float = 1.0, per_sample: bool = False, prob: float = 1.0) -> None:
        super().__init__()
        self.sampler = PairSampler(alpha, per_sample, prob)

    def mix(self, images: Tensor, draw: Pair, seen: Any = None) -> Mixed:
        """Paste the partner's salient box; see :meth:`Mixer.mix`."""
        size = (images.shape[-2], images.shape[-1])
        box = self.find_box(images, draw)
        return Mixed(paste(images, draw.partner, box), Pair(box_lam(box, size), draw.partner))

    def find_box(self, images: Tensor, pair: Pair) -> Tensor:
        """Find where to paste.

        Args:
            images (Tensor): Images (N, C, H, W).
            pair (Pair): The drawn (lam, partner); lam (N,) gives a size to each sample's box.

        Returns:
            Tensor: (top, left, bottom, right), long: (4,) for a 0-dim lam and one donor, otherwise
                (N, 4).
        """
        height, width = images.shape[-2:]
        side = (1 - pair.lam.double()).sqrt()  # in double precision, as the authors truncate it
        if self.sampler.per_sample:
            y, x = (at[pair.partner] for at in most_salient(fine_grained_saliency(images)))
            side = side.expand_as(y)
        else:
            donor = images.index_select(0, pair.partner[:1])
            y, x = (at.squeeze(0) for at in most_salient(fine_grained_saliency(donor)))
            y, x = y.expand_as(side), x.expand_as(side)
        return clipped_box(y, x, (side * height).long(), (side * width).long(), (height, width))

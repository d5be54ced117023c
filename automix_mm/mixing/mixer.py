"""What every mixer is: draw first, apply after."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .pairs import Pair, PairSampler


class Mixed(NamedTuple):
    """A mixed batch.

    Attributes:
        images: Mixed images (N, C, H, W) in the dtype of the clean ones.
        pair: What the labels get: lam is the weight of the own label, 0-dim or (N,).
        mask: Weight of the own image where the mixer has one, (N or 1, 1, H, W) in [0, 1].
        stage: Stage of the encoder at which images that still are clean get mixed, if one.
    """

    images: Tensor
    pair: Pair
    mask: Tensor | None = None
    stage: int | str | None = None


class Mixer(nn.Module):
    """Turns a batch into mixed images and label weights, in two steps.

    :meth:`draw` takes everything random from a generator: the pair, then (:meth:`place`) whatever
    else the mixer needs, such as a box. :meth:`mix` is a function of images and draw. A mixer that
    must see more than pixels looks at them through an encoder first (:meth:`look`).

    Attributes:
        learns: Whether the mixer has parameters that the loss on its mixed images trains.
        sampler: Draws the pair.
    """

    learns = False
    sampler: PairSampler

    def attach(self, encoder: Any) -> None:
        """Prepare for the encoder that will learn from the mixed images; usually nothing.

        Args:
            encoder (Any): Encoder q.

        Raises:
            ValueError: If the encoder lacks what the mixer needs.
        """

    def draw(self, num: int, size: tuple[int, int], generator: torch.Generator) -> Any:
        """Draw all that is random about mixing ``num`` images, on the generator's device.

        Args:
            num (int): Number of images N.
            size (tuple[int, int]): Image size (H, W).
            generator (torch.Generator): Source of all randomness.

        Returns:
            Any: A tuple of tensors and numbers for :meth:`mix`.
        """
        return self.place(self.sampler.draw(num, generator), size, generator)

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> Any:
        """Complete a given pair: draw where and how its images are mixed.

        Args:
            pair (Pair): The drawn (lam, partner).
            size (tuple[int, int]): Image size (H, W).
            generator (torch.Generator): Source of all randomness.

        Returns:
            Any: What :meth:`draw` returns; the pair itself where nothing else is drawn.
        """
        return pair

    def look(self, encoder: Any, images: Tensor, target: Tensor) -> Any:
        """Return what :meth:`mix` needs to know of the clean images, or None.

        Args:
            encoder (Any): The encoder that judges: k, or q where there is no k.
            images (Tensor): Clean images (N, C, H, W).
            target (Tensor): Their target distribution (N, K).

        Returns:
            Any: Features, saliency or, as here, None.
        """
        encoder.watch(images)

    def mix(self, images: Tensor, draw: Any, seen: Any = None) -> Mixed:
        """Mix a batch; the same arguments give the same result.

        Args:
            images (Tensor): Images (N, C, H, W); left untouched.
            draw (Any): What :meth:`draw` or :meth:`place` returned.
            seen (Any): What :meth:`look` returned.

        Returns:
            Mixed: Images, label weights and, where there is one, the mask.
        """
        raise NotImplementedError

    def loss(self, encoder: Any, mixed: Mixed, target: Tensor) -> Tensor:
        """Return the 0-dim loss of the encoder's mix head.

        Args:
            encoder (Any): The encoder that learns from (or judges) the mixed images.
            mixed (Mixed): What :meth:`mix` returned.
            target (Tensor): Mixed target distribution (N, K).
        """
        return encoder.loss(mixed.images, target, 'mix')

    def mask_losses(self, mixed: Mixed) -> dict[str, Tensor]:
        """Return further losses of a learned mask by name; usually none."""
        return {}

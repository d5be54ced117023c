"""How each mixer made a picture, told so shortly that a page can make it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from automix_mm.batch_augments import CutMix, FMix, Mixup, ResizeMix, SaliencyMix
from automix_mm.mixing import BoxDraw, Mixed, Mixer, Pair, lay_grid
from automix_mm.models.mix_blocks import MixBlock
from automix_mm.models.mixers import PuzzleMix

from .networks import GalleryNetwork

Box = tuple[int, int, int, int]
PUZZLE_GRID = 8
"""Blocks per side of PuzzleMix, where a training draws 2, 4, 8 or 16. At lam 0.5, all of 2 x 2
blocks often get one share, which is Mixup."""


@dataclass(frozen=True)
class Recipe:
    """One pair mixed for one lam.

    Attributes:
        mixed: The mixed image in 0..255, (C, H, W), float32.
        weight: Label weight of the own image, in [0, 1].
        plane: What the page needs beside the pair, (h, w), uint8: a mask of 0..255, or for blocks
            three planes below each other, their share of the own image and the numbers of the
            blocks that come there from the own image and from the partner.
        box: Rows and columns of the box that the partner fills, (top, left, bottom, right).
        block: Height and width of a block in pixels; the last ones may stick out.
    """

    mixed: Tensor
    weight: float
    plane: Tensor | None = None
    box: Box | None = None
    block: tuple[int, int] | None = None


class Maker:
    """Mixes pairs of the images of a gallery with one mixer.

    Args:
        mixer: The mixer.
        pixels: All images, (N, C, H, W), uint8.
        name: Its name on the page.
        note: What else is to be said of it there.

    Attributes:
        kind: What the page does: 'flat' (blend by the weight), 'mask' (blend by a plane), 'box'
            (paste the partner's box), 'shrunk' (paste the shrunk partner), 'blocks' (blend blocks
            that have moved).
        smooth: Whether a plane is enlarged bilinearly; otherwise a pixel takes the nearest value.
    """

    kind = 'flat'
    smooth = False

    def __init__(self, mixer: Mixer, pixels: Tensor, name: str, note: str = '') -> None:
        self.mixer = mixer.eval()
        self.pixels = pixels.float()
        self.size = (pixels.shape[-2], pixels.shape[-1])
        self.name = name
        self.note = note

    @torch.no_grad()
    def make(self, own: int, partner: int, lam: float, seed: int) -> Recipe:
        """Mixes two of the images.

        Args:
            own: Number of the own image.
            partner: Number of its partner.
            lam: Weight of the own image in [0, 1].
            seed: Seed of all that is random beside lam, such as the place of a box.
        """
        index = torch.tensor([own, partner])
        pair = Pair(torch.tensor(float(lam)), torch.tensor([1, 0]))
        draw = self.mixer.place(pair, self.size, torch.Generator().manual_seed(seed))
        images = self.pixels[index]
        mixed = self.mixer.mix(images, draw, self.seen(index))
        weight = float(mixed.pair.lam.expand(2)[0])
        return Recipe(mixed.images[0], weight, **self.describe(images, index, draw, mixed))

    def seen(self, index: Tensor) -> Tensor | None:
        """Returns what the mixer knows of the images with these numbers (2,)."""
        return None

    def describe(self, images: Tensor, index: Tensor, draw: Any, mixed: Mixed) -> dict[str, Any]:
        """Returns the recipe's other fields."""
        return {}


class BoxMaker(Maker):
    """For CutMix, SaliencyMix and ResizeMix."""

    def __init__(self, mixer: Mixer, pixels: Tensor, name: str, note: str = '') -> None:
        super().__init__(mixer, pixels, name, note)
        self.kind = 'shrunk' if isinstance(mixer, ResizeMix) else 'box'

    def describe(self, images: Tensor, index: Tensor, draw: Any, mixed: Mixed) -> dict[str, Any]:
        """Returns the own image's box."""
        if isinstance(draw, BoxDraw):
            box = draw.box.reshape(-1, 4)[0]
        else:
            assert isinstance(self.mixer, SaliencyMix)
            box = self.mixer.find_box(images, draw)
        return dict(box=tuple(box.tolist()))


class MaskMaker(Maker):
    """For FMix, whose mask has a value for each pixel."""

    kind = 'mask'

    def describe(self, images: Tensor, index: Tensor, draw: Any, mixed: Mixed) -> dict[str, Any]:
        """Returns the mask."""
        assert mixed.mask is not None
        return dict(plane=as_bytes(mixed.mask[0, 0]))


class BlockMaker(MaskMaker):
    """For AutoMix, whose mask has a value for each position of the features.

    Args:
        network: The network whose mix block paints.
        pixels: All images, (N, C, H, W), uint8.
    """

    def __init__(self, network: GalleryNetwork, pixels: Tensor) -> None:
        note = f'stage {network.stage}, {network.name}'
        super().__init__(network.network.classifier.mixer, pixels, 'AutoMix', note)
        self.features = network.features(self.pixels)

    @property
    def block(self) -> MixBlock:
        """The mix block."""
        assert isinstance(self.mixer, MixBlock)
        return self.mixer

    @property
    def smooth(self) -> bool:  # type: ignore[override]
        """Whether the page enlarges the mask bilinearly, as the block does."""
        return self.block.upsample['mode'] == 'bilinear'

    def seen(self, index: Tensor) -> Tensor:
        """Returns the features (2, C, h, w)."""
        return self.features[index]

    def describe(self, images: Tensor, index: Tensor, draw: Any, mixed: Mixed) -> dict[str, Any]:
        """Returns the mask before it is enlarged, where the page can do that itself."""
        if self.smooth and self.block.upsample['before_sigmoid']:
            return super().describe(images, index, draw, mixed)
        seen = self.seen(index)
        mask = self.block(seen, draw, (seen.shape[-2], seen.shape[-1]))
        return dict(plane=as_bytes(mask[0, 0]))


class PuzzleMaker(Maker):
    """For PuzzleMix, whose blocks move.

    Args:
        network: The network through which it looks; the labels are those that it predicts.
        pixels: All images, (N, C, H, W), uint8.
        blocks: Blocks per side, the only number that the mixer draws from.
    """

    kind = 'blocks'

    def __init__(self, network: GalleryNetwork, pixels: Tensor, blocks: int = PUZZLE_GRID) -> None:
        mixer = PuzzleMix(grids=(blocks,), std=1.0)  # of pixels in 0..255, which are mixed here
        grid = lay_grid((pixels.shape[-2], pixels.shape[-1]), blocks)
        note = f'{grid.rows} x {grid.cols} blocks, through {network.title}'
        super().__init__(mixer, pixels, 'PuzzleMix', note)
        inputs = network.inputs(self.pixels)
        target = network.network.guess(inputs)
        self.saliency = mixer.look(network.network.encoder, inputs, target)

    def seen(self, index: Tensor) -> Tensor:
        """Returns the saliency (2, 1, H, W)."""
        return self.saliency[index]

    def describe(self, images: Tensor, index: Tensor, draw: Any, mixed: Mixed) -> dict[str, Any]:
        """Returns the blocks: share of the own image, and where own and partner come from."""
        assert isinstance(self.mixer, PuzzleMix) and self.mixer.transport is not None
        assert mixed.mask is not None
        grid = lay_grid(self.size, draw.grid)
        share = mixed.mask[0, 0, :: grid.height, :: grid.width]  # (R, C)
        saliency = grid.pool(self.seen(index))  # (2, R, C)
        total = saliency.sum((1, 2), keepdim=True)
        saliency = torch.where(total > 0, saliency / total, 1 / share.numel())
        sources = self.mixer.transport.plan(saliency, torch.stack((share > 0, share < 1)))
        plane = torch.cat((as_bytes(share), *sources.to(torch.uint8)))  # (3R, C)
        return dict(plane=plane, block=(grid.height, grid.width))


def as_bytes(mask: Tensor) -> Tensor:
    """Returns a mask in [0, 1] as 0..255, uint8."""
    return (mask * 255).round().clamp(0, 255).to(torch.uint8)


def _pixel_maker(kind: type[Maker], mixer: type[Mixer]) -> Callable[..., list[Maker]]:
    def make(pixels: Tensor, networks: Sequence[GalleryNetwork]) -> list[Maker]:
        return [kind(mixer(), pixels, mixer.__name__)]

    return make


RECIPES: dict[str, Callable[..., list[Maker]]] = {
    'AutoMix': lambda pixels, networks: [BlockMaker(network, pixels) for network in networks],
    'PuzzleMix': lambda pixels, networks: [PuzzleMaker(networks[0], pixels)],
    'Mixup': _pixel_maker(Maker, Mixup),
    'CutMix': _pixel_maker(BoxMaker, CutMix),
    'ResizeMix': _pixel_maker(BoxMaker, ResizeMix),
    'FMix': _pixel_maker(MaskMaker, FMix),
    'SaliencyMix': _pixel_maker(BoxMaker, SaliencyMix),
}
"""Makers of each mixer that a page can show."""
LOOKING = ('AutoMix', 'PuzzleMix')
"""Of these, the ones that look through a network."""


def make_makers(
    names: Sequence[str] | None, pixels: Tensor, networks: Sequence[GalleryNetwork]
) -> list[Maker]:
    """Prepares mixers for all images.

    Args:
        names: Keys of :data:`RECIPES` in any case; None for all that the networks allow.
        pixels: All images, (N, C, H, W), uint8.
        networks: AutoMix gets an entry for each; PuzzleMix looks through the first.

    Returns:
        The makers in the order of :data:`RECIPES`.

    Raises:
        ValueError: If a name is unknown, or its mixer needs a network and there is none.
    """
    lower = {name.lower(): name for name in RECIPES}
    unknown = [name for name in names or () if name.lower() not in lower]
    if unknown:
        raise ValueError(f'there is no mixer {unknown[0]}; choose from {", ".join(RECIPES)}')
    wanted = {lower[name.lower()] for name in names} if names else set(RECIPES)
    if not networks:
        blind = [name for name in LOOKING if names and name in wanted]
        if blind:
            raise ValueError(f'{blind[0]} looks through a network: give a CHECKPOINT')
        wanted -= set(LOOKING)
    return [m for name, make in RECIPES.items() if name in wanted for m in make(pixels, networks)]

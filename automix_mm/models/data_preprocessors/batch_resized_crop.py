"""Random resized crop of a whole batch, as two small matrix products per image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .batch_transforms import Boxes, _pair, draw_below

ATTEMPTS = 10


class BatchRandomResizedCrop:
    """Cut a box of random area and shape out of each image and resize it, bilinearly.

    Boxes are drawn as by the host's transform of that name: up to ten attempts at an area
    and a ratio that fit, then the largest central box that fits the ratios.

    Args:
        scale (int | Sequence[int]): Size of the result, or (height, width).
        crop_ratio_range (Sequence[float]): Least and largest share of the area, above 0.
        aspect_ratio_range (Sequence[float]): Least and largest width / height, above 0.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: Sequence[float] = (0.08, 1.0),
        aspect_ratio_range: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        for name, bounds in dict(crop=crop_ratio_range, aspect=aspect_ratio_range).items():
            if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
                raise ValueError(
                    f'{name}_ratio_range must be (least, largest), both above 0, got {bounds}'
                )
        self.scale = _pair(scale, 'scale')
        self.areas = tuple(crop_ratio_range)
        self.ratios = tuple(aspect_ratio_range)

    def draw(self, num: int, size: tuple[int, int], generator: torch.Generator) -> Boxes:
        """Draw boxes in ``num`` images of ``size`` (height, width)."""
        area = self._draw_between(self.areas, num, generator) * (size[0] * size[1])
        logs = [math.log(ratio) for ratio in self.ratios]
        ratio = self._draw_between(logs, num, generator).exp()
        width = (area * ratio).sqrt().round().long()  # (N, attempts)
        height = (area / ratio).sqrt().round().long()
        fits = (width > 0) & (width <= size[1]) & (height > 0) & (height <= size[0])
        first = fits.long().argmax(1, keepdim=True)  # (N, 1)
        found = fits.any(1)
        fallback = self._central(size)
        height = torch.where(found, height.gather(1, first)[:, 0], fallback[0])
        width = torch.where(found, width.gather(1, first)[:, 0], fallback[1])
        top = draw_below(size[0] - height + 1, num, generator)
        left = draw_below(size[1] - width + 1, num, generator)
        top = torch.where(found, top, (size[0] - height) // 2)
        left = torch.where(found, left, (size[1] - width) // 2)
        return Boxes(top, left, height, width)

    @staticmethod
    def _draw_between(bounds: Sequence[float], num: int, generator: torch.Generator) -> Tensor:
        unit = torch.rand(
            num, ATTEMPTS, generator=generator, device=generator.device, dtype=torch.float64
        )
        return bounds[0] + (bounds[1] - bounds[0]) * unit  # (N, attempts)

    def _central(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the largest box with an allowed ratio."""
        height, width = size
        if width / height < self.ratios[0]:
            return round(width / self.ratios[0]), width
        if width / height > self.ratios[1]:
            return height, round(height * self.ratios[1])
        return height, width

    def apply(self, images: Tensor, drawn: Boxes) -> Tensor:
        """Resize the boxes of images (N, C, H, W) uint8 to (N, C, h, w), rounded to uint8."""
        rows = _weights(drawn.top, drawn.height, images.shape[2], self.scale[0])  # (N, 1, h, H)
        columns = _weights(drawn.left, drawn.width, images.shape[3], self.scale[1])
        # Half precision cannot hold a pixel value with the fraction that is to be rounded.
        with torch.autocast(images.device.type, enabled=False):
            resized = rows @ images.float() @ columns.mT
        return resized.round_().clamp_(0, 255).byte()


def _weights(start: Tensor, length: Tensor, whole: int, size: int) -> Tensor:
    """Return the bilinear weights (N, 1, size, whole) from boxes to ``size`` pixels, float32.

    Pixel centres are half a pixel inside, and the border pixel of the box is repeated outside.
    """
    place = torch.arange(size, device=start.device, dtype=torch.float64) + 0.5
    source = place * (length[:, None] / size) - 0.5  # (N, size)
    source = source.clamp(min=0).minimum(length[:, None] - 1.0) + start[:, None]
    pixel = torch.arange(whole, device=start.device, dtype=torch.float64)
    return (1 - (source[:, None, :, None] - pixel).abs()).clamp(min=0).float()

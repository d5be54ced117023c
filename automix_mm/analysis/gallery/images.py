"""The photographs of a gallery: read, cut to one size, and packed as the page shows them."""

from __future__ import annotations

import base64
import io
import os
import os.path as osp
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from automix_mm.analysis.mix_images import read_image

SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff', '.gif')
QUALITY = 90
"""Of the JPEG in the page. The mixers see its pixels, not those of the file."""


@dataclass(frozen=True)
class GalleryImage:
    """An image as the page holds it.

    Attributes:
        name: Name of the file.
        jpeg: The image cut to the size of all, as JPEG.
        pixels: What the JPEG decodes to, (C, H, W), uint8, RGB or grey.
    """

    name: str
    jpeg: bytes
    pixels: Tensor


def read_images(
    folder: str, size: tuple[int, int], channels: int = 3, limit: int = 6
) -> tuple[list[GalleryImage], int]:
    """Reads the first images of a folder in the order of their names, upright.

    Args:
        folder: The folder; folders inside it are not looked into.
        size: Height and width in pixels to which they are resized and centre-cropped.
        channels: 3 for RGB or 1 for grey.
        limit: How many at most, at least 2.

    Returns:
        The images, and how many the limit left out.

    Raises:
        ValueError: If there is no such folder, fewer than two images, or some cannot be read.
    """
    if not osp.isdir(folder):
        raise ValueError(f'there is no folder {folder}')
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES))
    names = [name for name in names if not name.startswith('.')]
    if len(names) < 2:
        found = f'only {names[0]}' if names else 'none'
        raise ValueError(
            f'{folder} needs at least two images ({", ".join(SUFFIXES)}), there is {found}'
        )
    paths = [osp.join(folder, name) for name in names[:limit]]
    images, unreadable = [], []
    for path in paths:
        try:
            images.append(_read(path, size, channels))
        except ValueError as error:
            unreadable.append(str(error))
    if unreadable:
        them = 'it' if len(unreadable) == 1 else 'them'
        raise ValueError(f'{"; ".join(unreadable)}: remove or convert {them}')
    return images, len(names) - len(images)


def _read(path: str, size: tuple[int, int], channels: int) -> GalleryImage:
    name, pixels = read_image(path, size, channels)
    buffer = io.BytesIO()
    # Without chroma subsampling, browsers and Pillow decode to nearly the same pixels.
    to_pil_image(pixels).save(buffer, 'JPEG', quality=QUALITY, subsampling=0, optimize=True)
    with Image.open(buffer) as shown:
        pixels = pil_to_tensor(shown)
    return GalleryImage(name, buffer.getvalue(), pixels.contiguous())


def data_url(content: bytes, kind: str) -> str:
    """Returns an image as an address that holds it.

    Args:
        content: The file.
        kind: Its type, such as ``image/png``.
    """
    return f'data:{kind};base64,{base64.b64encode(content).decode("ascii")}'


def plane_sheet(planes: Tensor) -> bytes:
    """Packs small grey images into one PNG, row by row in a grid of :func:`sheet_columns` columns.

    Args:
        planes: (N, h, w), uint8.

    Returns:
        The PNG; what is left of the last row is black.
    """
    count, height, width = planes.shape
    columns = sheet_columns(count)
    rows = -(-count // columns)
    sheet = torch.zeros(rows * columns, height, width, dtype=torch.uint8)
    sheet[:count] = planes
    sheet = sheet.view(rows, columns, height, width).transpose(1, 2)
    buffer = io.BytesIO()
    image = Image.fromarray(sheet.reshape(rows * height, columns * width).numpy())
    image.save(buffer, 'PNG', optimize=True)
    return buffer.getvalue()


def sheet_columns(count: int) -> int:
    """Returns how many planes stand side by side: about as many as stand below each other.

    Args:
        count: Number of planes, at least 1.
    """
    return max(1, round(count**0.5))

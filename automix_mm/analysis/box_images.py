"""Images with the boxes of their objects, as COCO annotates them."""

from __future__ import annotations

import json
import os.path as osp
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from .mix_images import read_image

#: Share of an image that its boxes must cover: less is hardly a cell, more leaves no outside.
COVERED = (0.05, 0.7)


def read_box_images(
    annotations: str,
    folder: str,
    size: Sequence[int],
    num: int,
    seed: int = 0,
    channels: int = 3,
) -> tuple[Tensor, Tensor]:
    """Reads images whose boxes cover some, but not most of them.

    Args:
        annotations: JSON file with ``images`` and ``annotations``.
        folder: Where the images are.
        size: Height and width to resize and crop to.
        num: How many images.
        seed: Seed of their choice.
        channels: 3 for RGB, 1 for grey.

    Returns:
        Images (N, C, H, W), uint8, and the pixels inside their boxes (N, H, W), bool.

    Raises:
        ValueError: If a file cannot be read or there are fewer such images.
    """
    files, boxes = _read(annotations)
    numbers = sorted(boxes)
    order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(seed))
    images, inside = [], []
    for place in order.tolist():
        number = numbers[place]
        name, height, width = files[number]
        pixels = _pixels(boxes[number], height, width, size)
        if not COVERED[0] <= float(pixels.double().mean()) <= COVERED[1]:
            continue
        images.append(read_image(osp.join(folder, name), size, channels).pixels)
        inside.append(pixels)
        if len(images) == num:
            return torch.stack(images), torch.stack(inside)
    raise ValueError(
        f'{annotations}: expected {num} images whose boxes cover {COVERED[0]:.0%} to '
        f'{COVERED[1]:.0%} of them, found {len(images)}: lower --pairs'
    )


def _read(path: str) -> tuple[dict[int, tuple[str, int, int]], dict[int, list[list[float]]]]:
    try:
        with open(path) as file:
            content = json.load(file)
        files = {i['id']: (i['file_name'], i['height'], i['width']) for i in content['images']}
        boxes = defaultdict(list)
        for one in content['annotations']:
            if not one.get('iscrowd'):
                boxes[one['image_id']].append(one['bbox'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} cannot be read as annotations with boxes, as COCO has them: '
            f'{type(error).__name__}: {error}'
        ) from error
    return files, boxes


def _pixels(boxes: list[list[float]], height: int, width: int, size: Sequence[int]) -> Tensor:
    """Returns which pixels of the cropped image are in a box, (H, W)."""
    scale = max(size[0] / height, size[1] / width)
    above, left = (scale * height - size[0]) / 2, (scale * width - size[1]) / 2
    y = (torch.arange(size[0]) + 0.5 + above) / scale  # of the whole image
    x = (torch.arange(size[1]) + 0.5 + left) / scale
    inside = torch.zeros(size[0], size[1], dtype=torch.bool)
    for x1, y1, w, h in boxes:
        inside |= ((y >= y1) & (y < y1 + h))[:, None] & ((x >= x1) & (x < x1 + w))[None]
    return inside

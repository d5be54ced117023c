"""JPEG files of the typical size of ImageNet's, cut out of real photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

LEAST_AREA = 0.6
"""Smallest share of a photograph that is cut out: below it, enlarging would smooth the image."""


def write_photographs(
    folder: Path,
    count: int,
    size: tuple[int, int] = (375, 500),
    quality: tuple[int, int] = (90, 95),
    seed: int = 0,
) -> float:
    """Writes crops of the two photographs of :func:`sklearn.datasets.load_sample_images`.

    Each is cut out at random, mirrored or not, and resized. They lie in one folder per
    photograph, as a data set of two classes.

    Args:
        folder: Where to write them.
        count: How many.
        size: Height and width.
        quality: Lowest and highest JPEG quality, drawn for each.
        seed: Seed of the draws.

    Returns:
        The mean size of a file, in bytes.

    Raises:
        ValueError: If ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f'count must be at least 1, got {count}.')
    from sklearn.datasets import load_sample_images  # slow to import, and of no other use here

    source = load_sample_images()
    generator = np.random.default_rng(seed)
    total = 0
    for number in range(count):
        kind = number % len(source.images)
        image = _cut(source.images[kind], size, generator)
        level = int(generator.integers(quality[0], quality[1] + 1))
        done, data = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, level])
        assert done
        path = folder / Path(source.filenames[kind]).stem / f'{number:05d}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
        total += len(data)
    return total / count


def _cut(image: np.ndarray, size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Returns a random part of an image (H, W, 3), of the shape of ``size`` and resized to it."""
    height, width = image.shape[:2]
    largest = min(height / size[0], width / size[1])
    zoom = largest * generator.uniform(LEAST_AREA, 1) ** 0.5
    rows, columns = (max(1, int(side * zoom)) for side in size)
    top = int(generator.integers(height - rows + 1))
    left = int(generator.integers(width - columns + 1))
    part = image[top : top + rows, left : left + columns]
    if generator.random() < 0.5:
        part = part[:, ::-1]
    return cv2.resize(np.ascontiguousarray(part), size[::-1], interpolation=cv2.INTER_AREA)

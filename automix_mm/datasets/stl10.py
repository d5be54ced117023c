"""STL-10's labelled images in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from automix_mm.registry import DATASETS

from .array_images import ArrayImages
from .reading import check_labels, find_folder, require_file

SIDE = 96
PIXELS = 3 * SIDE * SIDE
CLASSES = (
    'airplane',
    'bird',
    'car',
    'cat',
    'deer',
    'dog',
    'horse',
    'monkey',
    'ship',
    'truck',
)  # the lines of the archive's class_names.txt


@DATASETS.register_module()
class STL10(ArrayImages):
    """STL-10: 5,000 labelled training and 8,000 test images 96x96 of 10 classes.

    Source: A. Coates, H. Lee and A. Y. Ng, An analysis of single-layer networks in unsupervised
    feature learning, AISTATS 2011. Read from the official binary files: images as bytes in
    column-major order, channel after channel, and labels from 1, which become labels from 0.

    Args:
        data_root: The folder with or of the unpacked archive (``stl10_binary``).
        split: ``'train'`` or ``'test'``.
        **kwargs: Other arguments of :class:`ArrayImages`: ``batched``, ``num_classes``,
            ``pipeline``, ...

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is truncated, counts differ, a label is out of range or ``split`` is
            unknown.
    """

    METAINFO = {'classes': CLASSES}

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the split.

        Returns:
            Images (N, 3, 96, 96) uint8 RGB, and labels (N,) integers from 0.
        """
        name = f'{self.split}_X.bin'
        return read_binary(find_folder(self.data_root, 'stl10_binary', name), self.split)


def read_binary(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split of the binary files.

    Args:
        folder: Where they are.
        split: ``'train'`` or ``'test'``.

    Returns:
        Images (N, 3, 96, 96) uint8 RGB, and labels (N,) integers from 0.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is truncated, counts differ or a label is out of range.
    """
    x_path = require_file(folder / f'{split}_X.bin', 'the images of STL-10')
    y_path = require_file(folder / f'{split}_y.bin', 'the labels of STL-10')
    labels = np.fromfile(y_path, dtype=np.uint8).astype(np.int64)
    size, expected = x_path.stat().st_size, len(labels) * PIXELS
    if not len(labels):
        raise ValueError(f'{y_path} is empty: expected one byte for each image.')
    if size != expected:
        raise ValueError(
            f'{x_path}: expected {expected} bytes, {PIXELS} for each of the {len(labels)} labels '
            f'of {y_path.name}, got {size}. One of the two is truncated: unpack them again.'
        )
    check_labels(labels - 1, len(CLASSES), f'{y_path} (labels there start at 1)')
    images = np.fromfile(x_path, dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
    return images.transpose(0, 1, 3, 2), labels - 1

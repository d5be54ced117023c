"""Images and labels out of one ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from automix_mm.registry import DATASETS

from .array_images import ArrayImages
from .reading import check_growth, require_file


@DATASETS.register_module()
class NpzImages(ArrayImages):
    """A classification set in one ``.npz`` file, held in memory.

    The file has ``train_images`` and ``test_images``, (N, H, W, 3) uint8 RGB, and ``train_labels``
    and ``test_labels``, (N,) integers from 0. Pickled arrays are refused.

    Args:
        data_root: The ``.npz`` file.
        split: ``'train'`` or ``'test'``.
        batched: Hand out whole batches, see :class:`ArrayImages`.
        num_classes: Keep only the labels below this number; None keeps all.
        pipeline: Transforms, as in every dataset of mmpretrain.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If ``split`` is unknown, or arrays are missing, damaged or do not fit together.
    """

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the split.

        Returns:
            Images (N, 3, H, W) uint8 RGB, and labels (N,) integers.
        """
        return read_npz(Path(self.data_root).expanduser(), self.split)


def read_npz(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split of an ``.npz`` file.

    Args:
        path: The file.
        split: Prefix of the names of its arrays.

    Returns:
        Images (N, 3, H, W) uint8 RGB, and labels (N,) integers.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If arrays are missing, damaged or do not fit together.
    """
    names = [f'{split}_images', f'{split}_labels']
    require_file(path, f'an .npz file with {names}; docs/results.md says how to make one')
    try:
        images, labels = _read_arrays(path, names)
    except Exception as error:  # a damaged file raises nearly anything
        raise ValueError(
            f'{path} cannot be read ({error}): expected an .npz file with {names}. It is '
            'truncated or something else: make it again.'
        ) from error
    fits = images.ndim == 4 and images.shape[-1] == 3 and labels.shape == images.shape[:1]
    if not fits or images.dtype != np.uint8 or labels.dtype.kind not in 'iu':
        raise ValueError(
            f'{path}: expected images (N, H, W, 3) uint8 and labels (N,), got '
            f'{images.shape} {images.dtype} and {labels.shape} {labels.dtype}.'
        )
    return images.transpose(0, 3, 1, 2), labels


def _read_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """Reads arrays of an ``.npz`` file, which is a zip file of ``.npy`` files."""
    arrays = []
    with zipfile.ZipFile(path) as archive:
        for name in names:
            info = archive.getinfo(f'{name}.npy')
            check_growth(path, info.file_size)
            with archive.open(info) as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
    return arrays

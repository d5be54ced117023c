"""Images and labels out of one ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from automix_mm.registry import DATASETS

from .array_images import ArrayImages


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
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file]
            if missing:
                raise ValueError(f'{path} has no {missing}, only {file.files}.')
            images, labels = (file[name] for name in names)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{path} is missing. Expected an .npz file with {names}; '
            'docs/results.md says how to make one.'
        ) from error
    except (zipfile.BadZipFile, EOFError, OSError) as error:
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

"""CIFAR-10 and CIFAR-100 in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmpretrain.datasets.categories import CIFAR10_CATEGORIES, CIFAR100_CATEGORIES

from automix_mm.registry import DATASETS

from .array_images import ArrayImages
from .npz_images import read_npz
from .reading import check_md5, find_folder, require_file, unpickle_arrays

PIXELS = 3 * 32 * 32


@DATASETS.register_module()
class CIFAR10(ArrayImages):
    """CIFAR-10: 50,000 + 10,000 images 32x32 of 10 classes.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009. Read from
    the pickle files of the official Python version, whose checksums are compared and from which
    nothing but arrays and basic types is taken, or from an ``.npz`` file as
    :class:`NpzImages` reads it.

    Args:
        data_root: The folder with or of the unpacked archive, or an ``.npz`` file.
        split: ``'train'`` or ``'test'``.
        checksum: Compare the checksums of the official files.
        **kwargs: Other arguments of :class:`ArrayImages`: ``batched``, ``num_classes``,
            ``pipeline``, ...

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file has the wrong checksum or content, or ``split`` is unknown.
    """

    METAINFO = {'classes': CIFAR10_CATEGORIES}
    FOLDER = 'cifar-10-batches-py'
    FILES = {
        'train': {
            'data_batch_1': 'c99cafc152244af753f735de768cd75f',
            'data_batch_2': 'd4bba439e000b95fd0a9bffe97cbabec',
            'data_batch_3': '54ebc095f3ab1f0389bbae665268c751',
            'data_batch_4': '634d18415352ddfa80567beed471001a',
            'data_batch_5': '482c414d41f54cd18b22e5b47cb7c3cb',
        },
        'test': {'test_batch': '40351d587109b95175f43aff81a1287e'},
    }
    LABELS = 'labels'

    def __init__(
        self, data_root: str, split: str = 'train', checksum: bool = True, **kwargs: Any
    ) -> None:
        self.checksum = checksum
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the split.

        Returns:
            Images (N, 3, 32, 32) uint8 RGB, and labels (N,) integers.
        """
        root = Path(self.data_root).expanduser()
        if root.suffix == '.npz':
            return read_npz(root, self.split)
        files = self.FILES[self.split]
        folder = find_folder(root, self.FOLDER, next(iter(files)))
        parts = [self._read(folder / name, md5) for name, md5 in files.items()]
        images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
        return images, labels

    def _read(self, path: Path, md5: str) -> tuple[np.ndarray, np.ndarray]:
        require_file(path, f'a file of {self.FOLDER}')
        if self.checksum:
            check_md5(path, md5)
        content = unpickle_arrays(path)
        missing = {'data', self.LABELS} - set(content)
        if missing:
            raise ValueError(f'{path} has no {sorted(missing)}, only {sorted(content)}.')
        images, labels = np.asarray(content['data']), np.asarray(content[self.LABELS])
        if images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
            raise ValueError(
                f'{path}: expected data (N, {PIXELS}) uint8 with N labels, got {images.shape} '
                f'{images.dtype} with {len(labels)} labels.'
            )
        return images.reshape(-1, 3, 32, 32), labels


@DATASETS.register_module()
class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 + 10,000 images 32x32 of 100 classes (the fine labels).

    Arguments, source and errors are those of :class:`CIFAR10`.
    """

    METAINFO = {'classes': CIFAR100_CATEGORIES}
    FOLDER = 'cifar-100-python'
    FILES = {
        'train': {'train': '16019d7e3df5f24257cddd939b257f8d'},
        'test': {'test': 'f0ef6b0ae62326f3e7ffdfab6717acfc'},
    }
    LABELS = 'fine_labels'

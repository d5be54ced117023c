"""Handwritten digits that come with scikit-learn: real images without a download."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from automix_mm.registry import DATASETS

SPLITS = ('train', 'test')
TRAIN_POOL = 30
"""Images per class set aside for training; all others, 1,497, are the test split."""


@DATASETS.register_module()
class Digits(BaseDataset):
    """The 1,797 scanned 8x8 digits of :func:`sklearn.datasets.load_digits`.

    The test split holds 1,497 images and is the same for every ``labels_per_class``, so that
    results with few and with many labels can be compared. An item is a dict with ``img``, an
    (8, 8, 1) uint8 array of 0..255 (the scans have 17 grey levels, stretched by 255 / 16), and
    ``gt_label``; the usual image transforms follow in ``pipeline``.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998 (its test part, as scikit-learn ships it).

    Args:
        split: ``'train'`` or ``'test'``.
        labels_per_class: Training images of each digit, 1 to 30. The smaller sets are contained
            in the larger ones. Ignored by the test split.
        seed: Seed of the division into training and test images.
        pipeline: Transforms, as in every dataset of mmpretrain.
        metainfo: Extra meta information, as in every dataset of mmpretrain.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: If ``split`` or ``labels_per_class`` is out of range.
        ImportError: If scikit-learn is not installed.
    """

    METAINFO = {'classes': tuple(str(digit) for digit in range(10))}

    def __init__(
        self,
        split: str = 'train',
        labels_per_class: int = TRAIN_POOL,
        seed: int = 0,
        pipeline: tuple | list = (),
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}.')
        whole = isinstance(labels_per_class, int) and not isinstance(labels_per_class, bool)
        if not whole or not 1 <= labels_per_class <= TRAIN_POOL:
            raise ValueError(
                f'labels_per_class must be an integer from 1 to {TRAIN_POOL}, '
                f'got {labels_per_class!r}.'
            )
        self.split = split
        self.labels_per_class = labels_per_class
        self.seed = seed
        super().__init__(ann_file='', metainfo=metainfo, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Selects the images of the split.

        Returns:
            One dict with ``img`` and ``gt_label`` for each image, in the order of the source.
        """
        images, labels = _load()
        chosen = np.zeros(len(labels), dtype=bool)
        generator = np.random.default_rng(self.seed)
        for digit in range(10):
            members = generator.permutation(np.flatnonzero(labels == digit))
            if self.split == 'train':
                chosen[members[: self.labels_per_class]] = True
            else:
                chosen[members[TRAIN_POOL:]] = True
        return [
            dict(img=images[index], gt_label=int(labels[index])) for index in np.flatnonzero(chosen)
        ]

    def extra_repr(self) -> list[str]:
        """Describes the split for the log.

        Returns:
            Lines of text.
        """
        return [f'Split: \t{self.split}', f'Labels per class: \t{self.labels_per_class}']


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Loads all scans, (1797, 8, 8, 1) uint8, and their labels, (1797,) int."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            'automix_mm.Digits reads its images from scikit-learn, which is not installed. '
            'Install it with: pip install scikit-learn'
        ) from error
    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)
    return images[..., None], source.target

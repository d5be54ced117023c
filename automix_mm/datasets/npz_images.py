"""Images and labels out of one ``.npz`` file."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.datasets import BaseDataset

from automix_mm.registry import DATASETS

SPLITS = ('train', 'test')


@DATASETS.register_module()
class NpzImages(BaseDataset):
    """A classification set in one ``.npz`` file, held in memory.

    The file has ``train_images`` and ``test_images``, (N, H, W, 3) uint8 RGB, and ``train_labels``
    and ``test_labels``, (N,) integers from 0. An item is a dict with ``img`` and ``gt_label``.
    Pickled arrays are refused.

    Args:
        data_root: The ``.npz`` file.
        split: ``'train'`` or ``'test'``.
        num_classes: Keep only the labels below this number; None keeps all.
        pipeline: Transforms, as in every dataset of mmpretrain.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If ``split`` is unknown, or arrays are missing or do not fit together.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        num_classes: int | None = None,
        pipeline: tuple | list = (),
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}.')
        self.split = split
        self.num_classes = num_classes
        super().__init__(ann_file='', data_root=data_root, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads the split.

        Returns:
            One dict with ``img``, (H, W, 3) uint8, and ``gt_label`` for each image.
        """
        images, labels = self._read()
        keep = labels < (self.num_classes or labels.max() + 1)
        return [
            dict(img=image, gt_label=int(label))
            for image, label in zip(images[keep], labels[keep], strict=True)
        ]

    def _read(self) -> tuple[np.ndarray, np.ndarray]:
        """Loads and checks the two arrays of the split, (N, H, W, 3) uint8 and (N,) integers."""
        names = [f'{self.split}_images', f'{self.split}_labels']
        try:
            with np.load(self.data_root, allow_pickle=False) as file:
                missing = [name for name in names if name not in file]
                if missing:
                    raise ValueError(f'{self.data_root} has no {missing}, only {file.files}.')
                images, labels = (file[name] for name in names)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{self.data_root} is missing. Expected an .npz file with {names}; '
                'docs/results.md says how to make one.'
            ) from error
        if images.ndim != 4 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise ValueError(
                f'{self.data_root}: expected images (N, H, W, 3) uint8 and labels (N,), got '
                f'{images.shape} {images.dtype} and {labels.shape}.'
            )
        return images, labels

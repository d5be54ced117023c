"""Small images held in memory, handed out one by one or as whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmpretrain.datasets import BaseDataset
from torch import Tensor
from torch.utils.data import get_worker_info

from .device_arrays import GIB, HOST, ArrayBatch, DeviceArrays
from .reading import check_labels


class ArrayImages(BaseDataset):
    """Base of the sets that are one array of images and one of labels.

    An item is a dict with ``img``, (H, W, 3) uint8 in the order BGR of the host's decoders, and
    ``gt_label``, run through ``pipeline`` as in every dataset of mmpretrain.

    With ``batched=True`` torch's loader gets whole batches instead: a dict with ``inputs``,
    (N, 3, H, W) uint8 RGB, ``labels``, (N,) long, and ``sample_idx``, (N,) long. To them belong
    ``collate_fn=dict(type='automix_mm.batch_collate')``, ``num_workers=0`` and
    :class:`automix_mm.ArrayPreprocessor`, which crops, flips and normalises; ``pipeline`` is then
    read by the host's Inferencer alone.

    On a GPU the arrays are copied to the model's device once, where the preprocessor takes the
    batches from them: the batch is an :class:`ArrayBatch`, of which only the N numbers travel.
    Sets above ``device_gib``, and worker processes, hand out images taken on the host instead.
    The batches are the same.

    Args:
        data_root: Folder or file of the images.
        split: One of ``SPLITS``.
        batched: Hand out whole batches of arrays.
        num_classes: Keep only the labels below this number; None keeps all.
        device_gib: Largest size of the images, in GiB, up to which ``batched=True`` copies those
            of the split to the device, on each rank; 0 leaves them in host memory.
        pipeline: Transforms, as in every dataset of mmpretrain.
        **kwargs: Other arguments of :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        ValueError: If ``split`` is unknown, ``num_classes`` is no number of classes,
            ``device_gib`` is negative, or no image is left.
    """

    SPLITS: tuple[str, ...] = ('train', 'test')

    images: Tensor | None = None
    labels: Tensor
    _arrays: DeviceArrays | None = None

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        batched: bool = False,
        num_classes: int | None = None,
        device_gib: float = 2.0,
        pipeline: tuple | list = (),
        **kwargs: Any,
    ) -> None:
        if split not in self.SPLITS:
            raise ValueError(f'split must be one of {self.SPLITS}, got {split!r}.')
        if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 1):
            raise ValueError(f'num_classes must be an integer of at least 1, got {num_classes!r}.')
        if not isinstance(device_gib, int | float) or not device_gib >= 0:
            raise ValueError(f'device_gib must be a number of at least 0, got {device_gib!r}.')
        self.split = split
        self.batched = batched
        self.num_classes = num_classes
        self.device_gib = device_gib
        super().__init__(
            ann_file='',
            data_root=data_root,
            pipeline=pipeline,
            serialize_data=False,  # a row number and a label: pickling would save nothing
            **kwargs,
        )

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the split.

        Returns:
            Images (N, 3, H, W) uint8 RGB, and labels (N,) integers.
        """
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        """Reads the split into ``images`` and ``labels``.

        Returns:
            One dict with ``row`` and ``gt_label`` for each image.
        """
        images, labels = self.load_arrays()
        known = len(self.CLASSES) if self.CLASSES else int(labels.max(initial=0)) + 1
        check_labels(labels, known, f'{self.data_root} ({self.split})')
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.labels = torch.from_numpy(labels.astype(np.int64))
        return [
            dict(row=row, gt_label=int(label))
            for row, label in enumerate(labels)
            if self._keeps(label)
        ]

    def _keeps(self, label: int) -> bool:
        return self.num_classes is None or label < self.num_classes

    def full_init(self) -> None:
        """Loads the images if that has not been done."""
        if not self._fully_initialized:
            super().full_init()
            self._limit_classes()
            if not self.data_list:
                raise ValueError(
                    f'{self.data_root} ({self.split}): expected images, but num_classes='
                    f'{self.num_classes} and indices={self._indices} leave none.'
                )
            self._note_rows()

    def _limit_classes(self) -> None:
        if self.num_classes is None or not self.CLASSES:
            return
        if self.num_classes > len(self.CLASSES):
            raise ValueError(
                f'num_classes must be at most {len(self.CLASSES)} in {self.data_root}, got '
                f'{self.num_classes}.'
            )
        self._metainfo['classes'] = tuple(self.CLASSES[: self.num_classes])

    def _copy_without_annotation(self, memo: dict | None = None) -> ArrayImages:
        # Images are only read, so that a subset shares them, on the device as well.
        kinds = (Tensor, DeviceArrays)
        shared = {id(value): value for value in vars(self).values() if isinstance(value, kinds)}
        return super()._copy_without_annotation({**(memo or {}), **shared})

    def _note_rows(self) -> None:
        """Notes where the items, after selection by ``indices``, are in the arrays."""
        self._rows = torch.tensor([info['row'] for info in self.data_list], dtype=torch.long)

    def get_data_info(self, idx: int) -> dict:
        """Returns a copy of one item before the pipeline.

        Args:
            idx: Number of the item.
        """
        info = super().get_data_info(idx)
        row = info.pop('row')
        if self.images is not None:
            image = self.images[row].permute(1, 2, 0).numpy()  # (H, W, 3)
            info['img'] = np.ascontiguousarray(image[..., ::-1])
        return info

    def get_gt_labels(self) -> np.ndarray:
        """Returns the labels (N,) of all items."""
        self.full_init()
        return np.array([info['gt_label'] for info in self.data_list], dtype=np.int64)

    def get_subset(self, indices: int | Sequence[int]) -> ArrayImages:
        """Returns a data set of some of the items.

        Args:
            indices: The first or last so many, or their numbers.
        """
        subset = super().get_subset(indices)
        subset._note_rows()
        return subset

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keeps only some of the items.

        Args:
            indices: The first or last so many, or their numbers.
        """
        super().get_subset_(indices)
        self._note_rows()

    @property
    def __getitems__(self) -> Callable[[Sequence[int]], dict[str, Tensor]] | None:
        """What torch's loader calls for a batch; None sends it to the items."""
        return self.get_batch if self.batched else None

    def get_batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Takes a batch out of the arrays.

        Args:
            indices: Numbers of N items.

        Returns:
            ``inputs`` (N, 3, H, W) uint8 RGB, ``labels`` (N,) long, ``sample_idx`` (N,) long;
            the first two, where they are to be taken on the device, are not taken yet.
        """
        self.full_init()
        if self.images is None:
            raise ValueError(f'{type(self).__name__} needs batched=True to keep images in memory.')
        if self._arrays is None:
            name = f'{type(self).__name__} ({self.split})'
            self._arrays = DeviceArrays(self.images, self.labels, name)
        numbers = torch.from_numpy(np.array(indices, dtype=np.int64))  # torch is slow with lists
        batch = ArrayBatch(arrays=self._arrays, rows=self._rows[numbers], sample_idx=numbers)
        # A worker would send the arrays, not the batch.
        if get_worker_info() is None and self.images.nbytes <= self.device_gib * GIB:
            return batch
        return batch.taken(HOST)

    def extra_repr(self) -> list[str]:
        """Describes the split for the log.

        Returns:
            Lines of text.
        """
        return [f'Source: \t{self.data_root}', f'Split: \t{self.split}']

"""Arrays that are copied to the model's device once, so that a batch is taken there."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

GIB = 2**30
HOST = torch.device('cpu')


class DeviceArrays:
    """Images and labels of a set, on the host and on the device that batches were taken on.

    Args:
        images: Images (M, 3, H, W) uint8.
        labels: Labels (M,) long.
        name: Name of the set in the log.
    """

    def __init__(self, images: Tensor, labels: Tensor, name: str) -> None:
        self.images = images
        self.labels = labels
        self.name = name
        self._device = HOST
        self._there = (images, labels)

    def take(self, rows: Tensor, device: torch.device) -> dict[str, Tensor]:
        """Takes a batch on a device, to which the arrays are copied when it is a new one.

        The device is not waited for: only the numbers of the rows are sent there.

        Args:
            rows: Numbers of N images, long (N,), on the CPU.
            device: Where the batch is wanted.

        Returns:
            ``inputs`` (N, 3, H, W) uint8 and ``labels`` (N,) long.
        """
        images, labels = self._on(device)
        if device.type == 'cuda':
            rows = rows.pin_memory()  # from other memory a copy waits for the stream
        rows = rows.to(device, non_blocking=True)
        return dict(inputs=images.index_select(0, rows), labels=labels.index_select(0, rows))

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device == HOST:
            return self.images, self.labels
        if device != self._device:
            images, labels = (array.to(device, copy=True) for array in (self.images, self.labels))
            self._device, self._there = device, (images, labels)
            size = images.nbytes / GIB
            print_log(f'{self.name}: {size:.2f} GiB of images copied to {device}.', 'current')
        return self._there

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the copies, which are of this process."""
        return dict(images=self.images, labels=self.labels, name=self.name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class ArrayBatch(dict):
    """A batch whose images and labels are taken from the arrays where the model is.

    Items: ``arrays``, a :class:`DeviceArrays`, ``rows``, long (N,), and ``sample_idx``, long (N,).
    ``inputs`` and ``labels`` can be asked for nevertheless: they are taken on the host each time.
    """

    def __missing__(self, name: str) -> Tensor:
        if name not in ('inputs', 'labels'):
            raise KeyError(name)
        return self.taken(HOST)[name]

    def taken(self, device: torch.device) -> dict[str, Tensor]:
        """Takes the batch.

        Args:
            device: Where its images and labels are wanted.

        Returns:
            ``inputs`` (N, 3, H, W) uint8 and ``labels`` (N,) long there, ``sample_idx`` (N,) long.
        """
        images_labels = self['arrays'].take(self['rows'], device)
        return dict(**images_labels, sample_idx=self['sample_idx'])

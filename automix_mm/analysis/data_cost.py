"""What it costs to get training batches: arrays at once against images one by one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import MODELS as HOST_MODELS

from automix_mm.datasets import ArrayImages

TRANSFORMS = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
NORMALISATION = dict(mean=[129.304, 124.070, 112.434], std=[68.170, 65.392, 70.418])


class Images(NamedTuple):
    """Images (N, 32, 32, 3) uint8 and labels (N,)."""

    images: np.ndarray
    labels: np.ndarray


class HostItems(BaseDataset):
    """Images as the host's CIFAR holds them: one pickled dict for each."""

    def __init__(self, source: Images, pipeline: list[dict]) -> None:
        self.source = source
        super().__init__(ann_file='', pipeline=pipeline)

    def load_data_list(self) -> list[dict]:
        """Returns one dict with ``img`` and ``gt_label`` for each image."""
        pairs = zip(self.source.images, self.source.labels, strict=True)
        items = [dict(img=image, gt_label=int(label)) for image, label in pairs]
        del self.source
        return items


class Batches(ArrayImages):
    """The same images as whole batches."""

    def __init__(self, source: Images, **kwargs: Any) -> None:
        self.source = source
        super().__init__(data_root='', batched=True, **kwargs)

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns images (N, 3, 32, 32) uint8 and labels (N,)."""
        return self.source.images.transpose(0, 3, 1, 2), self.source.labels


class Case:
    """An endless stream of prepared training batches.

    Args:
        dataset: What the loader draws from.
        preprocessor: Config of the data preprocessor.
        batch_size: Images per batch.
        device: Where the batches end.
        **loader: Other settings of the loader.
    """

    def __init__(
        self,
        dataset: Any,
        preprocessor: dict,
        batch_size: int,
        device: torch.device,
        **loader: Any,
    ) -> None:
        self.preprocessor = HOST_MODELS.build(preprocessor).to(device)
        self.device = device
        sampler = dict(type='DefaultSampler', shuffle=True)
        self.loader = Runner.build_dataloader(
            dict(dataset=dataset, batch_size=batch_size, sampler=sampler, drop_last=True, **loader),
            seed=0,
        )
        self._batches = self._endless()

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def take(self) -> int:
        """Prepares one batch; returns its images."""
        return len(self.preprocessor(next(self._batches), training=True)['inputs'])

    def rate(self, seconds: float) -> float:
        """Returns the images per second over about so many seconds."""
        self._wait()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            count += self.take()
        self._wait()
        return count / (time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def build_cases(
    source: Images, batch_size: int, device: torch.device, workers: tuple[int, ...] = (0, 2)
) -> dict[str, Case]:
    """Builds the array path and the host's pipeline with each number of workers.

    On a GPU the array path comes twice: with the arrays there, and with those of the host.

    Args:
        source: The images, at least a batch.
        batch_size: Images per batch.
        device: Where the batches end.
        workers: Numbers of worker processes of the host's pipeline.

    Returns:
        ``arrays``, on a GPU ``arrays_in_host_memory``, ``mmpretrain_0``, ... in this order.

    Raises:
        ValueError: If there are fewer images than in a batch.
    """
    if len(source.images) < batch_size:
        raise ValueError(f'expected at least {batch_size} images, got {len(source.images)}.')
    cases = {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = dict(type='automix_mm.ArrayPreprocessor', transforms=TRANSFORMS, **NORMALISATION)
        identity = dict(type='automix_mm.batch_collate')
        data: Any = Batches(source)
        alone: dict[str, Any] = dict(num_workers=0, collate_fn=identity)
        cases['arrays'] = Case(data, ours, batch_size, device, **alone)
        if device.type != 'cpu':
            data = Batches(source, device_gib=0)
            cases['arrays_in_host_memory'] = Case(
                data, ours, batch_size, device, pin_memory=device.type == 'cuda', **alone
            )
        host = dict(type='ClsDataPreprocessor', **NORMALISATION)
        for count in workers:
            data = HostItems(source, [*TRANSFORMS, dict(type='PackInputs')])
            cases[f'mmpretrain_{count}'] = Case(
                data,
                host,
                batch_size,
                device,
                num_workers=count,
                persistent_workers=count > 0,
                collate_fn=dict(type='default_collate'),
            )
    return cases


def measure_rates(cases: dict[str, Case], repeats: int, seconds: float) -> dict[str, list[float]]:
    """Measures all cases in turn, so that a busy moment hits each of them.

    Args:
        cases: What to measure.
        repeats: Measurements of each.
        seconds: Length of each.

    Returns:
        Images per second, by name.
    """
    for case in cases.values():
        for _ in range(3):
            case.take()
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            rates[name].append(case.rate(seconds))
    return rates


def summarise(rates: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Returns median, least and most of each case, and how many times the host's rate it is.

    Args:
        rates: Images per second, by name.
    """
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        name: dict(
            median=medians[name],
            least=min(values),
            most=max(values),
            times_mmpretrain_0=medians[name] / medians['mmpretrain_0'],
        )
        for name, values in rates.items()
    }

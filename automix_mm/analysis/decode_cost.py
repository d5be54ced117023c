"""What it costs to get training batches out of JPEG files, decoder by decoder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import mmcv
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import TRANSFORMS
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

SIDE = 224
CROP = dict(type='RandomResizedCrop', scale=SIDE)
FLIP = dict(type='RandomFlip', prob=0.5, direction='horizontal')
PACK = dict(type='PackInputs')
Step = dict | Callable[[dict], dict]


def load(**fields: Any) -> dict:
    """Returns the config of the host's loading transform."""
    return dict(type='LoadImageFromFile', **fields)


class TorchvisionDecode:
    """Decodes a file with torchvision, as an array BGR like the host's or a tensor RGB.

    Args:
        tensor: Hand out a tensor (3, H, W), for torchvision's transforms.
    """

    def __init__(self, tensor: bool) -> None:
        self.tensor = tensor

    def __call__(self, results: dict) -> dict:
        """Adds ``img`` to the results."""
        image = decode_image(results['img_path'], ImageReadMode.RGB, apply_exif_orientation=True)
        # Reversed, it is a view; what cuts a crop out of it copies the crop alone.
        results['img'] = image if self.tensor else image.permute(1, 2, 0).numpy()[..., ::-1]
        return results


class OnTensor:
    """Runs a transform of torchvision on ``img``.

    Args:
        transform: What to run.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, results: dict) -> dict:
        """Replaces ``img``."""
        results['img'] = self.transform(results['img'])
        return results


class Variant(NamedTuple):
    """A way from a file to a training image: decode, crop, flip and pack."""

    decode: Step
    crop: Step = CROP
    flip: Step = FLIP
    pack: Step = PACK

    def steps(self) -> dict[str, Callable]:
        """Builds the four transforms, by name."""
        named = self._asdict().items()
        return {name: TRANSFORMS.build(s) if isinstance(s, dict) else s for name, s in named}


def list_variants() -> dict[str, Variant]:
    """Returns the ways that this machine has, the host's own first."""
    variants = {
        'cv2': Variant(load()),
        'cv2_reduced_2': Variant(load(color_type=cv2.IMREAD_REDUCED_COLOR_2)),
        'pillow': Variant(load(imdecode_backend='pillow')),
        'torchvision_decoder': Variant(TorchvisionDecode(tensor=False)),
        'torchvision_v2': Variant(
            TorchvisionDecode(tensor=True),
            OnTensor(v2.RandomResizedCrop(SIDE, antialias=True)),
            OnTensor(v2.RandomHorizontalFlip()),
        ),
    }
    if turbojpeg_problem() is None:
        variants['turbojpeg'] = Variant(load(imdecode_backend='turbojpeg'))
    return variants


def turbojpeg_problem() -> str | None:
    """Returns why the host's turbojpeg backend cannot be used, or None if it can."""
    try:
        mmcv.use_backend('turbojpeg')  # opens the library
    except (ImportError, RuntimeError, OSError) as error:
        return str(error).splitlines()[0]
    finally:
        mmcv.use_backend('cv2')
    return None


def measure_steps(
    variants: dict[str, Variant], paths: Sequence[Path], repeats: int
) -> dict[str, dict[str, float]]:
    """Times each step of each variant in this process, one after the other on every image.

    It is the time of the processor that counts: not what other programs take, nor the wait for
    a slow disk.

    Args:
        variants: What to time, by name.
        paths: Image files.
        repeats: Rounds; in each, all variants have their turn.

    Returns:
        For each variant milliseconds per image of each step, and ``images_per_second``, which a
        single process reaches: medians over the rounds.
    """
    built = {name: variant.steps() for name, variant in variants.items()}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(repeats + 1):
        for name, steps in built.items():
            rounds[name].append(_time_steps(steps, paths))
    return {name: _medians(found[1:]) for name, found in rounds.items()}  # the first warms up


def _time_steps(steps: dict[str, Callable], paths: Sequence[Path]) -> dict[str, float]:
    spent = dict.fromkeys(steps, 0.0)
    for path in paths:
        results: dict = dict(img_path=str(path), gt_label=0)
        for name, step in steps.items():
            start = time.thread_time()
            results = step(results)
            spent[name] += time.thread_time() - start
    return {name: 1000 * seconds / len(paths) for name, seconds in spent.items()}


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    sums = [sum(times.values()) for times in rounds]
    steps = {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
    return steps | dict(images_per_second=1000 / statistics.median(sums))


def build_loader(
    folder: Path, variant: Variant, batch_size: int, workers: int, **fields: Any
) -> Iterator[dict]:
    """Returns an endless stream of batches, as the host's loader makes them.

    Args:
        folder: Images in one folder per class.
        variant: How they are read.
        batch_size: Images per batch.
        workers: Worker processes.
        **fields: Other settings of the loader.
    """
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = CustomDataset(data_root=str(folder), pipeline=list(variant.steps().values()))
        loader = Runner.build_dataloader(
            dict(
                dataset=data,
                batch_size=batch_size,
                num_workers=workers,
                persistent_workers=workers > 0,
                sampler=dict(type='InfiniteSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                **fields,
            ),
            seed=0,
        )
    return iter(loader)


def consume(
    loader: Iterator[dict], batch_size: int, seconds: float, rate: float | None = None
) -> dict[str, float]:
    """Takes batches for some time, as a model does that runs on another device.

    The model is a pause: it needs no CPU, like the GPU while it works.

    Args:
        loader: Where they come from.
        batch_size: Images per batch.
        seconds: How long.
        rate: Images per second of the model; None takes batches as fast as they come.

    Returns:
        ``images_per_second`` and ``waiting``, the share of the time spent waiting for a batch.
    """
    pause = 0.0 if rate is None else batch_size / rate
    next(loader)  # workers are started by now
    time.sleep(pause)
    start, waited, count = time.perf_counter(), 0.0, 0
    while time.perf_counter() - start < seconds:
        asked = time.perf_counter()
        next(loader)
        waited += time.perf_counter() - asked
        time.sleep(pause)
        count += batch_size
    passed = time.perf_counter() - start
    return dict(images_per_second=count / passed, waiting=waited / passed)


def single_thread() -> None:
    """Sets one thread per process, as the host's worker processes have."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)

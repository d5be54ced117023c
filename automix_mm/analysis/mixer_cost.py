"""What one call of each mixer costs, beside the host's own mixers and a training step."""

import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpretrain.models.utils import batch_augments as host_augments
from mmpretrain.registry import MODELS as HOST_MODELS
from torch import Tensor

from automix_mm.batch_augments import BatchAugment
from automix_mm.mixing import Mixer, blend, mix_scores, one_hot
from automix_mm.models.mixers.manifold_mix import INPUT
from automix_mm.models.mixers.puzzle_mix import PuzzleDraw
from automix_mm.registry import MODELS

from .step_cost import TrainingStep

#: Classes of the labels that every call mixes along.
CLASSES = 100
#: Timings of a call last this long, in seconds, so that they hold many draws.
LENGTH = 0.2

Call = Callable[[], Any]


class Batch(NamedTuple):
    """Real images as a training loop hands them to a mixer.

    Attributes:
        images: Images (N, 3, H, W), float32, with mean 0 and standard deviation 1 per channel.
        target: Target distributions (N, 100), one-hot.
        std: Standard deviation of each channel of the pixels in [0, 255].
        source: Where the images come from, in words.
    """

    images: Tensor
    target: Tensor
    std: list[float]
    source: str


class Case(NamedTuple):
    """Something to time.

    Attributes:
        name: What it is called in the table.
        call: Does it once.
        part_of: Mixer whose figure is the mean of its parts, drawn equally often.
    """

    name: str
    call: Call
    part_of: str | None = None


def load_batch(path: str | None, num: int, size: int, device: torch.device) -> Batch:
    """Load real images and resize them bilinearly, since a mixer's time can depend on them.

    Args:
        path (str | None): A file as :class:`automix_mm.datasets.NpzImages` reads it; None takes
            the digits that come with scikit-learn.
        num (int): Number of images N; the file's are repeated if it has fewer.
        size (int): Height and width to resize them to.
        device (torch.device): Where to put them.
    """
    if path is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = torch.from_numpy(digits.images * (255 / 16)).unsqueeze(1).expand(-1, 3, -1, -1)
        labels, source = torch.from_numpy(digits.target), 'digits of scikit-learn'
    else:
        with np.load(path) as file:
            pixels = torch.from_numpy(file['train_images'][:num]).permute(0, 3, 1, 2)
            labels = torch.from_numpy(file['train_labels'][:num].astype(np.int64))
        source = Path(path).name
    index = torch.arange(num) % len(pixels)
    images, labels = pixels[index].float(), labels[index] % CLASSES
    if images.shape[2:] != (size, size):
        images = F.interpolate(images, (size, size), mode='bilinear', align_corners=False)
    std, mean = torch.std_mean(images, (0, 2, 3), keepdim=True)
    images = ((images - mean) / std).contiguous().to(device)
    target = one_hot(labels, CLASSES).to(device)
    return Batch(images, target, std.flatten().tolist(), f'{source}, {size} px')


def mixer_names() -> list[str]:
    """Return the names of all registered mixers."""
    return sorted(name for name, cls in MODELS.module_dict.items() if issubclass(cls, Mixer))


def network_config(size: int, mixer: dict | None = None) -> dict[str, Any]:
    """Return a ResNet-18 with the stem for images of this size, plain or around a mixer."""
    kind = 'ResNet_CIFAR' if size <= 64 else 'ResNet'
    shared: dict[str, Any] = dict(
        backbone=dict(type=f'mmpretrain.{kind}', depth=18),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
    )
    head: dict[str, Any] = dict(num_classes=CLASSES, in_channels=512)
    if mixer is None:
        head |= dict(type='mmpretrain.LinearClsHead')
        return dict(type='mmpretrain.ImageClassifier', head=head, **shared)
    head |= dict(type='automix_mm.MixupHead')
    shared |= dict(mixer=mixer, momentum=None, onehot=False)
    return dict(type='automix_mm.MomentumClassifier', head=head, **shared)


def mixer_cases(names: Iterable[str], batch: Batch) -> list[Case]:
    """Return a case for each mixer, or several for one that does unlike things by its draw."""
    cases: list[Case] = []
    for name in names:
        cls = MODELS.get(name)
        if issubclass(cls, BatchAugment):
            cases.append(Case(name, _one_call(cls(), batch)))
        else:
            cases += _network_cases(name, batch)
    return cases


def _one_call(mixer: Mixer, batch: Batch, seen: Any = None) -> Call:
    """Draw, mix the images and mix the labels."""
    images = batch.images
    generator = torch.Generator(images.device).manual_seed(0)
    num, size = len(images), (images.shape[-2], images.shape[-1])

    def call() -> Tensor:
        mixed = mixer.mix(images, mixer.draw(num, size, generator), seen)
        return mix_scores(batch.target, mixed.pair)

    return call


def _network_cases(name: str, batch: Batch) -> list[Case]:
    needed: dict[str, dict[str, Any]] = {
        'MixBlock': dict(in_channels=256, feature_stage=2),
        'PuzzleMix': dict(std=batch.std),
    }
    fields = needed.get(name, {})
    config = network_config(batch.images.shape[-1], dict(type=f'automix_mm.{name}', **fields))
    model = HOST_MODELS.build(config).to(batch.images.device).train()
    mixer, encoder = model.mixer, model.q
    if name == 'ManifoldMix':
        return _layer_cases(mixer, encoder, batch)
    seen = mixer.look(encoder, batch.images, batch.target)
    if name == 'PuzzleMix':
        return _grid_cases(mixer, encoder, batch, seen)
    return [Case(name, _one_call(mixer, batch, seen))]


def _layer_cases(mixer: Any, encoder: Any, batch: Batch) -> list[Case]:
    """ManifoldMix blends the feature map of one of its layers."""
    generator = torch.Generator(batch.images.device).manual_seed(0)

    def call(features: Tensor) -> Tensor:
        pair = mixer.sampler.draw(len(features), generator)
        blend(features, pair.partner, pair.lam_as(features))
        return mix_scores(batch.target, pair)

    cases = []
    for layer in mixer.layers:
        features = batch.images if layer == INPUT else encoder.features(batch.images, layer)
        name = 'input' if layer == INPUT else f'stage {layer}'
        cases.append(Case(f'ManifoldMix {name}', partial(call, features), 'ManifoldMix'))
    return cases


def _grid_cases(mixer: Any, encoder: Any, batch: Batch, seen: Tensor) -> list[Case]:
    """PuzzleMix solves a problem whose size is that of its grid."""
    generator = torch.Generator(batch.images.device).manual_seed(0)

    def call(grid: int) -> Tensor:
        pair = mixer.sampler.draw(len(batch.images), generator)
        mixed = mixer.mix(batch.images, PuzzleDraw(pair, grid), seen)
        return mix_scores(batch.target, mixed.pair)

    return [
        Case(f'PuzzleMix grid {grid}', partial(call, grid), 'PuzzleMix') for grid in mixer.grids
    ]


def host_cases(batch: Batch) -> list[Case]:
    """Return the host's own mixers. They write into their inputs, so each gets its copy."""
    cases = []
    for name in ('Mixup', 'CutMix', 'ResizeMix'):
        augment, images = getattr(host_augments, name)(1.0), batch.images.clone()
        cases.append(Case(f'mmpretrain {name}', partial(augment, images, batch.target)))
    return cases


def saliency_cases(batch: Batch) -> list[Case]:
    """Return PuzzleMix's pass for the saliency and a training step of the same network."""
    num, size, device = len(batch.images), batch.images.shape[-1], batch.images.device
    mixer = dict(type='automix_mm.PuzzleMix', std=batch.std)
    model = HOST_MODELS.build(network_config(size, mixer)).to(device).train()
    cfg = Config(
        dict(
            model=network_config(size),
            data_preprocessor=dict(num_classes=CLASSES),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        )
    )
    step = TrainingStep(cfg, num, (size, size), device)

    def look() -> Tensor:
        return model.mixer.look(model.q, batch.images, batch.target)

    return [Case('PuzzleMix saliency pass', look), Case('training step', step.run)]


def time_in_turn(
    cases: list[Case], repeats: int, device: torch.device, length: float = LENGTH
) -> dict[str, list[float]]:
    """Time all cases in turn, so that a drifting machine hits all alike.

    Args:
        cases (list[Case]): What to time.
        repeats (int): Timings of each.
        device (torch.device): Device that has to be waited for.
        length (float): Least length of a timing in seconds; it holds at least two calls.

    Returns:
        dict[str, list[float]]: Milliseconds per call, by name; parts and then their mean.
    """
    counts = {}
    for case in cases:
        case.call()
        counts[case.name] = max(2, round(length / max(_seconds(case.call, 2, device), 1e-6)))
    times: dict[str, list[float]] = {case.name: [] for case in cases}
    for _ in range(repeats):
        for case in cases:
            times[case.name].append(1e3 * _seconds(case.call, counts[case.name], device))
    for whole in dict.fromkeys(case.part_of for case in cases if case.part_of):
        parts = [times[case.name] for case in cases if case.part_of == whole]
        times[whole] = [statistics.mean(each) for each in zip(*parts, strict=True)]
    return times


def _seconds(call: Call, count: int, device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    for _ in range(count):
        call()
    _wait(device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)

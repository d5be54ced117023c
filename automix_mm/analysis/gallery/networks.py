"""AutoMix networks for a gallery, each from its checkpoint alone."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmpretrain.registry import MODELS as HOST_MODELS
from torch import Tensor

from automix_mm.analysis.mix_network import Network, load_weights
from automix_mm.engine.reader import read_checkpoint
from automix_mm.export import Source, read_source
from automix_mm.export.config_text import read_fields
from automix_mm.export.network import plain_network
from automix_mm.models.classifiers import MomentumClassifier

#: Fields of the classifier and its parts that only matter in a training, or name further types.
_LEFT_OUT = ('type', 'init_cfg')


@dataclass(frozen=True)
class GalleryNetwork:
    """A trained AutoMix network.

    Attributes:
        network: The classifier in evaluation mode.
        name: Name of its config and epoch, or of its file. No other network of the gallery has
            the same name and stage.
        stage: Feature stage of its mix block.
        classes: Names of its K classes.
        size: (C, H, W) of the images that it was tested with.
        flipped: Whether it takes BGR.
        title: Its name, with the stage if another network has the same name.
    """

    network: Network
    name: str
    stage: int | str
    classes: Sequence[str]
    size: tuple[int, int, int]
    flipped: bool
    title: str

    def inputs(self, pixels: Tensor) -> Tensor:
        """Normalises images (N, C, H, W) in 0..255, RGB or grey, as in the training."""
        return self.network.inputs(pixels.flip(1) if self.flipped else pixels)

    @torch.no_grad()
    def scores(self, pixels: Tensor) -> Tensor:
        """Returns the scores (N, K) of images (N, C, H, W) in 0..255: rows that sum to 1."""
        return self.network.classifier(self.inputs(pixels)).float().softmax(1)

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """Returns what the mix block looks at: (N, C, h, w) for images (N, C, H, W)."""
        return self.network.encoder.features(self.inputs(pixels), self.stage)


def read_networks(
    paths: Sequence[str], trust: bool = False, classes: Sequence[str] | None = None
) -> list[GalleryNetwork]:
    """Reads AutoMix networks; nothing of their files runs.

    Args:
        paths: Checkpoints of trainings, with their config in them.
        trust: Let their pickles run what they ask for.
        classes: Names of the classes, in place of those in the checkpoints.

    Returns:
        A network for each.

    Raises:
        ValueError: If a file is no checkpoint of an AutoMix training, or the networks differ in
            the channels of their images, or ``classes`` are not as many as a network's.
    """
    networks = [_read(path, trust, classes) for path in paths]
    channels = {network.size[0] for network in networks}
    if len(channels) > 1:
        raise ValueError(f'the networks take images of {sorted(channels)} channels, not of one')
    return _tell_apart(networks, paths)


def _tell_apart(networks: Sequence[GalleryNetwork], paths: Sequence[str]) -> list[GalleryNetwork]:
    """Adds the file to names that are the same at one stage, and the stage to equal titles."""
    files = [osp.basename(path) for path in paths]
    if len(set(files)) < len(set(paths)):
        files = list(paths)
    same = Counter((network.name, network.stage) for network in networks)
    named = [
        replace(network, name=f'{network.name}, {file}')
        if same[network.name, network.stage] > 1
        else network
        for network, file in zip(networks, files, strict=True)
    ]
    names = Counter(network.name for network in named)
    return [
        replace(n, title=f'{n.name}, stage {n.stage}' if names[n.name] > 1 else n.name)
        for n in named
    ]


def _read(path: str, trust: bool, classes: Sequence[str] | None) -> GalleryNetwork:
    source = read_source(path, trust=trust)
    model = read_fields(source.meta['config'], ('model',))['model']
    mixer = _kind(model.get('mixer') or {})
    if _kind(model) != 'MomentumClassifier' or mixer != 'MixBlock':
        what = f'{_kind(model)} with {mixer}' if mixer else _kind(model)
        raise ValueError(
            f'{path} is of another model ({what}), expected AutoMix: a MomentumClassifier with a '
            'MixBlock'
        )
    if classes is not None and len(classes) != source.num_classes:
        raise ValueError(
            f'{path} has {source.num_classes} classes, but {len(classes)} names were given'
        )
    classifier = _build(path, source, model)
    load_weights(classifier, read_checkpoint(path, trust=trust), path, 'the config in it')
    name = _name(path, source)
    return GalleryNetwork(
        network=Network(classifier.eval()),
        name=name,
        title=name,
        stage=classifier.mixer.feature_stage,  # type: ignore[arg-type]
        classes=classes or _classes(source),
        size=source.input_size,
        flipped=source.normalisation['channel_order'] == 'BGR',
    )


def _kind(part: Mapping[str, Any]) -> str:
    return str(part.get('type', '')).rpartition('.')[2]


def _build(path: str, source: Source, model: dict[str, Any]) -> MomentumClassifier:
    """Builds the classifier of a config that is not trusted: no part names a type unchecked."""
    normalisation = source.normalisation
    try:
        parts = plain_network(model)
        if _kind(parts['head']) == 'LinearClsHead':
            parts['head'] = parts['head'] | dict(type='automix_mm.MixupHead')
        momentum = model.get('momentum')
        return HOST_MODELS.build(
            dict(
                type='automix_mm.MomentumClassifier',
                **parts,
                mixer=dict(type='automix_mm.MixBlock') | _fields(model['mixer']),
                momentum=None if momentum is None else _fields(momentum),
                onehot=model.get('onehot', True),
                report=model.get('report'),
                train_cfg=dict(branchwise=False),
                data_preprocessor=dict(
                    type='mmpretrain.ClsDataPreprocessor',
                    mean=normalisation['mean'],
                    std=normalisation['std'],
                    to_rgb=normalisation['channel_order'] == 'RGB',
                ),
            )
        )
    except Exception as error:  # of a config that is not trusted: any
        raise ValueError(f'the config in {path} builds no network: {_first(error)}') from error


def _fields(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in _LEFT_OUT}


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _name(path: str, source: Source) -> str:
    config, epoch = source.meta['config_name'], source.meta['epoch']
    if not config:
        return osp.basename(path)
    return config if epoch is None else f'{config}, epoch {epoch}'


def _classes(source: Source) -> list[str]:
    names = source.meta['dataset_meta'].get('classes', [])
    if len(names) == source.num_classes:
        return names
    return [f'class {number}' for number in range(source.num_classes)]

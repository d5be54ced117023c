"""A checkpoint of a training as a plain classifier: its network, weights and origin."""

from __future__ import annotations

import hashlib
import os
import os.path as osp
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmpretrain.models import ImageClassifier
from torch import Tensor

import automix_mm
from automix_mm.engine.reader import read_checkpoint

from .config_text import read_fields
from .network import plain_network

ENCODERS = ('k', 'q')
HEADS = ('onehot', 'mix')
#: Where a classifier keeps the parts of the plain one.
PREFIXES = {
    'MomentumClassifier': {
        '{encoder}.backbone.': 'backbone.',
        '{encoder}.neck.': 'neck.',
        '{encoder}.heads.{head}.': 'head.',
    },
    'ImageClassifier': {'backbone.': 'backbone.', 'neck.': 'neck.', 'head.': 'head.'},
}
#: Data sets of the host that deliver RGB; everything else is BGR, as decoded from files.
RGB_DATASETS = ('CIFAR10', 'CIFAR100')
_FIELDS = ('model', 'data_preprocessor', 'train_dataloader', 'val_dataloader', 'test_dataloader')
_SIZING = ('CenterCrop', 'RandomCrop', 'RandomResizedCrop', 'Resize')
_ANY_SIZE = 64


@dataclass(frozen=True)
class Source:
    """A plain classifier.

    Attributes:
        path: The checkpoint.
        backbone: Config of the backbone, in the words of mmpretrain.
        neck: Config of the neck, or None.
        head: Config of the head.
        weights: State dict of ``ImageClassifier(backbone, neck, head)``.
        normalisation: ``mean`` and ``std`` of pixels 0..255, or None each, and ``channel_order``:
            RGB, BGR or grey.
        input_size: (C, H, W) of a test image.
        meta: Where the weights are from: config, epoch, metric, hash, ...
    """

    path: str
    backbone: dict[str, Any]
    neck: dict[str, Any] | None
    head: dict[str, Any]
    weights: dict[str, Tensor]
    normalisation: dict[str, Any]
    input_size: tuple[int, int, int]
    meta: dict[str, Any]

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return int(self.head['num_classes'])

    def build(self) -> ImageClassifier:
        """Returns the classifier in evaluation mode, with its weights.

        Raises:
            ValueError: If they do not fit the config in the checkpoint.
        """
        try:
            model = ImageClassifier(backbone=self.backbone, neck=self.neck, head=self.head)
            model.load_state_dict(self.weights, strict=True)
        except (AssertionError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f'the weights in {self.path} do not fit the config in it: {str(error)[:300]}'
            ) from error
        return model.eval()

    def images(self) -> Tensor:
        """Returns two normalised images (2, C, H, W), always the same noise."""
        return torch.randn((2, *self.input_size), generator=torch.Generator().manual_seed(0))


def read_source(
    path: str, encoder: str | None = None, head: str | None = None, trust: bool = False
) -> Source:
    """Reads a checkpoint of this project or of a plain classifier of mmpretrain.

    Nothing in it runs: neither its pickle nor the config in it, which is Python.

    Args:
        path: The checkpoint, with the config in it, as a training writes it.
        encoder: 'k' or 'q'; by default the one that answers in the training.
        head: 'onehot' or 'mix'; by default the one that answers in the training.
        trust: Let the pickle run what it asks for.

    Returns:
        The plain classifier.

    Raises:
        ValueError: If the file is no such checkpoint, is refused, or lacks the encoder or head.
    """
    checkpoint = read_checkpoint(path, trust=trust)
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict) or not isinstance(meta.get('cfg'), str):
        raise ValueError(
            f'{path} holds no config (meta.cfg), so its network is not known: expected a '
            'checkpoint that a training of mmengine wrote'
        )
    config = read_fields(meta['cfg'], _FIELDS)
    model = config.get('model') or {}
    kind = str(model.get('type', '')).rpartition('.')[2]
    if kind not in PREFIXES:
        raise ValueError(f'{path} is of a {kind or "model"}, expected one of {", ".join(PREFIXES)}')
    which, name = _choose(model, encoder, head) if kind == 'MomentumClassifier' else ('', '')
    if not which and (encoder or head):
        raise ValueError(
            f'{path} is of a plain classifier with one network and one head: leave --encoder and '
            '--head out'
        )
    parts = plain_network(model)
    return Source(
        path=path,
        **parts,
        weights=_pick(checkpoint, PREFIXES[kind], which, name),
        normalisation=_normalisation(model, config),
        input_size=_input_size(parts['backbone'], model, config),
        meta=_origin(path, checkpoint) | (dict(encoder=which, head=name) if which else {}),
    )


def _choose(model: Mapping[str, Any], encoder: str | None, head: str | None) -> tuple[str, str]:
    """Returns encoder and head, by default those behind the reported accuracy."""
    last = 'q' if model.get('momentum') is None else 'k'
    reported = str(model.get('report') or f'mix_{last}')
    default_head, _, default_encoder = reported.rpartition('_')
    if encoder == 'k' and last == 'q':
        raise ValueError('this training has no encoder k (momentum=None): take --encoder q')
    if head == 'onehot' and not model.get('onehot', True):
        raise ValueError('this training has no one-hot head (onehot=False): take --head mix')
    return encoder or default_encoder, head or default_head


def _pick(
    checkpoint: Mapping[str, Any], prefixes: Mapping[str, str], encoder: str, head: str
) -> dict[str, Tensor]:
    state = checkpoint.get('state_dict')
    if not isinstance(state, dict):
        raise ValueError('the checkpoint holds no state_dict')
    table = {key.format(encoder=encoder, head=head): new for key, new in prefixes.items()}
    weights = {}
    for key, value in state.items():
        name = str(key).removeprefix('module.')
        for prefix, new in table.items():
            if name.startswith(prefix) and isinstance(value, Tensor):
                weights[new + name[len(prefix) :]] = value.detach().cpu().contiguous()
    return weights


def _preprocessor(model: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return model.get('data_preprocessor') or config.get('data_preprocessor') or {}


def _normalisation(model: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    fields = _preprocessor(model, config)
    delivered = 'BGR'
    if _dataset(config).get('type') in RGB_DATASETS:
        delivered = 'RGB'
    order = delivered[::-1] if fields.get('to_rgb') else delivered
    if fields.get('type') == 'automix_mm.ArrayPreprocessor':
        order = 'RGB'  # its batches are, whatever to_rgb says of single images
    if model['backbone'].get('in_channels', 3) == 1:
        order = 'grey'
    mean, std = (fields.get(name) and [float(v) for v in fields[name]] for name in ('mean', 'std'))
    return dict(mean=mean, std=std, channel_order=order)


def _dataset(config: Mapping[str, Any]) -> dict[str, Any]:
    loader = config.get('test_dataloader') or config.get('val_dataloader') or {}
    return loader.get('dataset') or {}


def _input_size(
    backbone: Mapping[str, Any], model: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[int, int, int]:
    """Returns the size of test images, or else of training crops, where the config tells it."""
    loader = config.get('train_dataloader') or {}
    crops = [
        *(_preprocessor(model, config).get('transforms') or ()),
        *((loader.get('dataset') or {}).get('pipeline') or ()),
        *(_dataset(config).get('pipeline') or ()),  # the last one counts
    ]
    size: Any = _ANY_SIZE
    for step in crops:
        if step.get('type') in _SIZING:
            size = step.get('crop_size') or step.get('scale') or size
    size = backbone.get('img_size', size)
    height, width = (size, size) if isinstance(size, int) else (size[-2], size[-1])
    return int(backbone.get('in_channels', 3)), int(height), int(width)


def _origin(path: str, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of the weights' origin, as plain data."""
    meta = checkpoint['meta']
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    experiment = str(meta.get('experiment_name') or '')
    return dict(
        source=osp.basename(os.fspath(path)),
        source_sha256=digest.hexdigest(),
        config_name=re.sub(r'(\.run)?_\d{8}_\d{6}$', '', experiment),
        config=meta['cfg'],
        epoch=meta.get('epoch'),
        iter=meta.get('iter'),
        metric=_scores(checkpoint),
        dataset_meta=_plain(meta.get('dataset_meta') or {}),
        automix_mm_version=automix_mm.__version__,
    )


def _plain(value: Any) -> Any:
    """Returns lists in the place of arrays, so that any reader can read them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, 'tolist') else value


def _scores(checkpoint: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of the last validation before the checkpoint was written."""
    hub = checkpoint.get('message_hub')
    scalars = hub.get('log_scalars', {}) if isinstance(hub, dict) else {}
    return {
        name.removeprefix('val/'): float(buffer.current())
        for name, buffer in scalars.items()
        if name.startswith('val/')
        and isinstance(buffer, HistoryBuffer)
        and not name.endswith('time')
        and len(buffer.data[0])
    }

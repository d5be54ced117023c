"""A checkpoint of a training as a plain classifier: its network, weights and origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmpretrain.models import ImageClassifier
from torch import Tensor

from automix_mm.engine.reader import read_checkpoint

from .config_text import read_fields
from .images import input_size, normalisation
from .network import plain_network
from .origin import origin

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
_FIELDS = ('model', 'data_preprocessor', 'train_dataloader', 'val_dataloader', 'test_dataloader')


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
        except Exception as error:  # of a config that is not trusted: any
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
    try:
        return _source(path, checkpoint, config, encoder, head)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError) as error:
        raise ValueError(
            f'the config in {path} is not that of a classifier ({type(error).__name__}: {error})'
        ) from error


def _source(
    path: str,
    checkpoint: Mapping[str, Any],
    config: Mapping[str, Any],
    encoder: str | None,
    head: str | None,
) -> Source:
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
    try:
        images: dict[str, Any] = dict(
            normalisation=normalisation(config), input_size=input_size(config)
        )
    except ValueError as error:
        raise ValueError(f'the config in {path} names impossible images: {error}') from error
    return Source(
        path=path,
        **parts,
        weights=_pick(checkpoint, PREFIXES[kind], which, name),
        **images,
        meta=origin(path, checkpoint) | (dict(encoder=which, head=name) if which else {}),
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
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise ValueError('the checkpoint holds no state_dict with names of weights')
    table = {key.format(encoder=encoder, head=head): new for key, new in prefixes.items()}
    weights = {}
    for key, value in state.items():
        name = key.removeprefix('module.')  # of DistributedDataParallel
        for prefix, new in table.items():
            if name.startswith(prefix):
                weights[new + name[len(prefix) :]] = value
    return weights

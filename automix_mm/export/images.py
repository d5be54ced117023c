"""What images a classifier takes, as the config of its training tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Data sets of the host that deliver RGB; everything else is BGR, as decoded from files.
RGB_DATASETS = ('CIFAR10', 'CIFAR100')
_SIZING = ('CenterCrop', 'RandomCrop', 'RandomResizedCrop', 'Resize')
#: Of these, the ones that are told (width, height).
_WIDTH_FIRST = ('CenterCrop', 'Resize')
_ANY_SIZE = 64
_LARGEST = 4096


def normalisation(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what happens to pixels before the first layer.

    Args:
        config: ``model``, ``data_preprocessor`` and the data loaders.

    Returns:
        ``mean`` and ``std`` of pixels 0..255, or None each, and ``channel_order``: RGB, BGR or
        grey.
    """
    fields = _preprocessor(config)
    delivered = 'BGR'
    if str(_dataset(config).get('type')).removeprefix('mmpretrain.') in RGB_DATASETS:
        delivered = 'RGB'
    order = delivered[::-1] if fields.get('to_rgb') else delivered
    if fields.get('type') == 'automix_mm.ArrayPreprocessor':
        order = 'RGB'  # its batches are, whatever to_rgb says of single images
    if config['model']['backbone'].get('in_channels', 3) == 1:
        order = 'grey'
    mean, std = (fields.get(name) and [float(v) for v in fields[name]] for name in ('mean', 'std'))
    return dict(mean=mean, std=std, channel_order=order)


def input_size(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Returns the size of test images, or else of training crops, where the config tells it.

    Args:
        config: ``model``, ``data_preprocessor`` and the data loaders.

    Returns:
        Channels, height and width.

    Raises:
        ValueError: If no image has such a size.
    """
    loader = config.get('train_dataloader') or {}
    steps = [
        *(_preprocessor(config).get('transforms') or ()),
        *((loader.get('dataset') or {}).get('pipeline') or ()),
        *(_dataset(config).get('pipeline') or ()),  # the last one counts
    ]
    size: Any = _ANY_SIZE
    for step in steps:
        told = step.get('crop_size') or step.get('scale')
        if step.get('type') in _SIZING and told:
            size = told[::-1] if step['type'] in _WIDTH_FIRST and _is_pair(told) else told
    backbone = config['model']['backbone']
    size = backbone.get('img_size', size)
    height, width = size if _is_pair(size) else (size, size)
    shape = int(backbone.get('in_channels', 3)), int(height), int(width)
    if not all(0 < side <= _LARGEST for side in shape):
        raise ValueError(f'test images of shape {shape}')
    return shape


def _is_pair(size: Any) -> bool:
    return isinstance(size, (list, tuple))


def _preprocessor(config: Mapping[str, Any]) -> dict[str, Any]:
    return config['model'].get('data_preprocessor') or config.get('data_preprocessor') or {}


def _dataset(config: Mapping[str, Any]) -> dict[str, Any]:
    loader = config.get('test_dataloader') or config.get('val_dataloader') or {}
    return loader.get('dataset') or {}

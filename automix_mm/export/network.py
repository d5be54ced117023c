"""The network of a classifier's config, without what belongs to its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmpretrain.registry import MODELS as HOST_MODELS
from torch import nn

from automix_mm.registry import MODELS

#: Fields that have no part in inference.
TRAINING_FIELDS = ('init_cfg', 'pretrained', 'loss')
#: Layers and heads that compute the same at inference.
EQUAL_AT_INFERENCE = {
    'automix_mm.MixupHead': 'LinearClsHead',
    'SyncBN': 'BN',
    'MMSyncBN': 'BN',
}
#: Where the classes of a network may be defined. A config can name any function of any module;
#: the host would call it.
MODULES = (
    'automix_mm.models',
    'mmcv.cnn',
    'mmengine.model',
    'mmpretrain.models.backbones',
    'mmpretrain.models.heads',
    'mmpretrain.models.necks',
    'mmpretrain.models.utils',
    'torch.nn',
)
#: Of these, the ones that load weights by themselves.
LOADING_MODULES = ('mmpretrain.models.backbones.timm_backbone',)


def plain_network(model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configs of backbone, neck and head of a classifier.

    Args:
        model: Config of the classifier, not trusted.

    Returns:
        ``backbone``, ``neck`` (or None) and ``head``, all of registered networks.

    Raises:
        ValueError: If a part is missing, or not a network of mmpretrain or of this package.
    """
    parts = {name: _plain(model.get(name)) for name in ('backbone', 'neck', 'head')}
    for name in ('backbone', 'head'):
        if not isinstance(parts[name], dict) or 'type' not in parts[name]:
            raise ValueError(f'the config in the checkpoint has no {name}')
    _check_types(parts)
    return parts


def _plain(value: Any) -> Any:
    """Leaves training out, the host's own scope too."""
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if not isinstance(value, dict):
        return value
    kept = {key: _plain(item) for key, item in value.items() if key not in TRAINING_FIELDS}
    if isinstance(kept.get('type'), str):
        name = kept['type'].removeprefix('mmpretrain.')
        kept['type'] = EQUAL_AT_INFERENCE.get(name, name)
    return kept


def _check_types(value: Any) -> None:
    if isinstance(value, (list, tuple)):
        for item in value:
            _check_types(item)
    if not isinstance(value, dict):
        return
    if 'type' in value and not _is_network(value['type']):
        raise ValueError(
            f'the config in the checkpoint names {value["type"]!r}, which is no network of '
            'mmpretrain or automix_mm'
        )
    for item in value.values():
        _check_types(item)


def _is_network(name: Any) -> bool:
    """Looks a name up among the registered classes only: the host would import any other."""
    if not isinstance(name, str):
        return False
    HOST_MODELS.import_from_location()
    MODELS.import_from_location()
    scope, _, bare = name.rpartition('.')
    registries = {'': (HOST_MODELS, HOST_MODELS.parent), 'automix_mm': (MODELS,)}.get(scope, ())
    for registry in registries:
        cls = registry.module_dict.get(bare)
        if cls is not None:
            place = getattr(cls, '__module__', '')
            return (
                isinstance(cls, type)
                and issubclass(cls, nn.Module)
                and any(place == m or place.startswith(m + '.') for m in MODULES)
                and place not in LOADING_MODULES
            )
    return False

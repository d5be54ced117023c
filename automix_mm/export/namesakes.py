"""Networks that other frameworks have too: which ones, under which name, and why not others."""

from __future__ import annotations

from typing import Any, NamedTuple

from .source import Source

#: (type, depth, groups, width per group) of mmpretrain, and the name in torchvision and timm.
NAMES = {
    ('ResNet', 18, 1, 4): 'resnet18',
    ('ResNet', 34, 1, 4): 'resnet34',
    ('ResNet', 50, 1, 4): 'resnet50',
    ('ResNet', 101, 1, 4): 'resnet101',
    ('ResNet', 152, 1, 4): 'resnet152',
    ('ResNeXt', 50, 32, 4): 'resnext50_32x4d',
    ('ResNeXt', 101, 32, 8): 'resnext101_32x8d',
    ('ResNeXt', 101, 64, 4): 'resnext101_64x4d',
}
#: What mmpretrain takes where a config is silent.
GROUPS = {'ResNet': (1, 4), 'ResNeXt': (32, 4)}
CIFAR_STEMS = ('ResNet_CIFAR', 'automix_mm.ResNeXt_CIFAR')
#: Fields with which two ResNets of one name are one network.
STANDARD: dict[str, Any] = dict(
    in_channels=3,
    stem_channels=64,
    base_channels=64,
    expansion=None,
    num_stages=4,
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
    style='pytorch',
    deep_stem=False,
    avg_down=False,
    conv_cfg=None,
    norm_cfg=dict(type='BN'),
)
#: Of these, the ones that mmdet has as fields, so that other values are no obstacle there.
MMDET_FIELDS = tuple(name for name in STANDARD if name not in ('expansion', 'deep_stem'))
#: Fields without a part in the values of the last stage at inference.
NEUTRAL = (
    *('type', 'depth', 'groups', 'width_per_group', 'out_indices'),
    *('frozen_stages', 'norm_eval', 'with_cp', 'zero_init_residual', 'drop_path_rate'),
)
#: Parts of a normalisation layer's config that are of the training.
NORM_TRAINING = ('requires_grad', 'momentum')


class Namesake(NamedTuple):
    """A network of another framework.

    Attributes:
        name: Its name there.
        fields: What its config has to say beside the name.
    """

    name: str
    fields: dict[str, Any]


def find_named(source: Source, framework: str) -> Namesake:
    """Finds the classifier of torchvision and timm that is the source's network.

    Args:
        source: The plain classifier.
        framework: Its name, for messages.

    Returns:
        The network's name, such as ``resnet50``.

    Raises:
        ValueError: If there is none; with the reason.
    """
    _check_type(source, framework)
    _check_fields(source, framework, tuple(STANDARD))
    kind, backbone = source.backbone['type'], source.backbone
    groups, width = GROUPS[kind]
    key = (
        kind,
        backbone.get('depth'),
        backbone.get('groups', groups),
        backbone.get('width_per_group', width),
    )
    if key not in NAMES:
        raise _refusal(source, framework, f'no {kind} of depth, groups and width {key[1:]}')
    if (source.neck or {}).get('type') != 'GlobalAveragePooling':
        raise _refusal(source, framework, 'only global average pooling before the head')
    if source.head['type'] != 'LinearClsHead':
        raise _refusal(source, framework, f'a single linear layer, not a {source.head["type"]}')
    return Namesake(NAMES[key], {})


def find_mmdet(source: Source, framework: str) -> Namesake:
    """Finds the backbone of mmdet that is the source's.

    Args:
        source: The plain classifier.
        framework: 'mmdet', for messages.

    Returns:
        Its type and the fields of its config.

    Raises:
        ValueError: If there is none; with the reason.
    """
    _check_type(source, framework)
    _check_fields(source, framework, ('expansion', 'deep_stem'))
    kind, backbone = source.backbone['type'], source.backbone
    fields = {name: backbone[name] for name in ('depth', *MMDET_FIELDS) if name in backbone}
    fields = {key: value for key, value in fields.items() if not _equal(value, STANDARD.get(key))}
    if kind == 'ResNeXt':
        groups, width = GROUPS[kind]
        fields['groups'] = backbone.get('groups', groups)
        fields['base_width'] = backbone.get('width_per_group', width)
    if 'base_channels' in fields:  # mmdet makes the stem as wide as the first stage
        fields.setdefault('stem_channels', backbone.get('stem_channels', 64))
    return Namesake(kind, fields)


def find_any(source: Source, framework: str) -> Namesake:
    """Takes every network: the target keeps it as it is."""
    return Namesake(source.backbone['type'], {})


def _check_type(source: Source, framework: str) -> None:
    kind = source.backbone['type']
    if kind in CIFAR_STEMS:
        raise _refusal(
            source,
            framework,
            'no ResNet with a CIFAR stem (one 3x3 convolution of stride 1); its own begin with a '
            '7x7 convolution of stride 2 and a max-pooling',
        )
    if kind not in GROUPS:
        raise _refusal(source, framework, f'no network known here to be equal to {kind}')


def _check_fields(source: Source, framework: str, names: tuple[str, ...]) -> None:
    for name, value in source.backbone.items():
        if name in names and not _equal(value, STANDARD[name]):
            raise _refusal(
                source, framework, f'only networks with {name}={STANDARD[name]!r}, not {value!r}'
            )
        if name not in STANDARD and name not in NEUTRAL:
            raise _refusal(source, framework, f'nothing known here to be equal to {name}={value!r}')
    last = source.backbone.get('num_stages', 4) - 1
    if max(source.backbone.get('out_indices', (last,))) != last:
        raise _refusal(source, framework, 'only networks that end with their last stage')


def _equal(value: Any, standard: Any) -> bool:
    if isinstance(value, dict):
        value = {key: part for key, part in value.items() if key not in NORM_TRAINING}
    return (tuple(value) if isinstance(value, list) else value) == standard


def _refusal(source: Source, framework: str, reason: str) -> ValueError:
    return ValueError(
        f'{framework} cannot take {source.backbone["type"]} from {source.path}: it has {reason}. '
        'The targets mmpretrain, onnx and torchscript take any network.'
    )

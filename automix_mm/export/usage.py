"""Lines that say how an exported file is used: code, normalisation and order of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .namesakes import Namesake
from .source import Source


def describe(source: Source, difference: float | None) -> str:
    """Returns the lines that are the same for all targets.

    Args:
        source: The plain classifier.
        difference: Largest difference of the logits, or None if there are none to compare.
    """
    values = source.normalisation
    lines = [f'Input: {values["channel_order"]} images, {_normalisation(values)}.']
    if difference is not None:
        lines.append(f'Largest difference of a logit from {source.path}: {difference:.1g}.')
    return '\n'.join(lines)


def _normalisation(values: Mapping[str, Any]) -> str:
    if values['mean'] is None:
        return 'pixels from 0 to 255 as they are'
    mean, std = values['mean'], values['std']
    return (
        f'(pixel - mean) / std of pixels from 0 to 255: mean {mean}, std {std}; '
        f'of pixels from 0 to 1: mean {_of_one(mean)}, std {_of_one(std)}'
    )


def _of_one(values: list[float]) -> list[float]:
    return [round(value / 255, 6) for value in values]


def _fields(values: Mapping[str, Any]) -> str:
    return ', '.join(f'{key}={_text(value)}' for key, value in values.items() if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f'dict({_fields(value)})'
    return repr(value)


def _preprocessor(source: Source, switch: str) -> str:
    """Returns the fields of a host's preprocessor, which gets BGR images from files."""
    values = source.normalisation
    numbers = {key: values[key] for key in ('mean', 'std')}
    return _fields(numbers | {switch: values['channel_order'] == 'RGB'})


def _mmpretrain(source: Source, network: Namesake, out: str) -> str:
    parts = dict(backbone=source.backbone, neck=source.neck, head=source.head)
    lines = [
        'In a config of mmpretrain, for images from files, which it decodes as BGR:',
        f"  model = dict(type='ImageClassifier', {_fields(parts)})",
        f'  data_preprocessor = dict(num_classes={source.num_classes}, '
        f'{_preprocessor(source, "to_rgb")})',
        f'  load_from = {out!r}',
        '',
    ]
    return '\n'.join(lines)


def _mmdet(source: Source, network: Namesake, out: str) -> str:
    fields = _fields(dict(type=network.name) | network.fields)
    lines = [
        'In a config of mmdet:',
        '  model = dict(',
        '      data_preprocessor=dict(',
        f"          type='DetDataPreprocessor', {_preprocessor(source, 'bgr_to_rgb')}, "
        'pad_size_divisor=32),',
        f'      backbone=dict({fields},',
        f"          init_cfg=dict(type='Pretrained', checkpoint={out!r})))",
        '',
    ]
    return '\n'.join(lines)


def _named(call: str, module: str) -> Callable[[Source, Namesake, str], str]:
    def lines(source: Source, network: Namesake, out: str) -> str:
        build = call.format(name=network.name, classes=source.num_classes)
        return '\n'.join(
            [
                f'  import torch, {module}',
                f'  model = {build}',
                f"  weights = torch.load({out!r}, weights_only=True)['state_dict']",
                '  model.load_state_dict(weights)',
                '  model.eval()',
                '',
            ]
        )

    return lines


def _onnx(source: Source, network: Namesake, out: str) -> str:
    shape = ' x '.join(map(str, source.input_size))
    return '\n'.join(
        [
            '  import onnxruntime',
            f'  session = onnxruntime.InferenceSession({out!r})',
            f"  (logits,) = session.run(['logits'], dict(images=images))  # float32, N x {shape}",
            '',
        ]
    )


def _torchscript(source: Source, network: Namesake, out: str) -> str:
    shape = ' x '.join(map(str, source.input_size))
    return '\n'.join(
        [
            '  import torch',
            f'  model = torch.jit.load({out!r})',
            f'  logits = model(images)  # float32, N x {shape}',
            '',
        ]
    )


USAGE: dict[str, Callable[[Source, Namesake, str], str]] = {
    'mmpretrain': _mmpretrain,
    'mmdet': _mmdet,
    'torchvision': _named(
        "torchvision.models.get_model('{name}', num_classes={classes})", 'torchvision'
    ),
    'timm': _named("timm.create_model('{name}', num_classes={classes})", 'timm'),
    'onnx': _onnx,
    'torchscript': _torchscript,
}

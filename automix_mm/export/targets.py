"""The six targets: how each names the weights, how a file for it is written and read back."""

from __future__ import annotations

import importlib
import json
import os
import os.path as osp
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from automix_mm.hooks.checkpoint_hook import UNFINISHED, publish

from .namesakes import Namesake, find_any, find_mmdet, find_named
from .source import Source
from .usage import USAGE, describe

TOLERANCE = 1e-5
"""How far logits may be from the source's, absolute and relative."""
Network = Callable[[Tensor], Tensor]


class Target(NamedTuple):
    """One target.

    Attributes:
        find: Finds its network or says why there is none.
        write: Writes the file.
        load: Reads it back as that framework does; None where that needs more than a classifier.
        prefixes: Names of weights in the plain classifier, and what the target calls them; others
            are left out.
        needs: Modules that writing and reading need, from the extra `export`.
    """

    find: Callable[[Source, str], Namesake]
    write: Callable[[Source, Target, Namesake, str], None]
    load: Callable[[Source, Namesake, str], Network] | None
    prefixes: Mapping[str, str] = {}
    needs: tuple[str, ...] = ()


def export(source: Source, name: str, out: str) -> str:
    """Writes a classifier for a target, and compares what was written with the source.

    The file gets its name only when it is whole and its logits are right.

    Args:
        source: The plain classifier.
        name: One of :data:`TARGETS`.
        out: File to write; an existing one is replaced.

    Returns:
        Lines on how to use the file.

    Raises:
        ValueError: If the target does not know the network, a module is missing, the file would
            replace the source, or the logits differ. Nothing is left behind then.
    """
    target = TARGETS[name]
    if osp.exists(out) and osp.samefile(out, source.path):
        raise ValueError(f'--out would replace the checkpoint {out} itself: choose another file')
    if not osp.isdir(osp.dirname(osp.abspath(out))):
        raise ValueError(f'there is no folder {osp.dirname(osp.abspath(out))} for --out')
    network = target.find(source, name)
    for module in target.needs:
        _require(module)
    unfinished = out + UNFINISHED
    try:
        with torch.no_grad():
            target.write(source, target, network, unfinished)
            difference = _compare(source, target, network, unfinished)
        publish(unfinished, out)
    finally:
        if osp.exists(unfinished):
            os.remove(unfinished)
    return USAGE[name](source, network, out) + describe(source, difference)


def _require(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f'this target needs {module} ({error}): pip install "mm-automix[export]"'
        ) from error


def _compare(source: Source, target: Target, network: Namesake, path: str) -> float | None:
    """Returns the largest difference of the logits, None where there are none to compare."""
    expected = source.build()(source.images())  # (2, K)
    if target.load is None:
        return None
    found = target.load(source, network, path)(source.images())
    difference = float((found - expected).abs().max())
    if not torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise ValueError(
            f'the logits of the exported network differ from those of {source.path} by '
            f'{difference:.2g}, more than {TOLERANCE:g}: nothing was written'
        )
    return difference


def _meta(source: Source, network: Namesake) -> dict[str, Any]:
    parts = dict(backbone=source.backbone, neck=source.neck, head=source.head)
    size = list(source.input_size)
    shown = dict(network=network.name, classifier=parts, input_size=size)
    return source.meta | source.normalisation | shown


# ------------------------------------------------------------------------------ state dicts


def _write_weights(source: Source, target: Target, network: Namesake, path: str) -> None:
    weights = {
        new + key[len(prefix) :]: value
        for key, value in source.weights.items()
        for prefix, new in target.prefixes.items()
        if key.startswith(prefix)
    }
    torch.save(dict(meta=_meta(source, network), state_dict=weights), path)


def _read_weights(path: str) -> dict[str, Tensor]:
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict']


def _load_mmpretrain(source: Source, network: Namesake, path: str) -> Network:
    model = source.build()
    model.load_state_dict(_read_weights(path), strict=True)
    return model


def _load_torchvision(source: Source, network: Namesake, path: str) -> Network:
    import torchvision

    model = torchvision.models.get_model(network.name, num_classes=source.num_classes)
    model.load_state_dict(_read_weights(path), strict=True)
    return model.eval()


def _load_timm(source: Source, network: Namesake, path: str) -> Network:
    import timm

    model = timm.create_model(network.name, num_classes=source.num_classes)
    model.load_state_dict(_read_weights(path), strict=True)
    return model.eval()


# ----------------------------------------------------------------------------------- graphs


class _Logits(nn.Module):
    """A classifier with images as its only input."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (N, K) of normalised images (N, C, H, W)."""
        return self.classifier(images)


def _write_torchscript(source: Source, target: Target, network: Namesake, path: str) -> None:
    traced = torch.jit.trace(_Logits(source.build()).eval(), source.images())
    meta = json.dumps(_meta(source, network))
    torch.jit.save(traced, path, _extra_files={'metadata.json': meta})


def _load_torchscript(source: Source, network: Namesake, path: str) -> Network:
    return torch.jit.load(path, map_location='cpu')


def _write_onnx(source: Source, target: Target, network: Namesake, path: str) -> None:
    import onnx

    program = torch.onnx.export(
        _Logits(source.build()).eval(),
        (source.images(),),
        input_names=['images'],
        output_names=['logits'],
        dynamic_shapes=dict(images=dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)),
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto  # type: ignore[union-attr]
    meta = {key: value for key, value in _meta(source, network).items() if value is not None}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in meta.items()}
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, path)


def _load_onnx(source: Source, network: Namesake, path: str) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run(['logits'], dict(images=images.numpy()))
        return torch.from_numpy(np.asarray(logits))

    return run


_PLAIN_NAMES = {'backbone.': 'backbone.', 'neck.': 'neck.', 'head.': 'head.'}
_NAMED = {'backbone.': '', 'head.fc.': 'fc.'}

TARGETS = {
    'mmpretrain': Target(find_any, _write_weights, _load_mmpretrain, _PLAIN_NAMES),
    'mmdet': Target(find_mmdet, _write_weights, None, {'backbone.': ''}),
    'torchvision': Target(find_named, _write_weights, _load_torchvision, _NAMED),
    'timm': Target(find_named, _write_weights, _load_timm, _NAMED, ('timm',)),
    'onnx': Target(find_any, _write_onnx, _load_onnx, needs=('onnx', 'onnxscript', 'onnxruntime')),
    'torchscript': Target(find_any, _write_torchscript, _load_torchscript),
}

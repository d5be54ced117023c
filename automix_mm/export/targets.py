"""The six targets: how each names the weights, how a file for it is written and read back."""

from __future__ import annotations

import importlib
import json
import os.path as osp
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
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
Pack = Callable[[nn.Module, dict[str, Any]], bytes]


class Target(NamedTuple):
    """One target.

    Attributes:
        find: Finds its network or says why there is none.
        pack: Makes the file's content of the classifier and the metadata. Not a file: libraries
            that run into a full disk may end the process.
        load: Reads it back as that framework does; None where that needs more than a classifier.
        needs: Modules that writing and reading need, from the extra `export`.
    """

    find: Callable[[Source, str], Namesake]
    pack: Pack
    load: Callable[[Source, Namesake, str], Network] | None
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
        ValueError: If the target does not know the network, a module is missing, ``out`` cannot be
            written or would replace the source, or the logits differ. Nothing is left behind then.
    """
    target = TARGETS[name]
    _check_out(out, source.path)
    network = target.find(source, name)
    for module in target.needs:
        _require(module)
    classifier = source.build()
    difference = None
    folder, file_name = osp.split(osp.abspath(out))
    try:
        # A folder takes whatever else a target writes, and is no file of the user's.
        with TemporaryDirectory(UNFINISHED, file_name + '.', folder) as unfinished, torch.no_grad():
            path = osp.join(unfinished, file_name)
            expected = _logits(classifier, source)
            Path(path).write_bytes(target.pack(classifier, _meta(source, network)))
            if target.load is not None:
                difference = _compare(source, expected, target.load(source, network, path))
            publish(path, out)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().split('\n')[0]
        raise ValueError(f'could not write {out} for {name}: {reason}') from error
    return USAGE[name](source, network, out) + describe(source, difference)


def _check_out(out: str, source: str) -> None:
    folder = osp.dirname(osp.abspath(out))
    if not osp.isdir(folder):
        raise ValueError(f'there is no folder {folder} for --out')
    if not osp.exists(out):
        return
    if osp.samefile(out, source):
        raise ValueError(f'--out would replace the checkpoint {out} itself: choose another file')
    if not osp.isfile(out):
        raise ValueError(f'--out names a folder or a device, {out}: expected the name of a file')


def _require(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f'this target needs {module} ({error}): pip install "mm-automix[export]"'
        ) from error


def _logits(classifier: nn.Module, source: Source) -> Tensor:
    logits = classifier(source.images())  # (2, K)
    if not logits.isfinite().all():
        raise ValueError(
            f'the logits of the network in {source.path} are not finite: its training diverged'
        )
    return logits


def _compare(source: Source, expected: Tensor, load: Network) -> float:
    """Returns the largest difference of the logits."""
    found = load(source.images())
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


def _weights_under(prefixes: Mapping[str, str]) -> Pack:
    """Makes what packs weights.

    Args:
        prefixes: Names of weights in the plain classifier, and what the target calls them; others
            are left out.
    """

    def pack(classifier: nn.Module, meta: dict[str, Any]) -> bytes:
        weights = {
            new + key[len(prefix) :]: value
            for key, value in classifier.state_dict().items()
            for prefix, new in prefixes.items()
            if key.startswith(prefix)
        }
        content = BytesIO()
        torch.save(dict(meta=meta, state_dict=weights), content)
        return content.getvalue()

    return pack


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


def _example(meta: Mapping[str, Any]) -> Tensor:
    return torch.zeros(2, *meta['input_size'])


def _pack_torchscript(classifier: nn.Module, meta: dict[str, Any]) -> bytes:
    traced = torch.jit.trace(_Logits(classifier).eval(), _example(meta))
    content = BytesIO()
    torch.jit.save(traced, content, _extra_files={'metadata.json': json.dumps(meta)})
    return content.getvalue()


def _load_torchscript(source: Source, network: Namesake, path: str) -> Network:
    return torch.jit.load(path, map_location='cpu')


def _pack_onnx(classifier: nn.Module, meta: dict[str, Any]) -> bytes:
    import onnx

    program = torch.onnx.export(
        _Logits(classifier).eval(),
        (_example(meta),),
        input_names=['images'],
        output_names=['logits'],
        dynamic_shapes=dict(images=dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)),
        dynamo=True,
        verbose=False,
    )
    model = program.model_proto  # type: ignore[union-attr]
    known = {key: value for key, value in meta.items() if value is not None}
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in known.items()}
    onnx.helper.set_model_props(model, texts)
    return model.SerializeToString()


def _load_onnx(source: Source, network: Namesake, path: str) -> Network:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run(['logits'], dict(images=images.numpy()))
        return torch.from_numpy(np.asarray(logits))

    return run


_PLAIN = _weights_under({'backbone.': 'backbone.', 'neck.': 'neck.', 'head.': 'head.'})
_BACKBONE = _weights_under({'backbone.': ''})
_NAMED = _weights_under({'backbone.': '', 'head.fc.': 'fc.'})

TARGETS = {
    'mmpretrain': Target(find_any, _PLAIN, _load_mmpretrain),
    'mmdet': Target(find_mmdet, _BACKBONE, None),
    'torchvision': Target(find_named, _NAMED, _load_torchvision),
    'timm': Target(find_named, _NAMED, _load_timm, ('timm',)),
    'onnx': Target(find_any, _pack_onnx, _load_onnx, ('onnx', 'onnxscript', 'onnxruntime')),
    'torchscript': Target(find_any, _pack_torchscript, _load_torchscript),
}

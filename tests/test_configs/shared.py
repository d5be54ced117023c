"""What the tests of the configs share: the list of configs, cached, and how to build one."""

import ast
import copy
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn
from torch.overrides import TorchFunctionMode

import automix_mm  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
DETECTION = CONFIGS / 'detection'
"""Its configs are of another host and have tests of their own."""
LEAVES = sorted(
    path
    for path in CONFIGS.glob('*/*.py')
    if path.parent.name != '_base_' and path.parent != DETECTION
)
METAFILES = sorted(CONFIGS.glob('*/metafile.yml'))


def ids(path: Path) -> str:
    """Test name of a config."""
    return path.stem


def leaf(name: str) -> Path:
    """The config of that base name."""
    (path,) = (path for path in LEAVES if path.stem == name)
    return path


def docstring(path: Path) -> str:
    """The docstring of a config, all on one line."""
    return ' '.join(str(ast.get_docstring(ast.parse(path.read_text()))).split())


@functools.cache
def config(path: Path) -> Config:
    """The parsed config, shared between tests: not to be changed."""
    return Config.fromfile(path)


class _NoStorage(TorchFunctionMode):
    """Parameters, which modules make by torch.empty, get no memory and no initial values."""

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: dict | None = None
    ) -> Any:
        fields = dict(device='meta') if func is torch.empty else {}
        return func(*args, **fields | (kwargs or {}))


@functools.cache
def _shared_backbone(fields: str) -> nn.Module:
    """The backbone of these fields, as JSON, on the device 'meta'."""
    with _NoStorage():
        return MODELS.build(json.loads(fields)).to('meta')


def _copied_backbone(fields: str) -> nn.Module:
    """A backbone for one model: copying takes a fraction of the time of building."""
    return copy.deepcopy(_shared_backbone(fields))


@functools.cache
def _channels(fields: str, shape: tuple[int, ...]) -> int:
    return _shared_backbone(fields)(torch.zeros(shape, device='meta'))[-1].shape[1]


def out_channels(cfg: Config, *shape: int) -> int:
    """Channels that the backbone of a config makes of images (N, C, H, W) of that shape."""
    return _channels(json.dumps(cfg.model.backbone), shape)


def build_meta(cfg: Config) -> nn.Module:
    """The model of a config on the device 'meta': shapes only, cheap.

    ``torch.device('meta')`` as a context would do, if backbones did not call ``item`` of a tensor.
    """
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    model.backbone = dict(type=_copied_backbone, fields=json.dumps(model.backbone))
    with _NoStorage():
        return MODELS.build(model).to('meta')


@functools.cache
def built(path: Path) -> nn.Module:
    """The model of a config on the device 'meta', shared between tests."""
    return build_meta(config(path))


def image_size(cfg: Config) -> int:
    """Height and width of the images of a config."""
    for step in cfg.data_preprocessor.get('transforms') or cfg.train_dataloader.dataset.pipeline:
        if step['type'] in ('RandomCrop', 'RandomResizedCrop'):
            return step.get('crop_size', step.get('scale'))
    raise AssertionError('no crop in the transforms')


def backbone(model: nn.Module) -> nn.Module:
    """The trained backbone of any classifier."""
    name = 'q.backbone' if hasattr(model, 'q') else 'backbone'
    return model.get_submodule(name)


def mixing(cfg: Config) -> Any:
    """Config of what mixes: the mixer of the classifier or its batch augment; None for vanilla."""
    if 'mixer' in cfg.model:
        return cfg.model.mixer
    return cfg.model.get('train_cfg', {}).get('augments')


def alpha_of(cfg: Config) -> float | None:
    """Parameter of Beta(alpha, alpha)."""
    fields = mixing(cfg)
    return None if fields is None else fields.get('pair', fields).alpha


@functools.cache
def metafile_models() -> list[tuple[str, dict]]:
    """Every classifier of every metafile, with its folder."""
    return [
        (path.parent.name, model)
        for path in METAFILES
        if path.parent != DETECTION
        for model in yaml.safe_load(path.read_text())['Models']
    ]


def metafile_entry(name: str) -> dict:
    """The one entry of that name."""
    (entry,) = (model for _, model in metafile_models() if model['Name'] == name)
    return entry


def check_figures(path: Path, score: float | None, table: Any) -> None:
    """Docstring, metafile and README give the paper's score, or all three say there is none."""
    text, entry = docstring(path), metafile_entry(path.stem)
    readme = (path.parent / 'README.md').read_text()
    if score is None:
        assert 'Paper: no cell; ' in text
        assert 'Results' not in entry
        assert re.search(rf'^\| {path.stem} \| .* \| none \|$', readme, re.MULTILINE)
        return
    assert f'Paper: arXiv 2103.13027 v1, Table {table}, row ' in text
    assert f'Expected: {score:.2f} %' in text
    (result,) = entry['Results']
    assert result['Metrics'] == {'Top 1 Accuracy (paper)': score}
    assert entry['Metadata']['Source'] == f'arXiv 2103.13027 v1, Table {table}'
    assert f' {score:.2f} |' in readme

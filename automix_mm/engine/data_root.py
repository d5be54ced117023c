"""Points a config to data that lie in another folder."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
_EVALUATORS = ('val_evaluator', 'test_evaluator')


def set_data_root(cfg: Config, root: str) -> None:
    """Sets the folder of every data set, and of the annotations that evaluators read.

    Args:
        cfg: The config, changed in place.
        root: The folder.

    Raises:
        ValueError: If there is no such folder, no data set names one, or two name different ones.
    """
    if not osp.isdir(root):
        raise ValueError(f'--data-root expects a folder with the data; there is no {root}.')
    datasets = [node for loader in _LOADERS for node in _with_key(cfg.get(loader), 'data_root')]
    old = {osp.join(node['data_root'], '') for node in datasets if node['data_root']}
    if len(old) != 1:
        named = ', '.join(sorted(old)) or 'none'
        raise ValueError(
            f'--data-root replaces the one data_root of a config; this one names {named}. '
            'Use --cfg-options with the field of each data set.'
        )
    (prefix,) = old
    for node in datasets:
        node['data_root'] = root
    for evaluator in _EVALUATORS:
        for node in _with_key(cfg.get(evaluator), 'ann_file'):
            if str(node['ann_file']).startswith(prefix):
                node['ann_file'] = osp.join(root, node['ann_file'].removeprefix(prefix))


def _with_key(value: Any, key: str) -> Iterator[dict]:
    """Every dict in nested dicts and lists that has a key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _with_key(inner, key)

"""Points a config to data that lie in another folder, and tells what is missing there."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
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


def require_data(cfg: Config, loaders: Sequence[str]) -> None:
    """Checks that the files and folders of a detector's data sets exist; nothing is read.

    The host finds out one by one, after it has built what comes before, and about images only in
    the first iteration. Data sets of classifiers are not looked at.

    Args:
        cfg: The config.
        loaders: Fields of the data loaders that will be read, of ``train_dataloader``,
            ``val_dataloader`` and ``test_dataloader``.

    Raises:
        ValueError: If an annotation file or a folder of images is missing.
    """
    if cfg.get('default_scope') != 'mmdet':
        return
    missing: list[str] = []
    roots = set()
    for field in loaders:
        for dataset in _with_key(cfg.get(field), 'ann_file'):
            if dataset.get('backend_args'):
                continue  # not on this machine
            roots.add(dataset.get('data_root') or '.')
            missing += _missing(dataset)
        for node in _with_key(cfg.get(field.replace('dataloader', 'evaluator')), 'ann_file'):
            if node['ann_file'] and not _is_there(node['ann_file']):
                missing.append(node['ann_file'])
    if missing:
        raise ValueError(
            f'There is no {", ".join(dict.fromkeys(missing))}. The data are expected in '
            f'{", ".join(sorted(roots))}: name their folder with --data-root. docs/detection.md '
            'has the layouts.'
        )


def _missing(dataset: dict) -> list[str]:
    """Paths that a data set names and that do not exist."""
    root = dataset.get('data_root') or ''
    paths = [osp.join(root, dataset['ann_file'])] if dataset['ann_file'] else []
    for key, prefix in (dataset.get('data_prefix') or {}).items():
        folder = osp.join(root, prefix)
        if key == 'sub_data_root':  # Pascal VOC
            parts = (('img_subdir', 'JPEGImages'), ('ann_subdir', 'Annotations'))
            paths += [osp.join(folder, dataset.get(part, default)) for part, default in parts]
        elif folder:
            paths.append(folder)
    return [path for path in paths if not _is_there(path)]


def _is_there(path: str) -> bool:
    return '://' in path or osp.exists(path)


def _with_key(value: Any, key: str) -> Iterator[dict]:
    """Every dict in nested dicts and lists that has a key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _with_key(inner, key)

"""Stops before anything is built where the weights to start from are missing."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from automix_mm.engine.resume import newest_whole


def require_pretrained(cfg: Config) -> None:
    """Checks that every local file named by `init_cfg=dict(type='Pretrained', ...)` exists.

    The host looks for it only after the data sets are read.

    Args:
        cfg: The config of a training.

    Raises:
        ValueError: If a file is missing. The message has the command that exports it.
    """
    for place, path in _pretrained(cfg.get('model'), 'model'):
        if '://' not in path and not osp.isfile(path):
            raise ValueError(_message(place, path))


def _pretrained(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Fields of a config that name initial weights, and the files."""
    if isinstance(value, dict):
        if value.get('type') == 'Pretrained' and value.get('checkpoint'):
            yield f'{place}.checkpoint', value['checkpoint']
    elif isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    else:
        return
    for key, inner in value.items():
        yield from _pretrained(inner, f'{place}.{key}')


def _message(place: str, path: str) -> str:
    run = osp.dirname(path) or '.'
    trained, _ = newest_whole(run)
    lines = [
        f'There is no {path}, which {place} names. No weights come with automix_mm; this command '
        'makes the file:',
        f'  python tools/export.py {trained or "CHECKPOINT"} --to mmdet --out {path}',
        f'Other weights: --cfg-options {place}=FILE_OR_ADDRESS; random ones: '
        f'{place.removesuffix(".checkpoint")}=None.',
    ]
    if trained is None:
        lines.insert(2, f'CHECKPOINT is the last one of a training, by default in {run}.')
    return '\n'.join(lines)

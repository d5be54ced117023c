"""Stops before anything is built where the weights to start from are missing."""

from __future__ import annotations

import os.path as osp
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from automix_mm.engine.reader import CheckpointError, find_damage, read_checkpoint
from automix_mm.engine.resume import newest_whole

_EXPORTED_PARTS = ('backbone', 'shared_head')


def require_pretrained(cfg: Config) -> None:
    """Checks every local file that `init_cfg=dict(type='Pretrained', ...)` names.

    The host looks for it only after the data sets are read, and starts from random weights where
    a file has none with the names of a backbone.

    Args:
        cfg: The config of a training.

    Raises:
        ValueError: If a file is missing, cut short, or a classifier that was not exported. The
            message has the command that exports it.
    """
    places = defaultdict(list)
    for place, init_cfg in _pretrained(cfg.get('model'), 'model'):
        if '://' not in init_cfg['checkpoint']:
            places[init_cfg['checkpoint']].append(place)
            if osp.isfile(init_cfg['checkpoint']):
                _check_file(place, init_cfg)
    for path, named_by in places.items():
        if not osp.isfile(path):
            raise ValueError(_message(named_by, path))


def _pretrained(value: Any, place: str) -> Iterator[tuple[str, dict]]:
    """Where a config names initial weights, and the fields there."""
    if isinstance(value, dict):
        if value.get('type') == 'Pretrained' and value.get('checkpoint'):
            yield place, value
    elif isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    else:
        return
    for key, inner in value.items():
        yield from _pretrained(inner, f'{place}.{key}')


def _check_file(place: str, init_cfg: dict) -> None:
    path = init_cfg['checkpoint']
    fault = find_damage(path)
    if fault is not None:
        raise ValueError(f'{place}.checkpoint names {path}, which cannot be used: {fault}.')
    part = place.split('.')[-2]
    if part not in _EXPORTED_PARTS or init_cfg.get('prefix'):
        return
    try:
        content = read_checkpoint(path)
    except CheckpointError:
        return  # where it is loaded, --trust decides
    weights = content.get('state_dict', content)
    inner = next((name for name in weights if 'backbone.' in str(name)), None)
    if inner is not None:
        raise ValueError(
            f'{place}.checkpoint names {path}, which holds a whole classifier (with {inner}): the '
            f'{part} would find none of its weights there and start from random ones. Export the '
            f'backbone and name the new file:\n  {_export(path, "BACKBONE.pth")}'
        )


def _export(source: str, out: str) -> str:
    return f'python tools/export.py {source} --to mmdet --out {out}'


def _message(places: list[str], path: str) -> str:
    run = osp.dirname(path) or '.'
    trained, _ = newest_whole(run)
    fields = [f'{place}.checkpoint' for place in places]
    other, random = (
        ' '.join(f'{field}={value}' for field in names)
        for names, value in ((fields, 'FILE_OR_ADDRESS'), (places, 'None'))
    )
    lines = [
        f'There is no {path}. Expected by: {", ".join(fields)}. No weights come with automix_mm; '
        'this command makes the file:',
        f'  {_export(trained or "CHECKPOINT", path)}',
        f'Other weights: --cfg-options {other}',
        f'Random ones: --cfg-options {random}',
    ]
    if trained is None:
        lines.insert(2, f'CHECKPOINT is the last one of a training, by default in {run}.')
    return '\n'.join(lines)

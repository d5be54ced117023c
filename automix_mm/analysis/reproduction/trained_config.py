"""Whether a log is of the training that is asked for."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mmengine.config import Config

from automix_mm.engine.epochs import set_epochs

_ABSENT = 'absent'
_COMPARED = ('model', 'optim_wrapper', 'param_scheduler')
_LAST = 'work_dir'
"""The last name in every dump: without it the dump was cut."""


def differing_setting(
    config: Path, overrides: tuple[tuple[str, Any], ...], epochs: int, seed: int, work_dir: Path
) -> str:
    """Compares what a run was started with, as the host has dumped it, with what it should be.

    Network, mixer, optimizer, schedule, length and seed count; data and logging do not, they may
    have moved.

    Args:
        config: Path of the config.
        overrides: Settings that replace those of the config, by dotted name.
        epochs: Length of the run.
        seed: Its seed.
        work_dir: Folder of the run.

    Returns:
        The first setting that differs, as a sentence; empty if there is none, or no whole dump.
    """
    dumps = sorted(work_dir.glob('*/vis_data/config.py')) or sorted(work_dir.glob('*.run.py'))
    for dump in dumps:
        found = _read_dump(dump, dump.stat().st_mtime_ns)
        if _LAST not in found:
            continue
        wanted = {**_wanted(config, json.dumps(overrides), epochs), 'seed': seed}
        for name, value, other in _differences('', wanted, _sections(found)):
            return f'{dump} is of another training: {name} is {other}, expected {value}'
    return ''


@lru_cache
def _wanted(config: Path, overrides: str, epochs: int) -> dict[str, Any]:
    cfg = Config.fromfile(str(config))
    cfg.merge_from_dict(dict(json.loads(overrides)))
    if cfg.train_cfg.max_epochs != epochs:
        set_epochs(cfg, epochs)
    return _sections(cfg)


@lru_cache(maxsize=4096)
def _read_dump(path: Path, changed: int) -> dict[str, Any]:
    """Reads a dump without running it; empty if it was cut or is no dump."""
    try:
        lines = ast.parse(path.read_text(encoding='utf-8')).body
        assigned = [line for line in lines if isinstance(line, ast.Assign)]
        return {ast.unparse(line.targets[0]): _value(line.value) for line in assigned}
    except (SyntaxError, ValueError):
        return {}


def _value(node: ast.expr) -> Any:
    """A literal, with ``dict(key=value)`` as one of them."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict' and not node.args:
        return {str(word.arg): _value(word.value) for word in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one) for one in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key}
    return ast.literal_eval(node)


def _sections(cfg: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: cfg.get(name) for name in _COMPARED}
    sections['max_epochs'] = cfg.get('train_cfg', {}).get('max_epochs')
    sections['seed'] = cfg.get('randomness', {}).get('seed')
    return json.loads(json.dumps(sections, default=str))  # plain dicts and lists


def _differences(name: str, value: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, wanted and found value of every setting that differs."""
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        for key in sorted({*value, *other}):
            inner = f'{name}.{key}' if name else key
            yield from _differences(inner, value.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(value, list) and isinstance(other, list):
        for index, pair in enumerate(zip_longest(value, other, fillvalue=_ABSENT)):
            yield from _differences(f'{name}.{index}', *pair)
    elif value != other:
        yield name, value, other

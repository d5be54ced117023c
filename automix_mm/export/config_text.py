"""Reads the config text inside a checkpoint as data: it is Python, but nothing of it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

_NAMES = {'inf': float('inf'), 'nan': float('nan')}


def read_fields(text: str, names: Iterable[str]) -> dict[str, Any]:
    """Returns values of top-level names of a config, as the host writes it into checkpoints.

    Literals, ``dict(...)`` and ``float('inf')`` are read. Names that are not asked for may have
    any value.

    Args:
        text: The config, Python with one assignment for each top-level name.
        names: Those that are wanted; absent ones are left out.

    Returns:
        Name to value.

    Raises:
        ValueError: If the text is no Python or a wanted value is computed.
    """
    wanted = set(names)
    try:
        statements = ast.parse(text).body
        return {
            target.id: _value(statement.value)
            for statement in statements
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name) and target.id in wanted
        }
    except (SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f'the config in the checkpoint cannot be read: {error}') from error


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Dict) and None not in node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item) for item in node.elts)
    if isinstance(node, ast.Name) and node.id in _NAMES:
        return _NAMES[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Constant):
        return node.value
    raise _computed(node)


def _call(node: ast.Call) -> Any:
    if isinstance(node.func, ast.Name) and not any(word.arg is None for word in node.keywords):
        literal = len(node.args) < 2 and all(isinstance(arg, ast.Dict) for arg in node.args)
        if node.func.id == 'dict' and literal:
            # The host writes keys that are no names so: dict({'a.b': 1}, c=2).
            unnamed = _value(node.args[0]) if node.args else {}
            return unnamed | {str(word.arg): _value(word.value) for word in node.keywords}
        words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        if node.func.id == 'float' and words in (['inf'], ['-inf'], ['nan']):
            return float(str(words[0]))
    raise _computed(node)


def _computed(node: ast.expr) -> ValueError:
    return ValueError(
        'the config in the checkpoint must consist of literals and dict(...), found '
        f'{ast.unparse(node)[:80]!r} in line {node.lineno}'
    )

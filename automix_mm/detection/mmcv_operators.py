"""Stands in for `mmcv._ext`, the compiled part of mmcv, where it was not built.

`mmcv.ops` looks its operators up in the module `mmcv._ext` and cannot be imported without it, nor
can all of `mmdet.models`. The stand-in has every name: those of
:mod:`automix_mm.detection.operators` work, any other raises when it is called.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from automix_mm.detection import operators

MODULE = 'mmcv._ext'
SUPPLIED: dict[str, Callable] = {
    'nms': operators.nms,
    'softnms': operators.softnms,
    'roi_align_forward': operators.roi_align_forward,
    'roi_align_backward': operators.roi_align_backward,
    # No operators: what the host prints about its environment.
    'get_compiler_version': lambda: 'none, operators of torchvision',
    'get_compiling_cuda_version': lambda: 'none, operators of torchvision',
}
HOW_TO_COMPILE = (
    'pip install --no-build-isolation --no-cache-dir --no-deps --force-reinstall onedl-mmcv==2.3.6'
)


class _StandIn(ModuleType):
    """A module in which every public name is an operator."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith('__'):
            raise AttributeError(f'{self.__name__} has no {name}')
        return SUPPLIED.get(name) or _absent(name)


def _absent(name: str) -> Callable[..., NoReturn]:
    def operator(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f'The operator {name!r} of mmcv is not there: this mmcv was built without operators, '
            'and automix_mm supplies those of Faster R-CNN only (nms, soft nms, roi_align). '
            f'With a compiler, and CUDA for a GPU, build mmcv with all of them:\n{HOW_TO_COMPILE}'
        )

    return operator


def supply_operators() -> bool:
    """Makes `mmcv.ops` importable, and with it mmdet, where mmcv has no compiled operators.

    Compiled operators are never replaced, not even ones that fail to load. A second call changes
    nothing.

    Returns:
        Whether torchvision's operators are in use.
    """
    present = sys.modules.get(MODULE)
    if present is None and importlib.util.find_spec(MODULE) is None:
        present = _StandIn(MODULE, __doc__)
        # The host asks for the specification of the module to tell whether it is there.
        present.__spec__ = ModuleSpec(MODULE, loader=None)
        sys.modules[MODULE] = present
        _repeat_failed_imports()
    return isinstance(present, _StandIn)


def _repeat_failed_imports() -> None:
    """Gives the operators to what is loaded of mmdet.

    mmpretrain loads parts of it, and they put functions that only raise where an import from
    `mmcv.ops` fails.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith('mmdet.') and getattr(module, '__file__', None):
            for statement in _imports_of_operators(Path(str(module.__file__))):
                source = importlib.import_module(str(statement.module))
                for alias in statement.names:
                    setattr(module, alias.asname or alias.name, getattr(source, alias.name))


def _imports_of_operators(path: Path) -> Iterator[ast.ImportFrom]:
    """Statements `from mmcv.ops import ...` of a module, where they are tried."""
    text = path.read_text(encoding='utf-8')
    if 'mmcv.ops' not in text:
        return
    attempts = (node for node in ast.parse(text).body if isinstance(node, ast.Try))
    for statement in (inner for attempt in attempts for inner in attempt.body):
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith('mmcv.ops'):
            yield statement

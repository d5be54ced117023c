"""Reads checkpoints as data: whatever a file asks to be called, nothing of it runs.

torch's restricted unpickler (``weights_only=True``) calls a short list of functions only. The
checkpoints of a training name six more, of numpy and of the host's ``HistoryBuffer``. These names
lead to the inert classes below, which only keep what they are given; after reading, checked values
take their place. The real ones would not be safe: with ``getattr`` and ``HistoryBuffer`` in reach a
file runs any code, and numpy reads object arrays and types with pointers from a file.
"""

from __future__ import annotations

import os
import os.path as osp
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

OLDEST_TORCH = '2.6'
"""``weights_only=True`` of older releases can be made to run code (CVE-2025-32434)."""
_ZIP = b'PK\x03\x04'
_NUMBERS = re.compile(r'[biufc]\d{1,2}')
_SCALARS = (bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device)
_CONTAINERS: tuple[type, ...] = (list, tuple, set, dict, OrderedDict, Counter)


class CheckpointError(ValueError):
    """A file is no whole checkpoint, or not one that may be read."""


# ------------------------------------------------------------------------------ stand-ins


class _Inert:
    """Keeps the arguments and the state that a file gives it."""

    def __init__(self, *args: Any) -> None:
        self._args = args
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state


class _ArrayType(_Inert):
    """In the place of ``numpy.ndarray``, which is only named."""


class _NoBytes(_Inert):
    """In the place of ``bytes``, which pickles name for b'' only."""

    def value(self) -> bytes:
        """Returns no bytes."""
        if self._args:
            raise CheckpointError('it calls bytes with an argument')
        return b''


class _NumberType(_Inert):
    """In the place of ``numpy.dtype``."""

    def value(self) -> np.dtype:
        """Returns the type of a number; types with objects, fields or strings are refused."""
        code, order = self._args[0], self._state[1]
        if not _NUMBERS.fullmatch(code) or order not in ('<', '>', '|', '='):
            raise CheckpointError(f'it holds an array of {code!r} rather than of numbers')
        return np.dtype(order + code)


class _Array(_Inert):
    """In the place of what rebuilds an array."""

    def value(self) -> np.ndarray:
        """Returns the array of numbers."""
        _, shape, number, fortran, raw = self._state
        raw = raw.value() if type(raw) is _NoBytes else raw
        array = np.frombuffer(raw, _checked(number, _NumberType).value())
        return array.reshape(shape, order='F' if fortran else 'C').copy()


class _Number(_Inert):
    """In the place of what rebuilds a single number."""

    def value(self) -> np.generic:
        """Returns the number, as a scalar of numpy."""
        number, raw = self._args
        return np.frombuffer(raw, _checked(number, _NumberType).value(), count=1)[0]


class _Attribute(_Inert):
    """In the place of ``getattr``, with which the host's buffers name their statistics."""


class _History(_Inert):
    """In the place of the host's ``HistoryBuffer``."""

    def value(self) -> HistoryBuffer:
        """Returns a buffer of the values; the statistics named in the file are left out."""
        log, count = (
            _checked(self._state[name], _Array).value()
            for name in ('_log_history', '_count_history')
        )
        return HistoryBuffer(log, count, int(self._state['max_length']))


STAND_INS: dict[str, type[_Inert]] = {
    'mmengine.logging.history_buffer.HistoryBuffer': _History,
    'builtins.getattr': _Attribute,
    'builtins.bytes': _NoBytes,
    'numpy.ndarray': _ArrayType,
    'numpy.dtype': _NumberType,
    'numpy._core.multiarray._reconstruct': _Array,
    'numpy._core.multiarray.scalar': _Number,
    'numpy.core.multiarray._reconstruct': _Array,  # numpy 1
    'numpy.core.multiarray.scalar': _Number,
}
"""What a checkpoint may name beside torch's own, and what stands for it while reading."""


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise CheckpointError(f'it holds {type(value).__name__} where {kind.__name__} belongs')
    return value


# -------------------------------------------------------------------------------- reading


def read_checkpoint(
    path: str | os.PathLike, map_location: Any = 'cpu', trust: bool = False
) -> dict[str, Any]:
    """Reads a checkpoint without running anything from it.

    Tensors, numbers, text, containers of them, numpy's arrays and scalars of numbers and the host's
    ``HistoryBuffer`` are read; a file that names any other function or class is refused. The whole
    file is compared with its checksums first. An entry ``meta.config`` (a name that old releases of
    the host used) is left out, because the host runs it as Python when it resumes.

    Args:
        path: A local file.
        map_location: Where tensors go, as in ``torch.load``.
        trust: Read as plain ``torch.load(weights_only=False)`` does, which runs whatever the file
            asks for.

    Returns:
        The content, a dict.

    Raises:
        CheckpointError: If the file is absent, cut short, damaged, no checkpoint, or refused.
    """
    fault = find_damage(path)
    if fault is not None:
        raise CheckpointError(f'Cannot read {path}: {fault}.')
    try:
        content = _load(path, map_location, trust)
    except Exception as error:  # of a hostile file: any
        raise CheckpointError(_explain(path, error)) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f'Cannot read {path}: expected a dict with weights, got {type(content).__name__}.'
        )
    if not trust and isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def find_damage(path: str | os.PathLike) -> str | None:
    """Tells why a file cannot be a whole checkpoint, without unpickling it.

    Args:
        path: A local file; it is read once and compared with its checksums.

    Returns:
        The reason in words, or None. The format before torch 1.6 has no checksums: no reason here
        says nothing about such a file.
    """
    if osp.isdir(path):
        return 'it is a folder'
    if not osp.isfile(path):
        return 'there is no such file'
    try:
        with open(path, 'rb') as file:
            start = file.read(len(_ZIP))
    except OSError as error:
        return f'it cannot be opened ({error.strerror})'
    try:
        if not start:
            return 'it is cut short or damaged (it is empty)'
        if start != _ZIP:
            return None
        with zipfile.ZipFile(path) as archive:
            if pickle_of(archive) is None:
                return 'it was not written by torch.save'
            if not _is_plain(archive, osp.getsize(path)):
                return 'its records are packed or overlap, as torch.save never writes them'
            damaged = archive.testzip()
            if damaged is not None:
                return f'its record {damaged} does not match its checksum'
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        return f'it is cut short or damaged ({error})'
    return None


def pickle_of(archive: zipfile.ZipFile) -> str | None:
    """Returns the name of the record with the pickle, or None.

    Args:
        archive: An open file of ``torch.save``.
    """
    names = archive.namelist()
    if any(name.endswith('/constants.pkl') for name in names):
        return None  # TorchScript: a program, not a checkpoint
    return next((name for name in names if name.endswith('/data.pkl')), None)


def _is_plain(archive: zipfile.ZipFile, num_bytes: int) -> bool:
    """Tells whether the records fill no more than the file: packed ones may fill any memory."""
    records = archive.infolist()
    stored = all(
        record.compress_type == zipfile.ZIP_STORED and not record.flag_bits & 1  # encrypted
        for record in records
    )
    return stored and sum(record.file_size for record in records) <= num_bytes


def _load(path: str | os.PathLike, map_location: Any, trust: bool) -> Any:
    if trust:
        return torch.load(path, map_location=map_location, weights_only=False)
    if torch.__version__ < OLDEST_TORCH:  # compared as versions
        raise RuntimeError(
            f'reading without running code needs torch {OLDEST_TORCH} or newer, found '
            f'{torch.__version__}'
        )
    with _only_stand_ins():
        content = torch.load(path, map_location=map_location, weights_only=True)
    return _Values().of(content)


@contextmanager
def _only_stand_ins() -> Iterator[None]:
    """Allows nothing beside torch's own list and the stand-ins, whoever allowed more before."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(kind, name) for name, kind in STAND_INS.items()])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


class _Values:
    """Replaces stand-ins by their values and lets nothing but data through."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """Returns the value without stand-ins; what appears twice appears twice again."""
        if id(value) not in self._done:
            self._done[id(value)] = (self._convert(value), value)  # keeps the id taken
        return self._done[id(value)][0]

    def _convert(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in _SCALARS or isinstance(value, (torch.Tensor, torch.Size)):
            return value
        if kind in (_Array, _Number, _NoBytes, _History):
            return value.value()
        if kind not in _CONTAINERS:
            name = getattr(value, '__name__', kind.__name__)
            raise CheckpointError(f'it holds {name}, which is no data')
        if not isinstance(value, dict):
            return kind(self.of(item) for item in value)
        copy = kind()
        copy.update({self.of(key): self.of(item) for key, item in value.items()})
        if '_metadata' in getattr(value, '__dict__', ()):  # versions of modules
            copy._metadata = self.of(value._metadata)  # type: ignore[attr-defined]
        return copy


def _explain(path: str | os.PathLike, error: Exception) -> str:
    """Says in one line why torch could not read a file, without the advice that torch adds."""
    named = re.search(r'GLOBAL (\S+)', str(error))
    if named:
        return (
            f'Refused to read {path}: it asks for {named.group(1)}, which checkpoints do not need '
            'and which may run any code. If you trust where the file comes from, add --trust.'
        )
    reason = str(error).rpartition('WeightsUnpickler error:')[2].strip().split('\n')[0]
    return (
        f'Cannot read {path}: it is no checkpoint, or a damaged one '
        f'({reason or type(error).__name__}). Expected is a file that torch.save has written.'
    )

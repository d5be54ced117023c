"""Reading of the files of a data set: complete, checked, and without running what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK = 1 << 20
_ANY_SIZE = 1 << 30  # bytes that no archive is refused for
_MOST_GROWTH = 100  # times the size of an archive; images grow by less than two


def require_file(path: Path, expected: str) -> Path:
    """Returns ``path`` if it is a file.

    Args:
        path: Where the file has to be.
        expected: What it is, for the message.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path} is missing: expected {expected}.')
    return path


def find_folder(root: str | Path, name: str, file: str) -> Path:
    """Finds the folder of an official archive, be it ``root`` itself or in ``root``.

    Args:
        root: The folder the user named.
        name: The folder inside the archive.
        file: A file or folder that has to be in it.

    Raises:
        FileNotFoundError: If ``file`` is in neither.
    """
    root = Path(root).expanduser()
    for folder in (root / name, root):
        if (folder / file).exists():
            return folder
    raise FileNotFoundError(
        f'{root} has neither {name}/{file} nor {file}: expected the unpacked official archive '
        f'({name}/). "python tools/dataset_tools/prepare_dataset.py NAME {root}" gets it.'
    )


def md5_of(path: Path) -> str:
    """Returns the MD5 digest of a file in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open('rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_md5(path: Path, expected: str) -> None:
    """Compares a file with its published checksum.

    Args:
        path: The file.
        expected: MD5 in hexadecimal.

    Raises:
        ValueError: If they differ.
    """
    found = md5_of(path)
    if found != expected:
        raise ValueError(
            f'{path}: wrong checksum, expected MD5 {expected}, got {found} '
            f'({path.stat().st_size} bytes). The file is truncated or altered: delete it and get '
            'it again.'
        )


def check_growth(path: Path, unpacked: int) -> None:
    """Refuses an archive that grows as no images do, but as one made to fill memory or disk.

    Args:
        path: The archive.
        unpacked: Bytes that it unpacks to.

    Raises:
        ValueError: If these are more than 1 GB and 100 times the size of the archive.
    """
    size = path.stat().st_size
    if unpacked > max(_ANY_SIZE, _MOST_GROWTH * size):
        raise ValueError(
            f'{path}: {size} bytes would become {unpacked} or more; expected at most '
            f'{_MOST_GROWTH} times as many, as images compress by much less. Get it elsewhere.'
        )


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the file in errors of the system that do not, such as that of a full disk.

    Args:
        path: The file that is written.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


class _Dtype:
    """Stands for a pickled ``numpy.dtype``, of which only code and byte order are read."""

    def __init__(self, code: str, *unread: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.code = f'{state[1]}{self.code}'


class _Array:
    """Stands for a pickled array, whose numbers are read by :func:`numpy.frombuffer`.

    NumPy's own classes would believe the file: told that bytes are objects, they follow them as
    pointers. ``frombuffer`` refuses objects, and more numbers than there are bytes.
    """

    values: np.ndarray

    def __init__(self, *unread: Any) -> None:
        pass

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, by_columns, content = state
        flat = np.frombuffer(_latin1(content), dtype.code)
        self.values = flat.reshape(shape, order='F' if by_columns else 'C')


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays, text, numbers and containers; every other name is refused."""

    _ALLOWED = {
        ('numpy.core.multiarray', '_reconstruct'): _Array,
        ('numpy._core.multiarray', '_reconstruct'): _Array,  # its place since NumPy 2
        ('numpy', 'ndarray'): None,  # an argument of the former
        ('numpy', 'dtype'): _Dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Returns what stands for an allowed name."""
        if (module, name) == ('_codecs', 'encode'):
            return _latin1  # how Python 3 writes bytes for Python 2
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'{module}.{name} is neither an array nor a basic type'
            ) from None


def _latin1(text: str | bytes, encoding: str = 'latin1') -> bytes:
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'unexpected encoding {encoding!r}')
    return text.encode('latin1') if isinstance(text, str) else text


def unpickle_arrays(path: Path) -> dict[str, Any]:
    """Reads a pickled dict of arrays and basic types without running code from the file.

    Args:
        path: The file, written by Python 2 or 3.

    Raises:
        ValueError: If the file is truncated, asks for anything else, or holds no dict.
    """
    try:
        with path.open('rb') as file:
            content = _ArrayUnpickler(file, encoding='latin1').load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(
            f'{path}: expected a pickled dict of arrays and basic types, but it cannot be read: '
            f'{error or type(error).__name__}. The file is truncated, altered or something else.'
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected a pickled dict, got {type(content).__name__}.')
    return {_text(key): getattr(value, 'values', value) for key, value in content.items()}


def _text(key: Any) -> str:
    return key.decode('latin1') if isinstance(key, bytes) else str(key)


def check_labels(labels: np.ndarray, num_classes: int, source: Path | str) -> None:
    """Checks that labels are in [0, ``num_classes``).

    Args:
        labels: Integers (N,).
        num_classes: Number of classes.
        source: Where they come from, for the message.

    Raises:
        ValueError: If there are no labels or one is out of range.
    """
    if len(labels) == 0:
        raise ValueError(f'{source}: expected images with labels, got none.')
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise ValueError(
            f'{source}: label {labels[wrong[0]]} of image {wrong[0]} is out of range: expected '
            f'labels from 0 to {num_classes - 1} ({len(wrong)} of {len(labels)} are wrong).'
        )

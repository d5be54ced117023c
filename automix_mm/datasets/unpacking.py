"""Unpacking of archives that may not be trusted."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from .progress import Progress, ProgressLine
from .reading import check_growth, naming

_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # encrypted, or compressed in an unknown way
)


class _Member(NamedTuple):
    name: str
    is_folder: bool
    is_file: bool
    size: int
    content: IO[bytes] | None


def unpack(archive: Path, root: Path, progress: Progress | None = None) -> int:
    """Unpacks a tar or zip file below ``root``.

    Files get the permissions of new files. Existing files are replaced.

    Args:
        archive: The archive.
        root: Existing folder to unpack into.
        progress: Called with the bytes read of the archive and its size; None shows them.

    Returns:
        Number of files.

    Raises:
        ValueError: If the archive is truncated, encrypted or of another kind, grows beyond all
            measure, or a member has a path outside ``root`` or is neither a file nor a folder (a
            link, a device). Members before that one are unpacked by then.
        OSError: If a file cannot be written.
    """
    progress, count, total = progress or ProgressLine(), 0, 0
    try:
        for member, done in _members(archive):
            progress(done, archive.stat().st_size)
            target = _target(archive, member, root)
            total += member.size
            check_growth(archive, total)
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            assert member.content is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            with naming(target), member.content as source, target.open('wb') as file:
                shutil.copyfileobj(source, file, 1 << 20)
            count += 1
    except _DAMAGED as error:
        raise ValueError(
            f'{archive}: truncated or no archive ({error}): delete it and get it again.'
        ) from error
    progress(archive.stat().st_size, archive.stat().st_size)
    return count


def _target(archive: Path, member: _Member, root: Path) -> Path:
    """Returns where a member goes, or refuses it."""
    if not (member.is_file or member.is_folder):
        raise ValueError(
            f'{archive}: {member.name!r} is neither a file nor a folder (a link or a device); '
            'expected plain files, so nothing more is unpacked.'
        )
    top = root.resolve()
    target = (top / member.name).resolve()  # follows links that are there already
    if not target.is_relative_to(top) or '\\' in member.name:
        raise ValueError(
            f'{archive}: {member.name!r} would be written outside {root}; expected paths inside, '
            'so nothing more is unpacked.'
        )
    return target


def _members(archive: Path) -> Iterator[tuple[_Member, int]]:
    """Yields the members, and how far the archive is read."""
    with archive.open('rb') as raw:
        if zipfile.is_zipfile(raw):
            with zipfile.ZipFile(raw) as zipped:
                for info in zipped.infolist():
                    yield _zip_member(zipped, info), raw.tell()
            return
        raw.seek(0)
        with tarfile.open(fileobj=raw, mode='r:*') as file:
            for entry in file:
                plain = entry.isfile() and not entry.issparse()  # holes grow without limit
                content = file.extractfile(entry) if plain else None
                yield _Member(entry.name, entry.isdir(), plain, entry.size, content), raw.tell()


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    mode = stat.S_IFMT(info.external_attr >> 16)
    plain = mode in (0, stat.S_IFREG) and not info.is_dir()
    content = file.open(info) if plain else None
    return _Member(info.filename, info.is_dir(), plain, info.file_size, content)

"""Unpacking of archives that may not be trusted."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple


class _Member(NamedTuple):
    name: str
    is_folder: bool
    is_file: bool
    content: IO[bytes] | None


def unpack(archive: Path, root: Path) -> int:
    """Unpacks a tar or zip file below ``root``.

    Files get the permissions of new files. Existing files are replaced.

    Args:
        archive: The archive.
        root: Existing folder to unpack into.

    Returns:
        Number of files.

    Raises:
        ValueError: If the archive is truncated or of another kind, or a member has a path outside
            ``root`` or is neither a file nor a folder (a link, a device). Members before that one
            are unpacked by then.
    """
    count = 0
    try:
        for member in _members(archive):
            target = _target(archive, member, root)
            if member.is_folder:
                target.mkdir(parents=True, exist_ok=True)
                continue
            assert member.content is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.content as source, target.open('wb') as file:
                shutil.copyfileobj(source, file, 1 << 20)
            count += 1
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f'{archive}: truncated or no archive ({error}): delete it and get it again.'
        ) from error
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


def _members(archive: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for info in file.infolist():
                mode = info.external_attr >> 16
                plain = not stat.S_IFMT(mode) or stat.S_ISREG(mode)
                content = file.open(info) if plain and not info.is_dir() else None
                yield _Member(info.filename, info.is_dir(), plain and not info.is_dir(), content)
        return
    with tarfile.open(archive, 'r:*') as file:
        for entry in file:
            content = file.extractfile(entry) if entry.isfile() else None
            yield _Member(entry.name, entry.isdir(), entry.isfile(), content)

"""Download of official archives: resumed, shown, and compared with their checksum."""

from __future__ import annotations

import errno
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from .progress import Progress, ProgressLine
from .reading import check_md5, naming

_CHUNK = 1 << 18
_TIMEOUT = 30  # seconds without a byte


class Source(NamedTuple):
    """Where an archive comes from.

    Attributes:
        url: Its official address.
        file: Its file name.
        md5: Its published MD5 in hexadecimal.
        folder: The folder that it unpacks to.
    """

    url: str
    file: str
    md5: str
    folder: str


SOURCES = {
    'cifar10': Source(
        'https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz',
        'cifar-10-python.tar.gz',
        'c58f30108f718f92721af3b95e74349a',
        'cifar-10-batches-py',
    ),
    'cifar100': Source(
        'https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz',
        'cifar-100-python.tar.gz',
        'eb9058c3a382ffc7106e4002c42a8d85',
        'cifar-100-python',
    ),
    'stl10': Source(
        'http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz',
        'stl10_binary.tar.gz',
        '91f7769df0f17e558f3565bffb0c7dfb',
        'stl10_binary',
    ),
    'tiny_imagenet': Source(
        'http://cs231n.stanford.edu/tiny-imagenet-200.zip',
        'tiny-imagenet-200.zip',
        '90528d7ca1a48142e341f4ef8d21d0de',
        'tiny-imagenet-200',
    ),
    'cub200': Source(
        'https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz',
        'CUB_200_2011.tgz',
        '97eceeb196236b17998738112f37df78',
        'CUB_200_2011',
    ),
}


def download(
    source: Source, folder: Path, progress: Progress | None = None, attempts: int = 3
) -> Path:
    """Gets an archive, unless it is there already.

    What arrives is in ``FILE.part`` until it is complete; an interrupted download goes on there.

    Args:
        source: What to get.
        folder: Existing folder to put it into.
        progress: Called with the bytes there are and those there will be; None shows them.
        attempts: How often to go on after a broken connection.

    Returns:
        Path of the archive, whose checksum is right.

    Raises:
        ConnectionError: If the source cannot be reached.
        OSError: If the archive cannot be written.
        ValueError: If the checksum is wrong; a download is then deleted.
    """
    path = folder / source.file
    if path.exists():
        check_md5(path, source.md5)
        return path
    part = path.with_name(path.name + '.part')
    for attempt in range(1, attempts + 1):
        try:
            _fetch(source.url, part, progress or ProgressLine())
            break
        except (OSError, http.client.HTTPException) as error:
            if str(getattr(error, 'filename', None)) == str(part):  # not the network's fault
                raise
            if attempt == attempts:
                raise ConnectionError(
                    f'{source.url} cannot be reached ({error}). Without a network, get '
                    f'{source.file} (MD5 {source.md5}) elsewhere, put it at {path} and run this '
                    'again; a started download goes on where it stopped.'
                ) from error
            time.sleep(attempt)
    try:
        check_md5(part, source.md5)
    except ValueError as error:
        part.unlink()
        raise ValueError(f'{source.url}: {error} This download is deleted.') from error
    return part.rename(path)


def _fetch(url: str, part: Path, progress: Progress) -> None:
    """Appends what is missing of ``url`` to ``part``."""
    start = part.stat().st_size if part.exists() else 0
    headers = {'Range': f'bytes={start}-'} if start else {}
    try:
        reply = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is missing
            return
        raise
    with reply:
        if reply.status != 206:  # the server sends the whole file
            start = 0
        length = reply.headers.get('Content-Length')
        total = start + int(length) if length else 0
        _require_space(part, total - start)
        done = start
        with naming(part), part.open('ab' if start else 'wb') as file:
            for chunk in _chunks(reply):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if total and done < total:
        raise ConnectionError(f'the connection broke after {done} of {total} bytes')


def _chunks(reply: IO[bytes]) -> Iterator[bytes]:
    """Yields what comes, and tells errors of the network from those of the disk."""
    try:
        while chunk := reply.read(_CHUNK):
            yield chunk
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _require_space(path: Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise OSError(errno.ENOSPC, f'{size} bytes are to come, {free} are free', str(path))

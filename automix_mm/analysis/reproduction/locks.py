"""One process at a time in the folder of a run."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

NAME = 'run.lock'


class Locked(RuntimeError):
    """Somebody else is at work on the run; the message says who."""


@contextlib.contextmanager
def run_lock(work_dir: Path) -> Iterator[int]:
    """Holds the lock of a run.

    The lock is the operating system's, on the file ``run.lock``: it goes with the last process
    that has the file open, also when that one is killed. Hand the descriptor down to the training
    and the lock outlives the process that took it, as long as the training does. The text of the
    file only says whose it is; a file that nobody holds is stale and is taken over.

    Args:
        work_dir: Folder of the run, made if it is missing.

    Yields:
        The descriptor to hand down.

    Raises:
        Locked: If another process holds the lock.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    path = work_dir / NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(f'{work_dir} is in use by {_owner(path)}') from None
        os.ftruncate(descriptor, 0)
        owner = dict(pid=os.getpid(), host=socket.gethostname())
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        try:
            yield descriptor
        finally:
            # Not unlinked: who has opened the file already would hold a lock that nobody sees.
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def stale_owner(work_dir: Path) -> str | None:
    """Names the dead process whose lock a run still has; None if there is no such lock.

    Args:
        work_dir: Folder of the run.
    """
    path = work_dir / NAME
    if not path.is_file() or not path.read_text():
        return None
    return None if holder(work_dir) else _owner(path)


def holder(work_dir: Path) -> str | None:
    """Names the process that holds the lock of a run, None if it is free.

    Args:
        work_dir: Folder of the run.
    """
    path = work_dir / NAME
    if not path.is_file():
        return None
    with open(path, encoding='utf-8') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _owner(path)
    return None


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text())
        return f'process {owner["pid"]} on {owner["host"]}'
    except (json.JSONDecodeError, KeyError, TypeError):
        return 'a process that has not given its name yet'

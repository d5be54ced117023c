"""What a measurement has to say about where it was made."""

from __future__ import annotations

import datetime
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

VERSIONS = ('torch', 'torchvision', 'numpy', 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain')


def processor() -> str:
    """Return the name of the CPU and the number of its logical cores."""
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    if not names:
        return platform.processor() or platform.machine()
    return f'{names[0]} ({len(names)} logical cores)'


def device_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the CPU and the number of its logical cores."""
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else processor()


def default_device(name: str | None = None) -> torch.device:
    """Return the named device, or a GPU where there is one and else the CPU."""
    return torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide about speed."""
    found = dict(python=platform.python_version())
    for name in VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = 'not installed'
    return found


def commit(root: Path) -> str:
    """Return the commit of a working tree, with a plus where tracked files were changed since."""
    try:
        head = _git(root, 'rev-parse', '--short=12', 'HEAD')
        return head + ('+' if _git(root, 'status', '--porcelain', '-uno') else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(['git', *args], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def now() -> str:
    """Return date and time in UTC, to the minute."""
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')

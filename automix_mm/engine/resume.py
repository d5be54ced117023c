"""Finds the checkpoint to go on from and never takes a broken one."""

from __future__ import annotations

import os
import os.path as osp
import pickletools
import re
import zipfile
from pathlib import Path

from mmengine.config import Config

from .reader import find_damage, pickle_of

_NEEDED = ('meta', 'state_dict', 'message_hub')
"""Entries without which the host cannot go on; weights for inference have the second only."""


def find_fault(path: str | os.PathLike) -> str | None:
    """Tells why training cannot go on from a file.

    Reads the whole file once and compares its checksums. Nothing in it is executed: the names of
    its entries are read from the pickle's opcodes.

    Args:
        path: A local checkpoint.

    Returns:
        The reason in words, or None for a whole checkpoint.
    """
    fault = find_damage(path)
    if fault is not None:
        return fault
    try:
        with zipfile.ZipFile(path) as archive:
            opcodes = pickletools.genops(archive.read(pickle_of(archive) or ''))
            words = {word for _, word, _ in opcodes if isinstance(word, str)}
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        return f'it was not written by torch.save ({error})'
    absent = [name for name in _NEEDED if name not in words]
    if absent:
        return f'it holds no training state (missing: {", ".join(absent)})'
    return None


def newest_whole(work_dir: str, out_dir: str | None = None) -> tuple[str | None, list[str]]:
    """Finds the newest whole checkpoint of a run.

    The file named by ``last_checkpoint`` comes first, unless a later step was completed after
    that name was written; then the others, newest first.

    Args:
        work_dir: Folder of the run.
        out_dir: Folder of its checkpoints where that is another one.

    Returns:
        The checkpoint's path, or None, and one note for each file that was passed over.
    """
    notes: list[str] = []
    for path in _candidates(Path(work_dir), Path(out_dir or work_dir)):
        fault = find_fault(path)
        if fault is None:
            return str(path), notes
        notes.append(f'Skipped {path}: {fault}.')
    return None, notes


def _candidates(work_dir: Path, out_dir: Path) -> list[Path]:
    files = [path for path in out_dir.glob('*.pth') if _step(path) is not None]
    files.sort(key=lambda path: (path.stat().st_mtime_ns, _step(path)), reverse=True)
    pointer = work_dir / 'last_checkpoint'
    text = pointer.read_text(encoding='utf-8').strip() if pointer.is_file() else ''
    if not text:
        return files
    last = _located(Path(text), out_dir)
    later = [
        path
        for path in files
        if path.stat().st_mtime_ns > pointer.stat().st_mtime_ns
        and (_step(path) or 0) > (_step(last) or 0)
    ]
    rest = [path for path in files if path not in later and not _same(path, last)]
    return [*later, last, *rest]


def _located(named: Path, out_dir: Path) -> Path:
    """Follows a run whose folder was moved: the name counts when the path leads nowhere."""
    moved = out_dir / named.name
    return moved if not named.exists() and moved.exists() else named


def _same(first: Path, second: Path) -> bool:
    return osp.realpath(first) == osp.realpath(second)


def _step(path: Path) -> int | None:
    match = re.fullmatch(r'(?!best_).*?_?(\d+)\.pth', path.name)
    return int(match.group(1)) if match else None


def apply_resume(cfg: Config, resume: str | None) -> list[str]:
    """Sets a config to go on from a whole checkpoint.

    Args:
        cfg: The config with its final ``work_dir``, changed in place.
        resume: None for the config's own ``resume`` and ``load_from``, ``'auto'`` for the newest
            whole checkpoint of the work dir, or the path of a checkpoint.

    Returns:
        Notes for the log.

    Raises:
        ValueError: If a checkpoint that was named cannot be used.
    """
    if resume is None:
        if not cfg.get('resume'):
            return []
        resume = cfg.get('load_from') or 'auto'
    if resume != 'auto':
        fault = None if '://' in resume else find_fault(resume)
        if fault is not None:
            raise ValueError(
                f'Cannot resume from {resume}: {fault}. Expected a checkpoint that a training '
                'run wrote. --resume without a path takes the newest whole one of the work dir; '
                '--cfg-options load_from=PATH starts a new run from weights.'
            )
        cfg.resume, cfg.load_from = True, resume
        return [f'Resuming from {resume}.']
    path, notes = newest_whole(cfg.work_dir, _checkpoint_dir(cfg))
    cfg.resume = path is not None
    if path is None:
        return [*notes, f'No whole checkpoint in {cfg.work_dir}: training starts from scratch.']
    cfg.load_from = path
    return [*notes, f'Resuming from the newest whole checkpoint, {path}.']


def _checkpoint_dir(cfg: Config) -> str:
    """Repeats the host's rule for a checkpoint hook with a folder of its own."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    out_dir = hook.get('out_dir')
    if not out_dir or out_dir == cfg.work_dir:
        return cfg.work_dir
    return osp.join(out_dir, osp.basename(cfg.work_dir.rstrip(osp.sep)))

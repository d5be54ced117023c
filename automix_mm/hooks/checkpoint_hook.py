"""Checkpoints that are either whole or absent."""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook as HostCheckpointHook
from mmengine.runner import Runner

from automix_mm.registry import HOOKS

UNFINISHED = '.part'
"""Suffix of a file that is being written; nothing with this suffix is ever loaded."""


def publish(unfinished: str, path: str) -> None:
    """Gives a completely written file its final name in one step.

    Args:
        unfinished: The written file, in the folder of ``path``.
        path: Its final name. An older file of that name is replaced.
    """
    with open(unfinished, 'rb+') as file:
        os.fsync(file.fileno())
    os.replace(unfinished, path)


class _WholeFileRunner:
    """A runner whose ``save_checkpoint`` never shows a half-written file under its final name."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.written: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Saves under a temporary name first; the arguments are those of the host's runner."""
        path = osp.join(out_dir, filename)
        self._runner.save_checkpoint(out_dir, filename + UNFINISHED, *args, **kwargs)
        if is_main_process():
            publish(path + UNFINISHED, path)
        self.written.add(path)


class _DeferredRemoval:
    """A file backend that collects removals until the files that replace them are whole."""

    def __init__(self, backend: LocalBackend) -> None:
        self.inner = backend
        self._pending: list[tuple[Callable[[str], None], str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def remove(self, path: str) -> None:
        """Notes a file for :meth:`flush`."""
        self._pending.append((self.inner.remove, path))

    def rmtree(self, path: str) -> None:
        """Notes a folder for :meth:`flush`."""
        self._pending.append((self.inner.rmtree, path))

    def flush(self, keep: set[str]) -> None:
        """Removes what was noted, except for the paths in ``keep``."""
        for remove, path in self._pending:
            if path not in keep:
                remove(path)


@HOOKS.register_module()
class CheckpointHook(HostCheckpointHook):
    """The host's checkpoint hook, safe against a kill at any moment.

    Takes every option of :class:`mmengine.hooks.CheckpointHook`. Three things differ for a local
    folder (other storage backends behave as in the host):

    - a checkpoint is written to ``NAME.part`` in the same folder and renamed once it is on disk,
      and so is ``last_checkpoint``;
    - an outdated checkpoint is removed after its successor is whole. The host removes first: a kill
      during the write then loses both. One checkpoint more than ``max_keep_ckpts`` exists
      for that moment;
    - ``*.part`` files that an earlier, killed run left behind are removed before training.
    """

    file_backend: Any  # set by the host at the start of training

    def before_train(self, runner: Runner) -> None:
        """Prepares the folder as the host does and clears unfinished files.

        Args:
            runner: The runner.
        """
        super().before_train(runner)
        if self._is_local() and is_main_process() and osp.isdir(self.out_dir):
            for path in Path(self.out_dir).glob('*.pth' + UNFINISHED):
                path.unlink()

    def _is_local(self) -> bool:
        # `file_client_args` is the host's deprecated way to name a storage; it passes its own
        # client through to the runner, which then cannot be steered by file names.
        backend = getattr(self.file_backend, 'inner', self.file_backend)
        return self.file_client_args is None and isinstance(backend, LocalBackend)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict) -> None:
        if not self._is_local():
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated = self._enlist(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = osp.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        with self._whole_files(runner) as safe_runner:
            safe_runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
        if is_main_process():
            self._point_to(self.last_ckpt, runner.work_dir)
            for old_step in outdated:
                self._discard(osp.join(self.out_dir, self.filename_tmpl.format(old_step)))

    def _save_best_checkpoint(self, runner: Any, metrics: dict) -> None:
        if not self._is_local():
            super()._save_best_checkpoint(runner, metrics)
            return
        with self._whole_files(runner) as safe_runner:
            super()._save_best_checkpoint(safe_runner, metrics)

    def _enlist(self, runner: Any, step: int) -> list[int]:
        """Notes a step as kept, in the checkpoint too; returns the steps that have to go."""
        outdated: list[int] = []
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return outdated
        while len(self.keep_ckpt_ids) >= self.max_keep_ckpts:
            outdated.append(self.keep_ckpt_ids.popleft())
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated

    @contextmanager
    def _whole_files(self, runner: Any) -> Iterator[_WholeFileRunner]:
        """Makes saves atomic and puts removals off until the block ends without an error."""
        if isinstance(runner, _WholeFileRunner):  # a best checkpoint saves the regular one, too
            yield runner
            return
        safe_runner = _WholeFileRunner(runner)
        backend = self.file_backend
        self.file_backend = _DeferredRemoval(backend)
        try:
            yield safe_runner
            self.file_backend.flush(keep=safe_runner.written)
        finally:
            self.file_backend = backend

    def _discard(self, path: str) -> None:
        if osp.isdir(path):  # checkpoints of some training strategies are folders
            self.file_backend.rmtree(path)
        elif osp.isfile(path):
            self.file_backend.remove(path)

    @staticmethod
    def _point_to(path: str, work_dir: str) -> None:
        """Writes the name of the newest checkpoint where ``--resume`` looks for it."""
        pointer = osp.join(work_dir, 'last_checkpoint')
        with open(pointer + UNFINISHED, 'w', encoding='utf-8') as file:
            file.write(path)
        publish(pointer + UNFINISHED, pointer)

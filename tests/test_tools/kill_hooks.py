"""Ends a training process as `kill -9` does, at a chosen point. Imported by configs under test."""

import os
import signal

from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook

from automix_mm.registry import HOOKS


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class KillInEpoch(Hook):
    """Kills before the parameters of iteration `at_iter` are updated."""

    def __init__(self, at_iter: int) -> None:
        self.at_iter = at_iter

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at_iter:
            kill()


@HOOKS.register_module()
class KillInSave(Hook):
    """Kills when half of the bytes of a file with `name` in its path are written."""

    def __init__(self, name: str) -> None:
        self.name = name

    def before_run(self, runner):
        put, name = LocalBackend.put, self.name

        def dying_put(backend, content, path):
            if name not in str(path):
                return put(backend, content, path)
            put(backend, content[: len(content) // 2], path)
            kill()

        LocalBackend.put = dying_put

"""The host's times of data and iteration, without a copy of all former times."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import IterTimerHook as HostIterTimerHook
from mmengine.runner import Runner

from automix_mm.registry import HOOKS

from .lazy_history import log_number


@HOOKS.register_module()
class IterTimerHook(HostIterTimerHook):
    """The host's hook with histories that do not grow dearer with each iteration.

    ``time``, ``data_time`` and ``eta`` are the host's. On a GPU they are times of the program,
    which runs ahead of the device: an iteration may look short, and the one that reads the device
    long. Their sum, from which ``eta`` follows, is right.
    """

    t: float  # when the last iteration or the epoch's start was over, set by the host

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        log_number(runner.message_hub, f'{mode}/data_time', time.time() - self.t)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        now = time.time()
        seconds, self.t = now - self.t, now
        log_number(runner.message_hub, f'{mode}/time', seconds)
        if mode == 'train':
            self.time_sec_tot += seconds
            done = runner.iter + 1
            mean = self.time_sec_tot / (done - self.start_iter)
            left = runner.max_iters - done
        else:
            self.time_sec_test_val += seconds
            mean = self.time_sec_test_val / (batch_idx + 1)
            loader = runner.val_dataloader if mode == 'val' else runner.test_dataloader
            left = len(loader) - batch_idx - 1
        runner.message_hub.update_info('eta', mean * left)

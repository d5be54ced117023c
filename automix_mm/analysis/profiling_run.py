"""Runs the first iterations of a training under torch's profiler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.profiler import ProfilerActivity, profile, record_function

from automix_mm import launch

from .profiling import ITERATION, Profile, mark_parts, part, read_profile


class Traced(NamedTuple):
    """A finished profile.

    Attributes:
        profile: Where the time went.
        plain_seconds: Mean length of as many iterations before, without the profiler.
    """

    profile: Profile
    plain_seconds: float


class _Enough(Exception):
    """Ends a training whose profiled iterations are over."""


class TimedLoader:
    """A data loader, the time in which it is waited for marked as data."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        iterator = TimedLoader(iter(self.loader))
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                return
            yield batch

    def __next__(self) -> Any:
        with part('data'):
            return next(self.loader)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class ProfileHook(Hook):
    """Lets some iterations pass, times as many, profiles as many and ends the training.

    Args:
        warmup: Iterations before anything is measured.
        steps: Iterations that are timed, and again that are profiled.
        trace: Where to write the trace.
    """

    priority = 'LOWEST'

    def __init__(self, warmup: int, steps: int, trace: Path) -> None:
        self.timed_from, self.profiled_from = warmup, warmup + steps
        self.steps = steps
        self.trace = trace
        self.result: Traced | None = None
        self._done = 0
        self._start = self._plain = 0.0
        self._cuda = torch.cuda.is_available()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._cuda else [])]
        # One cycle: nothing is lost between cycles, of which torch would warn otherwise.
        self._profiler = profile(activities=activities, acc_events=True)
        self._range = record_function(ITERATION)

    def before_train(self, runner: Runner) -> None:
        """Marks the parts of what the runner trains.

        Args:
            runner: The runner.
        """
        mark_parts(runner.model, runner.optim_wrapper)
        loop: Any = runner.train_loop
        for name in ('dataloader', 'dataloader_iterator'):
            if hasattr(loop, name):
                setattr(loop, name, TimedLoader(getattr(loop, name)))

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Goes on to the next stage when its time has come.

        Args:
            runner: The runner.
            *args: Not used.
            **kwargs: Not used.
        """
        self._done += 1
        last = self._done == self.profiled_from + self.steps
        if self._cuda and (last or self._done in (self.timed_from, self.profiled_from)):
            torch.cuda.synchronize()
        if self._done > self.profiled_from:
            self._range.__exit__(None, None, None)
        if self._done == self.timed_from:
            self._start = time.perf_counter()
        if self._done == self.profiled_from:
            self._plain = (time.perf_counter() - self._start) / self.steps
            self._profiler.start()
        if last:
            self._finish()
        if self._done >= self.profiled_from:
            self._range = record_function(ITERATION)
            self._range.__enter__()

    def _finish(self) -> None:
        self._profiler.stop()
        self._profiler.export_chrome_trace(str(self.trace))
        read = read_profile(self._profiler.events() or (), self._cuda)
        self.result = Traced(read, self._plain)
        raise _Enough


def profile_training(cfg: Config, warmup: int, steps: int, trace: Path, folder: str) -> Traced:
    """Train as tools/train.py does, without validation and checkpoints, and profile.

    Args:
        cfg: The config, changed in place.
        warmup: Iterations before anything is measured, at least 1.
        steps: Iterations to profile, at least 1.
        trace: File of the Chrome trace.
        folder: Work dir of the run, of which nothing is worth keeping.

    Raises:
        ValueError: If a number is below 1, or the training ends before that many iterations.
    """
    if min(warmup, steps) < 1:
        raise ValueError(f'expected at least 1 iteration each, got {warmup} and {steps}')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.setdefault('default_hooks', {})['checkpoint'] = None
    cfg.log_level = 'WARNING'
    launch.set_loader_defaults(cfg, ('train_dataloader',))
    hook = ProfileHook(warmup, steps, trace)
    cfg.work_dir = folder
    runner = launch.build_runner(cfg, [])
    runner.register_hook(hook)
    with suppress(_Enough):
        runner.train()
    if hook.result is None:
        raise ValueError(
            f'the training is over before {warmup + 2 * steps} iterations: ask for fewer'
        )
    return hook.result

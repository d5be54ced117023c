"""Several short trainings at once, each in a process of its own that prints nothing."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import os.path as osp
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from automix_mm import launch
from automix_mm.engine.epochs import set_epochs

LOG_NAME = 'output.log'
"""Everything that a run prints, third-party warnings and tracebacks included."""

_REPORT_SECONDS = 0.2
_FIGURES = ('mask_lam_corr', 'mask_std', 'gain_over_linear')


class Plan(NamedTuple):
    """One training to be made.

    Attributes:
        method: Name under which the run is shown.
        config: Path of the config.
        seed: Seed of weights, data order and all draws.
        epochs: Length of the run; None is the config's own.
        work_dir: Folder for logs and checkpoints, made anew.
        finish: Called with the trained runner; its result, which must be picklable, becomes
            ``RunResult.extra``.
    """

    method: str
    config: str
    seed: int
    epochs: int | None
    work_dir: str
    finish: Callable[[Runner], Any] | None = None

    @property
    def log_path(self) -> str:
        """Path of the file with all that the run prints."""
        return osp.join(self.work_dir, LOG_NAME)


class Status(NamedTuple):
    """How far a run is.

    Attributes:
        done: Iterations made.
        total: Iterations of the whole run.
        loss: Loss of the last iteration.
        top1: Accuracy of the last validation in percent, None before the first.
    """

    done: int
    total: int
    loss: float
    top1: float | None


@dataclass
class RunResult:
    """What a finished run has measured.

    Attributes:
        epochs: Epochs after which a validation was made.
        top1: Accuracy in percent, one for each of ``epochs``.
        heads: The same for every head that the model has, by name such as ``mix_q``.
        figures: The mix block's health, each a mean over the last tenth of the training; empty
            for methods without a block.
        loss: Training loss of the last iteration.
        seconds: Wall time from building the runner to the last validation.
        extra: What ``Plan.finish`` returned.
    """

    epochs: list[int] = field(default_factory=list)
    top1: list[float] = field(default_factory=list)
    heads: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    loss: float = float('nan')
    seconds: float = 0.0
    extra: Any = None


class RunError(RuntimeError):
    """A run ended without a result; the message has the end of its log."""


class _ReportHook(Hook):
    """Sends the state of a run to the process that shows it, and collects what is measured."""

    priority = 'VERY_LOW'

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.result = RunResult()
        self._sent = 0.0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Reports the iteration, a few times per second."""
        self.result.loss = float((outputs or {}).get('loss', 'nan'))
        if time.monotonic() - self._sent > _REPORT_SECONDS:
            self._send(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Notes the accuracies of a validation."""
        metrics = metrics or {}
        self.result.epochs.append(runner.epoch)
        self.result.top1.append(metrics['accuracy/top1'])
        for name, value in metrics.items():
            if name.startswith('accuracy/top1_'):
                head = name.removeprefix('accuracy/top1_')
                self.result.heads.setdefault(head, []).append(value)
        self._send(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Notes the figures of the mix block."""
        scalars = MessageHub.get_current_instance().log_scalars
        window = max(1, runner.max_iters // 10)
        for name in _FIGURES:
            if f'train/{name}' in scalars:
                self.result.figures[name] = float(scalars[f'train/{name}'].mean(window))

    def _send(self, runner: Runner, done: int) -> None:
        top1 = self.result.top1[-1] if self.result.top1 else None
        self.connection.send(Status(done, runner.max_iters, self.result.loss, top1))
        self._sent = time.monotonic()


def run_all(
    plans: list[Plan], workers: int
) -> Generator[tuple[int, Status | RunResult], None, None]:
    """Makes all runs, ``workers`` of them at a time, in the order given.

    Every process ends when the generator does, for whatever reason: close it when you leave early.

    Args:
        plans: The runs. Their data loaders must work without worker processes (num_workers=0).
        workers: Number of processes, at least 1.

    Yields:
        Index of the plan and its :class:`Status` several times, then its :class:`RunResult`.

    Raises:
        RunError: If a run ends without a result.
    """
    waiting = list(enumerate(plans))
    running: dict[Connection, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                index, plan = waiting.pop(0)
                receiver, process = _start(plan)
                running[receiver] = index, process
            ready = wait(list(running))
            for receiver in [one for one in running if one in ready]:
                index, process = running[receiver]
                message = _receive(receiver, plans[index], process)
                if isinstance(message, RunResult):
                    del running[receiver]
                    process.join()
                yield index, message
    finally:
        for _, process in running.values():
            process.terminate()
        for _, process in running.values():
            process.join()


def _start(plan: Plan) -> tuple[Connection, Any]:
    """Starts the process of a run; returns the end of its pipe and the process."""
    # A forked process finds the host imported already, which otherwise costs seconds per run.
    context: Any = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(plan, sender), daemon=True)
    process.start()
    sender.close()  # only the process holds this end now: its death ends the pipe
    return receiver, process


def _receive(receiver: Connection, plan: Plan, process: Any) -> Status | RunResult:
    """Takes the next message of a run, or reports its end."""
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RunError(_failure(plan, process.exitcode)) from None


def _run(plan: Plan, connection: Connection) -> None:
    """Body of a run's process."""
    shutil.rmtree(plan.work_dir, ignore_errors=True)
    os.makedirs(plan.work_dir)
    with open(plan.log_path, 'w', encoding='utf-8') as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    torch.set_num_threads(1)
    try:
        result = _train(plan, connection)
        connection.send(result)
    except BaseException:  # the interpreter would print it to the screen of a forked process
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _train(plan: Plan, connection: Connection) -> RunResult:
    """Trains as tools/train.py does, and returns what was measured."""
    start = time.monotonic()
    cfg = launch.load_config(
        argparse.Namespace(
            config=plan.config,
            cfg_options=None,
            data_root=None,
            work_dir=plan.work_dir,
            launcher='none',
            local_rank=0,
        )
    )
    cfg.randomness = {**cfg.get('randomness', {}), 'seed': plan.seed}
    notes = set_epochs(cfg, plan.epochs) if plan.epochs else []
    launch.set_loader_defaults(cfg, ('train_dataloader', 'val_dataloader', 'test_dataloader'))
    runner = launch.build_runner(cfg, notes)
    hook = _ReportHook(connection)
    runner.register_hook(hook)
    runner.train()
    hook.result.seconds = time.monotonic() - start
    if plan.finish is not None:
        hook.result.extra = plan.finish(runner)
    return hook.result


def _failure(plan: Plan, exitcode: int | None, lines: int = 15) -> str:
    """Describes a run that ended without a result."""
    tail = ''
    if osp.isfile(plan.log_path):
        with open(plan.log_path, encoding='utf-8', errors='replace') as log:
            tail = ''.join(f'  {line}' for line in log.readlines()[-lines:])
    return (
        f'{plan.method}, seed {plan.seed}, ended with exit code {exitcode}. '
        f'End of {plan.log_path}:\n{tail}'
    )

"""Makes the trainings of a plan, one after the other."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .locks import Locked, run_lock, stale_owner
from .planning import Settings, Task, command
from .run_display import RunDisplay
from .runs import OUTPUT, RECORD, State, inspect

_POLL_SECONDS = 0.5
_READ_SECONDS = 3.0
_PATIENCE_SECONDS = 30.0
_TAIL_LINES = 12


class Outcome(NamedTuple):
    """What became of a task.

    Attributes:
        name: The task's.
        state: Its state afterwards.
        failure: Why it is not complete, empty if it is.
    """

    name: str
    state: State
    failure: str


def run_tasks(tasks: Sequence[Task], settings: Settings, display: RunDisplay) -> list[Outcome]:
    """Brings every task to its end; a task that fails does not stop the others.

    What is complete is left alone, what was cut goes on from its newest whole checkpoint.

    Args:
        tasks: The tasks.
        settings: Devices and folders.
        display: Shows the progress.

    Returns:
        One outcome per task.
    """
    outcomes = []
    with display:
        for task in tasks:
            display.start(task)
            outcome = _run(task, settings, display)
            display.finish(outcome.state, outcome.failure)
            outcomes.append(outcome)
    return outcomes


def _run(task: Task, settings: Settings, display: RunDisplay) -> Outcome:
    run, work_dir = task.run, task.run.work_dir(settings.root)
    if task.state.status == 'complete':
        return Outcome(task.name, task.state, '')
    stale = stale_owner(work_dir)
    if stale:
        display.note(f'took over the lock of {stale}, which is dead')
    try:
        with run_lock(work_dir) as lock:
            # Another process may have finished it since the plan was made.
            state = inspect(run, settings.root)
            if state.status == 'complete' or state.note:
                return Outcome(task.name, state, state.note)
            display.note(f'from epoch {state.done + 1}' if state.done else 'from the start')
            code = _train(task, settings, lock, display)
    except Locked as error:
        return Outcome(task.name, inspect(run, settings.root), str(error))
    except (OSError, ValueError) as error:
        return Outcome(task.name, task.state, str(error))
    state = inspect(run, settings.root)
    return Outcome(task.name, state, _failure(state, run.epochs, code, work_dir))


def _failure(state: State, epochs: int, code: int, work_dir: Path) -> str:
    if state.status == 'complete':
        return ''
    why = state.note or f'accuracy/top1 logged up to epoch {state.done} of {epochs}'
    return f'exit code {code}, {why}; end of {work_dir / OUTPUT}:\n{_tail(work_dir)}'


def _train(task: Task, settings: Settings, lock: int, display: RunDisplay) -> int:
    """Runs the training and shows its epochs; returns its exit code."""
    words, variables = command(task.run, settings)
    if settings.launcher == 'pytorch' and not {'PORT', 'NNODES'} & {*os.environ}:
        variables['PORT'] = free_port()  # another training of this machine has the default one
    work_dir = task.run.work_dir(settings.root)
    record = dict(
        command=words, devices=settings.devices, seed=task.run.seed, epochs=task.run.epochs
    )
    (work_dir / RECORD).write_text(json.dumps(record, indent=1) + '\n')
    with open(work_dir / OUTPUT, 'a', encoding='utf-8') as output:
        print('$', shlex.join(words), file=output, flush=True)
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            pass_fds=(lock,),
        )
        try:
            return _watch(process, task, settings, display)
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """Ends the training, politely first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> str:
    """Finds a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def _watch(process: subprocess.Popen, task: Task, settings: Settings, display: RunDisplay) -> int:
    read = time.monotonic()
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() - read > _READ_SECONDS:
                display.update(inspect(task.run, settings.root))
                read = time.monotonic()


def _tail(work_dir: Path) -> str:
    lines = (work_dir / OUTPUT).read_text(encoding='utf-8', errors='replace').splitlines()
    return '\n'.join(f'  {line[:160]}' for line in lines[-_TAIL_LINES:])

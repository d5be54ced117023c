"""Progress of a grid of trainings: a bar on a terminal, lines anywhere else."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .planning import Task
from .runs import State


class RunDisplay:
    """Shows which run is at work and how far the whole grid is.

    Args:
        tasks: All runs, the complete ones too.
        console: Where to draw.
    """

    def __init__(self, tasks: list[Task], console: Console) -> None:
        self.console = console
        epochs = sum(task.run.epochs for task in tasks)
        self._numbers = iter(range(1, len(tasks) + 1))
        self._count = len(tasks)
        self._before = 0
        self._bars = Progress(
            TextColumn('{task.description}'),
            BarColumn(20),
            TextColumn('{task.percentage:>3.0f} %  {task.fields[state]}'),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self._bar = self._bars.add_task('all runs', total=max(epochs, 1), state='')

    def __enter__(self) -> RunDisplay:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, task: Task) -> None:
        """Announces the next run."""
        self._task = task
        self._name = f'[{next(self._numbers)}/{self._count}] {task.name}'
        self._started = time.monotonic()
        self._bars.update(self._bar, state=escape(self._name))

    def note(self, text: str) -> None:
        """Tells how the run begins."""
        self._print(f'{self._name}: {text}')

    def update(self, state: State) -> None:
        """Shows how far the run is."""
        epoch = f'{self._name}, epoch {state.done}/{self._task.run.epochs}'
        done = min(state.done, self._task.run.epochs)
        self._bars.update(self._bar, completed=self._before + done, state=escape(epoch))

    def finish(self, state: State, failure: str) -> None:
        """Reports the end of the run.

        Args:
            state: The run's state.
            failure: Why it is not complete, empty if it is.
        """
        self._before += self._task.run.epochs
        self._bars.update(self._bar, completed=self._before)
        seconds = time.monotonic() - self._started
        if failure:
            self._print(f'{self._name}: NOT COMPLETE, {failure}')
        elif self._task.state.status == 'complete':
            self._print(f'{self._name}: was complete, {state.result:.2f} %')
        else:
            self._print(f'{self._name}: complete, {state.result:.2f} % after {seconds:.0f} s')

    def _print(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

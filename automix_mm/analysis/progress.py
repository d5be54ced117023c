"""One quiet display of several runs: bars on a terminal, else a line for each finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from .short_runs import Plan, RunResult, Status

_SMOOTHING_SECONDS = 20.0


class ProgressDisplay:
    """Shows the messages of :func:`run_all` while its block lasts.

    Args:
        plans: The runs.
        console: Where to draw. On anything but a terminal a finished run is one plain line.
        costs: Relative time of an iteration, by method; 1 where it is not given. It makes the
            estimate of the remaining time right from the start.
    """

    def __init__(
        self, plans: Sequence[Plan], console: Console, costs: Mapping[str, float] | None = None
    ) -> None:
        self.plans = plans
        self.console = console
        self._costs = [float((costs or {}).get(plan.method, 1)) for plan in plans]
        self._shares = [0.0] * len(plans)
        self._finished = 0
        # No thread of its own: runs are forked while the display lives.
        self._bars = Progress(
            TextColumn('{task.description}'),
            BarColumn(18),
            TextColumn('{task.percentage:>3.0f} %'),
            TextColumn('{task.fields[state]}'),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            auto_refresh=False,
            speed_estimate_period=_SMOOTHING_SECONDS,
        )
        width = max(len(plan.method) for plan in plans)
        self._tasks = [
            self._add(f'{plan.method:<{width}} seed {plan.seed}', start=False) for plan in plans
        ]
        self._whole = self._add('all runs')

    @property
    def done(self) -> float:
        """Share of the whole work that is done, 0 to 1."""
        work = sum(share * cost for share, cost in zip(self._shares, self._costs, strict=True))
        return work / sum(self._costs)

    def _add(self, name: str, start: bool = True) -> TaskID:
        return self._bars.add_task(name, total=1.0, start=start, state='')

    def __enter__(self) -> ProgressDisplay:
        if self.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self._bars.stop()

    def show(self, index: int, message: Status | RunResult) -> None:
        """Takes in one message.

        Args:
            index: Number of the plan.
            message: What its process sent.
        """
        if isinstance(message, RunResult):
            self._finish(index, message)
        else:
            self._advance(index, message)
        if self.console.is_terminal:
            self._bars.refresh()

    def _advance(self, index: int, status: Status) -> None:
        task = self._tasks[index]
        if not self._bars.tasks[task].started:
            self._bars.start_task(task)
        self._set(index, status.done / status.total, _state(status.loss, status.top1))

    def _finish(self, index: int, result: RunResult) -> None:
        self._finished += 1
        self._set(index, 1.0, _state(result.loss, result.top1[-1]))
        if not self.console.is_terminal:
            plan = self.plans[index]
            self.console.print(
                f'{plan.method}, seed {plan.seed}: top-1 {result.top1[-1]:.2f} %, '
                f'{result.seconds:.0f} s ({self._finished} of {len(self.plans)} runs)',
                highlight=False,
            )

    def _set(self, index: int, share: float, state: str) -> None:
        self._shares[index] = share
        self._bars.update(self._tasks[index], completed=share, state=state)
        self._bars.update(self._whole, completed=self.done)


def _state(loss: float, top1: float | None) -> str:
    accuracy = '' if top1 is None else f'top-1 {top1:5.2f} %'
    return f'loss {loss:6.3f}  {accuracy:<13}'

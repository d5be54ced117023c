"""How far a long step is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do (0 if unknown)."""


class ProgressLine:
    """Shows progress: a line that replaces itself on a terminal, else a line for every tenth.

    Args:
        unit: What is counted.
        size: How much of it is one unit.
    """

    def __init__(self, unit: str = 'MB', size: int = 1_000_000) -> None:
        self.unit = unit
        self.size = size
        self._tenths = 0

    def __call__(self, done: int, total: int) -> None:
        """Shows that ``done`` of ``total`` is done (0 if unknown)."""
        terminal = sys.stderr.isatty()
        tenths = 10 * done // total if total else 0
        if tenths == self._tenths and (tenths == 10 or not terminal):
            return
        self._tenths = tenths
        share = f' of {total // self.size} {self.unit} ({100 * done // total} %)' if total else ''
        line = f'  {done // self.size}{share or " " + self.unit}'
        ends = not terminal or done == total
        start = '\r' if terminal else ''
        print(f'{start}{line}', end='\n' if ends else '', file=sys.stderr, flush=True)

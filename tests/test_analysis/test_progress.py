"""The progress display on a terminal and elsewhere."""

import io
import threading

import pytest
from rich.console import Console

from automix_mm.analysis import Plan, ProgressDisplay, RunResult, Status

PLANS = [
    Plan('vanilla', '', 0, None, ''),
    Plan('AutoMix', '', 0, None, ''),
]
DONE = RunResult(epochs=[1], top1=[91.25], loss=0.5, seconds=12.4)


def console(terminal):
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=80, color_system=None, _environ={}
    )


def test_elsewhere_a_finished_run_is_one_plain_line():
    screen = console(terminal=False)
    with ProgressDisplay(PLANS, screen) as display:
        display.show(0, Status(10, 100, 1.5, None))
        assert screen.file.getvalue() == ''
        display.show(0, DONE)
        display.show(1, DONE)
    assert screen.file.getvalue() == (
        'vanilla, seed 0: top-1 91.25 %, 12 s (1 of 2 runs)\n'
        'AutoMix, seed 0: top-1 91.25 %, 12 s (2 of 2 runs)\n'
    )


def test_a_terminal_shows_loss_and_accuracy_of_each_run():
    screen = console(terminal=True)
    with ProgressDisplay(PLANS, screen) as display:
        display.show(1, Status(25, 100, 1.5, 45.5))
        text = screen.file.getvalue()
    line = [line for line in text.splitlines() if 'AutoMix seed 0' in line][-1]
    assert '25 %' in line and 'loss  1.500' in line and 'top-1 45.50 %' in line
    assert 'vanilla seed 0' in text and 'all runs' in text


def test_the_whole_is_weighted_with_the_cost_of_each_method():
    display = ProgressDisplay(PLANS, console(terminal=False), {'AutoMix': 3.0})
    display.show(1, Status(50, 100, 1.0, None))
    assert display.done == pytest.approx(1.5 / 4)
    display.show(0, DONE)
    assert display.done == pytest.approx(2.5 / 4)


def test_no_line_is_wider_than_the_terminal():
    screen = console(terminal=True)
    with ProgressDisplay(PLANS, screen) as display:
        display.show(1, Status(25, 100, 1.5, 45.5))
        display.show(0, DONE)
    assert max(map(len, screen.file.getvalue().splitlines())) <= 80 + 20  # control characters


def test_no_thread_lives_beside_the_forks():
    with ProgressDisplay(PLANS, console(terminal=True)) as display:
        display.show(0, Status(1, 100, 1.0, None))
        assert threading.active_count() == 1

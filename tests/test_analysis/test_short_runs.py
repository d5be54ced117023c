"""Runs in processes of their own: real trainings of a few iterations."""

import math
import multiprocessing
import os
import signal
import time
from contextlib import closing

import pytest

from automix_mm.analysis import Plan, RunError, RunResult, Status, run_all

CONFIG = """
_base_ = [{base!r}]
train_dataloader = dict(batch_size=25)
val_dataloader = dict(dataset=dict(indices=100))
train_cfg = dict(val_interval=1)
{more}
"""
ROOT = __file__.rsplit('/tests/', 1)[0]
BASES = {
    'vanilla': f'{ROOT}/configs/vanilla/vanilla_r18slim_digits.py',
    'AutoMix': f'{ROOT}/configs/automix/r18slim_digits.py',
}


@pytest.fixture
def plan(tmp_path):
    def make(method='vanilla', seed=0, epochs=2, more='', finish=None):
        path = tmp_path / f'{method}{seed}.py'
        path.write_text(CONFIG.format(base=BASES[method], more=more))
        return Plan(method, str(path), seed, epochs, str(tmp_path / f'{method}{seed}'), finish)

    return make


def finished(plans, workers=2):
    """Results by index, and all messages."""
    messages = list(run_all(plans, workers))
    return {i: one for i, one in messages if isinstance(one, RunResult)}, messages


def test_results_hold_what_the_host_logged(plan):
    plans = [plan('AutoMix'), plan('vanilla')]
    results, messages = finished(plans)
    automix, vanilla = results[0], results[1]
    assert automix.epochs == vanilla.epochs == [1, 2]
    assert set(automix.heads) == {'onehot_q', 'mix_q', 'onehot_k', 'mix_k'}
    assert automix.heads['mix_k'] == pytest.approx(automix.top1)
    assert set(automix.figures) == {'mask_lam_corr', 'mask_std', 'gain_over_linear'}
    assert vanilla.heads == vanilla.figures == {}
    with open(plans[1].log_path) as log:
        lines = [line for line in log if 'Epoch(val) [2]' in line]
    assert f'accuracy/top1: {vanilla.top1[-1]:.4f}' in lines[0]


def test_states_count_up_to_all_iterations(plan):
    _, messages = finished([plan()])
    states = [one for _, one in messages if isinstance(one, Status)]
    done = [state.done for state in states]
    total = states[0].total
    assert done == sorted(done) and done[-1] == total
    assert total % 2 == 0 and all(math.isfinite(state.loss) for state in states)


def test_a_run_depends_on_its_seed_and_not_on_its_neighbours(plan):
    together, _ = finished([plan(seed=0), plan(seed=1)])
    alone, _ = finished([plan(seed=0)], workers=1)
    assert together[0].loss == alone[0].loss
    assert together[0].loss != together[1].loss


def test_nothing_reaches_the_screen(plan, capfd):
    finished([plan()])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ('', '')


def test_finish_is_called_with_the_trained_runner(plan):
    results, _ = finished([plan(finish=lambda runner: runner.iter)])
    total = results[0].extra
    assert total == 2 * (total // 2) > 0


def test_a_failed_run_shows_the_end_of_its_log_and_ends_the_others(plan):
    broken = plan(more='model = dict(head=dict(in_channels=7))')
    slow = plan('AutoMix', epochs=1000)
    start = time.monotonic()
    with pytest.raises(RunError, match=r'vanilla, seed 0, ended with exit code 1') as failure:
        finished([broken, slow])
    assert 'mat1 and mat2 shapes cannot be multiplied' in str(failure.value)
    assert time.monotonic() - start < 60, 'the long run was not ended'
    assert not multiprocessing.active_children()


def kill(runner):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_is_a_failed_run(plan):
    with pytest.raises(RunError, match='exit code -9'):
        finished([plan(finish=kill)])


def test_closing_ends_all_processes(plan):
    with closing(run_all([plan(seed=0, epochs=1000), plan(seed=1, epochs=1000)], 2)) as messages:
        next(messages)
        assert len(multiprocessing.active_children()) == 2
    assert not multiprocessing.active_children()

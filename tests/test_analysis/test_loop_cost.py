"""Kinds of iteration that are compared: what runs in each, and what it reads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from automix_mm.analysis.loop_cost import TrainingLoop, measure_loop
from automix_mm.analysis.step_cost import TrainingStep
from automix_mm.hooks.lazy_history import LazyHistory
from tests.test_tools.conftest import ROOT

STEPS = 4


@pytest.fixture
def loop(tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/automix/r18slim_digits.py')
    cfg.model.backbone.update(stem_channels=8, base_channels=8)
    cfg.model.head.in_channels = 64
    cfg.model.mixer.in_channels = 8
    torch.manual_seed(0)
    step = TrainingStep(cfg, 4, (8, 8), torch.device('cpu'))
    return TrainingLoop(cfg, step, STEPS, str(tmp_path))


def histories(loop, kind):
    return loop._kinds[kind][1].log_scalars


def test_each_kind_trains_the_same_model_as_often(loop):
    trained = loop.step.model.iterations
    for number, kind in enumerate(('bare', 'light', 'host'), start=1):
        assert loop.run(kind) > 0
        assert trained.value() == STEPS * number


def test_runner_iterations_are_logged_and_bare_ones_are_not(loop):
    loop.run('bare')
    assert not histories(loop, 'light') and not histories(loop, 'host')
    loop.run('light')
    loop.run('host')
    ours, hosts = histories(loop, 'light'), histories(loop, 'host')
    assert list(ours) == list(hosts) and len(ours) == 12
    assert {len(history.data[0]) for history in (*ours.values(), *hosts.values())} == {STEPS}
    assert {type(history) for history in ours.values()} == {LazyHistory}
    assert {type(history) for history in hosts.values()} == {HistoryBuffer}
    log = Path(loop.runner.work_dir, loop.runner.timestamp, 'vis_data', 'scalars.json')
    assert len(log.read_text().splitlines()) == 2  # one line for each timing


def test_the_hosts_hooks_read_every_value_and_ours_the_whole_interval_at_once(loop):
    loop.run('light')
    loop.run('host')
    before = loop.step.model.iterations.value()
    with loop.without_model():
        assert loop.host_seconds('light') > 0
        trained = loop.step.model.iterations.value()
        assert (loop.reads('light'), loop.reads('host')) == (1 / STEPS, 8)
    assert loop.step.model.iterations.value() == trained == before + 1
    assert loop.run('bare') > 0


def test_the_log_can_be_given_a_past(loop):
    loop.run('light')
    loop.run('host')
    loop.age(1000)
    loop.run('light')
    loop.run('host')
    ours, hosts = (histories(loop, kind)['train/lr'].data[0] for kind in ('light', 'host'))
    assert len(ours) == len(hosts) == 1000 + STEPS
    np.testing.assert_array_equal(ours[:1000], hosts[:1000])


def test_figures_are_consistent(loop):
    figures = measure_loop(loop, repeats=3, history=10)
    assert figures['light_reads'] < 1 < figures['host_reads']
    for kind in ('light', 'host'):
        low, middle, high = (figures[f'{kind}_share{end}'] for end in ('_min', '', '_max'))
        assert low <= middle <= high < 1
        assert 0 < figures[f'{kind}_loop_ms_min'] <= figures[f'{kind}_loop_ms']

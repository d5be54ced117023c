"""Runs with the project's logging hooks log what the same runs log with the host's."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from automix_mm.engine.reader import read_checkpoint
from tests.test_tools.conftest import ROOT

from .conftest import Scores, collate
from .test_lazy_history import Spy


class Losses(BaseModel):
    """Two losses, one of them not finite at times, and a figure in double precision."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.steps = 0

    def forward(self, value, mode='tensor'):
        fitted = (self.layer(value) - 3).square().mean()
        if mode != 'loss':
            return [dict(score=float(fitted))]
        self.steps += 1
        odd = fitted.detach() / (self.steps % 4 != 0)
        figure = fitted.detach().double().sqrt().view(1)
        return dict(loss_fit=fitted, loss_odd=odd, figure=figure)


class Clock(Hook):
    """Lets the time pass by fixed amounts in place of the machine's."""

    priority = 'VERY_HIGH'

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(time, 'time', lambda: self.now)

    def before_train_iter(self, runner, **_):
        self.now += 0.25 + runner.iter / 64

    def after_train_iter(self, runner, **_):
        self.now += 0.5

    def after_val_iter(self, runner, **_):
        self.now += 0.125


def make_runner(folder, light, epochs=2, **kwargs):
    torch.manual_seed(0)
    model = Losses()
    loader = dict(
        dataset=[float(value) for value in range(7)],
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1,
        collate_fn=collate,
    )
    scope = 'automix_mm.' if light else ''
    hooks = dict(
        runtime_info=dict(type=f'{scope}RuntimeInfoHook'),
        timer=dict(type=f'{scope}IterTimerHook'),
        logger=dict(type='LoggerHook', interval=3, ignore_last=False),
        checkpoint=dict(type='automix_mm.CheckpointHook', interval=1),
    )
    window = dict(method_name='max', log_name='loss_max', data_src='loss_fit', window_size='epoch')
    overall = dict(method_name='mean', log_name='fig', data_src='figure', window_size='global')
    settings = dict(
        model=model,
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)),
        param_scheduler=dict(type='ExponentialLR', gamma=0.9, by_epoch=False),
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=dict(type=Scores, scores=range(20)),
        default_hooks=hooks,
        log_processor=dict(window_size=4, custom_cfg=[window, overall]),
        experiment_name=f'{folder.parent.name}_{folder.name}',
        log_level='ERROR',
    )
    return Runner(**settings | kwargs)


def train(folder, light, monkeypatch, **kwargs):
    with monkeypatch.context() as patch:
        runner = make_runner(folder, light, custom_hooks=[Clock(patch)], **kwargs)
        runner.train()
    return runner


def written(runner):
    """The lines of the JSON log, as text: NaN is not equal to itself."""
    return Path(runner._log_dir, 'vis_data', f'{runner.timestamp}.json').read_text().splitlines()


def assert_same_histories(ours, hosts):
    assert list(ours) == list(hosts)
    for name, history in ours.items():
        for values, expected in zip(history.data, hosts[name].data, strict=True):
            np.testing.assert_array_equal(values, expected, err_msg=name)


def test_logs_and_histories_are_the_hosts(tmp_path, monkeypatch):
    ours, hosts = (train(tmp_path / n, n == 'a', monkeypatch) for n in 'ab')
    assert written(ours) == written(hosts)
    last = json.loads(written(ours)[-2])
    assert last['step'] == 14 and last['time'] > 0
    assert any('Infinity' in line for line in written(ours))
    assert_same_histories(ours.message_hub.log_scalars, hosts.message_hub.log_scalars)
    assert len(ours.message_hub.get_scalar('train/loss_fit').data[0]) == 14
    assert ours.message_hub.runtime_info.keys() == hosts.message_hub.runtime_info.keys()
    assert ours.message_hub.get_info('eta') == hosts.message_hub.get_info('eta')


def test_lines_on_the_terminal_are_the_hosts(tmp_path, monkeypatch):
    lines = []
    for name in 'ab':
        said = []
        runner = make_runner(tmp_path / name, name == 'a')
        with monkeypatch.context() as patch:
            patch.setattr(runner.logger, 'info', said.append)
            runner.register_hook(Clock(patch))
            runner.train()
        lines.append([line for line in said if line.startswith('Epoch(')])
    assert len(lines[0]) == 12 and 'loss_odd: inf' in ''.join(lines[0])
    assert lines[0] == lines[1]


def test_checkpoints_are_the_hosts_and_a_run_goes_on_from_them(tmp_path, monkeypatch):
    whole, _ = (train(tmp_path / n, n == 'a', monkeypatch) for n in 'ab')
    saved = read_checkpoint(tmp_path / 'a' / 'epoch_1.pth')['message_hub']['log_scalars']
    expected = read_checkpoint(tmp_path / 'b' / 'epoch_1.pth')['message_hub']['log_scalars']
    assert_same_histories(saved, expected)
    raw = torch.load(tmp_path / 'a' / 'epoch_1.pth', weights_only=False)
    kinds = {type(history) for history in raw['message_hub']['log_scalars'].values()}
    assert kinds == {HistoryBuffer}
    for source, light in (('a', True), ('b', True), ('a', False)):  # to and from the host's hooks
        name = f'{source}{light}'
        path = str(tmp_path / source / 'epoch_1.pth')
        resumed = train(tmp_path / name, light, monkeypatch, resume=True, load_from=path)
        for key in ('train/loss_fit', 'train/lr'):
            ours, first = (run.message_hub.get_scalar(key).data[0] for run in (resumed, whole))
            np.testing.assert_array_equal(ours, first)


class Reads(Hook):
    """Notes how often tensors have been read when an iteration is over."""

    priority = 'LOWEST'

    def __init__(self, spy):
        self.spy, self.seen = spy, []

    def before_train_iter(self, runner, **_):
        if not self.seen:  # the loader has read seeds
            self.spy.reads = 0

    def after_train_iter(self, runner, **_):
        self.seen.append(self.spy.reads)
        self.spy.reads = 0


@pytest.mark.parametrize('light', [True, False])
def test_the_device_is_read_at_the_logging_interval_only(tmp_path, monkeypatch, light):
    hook = Reads(Spy(monkeypatch))
    quiet = dict(val_dataloader=None, val_cfg=None, val_evaluator=None, custom_hooks=[hook])
    make_runner(tmp_path / 'run', light, epochs=1, **quiet).train()
    # Four values; iterations 3, 6 and 7 log. The first one makes the histories.
    assert hook.seen == ([4, 0, 2, 0, 0, 2, 2] if light else [4] * 7)


@pytest.mark.parametrize('config', ['automix/r18_cifar100', 'vanilla/vanilla_r18slim_digits'])
def test_configs_have_the_hooks(config):
    hooks = Config.fromfile(ROOT / 'configs' / f'{config}.py').default_hooks
    assert hooks.runtime_info.type == 'automix_mm.RuntimeInfoHook'
    assert hooks.timer.type == 'automix_mm.IterTimerHook'

"""The median of the last ten epochs, through cuts of the run."""

import json

import pytest
from mmengine.config import Config

from automix_mm.hooks import Last10Hook
from tests.test_tools.conftest import ROOT

NAME = 'toy/acc_last10_median'


def train(make_runner, epochs, scores, name='run', **kwargs):
    """Trains and returns the runner."""
    checkpoint = dict(type='automix_mm.CheckpointHook', interval=1)
    hooks = [Last10Hook('toy/acc')]
    runner = make_runner(checkpoint, epochs, name, scores, custom_hooks=hooks, **kwargs)
    runner.train()
    return runner


def median(runner):
    """The value that the logger of the host would write, None if there is none."""
    scalar = runner.message_hub.log_scalars.get(f'val/{NAME}')
    return None if scalar is None else scalar.current()


def test_the_median_of_exactly_ten(make_runner):
    assert median(train(make_runner, 10, [100.0, *range(9)], 'ten')) == 4.5
    assert median(train(make_runner, 12, [90, 80, *range(5, 15)], 'twelve')) == 9.5


def test_nine_epochs_have_none(make_runner):
    assert median(train(make_runner, 9, [50.0] * 9)) is None


def test_ten_validations_that_are_no_ten_epochs_in_a_row_have_none(make_runner):
    runner = train(make_runner, 3, [1.0] * 3)
    hook = next(hook for hook in runner.hooks if isinstance(hook, Last10Hook))
    # Of 3 to 12, epoch 5 is missing.
    for epoch in (4, 6, 7, 8, 9, 10, 11, 12):
        runner.train_loop._epoch = epoch
        hook.after_val_epoch(runner, {'toy/acc': 1.0})
    assert median(runner) is None
    for epoch in (13, 14, 15):
        runner.train_loop._epoch = epoch
        hook.after_val_epoch(runner, {'toy/acc': 2.0})
    assert median(runner) == 1.0  # 6 to 15: seven times 1, three times 2


@pytest.mark.parametrize('cut', [7, 11, 12])
def test_a_resumed_run_validates_the_restored_weights(make_runner, tmp_path, cut):
    """The checkpoint of an epoch does not know its accuracy, the last epoch's included."""
    scores = [40.0, 30.0, *range(10, 20)]
    whole = train(make_runner, 12, scores, 'whole', randomness=dict(seed=1))
    path = tmp_path / 'whole' / f'epoch_{cut}.pth'
    resumed = train(
        make_runner, 12, scores[cut - 1 :], f'from{cut}', resume=True, load_from=str(path)
    )
    assert median(resumed) == median(whole) == 14.5
    with pytest.raises(StopIteration):  # every score was asked for, once
        next(resumed.val_evaluator.metrics[0].scores)


def test_a_new_run_validates_nothing_beforehand(make_runner):
    runner = train(make_runner, 2, [1.0, 2.0])
    assert runner.message_hub.get_info('automix_mm_last_top1') == {1: 1.0, 2: 2.0}


def test_metrics_without_the_key_are_left_alone(make_runner):
    checkpoint = dict(type='automix_mm.CheckpointHook', interval=1)
    runner = make_runner(checkpoint, 10, 'other', [1.0] * 10, custom_hooks=[Last10Hook()])
    runner.train()
    assert not [key for key in runner.message_hub.log_scalars if 'last10' in key]


@pytest.mark.parametrize('config', ['automix/r18_cifar100.py', 'mixup/mixup_r18slim_digits.py'])
def test_configs_have_the_hook(config):
    hooks = Config.fromfile(ROOT / 'configs' / config).custom_hooks
    assert 'automix_mm.Last10Hook' in [hook.type for hook in hooks], json.dumps(hooks)

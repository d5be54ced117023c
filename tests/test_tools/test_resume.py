"""A killed training run goes on as if nothing had happened."""

import os
import signal
import time

import pytest
import torch

from tests.test_datasets.archives import write_npz

from .conftest import finish, free_port, start

KILLED = -signal.SIGKILL
ITERATIONS = 4  # per epoch of the short configs


def train(config, work_dir, *args):
    return start('train.py', config, '--work-dir', work_dir, *args, cwd=work_dir.parent)


def load(path):
    return torch.load(path, map_location='cpu', weights_only=False)


def assert_same(one, other, where='checkpoint'):
    """Compares nested containers bit by bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f'{where}.{key}')
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            assert_same(first, second, f'{where}[{index}]')
    else:
        assert one == other, where


def assert_same_training(one, other):
    first, second = load(one), load(other)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert_same(first[part], second[part], part)
    for place in ('epoch', 'iter', 'seed'):
        assert first['meta'][place] == second['meta'][place]


def check_kill_in_epoch(config, tmp_path, base, epochs):
    """Cuts a run in its second epoch and compares the resumed end with an uninterrupted one."""
    at_iter = ITERATIONS + 2
    killed = config(base, dict(type='automix_mm.KillInEpoch', at_iter=at_iter), name='killed')
    plain = config(base, name='plain')
    length = ('--epochs', epochs)
    whole_run = train(plain, tmp_path / 'whole', *length)
    finish(train(killed, tmp_path / 'cut', *length), code=KILLED)
    assert not (tmp_path / 'cut' / 'epoch_2.pth').exists()
    log = finish(train(plain, tmp_path / 'cut', *length, '--resume'))
    assert f'resumed epoch: 1, iter: {ITERATIONS}' in log
    finish(whole_run)
    last = f'epoch_{epochs}.pth'
    assert_same_training(tmp_path / 'whole' / last, tmp_path / 'cut' / last)


def test_killed_in_an_epoch(config, tmp_path):
    check_kill_in_epoch(config, tmp_path, 'automix', epochs=3)


@pytest.mark.slow
@pytest.mark.parametrize('base', ['vanilla', 'mixup'])
def test_killed_in_an_epoch_of_a_baseline(config, tmp_path, base):
    check_kill_in_epoch(config, tmp_path, base, epochs=3)


@pytest.mark.slow
def test_killed_in_an_epoch_of_batches_from_arrays(config, tmp_path):
    (tmp_path / 'data').mkdir()
    write_npz(tmp_path / 'data' / 'cifar100.npz', num=100, side=32, classes=20)
    check_kill_in_epoch(config, tmp_path, 'arrays', epochs=3)


@pytest.mark.slow
def test_killed_while_saving(config, tmp_path):
    killed = config('automix', dict(type='automix_mm.KillInSave', name='epoch_2'), name='killed')
    plain = config('automix', name='plain')
    whole_run = train(plain, tmp_path / 'whole', '--epochs', 3)
    finish(train(killed, tmp_path / 'cut', '--epochs', 3), code=KILLED)
    files = sorted(path.name for path in (tmp_path / 'cut').glob('epoch_*'))
    assert files == ['epoch_1.pth', 'epoch_2.pth.part']
    log = finish(train(plain, tmp_path / 'cut', '--epochs', 3, '--resume'))
    assert 'resumed epoch: 1' in log
    finish(whole_run)
    assert_same_training(tmp_path / 'whole' / 'epoch_3.pth', tmp_path / 'cut' / 'epoch_3.pth')


@pytest.mark.slow
def test_a_truncated_newest_checkpoint_is_passed_over(config, tmp_path):
    plain = config('automix', name='plain')
    finish(train(plain, tmp_path / 'run', '--epochs', 3))
    newest = tmp_path / 'run' / 'epoch_3.pth'
    reference = newest.rename(tmp_path / 'reference.pth')
    newest.write_bytes(reference.read_bytes()[:-1000])
    log = finish(train(plain, tmp_path / 'run', '--epochs', 3, '--resume'))
    assert f'Skipped {newest}' in log and 'resumed epoch: 2' in log
    assert_same_training(reference, newest)


@pytest.mark.slow
def test_killed_from_outside_at_any_moment(config, tmp_path):
    plain = config('automix', name='plain')
    length = ('--epochs', 16)
    finish(train(plain, tmp_path / 'whole', *length))
    for kill_number in range(3):
        process = train(plain, tmp_path / 'cut', *length, '--resume')
        wanted = tmp_path / 'cut' / f'epoch_{2 * kill_number + 1}.pth'
        deadline = time.monotonic() + 300
        while not wanted.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.13 * kill_number)
        os.kill(process.pid, signal.SIGKILL)
        finish(process, code=KILLED)
    finish(train(plain, tmp_path / 'cut', *length, '--resume'))
    assert_same_training(tmp_path / 'whole' / 'epoch_16.pth', tmp_path / 'cut' / 'epoch_16.pth')


@pytest.mark.slow
def test_two_processes_go_on_together(config, tmp_path):
    killed = config('automix', dict(type='automix_mm.KillInEpoch', at_iter=3), name='killed')
    plain = config('automix', name='plain')

    def train_both(path, work_dir, *args, code=0):
        args = (path, 2, '--epochs', 3, '--work-dir', work_dir, *args)
        process = start('dist_train.sh', *args, cwd=tmp_path, PORT=free_port())
        return finish(process, code=code)

    train_both(plain, tmp_path / 'whole')
    train_both(killed, tmp_path / 'cut', code=1)  # torchrun's own code
    assert 'resumed epoch: 1, iter: 2' in train_both(plain, tmp_path / 'cut', '--resume')
    assert_same_training(tmp_path / 'whole' / 'epoch_3.pth', tmp_path / 'cut' / 'epoch_3.pth')

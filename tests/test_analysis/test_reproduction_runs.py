"""How far runs are, how long they take and who holds them, from written logs."""

import json
import os
import subprocess
import sys

import pytest

from automix_mm.analysis.reproduction import locks
from automix_mm.analysis.reproduction.locks import Locked, holder, run_lock, stale_owner
from automix_mm.analysis.reproduction.planning import plan
from automix_mm.analysis.reproduction.runs import inspect, read_top1, result_of
from automix_mm.analysis.reproduction.timing import Timing, describe_total, read_benchmark

from .run_logs import reduced, settings, write_dump, write_log

# ----------------------------------------------------------------------------- the rule


def test_exactly_the_last_ten_epochs_count():
    top1 = dict(enumerate([99.0, 98.0, *range(10, 20)], 1))
    assert result_of(top1, 12) == 14.5
    assert result_of(top1, 13) is None
    del top1[5]
    assert result_of(top1, 12) is None
    assert result_of(dict.fromkeys(range(10, 110, 10), 1.0), 100) is None  # every tenth epoch


def test_states(tmp_path):
    tasks, _ = plan([reduced(['MixUp'])], settings(tmp_path, seeds=(0,)))
    run = tasks[0].run
    work_dir = run.work_dir(tmp_path)
    assert inspect(run, tmp_path).status == 'missing'
    write_log(work_dir, range(5))
    assert inspect(run, tmp_path)[:3] == ('partial', 5, None)
    write_log(work_dir, range(5, 12), first=6, start='20260102_000000')
    assert inspect(run, tmp_path)[:3] == ('complete', 12, 6.5)


def test_a_later_start_replaces_epochs(tmp_path):
    run = plan([reduced(['MixUp'])], settings(tmp_path, seeds=(0,)))[0][0].run
    write_log(run.work_dir(tmp_path), [1.0] * 8)
    write_log(run.work_dir(tmp_path), [50.0] * 7, first=6, start='20260102_000000')
    state = inspect(run, tmp_path)
    assert state.status == 'complete' and state.result == 50.0
    assert [state.top1[epoch] for epoch in (5, 6, 8)] == [1.0, 50.0, 50.0]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"accuracy/top1": NaN, "step": 7}\n', 'accuracy of epoch 7 is not a finite number'),
        ('{"accuracy/top1": 9.0, "step": 13}\n', '13 epochs in the log, expected 12'),
        ('\x00\x00 garbage\n', 'scalars.json, line 2'),
        ('{"accuracy/top1": 5.0}\n', "has no 'step'"),
    ],
)
def test_a_damaged_log_gives_no_number(tmp_path, text, message):
    run = plan([reduced(['MixUp'])], settings(tmp_path, seeds=(0,)))[0][0].run
    write_log(run.work_dir(tmp_path), range(12))
    write_log(run.work_dir(tmp_path), [3.0], first=3, start='20260102_000000')
    file = run.work_dir(tmp_path) / '20260102_000000/vis_data/scalars.json'
    file.write_text(file.read_text().splitlines(keepends=True)[0] + text)
    state = inspect(run, tmp_path)
    assert state.status == 'partial' and state.result is None and not state.top1
    assert message in state.note and 'away to train it anew' in state.note


def test_an_epoch_without_accuracy(tmp_path):
    run = plan([reduced(['MixUp'])], settings(tmp_path, seeds=(0,)))[0][0].run
    write_log(run.work_dir(tmp_path), range(4))
    write_log(run.work_dir(tmp_path), range(5, 12), first=6, start='20260102_000000')
    assert 'no accuracy of epoch 5 in the log; move' in inspect(run, tmp_path).note


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, ''),
        ({'log_level': 'DEBUG', 'train_dataloader.dataset.data_root': 'elsewhere'}, ''),
        ({'model.mixer.pair.alpha': 1.0}, 'model.mixer.pair.alpha is 1.0, expected 2.0'),
        ({'param_scheduler.eta_min': 0.5}, 'param_scheduler.eta_min is 0.5, expected'),
        ({'train_cfg.max_epochs': 30}, 'max_epochs is 30, expected 12'),
        ({'randomness.seed': 7}, 'seed is 7, expected 0'),
        ({'model.mixer.extra': 1}, 'model.mixer.extra is 1, expected absent'),
    ],
)
def test_the_log_of_another_training(tmp_path, changes, message):
    run = plan([reduced(['AutoMix'])], settings(tmp_path, seeds=(0,)))[0][0].run
    work_dir = run.work_dir(tmp_path)
    write_log(work_dir, range(12))
    write_dump(work_dir, run, **changes)
    state = inspect(run, tmp_path)
    assert message in state.note
    assert state.status == ('partial' if message else 'complete')


@pytest.mark.parametrize('part', ['', 'model = dict(type=', "model = dict(type='Other')\n"])
def test_a_dump_that_was_cut_says_nothing(tmp_path, part):
    run = plan([reduced(['AutoMix'])], settings(tmp_path, seeds=(0,)))[0][0].run
    write_log(run.work_dir(tmp_path), range(12))
    (run.work_dir(tmp_path) / '20260101_000000/vis_data/config.py').write_text(part)
    assert inspect(run, tmp_path).status == 'complete'


def test_a_dump_is_read_and_not_run(tmp_path):
    run = plan([reduced(['AutoMix'])], settings(tmp_path, seeds=(0,)))[0][0].run
    write_log(run.work_dir(tmp_path), range(12))
    write_dump(run.work_dir(tmp_path), run)
    dump = run.work_dir(tmp_path) / '20260101_000000/vis_data/config.py'
    dump.write_text(dump.read_text() + f'\nopen({str(tmp_path / "ran")!r}, "w")\n')
    assert inspect(run, tmp_path).status == 'complete'
    assert not (tmp_path / 'ran').exists()


def test_tensorboard_is_read_where_the_json_has_no_accuracy(tmp_path):
    write_log(tmp_path, [])
    writer = pytest.importorskip('torch.utils.tensorboard').SummaryWriter(tmp_path / 'a/vis_data')
    for epoch in range(1, 13):
        writer.add_scalar('accuracy/top1', epoch / 2, epoch)
    writer.close()
    assert read_top1(tmp_path) == {epoch: epoch / 2 for epoch in range(1, 13)}


# ------------------------------------------------------------------------------- times


def test_times_are_measured_or_not_there(tmp_path):
    tasks, _ = plan([reduced(['MixUp', 'CutMix'])], settings(tmp_path, seeds=(0, 1)))
    first, second, other, _ = tasks
    assert Timing(tmp_path).hours_left(first.run, first.state).value is None
    write_log(first.run.work_dir(tmp_path), range(6), seconds=0.9)
    write_log(tmp_path / 'cutmix_r18slim_cifar20_eccv/seed0', range(6))  # another config
    state = inspect(first.run, tmp_path)
    timing = Timing(tmp_path)
    hours = [timing.hours_left(first.run, state), timing.hours_left(second.run, second.state)]
    # 6 of 12 epochs, then 12: each 200 iterations of training and 40 of validation, 0.9 s each
    assert [one.value for one in hours] == pytest.approx([0.36, 0.72])
    assert str(hours[1]) == '0.72 GPU-hours left as measured in mixup_r18slim_cifar20_12e/seed0'
    hours.append(timing.hours_left(other.run, other.state))
    assert hours[2].value is None and str(hours[2]) == 'time not measured'
    assert describe_total(hours) == (
        'Left: 1.08 GPU-hours for 2 of 3 runs; the time of 1 was not measured.'
    )
    assert 'not measured' in describe_total(hours[2:])


def test_a_record_that_was_cut_measures_nothing(tmp_path):
    (task, *_), _ = plan([reduced(['MixUp'])], settings(tmp_path))
    write_log(task.run.work_dir(tmp_path), range(6))
    (task.run.work_dir(tmp_path) / 'reproduce.json').write_text('{"command": [')
    assert Timing(tmp_path).hours_left(task.run, task.state).value is None


def test_hours_of_a_cpu_are_called_so(tmp_path):
    (task, *_), _ = plan([reduced(['MixUp'])], settings(tmp_path))
    write_log(task.run.work_dir(tmp_path), range(6), seconds=0.9, gpu=False)
    hours = Timing(tmp_path).hours_left(task.run, inspect(task.run, tmp_path))
    assert describe_total([hours]) == 'Left: 0.36 CPU-hours for 1 of 1 runs.'


def test_times_of_a_benchmark(tmp_path):
    file = tmp_path / 'bench.json'
    row = dict(seconds_per_iteration=0.36, iterations_per_epoch=100, devices=4)
    file.write_text(json.dumps({'mixup_r18slim_cifar20': row}))
    (task, *_), _ = plan([reduced(['MixUp'])], settings(tmp_path))
    hours = Timing(tmp_path, read_benchmark(file)).hours_left(task.run, task.state)
    assert str(hours) == '0.48 GPU-hours left as measured in bench.json'
    file.write_text('[1]')
    with pytest.raises(ValueError, match='expected.*seconds_per_iteration'):
        read_benchmark(file)


# ------------------------------------------------------------------------------- locks


def test_a_lock_keeps_others_off_until_its_holder_is_gone(tmp_path):
    code = (
        'import pathlib, runpy, sys, time\n'
        'locks = runpy.run_path(sys.argv[2])\n'
        'with locks["run_lock"](pathlib.Path(sys.argv[1])):\n'
        '    print("held", flush=True)\n'
        '    time.sleep(600)\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code, str(tmp_path), locks.__file__],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == 'held\n'
    assert f'process {process.pid} ' in holder(tmp_path)
    with pytest.raises(Locked, match=f'in use by process {process.pid} '), run_lock(tmp_path):
        pass
    process.kill()
    process.wait()
    assert f'process {process.pid} ' in stale_owner(tmp_path) and holder(tmp_path) is None
    with run_lock(tmp_path):
        assert f'process {os.getpid()} ' in (holder(tmp_path) or '')
    assert stale_owner(tmp_path) is None


def test_the_lock_lives_as_long_as_the_training(tmp_path):
    with run_lock(tmp_path) as lock:
        child = subprocess.Popen(['sleep', '600'], pass_fds=(lock,))
    assert holder(tmp_path) is not None
    child.kill()
    child.wait()
    assert holder(tmp_path) is None

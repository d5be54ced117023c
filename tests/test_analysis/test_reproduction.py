"""The paper's experiments as data, and the state of their runs, from written logs."""

import json
import os
import subprocess
import sys

import pytest

from automix_mm.analysis.reproduction import locks
from automix_mm.analysis.reproduction.experiments import choose
from automix_mm.analysis.reproduction.locks import Locked, holder, run_lock, stale_owner
from automix_mm.analysis.reproduction.planning import command, plan
from automix_mm.analysis.reproduction.runs import inspect, read_top1, result_of
from automix_mm.analysis.reproduction.timing import Timing, read_benchmark
from tests.test_configs import paper
from tests.test_tools.conftest import ROOT

from .run_logs import KNOWN, reduced, settings, write_log

# ------------------------------------------------------------------------ the experiments


def test_every_table_and_figure_is_known():
    numbers = [f'table{n}' for n in range(1, 12)]
    assert set(KNOWN) == {
        *numbers,
        *('tablea1', 'tablea2', 'figure4', 'figure5', 'figure6'),
        *('table2_reduced', 'figure_reduced'),
    }
    assert all(one.seeds == (0, 1, 2) for name, one in KNOWN.items() if 'reduced' not in name)


@pytest.mark.parametrize('number', [1, 2, 3, 5])
def test_values_are_those_typed_a_second_time(number):
    experiment = KNOWN[f'table{number}']
    for row, (method, values) in zip(experiment.rows, paper.TABLES[number].items(), strict=True):
        cells = [experiment.cell(row, column) for column in experiment.columns]
        assert [cell.paper for cell in cells] == list(values[2:]), (row, method)
        assert (cells[0].fields['alpha'], cells[0].fields['lr_min']) == values[:2]
        assert all(f'configs/{method}/' in cell.config for cell in cells)


def test_values_of_the_ablations():
    for row, values in zip(KNOWN['table9'].rows, paper.TABLE_9.values(), strict=True):
        found = [KNOWN['table9'].cell(row, column).paper for column in KNOWN['table9'].columns]
        assert found == list(values)
    tiny = [cell.paper for cell in KNOWN['tablea1'].cells if cell.column == 'Tiny ImageNet']
    assert tiny == list(paper.TABLE_A1.values())


@pytest.mark.parametrize(
    ('table', 'cell', 'value'),
    [
        ('table4', 'PuzzleMix/ResNet-18', 65.63),
        ('table4', 'AutoMix/ResNeXt-50 (32x4d)', 70.72),
        ('table6', 'ManifoldMix/ResNet-18', 79.44),
        ('table6', 'AutoMix/ResNeXt-50 (32x4d)', 86.56),
        ('table7', 'SaliencyMix/ResNet-18', 78.38),
        ('table7', 'AutoMix/ResNeXt-50 (32x4d)', 83.28),
        ('table8', 'ResizeMix/Pascal VOC mAP (%)', 82.1),
        ('table11', 'Top-1 Acc/5e-2', 80.43),
        ('tablea2', 'L3/STL-10', 80.09),
        ('tablea2', 'L0/ImageNet', None),
        ('figure6', 'L0/feature layer', 80.76),
    ],
)
def test_single_values(table, cell, value):
    assert {one.name: one.paper for one in KNOWN[table].cells}[cell] == value


def test_names_that_users_give():
    names = ['2', 'Table 4', 'A1', 'fig5', 'table2_reduced', 'table-2']
    found = [one.name for one in choose(names, KNOWN)]
    assert found == ['table2', 'table4', 'tablea1', 'figure5', 'table2_reduced']
    everything = [one.name for one in choose(['all'], KNOWN)]
    assert len(everything) == 16 and 'table2_reduced' not in everything
    with pytest.raises(ValueError, match='no table99; known are all, table1'):
        choose(['table99'], KNOWN)


# ---------------------------------------------------------------------- runs and commands


def test_cells_of_equal_settings_share_a_run(tmp_path):
    chosen = [KNOWN[name] for name in ('table11', 'figure6')]
    chosen.append(KNOWN['table2'].selected(['AutoMix/800 ep']))
    tasks, without = plan(chosen, settings(tmp_path, seeds=(0,)))
    assert without == []
    (shared,) = [task for task in tasks if task.name == 'r18_cifar100/seed0']
    assert shared.cells == [
        'table11 Top-1 Acc/1e-2',
        'figure6 L2/feature layer',
        'figure6 2/alpha',
        'table2 AutoMix/800 ep',
    ]
    assert len({task.run.label for task in tasks}) == len(tasks) == 12


def test_a_command_sets_what_differs(tmp_path):
    tasks, _ = plan([KNOWN['table2'].selected(['MixUp/200 ep'])], settings(tmp_path, seeds=(2,)))
    words, _ = command(tasks[0].run, settings(tmp_path))
    assert words[1:3] == [str(ROOT / 'tools/train.py'), str(tasks[0].run.config)]
    assert words[-5:] == ['--seed', '2', '--resume', '--epochs', '200']
    assert words[words.index('--work-dir') + 1] == str(tmp_path / 'mixup_r18_cifar100_200e/seed2')


def test_the_batch_of_the_paper_is_shared_among_devices(tmp_path, monkeypatch):
    tasks, _ = plan([KNOWN['table5'].selected(['MixUp/ResNet-50'])], settings(tmp_path))
    run = tasks[0].run
    one, _ = command(run, settings(tmp_path))
    assert one[-1] == 'train_dataloader.batch_size=256'
    four, variables = command(run, settings(tmp_path, launcher='pytorch', devices=4))
    assert four[:2] == ['bash', str(ROOT / 'tools/dist_train.sh')] and four[3] == '4'
    assert four[-1] == 'train_dataloader.batch_size=64' and variables['PYTHON'] == sys.executable
    eight, _ = command(run, settings(tmp_path, launcher='pytorch', devices=8))
    assert '--cfg-options' not in eight  # the config's own 32
    with pytest.raises(ValueError, match='batch of 256.*3 devices cannot share'):
        command(run, settings(tmp_path, launcher='pytorch', devices=3))
    monkeypatch.setenv('PARTITION', 'gpu')
    words, variables = command(run, settings(tmp_path, launcher='slurm', devices=8))
    assert words[1:4] == [str(ROOT / 'tools/slurm_train.sh'), 'gpu', 'mixup_r50_imagenet']
    assert variables['GPUS'] == '8'


def test_settings_that_do_not_fit(tmp_path, monkeypatch):
    monkeypatch.delenv('PARTITION', raising=False)
    for changes, message in (
        (dict(devices=2), 'expected 1 without'),
        (dict(launcher='slurm'), 'PARTITION'),
        (dict(launcher='mpi'), 'one of'),
    ):
        with pytest.raises(ValueError, match=message):
            settings(tmp_path, **changes)
    with pytest.raises(ValueError, match='last 10 epochs, so a run needs at least as many, got 9'):
        plan([reduced()], settings(tmp_path, epochs=9))


def test_cells_without_training_are_named(tmp_path):
    tasks, without = plan([KNOWN['table8']], settings(tmp_path, seeds=(0,)))
    assert len(tasks) == 5 and len(without) == 10
    assert all('mmdet' in text and 'detection part' in text for text in without)
    assert plan([KNOWN['table10']], settings(tmp_path)) == ([], [])


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
    file = work_dir / '20260101_000000/vis_data/scalars.json'
    file.write_text(''.join(file.read_text().splitlines(keepends=True)[:8]))  # no epoch 5
    state = inspect(run, tmp_path)
    assert state.status == 'partial' and 'no accuracy of epoch 5; remove' in state.note


def test_tensorboard_is_read_where_there_is_no_json(tmp_path):
    writer = pytest.importorskip('torch.utils.tensorboard').SummaryWriter(tmp_path / 'a/vis_data')
    for epoch in range(1, 13):
        writer.add_scalar('accuracy/top1', epoch / 2, epoch)
    writer.close()
    assert read_top1(tmp_path) == {epoch: epoch / 2 for epoch in range(1, 13)}


# ------------------------------------------------------------------------------- times


def test_times_are_measured_or_not_there(tmp_path):
    tasks, _ = plan([reduced(['MixUp', 'CutMix'])], settings(tmp_path, seeds=(0, 1)))
    first, second, other, _ = tasks
    assert Timing(tmp_path).hours_left(first.run, first.state) is None
    write_log(first.run.work_dir(tmp_path), range(6), seconds=0.9)
    state = inspect(first.run, tmp_path)
    timing = Timing(tmp_path)
    # 6 of 12 epochs of 200 iterations of 0.9 s
    assert timing.hours_left(first.run, state) == pytest.approx(0.3)
    assert timing.hours_left(second.run, second.state) == pytest.approx(0.6)
    assert timing.hours_left(other.run, other.state) is None


def test_times_of_a_benchmark(tmp_path):
    file = tmp_path / 'bench.json'
    row = dict(seconds_per_iteration=0.36, iterations_per_epoch=100, devices=4)
    file.write_text(json.dumps({'mixup_r18slim_cifar20': row}))
    (task, *_), _ = plan([reduced(['MixUp'])], settings(tmp_path))
    timing = Timing(tmp_path, read_benchmark(file))
    assert timing.hours_left(task.run, task.state) == pytest.approx(0.48)
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

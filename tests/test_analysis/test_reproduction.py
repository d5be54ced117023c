"""The paper's experiments as data, and the commands of their runs."""

import sys

import pytest

from automix_mm.analysis.reproduction.experiments import choose
from automix_mm.analysis.reproduction.planning import command, plan
from tests.test_configs import paper
from tests.test_tools.conftest import ROOT

from .run_logs import KNOWN, reduced, settings

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


# Sum of each column, added up from the printed tables.
SUMS = {
    'table1': [869.62, 776.86],
    'table2': [710.28, 716.05, 716.17, 714.27],
    'table3': [731.11, 728.97, 727.2, 724.64],
    'table4': [575.92, 598.31],
    'table5': [640.43, 705.4],
    'table6': [704.85, 762.84],
    'table7': [723.08, 714.89],
    'table8': [392.5, 191.0, 408.3],
    'table9': [320.45, 315.52, 319.91],
    'table10': [34.14, 34.65, 35.18, 35.25, 36.28, 39.63],
    'table11': [80.46, 80.78, 80.5, 81.63, 80.43],
    'tablea1': [319.91, 257.17],
    'tablea2': [324.0, 269.8, 214.75, 316.55],
}


@pytest.mark.parametrize('table', SUMS)
def test_no_value_is_mistyped(table):
    experiment = KNOWN[table]
    sums = [
        sum(cell.paper or 0 for cell in experiment.cells if cell.column == column)
        for column in experiment.columns
    ]
    assert sums == pytest.approx(SUMS[table], abs=1e-6)


@pytest.mark.parametrize(
    ('table', 'cell', 'value'),
    [
        ('table1', 'PuzzleMix/ResNeXt-50 (32x4d)', None),
        ('tablea2', 'L0/ImageNet', None),
        ('figure6', 'L0/feature layer', 80.76),
        ('figure6', '4/alpha', None),
    ],
)
def test_dashes_and_figures(table, cell, value):
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
    assert all('trains classifiers only' in text for text in without)
    named = {word for text in without for word in text.split() if word.startswith('configs/')}
    assert len(named) == 10 and all((ROOT / name).is_file() for name in named)
    assert plan([KNOWN['table10']], settings(tmp_path)) == ([], [])

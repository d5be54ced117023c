"""Tables, figures and sweeps, from written logs."""

import json

import pytest
from mmengine.config import Config

from automix_mm.analysis.reproduction.figures import draw_experiment, read_line
from automix_mm.analysis.reproduction.parameters import compare_count, count_parameters
from automix_mm.analysis.reproduction.planning import plan
from automix_mm.analysis.reproduction.results import as_rows, collect, markdown, write_results
from automix_mm.analysis.reproduction.sweep import make_sweep, setting_name
from tests.test_tools.conftest import ROOT

from .run_logs import KNOWN, settings, write_log

DIGITS = ROOT / 'configs/mixup/mixup_r18slim_digits.py'


@pytest.fixture
def table2_column(tmp_path):
    """Results of Mixup at 200 epochs, seeds 0 and 1; seed 2 was cut."""
    experiment = KNOWN['table2'].selected(['MixUp/200 ep', 'AutoMix/200 ep'])
    base = tmp_path / 'mixup_r18_cifar100_200e'
    write_log(base / 'seed0', [50.0] * 190 + [78.0] * 10)
    write_log(base / 'seed1', [50.0] * 190 + [79.0] * 10)
    write_log(base / 'seed2', [50.0] * 20)
    return experiment


def test_collected_values(table2_column, tmp_path):
    found = collect(table2_column, settings(tmp_path))
    mixup, automix = as_rows(found)
    assert (mixup['mean'], mixup['paper'], mixup['seeds_complete']) == (78.5, 78.52, 2)
    assert mixup['std'] == pytest.approx(0.7071, abs=1e-4)
    assert mixup['difference'] == pytest.approx(-0.02)
    assert mixup['missing'] == ['MixUp/200 ep, seed 2: 20 of 200 epochs']
    assert automix['mean'] is automix['difference'] is None and len(automix['missing']) == 3
    text = markdown(found)
    assert '| MixUp | 78.50 ± 0.71 [2 of 3 seeds] (paper 78.52, -0.02) |' in text
    assert '| AutoMix | — (paper 79.31) |' in text


def test_written_files(table2_column, tmp_path):
    found = collect(table2_column, settings(tmp_path))
    paths = write_results(found, tmp_path / 'out')
    assert [path.name for path in paths] == ['table2.md', 'table2.csv', 'table2.json']
    report = json.loads(paths[2].read_text())
    assert report['cells'][0]['by_seed'] == {'0': 78.0, '1': 79.0}
    lines = paths[1].read_text().splitlines()
    assert lines[0].startswith('experiment,row,column,config') and len(lines) == 3
    assert ',200,,,,,0,3,79.31,,' in lines[2]  # nothing measured: nothing written


def test_only_the_paper_is_quoted(tmp_path):
    text = markdown(collect(KNOWN['table2_reduced'], settings(tmp_path)))
    assert '| MixUp | — |' in text
    text = markdown(collect(KNOWN['table1'], settings(tmp_path)))
    assert '| PuzzleMix | — (paper 97.10) | — (paper —) |' in text


def test_another_length_is_said(tmp_path):
    found = collect(KNOWN['table2'], settings(tmp_path, epochs=20))
    assert 'Every run has 20 epochs here, whatever the paper has.' in markdown(found)


def test_parameters_are_the_printed_ones():
    found = collect(KNOWN['table10'], settings(ROOT / 'none'))
    assert found.remarks == ('12 of 12 counts are the printed ones.',) and not found.absent
    assert '| ResNet-18 | 11.17 (paper 11.17, +0.00) |' in markdown(found)


def test_a_count_that_differs_is_named():
    cell = KNOWN['table10'].cell('ResNet-18', 'L2')
    count = count_parameters(cell)
    assert compare_count(cell, count) == ''
    assert 'ResNet-18/L2: ' in compare_count(cell, count + 20_000)


def test_curves_are_those_of_the_logs(tmp_path):
    for row, name in enumerate(('vanilla', 'mixup', 'cutmix')):
        for seed in (0, 1):
            values = [10 * row + seed + epoch for epoch in range(12)]
            write_log(tmp_path / f'{name}_r18slim_cifar20_12e' / f'seed{seed}', values)
    experiment = KNOWN['figure_reduced']
    line = read_line(experiment.cells[1], 1, experiment, settings(tmp_path))
    assert line.label == 'MixUp' and line.top1.shape == (2, 12)
    assert line.top1.mean(0)[0] == 10.5
    png, svg = draw_experiment(experiment, settings(tmp_path), tmp_path / 'out')
    assert png.read_bytes()[:4] == b'\x89PNG' and '<svg' in svg.read_text()


def test_figures_of_several_panels(tmp_path):
    write_log(tmp_path / 'mixup_none_r18_cifar100/seed0', range(30))
    write_log(tmp_path / 'mixblock_momentum_r18_cifar100/seed0', range(1))
    figure5 = KNOWN['figure5']
    cell = figure5.cell('(none)', 'MixUp')
    line = read_line(cell, 0, figure5, settings(tmp_path))
    assert line.label == '(none) (1 of 3 seeds) (to epoch 30)'
    assert len(draw_experiment(figure5, settings(tmp_path), tmp_path / 'out')) == 2
    write_log(tmp_path / 'r18_cifar100/seed0', [81.0] * 800)
    assert len(draw_experiment(KNOWN['figure6'], settings(tmp_path), tmp_path / 'out')) == 2


def test_logs_of_other_trainings_are_not_drawn(tmp_path):
    experiment = KNOWN['figure_reduced']
    base = tmp_path / 'mixup_r18slim_cifar20_12e'
    write_log(base / 'seed0', range(12))
    write_log(base / 'seed1', range(14))
    line = read_line(experiment.cells[1], 1, experiment, settings(tmp_path))
    assert line.label == 'MixUp (1 of 2 seeds)' and line.top1.shape == (1, 12)
    (base / 'seed0/20260101_000000/vis_data/scalars.json').write_text('damaged\n')
    assert read_line(experiment.cells[1], 1, experiment, settings(tmp_path)) is None


def test_nothing_measured_nothing_drawn(tmp_path):
    for name in ('figure4', 'figure5', 'figure6'):
        assert draw_experiment(KNOWN[name], settings(tmp_path), tmp_path / 'out') == []
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('config', 'alpha'),
    [
        ('automix/r18_cifar100.py', 'model.mixer.pair.alpha'),
        ('manifoldmix/manifoldmix_r18_cifar100.py', 'model.mixer.alpha'),
        ('puzzlemix/puzzlemix_r18_cifar100.py', 'model.mixer.alpha'),
        ('ablation/cutmix_momentum_r18_cifar100.py', 'model.mixer.alpha'),
        ('mixup/mixup_r18_cifar100.py', 'model.train_cfg.augments.alpha'),
        ('cutmix/cutmix_r18_cifar100.py', 'model.train_cfg.augments.alpha'),
        ('fmix/fmix_r18_cifar100.py', 'model.train_cfg.augments.alpha'),
        ('saliencymix/saliencymix_r18_cifar100.py', 'model.train_cfg.augments.alpha'),
    ],
)
def test_short_names(config, alpha):
    cfg = Config.fromfile(ROOT / 'configs' / config)
    assert setting_name('alpha', cfg) == alpha
    assert setting_name('lr_min', cfg) == 'param_scheduler.eta_min'
    assert setting_name('optim_wrapper.optimizer.lr', cfg) == 'optim_wrapper.optimizer.lr'


def test_alpha_in_a_list_of_augments():
    augments = [dict(type='ResizeMix'), dict(type='Mixup', alpha=1.0)]
    cfg = Config(dict(model=dict(train_cfg=dict(augments=augments))))
    assert setting_name('alpha', cfg) == 'model.train_cfg.augments.1.alpha'
    augments[0] = dict(type='CutMix', alpha=1.0)
    cfg = Config(dict(model=dict(train_cfg=dict(augments=augments))))
    with pytest.raises(ValueError, match='found .*0.alpha, .*1.alpha. Write'):
        setting_name('alpha', cfg)


def test_resizemix_has_no_alpha_to_sweep():
    cfg = Config.fromfile(ROOT / 'configs/resizemix/resizemix_r18_cifar100.py')
    with pytest.raises(ValueError, match='expected one of .* found none'):
        setting_name('alpha', cfg)


def test_lr_min_in_a_list_of_schedules():
    cosine = dict(type='CosineAnnealingLR', eta_min=0.1)
    cfg = Config(dict(param_scheduler=[dict(type='LinearLR'), cosine]))
    assert setting_name('lr_min', cfg) == 'param_scheduler.1.eta_min'
    with pytest.raises(ValueError, match='found 0'):
        setting_name('lr_min', Config(dict(param_scheduler=dict(type='StepLR'))))


def test_sweeps_that_cannot_be(tmp_path):
    vanilla = ROOT / 'configs/vanilla/vanilla_r18slim_digits.py'
    for axis, message in (
        ('alpha=1', 'found none. Write it into the config'),
        ('beta=1', 'alpha, lr_min and dotted'),
        ('alpha', 'expects NAME=VALUE'),
        ('no.such=1', 'the config has no no'),
    ):
        with pytest.raises(ValueError, match=message):
            make_sweep(vanilla, [axis], (0,))
    with pytest.raises(FileNotFoundError, match='no config'):
        make_sweep(tmp_path / 'none.py', [], (0,))


def test_a_grid_of_two_axes(tmp_path):
    sweep = make_sweep(DIGITS, ['alpha=0.5,1', 'lr_min=0,1e-3'], (0,))
    assert sweep.rows == ['alpha=0.5', 'alpha=1'] and sweep.columns == ['lr_min=0', 'lr_min=1e-3']
    tasks, _ = plan([sweep], settings(tmp_path, epochs=12))
    assert dict(tasks[1].run.overrides) == {
        'model.train_cfg.augments.alpha': 0.5,
        'param_scheduler.eta_min': 0.001,
        'train_cfg.val_interval': 1,
    }
    # alpha 1 and lr_min 0 are the config's own.
    assert dict(tasks[2].run.overrides) == {'train_cfg.val_interval': 1}

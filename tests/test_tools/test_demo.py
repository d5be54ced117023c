"""The demo: arguments, plans, report, and whole runs with both outcomes."""

import json
import signal
import time

import numpy as np
import pytest
from matplotlib.image import imread

from automix_mm.analysis import MixedSamples, RunResult

from .conftest import ROOT, finish, start


@pytest.fixture
def demo(load_tool):
    return load_tool('demo')


def test_help_is_quick_and_names_every_option(demo, capsys):
    with pytest.raises(SystemExit) as stop:
        demo.parse_args(['--help'])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for option in ('--out', '--seeds', '--epochs', '--methods', '--workers', 'exit code'):
        assert option in text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--seeds', '0'], "whole number from 1, got '0'"),
        (['--epochs', '-3'], 'whole number from 1'),
        (['--methods', 'cutmix'], 'invalid choice'),
    ],
)
def test_bad_arguments_are_refused_before_any_work(demo, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        demo.parse_args(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_by_default_nine_runs_of_the_shipped_configs(demo):
    plans = demo.make_plans(demo.parse_args([]))
    assert len({plan.work_dir for plan in plans}) == len(plans) == 9
    assert {plan.seed for plan in plans} == {0, 1, 2}
    assert {plan.epochs for plan in plans} == {None}
    configs = {plan.method: plan.config for plan in plans}
    assert configs == {
        'vanilla': str(ROOT / 'configs/vanilla/vanilla_r18slim_digits.py'),
        'Mixup': str(ROOT / 'configs/mixup/mixup_r18slim_digits.py'),
        'AutoMix': str(ROOT / 'configs/automix/r18slim_digits.py'),
    }


def test_one_automix_run_paints_the_picture(demo):
    plans = demo.make_plans(demo.parse_args(['--seeds', '2', '--methods', 'automix', 'vanilla']))
    painting = [(plan.method, plan.seed) for plan in plans if plan.finish]
    assert painting == [('AutoMix', 0)] and len(plans) == 4


def test_floors_are_for_vanilla_and_automix(demo):
    assert demo.FLOORS == {'vanilla': 85.0, 'AutoMix': 85.0}


def results(vanilla, automix, mixup=50.0):
    """One run of each method that ended at the given accuracies."""
    image = np.zeros((5, 8, 8, 1), np.uint8)
    samples = MixedSamples(image, image, (0.5,), np.full((5, 1, 8, 8), 0.5))
    figures = dict(mask_lam_corr=0.97, mask_std=0.03, gain_over_linear=-0.01)
    fields = dict(epochs=[1, 2], seconds=5.0, loss=0.1)
    return {
        'vanilla': {0: RunResult(top1=[9.0, vanilla], **fields)},
        'Mixup': {0: RunResult(top1=[9.0, mixup], **fields)},
        'AutoMix': {0: RunResult(top1=[9.0, automix], figures=figures, extra=samples, **fields)},
    }


def report(demo, tmp_path, runs):
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=80)
    return demo.report(runs, tmp_path, console, 161.0), console.file.getvalue()


def test_report_prints_what_was_measured_and_writes_the_pictures(demo, tmp_path):
    problems, text = report(demo, tmp_path, results(91.25, 90.5, 95.75))
    assert not problems
    health = ('0.970 [0.970, 0.970]', '0.030 [', '-0.010 [', 'mean [lowest, highest], healthy:')
    for number in ('91.25', '90.50', '95.75', *health, '2 min 41 s'):
        assert number in text
    for name in ('accuracy.png', 'mixed_samples.png'):
        assert str(tmp_path / name) in text
        assert imread(tmp_path / name).std() > 0.01
    written = json.loads((tmp_path / 'results.json').read_text())
    assert written['AutoMix']['0']['top1'] == [9.0, 90.5]


@pytest.mark.parametrize(('vanilla', 'automix'), [(84.9, 95.0), (95.0, 84.9)])
def test_a_missed_floor_is_a_problem(demo, tmp_path, vanilla, automix):
    problems, _ = report(demo, tmp_path, results(vanilla, automix))
    assert len(problems) == 1 and '84.90 %' in problems[0]


def test_missing_packages_are_named_without_a_traceback(tmp_path):
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain' / '__init__.py').write_text('raise ImportError("mmpretrain is old")')
    process = start('demo.py', cwd=tmp_path, PYTHONPATH=f'{tmp_path}:{ROOT}')
    output = finish(process, code=1)
    assert 'mmpretrain is old' in output and 'make setup' in output
    assert 'Traceback' not in output


@pytest.mark.slow
def test_a_run_that_learns_ends_with_success_and_prints_nothing_else(tmp_path):
    args = ('--seeds', 1, '--epochs', 150, '--methods', 'vanilla', 'automix', '--out', 'shown')
    output = finish(start('demo.py', *args, cwd=tmp_path))
    for noise in ('Warning', 'WARNING', 'INFO', 'NMS', 'init'):
        assert noise not in output
    assert 'dist_train.sh configs/automix/r50_imagenet.py 8' in output
    numbers = json.loads((tmp_path / 'shown/results.json').read_text())
    for method in ('vanilla', 'AutoMix'):
        top1 = numbers[method]['0']['top1'][-1]
        assert top1 >= 85 and f'{top1:.2f}' in output
    assert imread(tmp_path / 'shown/mixed_samples.png').ndim == 3
    assert {path.name for path in tmp_path.iterdir()} == {'shown'}
    assert len(output.splitlines()) < 40


@pytest.mark.slow
def test_a_run_that_does_not_learn_ends_with_failure(tmp_path):
    args = ('--seeds', 1, '--epochs', 1, '--methods', 'vanilla', 'automix')
    output = finish(start('demo.py', *args, cwd=tmp_path), code=1)
    assert output.count('below its floor of 85 %') == 2
    assert 'r50_imagenet' not in output
    assert (tmp_path / 'demo_output/accuracy.png').is_file()


@pytest.mark.slow
def test_ctrl_c_ends_all_runs(tmp_path):
    process = start('demo.py', '--epochs', 1000, '--workers', 2, cwd=tmp_path)
    logs = tmp_path / 'demo_output/runs'
    deadline = time.monotonic() + 200
    while not all('Epoch(train)' in text(logs / f'automix_seed{seed}') for seed in (0, 1)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert 'Stopped' in finish(process, code=130, timeout=60)
    sizes = [(logs / f'automix_seed{seed}/output.log').stat().st_size for seed in (0, 1)]
    time.sleep(3)
    assert sizes == [(logs / f'automix_seed{s}/output.log').stat().st_size for s in (0, 1)]


def text(folder):
    path = folder / 'output.log'
    return path.read_text() if path.is_file() else ''

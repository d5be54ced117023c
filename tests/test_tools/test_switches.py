"""The switches of tools/train.py that make a training step faster."""

import shutil

import pytest

from .conftest import BASES, ROOT, finish, start
from .test_train import DIGITS, in_empty_folder, prepare, refused  # noqa: F401

DETECTOR = ROOT / 'configs/detection/faster-rcnn_r18_fpn_bccd.py'


def hooks(cfg):
    return {hook['type']: hook for hook in cfg.custom_hooks}


def test_switches_are_hooks_of_the_config(load_tool):
    plain, _ = prepare(load_tool, DIGITS)
    cfg, _ = prepare(load_tool, DIGITS, '--compile', '--channels-last', '--amp', 'bf16')
    added = {
        'automix_mm.ChannelsLastHook': dict(type='automix_mm.ChannelsLastHook'),
        'automix_mm.CompileHook': dict(type='automix_mm.CompileHook', mode='default'),
    }
    assert hooks(cfg) == hooks(plain) | added
    assert cfg.optim_wrapper.type == 'automix_mm.BFloat16OptimWrapper'


def test_a_mode_replaces_that_of_the_config(load_tool, tmp_path):
    path = tmp_path / 'compiled.py'
    hook = "dict(type='automix_mm.CompileHook', mode='max-autotune')"
    path.write_text(f'_base_ = [{str(ROOT / BASES["vanilla"])!r}]\ncustom_hooks = [{hook}]\n')
    for args, mode in (
        ([], 'max-autotune'),
        (['--compile'], 'default'),
        (['--compile', 'reduce-overhead'], 'reduce-overhead'),
    ):
        cfg, _ = prepare(load_tool, path, *args)
        assert [hook.mode for hook in cfg.custom_hooks] == [mode]


def test_an_unknown_mode_is_refused(load_tool, capsys):
    assert 'invalid choice' in refused(load_tool, capsys, DIGITS, '--compile', 'fast')


@pytest.mark.parametrize('switch', ['--compile', '--channels-last'])
def test_detectors_are_refused(load_tool, capsys, switch):
    assert 'not for detectors' in refused(load_tool, capsys, DETECTOR, switch)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='inductor needs a C++ compiler on a CPU')
@pytest.mark.parametrize('base', ['automix', 'mixup'])
def test_a_compiled_training_runs(config, tmp_path, base):
    args = ('--compile', '--channels-last', '--amp', 'bf16', '--epochs', '1')
    output = finish(start('train.py', config(base), *args, cwd=tmp_path))
    assert '0 graph breaks' in output or 'torch.compile' not in output
    assert 'torch.compile again' not in output and 'accuracy/top1' in output

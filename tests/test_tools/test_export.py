"""tools/export.py on the command line, and what the other tools do with a hostile checkpoint."""

import os
import re
import signal

import pytest
import torch

from automix_mm.export import targets
from tests.test_export import checkpoints

from .conftest import BASES, ROOT, finish, start

PRETRAINED = ('model.init_cfg.type=Pretrained', 'model.init_cfg.checkpoint={hostile}')
DIGITS = ROOT / BASES['automix']


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def hostile(tmp_path):
    """A checkpoint that would write the file `ran`."""
    path = tmp_path / 'hostile.pth'
    content = dict(state_dict={}, message_hub={}, meta=Calls(os.system, f'touch {tmp_path}/ran'))
    torch.save(content, path)
    return path


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """In a folder of its own; the tool's handlers of signals do not stay."""
    monkeypatch.chdir(tmp_path)
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background processes
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def refused(load_tool, capsys, tool, *args):
    """Runs a tool that must stop with an error of its own; returns the message."""
    with pytest.raises(SystemExit) as stop:
        load_tool(tool, *args).main()
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_export_says_how_to_use_the_file(tmp_path):
    """As a process, so that nothing which the tests import helps it."""
    model = checkpoints.save(tmp_path / 'epoch_3.pth', checkpoints.automix())
    printed = finish(
        start('export.py', 'epoch_3.pth', '--to', 'mmpretrain', '--out', 'out.pth', cwd=tmp_path)
    )
    assert 'Wrote out.pth.' in printed and "load_from = 'out.pth'" in printed
    assert 'Input: RGB images' in printed and '123.675' in printed and 'to_rgb=True' in printed
    assert re.search(r'Largest difference of a logit from epoch_3\.pth: \S+\.', printed)
    weights = torch.load(tmp_path / 'out.pth', weights_only=True)['state_dict']
    assert torch.equal(weights['head.fc.weight'], model.k.heads['mix'].fc.weight)


def test_export_refuses_and_leaves_nothing(load_tool, capsys, tmp_path, hostile):
    arguments = ('--to', 'mmpretrain', '--out', 'out.pth')
    assert 'Refused to read' in refused(load_tool, capsys, 'export', hostile, *arguments)
    assert 'no such file' in refused(load_tool, capsys, 'export', 'absent.pth', *arguments)
    checkpoints.save(tmp_path / 'cifar.pth', checkpoints.automix())
    arguments = ('--to', 'torchvision', '--out', 'out.pth')
    assert 'CIFAR stem' in refused(load_tool, capsys, 'export', 'cifar.pth', *arguments)
    assert sorted(os.listdir(tmp_path)) == ['cifar.pth', 'hostile.pth']


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stopped_export_leaves_nothing(load_tool, monkeypatch, tmp_path, number):
    checkpoints.save(tmp_path / 'source.pth', checkpoints.plain())

    def stopped(unfinished, path):
        assert len(os.listdir(tmp_path)) == 2
        os.kill(os.getpid(), number)
        raise AssertionError('the signal stopped nothing')

    monkeypatch.setattr(targets, 'publish', stopped)
    tool = load_tool('export', 'source.pth', '--to', 'mmdet', '--out', 'out.pth')
    with pytest.raises((SystemExit, KeyboardInterrupt)) as stop:
        tool.main()
    assert number == signal.SIGINT or stop.value.code == 128 + number
    assert os.listdir(tmp_path) == ['source.pth']


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('train', ('--resume', '{hostile}')),
        ('train', ('--cfg-options', 'load_from={hostile}')),
        ('train', ('--cfg-options', *PRETRAINED)),
        ('test', ('{hostile}',)),
    ],
)
def test_training_and_test_do_not_run_a_checkpoint(
    load_tool, capsys, tmp_path, hostile, tool, arguments
):
    arguments = [argument.format(hostile=hostile) for argument in arguments]
    printed = refused(load_tool, capsys, tool, DIGITS, *arguments)
    assert re.search(r'Refused to read \S+hostile\.pth: it asks for \S+system', printed)
    assert not (tmp_path / 'ran').exists()


def test_check_block_does_not_run_a_checkpoint(load_tool, tmp_path, hostile):
    with pytest.raises(SystemExit, match='Refused to read'):
        load_tool('analysis_tools/check_block', DIGITS, hostile).main()
    assert not (tmp_path / 'ran').exists()


def test_show_mix_does_not_run_a_checkpoint(load_tool, capsys, tmp_path, hostile):
    from PIL import Image

    Image.new('RGB', (16, 16)).save('a.png')
    config = ROOT / 'configs/automix/r18_cifar100.py'
    arguments = (config, hostile, '--images', 'a.png', 'a.png', '--out', 'mix.png', '--size', 32)
    printed = refused(load_tool, capsys, 'visualization/show_mix', *arguments)
    assert 'Refused to read' in printed
    assert not (tmp_path / 'ran').exists() and not (tmp_path / 'mix.png').exists()

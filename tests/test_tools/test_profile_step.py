"""tools/analysis_tools/profile_step.py as a user runs it."""

import json

import pytest

from automix_mm.analysis.profiling import PARTS

from .conftest import ROOT


def profile(load_tool, capsys, *args) -> tuple[dict, str]:
    tool = load_tool('analysis_tools/profile_step', *args, '--warmup', 1, '--steps', 2)
    assert tool.main() == 0
    printed = capsys.readouterr().out
    return json.loads(printed.splitlines()[-1]), printed


def test_digits(load_tool, capsys, tmp_path) -> None:
    """Trace, table and last line of an AutoMix config with the data that come with scikit-learn."""
    trace = tmp_path / 'new' / 'trace.json'
    config = ROOT / 'configs/automix/r18slim_digits.py'
    found, printed = profile(load_tool, capsys, config, '--out', trace, '--batch-size', 25)
    events = json.loads(trace.read_text())['traceEvents']
    names = {event['name'] for event in events if 'name' in event}
    assert {'aten::convolution_backward', 'part:q', 'part:k', 'part:ema'} <= names
    shares = found['shares']
    assert list(shares) == list(PARTS)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert min(shares.values()) > 0
    assert shares['q'] > shares['ema'] and shares['q'] > shares['framework']
    assert len(found['operators']) == 10
    for name, text in PARTS.items():
        assert f'{name} ' in printed and text in printed
    assert [path.name for path in trace.parent.iterdir()] == ['trace.json']


def test_random_images_in_bf16(load_tool, capsys, tmp_path) -> None:
    """A plain classifier whose data are not there."""
    config = ROOT / 'configs/vanilla/vanilla_r18slim_cifar20.py'
    small = ('--batch-size', 4, '--random-images', 12, '--amp', 'bf16')
    found, _ = profile(load_tool, capsys, config, '--out', tmp_path / 'trace.json', *small)
    shares = found['shares']
    assert shares['k'] == shares['ema'] == shares['mix_block'] == 0
    assert shares['q'] > 0 and shares['data'] > 0


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['--steps', '0'], 'at least 1'),
        (['--steps', '700'], 'ask for fewer'),
        (['--random-images', '8'], 'three channels'),
        (['--data-root', '/nowhere'], 'no /nowhere'),
    ],
)
def test_what_cannot_be_done_is_said(load_tool, capsys, tmp_path, args, said) -> None:
    config = ROOT / 'configs/automix/r18slim_digits.py'
    options = ['train_cfg.max_epochs=1']
    out = ['--out', tmp_path / 'trace.json', '--cfg-options', *options]
    tool = load_tool('analysis_tools/profile_step', config, *args, *out)
    with pytest.raises(SystemExit):
        tool.main()
    assert said in capsys.readouterr().err

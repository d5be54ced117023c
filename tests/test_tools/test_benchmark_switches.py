"""tools/analysis_tools/benchmark_switches.py in parts."""

import json

import pytest

SLIM = (
    ('--vanilla', 'configs/vanilla/vanilla_r18slim_cifar20.py')
    + ('--automix', 'configs/automix/r18slim_cifar20.py')
    + ('--batch-size', '2', '--steps', '1', '--repeats', '1', '--warmup', '1', '--device', 'cpu')
)


@pytest.fixture
def run(load_tool, capsys, monkeypatch):
    def call(*args, code=0, **replaced):
        tool = load_tool('analysis_tools/benchmark_switches', *SLIM, *args)
        for name, value in replaced.items():
            monkeypatch.setattr(tool.bench, name, value)
        assert tool.main() == code
        printed = capsys.readouterr()
        return printed if code == 2 else json.loads(printed.out.splitlines()[-1])

    return call


def test_a_table_in_two_parts(run, tmp_path) -> None:
    out = tmp_path / 'new' / 'table.json'
    first = run('--out', out, '--only', 'vanilla', '--switches', 'plain')
    assert json.loads(out.read_text()) == first
    assert list(first['switches']['plain']) == ['vanilla']
    assert list(first['ceilings']) == ['fp32']
    second = run('--out', out, '--only', 'automix,vanilla', '--switches', 'plain')
    assert second['switches']['plain']['vanilla'] == first['switches']['plain']['vanilla']
    automix = second['switches']['plain']['automix']
    assert automix['images_per_second'] > 0
    assert 0 < automix['share_of_arithmetic'] < 2 and automix['share_of_bandwidth'] > 0
    assert 'another batch_size' in run('--out', out, '--batch-size', '4', code=2).err


def test_a_failing_line_leaves_the_others(run) -> None:
    def broken(paths, switches, setup, late):
        if switches.precision:
            raise RuntimeError('no such kernel\nmore')
        return {name: [1.0] for name in paths}

    methods = ('--only', 'vanilla', '--switches', 'plain,+ bf16')
    found = run(*methods, code=1, time_methods=broken)['switches']
    assert found['plain']['vanilla']['images_per_second'] == 2.0
    assert found['+ bf16']['vanilla'] == dict(reason='RuntimeError: no such kernel')


def test_no_line_begins_too_late(run) -> None:
    assert not any(run('--minutes', '0')['switches'].values())


def test_unknown_names_are_refused(load_tool, capsys) -> None:
    for option, name in (('--only', 'fmix'), ('--switches', '+ speed')):
        tool = load_tool('analysis_tools/benchmark_switches', option, name)
        with pytest.raises(SystemExit):
            tool.main()
        assert f'got {name}' in capsys.readouterr().err

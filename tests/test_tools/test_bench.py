"""tools/bench.py: every benchmark of the project with tiny settings."""

import json

import pytest

from .conftest import finish, start


def test_an_unknown_benchmark_is_refused(load_tool) -> None:
    tool = load_tool('bench', '--only', 'step,speed')
    with pytest.raises(SystemExit, match='got speed'):
        tool.main()


def test_failures_are_recorded_and_decide_the_exit_code(load_tool, monkeypatch, tmp_path) -> None:
    tool = load_tool('bench', '--only', 'step,data', '--quick', '--out', tmp_path)

    def run(benchmark, root, quick, earlier):
        assert quick
        record = dict(command=f'python {benchmark.script}', seconds=1.0, result={})
        if benchmark.name == 'step':
            return record | dict(status='failed', reason='broke')
        return record | dict(status='skipped', reason='not here')

    monkeypatch.setattr(tool, 'run_benchmark', run)
    assert tool.main() == 1
    report = json.loads((tmp_path / 'latest.json').read_text())
    assert list(report['benchmarks']) == ['step', 'data']
    assert report['quick'] and report['commit'] and report['versions']['torch']
    page = (tmp_path / 'latest.md').read_text()
    assert '| failed | broke |' in page and '| skipped | not here |' in page


@pytest.mark.slow
def test_all_of_them(tmp_path) -> None:
    """Each runs, and has the figures that the table shows of it, but for those left out."""
    printed = finish(start('bench.py', '--quick', '--out', tmp_path, cwd=tmp_path), timeout=1800)
    report = json.loads((tmp_path / 'latest.json').read_text())
    assert {record['status'] for record in report['benchmarks'].values()} <= {'ok', 'skipped'}
    for number, name in enumerate(report['benchmarks'], 1):
        assert f'[{number}/{len(report["benchmarks"])}] {name} ...' in printed
    page = (tmp_path / 'latest.md').read_text()
    for name, record in report['benchmarks'].items():
        (row,) = [line for line in page.splitlines() if line.startswith(f'| {name} |')]
        assert record['status'] == 'skipped' or not row.endswith('not given |'), row

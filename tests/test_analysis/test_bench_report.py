"""Running benchmarks and writing down what they say."""

import pytest

from automix_mm.analysis.bench_report import Benchmark, markdown, read_figure, run_benchmark


def made_up(tmp_path, code: str, **fields) -> Benchmark:
    (tmp_path / 'made_up.py').write_text(code)
    given = dict(full=['3'], quick=['1'], figures={'time': ('a/b', '{:.1f} s')}) | fields
    return Benchmark('made_up', 'nothing', 'made_up.py', **given)


def test_the_last_line_is_the_result(tmp_path) -> None:
    code = 'import json, sys\nprint("table")\nprint(json.dumps(dict(a=dict(b=int(sys.argv[1])))))'
    benchmark = made_up(tmp_path, code)
    for quick, value in ((False, 3), (True, 1)):
        record = run_benchmark(benchmark, tmp_path, quick)
        assert (record['status'], record['result']) == ('ok', dict(a=dict(b=value)))
        assert record['command'] == f'python made_up.py {value}'
        assert record['seconds'] > 0 and 'reason' not in record


def test_a_folder_that_goes_afterwards(tmp_path) -> None:
    code = 'import json, sys\nopen(sys.argv[1], "w").close()\nprint(json.dumps(sys.argv[1]))'
    record = run_benchmark(made_up(tmp_path, code, full=['{folder}/file']), tmp_path, quick=False)
    assert record['status'] == 'ok'
    assert record['result'].endswith('/file') and '{folder}' in record['command']
    assert not (tmp_path / record['result']).exists()


@pytest.mark.parametrize(
    ('code', 'reason'),
    [
        ('raise SystemExit("no such thing")', 'exit code 1: no such thing'),
        ('import sys\nprint("{}")\nsys.exit(2)', 'exit code 2: {}'),
        ('raise SystemExit(3)', 'exit code 3: nothing'),
        ('print("done")', 'its last line is no JSON'),
        ('', 'its last line is no JSON'),
    ],
)
def test_a_failure_has_a_reason(tmp_path, code, reason) -> None:
    record = run_benchmark(made_up(tmp_path, code), tmp_path, quick=True)
    assert (record['status'], record['reason']) == ('failed', reason)


def test_an_end_to_what_does_not_end(tmp_path) -> None:
    benchmark = made_up(tmp_path, 'while True: pass', minutes=0.01)
    record = run_benchmark(benchmark, tmp_path, quick=True)
    assert (record['status'], record['reason']) == ('failed', 'not finished after 0.01 min')


def test_what_cannot_run_is_skipped(tmp_path) -> None:
    benchmark = made_up(tmp_path, 'raise SystemExit(1)', missing=lambda: 'needs a GPU')
    record = run_benchmark(benchmark, tmp_path, quick=True)
    assert (record['status'], record['reason']) == ('skipped', 'needs a GPU')


def test_one_that_needs_another(tmp_path) -> None:
    more = dict(needs='first', more=lambda result: ['--bytes', str(result['bytes'])])
    code = 'import sys\nprint("a notice\\n\\n| a |", *sys.argv[1:])'
    benchmark = made_up(tmp_path, code, text=True, **more)
    earlier = dict(first=dict(status='ok', result=dict(bytes=7)))
    record = run_benchmark(benchmark, tmp_path, quick=False, earlier=earlier)
    assert record['result'] == dict(text='| a | 3 --bytes 7')
    assert '\n\n| a | 3 --bytes 7\n' in markdown(report(made_up=record), [benchmark])
    for earlier in (
        {},
        dict(first=dict(status='failed', result=None)),
        dict(first=dict(result={})),
    ):
        record = run_benchmark(benchmark, tmp_path, quick=False, earlier=earlier)
        assert (record['status'], record['reason']) == ('skipped', "needs 'bytes' of first")


@pytest.mark.parametrize(
    ('key', 'text'),
    [('a/b', '2.50 s'), ('a/c', 'not given'), ('a/b/c', 'not given'), ('d', 'not given')],
)
def test_figures(key, text) -> None:
    assert read_figure(dict(a=dict(b=2.5), d=None), key, '{:.2f} s') == text


def report(**benchmarks) -> dict:
    facts = dict(machine='m', device='d', threads=2, load=0.5, commit='c', date='today')
    return facts | dict(versions=dict(torch='1'), quick=False, benchmarks=benchmarks)


def test_the_table() -> None:
    figures = {'time': ('t', '{:.1f} s'), 'ratio': ('r', '{:.2f}')}
    listed = [
        Benchmark(name, f'what {name} says', 'x.py', [], [], figures) for name in ('a', 'b', 'c')
    ]
    page = markdown(
        report(
            a=dict(status='ok', result=dict(t=1.25, r=0.5), command='python a.py'),
            b=dict(status='failed', reason='broke | twice', result=None, command='python b.py'),
        ),
        listed,
    )
    rows = [line for line in page.splitlines() if line.startswith('|')]
    assert '| a | what a says | time | 1.2 s |' in rows
    assert '|  |  | ratio | 0.50 |' in rows
    assert '| b | what b says | failed | broke / twice |' in rows
    assert '| load before | 0.5 |' in rows and '| torch | 1 |' in rows
    assert not any('what c says' in row for row in rows)
    assert 'python a.py\npython b.py' in page
    assert 'mean nothing' not in page
    assert 'mean nothing' in markdown(report() | dict(quick=True), listed)

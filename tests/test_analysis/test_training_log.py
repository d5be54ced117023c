"""Logs of trainings, as the host writes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from automix_mm.analysis.training_log import read_log

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/compare_runs.py'


def write(work_dir, start, top1, first=1, **fields):
    """A log of one start: two intervals and one validation per epoch."""
    lines = []
    for epoch, value in enumerate(top1, first):
        for part in (1, 2):
            step = 2 * epoch - 2 + part
            lines.append(dict(loss=2.0, time=0.1 * epoch, step=step, iter=step, epoch=epoch))
        accuracies = {'accuracy/top1': value, 'accuracy/top1_onehot_k': value - 1}
        lines.append(accuracies | dict(data_time=0.01, time=0.5, step=epoch) | fields)
    file = work_dir / start / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text('\n'.join(map(json.dumps, lines)) + '\n')
    return file


def test_result_is_the_median_of_the_last_ten(tmp_path):
    write(tmp_path, '20260101_000000', [90.0, 91.0, *range(10, 20)])
    log = read_log(tmp_path)
    assert log.result() == 14.5
    assert log.heads['onehot_k'][12] == 18
    # 0.1, 0.1, 0.2, 0.2, ...; the validation's own time is not a training interval.
    assert len(log.seconds) == 24 and log.seconds_per_iteration() == pytest.approx(0.7)


def test_a_resumed_run_is_one_run(tmp_path):
    write(tmp_path, '20260101_000000', range(1, 9))
    write(tmp_path, '20260102_000000', range(70, 78), first=7)
    log = read_log(tmp_path)
    assert list(log.top1.values()) == [1, 2, 3, 4, 5, 6, *range(70, 78)]
    assert log.result() == 72.5


def test_a_line_cut_by_a_kill_is_left_out(tmp_path):
    file = write(tmp_path, '20260101_000000', [1.0, 2.0])
    file.write_text(file.read_text()[:-20])
    assert read_log(tmp_path).top1 == {1: 1.0}


def test_the_median_of_the_hook_is_no_head(tmp_path):
    write(tmp_path, '20260101_000000', range(10), **{'accuracy/top1_last10_median': 4.5})
    assert list(read_log(tmp_path).heads) == ['onehot_k']


def test_fewer_than_ten_validations_have_no_result(tmp_path):
    write(tmp_path, '20260101_000000', range(9))
    with pytest.raises(ValueError, match='needs as many, got 9'):
        read_log(tmp_path).result()


def test_errors_name_the_place(tmp_path):
    with pytest.raises(FileNotFoundError, match='scalars.json, found none'):
        read_log(tmp_path)
    file = write(tmp_path, '20260101_000000', [1.0])
    file.write_text(file.read_text() + '[1, 2]\n')
    with pytest.raises(ValueError, match=r'scalars.json, line 4: expected a JSON object'):
        read_log(tmp_path)
    file.write_text(json.dumps(dict(loss=1.0, time=0.1, step=1)) + '\n')
    with pytest.raises(ValueError, match='nothing was validated'):
        read_log(tmp_path)


def run(*args):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, args)], capture_output=True, text=True, timeout=120
    )


def test_the_tool_prints_table_and_json(tmp_path):
    for name, offset in (('vanilla', 0), ('automix', 5)):
        write(tmp_path / name, '20260101_000000', [offset + v for v in range(12)])
    done = run(tmp_path / 'vanilla', tmp_path / 'automix')
    assert done.returncode == 0, done.stderr
    assert '| vanilla | 12 | 6.50 |' in done.stdout
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row['top1_last10_median'] for row in rows] == [6.5, 11.5]
    write(tmp_path / 'short', '20260101_000000', range(3))
    some = run(tmp_path / 'none', tmp_path / 'short', tmp_path / 'automix')
    assert some.returncode == 1
    assert 'found none' in some.stderr and 'short: the median of the last 10' in some.stderr
    assert [row['run'] for row in json.loads(some.stdout.splitlines()[-1])] == ['automix']

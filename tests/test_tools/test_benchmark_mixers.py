"""tools/analysis_tools/benchmark_mixers.py on a small batch."""

import json
import re
import subprocess
import sys

import pytest


def run(*args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', 'tools/analysis_tools/benchmark_mixers.py']
    return subprocess.run([*command, *args], capture_output=True, text=True, check=False)


def test_a_table_and_a_last_line_of_json() -> None:
    small = ('--batch', '4', '--size', '16', '--repeats', '1', '--device', 'cpu')
    done = run(*small, '--mixers', 'CutMix', 'PuzzleMix')
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    figures = json.loads(last)
    assert all(isinstance(value, float) and value > 0 for value in figures.values())
    expected = {'CutMix', 'PuzzleMix', 'PuzzleMix grid 16', 'PuzzleMix saliency pass'}
    expected |= {'mmpretrain Mixup', 'mmpretrain CutMix', 'mmpretrain ResizeMix', 'training step'}
    assert expected <= figures.keys()
    assert 'Mixup' not in figures
    for name in figures:
        assert any(line.startswith(f'{name} ') for line in table)
    share = figures['PuzzleMix saliency pass'] / figures['training step']
    (told,) = re.findall(r'takes (\d+\.\d\d) of a training step', done.stdout)
    assert float(told) == pytest.approx(share, abs=0.0051)  # of figures that are rounded, too


def test_an_unknown_mixer_is_refused() -> None:
    done = run('--mixers', 'NoMix')
    assert done.returncode != 0
    assert 'NoMix' in done.stderr

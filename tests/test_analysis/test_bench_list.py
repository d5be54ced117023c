"""The list of benchmarks, and what was written of them."""

import json
from pathlib import Path

import pytest

from automix_mm.analysis.bench_list import list_benchmarks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('gpu', [False, True])
def test_every_benchmark_is_explained(gpu) -> None:
    listed = list_benchmarks(gpu)
    readme = (ROOT / 'benchmarks/README.md').read_text()
    for benchmark in listed:
        assert (ROOT / benchmark.script).is_file()
        assert f'| {benchmark.name} | `{benchmark.script.rpartition("/")[2]}` |' in readme
        assert benchmark.figures or benchmark.text
        for caption, (key, form) in benchmark.figures.items():
            assert caption and key and form.format(1.0)


@pytest.mark.parametrize('name', ['latest.json'])
def test_the_committed_figures_are_real(name) -> None:
    """Not those of a trial, and of benchmarks that are still there."""
    path = ROOT / 'benchmarks' / name
    if not path.is_file():
        pytest.skip('no figures yet')
    found = json.loads(path.read_text())
    assert not found['quick']
    assert found['benchmarks'].keys() <= {b.name for b in list_benchmarks(gpu=False)}

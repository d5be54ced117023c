"""tools/analysis_tools/benchmark_step.py on a small batch."""

import json
import subprocess
import sys

from .conftest import ROOT, environment


def run(*args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', 'tools/analysis_tools/benchmark_step.py', *args]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment()
    )


def test_the_last_line_compares_two_configs() -> None:
    """Batches are those that the configs train on: arrays of 32x32."""
    small = ('--batch-size', '4', '--repeats', '1', '--steps', '1')
    baseline = 'configs/vanilla/vanilla_r18slim_cifar20.py'
    done = run('configs/automix/r18slim_cifar20.py', '--baseline', baseline, *small)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['shape'] == [4, 3, 32, 32]
    assert figures['seconds'] > 0 and figures['flops_ratio'] > 1

"""The command: plan, run with a kill in the middle, go on, collect."""

import json
import os
import re
import shlex
import signal
import sys
import time

import pytest

from automix_mm.analysis.reproduction.locks import holder

from .conftest import ROOT, environment, finish, free_port, start

DIGITS = ROOT / 'configs/mixup/mixup_r18slim_digits.py'
GRID = ('--config', DIGITS, '--sweep', 'alpha=0.5,1', '--seeds', '0', '--epochs', '10')
EVERY_EPOCH = ('--cfg-options', 'default_hooks.checkpoint.interval=1')


@pytest.fixture
def reproduce(load_tool, capsys):
    """Runs the command in this process; returns exit code, output and errors."""

    def call(*args):
        tool = load_tool('reproduce', *args)
        handler = signal.getsignal(signal.SIGTERM)
        try:
            code = tool.main()
        except SystemExit as error:
            code = error.code
        finally:
            signal.signal(signal.SIGTERM, handler)
        return (code, *capsys.readouterr())

    return call


def test_the_plan_is_the_default(reproduce, tmp_path):
    code, out, _ = reproduce('table2_reduced', '--work-dir', tmp_path)
    assert code == 0
    assert '18 runs: 0 complete, 0 partial, 18 missing.' in out
    assert 'GPU-hours left: not measured' in out
    assert out.count('tools/train.py') == 18 and not [*tmp_path.iterdir()]


def test_cells_and_seeds(reproduce, tmp_path):
    cells = ('--cells', 'automix/*', 'MixUp', '--seeds', 3)
    _, out, _ = reproduce('table2_reduced', '--work-dir', tmp_path, *cells)
    assert re.findall(r'^missing +(\S+):', out, re.M) == [
        'mixup_r18slim_cifar20_12e/seed3',
        'r18slim_cifar20_12e/seed3',
    ]


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ((), 'expected names of tables, or --config'),
        (('table2', '--config', DIGITS), 'and not both'),
        (('table77',), 'There is no table77'),
        (('table2', '--cells', 'Nothing/*'), 'no cell fits'),
        (('table2', '--epochs', 5), 'at least as many, got 5'),
        (('table2', '--gpus', 2), 'does not fit --launcher none'),
        (('table5', '--gpus', 3, '--launcher', 'pytorch'), '3 devices cannot share'),
        (('--config', DIGITS, '--sweep', 'gamma=1'), 'knows alpha, lr_min'),
        (('--config', 'none.py'), 'there is no config'),
        (('table10', '--collect', 'none'), 'there is no such folder'),
        (('table10', '--collect', '.', '--work-dir', '.'), 'give one'),
    ],
)
def test_wrong_command_lines(reproduce, args, message):
    code, _, err = reproduce(*args)
    assert code == 2 and message in err


def test_table_10_is_counted(reproduce, tmp_path):
    code, out, _ = reproduce('table10', '--collect', tmp_path)
    assert code == 0 and '12 of 12 counts are the printed ones.' in out


def test_what_is_missing_is_listed(reproduce, tmp_path):
    code, out, _ = reproduce('table11', 'figure6', '--collect', tmp_path)
    assert code == 1 and 'Missing (15)' in out
    assert (
        json.loads((tmp_path / 'reproduced/table11.json').read_text())['cells'][0]['mean'] is None
    )
    assert not [*tmp_path.glob('reproduced/*.png')]


COMMANDS = re.findall(r'reproduce.py (.*)', (ROOT / 'docs/reproduce.md').read_text())


@pytest.mark.parametrize('line', [one for one in COMMANDS if '--run' not in one])
def test_the_page_shows_what_is_printed(reproduce, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    code, out, _ = reproduce(*shlex.split(line))
    assert code == 0
    shown = out.replace(sys.executable, 'PYTHON').replace(f'{ROOT}/', '').strip()
    assert f'```\n{shown}\n```' in (ROOT / 'docs/reproduce.md').read_text()


@pytest.mark.parametrize('line', [one for one in COMMANDS if '--run' in one])
def test_the_page_runs_what_there_is(reproduce, tmp_path, monkeypatch, line):
    monkeypatch.setenv('PARTITION', 'gpu')
    words = [word for word in shlex.split(line) if word != '--run']
    code, out, _ = reproduce(*words, '--work-dir', tmp_path)
    assert code == 0 and 'runs: 0 complete' in out


def wait_for(root, pattern, process, seconds=900):
    deadline = time.monotonic() + seconds
    while not [*root.glob(pattern)]:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_killed_resumed_collected(tmp_path, number):
    """A kill of the command, then of an orphan, then the same command to the end."""
    root = tmp_path / 'runs'

    def call(*args):
        return start('reproduce.py', *GRID, '--work-dir', root, *args, *EVERY_EPOCH, cwd=tmp_path)

    process = call('--run')
    wait_for(root, '*alpha=0.5*/seed0/epoch_3.pth', process)
    (first,) = root.glob('*alpha=0.5*/seed0')
    os.kill(process.pid, number)
    assert process.wait() == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    if number == signal.SIGKILL and holder(first):
        # The training lives on and holds the lock: a second command leaves it alone.
        text, _ = call('--run', '--cells', 'alpha=0.5').communicate(timeout=900)
        assert 'is in use by process' in text or 'complete, ' in text
    while holder(first):
        time.sleep(0.1)
    text = finish(call('--run', '--collect'))
    assert text.count(': complete, ') + text.count(': was complete, ') == 2
    assert re.search(r'\| alpha=0.5 \| \d+\.\d\d \|', text)
    assert '2 runs: 2 complete' in finish(call('--plan'))
    scalars = [json.loads(line) for file in sorted(first.glob('*/vis_data/scalars.json'))
               for line in file.read_text().splitlines()]  # fmt: skip
    validated = [line['step'] for line in scalars if 'accuracy/top1' in line]
    assert sorted(set(validated)) == list(range(1, 11))


@pytest.mark.slow
def test_a_failure_does_not_stop_the_others(tmp_path):
    """The first cell's alpha is refused by the mixer."""
    args = ('--config', DIGITS, '--sweep', 'alpha=-1,1', '--seeds', 0, '--epochs', 10)
    process = start('reproduce.py', *args, '--run', '--work-dir', tmp_path, cwd=tmp_path)
    text = finish(process, code=1)
    assert 'NOT COMPLETE, exit code 1' in text and 'alpha' in text
    assert text.count(': complete, ') == 1


SRUN = """#!/bin/bash
# One task on this machine: skips srun's options, sets its variables, runs the command.
while [[ $1 == -* ]]; do [[ $1 == -p ]] && shift; shift; done
export SLURM_PROCID=0 SLURM_NTASKS=1 SLURM_LOCALID=0 MASTER_ADDR=127.0.0.1
exec "$@"
"""


@pytest.mark.slow
@pytest.mark.parametrize(('launcher', 'devices'), [('pytorch', 2), ('slurm', 1)])
def test_launchers(tmp_path, launcher, devices):
    (tmp_path / 'srun').write_text(SRUN)
    (tmp_path / 'srun').chmod(0o755)
    args = ('--config', DIGITS, '--seeds', 0, '--epochs', 10, '--work-dir', tmp_path / 'runs')
    args += ('--launcher', launcher, '--gpus', devices, '--run')
    path = f'{tmp_path}:{environment()["PATH"]}'
    variables = dict(PATH=path, PARTITION='cpu', GPUS_PER_NODE='0', MASTER_PORT=free_port())
    text = finish(start('reproduce.py', *args, cwd=tmp_path, **variables))
    assert text.count(': complete, ') == 1
    (log,) = tmp_path.glob('runs/*/seed0/output.log')
    assert f'Distributed launcher: {launcher}' in log.read_text()
    assert f'GPU number: {devices}' in log.read_text()

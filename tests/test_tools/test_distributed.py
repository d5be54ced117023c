"""The launch scripts: two processes on the CPU, and the commands for machines we do not have."""

import subprocess
from pathlib import Path

import pytest
import torch

from .conftest import ROOT, environment, finish, free_port, start

TOOLS = ROOT / 'tools'


def test_two_processes_train_on_the_cpu(config, tmp_path):
    path = config('automix')
    log = finish(start('dist_train.sh', path, 2, '--epochs', 1, cwd=tmp_path, PORT=free_port()))
    folder = tmp_path / 'work_dirs' / 'short'
    assert 'Distributed training: True' in log and 'GPU number: 2' in log
    assert f'[{4 // 2}/{4 // 2}]' in log  # the processes share the batches of the epoch
    saved = torch.load(folder / 'epoch_1.pth', weights_only=False)
    assert saved['meta']['iter'] == 2
    assert (folder / 'short.run.py').exists() and not (folder / 'short.py').exists()
    for complaint in ("'pin_memory'", 'OMP_NUM_THREADS', 'set_device', 'destroy_process_group'):
        assert complaint not in log

    out = tmp_path / 'metrics.json'
    finish(
        start(
            'dist_test.sh',
            path,
            folder / 'epoch_1.pth',
            2,
            '--out',
            out,
            '--out-item',
            'metrics',
            cwd=tmp_path,
            PORT=free_port(),
        )
    )
    assert 'accuracy/top1' in out.read_text()


@pytest.fixture
def recorded(tmp_path):
    """Runs a script with stand-ins for python and srun; returns the words they were called with."""
    recorder = tmp_path / 'recorder'
    recorder.write_text(
        '#!/bin/sh\nfor word in "$0" "$@"; do printf "%s\\n" "$word"; done > "$RECORD"\n'
        'env >> "$RECORD"\n'
    )
    recorder.chmod(0o755)
    (tmp_path / 'srun').symlink_to(recorder)

    def run(script, *args, code=0, **env):
        record = tmp_path / 'record'
        path = f'{tmp_path}:{environment()["PATH"]}'
        changes = dict(PATH=path, RECORD=str(record), PYTHON=str(recorder)) | env
        variables = environment(**changes)
        if 'OMP_NUM_THREADS' not in env:
            del variables['OMP_NUM_THREADS']
        result = subprocess.run(
            [str(script), *args], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert result.returncode == code, result.stderr
        return record.read_text().splitlines() if record.exists() else result.stderr

    return run


def test_dist_train_passes_machines_and_options_on(recorded):
    words = recorded(
        TOOLS / 'dist_train.sh', 'some config.py', '8', '--amp', '--cfg-options', 'a.b=[1,2]',
        NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.7', PORT='1234',
    )  # fmt: skip
    assert words[1:3] == ['-m', 'torch.distributed.run']
    assert {'--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.7'} <= set(words)
    assert {'--master_port=1234', '--nproc_per_node=8'} <= set(words)
    at = words.index(str(TOOLS / 'train.py'))
    assert words[at + 1 : at + 4] == ['some config.py', '--launcher', 'pytorch']
    assert words[at + 4 : at + 7] == ['--amp', '--cfg-options', 'a.b=[1,2]']
    assert any(word.startswith('OMP_NUM_THREADS=') for word in words)


@pytest.mark.parametrize('script', ['dist_train', 'dist_test'])
def test_several_machines_need_the_address_of_the_first(recorded, script):
    """Without it each would wait for the others at its own address."""
    complaint = recorded(TOOLS / f'{script}.sh', 'c.py', '8', '8', code=2, NNODES='2')
    assert 'MASTER_ADDR' in complaint and 'NNODES=2' in complaint


def test_dist_test_passes_its_arguments_on(recorded):
    words = recorded(TOOLS / 'dist_test.sh', 'c.py', 'w.pth', '4', '--out', 'r.pkl')
    at = words.index(str(TOOLS / 'test.py'))
    assert words[at + 1 : at + 7] == ['c.py', 'w.pth', '--launcher', 'pytorch', '--out', 'r.pkl']
    assert '--nproc_per_node=4' in words


def test_threads_can_be_chosen(recorded):
    assert 'OMP_NUM_THREADS=7' in recorded(
        TOOLS / 'dist_train.sh', 'c.py', '2', OMP_NUM_THREADS='7'
    )


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_slurm_asks_for_what_was_named(recorded, tool):
    words = recorded(
        TOOLS / f'slurm_{tool}.sh', 'gpu', 'job', 'c.py', 'last', '--amp', 'bf16',
        GPUS='4', CPUS_PER_TASK='3', SRUN_ARGS='--qos high',
    )  # fmt: skip
    assert words[1:3] == ['-p', 'gpu'] and '--job-name=job' in words
    assert {'--ntasks=4', '--ntasks-per-node=4', '--gres=gpu:4', '--cpus-per-task=3'} <= set(words)
    assert words[words.index('--qos') + 1] == 'high'
    at = words.index(str(TOOLS / f'{tool}.py'))
    last = '--work-dir=last' if tool == 'train' else 'last'
    assert words[at + 1 : at + 6] == ['c.py', last, '--launcher=slurm', '--amp', 'bf16']


def test_slurm_without_gpus(recorded):
    words = recorded(
        TOOLS / 'slurm_train.sh', 'cpu', 'job', 'c.py', 'w', GPUS='2', GPUS_PER_NODE='0'
    )
    assert '--ntasks=2' in words
    assert not any(word.startswith('--gres') for word in words)


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_too_few_arguments_show_the_usage(recorded, script):
    assert 'usage:' in recorded(TOOLS / f'{script}.sh', 'only-one', code=2)


def test_scripts_work_from_a_copy(recorded, tmp_path):
    """As in the folder that mim installs: no repository around the tools."""
    folder = tmp_path / '.mim' / 'tools'
    folder.mkdir(parents=True)
    for source in Path(TOOLS).glob('*.sh'):
        copy = folder / source.name
        copy.write_text(source.read_text())
        copy.chmod(0o755)
    words = recorded(folder / 'dist_train.sh', 'c.py', '2')
    assert str(folder / 'train.py') in words

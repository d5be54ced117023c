"""Runs the command line tools as a user does: as processes of their own."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASES = {
    'automix': 'configs/automix/r18slim_digits.py',
    'vanilla': 'configs/vanilla/vanilla_r18slim_digits.py',
    'mixup': 'configs/mixup/mixup_r18slim_digits.py',
    'arrays': 'configs/automix/r18slim_cifar20.py',
}
SHORT = """
_base_ = [{base!r}]
custom_imports = dict(imports=['kill_hooks'], allow_failed_imports=False)
custom_hooks = [dict(type='automix_mm.EpochSeedHook'), *{hooks!r}]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
train_dataloader = dict(batch_size=25)  # four iterations per epoch
train_cfg = dict(val_interval=1)
val_dataloader = dict(dataset=dict(indices=100))
"""


def environment(**changes):
    """The environment of a child: one thread, the package and the hooks within reach."""
    paths = [str(ROOT), str(Path(__file__).parent), os.environ.get('PYTHONPATH', '')]
    drop = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    env = {name: value for name, value in os.environ.items() if name not in drop}
    env |= dict(PYTHONPATH=os.pathsep.join(filter(None, paths)), OMP_NUM_THREADS='1')
    return env | dict(CUDA_VISIBLE_DEVICES='', PYTHON=sys.executable) | changes


def start(tool, *args, cwd, **env):
    """Starts a tool; Python tools with this interpreter."""
    command = [str(ROOT / 'tools' / tool), *map(str, args)]
    if tool.endswith('.py'):
        command.insert(0, sys.executable)
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(**env),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A shell makes its background processes, and so their children, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(process, code=0, timeout=900):
    """Waits for a process, asserts its exit code and returns what it printed."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # with it go the processes that it has started
        raise
    assert process.returncode == code, output[-6000:]
    return output


def free_port():
    """A port that nobody listens on at present."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def config(tmp_path):
    """Writes a short version of a config with extra hooks; returns its path."""

    def write(base='automix', *hooks, name='short'):
        path = tmp_path / f'{name}.py'
        path.write_text(SHORT.format(base=str(ROOT / BASES[base]), hooks=list(hooks)))
        return path

    return write


@pytest.fixture
def load_tool(monkeypatch):
    """Imports a tool from its file and sets the command line that it will read."""

    def load(name, *args):
        spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / f'tools/{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, args)])
        monkeypatch.setenv('LOCAL_RANK', '0')
        return module

    return load

"""A copy of the repository with small data, and a quick `python` in it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from .pages import ROOT

COPIED = ('configs', 'docs', 'tools', 'requirements')
FILES = ('README.md', 'CONTRIBUTING.md', 'Makefile', 'setup.py', 'constraints.txt')
HERE = Path(__file__).parent


@pytest.fixture(scope='session')
def python():
    """Folder with a `python` that needs no imports, and the environment that belongs to it."""
    # A socket's path has 107 characters at most; TMPDIR may be longer.
    folder = Path(tempfile.mkdtemp(prefix='pages-', dir='/tmp'))
    drop = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT', 'PYTEST_CURRENT_TEST')
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    scripts = [str(folder), str(Path(sys.executable).parent)]
    environment |= dict(
        PATH=os.pathsep.join([*scripts, os.environ['PATH']]),
        PYTHON=str(folder / 'python'),
        DOCS_PYTHON=str(folder / 'python'),
        DOCS_SERVER=str(folder / 'server'),
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        MPLBACKEND='Agg',
        CUDA_VISIBLE_DEVICES='',
    )
    shim = folder / 'python'
    shim.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S {shlex.quote(str(HERE / "shim.py"))} '
        '"$@"\n'
    )
    shim.chmod(0o755)
    with (folder / 'log').open('w') as log:
        server = subprocess.Popen(
            [sys.executable, str(HERE / 'fork_server.py'), environment['DOCS_SERVER']],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        ready = any(line == 'ready\n' for line in server.stdout)
        assert ready, (folder / 'log').read_text()
        yield environment
        os.killpg(server.pid, signal.SIGKILL)  # and whatever a command has left behind
        server.wait()
    shutil.rmtree(folder)


@pytest.fixture
def workplace(tmp_path):
    """A copy of what the commands of the pages touch, with a few real images as data."""
    for name in COPIED:
        ignore = shutil.ignore_patterns('__pycache__', '_build')
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in FILES:
        shutil.copyfile(ROOT / name, tmp_path / name)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'mine').mkdir()
    write_small_images(tmp_path / 'data/cifar100.npz')
    for name, photograph in zip(('a.jpg', 'b.jpg'), load_sample_images().images, strict=True):
        Image.fromarray(photograph[:256, :256]).save(tmp_path / name)
    return tmp_path


def write_small_images(path):
    """Scanned digits as 32x32 images of 20 classes: each digit, upright and lying."""
    source = load_digits()
    images = np.rint(source.images * (255 / 16)).astype(np.uint8)
    arrays = {}
    for split, per_class in (('train', 5), ('test', 1)):
        chosen, labels = [], []
        for label in range(20):
            places = np.flatnonzero(source.target == label % 10)
            for place in places[:per_class] if split == 'train' else places[-per_class:]:
                image = np.rot90(images[place], label // 10).repeat(4, 0).repeat(4, 1)
                chosen.append(np.repeat(image[..., None], 3, axis=2))
                labels.append(label)
        arrays |= {f'{split}_images': np.stack(chosen), f'{split}_labels': np.array(labels)}
    np.savez(path, **arrays)

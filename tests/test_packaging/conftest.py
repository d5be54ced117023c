"""Builds of the project and environments with it, made once per test session.

Nothing is downloaded: the environments see the packages of the running interpreter through a
`.pth` file, and builds run without isolation.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(
    '.git', '.venv', '.mim', 'data', 'work_dirs', 'demo_output', 'build', 'dist', '*.egg-info',
    '__pycache__', '.*_cache',
)  # fmt: skip


def run(*command, cwd, timeout=600):
    """Run a command and return its output; fail with the output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        # Nothing of the project may be found through the path of the test session.
        env={**{k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}, 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f'{command} in {cwd}:\n{done.stdout}'
    return done.stdout


@dataclass
class Environment:
    """A virtual environment in which one form of the distribution is installed.

    Attributes:
        root: Folder of the environment.
        source: The repository that an editable install points to, or `None`.
    """

    root: Path
    source: Path | None = None

    @property
    def python(self):
        """The interpreter of the environment."""
        return self.root / 'bin' / 'python'

    @property
    def site_packages(self):
        """The folder that packages are installed into."""
        (path,) = self.root.glob('lib/python*/site-packages')
        return path

    @property
    def dist_info(self):
        """The metadata folder of our distribution."""
        (path,) = self.site_packages.glob('mm_automix-*.dist-info')
        return path

    def install(self, *what):
        """Install with pip, without dependencies."""
        pip = (sys.executable, '-m', 'pip', '--python', self.python, 'install', '--quiet')
        options = ('--no-deps', '--no-build-isolation', '--ignore-installed', '--no-index')
        run(*pip, *options, *what, cwd=self.root)

    def mim(self, *arguments, cwd):
        """Run a command of mim, as its console script does: without the folder in the path."""
        code = 'from mim.cli import cli; cli()'
        return run(self.python, '-I', '-c', code, *arguments, cwd=cwd)


def create_environment(root):
    run(sys.executable, '-m', 'venv', '--without-pip', root, cwd=root.parent)
    environment = Environment(root)
    packages = sysconfig.get_path('purelib')
    (environment.site_packages / 'packages_of_the_session.pth').write_text(packages + '\n')
    return environment


@pytest.fixture
def new_environment(tmp_path):
    """An environment without our distribution."""
    return create_environment(tmp_path / 'env')


def copy_repository(target):
    shutil.copytree(ROOT, target, ignore=NOT_COPIED)
    return target


@pytest.fixture(scope='session')
def repository(tmp_path_factory):
    """A copy of the repository, in which the builds run."""
    return copy_repository(tmp_path_factory.mktemp('repository') / 'mm-automix')


@pytest.fixture(scope='session')
def built(repository):
    """Folder with the sdist and the wheel that was built from it."""
    run(sys.executable, '-m', 'build', '--no-isolation', repository, cwd=repository.parent)
    return repository / 'dist'


@pytest.fixture(scope='session')
def sdist(built):
    """The source distribution."""
    (path,) = built.glob('mm_automix-*.tar.gz')
    return path


@pytest.fixture(scope='session')
def wheel(built):
    """The wheel that was built from the source distribution."""
    (path,) = built.glob('mm_automix-*.whl')
    return path


@pytest.fixture(scope='session')
def wheel_environment(tmp_path_factory, wheel):
    """An environment with the wheel."""
    environment = create_environment(tmp_path_factory.mktemp('wheel') / 'env')
    environment.install(wheel)
    return environment


@pytest.fixture(scope='session')
def editable_environment(tmp_path_factory):
    """An environment with an editable install of a copy of the repository."""
    folder = tmp_path_factory.mktemp('editable')
    environment = create_environment(folder / 'env')
    environment.source = copy_repository(folder / 'mm-automix')
    environment.install('-e', environment.source)
    return environment


@pytest.fixture(params=['wheel', 'editable'])
def environment(request):
    """Both environments in turn."""
    return request.getfixturevalue(f'{request.param}_environment')

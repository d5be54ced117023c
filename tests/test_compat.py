"""The check of the host packages, alone and as users of the host meet it."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest

from automix_mm import _compat
from automix_mm._compat import HOST_PACKAGES, require_host

ROOT = Path(__file__).resolve().parents[1]

GOOD = {
    'torch': '2.11.0+cpu',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmpretrain': '1.3.6',
}

# Python imports a module of this name at its start, from the first folder that has one.
SITECUSTOMIZE = """
import importlib.metadata
import os

real = importlib.metadata.version
fake = dict(item.split('=') for item in os.environ['FAKE_VERSIONS'].split(','))


def version(name):
    if fake.get(name) == 'missing':
        raise importlib.metadata.PackageNotFoundError(name)
    return fake.get(name) or real(name)


importlib.metadata.version = version
"""


@pytest.fixture
def installed(monkeypatch):
    """Installed distributions as the check sees them; the test edits the dictionary."""
    versions = dict(GOOD)

    def version(name):
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(_compat, 'version', version)
    return versions


@pytest.fixture
def run_python(tmp_path):
    """Run Python with faked versions of distributions."""
    (tmp_path / 'sitecustomize.py').write_text(SITECUSTOMIZE)

    def run(*args, **fakes):
        fake = ','.join(f'{name.replace("_", "-")}={found}' for name, found in fakes.items())
        environment = {
            **os.environ,
            'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}',
            'FAKE_VERSIONS': fake,
            'OMP_NUM_THREADS': '1',
        }
        return subprocess.run(
            [sys.executable, *args],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def message_of_check():
    with pytest.raises(ImportError) as caught:
        require_host()
    return str(caught.value)


def test_tested_versions_pass(installed):
    require_host()


@pytest.mark.parametrize('package', HOST_PACKAGES, ids=lambda package: package.module)
def test_missing_package(installed, package):
    del installed[package.distribution]
    message = message_of_check()
    assert f'{package.module}: not installed; needed: {package.requirement}' in message
    assert message.endswith(f'\n  pip install "{package.requirement}"')


@pytest.mark.parametrize(
    ('distribution', 'found'),
    [
        ('torch', '2.3.1+cu121'),
        ('onedl-mmengine', '0.10.9'),
        ('onedl-mmengine', '1.0.0'),
        ('onedl-mmcv', '2.2.0'),
        ('onedl-mmcv', '2.4.0'),
        ('onedl-mmpretrain', '1.3.5rc1'),
    ],
)
def test_unsupported_version(installed, distribution, found):
    installed[distribution] = found
    message = message_of_check()
    (package,) = (p for p in HOST_PACKAGES if p.distribution == distribution)
    assert (
        f'{package.module}: found {distribution} {found}; needed: {package.requirement}' in message
    )
    assert sum(line.startswith('  - ') for line in message.splitlines()) == 1


@pytest.mark.parametrize('found', ['2.3.6', '2.3.6.post1', '2.3.10', '2.3.6+cu130'])
def test_versions_compare_as_numbers(installed, found):
    installed['onedl-mmcv'] = found
    require_host()


def test_original_package_instead_of_maintained_one(installed):
    del installed['onedl-mmcv']
    installed['mmcv-lite'] = '2.1.0'
    message = message_of_check()
    assert 'mmcv: found mmcv-lite 2.1.0, another distribution' in message
    assert '\n  pip uninstall -y mmcv-lite\n  pip install "onedl-mmcv>=2.3.6,<2.4"' in message


def test_original_package_beside_maintained_one(installed):
    installed['mmengine'] = '0.10.7'
    message = message_of_check()
    assert 'found onedl-mmengine 0.10.12 together with mmengine 0.10.7' in message
    assert '\n  pip uninstall -y mmengine onedl-mmengine\n' in message


def test_all_problems_at_once(installed):
    installed.clear()
    message = message_of_check()
    lines = message.splitlines()
    assert [line.split(':')[0].strip(' -') for line in lines if line.startswith('  - ')] == [
        package.module for package in HOST_PACKAGES
    ]
    assert all(package.requirement in lines[-1] for package in HOST_PACKAGES)


def test_requirements_files_name_the_same_versions():
    lines = []
    for name in ('runtime', 'mminstall'):
        lines += (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    assert {package.requirement for package in HOST_PACKAGES} <= set(lines)


def test_import_raises_without_host_package(run_python):
    done = run_python('-c', 'import automix_mm', onedl_mmcv='missing')
    assert done.returncode == 1
    assert done.stderr.count('mmcv: not installed; needed: onedl-mmcv>=2.3.6,<2.4') == 1
    assert 'ImportError: automix_mm cannot be imported' in done.stderr


def test_user_of_the_host_sees_the_message_once(run_python):
    code = (
        'from mmpretrain.registry import MODELS\n'
        'for _ in range(2):\n'
        '    try:\n'
        '        MODELS.build(dict(type="automix_mm.MomentumClassifier"))\n'
        '    except Exception as error:\n'
        '        print(type(error).__name__)\n'
    )
    done = run_python('-c', code, onedl_mmcv='2.3.5')
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ['KeyError', 'KeyError'], done.stdout
    message = 'mmcv: found onedl-mmcv 2.3.5; needed: onedl-mmcv>=2.3.6,<2.4'
    assert done.stderr.count(message) == 1


def test_training_script_of_the_host_shows_the_message(run_python, tmp_path):
    config = tmp_path / 'plain_user.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='automix_mm.MomentumClassifier')\n"
        f'work_dir = {str(tmp_path / "run")!r}\n'
    )
    script = Path(find_spec('mmpretrain').origin).parent / '.mim/tools/train.py'
    done = run_python(str(script), str(config), onedl_mmengine='0.10.11')
    assert done.returncode != 0
    message = 'mmengine: found onedl-mmengine 0.10.11; needed: onedl-mmengine>=0.10.12,<1.0'
    assert done.stderr.count(message) == 1


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_own_tools_raise_at_once(run_python, tool):
    script = str(ROOT / 'tools' / f'{tool}.py')
    done = run_python(script, '--help', onedl_mmpretrain='1.2.0')
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith('pip install "onedl-mmpretrain>=1.3.6,<2.0"')


def test_broken_part_is_reported_too(tmp_path):
    """An ImportError inside the package itself is as invisible to a user of the host."""
    package = tmp_path / 'automix_mm'
    package.mkdir()
    for name in ('__init__', '_compat', 'version', 'registry'):
        (package / f'{name}.py').write_text((ROOT / 'automix_mm' / f'{name}.py').read_text())
    (package / 'datasets.py').write_text('import a_module_that_does_not_exist\n')
    code = 'from mmpretrain.registry import MODELS\nMODELS.get("automix_mm.MomentumClassifier")\n'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    line = (
        'automix_mm cannot be imported: ModuleNotFoundError: '
        "No module named 'a_module_that_does_not_exist'"
    )
    assert done.stderr.count(line) == 1, done.stderr

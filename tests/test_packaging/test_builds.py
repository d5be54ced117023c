"""What wheel, source distribution and editable install contain."""

import csv
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from automix_mm.version import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def content_of(folder):
    """Files of configs, tools and the model index, relative to the repository."""
    files = {'model-index.yml': (ROOT / 'model-index.yml').read_bytes()}
    for path in [*(ROOT / folder).rglob('*')]:
        if path.is_file() and '__pycache__' not in path.parts:
            files[path.relative_to(ROOT).as_posix()] = path.read_bytes()
    return files


def files_of_wheel(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def files_of_sdist(path):
    with tarfile.open(path) as archive:
        files = [member for member in archive if member.isfile()]
        return {m.name.split('/', 1)[1]: archive.extractfile(m).read() for m in files}


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_wheel_carries_mim_folder(wheel, folder):
    files = files_of_wheel(wheel)
    expected = {f'automix_mm/.mim/{name}': data for name, data in content_of(folder).items()}
    assert len(expected) > 5
    assert {name: files.get(name) for name in expected} == expected
    inside = {name for name in files if name.startswith(f'automix_mm/.mim/{folder}/')}
    assert inside <= set(expected)


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_sdist_carries_mim_folder_and_sources(sdist, folder):
    files = files_of_sdist(sdist)
    for name, data in content_of(folder).items():
        assert files[name] == data
        assert files[f'automix_mm/.mim/{name}'] == data


def test_sdist_builds_and_tests_itself(sdist):
    files = files_of_sdist(sdist)
    for name in (
        'setup.py', 'pyproject.toml', 'constraints.txt', 'requirements/runtime.txt', 'Makefile',
        'LICENSE', 'README.md', 'CHANGELOG.md', 'tests/test_packaging/conftest.py',
    ):  # fmt: skip
        assert name in files, name


def test_wheel_holds_the_package_and_nothing_else(wheel):
    files = files_of_wheel(wheel)
    tops = {name.split('/')[0] for name in files}
    assert tops == {'automix_mm', f'mm_automix-{__version__}.dist-info'}
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'automix_mm').rglob('*')
        if path.suffix == '.py' and '.mim' not in path.parts
    }
    assert sources == {
        name for name in files if name.endswith('.py') and not name.startswith('automix_mm/.mim')
    }
    assert 'automix_mm/py.typed' in files


def test_metadata(wheel):
    files = files_of_wheel(wheel)
    info = f'mm_automix-{__version__}.dist-info'
    metadata = Parser().parsestr(files[f'{info}/METADATA'].decode())
    assert metadata['Name'] == 'mm-automix'
    assert metadata['Version'] == __version__
    assert metadata['License-Expression'] == 'Apache-2.0'
    assert SpecifierSet(metadata['Requires-Python']) == SpecifierSet('>=3.10,<3.13')
    extras = set(metadata.get_all('Provides-Extra'))
    assert extras == {'mminstall', 'det', 'export', 'tests', 'docs', 'all'}
    required = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert not any(line.startswith('onedl') for line in required)
    assert f'{info}/licenses/LICENSE' in files


def test_builds_leave_no_second_copy_of_the_configs(built, repository, tmp_path):
    pip = (sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation')
    subprocess.run([*pip, '--wheel-dir', tmp_path, repository], check=True, timeout=300)
    (direct,) = tmp_path.glob('*.whl')
    (from_sdist,) = built.glob('*.whl')
    assert files_of_wheel(direct).keys() == files_of_wheel(from_sdist).keys()
    assert [path.parent for path in repository.rglob('r50_imagenet.py')] == [
        repository / 'configs' / 'automix'
    ]
    assert not [*repository.glob('build'), *repository.glob('*.egg-info')]


def test_first_record_entry_leads_mim_to_the_package(wheel_environment):
    """Mim takes the first folder in RECORD for the package."""
    rows = csv.reader((wheel_environment.dist_info / 'RECORD').read_text().splitlines())
    assert next(rows)[0].startswith('automix_mm/')


def test_editable_install_has_no_mim_folder(editable_environment):
    source = editable_environment.source
    assert not (source / 'automix_mm' / '.mim').exists()
    assert not (editable_environment.site_packages / 'automix_mm').exists()
    assert len([*source.rglob('r50_imagenet.py')]) == 1


def test_editable_install_of_an_unpacked_sdist_has_no_mim_folder(sdist, new_environment, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter='data')
    (source,) = tmp_path.glob('mm_automix-*')
    assert (source / 'automix_mm' / '.mim').is_dir()
    new_environment.install('-e', source)
    assert not (source / 'automix_mm' / '.mim').exists()

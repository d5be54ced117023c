"""The commands of mim, with the installed wheel and with an editable install."""

import json
import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'r18slim_digits.py'
ONE_EPOCH = ('--gpus', '0', '--epochs', '1', '--seed', '0')


def models_of_metafiles():
    """Every model of the metafiles: name to entry."""
    models = {}
    for path in sorted(ROOT.glob('configs/*/metafile.yml')):
        for model in yaml.safe_load(path.read_text())['Models']:
            models[model['Name']] = model
    return models


def test_install(new_environment, repository):
    """The command of the README, in an environment that has the host already."""
    # Without isolation and index, because the test must not download anything.
    offline = ('--no-build-isolation', '--no-index')
    new_environment.mim('install', '-e', '.[mminstall]', *offline, cwd=repository)
    direct_url = json.loads((new_environment.dist_info / 'direct_url.json').read_text())
    assert direct_url == {'dir_info': {'editable': True}, 'url': repository.as_uri()}
    text = new_environment.mim('search', 'mm-automix', cwd=repository.parent)
    assert 'config id: r18slim_digits' in text


@pytest.fixture
def work_folder(environment, tmp_path):
    """Where a user of the environment works: inside the repository if it is editable."""
    return environment.source or tmp_path


def test_search_prints_every_model(environment, tmp_path):
    text = environment.mim('search', 'mm-automix', cwd=tmp_path)
    found = re.findall(r'config id: (\S+)', text)
    assert sorted(found) == sorted(models_of_metafiles())
    assert len(found) > 20
    for model in models_of_metafiles().values():
        assert (ROOT / model['Config']).is_file()


def test_search_shows_the_row_of_a_model(environment, tmp_path):
    arguments = ('--config', 'r18_cifar100', '--display-width', '200')
    text = environment.mim('search', 'mm-automix', *arguments, cwd=tmp_path)
    row = dict(line.split(None, 1) for line in text.splitlines() if re.match(r'\w+\s+\S', line))
    assert row['config'] == 'configs/automix/r18_cifar100.py'
    assert row['model'] == 'automix'


def test_train_and_test(environment, work_folder, tmp_path):
    """Both find the config by its name alone, the test with a dump of the training beside it."""
    text = environment.mim('train', 'mm-automix', CONFIG, *ONE_EPOCH, cwd=work_folder)
    assert 'Training finished successfully' in text
    root = environment.source or environment.site_packages / 'automix_mm' / '.mim'
    assert f'will use {root}/configs/automix/{CONFIG} instead' in text
    assert f'{root}/tools/train.py' in text
    work_dir = work_folder / 'work_dirs' / 'r18slim_digits'
    assert [*work_dir.glob('*.py')]
    checkpoint = work_dir / 'epoch_1.pth'
    assert checkpoint.is_file()

    test = ('test', 'mm-automix', CONFIG, '--checkpoint', str(checkpoint), '--gpus', '0')
    text = environment.mim(*test, '--work-dir', str(tmp_path / 'tested'), cwd=work_folder)
    assert re.search(r'accuracy/top1: \d', text)


def test_gridsearch(environment, work_folder):
    search = '--optim_wrapper.optimizer.lr 0.05 0.1'
    arguments = ('--work-dir', 'work_dirs/grid', '--search-args', search)
    command = ('gridsearch', 'mm-automix', CONFIG, *ONE_EPOCH, *arguments)
    text = environment.mim(*command, cwd=work_folder)
    assert 'finished successfully' in text
    for rate in ('0.05', '0.1'):
        folder = work_folder / f'work_dirs/grid_search_optim_wrapper.optimizer.lr_{rate}'
        (dump,) = folder.glob('*.run.py')
        assert f'lr={rate}' in dump.read_text()
        assert (folder / 'epoch_1.pth').is_file()

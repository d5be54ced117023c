"""tools/visualization/gallery.py, as a user calls it."""

import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.test_export import checkpoints

from .conftest import ROOT, environment


@pytest.fixture
def photos(tmp_path):
    """Three images of different sizes and modes."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    Image.effect_mandelbrot((70, 50), (-2, -1, 1, 1), 20).convert('RGBA').save(folder / 'a.png')
    Image.linear_gradient('L').resize((40, 60)).save(folder / 'b.jpg')
    Image.radial_gradient('L').convert('RGB').save(folder / 'c.webp')
    return folder


@pytest.fixture
def make(load_tool, photos, tmp_path, capsys):
    """Calls the tool in this process; returns what it printed."""

    def call(*args, code=0, folder=photos, out='gallery'):
        options = ['--images', folder, '--out', tmp_path / out]
        for name, values in dict(lam=(0.3, 0.7), size=(32,)).items():
            if f'--{name}' not in args:
                options += [f'--{name}', *values]
        module = load_tool('visualization/gallery', *args, *options)
        before = sorted(os.listdir(tmp_path))
        if not code:
            module.main()
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as stop:
            module.main()
        assert stop.value.code == code
        assert sorted(os.listdir(tmp_path)) == before  # nothing half written
        (line,) = capsys.readouterr().err.splitlines()  # no usage
        assert ': error: ' in line
        return line

    return call


def test_as_a_command(photos, tmp_path):
    """No checkpoint: the mixers of pixels."""
    command = [sys.executable, str(ROOT / 'tools/visualization/gallery.py'), '--lam', '0', '0.5']
    done = subprocess.run(
        [*command, '--images', str(photos), '--out', 'gallery', '--size', '48'],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last == 'Written gallery/index.html: 3 images, 6 pairs, 5 mixers, 0.0 MB'
    assert os.listdir(tmp_path / 'gallery') == ['index.html']


def test_networks_add_mixers_and_scores(make, tmp_path):
    one, two = str(tmp_path / 'one.pth'), str(tmp_path / 'two.pth')
    checkpoints.save(one, checkpoints.automix())
    checkpoints.save(two, checkpoints.automix(), seed=1)
    printed = make(one, two, '--mixers', 'automix', 'PuzzleMix', 'Mixup')
    assert printed.count('AutoMix (stage stem, r18_small, epoch 3, ') == 2
    assert '3 images, 6 pairs, 4 mixers, ' in printed
    page = (tmp_path / 'gallery/index.html').read_text()
    assert page.count('"stage":"stem"') == 2


def test_the_size_is_that_of_the_networks(make, load_tool, tmp_path):
    path = str(tmp_path / 'one.pth')
    checkpoints.save(path, checkpoints.automix())
    tool = load_tool('visualization/gallery')
    (network,) = tool.gallery.read_networks([path])
    assert tool.find_size(None, [network]) == (64, 64)
    assert tool.find_size([20, 30], [network]) == (20, 30)
    assert tool.find_size([20], []) == (20, 20)
    assert tool.find_size(None, []) == (224, 224)
    other = tool.gallery.GalleryNetwork(**{**vars(network), 'size': (3, 32, 32)})
    with pytest.raises(ValueError, match='32 x 32 and 64 x 64 pixels: choose with --size'):
        tool.find_size(None, [network, other])


def test_a_limit_is_told(make):
    printed = make('--limit', 2)
    assert '2 images of 3: --limit takes more' in printed and '2 images, 2 pairs' in printed


def test_the_page_replaces_an_older_one_only_when_it_is_whole(make, photos, tmp_path):
    make('--mixers', 'Mixup')
    old = (tmp_path / 'gallery/index.html').read_text()
    (photos / 'b.jpg').write_text('no image')
    error = make(code=2)
    assert 'b.jpg cannot be read as an image' in error and error.endswith('remove or convert it')
    assert (tmp_path / 'gallery/index.html').read_text() == old
    assert os.listdir(tmp_path / 'gallery') == ['index.html']


# ----------------------------------------------------------------------------------- errors


def test_folders_without_a_pair(make, photos, tmp_path):
    assert 'no folder' in make(code=2, folder=tmp_path / 'none')
    empty = tmp_path / 'empty'
    empty.mkdir()
    assert re.search(
        'empty needs at least two images .*, there is none', make(code=2, folder=empty)
    )
    os.remove(photos / 'a.png')
    os.remove(photos / 'b.jpg')
    assert 'there is only c.webp' in make(code=2)


def test_out_folders_that_cannot_be_written(make, tmp_path):
    (tmp_path / 'taken').write_text('a file')
    assert 'cannot write to the folder' in make(code=2, out='taken')
    assert 'cannot write to the folder' in make(code=2, out='taken/below')
    assert (tmp_path / 'taken').read_text() == 'a file'


def test_checkpoints_of_something_else(make, tmp_path):
    plain, text = str(tmp_path / 'plain.pth'), tmp_path / 'text.pth'
    checkpoints.save(plain, checkpoints.plain())
    text.write_text('no weights')
    assert 'plain.pth is of another model (ImageClassifier), expected' in make(plain, code=2)
    assert 'no checkpoint, or a damaged one' in make(str(text), code=2)
    assert 'there is no such file' in make('none.pth', code=2)


def test_errors_of_the_arguments(make):
    assert 'weights from 0 to 1' in make('--lam', 1.5, code=2)
    assert 'at least 2, a pair' in make('--limit', 1, code=2)
    assert 'one or two numbers' in make('--size', 0, code=2)
    assert 'no mixer Cutmax; choose from AutoMix, ' in make('--mixers', 'Cutmax', code=2)
    assert 'AutoMix looks through a network' in make('--mixers', 'AutoMix', code=2)
    assert 'cannot read none.txt' in make('--classes', 'none.txt', code=2)

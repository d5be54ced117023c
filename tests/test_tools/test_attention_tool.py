"""tools/visualization/attention.py, as a user calls it."""

import pytest
import torch
from matplotlib.image import imread
from mmengine.config import Config
from mmpretrain.registry import MODELS as HOST_MODELS
from PIL import Image

from .conftest import ROOT

AUTOMIX = str(ROOT / 'configs/automix/r18slim_digits.py')
PUZZLE = str(ROOT / 'configs/puzzlemix/puzzlemix_r18slim_cifar20.py')


@pytest.fixture
def weights(tmp_path):
    """Saves random weights of a config's model as the runner does."""

    def save(config=AUTOMIX):
        cfg = Config.fromfile(config)
        model = HOST_MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
        path = str(tmp_path / 'w.pth')
        torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), path)
        return path

    return save


@pytest.fixture
def look(load_tool, tmp_path, capsys):
    """Calls the tool in this process; returns what it printed, or the one line of its error."""

    def call(*args, code=0):
        path = tmp_path / 'attention.png'
        module = load_tool('visualization/attention', *args, '--out', path)
        if not code:
            module.main()
            assert imread(path).shape[1] > 600
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as stop:
            module.main()
        assert stop.value.code == code and not path.exists()
        (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
        assert line.startswith('attention.py: error: ')
        return line

    return call


def test_positions_in_parts_and_in_pixels_of_the_data_set(look, weights):
    places = ('--at', '0.5', '0.0', '--at', 7, 2, '--at', '1.0', '1.0')
    printed = look(AUTOMIX, weights(), '--dataset', *places, '--lam', 0.2, 0.8)
    for place in ((4, 0), (7, 2), (7, 7)):
        assert printed.count(f'row of {place}: peak') == 2
    assert 'lam 0.2: mask' in printed and 'lam 0.8: mask' in printed and 'of 64 cells' in printed


def test_files_and_the_default_position(look, weights, tmp_path):
    files = [str(tmp_path / name) for name in ('a.png', 'b.jpg')]
    for file in files:
        Image.linear_gradient('L').save(file)
    printed = look(AUTOMIX, weights(), '--images', *files, '--size', 10, 20)
    assert printed.count('row of (10, 5)') == 3  # lam 0.1, 0.5, 0.9


def test_errors(look, weights, tmp_path):
    path = weights()
    for given in (('8', '0'), ('-1', '0')):
        assert 'outside an image of 8 x 8' in look(
            AUTOMIX, path, '--dataset', '--at', *given, code=2
        )
    for given in (('1.5', '0.5'), ('left', '0')):
        assert 'takes two whole numbers' in look(AUTOMIX, path, '--dataset', '--at', *given, code=2)
    assert 'one pair' in look(AUTOMIX, path, '--dataset', '--index', 0, 1, 2, 3, code=2)
    image = str(tmp_path / 'a.png')
    Image.linear_gradient('L').save(image)
    assert 'even number' in look(AUTOMIX, path, '--images', image, code=2)
    assert 'no image' in look(AUTOMIX, path, '--images', image, 'b.png', code=2)
    assert 'is a folder' in look(AUTOMIX, path, '--images', image, str(tmp_path), code=2)
    assert 'no file' in look(AUTOMIX, 'none.pth', '--dataset', code=2)
    assert 'does not fit' in look(PUZZLE, path, '--images', image, image, code=2)
    text = tmp_path / 'text.pth'
    text.write_text('no weights')
    assert 'no checkpoint, or a damaged one' in look(AUTOMIX, str(text), '--dataset', code=2)


def test_config_and_picture_that_cannot_be_used(look, load_tool, weights, tmp_path, capsys):
    path = weights()
    assert f'CONFIG comes first and ends in .py, got {path}' in look(
        path, AUTOMIX, '--dataset', code=2
    )
    detector = tmp_path / 'detector.py'
    detector.write_text("model = dict(type='FasterRCNN', backbone=dict(), roi_head=dict())")
    assert 'not the config of a classifier' in look(str(detector), path, '--dataset', code=2)
    vanilla = str(ROOT / 'configs/vanilla/vanilla_r18slim_cifar20.py')
    assert 'is of type ImageClassifier' in look(vanilla, path, '--dataset', code=2)
    (tmp_path / 'file').touch()
    out = tmp_path / 'file' / 'attention.png'
    with pytest.raises(SystemExit):
        load_tool('visualization/attention', AUTOMIX, path, '--dataset', '--out', out).main()
    assert f'error: cannot write {out}: {out.parent} is no folder' in capsys.readouterr().err


def test_only_mix_blocks_attend(look, weights, tmp_path):
    path = weights(PUZZLE)
    files = [str(tmp_path / name) for name in ('a.png', 'b.jpg')]
    for file in files:
        Image.linear_gradient('L').save(file)
    assert 'has a PuzzleMix' in look(PUZZLE, path, '--images', *files, code=2)

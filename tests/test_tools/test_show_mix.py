"""tools/visualization/show_mix.py, as a user calls it."""

import subprocess
import sys

import pytest
import torch
from matplotlib.image import imread
from mmengine.config import Config
from mmpretrain.registry import MODELS as HOST_MODELS
from PIL import Image

from automix_mm.mixing import Mixer
from automix_mm.registry import MODELS

from .conftest import ROOT, environment

AUTOMIX = str(ROOT / 'configs/automix/r18slim_digits.py')
CUTMIX = str(ROOT / 'configs/cutmix/cutmix_r18slim_cifar20.py')
PUZZLE = str(ROOT / 'configs/puzzlemix/puzzlemix_r18slim_cifar20.py')


@pytest.fixture
def images(tmp_path):
    """Two images of different sizes and modes."""
    paths = [str(tmp_path / 'a.png'), str(tmp_path / 'b.jpg')]
    Image.effect_mandelbrot((70, 50), (-2, -1, 1, 1), 20).convert('RGBA').save(paths[0])
    Image.linear_gradient('L').resize((40, 60)).save(paths[1])
    return paths


@pytest.fixture
def show(load_tool, images, tmp_path, capsys):
    """Calls the tool in this process; returns what it printed and the path of the picture."""

    def call(*args, out='mix.png', code=0, files=None):
        path = tmp_path / out
        options = ['--images', *(files or images), '--out', path, '--size', 32]
        module = load_tool('visualization/show_mix', *args, *options)
        if code:
            with pytest.raises(SystemExit) as stop:
                module.main()
            assert stop.value.code == code
            assert not path.exists()
            return capsys.readouterr().err
        module.main()
        printed = capsys.readouterr().out
        assert str(path) in printed
        return printed, path

    return call


def checkpoint(config, path, **changes):
    """Saves random weights of a config's model as the runner does."""
    cfg = Config.fromfile(config)
    cfg.model.update(changes)
    model = HOST_MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


# ------------------------------------------------------------------------------------ pictures


def test_as_a_command(images, tmp_path):
    """No config, no display: the mixers of pixels with their defaults, all five lam."""
    command = [sys.executable, str(ROOT / 'tools/visualization/show_mix.py'), '--images', *images]
    out = tmp_path / 'mix.png'
    done = subprocess.run(
        [*command, '--out', str(out)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert imread(out).shape[1] > 900
    rows = [line for line in done.stdout.splitlines() if 'label weight' in line]
    assert [row.split(':')[0] for row in rows] == [
        'Mixup', 'CutMix', 'ResizeMix', 'FMix', 'SaliencyMix',
    ]  # fmt: skip
    assert '0.1 -> 0.100' in rows[0] and '0.9 -> 0.900' in rows[0]


def test_the_mixer_of_a_config(show):
    printed, _ = show(CUTMIX, '--lam', 0.5, 1.0)
    assert 'CutMix: ' in printed and '1 -> 1.000' in printed
    assert 'Network' not in printed  # nobody looked through one


def test_every_mixer_has_a_picture(show):
    names = [n for n, c in MODELS.module_dict.items() if issubclass(c, Mixer)]
    printed, path = show(AUTOMIX, '--mixers', *names, '--lam', 0.4, out='mix.svg')
    for name in names:
        assert f'{name}: lam' in printed
    text = path.read_text()
    assert text.count('<image') == 2 + len(names)
    assert 'UNTRAINED' in printed


def test_names_in_any_case_and_the_papers_name(show):
    printed, _ = show(AUTOMIX, '--mixers', 'cutMIX', 'automix', '--lam', 0.4)
    assert 'CutMix: ' in printed and 'MixBlock: ' in printed


def test_the_fields_of_the_config_are_used(load_tool):
    tool = load_tool('visualization/show_mix')
    one, two = dict(type='automix_mm.FMix', fixed=True), dict(type='Mixup', alpha=1.0)
    expected = dict(FMix=dict(fixed=True))
    assert tool.find_mixers(dict(train_cfg=dict(augments=[one, two]))) == expected
    assert tool.find_mixers(dict(mixer=one)) == expected
    assert tool.find_mixers(dict(type='ImageClassifier')) == {}
    mixer, title = tool.build_mixer('FMix', expected, None)
    assert mixer.fixed and title == 'FMix'
    mixer, title = tool.build_mixer('ManifoldMix', dict(ManifoldMix=dict(layers=(1, 2))), None)
    assert mixer.layers == ('input',) and 'input layer' in title


@pytest.mark.parametrize('size', [(9, 5), (50, 70)], ids=str)
def test_images_of_any_size_are_cut_to_one(load_tool, images, size):
    tool = load_tool('visualization/show_mix')
    for path in images:
        assert tool.read_image(path, list(size), 3).shape == (3, *size)
        assert tool.read_image(path, [7], 1).shape == (1, 7, 7)


# ------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_is_named_in_the_caption_and_changes_the_picture(show, tmp_path):
    path = checkpoint(AUTOMIX, tmp_path / 'w.pth')
    state = torch.load(path)['state_dict']
    state['mixer.content_projection.bias'] += 9.0  # the own image everywhere
    torch.save(dict(state_dict=state), path)
    printed, trained = show(AUTOMIX, path, '--lam', 0.4, out='trained.png')
    assert 'w.pth' in printed and 'UNTRAINED' not in printed
    _, untrained = show(AUTOMIX, '--lam', 0.4, out='untrained.png')
    assert (imread(trained)[:150] != imread(untrained)[:150]).any()


def test_weights_of_a_plain_classifier_give_puzzle_mix_its_saliency(show, tmp_path):
    vanilla = str(ROOT / 'configs/vanilla/vanilla_r18slim_cifar20.py')
    printed, _ = show(PUZZLE, checkpoint(vanilla, tmp_path / 'plain.pth'), '--lam', 0.4)
    assert 'PuzzleMix: lam' in printed and 'plain.pth' in printed


# ------------------------------------------------------------------------------------- errors


def test_errors_of_the_arguments(show, images, tmp_path):
    assert 'no mixer Cutmax; choose from CutMix, FMix' in show('--mixers', 'Cutmax', code=2)
    assert 'weights from 0 to 1' in show('--lam', 1.5, code=2)
    assert 'must end in one of .png' in show(out='mix.bmp', code=2)
    assert 'no file' in show('configs/none.py', code=2)
    assert 'no image' in show(files=[images[0], str(tmp_path / 'none.png')], code=2)
    (tmp_path / 'text.png').write_text('no image')
    assert 'cannot be read as an image' in show(files=[str(tmp_path / 'text.png')] * 2, code=2)
    half = tmp_path / 'half.png'
    half.write_bytes(open(images[0], 'rb').read()[:300])  # noqa: SIM115
    assert 'cannot be read as an image' in show(files=[str(half)] * 2, code=2)


def test_mixers_that_look_need_a_network(show):
    assert 'PuzzleMix needs the CONFIG' in show('--mixers', 'PuzzleMix', code=2)
    assert 'MixBlock needs the CONFIG' in show(PUZZLE, '--mixers', 'AutoMix', code=2)
    assert 'has an ImageClassifier' in show(CUTMIX, '--mixers', 'PuzzleMix', code=2)


def test_checkpoints_that_do_not_fit(show, tmp_path):
    other = checkpoint(PUZZLE, tmp_path / 'other.pth')
    assert 'other.pth' in show(AUTOMIX, other, code=2)
    wide = checkpoint(PUZZLE, tmp_path / 'wide.pth', head=dict(
        type='automix_mm.MixupHead', num_classes=7, in_channels=128
    ))  # fmt: skip
    assert 'does not fit' in show(PUZZLE, wide, code=2)
    text = tmp_path / 'text.pth'
    text.write_text('no weights')
    assert 'no checkpoint, or a damaged one' in show(PUZZLE, str(text), code=2)
    assert 'no file' in show(PUZZLE, 'none.pth', code=2)

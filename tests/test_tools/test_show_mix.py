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
VANILLA = str(ROOT / 'configs/vanilla/vanilla_r18slim_cifar20.py')
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
        options = ['--images', *(files or images), '--size', 32]
        options = [*([] if '--dataset' in args else options), '--out', path]
        module = load_tool('visualization/show_mix', *args, *options)
        if code:
            with pytest.raises(SystemExit) as stop:
                module.main()
            assert stop.value.code == code
            assert not path.exists()
            error = capsys.readouterr().err
            assert error.splitlines()[-1].startswith('show_mix.py: error: ') or 'usage' in error
            return error
        module.main()
        printed = capsys.readouterr().out
        assert str(path) in printed
        return printed, path

    return call


def checkpoint(config, path, **changes):
    """Saves random weights of a config's model as the runner does."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(dict(model=changes))
    model = HOST_MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), path)
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
    assert 'a: a.png, b: b.jpg, 224 x 224 pixels' in done.stdout
    rows = [line for line in done.stdout.splitlines() if 'label weight' in line]
    assert [row.split(':')[0] for row in rows] == [
        'Mixup', 'CutMix', 'ResizeMix', 'FMix', 'SaliencyMix',
    ]  # fmt: skip
    assert '0.1 -> 0.100 (0.100)' in rows[0] and '0.9 -> 0.900 (0.900)' in rows[0]


def test_the_mixer_of_a_config(show):
    printed, _ = show(CUTMIX, '--lam', 0.5, 1.0)
    assert 'CutMix: ' in printed and '1 -> 1.000' in printed
    assert 'Network' not in printed  # nobody looked through one


def test_every_mixer_has_a_picture(show):
    names = [n for n, c in MODELS.module_dict.items() if issubclass(c, Mixer)]
    printed, path = show(AUTOMIX, '--mixers', *names, '--lam', 0.4, out='mix.svg')
    for name in set(names) - {'MixBlock'} | {'AutoMix'}:
        assert f'\n{name}' in printed
    text = path.read_text()
    assert text.count('<image') == 1 + 2 + 2 * len(names)  # legend, pair, mask and mix of each
    assert 'UNTRAINED' in printed


def test_names_in_any_case_and_the_papers_name(show):
    printed, _ = show(AUTOMIX, '--mixers', 'cutMIX', 'automix', '--lam', 0.4)
    assert 'CutMix: ' in printed and 'AutoMix: ' in printed


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


def test_several_pairs(show, images):
    printed, path = show('--mixers', 'Mixup', '--lam', 0.5, files=images + images[::-1])
    assert printed.count('Mixup: lam') == 2
    assert 'a: a.png, b: b.jpg' in printed and 'a: b.jpg, b: a.png' in printed


def test_files_get_the_size_of_the_configs_test_images(load_tool, images, tmp_path, capsys):
    out = tmp_path / 'mix.png'
    options = [CUTMIX, '--images', *images, '--lam', 0.5, '--out', out]
    load_tool('visualization/show_mix', *options).main()
    assert '32 x 32 pixels' in capsys.readouterr().out


@pytest.mark.parametrize('size', [(9, 5), (50, 70)], ids=str)
def test_any_size(load_tool, images, tmp_path, capsys, size):
    options = ['--images', *images, '--size', *size, '--lam', 0.5, '--out', tmp_path / 'mix.png']
    load_tool('visualization/show_mix', AUTOMIX, *options).main()
    assert f'{size[0]} x {size[1]} pixels' in capsys.readouterr().out


# ---------------------------------------------------------------------------------- data sets


def test_images_of_the_validation_set(show):
    """By default those of two classes; grey digits of 8x8, through the config's pipeline."""
    printed, _ = show(AUTOMIX, '--dataset', '--lam', 0.5)
    (line,) = [line for line in printed.splitlines() if line.startswith('a: ')]
    assert line.endswith('8 x 8 pixels')
    own, partner = (part.split(': ')[2] for part in line.split(', ')[:2])
    assert own != partner
    printed, _ = show(AUTOMIX, '--dataset', '--index', 3, 1, 4, 1, '--lam', 0.5)
    assert printed.count('AutoMix: lam') == 2 and 'a: 3: ' in printed and 'b: 1: ' in printed


def test_images_of_the_training_set_and_another_size(show):
    printed, _ = show(AUTOMIX, '--dataset', 'train', '--index', 0, 99, '--size', 12, '--lam', 0.5)
    assert 'a: 0: ' in printed and '12 x 12 pixels' in printed


def test_errors_of_data_sets(show, tmp_path):
    assert 'images 0 to 1496, got 1497' in show(AUTOMIX, '--dataset', '--index', 0, 1497, code=2)
    assert 'even number' in show(AUTOMIX, '--dataset', '--index', 1, code=2)
    assert 'needs a config' in show('--dataset', code=2)
    assert 'needs --dataset' in show(AUTOMIX, '--index', 1, 2, code=2)
    folders = str(ROOT / 'configs/automix/r18_imagenette.py')
    assert '--data-root expects' in show(
        folders, '--dataset', '--data-root', str(tmp_path / 'none'), code=2
    )
    (tmp_path / 'empty').mkdir()
    assert 'cannot be read' in show(
        folders, '--dataset', '--data-root', str(tmp_path / 'empty'), code=2
    )


# ------------------------------------------------------------------------------------- stages


def test_a_row_for_each_feature_stage(show, tmp_path):
    """Blocks of three trainings, each looking at the stage it was trained for."""
    stages = {'stem': 16, 1: 32, 2: 64}
    paths = [
        checkpoint(AUTOMIX, tmp_path / f'{s}.pth', mixer=dict(feature_stage=s, in_channels=c))
        for s, c in stages.items()
    ]
    printed, path = show(AUTOMIX, *paths, '--stages', *stages, '--lam', 0.5, out='mix.svg')
    for stage in stages:
        assert f'AutoMix stage {stage}: lam' in printed
    assert 'stem.pth, 1.pth, 2.pth' in printed
    assert path.read_text().count('<image') == 1 + 2 + 2 * len(stages)


def test_a_single_block_does_not_stand_for_other_stages(show, tmp_path):
    path = checkpoint(AUTOMIX, tmp_path / 'w.pth')
    assert 'got 1 checkpoint(s) for 4 feature stage(s)' in show(
        AUTOMIX, path, '--stages', 0, 1, 2, 3, code=2
    )
    error = show(AUTOMIX, path, '--stages', 2, code=2)
    assert 'mix block for stage 0, which cannot look at stage 2' in error
    assert 'model.mixer.feature_stage=2 model.mixer.in_channels=64' in error
    assert 'its stages are' in show(AUTOMIX, '--stages', 9, code=2)
    assert 'has none' in show(PUZZLE, '--mixers', 'AutoMix', '--stages', 1, code=2)
    for config in (PUZZLE, CUTMIX):
        assert 'not among the mixers' in show(config, '--stages', 1, code=2)
    assert 'needs a config' in show('--stages', 1, code=2)


def test_the_checkpoint_says_at_which_stage_its_block_looks(show, tmp_path):
    path = checkpoint(AUTOMIX, tmp_path / 'w.pth', mixer=dict(feature_stage=1, in_channels=32))
    printed, _ = show(AUTOMIX, path, '--lam', 0.5)
    assert 'AutoMix: lam' in printed


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
    printed, _ = show(PUZZLE, checkpoint(VANILLA, tmp_path / 'plain.pth'), '--lam', 0.4)
    assert 'blocks): lam' in printed and 'plain.pth' in printed


# ------------------------------------------------------------------------------------- errors


def test_errors_of_the_arguments(show, images, tmp_path):
    assert 'no mixer Cutmax; choose from AutoMix, CutMix, FMix' in show(
        '--mixers', 'Cutmax', code=2
    )
    assert 'weights from 0 to 1' in show('--lam', 1.5, code=2)
    assert 'must end in one of .png' in show(out='mix.bmp', code=2)
    assert 'no file' in show('configs/none.py', code=2)
    assert 'no image' in show(files=[images[0], str(tmp_path / 'none.png')], code=2)
    assert 'is a folder: expected the file of an image' in show(files=[str(tmp_path)], code=2)
    (tmp_path / 'text.png').write_text('no image')
    assert 'cannot be read as an image' in show(files=[str(tmp_path / 'text.png')] * 2, code=2)
    half = tmp_path / 'half.png'
    half.write_bytes(open(images[0], 'rb').read()[:300])  # noqa: SIM115
    assert 'cannot be read as an image' in show(files=[str(half)] * 2, code=2)


def test_mixers_that_look_need_a_network(show):
    assert 'PuzzleMix needs the CONFIG' in show('--mixers', 'PuzzleMix', code=2)
    assert 'AutoMix needs the CONFIG' in show('--mixers', 'AutoMix', code=2)
    error = show(PUZZLE, '--mixers', 'automix', code=2)
    assert 'error: automix needs the CONFIG' in error  # by the name that was given
    assert f'{PUZZLE} has none' in error
    assert 'is of type ImageClassifier' in show(CUTMIX, '--mixers', 'PuzzleMix', code=2)


def test_checkpoints_that_do_not_fit(show, tmp_path):
    other = checkpoint(PUZZLE, tmp_path / 'other.pth')
    assert 'other.pth' in show(AUTOMIX, other, code=2)
    wide = checkpoint(PUZZLE, tmp_path / 'wide.pth', head=dict(num_classes=7))
    assert 'does not fit' in show(PUZZLE, wide, code=2)
    text = tmp_path / 'text.pth'
    text.write_text('no weights')
    assert 'no checkpoint, or a damaged one' in show(PUZZLE, str(text), code=2)
    assert 'no file' in show(PUZZLE, 'none.pth', code=2)


def test_a_checkpoint_that_no_mixer_uses_is_refused(show, images, tmp_path):
    """Whatever it is: nobody would look into it."""
    weights = checkpoint(AUTOMIX, tmp_path / 'w.pth')
    for given in ((CUTMIX, images[0]), (VANILLA, weights), (AUTOMIX, weights, '--mixers', 'FMix')):
        error = show(*given, code=2)
        assert f'the checkpoint {given[1]} would not be read' in error
        assert 'add AutoMix or PuzzleMix to --mixers' in error


def test_a_config_without_a_mixer_is_said_to_have_none(show):
    printed, _ = show(VANILLA, '--lam', 0.5)
    assert f'{VANILLA} has no mixer of automix_mm: shown are Mixup, CutMix' in printed
    assert 'FMix: lam' in printed
    printed, _ = show(VANILLA, '--mixers', 'CutMix', '--lam', 0.5)
    assert 'has no mixer' not in printed


def test_what_is_no_config_of_a_classifier(show, images, tmp_path):
    weights = checkpoint(PUZZLE, tmp_path / 'w.pth')
    for given in ((weights,), (weights, PUZZLE), (images[0],)):
        assert f'CONFIG comes first and ends in .py, got {given[0]}' in show(*given, code=2)
    broken = tmp_path / 'broken.py'
    broken.write_text('model = dict(')
    assert 'cannot be read as a config: SyntaxError' in show(str(broken), code=2)
    for text, found in (
        ("model = dict(type='FasterRCNN', backbone=dict(), roi_head=dict())", 'type FasterRCNN'),
        ('lr = 0.1', 'it has no model'),
    ):
        broken.write_text(text)
        error = show(str(broken), '--dataset', code=2)
        assert 'is not the config of a classifier' in error and found in error


def test_parts_that_are_not_registered(show, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = {PUZZLE!r}\nmodel = dict(type='FastClassifier')")
    assert f'the model of {config} cannot be built: FastClassifier is not' in show(
        str(config), code=2
    )
    config.write_text(
        f'_base_ = {AUTOMIX!r}\n'
        "val_dataloader = dict(dataset=dict(_delete_=True, type='VOCDataset', data_root='.'))"
    )
    assert 'the data set of val_dataloader cannot be built: VOCDataset is not' in show(
        str(config), '--dataset', code=2
    )


def test_where_nothing_can_be_written_is_known_before_the_work(show, tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setattr(Config, 'fromfile', None)  # is not reached
    assert 'error: cannot write' in show(AUTOMIX, out='file/new/mix.png', code=2)


def test_the_folder_of_the_picture_is_made(show):
    _, path = show('--mixers', 'Mixup', '--lam', 0.5, out='new/inner/mix.png')
    assert path.exists()

"""AutoMix networks of a gallery: read from checkpoints alone, of which nothing runs."""

from pathlib import Path

import pytest
import torch

from automix_mm.analysis import gallery
from tests.small_models import SLIM, config
from tests.test_export import checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of a momentum classifier whose mix block looks at the stem."""
    path = tmp_path / 'automix.pth'
    checkpoints.save(path, checkpoints.automix())
    return str(path)


def test_networks_of_checkpoints(checkpoint, tmp_path):
    one, two = gallery.read_networks([checkpoint, checkpoint], classes=list('abcdefghij'))
    assert one.name == two.name == 'r18_small, epoch 3, automix.pth'
    assert one.stage == 'stem' and one.size == (3, 64, 64) and one.classes == list('abcdefghij')
    (alone,) = gallery.read_networks([checkpoint])
    other = tmp_path / 'other' / 'automix.pth'
    other.parent.mkdir()
    other.write_bytes(Path(checkpoint).read_bytes())
    names = [network.name for network in gallery.read_networks([checkpoint, str(other)])]
    assert names == [f'r18_small, epoch 3, {path}' for path in (checkpoint, other)]
    assert alone.name == 'r18_small, epoch 3' and alone.classes[3] == 'class 3'


def test_networks_of_two_stages_are_told_apart_by_them(checkpoint, tmp_path):
    other = str(tmp_path / 'other.pth')
    checkpoints.save(other, config(backbone=SLIM, mixer=dict(feature_stage=1, in_channels=16)))
    networks = gallery.read_networks([checkpoint, other])
    assert [network.name for network in networks] == ['r18_small, epoch 3'] * 2
    titles = [network.title for network in networks]
    assert titles == ['r18_small, epoch 3, stage stem', 'r18_small, epoch 3, stage 1']
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    notes = [
        maker.note for maker in gallery.make_makers(['AutoMix', 'PuzzleMix'], pixels, networks)
    ]
    assert notes == [
        'stage stem, r18_small, epoch 3',
        'stage 1, r18_small, epoch 3',
        '8 x 8 blocks, through r18_small, epoch 3, stage stem',
    ]
    third = tmp_path / 'third.pth'
    third.write_bytes(Path(checkpoint).read_bytes())
    titles = [n.title for n in gallery.read_networks([other, checkpoint, str(third)])]
    ends = ['', ', automix.pth', ', third.pth']  # the last two have one stage
    assert titles == [f'r18_small, epoch 3{end}' for end in ends]


@pytest.mark.parametrize('order', ['RGB', 'BGR'])
def test_scores_are_those_of_the_trained_classifier(order, tmp_path):
    path = tmp_path / 'w.pth'
    fields = dict(checkpoints.RGB, to_rgb=order == 'RGB')
    trained = checkpoints.save(path, checkpoints.automix(), data_preprocessor=fields)
    pixels = torch.randint(256, (2, 3, 64, 64)).float()
    inputs = pixels if order == 'RGB' else pixels.flip(1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (checkpoints.MEAN, checkpoints.STD))
    with torch.no_grad():
        expected = trained((inputs - mean) / std).softmax(1)
    (network,) = gallery.read_networks([str(path)])
    torch.testing.assert_close(network.scores(pixels), expected)


def test_checkpoints_of_other_models(checkpoint, tmp_path):
    plain, cutmix, bare = (str(tmp_path / f'{name}.pth') for name in ('plain', 'cutmix', 'bare'))
    checkpoints.save(plain, checkpoints.plain())
    with pytest.raises(ValueError, match=r'plain.pth is of another model \(ImageClassifier\)'):
        gallery.read_networks([checkpoint, plain])
    checkpoints.save(cutmix, config(mixer=dict(type='automix_mm.CutMix')))
    with pytest.raises(ValueError, match='MomentumClassifier with CutMix.*MixBlock'):
        gallery.read_networks([cutmix])
    content = torch.load(checkpoint, weights_only=False)
    torch.save(dict(state_dict=content['state_dict']), bare)
    with pytest.raises(ValueError, match='holds no config'):
        gallery.read_networks([bare])
    del content['state_dict']['mixer.content_projection.bias']
    torch.save(content, bare)
    with pytest.raises(
        ValueError,
        match='bare.pth is of another model than the config in it: it lacks 1 parameters',
    ):
        gallery.read_networks([bare])
    with pytest.raises(ValueError, match='10 classes, but 2 names'):
        gallery.read_networks([checkpoint], classes=['a', 'b'])


@pytest.mark.parametrize('part', ['backbone', 'mixer', 'momentum', 'head', 'neck'])
def test_nothing_that_a_config_names_is_called(part, tmp_path):
    """The host would import and call a type that it does not know."""
    mark, path = tmp_path / 'ran', tmp_path / 'w.pth'
    checkpoints.save(path, checkpoints.automix())
    content = torch.load(path, weights_only=False)
    hostile = f"dict(type='subprocess.getoutput', cmd='touch {mark}')"
    model = dict(checkpoints.automix())
    named = {**model, part: 'PLACE'}
    if part == 'mixer':  # beside a mix block, not in place of it
        named = {**model, 'mixer': {**model['mixer'], 'init_cfg': 'PLACE', 'pair': 'PLACE'}}
    if part == 'head':
        named = {**model, 'head': {**model['head'], 'loss': 'PLACE', 'init_cfg': 'PLACE'}}
    content['meta']['cfg'] = f'model = {named!r}'.replace("'PLACE'", hostile)
    torch.save(content, path)
    if part in ('head', 'momentum'):  # left out
        try:
            gallery.read_networks([str(path)])
        except ValueError as error:
            assert 'builds no network' in str(error)
    else:
        with pytest.raises(ValueError, match='no network|builds no'):
            gallery.read_networks([str(path)])
    assert not mark.exists()

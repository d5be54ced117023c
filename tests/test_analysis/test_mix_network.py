"""Networks that mixers look through, and their checkpoints."""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS as HOST_MODELS

from automix_mm.analysis.mix_network import Network, load_network, mixers_of, trained_stage
from automix_mm.batch_augments import CutMix
from tests.small_models import classifier, config, plain_classifier


def network(**fields):
    """A slim classifier with usual preprocessing."""
    preprocessor = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0]) | fields
    return Network(classifier(momentum=None, data_preprocessor=preprocessor))


def photo(seed=0, size=(32, 32)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize('to_rgb', [False, True])
def test_images_come_back_from_the_network_as_they_went_in(to_rgb):
    through, images = network(to_rgb=to_rgb), photo()
    inputs = through.inputs(images)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([120.0, 110, 100], [60.0, 50, 40]))
    torch.testing.assert_close(inputs, (images - mean) / std)  # RGB inside, in both cases
    torch.testing.assert_close(through.images(inputs, (32, 32)), images.float())


def test_no_preprocessing():
    through = Network(classifier(momentum=None))
    assert torch.equal(through.images(through.inputs(photo()), (32, 32)), photo().float())


def test_k_looks_where_there_is_one():
    model = classifier()
    assert Network(model).encoder is model.k
    assert not model.training
    plain = classifier(momentum=None)
    assert Network(plain).encoder is plain.q
    assert Network(plain).channels == 3


def test_the_mixers_of_a_classifier():
    model = classifier()
    assert mixers_of(model) == [model.mixer]
    augments = [dict(type='automix_mm.CutMix'), dict(type='Mixup', alpha=1.0)]
    plain = plain_classifier(train_cfg=dict(augments=augments))
    (mixer,) = mixers_of(plain)  # the host's own is none of this package's
    assert isinstance(mixer, CutMix)
    assert mixers_of(plain_classifier()) == []


# --------------------------------------------------------------------------------- checkpoints


def cfg_of(stage=2, **fields):
    channels = {'stem': 8, 0: 8, 1: 16, 2: 32, 3: 64}[stage]
    model = config(mixer=dict(feature_stage=stage, in_channels=channels), **fields)
    return Config(dict(model=model, data_preprocessor=dict(mean=[100.0] * 3, std=[50.0] * 3)))


def save(path, cfg, meta=True):
    model = HOST_MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    file = dict(state_dict=model.state_dict())
    if meta:
        file['meta'] = dict(cfg=cfg.pretty_text)
    torch.save(file, path)
    return str(path)


@pytest.mark.parametrize('stage', ['stem', 1, 3])
def test_a_block_for_another_stage_of_the_network_than_the_configs(tmp_path, stage):
    """The width of the block follows the stage; weights for it load, and are used."""
    path = save(tmp_path / 'w.pth', cfg_of(stage))
    loaded = load_network(cfg_of(2), 'config.py', path, stage)
    block = loaded.classifier.mixer
    assert block.feature_stage == stage
    state = torch.load(path)['state_dict']
    assert torch.equal(block.content_projection.weight, state['mixer.content_projection.weight'])
    assert block.look(loaded.encoder, torch.zeros(1, 3, 32, 32), None).shape[1] == block.in_channels


@pytest.mark.parametrize('meta', [True, False])
def test_a_block_does_not_look_at_a_stage_it_was_not_trained_for(tmp_path, meta):
    path = save(tmp_path / 'w.pth', cfg_of(2), meta)
    said = 'mix block for stage 2, which cannot look at stage 1' if meta else 'does not fit'
    with pytest.raises(ValueError, match=said):
        load_network(cfg_of(2), 'config.py', path, 1)


def test_a_checkpoint_says_at_which_stage_its_block_looks(tmp_path):
    """Here only the config inside tells the stem from a stage of the same width."""
    path = save(tmp_path / 'w.pth', cfg_of('stem'))
    assert load_network(cfg_of(0), 'config.py', path).classifier.mixer.feature_stage == 'stem'
    with pytest.raises(ValueError, match=r'feature_stage=0 .*in_channels=8.* ask for stage stem'):
        load_network(cfg_of(0), 'config.py', path, 0)


def test_the_stage_that_a_checkpoint_tells():
    assert trained_stage(dict(meta=dict(cfg=cfg_of(1).pretty_text))) == 1
    text = "model = dict(mixer=dict(type='automix_mm.MixBlock', in_channels=8))"
    assert trained_stage(dict(meta=dict(cfg=text))) == 2  # the field's default
    for text in ("model = dict(mixer=dict(type='automix_mm.CutMix'))", 'model = f(', 'x = 1', 3):
        assert trained_stage(dict(meta=dict(cfg=text))) is None
    assert trained_stage({}) is None


def test_configs_without_a_block_have_no_stages():
    cfg = Config(dict(model=config(mixer=dict(type='automix_mm.CutMix'))))
    with pytest.raises(ValueError, match=r'config\.py has no mix block'):
        load_network(cfg, 'config.py', stage=1)


def test_a_stage_that_the_network_lacks():
    with pytest.raises(ValueError, match='stage 7 .* is not in ResNet_CIFAR: its stages are'):
        load_network(cfg_of(2), 'config.py', stage=7)

"""Grid values, layers and lengths of the paper are overrides: docs/paper-notes.md says which."""

import copy
import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from automix_mm.engine.epochs import set_epochs

from .paper import ALPHAS, LAYERS, LR_MINS, METHODS, config_name
from .shared import LEAVES, ROOT, alpha_of, build_meta, config, docstring, leaf

NOTES = (ROOT / 'docs' / 'paper-notes.md').read_text()
ALPHA = {
    'automix': 'model.mixer.pair.alpha',
    'manifoldmix': 'model.mixer.alpha',
    'puzzlemix': 'model.mixer.alpha',
}


def override(name, **options):
    """The config of that name with --cfg-options, whose dots are double underscores here."""
    cfg = copy.deepcopy(config(leaf(name)))
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in options.items()})
    return cfg


@pytest.mark.parametrize(
    'method', [method for method in METHODS if method not in ('vanilla', 'resizemix')]
)
@pytest.mark.parametrize('alpha', ALPHAS)
def test_alpha(method, alpha):
    key = ALPHA.get(method, 'model.train_cfg.augments.alpha')
    assert f'`{key}`' in NOTES
    name = config_name(method, 'r18_cifar100')
    cfg = override(name, **{key: alpha})
    assert alpha_of(cfg) == alpha
    model = build_meta(cfg)
    if method in ALPHA:
        assert model.mixer.sampler.alpha == alpha
    else:
        (augment,) = model.data_preprocessor.batch_augments.augments
        assert augment.sampler.alpha == alpha


@pytest.mark.parametrize('lr_min', LR_MINS)
def test_lr_min(lr_min):
    """Table 11."""
    assert '`param_scheduler.eta_min`' in NOTES
    cfg = override('r18_cifar100', param_scheduler__eta_min=lr_min)
    assert cfg.param_scheduler.eta_min == lr_min
    assert config(leaf('r18_cifar100')).param_scheduler.eta_min == 1e-2


@pytest.mark.parametrize('data', ['cifar100', 'tiny_imagenet', 'imagenet', 'stl10'])
@pytest.mark.parametrize('layer', LAYERS)
def test_layers(layer, data):
    """Figure 6 and Table A2."""
    stage, channels = LAYERS[layer]
    row = f'model.mixer.feature_stage={stage} model.mixer.in_channels={channels}'
    assert re.search(rf'\| {layer} \|.*`{row}`', NOTES)
    fields = dict(model__mixer__feature_stage=stage, model__mixer__in_channels=channels)
    model = build_meta(override(f'r18_{data}', **fields))
    features = model.q.stage_features(torch.zeros(2, 3, 64, 64, device='meta'), stage)
    assert features.shape[1] == model.mixer.in_channels == channels


def test_length():
    cfg = override('r18_stl10')
    set_epochs(cfg, 400)  # --epochs 400
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler.T_max == 400
    assert cfg.param_scheduler.end == 400 and cfg.param_scheduler.eta_min == 5e-2


def test_learning_rate_of_the_block():
    key = 'optim_wrapper.paramwise_cfg.custom_keys.mixer.lr_mult'
    assert f'`{key}`' in NOTES
    cfg = override('r18_cifar100', **{key: 1.0})
    wrapper = build_optim_wrapper(build_meta(cfg), copy.deepcopy(cfg.optim_wrapper))
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {0.1}


def test_the_notes_name_only_configs_that_exist():
    names = re.findall(r'`configs/\w+/(\w+)\.py`', NOTES)
    assert names
    for name in names:
        leaf(name)


def test_every_value_beyond_the_paper_is_in_the_notes():
    """What the docstrings call 'Not in the paper' has its decision in the notes."""
    said = {
        word
        for path in LEAVES
        if 'Not in the paper: ' in docstring(path)
        for word in ('prob', 'decay power', 'BCE', 'neigh_size')
        if word in docstring(path).split('Not in the paper: ')[1]
    }
    assert said == {'prob', 'decay power', 'BCE', 'neigh_size'}
    for word in said:
        assert word in NOTES

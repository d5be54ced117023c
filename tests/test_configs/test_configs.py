"""Every shipped config: parses, builds, is unique, documented, indexed and true to the paper."""

import ast
import copy
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

import automix_mm  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
LEAVES = sorted(path for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_')
CLASSIFICATION = [path for path in LEAVES if path.parent.name in ('automix', 'vanilla', 'mixup')]
METAFILES = sorted(CONFIGS.glob('*/metafile.yml'))


def ids(path):
    return path.stem


@pytest.fixture(autouse=True)
def host_scope():
    """What default_scope in the config does when a runner is built."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def built(cfg):
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model)


def shape_of(cfg):
    """Channels and size of the images of a config."""
    channels = len(cfg.data_preprocessor.mean)
    size = {1: 8, 3: 224 if 'ImageNet' in str(cfg.train_dataloader.dataset.type) else 32}
    return channels, size[channels]


def image(cfg):
    channels, size = shape_of(cfg)
    return torch.zeros(2, channels, size, size)


@pytest.mark.parametrize('path', CLASSIFICATION, ids=ids)
def test_builds(path):
    cfg = Config.fromfile(path)
    model = built(cfg)
    network = model.q if path.parent.name == 'automix' else model
    assert network.backbone(image(cfg))[-1].shape[1] == cfg.model.head.in_channels
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes
    if path.parent.name == 'automix':
        features = network.stage_features(image(cfg), cfg.model.mixer.feature_stage)
        assert features.shape[1] == cfg.model.mixer.in_channels
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        Compose([dict(step) for step in cfg[loader].dataset.pipeline])


def test_no_two_configs_share_a_name():
    # mim looks a config up by its file name alone.
    counts = Counter(path.name for path in CONFIGS.rglob('*.py'))
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    for word in ('Paper:', 'Command:', 'Expected:', 'Cost:'):
        assert re.search(rf'^{word} \S', text, re.MULTILINE), word
    command = re.search(r'^Command: (.*)$', text, re.MULTILINE).group(1)
    assert str(path.relative_to(ROOT)) in command
    tool = re.search(r'tools/\S+', command).group(0)
    assert (ROOT / tool).is_file()


def metafile_models():
    return [
        (path.parent.name, model)
        for path in METAFILES
        for model in yaml.safe_load(path.read_text())['Models']
    ]


def test_every_config_is_in_the_metafile_of_its_folder():
    listed = {(folder, model['Config'], model['Name']) for folder, model in metafile_models()}
    expected = {
        (path.parent.name, str(path.relative_to(ROOT)), path.stem) for path in CLASSIFICATION
    }
    assert expected <= listed
    for folder, config, name in listed:
        assert config.startswith(f'configs/{folder}/') and Path(config).stem == name
        assert (ROOT / config).is_file()


def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert sorted(index['Import']) == [str(path.relative_to(ROOT)) for path in METAFILES]


def test_figures_of_metafiles_are_marked_as_the_papers():
    for _, model in metafile_models():
        for result in model.get('Results', []):
            for metric in result['Metrics']:
                assert metric.endswith('(paper)'), model['Name']
            assert 'arXiv 2103.13027 v1, Table' in model['Metadata']['Source']


# Typed from the paper (4.1.1, 4.1.2, Tables 1, 2, 3, 5): alpha, lr_min, top-1.
PAPER = {
    'vanilla_r18_cifar10': (None, 0, 95.50),
    'mixup_r18_cifar10': (1, 0, 96.62),
    'r18_cifar10': (2, 1e-3, 97.14),
    'vanilla_rx50_cifar10': (None, 0, 96.23),
    'mixup_rx50_cifar10': (1, 0, 97.30),
    'rx50_cifar10': (2, 1e-3, 97.84),
    'vanilla_r18_cifar100': (None, 0, 78.04),
    'mixup_r18_cifar100': (1, 0, 79.12),
    'r18_cifar100': (2, 1e-2, 81.63),
    'r18_cifar100_paper': (2, 1e-2, 81.63),
    'vanilla_rx50_cifar100': (None, 0, 81.09),
    'mixup_rx50_cifar100': (1, 0, 82.10),
    'rx50_cifar100': (2, 1e-2, 83.04),
    'vanilla_r18_imagenet': (None, 0, 71.83),
    'mixup_r18_imagenet': (1, 0, 71.72),
    'r18_imagenet': (2, 0, 71.85),
    'vanilla_r50_imagenet': (None, 0, 77.35),
    'mixup_r50_imagenet': (1, 0, 78.03),
    'r50_imagenet': (2, 0, 79.60),
}
NETWORKS = {  # parameters of the backbone; for CIFAR those behind Table 10
    ('r18', 'cifar'): 11_168_832,
    ('rx50', 'cifar'): 22_972_224,
    ('r18', 'imagenet'): 11_176_512,
    ('r50', 'imagenet'): 23_508_032,
}


def leaf(name):
    (path,) = (path for path in LEAVES if path.stem == name)
    return path


def test_the_table_covers_every_config_with_a_cell():
    named = {path.stem for path in CLASSIFICATION if 'slim' not in path.stem}
    assert set(PAPER) == named - {'r18_cifar100_eccv'}


@pytest.mark.parametrize('name', PAPER)
def test_hyper_parameters_of_the_paper(name):
    alpha, lr_min, score = PAPER[name]
    path = leaf(name)
    cfg = Config.fromfile(path)
    imagenet = name.endswith('imagenet')
    epochs, batch = (300, 256) if imagenet else (800, 100)

    optimizer = dict(cfg.optim_wrapper.optimizer)
    assert optimizer == dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001)
    assert (
        cfg.train_cfg.max_epochs == cfg.param_scheduler.end == cfg.param_scheduler.T_max == epochs
    )
    assert cfg.param_scheduler.type == 'CosineAnnealingLR'
    assert cfg.param_scheduler.convert_to_iter_based and cfg.param_scheduler.by_epoch
    assert cfg.param_scheduler.eta_min == lr_min
    assert cfg.train_dataloader.batch_size * (8 if imagenet else 1) == batch
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.train_dataloader.drop_last
    assert path.parent.name == 'vanilla' or alpha_of(cfg) == alpha

    network, data = re.search(r'(r18|rx50|r50)_(cifar|imagenet)', name).groups()
    model = built(cfg)
    backbone = model.q.backbone if hasattr(model, 'q') else model.backbone
    assert sum(param.numel() for param in backbone.parameters()) == NETWORKS[network, data]

    assert f'Expected: {score:.2f} %' in path.read_text()
    (entry,) = (model for _, model in metafile_models() if model['Name'] == name)
    assert entry['Results'][0]['Metrics'] == {'Top 1 Accuracy (paper)': score}
    assert entry['Metadata']['Epochs'] == epochs and entry['Metadata']['Batch Size'] == batch


def alpha_of(cfg):
    if 'mixer' in cfg.model:
        return cfg.model.mixer.pair.alpha
    return cfg.model.train_cfg.augments.alpha


@pytest.mark.parametrize('name', [name for name in PAPER if not name.startswith(('v', 'm'))])
def test_momentum_of_the_paper(name):
    cfg = Config.fromfile(leaf(name))
    momentum = cfg.model.momentum
    assert (1 - momentum.momentum, 1 - momentum.end) == (0.999, 1.0)
    assert cfg.model.onehot is True
    assert cfg.model.mixer.feature_stage == 2


def test_presets_differ_where_they_should():
    v1, paper, eccv = (
        Config.fromfile(CONFIGS / f'_base_/models/automix_{name}.py').model
        for name in ('v1', 'paper', 'eccv')
    )
    assert (v1.mixer.pair.per_sample, paper.mixer.pair.per_sample) == (True, False)
    assert (list(v1.mixer.lam_in), list(paper.mixer.lam_in)) == (
        ['similarity', 'content'],
        ['similarity'],
    )
    assert (paper.mixer.projection, paper.mixer.content_from) == ('separate', 'own')
    assert paper.mixer.mask_loss is None and paper.mixer.lam_margin is None
    assert (eccv.mixer.projection, eccv.mixer.content_from) == ('shared', 'partner')
    assert dict(eccv.mixer.upsample) == dict(mode='nearest', before_sigmoid=True)
    assert dict(eccv.mixer.mask_loss) == dict(weight=0.1, margin=0.1)
    assert eccv.mixer.lam_margin == 0.08
    assert (eccv.momentum.end, eccv.momentum.hold, eccv.momentum.buffers) == (1e-6, 0.1, 'own')


AUTOMIX = [path for path in LEAVES if path.parent.name == 'automix']


BLOCK_RATES = {'r18_cifar100_paper': 1.0, 'r18_cifar100_eccv': 1.0, 'r18slim_digits': 2.0}


@pytest.mark.parametrize('path', AUTOMIX, ids=ids)
def test_learning_rate_of_the_block(path):
    """The preset's multiplier reaches the optimizer; a misplaced key would be ignored silently."""
    cfg = Config.fromfile(path)
    model = built(cfg)
    expected = BLOCK_RATES.get(path.stem, 10.0)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    rates = {
        id(param): group['lr']
        for group in wrapper.optimizer.param_groups
        for param in group['params']
    }
    base = cfg.optim_wrapper.optimizer.lr
    assert {rates[id(param)] for param in model.mixer.parameters()} == {base * expected}
    assert {rates[id(param)] for param in model.q.parameters()} == {base}


@pytest.mark.parametrize(
    'path',
    # The variants of r18_cifar100 share its counterparts.
    [path for path in AUTOMIX if not path.stem.startswith('r18_cifar100_')],
    ids=ids,
)
def test_counterparts_differ_in_the_method_only(path):
    automix = Config.fromfile(path)
    for method in ('vanilla', 'mixup'):
        other = Config.fromfile(leaf(f'{method}_{path.stem}'))
        for key in ('train_dataloader', 'val_dataloader', 'train_cfg', 'data_preprocessor'):
            assert automix[key] == other[key]
        assert automix.model.backbone == other.model.backbone
        assert automix.optim_wrapper.optimizer == other.optim_wrapper.optimizer


def test_the_command_of_the_front_page_exists():
    assert (CONFIGS / 'automix' / 'r50_imagenet.py').is_file()

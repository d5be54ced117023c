"""Every config with a cell in the paper has the cell's values and figure."""

import copy
import re

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from .paper import (
    METHODS,
    SCHEDULES,
    TABLE_2,
    TABLE_3,
    ablation_cells,
    config_name,
    main_cells,
)
from .shared import (
    CONFIGS,
    LEAVES,
    alpha_of,
    backbone,
    built,
    check_figures,
    config,
    docstring,
    ids,
    image_size,
    leaf,
    metafile_entry,
    mixing,
)

MAIN = main_cells()
# By the letter of the paper: the same cell once more. The later version has no cell.
MAIN['r18_cifar100_paper'] = MAIN['r18_cifar100']
ABLATION = ablation_cells()
NETWORKS = {  # parameters of the backbone; for CIFAR and Tiny-ImageNet those behind Table 10
    ('r18', 'cifar10'): 11_168_832,
    ('rx50', 'cifar10'): 22_972_224,
    ('r18', 'cifar100'): 11_168_832,
    ('rx50', 'cifar100'): 22_972_224,
    ('r18', 'tiny_imagenet'): 11_168_832,
    ('rx50', 'tiny_imagenet'): 22_972_224,
    ('r18', 'stl10'): 11_176_512,
    ('rx50', 'stl10'): 22_979_904,
    ('r18', 'cub200'): 11_176_512,
    ('rx50', 'cub200'): 22_979_904,
    ('r18', 'imagenet'): 11_176_512,
    ('r50', 'imagenet'): 23_508_032,
}


SHORT = re.compile('slim|imagenette')
"""Configs of short runs of our own, in no table."""


def network_and_data(name):
    data = 'cifar100|cifar10|tiny_imagenet|imagenet|stl10|cub200'
    return re.search(rf'(rx50|r50|r18)_({data})', name).groups()


def test_the_tables_cover_every_config_with_a_cell():
    named = {path.stem for path in LEAVES if not SHORT.search(path.stem)}
    assert set(MAIN) | set(ABLATION) == named - {'r18_cifar100_eccv'}


@pytest.mark.parametrize('name', [*MAIN, *ABLATION])
def test_schedule_and_network(name):
    path = leaf(name)
    cfg = config(path)
    network, data = network_and_data(name)
    epochs, batch, lr, decay = SCHEDULES[data]
    optimizer = dict(cfg.optim_wrapper.optimizer)
    assert optimizer == dict(type='SGD', lr=lr, momentum=0.9, weight_decay=decay)
    scheduler = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == scheduler.end == scheduler.T_max == epochs
    assert scheduler.type == 'CosineAnnealingLR'
    assert scheduler.convert_to_iter_based and scheduler.by_epoch and scheduler.begin == 0
    assert cfg.train_dataloader.batch_size * (8 if data == 'imagenet' else 1) == batch
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.train_dataloader.drop_last
    parameters = backbone(built(path)).parameters()
    assert sum(param.numel() for param in parameters) == NETWORKS[network, data]
    entry = metafile_entry(name)['Metadata']
    assert (entry['Epochs'], entry['Batch Size']) == (epochs, batch)


@pytest.mark.parametrize('name', MAIN)
def test_values_of_the_method(name):
    alpha, lr_min, score, table = MAIN[name]
    path = leaf(name)
    cfg, text = config(path), docstring(path)
    assert cfg.param_scheduler.eta_min == lr_min
    if 'resizemix' in name:  # alpha 1 is a uniform scale, which ResizeMix draws as its authors do
        assert alpha == 1 and 'alpha' not in mixing(cfg)
    else:
        assert alpha_of(cfg) == alpha
    written = f'{lr_min:.0e}'.replace('e-0', 'e-') if lr_min else '0'
    said = f'lr_min {written} '
    assert (said if alpha is None else f'; alpha {alpha:g}, {said}') in text
    check_figures(path, score, table)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize(('network', 'table'), [('r18', TABLE_2), ('rx50', TABLE_3)])
def test_figures_of_other_lengths(method, network, table):
    """A run of 200, 400 or 1,200 epochs finds its figure in the docstring."""
    *_, e200, e400, _, e1200 = table[method]
    text = docstring(leaf(config_name(method, f'{network}_cifar100')))
    assert f'With --epochs 200, 400, 1200: {e200:.2f}, {e400:.2f}, {e1200:.2f} %' in text


@pytest.mark.parametrize('name', ABLATION)
def test_values_of_the_ablation(name):
    row, score, table = ABLATION[name]
    path = leaf(name)
    cfg = config(path)
    assert alpha_of(cfg) == 1
    assert cfg.param_scheduler.eta_min == 0
    check_figures(path, score, table)
    model = built(path)
    assert (model.k is not None) == ('momentum' in row)
    heads = ('onehot', 'mix') if 'onehot' in row else ('mix',)
    assert tuple(model.q.heads) == heads
    assert model.report == cfg.model.report == ('mix_k' if 'momentum' in row else 'mix_q')
    if 'mixblock' in name:
        assert cfg.model.mixer.feature_stage == 2


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_momentum_of_the_paper(path):
    cfg = config(path)
    momentum = cfg.model.get('momentum')
    if momentum is None or SHORT.search(path.stem) or 'eccv' in path.stem:
        return
    assert (1 - momentum.momentum, 1 - momentum.end) == (0.999, 1.0)
    if path.parent.name == 'automix':
        assert cfg.model.onehot is True and cfg.model.mixer.feature_stage == 2


def test_probability_of_the_originals():
    """CutMix and SaliencyMix mix half of the batches on CIFAR, all elsewhere."""
    for path in LEAVES:
        fields = mixing(config(path))
        if fields is not None and fields.type in ('automix_mm.CutMix', 'automix_mm.SaliencyMix'):
            assert fields.prob == (0.5 if '_cifar' in path.stem else 1), path.stem


@pytest.mark.parametrize(
    'path', [path for path in LEAVES if path.parent.name == 'puzzlemix'], ids=ids
)
def test_puzzlemix_knows_the_scale_of_its_images(path):
    cfg = config(path)
    assert list(cfg.model.mixer.std) == list(cfg.data_preprocessor.std)
    energy = dict(cfg.model.mixer.energy)
    t_size, neigh_size = (-1, 2) if image_size(cfg) == 224 else (4, 4)
    assert energy == dict(n_labels=3, beta=1.2, gamma=0.5, eta=0.2, neigh_size=neigh_size)
    assert dict(cfg.model.mixer.transport) == dict(t_eps=0.8, t_size=t_size)


def test_loss_of_manifoldmix():
    """The original's on CIFAR and Tiny-ImageNet; on the others, which it has not, cross entropy."""
    for path in LEAVES:
        if path.parent.name == 'manifoldmix':
            loss = config(path).model.head.loss
            original = 'cifar' in path.stem or 'tiny_imagenet' in path.stem
            name = 'automix_mm.SoftmaxBCELoss' if original else 'CrossEntropyLoss'
            assert dict(loss) == dict(type=name)


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


BLOCK_RATES = {'r18_cifar100_paper': 1.0, 'r18_cifar100_eccv': 1.0, 'r18slim_digits': 2.0}


@pytest.mark.parametrize(
    'path', [path for path in LEAVES if 'MixBlock' in str(mixing(config(path)))], ids=ids
)
def test_learning_rate_of_the_block(path):
    """The preset's multiplier reaches the optimizer; a misplaced key would be ignored silently."""
    cfg = config(path)
    model = built(path)
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


AUTOMIX = [path for path in LEAVES if path.parent.name == 'automix']


@pytest.mark.parametrize(
    'path',
    # The variants of r18_cifar100 share its counterparts.
    [path for path in AUTOMIX if not path.stem.startswith('r18_cifar100_')],
    ids=ids,
)
def test_counterparts_differ_in_the_method_only(path):
    automix = config(path)
    methods = [method for method in METHODS if method != 'automix']
    methods = {'r18slim_digits': ['vanilla', 'mixup'], 'r18_imagenette': ['vanilla']}.get(
        path.stem, methods
    )
    for method in methods:
        other = config(leaf(f'{method}_{path.stem}'))
        for key in ('train_dataloader', 'val_dataloader', 'train_cfg', 'data_preprocessor'):
            assert automix[key] == other[key]
        assert automix.model.backbone == other.model.backbone
        assert automix.optim_wrapper.optimizer == other.optim_wrapper.optimizer

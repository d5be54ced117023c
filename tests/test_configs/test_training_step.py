"""One forward and backward pass of the ResNet-18 configs, with fewer channels and images."""

import copy
import json

import pytest
import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from .shared import LEAVES, backbone, config, ids, image_size, mixing


def distinct(paths):
    """One config of those whose steps differ in numbers of classes and colours alone."""
    found = {}
    for path in paths:
        cfg = config(path)
        model = copy.deepcopy(cfg.model)
        model.head.pop('num_classes')
        model.backbone.pop('init_cfg', None)
        if 'mixer' in model:
            model.mixer.pop('std', None)
        found.setdefault((json.dumps(model, sort_keys=True), min(image_size(cfg), 64)), path)
    return list(found.values())


# Larger networks differ from these in nothing that a loss depends on.
R18 = distinct(path for path in LEAVES if 'x50' not in path.stem and 'r50' not in path.stem)


def slim(cfg):
    """The model with an eighth of ResNet-18's channels."""
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    model.backbone.update(stem_channels=8, base_channels=8)
    model.backbone.pop('init_cfg', None)  # nothing is downloaded here
    model.head.in_channels = 64
    if 'MixBlock' in str(mixing(cfg)):
        model.mixer.in_channels = 8 * 2**model.mixer.feature_stage
    return MODELS.build(model)


def batch(cfg):
    """Four random images with different labels, as a loader gives them."""
    channels, size = len(cfg.data_preprocessor.mean), min(image_size(cfg), 64)
    images = torch.randint(256, (4, channels, size, size), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in range(4)]
    return dict(inputs=list(images), data_samples=samples)


@pytest.mark.parametrize('path', R18, ids=ids)
def test_one_step(path):
    cfg = config(path)
    torch.manual_seed(0)
    model = slim(cfg)
    model.init_weights()
    data = model.data_preprocessor(batch(cfg), training=True)
    losses = model(**data, mode='loss')

    trained = {name for name in losses if 'loss' in name}
    if 'mixer' not in cfg.model:
        assert trained == {'loss'}
    else:
        expected = {'loss_mix_q'}
        if cfg.model.onehot:
            expected.add('loss_onehot_q')
        if 'MixBlock' in cfg.model.mixer.type and cfg.model.momentum is not None:
            expected.add('loss_mix_k')
        assert trained - {'loss_mask'} == expected

    total = model.parse_losses(losses)[0]
    assert torch.isfinite(total) and total > 0
    total.backward()
    for param in backbone(model).parameters():
        assert param.grad is not None and torch.isfinite(param.grad).all()
    if 'MixBlock' in str(mixing(cfg)):
        assert any(param.grad.abs().sum() > 0 for param in model.mixer.parameters())


@pytest.mark.parametrize(
    'path',
    [path for path in R18 if mixing(config(path)) and 'mixer' not in config(path).model],
    ids=ids,
)
def test_targets_are_mixed(path):
    """What the host hands to a batch augment comes back with shares of two classes."""
    cfg = config(path)
    torch.manual_seed(0)
    preprocessor = slim(cfg).data_preprocessor
    shares = 0
    for _ in range(16):  # some batches are left alone (prob)
        samples = preprocessor(batch(cfg), training=True)['data_samples']
        score = torch.stack([sample.gt_score for sample in samples])  # (4, K)
        assert torch.allclose(score.sum(1), torch.ones(4))
        shares += int(((score > 0.001) & (score < 0.999)).sum())
    assert shares > 0

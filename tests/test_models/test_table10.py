"""Parameter counts of the paper's Table 10, to the printed two decimals (in millions)."""

from functools import cache

import pytest
import torch

from automix_mm.models import MixBlock
from automix_mm.models.encoders import Encoder
from tests.small_models import HOST_MODELS

RESNET = dict(type='ResNet_CIFAR', depth=18, num_stages=4, out_indices=(3,))
RESNEXT = dict(
    type='automix_mm.ResNeXt_CIFAR',
    depth=50,
    groups=32,
    width_per_group=4,
    num_stages=4,
    out_indices=(3,),
)
NETWORKS = dict(resnet18=(RESNET, 512), resnext50=(RESNEXT, 2048))


def count(module):
    return sum(param.numel() for param in module.parameters())


@cache
def encoder(network, head_names):
    backbone, width = NETWORKS[network]
    head = dict(type='automix_mm.MixupHead', num_classes=200, in_channels=width)
    return Encoder(backbone, dict(type='GlobalAveragePooling'), head, head_names)


@pytest.mark.parametrize(
    ('network', 'expected'), [('resnet18', 11_168_832), ('resnext50', 22_972_224)]
)
def test_backbones(network, expected):
    assert count(HOST_MODELS.build(NETWORKS[network][0])) == expected


@pytest.mark.parametrize(
    ('network', 'backbone', 'vanilla'),
    [('resnet18', '11.17', '11.27'), ('resnext50', '22.97', '23.38')],
)
def test_columns_backbone_and_vanilla(network, backbone, vanilla):
    q = encoder(network, ('onehot',))
    assert f'{count(q.backbone) / 1e6:.2f}' == backbone
    assert f'{count(q) / 1e6:.2f}' == vanilla


@pytest.mark.parametrize(
    ('network', 'layer', 'stage', 'channels', 'printed'),
    [
        ('resnet18', 'L0', 'stem', 64, '11.38'),
        ('resnet18', 'L1', 1, 128, '11.39'),
        ('resnet18', 'L2', 2, 256, '11.44'),
        ('resnet18', 'L3', 3, 512, '11.64'),
        ('resnext50', 'L0', 'stem', 64, '23.80'),
        ('resnext50', 'L1', 0, 256, '23.86'),
        ('resnext50', 'L2', 2, 1024, '24.84'),
        ('resnext50', 'L3', 3, 2048, '27.99'),
    ],
)
def test_columns_of_automix(network, layer, stage, channels, printed):
    """Encoder q with two heads of 200 classes, and the block as the paper prints it."""
    q = encoder(network, ('onehot', 'mix'))
    assert q.stage_features(torch.randn(2, 3, 8, 8), stage).shape[1] == channels
    block = MixBlock(channels, stage, lam_in=('similarity',), projection='separate')
    assert f'{(count(q) + count(block)) / 1e6:.2f}' == printed


def test_a_shared_projection_or_a_third_head_would_be_noticed():
    q = encoder('resnet18', ('onehot', 'mix'))
    shared = MixBlock(512, 3, lam_in=('similarity',), projection='shared')
    assert f'{(count(q) + count(shared)) / 1e6:.2f}' != '11.64'
    with_three = count(encoder('resnet18', ('onehot', 'mix', 'other')))
    assert f'{(with_three + count(MixBlock(64))) / 1e6:.2f}' != '11.38'

"""Checkpoints as a training writes them, without the training."""

import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmpretrain.registry import MODELS

from tests.small_models import SLIM, config

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
RGB = dict(num_classes=10, mean=MEAN, std=STD, to_rgb=True)
#: A tenth of the width would do, but torchvision and timm have no narrow networks.
RESNET18 = dict(type='ResNet', depth=18)
RESNET50 = dict(type='ResNet', depth=50)
RESNEXT50 = dict(type='ResNeXt', depth=50, groups=32, width_per_group=4)
NARROW = dict(type='ResNet', depth=18, base_channels=8, stem_channels=8)
WIDTHS = {18: 512, 50: 2048}
FILES = dict(
    batch_size=2,
    dataset=dict(
        type='ImageNet',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=72),
            dict(type='CenterCrop', crop_size=64),
            dict(type='PackInputs'),
        ],
    ),
)


def width(backbone):
    return (
        backbone['base_channels'] * 8 if 'base_channels' in backbone else WIDTHS[backbone['depth']]
    )


def automix(backbone=SLIM, **fields):
    """Config of a momentum classifier whose mix block looks at the stem."""
    narrow = backbone.get('stem_channels', 64)
    mixer = dict(type='automix_mm.MixBlock', feature_stage='stem', in_channels=narrow)
    return config(backbone=backbone, mixer=mixer, width=width(backbone), **fields)


def plain(backbone=NARROW, **fields):
    """Config of the host's classifier."""
    head = dict(type='LinearClsHead', num_classes=10, in_channels=width(backbone))
    head['loss'] = dict(type='CrossEntropyLoss', loss_weight=1.0)
    neck = dict(type='GlobalAveragePooling')
    return dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head) | fields


def build(model, seed=0):
    """The classifier with weights and statistics in which no two layers are equal."""
    torch.manual_seed(seed)
    classifier = MODELS.build(model)
    with torch.no_grad():
        for name, value in classifier.state_dict().items():
            if not value.is_floating_point():
                continue
            spread = 0.1 * torch.rand_like(value)
            if name.endswith('running_var') or 'bn' in name.split('.')[-2]:
                value.add_(spread)
            else:
                value.add_(spread * (value.abs().mean() + 0.01))
    return classifier.eval()


def save(path, model, seed=0, **settings):
    """Write a checkpoint of a classifier; return the classifier in it."""
    settings = dict(data_preprocessor=RGB, test_dataloader=FILES) | settings
    classifier = build(model, seed)
    scores = {'val/accuracy/top1': [70.0, 75.5], 'val/time': [0.1], 'train/loss': [2.0]}
    content = dict(
        meta=dict(
            cfg=Config(dict(model=model, **settings)).pretty_text,
            epoch=3,
            iter=12,
            experiment_name='r18_small_20260102_030405',
            dataset_meta=dict(classes=('cat', 'dog')),
        ),
        state_dict=classifier.state_dict(),
        message_hub=dict(
            log_scalars={key: HistoryBuffer(v, [1] * len(v)) for key, v in scores.items()},
            runtime_info={},
            resumed_keys={},
        ),
        optimizer=dict(state={}, param_groups=[]),
    )
    torch.save(content, path)
    return classifier


@torch.no_grad()
def logits(classifier, images, encoder=None, head=None):
    """What a classifier says; of a momentum classifier, one encoder and one head."""
    if encoder is None:
        return classifier(images)
    network = classifier.encoders[encoder]
    return network.heads[head](network.extract_feat(images))


def noise(size=64, num=3, channels=3):
    return torch.randn(num, channels, size, size, generator=torch.Generator().manual_seed(5))

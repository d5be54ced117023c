"""CutMix, ResNet-18 on Tiny-ImageNet.

Paper: arXiv 2103.13027 v1, Table 4, row CutMix, column ResNet-18; alpha 1, lr_min 0 (4.1.2).
Command: python tools/train.py configs/cutmix/cutmix_r18_tiny_imagenet.py
Expected: 64.40 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: prob 1, every batch, as the original trains on ImageNet.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/tiny_imagenet_data.py',
    '../_base_/models/cutmix.py',
    '../_base_/schedules/tiny_imagenet_400e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=200, in_channels=512),
)

"""AutoMix, ResNet-18 on Tiny-ImageNet.

Paper: arXiv 2103.13027 v1, Table 4, row AutoMix, column ResNet-18; alpha 2, lr_min 5e-2 (4.1.2).
Command: python tools/train.py configs/automix/r18_tiny_imagenet.py
Expected: 67.33 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/tiny_imagenet_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/tiny_imagenet_400e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=200, in_channels=512),
    mixer=dict(in_channels=256),
)
optim_wrapper = _base_.mixer_lr
param_scheduler = dict(eta_min=5e-2)

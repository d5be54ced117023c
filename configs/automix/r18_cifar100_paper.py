"""AutoMix by the letter of the paper, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row AutoMix, column 800 ep; alpha 2, lr_min 1e-2 (4.1.1).
Command: python tools/train.py configs/automix/r18_cifar100_paper.py
Expected: 81.63 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/automix_paper.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    mixer=dict(in_channels=256),
)
param_scheduler = dict(eta_min=1e-2)

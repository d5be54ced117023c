"""AutoMix, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row AutoMix, column 800 ep; alpha 2, lr_min 1e-2 (4.1.1).
Command: python tools/train.py configs/automix/r18_cifar100.py
Expected: 81.63 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 79.31, 80.24, 80.95 % (the paper, same table).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    mixer=dict(in_channels=256),
)
optim_wrapper = _base_.mixer_lr
param_scheduler = dict(eta_min=1e-2)

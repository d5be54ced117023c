"""AutoMix, ResNet-18 on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row AutoMix, column ResNet-18; alpha 2, lr_min 1e-3 (4.1.1).
Command: python tools/train.py configs/automix/r18_cifar10.py
Expected: 97.14 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Epochs: 800 is our reading; the table names none.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar10_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=10, in_channels=512),
    mixer=dict(in_channels=256),
)
optim_wrapper = _base_.mixer_lr
param_scheduler = dict(eta_min=1e-3)

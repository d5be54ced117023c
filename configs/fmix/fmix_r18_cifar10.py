"""FMix, ResNet-18 on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row FMix, column ResNet-18; alpha 0.2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/fmix/fmix_r18_cifar10.py
Expected: 96.58 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: decay power 3, as the original.
Epochs: 800 is our reading; the table names none.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar10_data.py',
    '../_base_/models/fmix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=10, in_channels=512),
    train_cfg=dict(augments=dict(alpha=0.2)),
)

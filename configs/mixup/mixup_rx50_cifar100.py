"""Mixup, ResNeXt-50 (32x4d) on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 3, row MixUp, column 800 ep; alpha 1, lr_min 0 (4.1.1).
Command: python tools/train.py configs/mixup/mixup_rx50_cifar100.py
Expected: 82.10 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 81.18, 82.54, 81.77 % (the paper, same table).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/mixup.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=100, in_channels=2048),
)

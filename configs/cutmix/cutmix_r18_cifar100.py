"""CutMix, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row CutMix, column 800 ep; alpha 0.2, lr_min 1e-3 (4.1.1).
Command: python tools/train.py configs/cutmix/cutmix_r18_cifar100.py
Expected: 78.17 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 79.45, 79.88, 78.29 % (the paper, same table).
Not in the paper: prob 0.5, half of the batches, as the original trains on CIFAR.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/cutmix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    train_cfg=dict(augments=dict(alpha=0.2, prob=0.5)),
)
param_scheduler = dict(eta_min=1e-3)

"""FMix, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row FMix, column 800 ep; alpha 0.2, lr_min 1e-3 (4.1.1).
Command: python tools/train.py configs/fmix/fmix_r18_cifar100.py
Expected: 79.69 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 78.91, 79.91, 79.50 % (the paper, same table).
Not in the paper: decay power 3, as the original.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/fmix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    train_cfg=dict(augments=dict(alpha=0.2)),
)
param_scheduler = dict(eta_min=1e-3)

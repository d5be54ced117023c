"""CutMix, ResNeXt-50 (32x4d) on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row CutMix, column ResNeXt-50; alpha 0.2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/cutmix/cutmix_rx50_cifar10.py
Expected: 97.01 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: prob 0.5, half of the batches, as the original trains on CIFAR.
Epochs: 800 is our reading; the table names none.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar10_data.py',
    '../_base_/models/cutmix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048),
    train_cfg=dict(augments=dict(alpha=0.2, prob=0.5)),
)

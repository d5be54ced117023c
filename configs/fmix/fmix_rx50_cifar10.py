"""FMix, ResNeXt-50 (32x4d) on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row FMix, column ResNeXt-50; alpha 0.2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/fmix/fmix_rx50_cifar10.py
Expected: 96.76 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
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
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048),
    train_cfg=dict(augments=dict(alpha=0.2)),
)

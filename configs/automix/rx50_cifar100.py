"""AutoMix, ResNeXt-50 (32x4d) on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 3, row AutoMix, column 800 ep; alpha 2, lr_min 1e-2 (4.1.1).
Command: python tools/train.py configs/automix/rx50_cifar100.py
Expected: 83.04 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 82.84, 83.69, 83.80 % (the paper, same table).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=100, in_channels=2048),
    mixer=dict(in_channels=1024),
)
optim_wrapper = _base_.mixer_lr
param_scheduler = dict(eta_min=1e-2)

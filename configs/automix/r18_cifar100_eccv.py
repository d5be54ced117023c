"""AutoMix as in the authors' later public version, ResNet-18 on CIFAR-100.

Paper: same cell as r18_cifar100.py (arXiv 2103.13027 v1, Table 2, row AutoMix, column 800 ep), with
the later version's lr_min of 5e-2.
Command: python tools/train.py configs/automix/r18_cifar100_eccv.py
Expected: no figure for this combination; the paper's cell is 81.63 % top-1.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/automix_eccv.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    mixer=dict(in_channels=256),
)
param_scheduler = dict(eta_min=5e-2)

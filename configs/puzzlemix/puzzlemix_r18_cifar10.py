"""PuzzleMix, ResNet-18 on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row PuzzleMix, column ResNet-18; alpha 0.2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/puzzlemix/puzzlemix_r18_cifar10.py
Expected: 97.10 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: eta, beta, gamma, t_eps and grids as the original trains on CIFAR.
Epochs: 800 is our reading; the table names none.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar10_data.py',
    '../_base_/models/puzzlemix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=10, in_channels=512),
    mixer=dict(alpha=0.2, std=_base_.data_preprocessor.std),
)

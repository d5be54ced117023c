"""PuzzleMix, ResNeXt-50 (32x4d) on CIFAR-10.

Paper: no cell; arXiv 2103.13027 v1, Table 1, row PuzzleMix, is empty in column ResNeXt-50; alpha
    0.2, lr_min 0 are the row's (4.1.1).
Command: python tools/train.py configs/puzzlemix/puzzlemix_rx50_cifar10.py
Expected: no figure.
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
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048),
    mixer=dict(alpha=0.2, std=_base_.data_preprocessor.std),
)

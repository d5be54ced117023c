"""PuzzleMix, ResNet-18 on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row PuzzleMix, column ResNet-18; alpha 1, lr_min 5e-3 (4.2).
Command: python tools/train.py configs/puzzlemix/puzzlemix_r18_stl10.py
Expected: 79.47 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: eta, beta, gamma, t_eps and grids as the original trains on CIFAR.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/puzzlemix.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
    mixer=dict(std=_base_.data_preprocessor.std),
)
param_scheduler = dict(eta_min=5e-3)

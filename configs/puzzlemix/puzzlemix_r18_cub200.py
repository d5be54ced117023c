"""PuzzleMix, ResNet-18 on CUB-200, from ImageNet weights.

Paper: arXiv 2103.13027 v1, Table 6, row PuzzleMix, column ResNet-18; alpha 1, lr_min 0 (4.2).
Command: python tools/train.py configs/puzzlemix/puzzlemix_r18_cub200.py
Expected: 78.65 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: eta, beta, gamma, t_eps and grids as the original trains on CIFAR.
    As it does on ImageNet, whole blocks of the cut move, compared at 2 pixels (neigh_size).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cub200_data.py',
    '../_base_/models/puzzlemix.py',
    '../_base_/models/imagenet_weights.py',
    '../_base_/schedules/cub200_200e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18, init_cfg=_base_.imagenet_weights.r18),
    head=dict(num_classes=200, in_channels=512),
    mixer=dict(
        std=_base_.data_preprocessor.std,
        energy=dict(neigh_size=2),
        transport=dict(t_size=-1),
    ),
)

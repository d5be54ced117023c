"""Mixup, ResNeXt-50 (32x4d) on CUB-200, from ImageNet weights.

Paper: arXiv 2103.13027 v1, Table 6, row MixUp, column ResNeXt-50; alpha 1, lr_min 0 (4.2).
Command: python tools/train.py configs/mixup/mixup_rx50_cub200.py
Expected: 84.58 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cub200_data.py',
    '../_base_/models/mixup.py',
    '../_base_/models/imagenet_weights.py',
    '../_base_/schedules/cub200_200e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(
        type='ResNeXt',
        depth=50,
        groups=32,
        width_per_group=4,
        init_cfg=_base_.imagenet_weights.rx50,
    ),
    head=dict(num_classes=200, in_channels=2048),
)

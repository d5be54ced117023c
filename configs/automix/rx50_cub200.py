"""AutoMix, ResNeXt-50 (32x4d) on CUB-200, from ImageNet weights.

Paper: arXiv 2103.13027 v1, Table 6, row AutoMix, column ResNeXt-50; alpha 2, lr_min 5e-4 (4.2).
Command: python tools/train.py configs/automix/rx50_cub200.py
Expected: 86.56 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cub200_data.py',
    '../_base_/models/automix_v1.py',
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
    mixer=dict(in_channels=1024),
)
optim_wrapper = _base_.mixer_lr
param_scheduler = dict(eta_min=5e-4)

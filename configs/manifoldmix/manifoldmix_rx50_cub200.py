"""ManifoldMix, ResNeXt-50 (32x4d) on CUB-200, from ImageNet weights.

Paper: arXiv 2103.13027 v1, Table 6, row ManifoldMix, column ResNeXt-50; alpha 0.5, lr_min 0 (4.2).
Command: python tools/train.py configs/manifoldmix/manifoldmix_rx50_cub200.py
Expected: 86.38 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: input, stage 0 or stage 1 is mixed, as the original; cross entropy, since the
    original, with its BCE, has no CUB-200.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cub200_data.py',
    '../_base_/models/manifoldmix.py',
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
    head=dict(num_classes=200, in_channels=2048, loss=dict(type='CrossEntropyLoss', _delete_=True)),
    mixer=dict(alpha=0.5),
)

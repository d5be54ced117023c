"""ManifoldMix, ResNet-18 on CUB-200, from ImageNet weights.

Paper: arXiv 2103.13027 v1, Table 6, row ManifoldMix, column ResNet-18; alpha 0.5, lr_min 0 (4.2).
Command: python tools/train.py configs/manifoldmix/manifoldmix_r18_cub200.py
Expected: 79.44 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
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
    backbone=dict(type='ResNet', depth=18, init_cfg=_base_.imagenet_weights.r18),
    head=dict(num_classes=200, in_channels=512, loss=dict(type='CrossEntropyLoss', _delete_=True)),
    mixer=dict(alpha=0.5),
)

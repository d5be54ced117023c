"""FMix, ResNet-18 on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row FMix, column ResNet-18; alpha 0.2, lr_min 1e-3 (4.2).
Command: python tools/train.py configs/fmix/fmix_r18_stl10.py
Expected: 79.54 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: decay power 3, as the original.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/fmix.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
    train_cfg=dict(augments=dict(alpha=0.2)),
)
param_scheduler = dict(eta_min=1e-3)

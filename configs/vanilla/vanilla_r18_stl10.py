"""Vanilla baseline, ResNet-18 on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row Vanilla, column ResNet-18; lr_min 0 (4.2).
Command: python tools/train.py configs/vanilla/vanilla_r18_stl10.py
Expected: 76.35 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/vanilla.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
)

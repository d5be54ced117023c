"""Vanilla baseline, ResNeXt-50 (32x4d) on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row Vanilla, column ResNeXt-50; lr_min 0 (4.2).
Command: python tools/train.py configs/vanilla/vanilla_rx50_stl10.py
Expected: 75.47 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/vanilla.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNeXt', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048),
)

"""ManifoldMix, ResNeXt-50 (32x4d) on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row ManifoldMix, column ResNeXt-50; alpha 0.5, lr_min 0 (4.2).
Command: python tools/train.py configs/manifoldmix/manifoldmix_rx50_stl10.py
Expected: 83.12 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: input, stage 0 or stage 1 is mixed, as the original; cross entropy, since the
    original, with its BCE, has no STL-10.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/manifoldmix.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNeXt', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048, loss=dict(type='CrossEntropyLoss', _delete_=True)),
    mixer=dict(alpha=0.5),
)

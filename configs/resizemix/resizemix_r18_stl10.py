"""ResizeMix, ResNet-18 on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row ResizeMix, column ResNet-18; alpha 1, lr_min 0 (4.2).
Command: python tools/train.py configs/resizemix/resizemix_r18_stl10.py
Expected: 81.03 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
alpha 1 makes Beta uniform, so the scale of the pasted image is the original's U(0.1, 0.8).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/resizemix.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
)

"""SaliencyMix, ResNeXt-50 (32x4d) on STL-10.

Paper: arXiv 2103.13027 v1, Table 7, row SaliencyMix, column ResNeXt-50; alpha 1, lr_min 5e-3 (4.2).
Command: python tools/train.py configs/saliencymix/saliencymix_rx50_stl10.py
Expected: 76.31 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: prob 1, every batch, as CutMix trains on ImageNet.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/stl10_data.py',
    '../_base_/models/saliencymix.py',
    '../_base_/schedules/stl10_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNeXt', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=10, in_channels=2048),
)
param_scheduler = dict(eta_min=5e-3)

"""ResizeMix, ResNeXt-50 (32x4d) on Tiny-ImageNet.

Paper: arXiv 2103.13027 v1, Table 4, row ResizeMix, column ResNeXt-50; alpha 1, lr_min 0 (4.1.2).
Command: python tools/train.py configs/resizemix/resizemix_rx50_tiny_imagenet.py
Expected: 65.77 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
alpha 1 makes Beta uniform, so the scale of the pasted image is the original's U(0.1, 0.8).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/tiny_imagenet_data.py',
    '../_base_/models/resizemix.py',
    '../_base_/schedules/tiny_imagenet_400e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=200, in_channels=2048),
)

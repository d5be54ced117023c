"""ResizeMix, ResNeXt-50 (32x4d) on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 3, row ResizeMix, column 800 ep; alpha 1, lr_min 0 (4.1.1).
Command: python tools/train.py configs/resizemix/resizemix_rx50_cifar100.py
Expected: 79.73 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 82.33, 80.96, 78.70 % (the paper, same table).
alpha 1 makes Beta uniform, so the scale of the pasted image is the original's U(0.1, 0.8).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/resizemix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=100, in_channels=2048),
)

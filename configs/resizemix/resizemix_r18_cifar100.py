"""ResizeMix, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row ResizeMix, column 800 ep; alpha 1, lr_min 0 (4.1.1).
Command: python tools/train.py configs/resizemix/resizemix_r18_cifar100.py
Expected: 80.01 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 79.56, 79.19, 79.23 % (the paper, same table).
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
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
)

"""ResizeMix, ResNet-50 on ImageNet-1k.

Paper: arXiv 2103.13027 v1, Table 5, row ResizeMix, column ResNet-50; alpha 1, lr_min 0 (4.1.2).
Command: tools/dist_train.sh configs/resizemix/resizemix_r50_imagenet.py 8
Expected: 78.85 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
alpha 1 makes Beta uniform, so the scale of the pasted image is the original's U(0.1, 0.8).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/imagenet_data.py',
    '../_base_/models/resizemix.py',
    '../_base_/schedules/imagenet_300e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=50),
    head=dict(num_classes=1000, in_channels=2048),
)

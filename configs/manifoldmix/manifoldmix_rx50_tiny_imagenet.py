"""ManifoldMix, ResNeXt-50 (32x4d) on Tiny-ImageNet.

Paper: arXiv 2103.13027 v1, Table 4, row ManifoldMix, column ResNeXt-50; alpha 0.2, lr_min 0
    (4.1.2).
Command: python tools/train.py configs/manifoldmix/manifoldmix_rx50_tiny_imagenet.py
Expected: 67.30 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: input, stage 0 or stage 1 is mixed, loss BCE of the softmax, as the original.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/tiny_imagenet_data.py',
    '../_base_/models/manifoldmix.py',
    '../_base_/schedules/tiny_imagenet_400e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=200, in_channels=2048),
    mixer=dict(alpha=0.2),
)

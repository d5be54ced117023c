"""ManifoldMix, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 2, row ManifoldMix, column 800 ep; alpha 2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/manifoldmix/manifoldmix_r18_cifar100.py
Expected: 80.25 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 79.18, 79.80, 80.21 % (the paper, same table).
Not in the paper: input, stage 0 or stage 1 is mixed, loss BCE of the softmax, as the original.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/manifoldmix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
)

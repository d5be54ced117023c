"""ManifoldMix, ResNeXt-50 (32x4d) on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 3, row ManifoldMix, column 800 ep; alpha 2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/manifoldmix/manifoldmix_rx50_cifar100.py
Expected: 82.88 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 81.59, 82.56, 83.28 % (the paper, same table).
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
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=100, in_channels=2048),
)

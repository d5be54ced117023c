"""SaliencyMix, ResNet-18 on CIFAR-10.

Paper: arXiv 2103.13027 v1, Table 1, row SaliencyMix, column ResNet-18; alpha 0.2, lr_min 0
    (4.1.1).
Command: python tools/train.py configs/saliencymix/saliencymix_r18_cifar10.py
Expected: 96.53 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: prob 0.5, half of the batches, as the original trains on CIFAR.
Epochs: 800 is our reading; the table names none.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar10_data.py',
    '../_base_/models/saliencymix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=10, in_channels=512),
    train_cfg=dict(augments=dict(alpha=0.2, prob=0.5)),
)

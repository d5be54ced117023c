"""Mix block without Momentum and Onehot, ResNet-18 on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 9, row (none), column MixBlock; alpha 1, lr_min 0 (4.4.1).
Command: python tools/train.py configs/ablation/mixblock_none_r18_cifar100.py
Expected: 78.45 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/ablation_mixblock.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
    mixer=dict(in_channels=256),
    onehot=False,
    momentum=None,
    report='mix_q',
)
optim_wrapper = _base_.mixer_lr

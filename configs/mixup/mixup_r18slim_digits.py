"""Mixup, slim ResNet-18 on scikit-learn's digits.

TODO
"""

_base_ = [
    '../_base_/datasets/digits_data.py',
    '../_base_/models/mixup.py',
    '../_base_/schedules/digits_100e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        in_channels=1,
        stem_channels=16,
        base_channels=16,
        num_stages=4,
        out_indices=(3,),
        style='pytorch',
    ),
    head=dict(num_classes=10, in_channels=128),
)
default_hooks = dict(logger=dict(interval=10))

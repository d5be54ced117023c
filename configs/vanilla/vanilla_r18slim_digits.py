"""Vanilla baseline, slim ResNet-18 on 100 labelled 8x8 digits: a run of half a minute.

Paper: no cell; 600 steps of a network with a quarter of ResNet-18's channels.
Command: python tools/train.py configs/vanilla/vanilla_r18slim_digits.py
Expected: 91.78, 92.72 and 93.12 % top-1 on 1,497 test images (measured, seeds 0, 1, 2; last epoch).
Cost: about 29 s of one CPU core (measured CPU time, torch 2.11, one thread).
"""

_base_ = [
    '../_base_/datasets/digits_data.py',
    '../_base_/models/vanilla.py',
    '../_base_/schedules/digits_300e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18, in_channels=1, stem_channels=16, base_channels=16),
    head=dict(num_classes=10, in_channels=128),
)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=10))

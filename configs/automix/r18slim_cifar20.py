"""AutoMix, slim ResNet-18 on the first 20 classes of CIFAR-100: a short proof on real images.

Paper: no cell; 1,600 steps of a network with a quarter of ResNet-18's channels.
Command: python tools/train.py configs/automix/r18slim_cifar20.py
Expected: see docs/results.md (measured with this config).
Cost: see docs/results.md.
"""

_base_ = [
    '../_base_/datasets/cifar20_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/cifar20_8e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=16, base_channels=16),
    head=dict(num_classes=20, in_channels=128),
    mixer=dict(in_channels=64),
    # Momentum has to fit so few steps: 0.001 would leave k far behind q.
    momentum=dict(momentum=0.02),
)
optim_wrapper = _base_.mixer_lr
default_hooks = dict(logger=dict(interval=50))

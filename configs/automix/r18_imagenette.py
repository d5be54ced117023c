"""AutoMix, ResNet-18 on Imagenette at 96 px, for the walk through docs/detection.md.

Paper: no cell; a short run on a small set of photographs.
Command: python tools/train.py configs/automix/r18_imagenette.py --amp bf16
Expected: 72.4 % top-1 (one run with seed 0, docs/detection.md).
Cost: 44 minutes on two logical CPU cores shared with other programs.
"""

_base_ = [
    '../_base_/datasets/imagenette_data.py',
    '../_base_/models/automix_v1.py',
    '../_base_/schedules/imagenette_15e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
    mixer=dict(in_channels=256),
    momentum=dict(momentum=0.02),  # 1,500 steps: k has to follow faster than in 800 epochs
)
optim_wrapper = _base_.mixer_lr

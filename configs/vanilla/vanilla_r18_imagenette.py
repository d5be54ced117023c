"""Vanilla baseline, ResNet-18 on Imagenette at 96 px.

Paper: no cell; a short run on a small set of photographs.
Command: python tools/train.py configs/vanilla/vanilla_r18_imagenette.py --amp bf16
Expected: not known.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/imagenette_data.py',
    '../_base_/models/vanilla.py',
    '../_base_/schedules/imagenette_15e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=10, in_channels=512),
)

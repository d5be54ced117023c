"""Tiny-ImageNet (200 classes, 64x64) with the paper's RandomResizedCrop and flip (4.1.2).

Expects the folder of the official archive, tiny-imagenet-200, in data/, as it is unpacked. It is
decoded at the start: 1.4 GB of memory in each process.
"""

_base_ = ['./small_images.py']

data_preprocessor = dict(
    num_classes=200,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    transforms=[
        dict(type='RandomResizedCrop', scale=64),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
)

train_dataloader = dict(
    dataset=dict(type='automix_mm.TinyImageNet', data_root='data/tiny-imagenet-200')
)
val_dataloader = dict(
    dataset=dict(
        type='automix_mm.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='val',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')],
    )
)
test_dataloader = val_dataloader

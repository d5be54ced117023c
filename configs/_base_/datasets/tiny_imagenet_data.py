"""Tiny-ImageNet (200 classes, 64x64) with the paper's RandomResizedCrop and flip (4.1.2).

Expects the folder of the official archive, tiny-imagenet-200, in data/, as it is unpacked.
"""

data_preprocessor = dict(
    num_classes=200,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # images are decoded as BGR
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=64),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=100,
    num_workers=4,
    drop_last=True,
    dataset=dict(
        type='automix_mm.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
    dataset=dict(
        type='automix_mm.TinyImageNet',
        data_root='data/tiny-imagenet-200',
        split='val',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

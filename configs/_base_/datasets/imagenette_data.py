"""Imagenette, ten classes of ImageNet in folders, cropped to 96x96.

Expects data/imagenette/{train,val}/CLASS/*.JPEG (or .jpg, .png), of any size; another folder by
--data-root. docs/data-sets.md says where the images come from.
"""

data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # images are decoded as BGR
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=96, crop_ratio_range=(0.35, 1.0)),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=96, edge='short'),
    dict(type='CenterCrop', crop_size=96),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=50,
    num_workers=2,
    drop_last=True,
    dataset=dict(
        type='CustomDataset',
        data_root='data/imagenette',
        data_prefix='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
    dataset=dict(
        type='CustomDataset', data_root='data/imagenette', data_prefix='val', pipeline=test_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

"""Tiny-ImageNet (200 classes, 64x64) with the paper's RandomResizedCrop and flip (4.1.2).

Expects the folders of the official archive, tiny-imagenet-200, with one folder per class in val/
too; `train/<wnid>/images/` may stay as it is:

    data/tiny-imagenet-200/train/<wnid>/**/*.JPEG
    data/tiny-imagenet-200/val/<wnid>/**/*.JPEG

The archive has all validation images in val/images/ and their classes in val/val_annotations.txt
(file name, wnid, ...): move each image into the folder of its wnid, then remove the empty
val/images/. Classes are numbered in the order of the sorted wnids.
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
        type='CustomDataset',
        data_root='data/tiny-imagenet-200',
        data_prefix='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=100,
    num_workers=2,
    dataset=dict(
        type='CustomDataset',
        data_root='data/tiny-imagenet-200',
        data_prefix='val',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

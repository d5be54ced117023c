"""CUB-200-2011 (200 birds) at 224x224 with RandomResizedCrop and flip, as ImageNet (4.1.2, 4.2).

Expects the folder of the official archive, CUB_200_2011, in data/, as it is unpacked.
"""

data_preprocessor = dict(
    num_classes=200,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # images are decoded as BGR
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    drop_last=True,
    dataset=dict(type='CUB', data_root='data/CUB_200_2011', split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    dataset=dict(type='CUB', data_root='data/CUB_200_2011', split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

"""STL-10's labelled images (10 classes, 96x96) with RandomResizedCrop and flip (4.2).

Expects the folder of the official archive, stl10_binary, in data/, as it is unpacked. The images
without labels are not read.
"""

data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,  # images come as BGR
)

train_pipeline = [
    dict(type='RandomResizedCrop', scale=96),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=256,
    num_workers=4,
    drop_last=True,
    dataset=dict(
        type='automix_mm.STL10',
        data_root='data/stl10_binary',
        split='train',
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=2,
    dataset=dict(
        type='automix_mm.STL10',
        data_root='data/stl10_binary',
        split='test',
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

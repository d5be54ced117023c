"""The first 20 classes of CIFAR-100 out of one .npz file: a short run on real images."""

data_preprocessor = dict(
    num_classes=20,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418],
    to_rgb=False,  # the source is RGB
)

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    drop_last=True,
    dataset=dict(
        type='automix_mm.NpzImages',
        data_root='data/cifar100.npz',
        split='train',
        num_classes=20,
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=200,
    num_workers=0,
    dataset=dict(
        type='automix_mm.NpzImages',
        data_root='data/cifar100.npz',
        split='test',
        num_classes=20,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

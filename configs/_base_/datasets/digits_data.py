"""scikit-learn's digits, 8x8 grey scans: 10 training images per class, 1,497 test images.

No flip: a mirrored digit is another sign. Everything is loaded in the main process, since a worker
process costs more than the images.
"""

data_preprocessor = dict(num_classes=10, mean=[77.9], std=[95.9], to_rgb=False)

train_pipeline = [
    dict(type='RandomCrop', crop_size=8, padding=1),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=50,
    num_workers=0,
    drop_last=True,
    dataset=dict(
        type='automix_mm.Digits', split='train', labels_per_class=10, pipeline=train_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=500,
    num_workers=0,
    dataset=dict(type='automix_mm.Digits', split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

"""STL-10's labelled images (10 classes, 96x96) with RandomResizedCrop and flip (4.2).

Expects the folder of the official archive, stl10_binary, in data/, as it is unpacked. The images
without labels are not read.
"""

_base_ = ['./small_images.py']

data_preprocessor = dict(
    num_classes=10,
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    transforms=[
        dict(type='RandomResizedCrop', scale=96),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
)

train_dataloader = dict(
    batch_size=256, dataset=dict(type='automix_mm.STL10', data_root='data/stl10_binary')
)
val_dataloader = train_dataloader
test_dataloader = val_dataloader

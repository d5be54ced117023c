"""CIFAR-100 as arrays: the batches of cifar100_data.py at a fraction of their cost.

A config takes this file in place of cifar100_data.py. Images stay in memory, whole batches are
cropped, flipped and normalised on the model's device, and there are no worker processes. The
data_root may also be an .npz file with train_images, train_labels, test_images and test_labels.
"""

_base_ = ['./cifar100_data.py']

data_preprocessor = dict(
    type='automix_mm.ArrayPreprocessor',
    transforms=[
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
    to_rgb=True,  # of single images; batches are RGB
)

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='automix_mm.batch_collate'),
    dataset=dict(type='automix_mm.CIFAR100', batched=True),
)
val_dataloader = train_dataloader
test_dataloader = val_dataloader

"""CIFAR-10 with the paper's augmentation: random crop and flip (4.1.1).

The data_root is the folder of the official archive (tools/dataset_tools/prepare_dataset.py gets it)
or an .npz file with train_images, train_labels, test_images and test_labels.
"""

_base_ = ['./small_images.py']

data_preprocessor = dict(
    num_classes=10,
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    transforms=[
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
)

train_dataloader = dict(dataset=dict(type='automix_mm.CIFAR10', data_root='data/cifar10'))
val_dataloader = train_dataloader
test_dataloader = val_dataloader

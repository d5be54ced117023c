"""CIFAR-100 with the paper's augmentation: random crop and flip (4.1.1).

The data_root is the folder of the official archive (tools/dataset_tools/prepare_dataset.py gets it)
or an .npz file with train_images, train_labels, test_images and test_labels.
"""

_base_ = ['./small_images.py']

data_preprocessor = dict(
    num_classes=100,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418],
    transforms=[
        dict(type='RandomCrop', crop_size=32, padding=4),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    ],
)

train_dataloader = dict(dataset=dict(type='automix_mm.CIFAR100', data_root='data/cifar100'))
val_dataloader = train_dataloader
test_dataloader = val_dataloader

"""The first 20 classes of CIFAR-100 out of one .npz file: a short run on real images."""

_base_ = ['./cifar100_data.py']

data_preprocessor = dict(num_classes=20)

train_dataloader = dict(
    batch_size=50,
    dataset=dict(type='automix_mm.NpzImages', data_root='data/cifar100.npz', num_classes=20),
)
val_dataloader = dict(batch_size=200, dataset=train_dataloader['dataset'])
test_dataloader = val_dataloader

"""SaliencyMix, ResNet-18 on ImageNet-1k.

Paper: arXiv 2103.13027 v1, Table 5, row SaliencyMix, column ResNet-18; alpha 1, lr_min 0 (4.1.2).
Command: tools/dist_train.sh configs/saliencymix/saliencymix_r18_imagenet.py 8
Expected: 70.21 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: prob 1, every batch, as CutMix trains on ImageNet.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/imagenet_data.py',
    '../_base_/models/saliencymix.py',
    '../_base_/schedules/imagenet_300e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=1000, in_channels=512),
)

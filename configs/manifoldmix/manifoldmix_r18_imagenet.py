"""ManifoldMix, ResNet-18 on ImageNet-1k.

Paper: arXiv 2103.13027 v1, Table 5, row ManifoldMix, column ResNet-18; alpha 0.2, lr_min 0
    (4.1.2).
Command: tools/dist_train.sh configs/manifoldmix/manifoldmix_r18_imagenet.py 8
Expected: 71.73 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
Not in the paper: input, stage 0 or stage 1 is mixed, as the original. Its BCE, a mean over the
    classes, would be 1,000 times smaller than the cross entropy used here, and it has no ImageNet.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/imagenet_data.py',
    '../_base_/models/manifoldmix.py',
    '../_base_/schedules/imagenet_300e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=18),
    head=dict(num_classes=1000, in_channels=512, loss=dict(type='CrossEntropyLoss', _delete_=True)),
    mixer=dict(alpha=0.2),
)

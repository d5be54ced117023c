"""ManifoldMix, ResNet-50 on ImageNet-1k.

Paper: arXiv 2103.13027 v1, Table 5, row ManifoldMix, column ResNet-50; alpha 0.2, lr_min 0
    (4.1.2).
Command: tools/dist_train.sh configs/manifoldmix/manifoldmix_r50_imagenet.py 8
Expected: 78.28 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
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
    backbone=dict(type='ResNet', depth=50),
    head=dict(
        num_classes=1000, in_channels=2048, loss=dict(type='CrossEntropyLoss', _delete_=True)
    ),
    mixer=dict(alpha=0.2),
)

"""CutMix (Yun et al., 2019, arXiv 1905.04899) with the values of its authors for ImageNet.

For CIFAR they mix half of the batches (prob 0.5); the CIFAR configs set that.
"""

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss', use_soft=True)),
    train_cfg=dict(augments=dict(type='automix_mm.CutMix', alpha=1.0, prob=1.0)),
)

"""SaliencyMix (Uddin et al., 2020, arXiv 2006.01791), one donor image places one box per batch.

Its authors mix half of the batches on CIFAR (prob 0.5); the CIFAR configs set that.
"""

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss', use_soft=True)),
    train_cfg=dict(
        augments=dict(type='automix_mm.SaliencyMix', alpha=1.0, prob=1.0, per_sample=False)
    ),
)

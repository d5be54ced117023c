"""Mixup (Zhang et al., 2018, arXiv 1710.09412), one lam per batch from Beta(1, 1)."""

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss', use_soft=True)),
    train_cfg=dict(augments=dict(type='automix_mm.Mixup', alpha=1.0)),
)

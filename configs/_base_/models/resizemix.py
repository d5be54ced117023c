"""ResizeMix (Qin et al., 2020, arXiv 2012.11101), scale of the pasted image from U(0.1, 0.8)."""

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss', use_soft=True)),
    train_cfg=dict(augments=dict(type='automix_mm.ResizeMix')),
)

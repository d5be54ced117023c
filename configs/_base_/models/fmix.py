"""FMix (Harris et al., 2020, arXiv 2002.12047), masks from a spectrum that falls with freq^3."""

model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', loss=dict(type='CrossEntropyLoss', use_soft=True)),
    train_cfg=dict(augments=dict(type='automix_mm.FMix', alpha=1.0, decay_power=3.0, fixed=False)),
)

"""AutoMix as in the authors' later public version, with its values for small images."""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead'),
    mixer=dict(
        type='automix_mm.MixBlock',
        feature_stage=2,
        pair=dict(alpha=2.0, per_sample=False),
        projection='shared',
        content_from='partner',
        lam_in=('similarity',),
        upsample=dict(mode='nearest', before_sigmoid=True),
        lam_margin=0.08,
        mask_loss=dict(weight=0.1, margin=0.1),
    ),
    onehot=True,
    momentum=dict(momentum=0.001, end=1e-6, hold=0.1, buffers='own'),
    report='mix_k',
)

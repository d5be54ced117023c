"""AutoMix by the letter of arXiv 2103.13027 v1 (Algorithm 1, Eq. 6 to 8).

One lam per batch, lam in the similarity only, the same learning rate for block and network. Where
the paper says nothing (upsampling, BatchNorm of k) the values are those of automix_v1.py.
"""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead'),
    mixer=dict(
        type='automix_mm.MixBlock',
        feature_stage=2,
        pair=dict(alpha=2.0, per_sample=False),
        projection='separate',
        content_from='own',
        lam_in=('similarity',),
        upsample=dict(mode='bilinear', before_sigmoid=False),
        lam_margin=None,
        mask_loss=None,
    ),
    onehot=True,
    momentum=dict(momentum=0.001, end=0.0, hold=0.0, buffers='clean'),
    report='mix_k',
)

"""AutoMix as shipped: the paper where it speaks, measurement where it is silent.

It differs from the paper's letter (automix_paper.py) in three points that the block needs in
order to learn: lam drawn per sample, lam also in the content, ten times the learning rate for the
block (`mixer_lr`, which a config takes over with `optim_wrapper = _base_.mixer_lr`).
"""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead'),
    mixer=dict(
        type='automix_mm.MixBlock',
        feature_stage=2,
        pair=dict(alpha=2.0, per_sample=True),
        projection='separate',
        content_from='own',
        lam_in=('similarity', 'content'),
        upsample=dict(mode='bilinear', before_sigmoid=False),
        lam_margin=None,
        mask_loss=None,
    ),
    onehot=True,
    momentum=dict(momentum=0.001, end=0.0, hold=0.0, buffers='clean'),
    report='mix_k',
)
mixer_lr = dict(
    constructor='automix_mm.MergedGroupsConstructor',
    paramwise_cfg=dict(custom_keys={'mixer': dict(lr_mult=10.0)}),
)

"""Manifold mixup (Verma et al., 2019, arXiv 1806.05236), layers and loss as by its authors.

The network is mixed inside, so the momentum classifier trains it, without Momentum and Onehot.
"""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead', loss=dict(type='automix_mm.SoftmaxBCELoss')),
    mixer=dict(type='automix_mm.ManifoldMix', alpha=2.0, layers=('input', 0, 1)),
    onehot=False,
    momentum=None,
    report='mix_q',
)

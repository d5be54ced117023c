"""CutMix in the momentum pipeline (paper, Table 9), with Momentum and Onehot.

A config sets `onehot`, and `momentum=None` for the rows without Momentum. Half of the batches are
mixed, as by CutMix's authors on CIFAR.
"""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead'),
    mixer=dict(type='automix_mm.CutMix', alpha=1.0, prob=0.5),
    onehot=True,
    momentum=dict(momentum=0.001, end=0.0, hold=0.0, buffers='clean'),
    report='mix_k',
)

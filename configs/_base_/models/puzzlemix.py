"""Puzzle Mix (Kim et al., 2020, arXiv 2009.06962) with the values of its authors for CIFAR-100.

The network's own saliency places the pieces, so the momentum classifier trains it, without Momentum
and Onehot. A config has to set `std`, the data preprocessor's.
"""

model = dict(
    type='automix_mm.MomentumClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead'),
    mixer=dict(
        type='automix_mm.PuzzleMix',
        alpha=1.0,
        grids=(2, 4, 8, 16),
        energy=dict(n_labels=3, beta=1.2, gamma=0.5, eta=0.2, neigh_size=4),
        transport=dict(t_eps=0.8, t_size=4),
    ),
    onehot=False,
    momentum=None,
    report='mix_q',
)

"""The mix block in the momentum pipeline (paper, Tables 9 and A1), with Momentum and Onehot.

The block of automix_v1.py with alpha 1. A config sets `onehot`, and `momentum=None` for the rows
without Momentum.
"""

_base_ = ['automix_v1.py']

model = dict(mixer=dict(pair=dict(alpha=1.0)))

"""Mixing as pure tensor functions: torch only, no framework."""

from .attention import attend, similarity
from .blending import blend, mix_targets, one_hot
from .pairs import Pair, PairSampler, stream_seed

__all__ = [
    'Pair',
    'PairSampler',
    'attend',
    'blend',
    'mix_targets',
    'one_hot',
    'similarity',
    'stream_seed',
]

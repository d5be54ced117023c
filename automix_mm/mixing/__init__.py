"""Mixing as pure tensor functions: torch only, no framework."""

from .attention import attend, similarity
from .blending import blend, mix_scores, mix_targets, one_hot
from .mixer import Mixed, Mixer
from .pairs import Pair, PairSampler, draw_int, stream_seed

__all__ = [
    'Mixed',
    'Mixer',
    'Pair',
    'PairSampler',
    'attend',
    'blend',
    'draw_int',
    'mix_scores',
    'mix_targets',
    'one_hot',
    'similarity',
    'stream_seed',
]

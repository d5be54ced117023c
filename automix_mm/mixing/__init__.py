"""Mixing as pure tensor functions: torch only, no framework."""

from .attention import attend, similarity
from .blending import blend, mix_scores, mix_targets, one_hot
from .boxes import BoxDraw, box_lam, clipped_box, in_box, paste, paste_masked
from .mixer import Mixed, Mixer
from .pairs import Pair, PairSampler, draw_int, stream_seed

__all__ = [
    'BoxDraw',
    'Mixed',
    'Mixer',
    'Pair',
    'PairSampler',
    'attend',
    'blend',
    'box_lam',
    'clipped_box',
    'draw_int',
    'in_box',
    'mix_scores',
    'mix_targets',
    'one_hot',
    'paste',
    'paste_masked',
    'similarity',
    'stream_seed',
]

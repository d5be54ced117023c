"""Mixing as pure tensor functions: torch only, no framework."""

from .attention import attend, similarity
from .blending import blend, mix_scores, mix_targets, one_hot
from .boxes import BoxDraw, box_around, box_lam, clipped_box, in_box, paste, paste_masked
from .mixer import Mixed, Mixer
from .pairs import Pair, PairSampler, draw_int, stream_seed
from .puzzle_energy import LabelCosts, PuzzleEnergy
from .puzzle_grid import BlockGrid, lay_grid
from .puzzle_transport import PuzzleTransport, show_blocks

__all__ = [
    'BlockGrid',
    'BoxDraw',
    'LabelCosts',
    'Mixed',
    'Mixer',
    'Pair',
    'PairSampler',
    'PuzzleEnergy',
    'PuzzleTransport',
    'attend',
    'blend',
    'box_around',
    'box_lam',
    'clipped_box',
    'draw_int',
    'in_box',
    'lay_grid',
    'mix_scores',
    'mix_targets',
    'one_hot',
    'paste',
    'paste_masked',
    'show_blocks',
    'similarity',
    'stream_seed',
]

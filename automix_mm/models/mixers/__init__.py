"""Mixers that need the network."""

from .manifold_mix import ManifoldMix
from .puzzle_mix import PuzzleMix

__all__ = ['ManifoldMix', 'PuzzleMix']

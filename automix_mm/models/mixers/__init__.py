"""Mixers that need the network."""

from .manifold_mix import ManifoldMix

__all__ = ['ManifoldMix']

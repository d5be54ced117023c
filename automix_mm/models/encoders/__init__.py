"""The trained encoder q and its momentum encoder k."""

from .encoder import Encoder
from .momentum_encoder import MomentumEncoder

__all__ = ['Encoder', 'MomentumEncoder']

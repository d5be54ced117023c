"""Datasets that mmpretrain does not have."""

from .digits import Digits
from .npz_images import NpzImages

__all__ = ['Digits', 'NpzImages']

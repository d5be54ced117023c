"""Datasets that mmpretrain does not have."""

from .digits import Digits

__all__ = ['Digits']

"""Heads of the two encoders."""

from .mixup_head import MixupHead

__all__ = ['MixupHead']

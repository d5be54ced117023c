"""Mixers that need only pixels, for any classifier of the host and for the momentum classifier."""

from .batch_augment import BatchAugment
from .mixup import Mixup

__all__ = ['BatchAugment', 'Mixup']

"""Mixers that need only pixels, for any classifier of the host and for the momentum classifier."""

from .batch_augment import BatchAugment
from .cutmix import CutMix
from .fmix import FMix
from .mixup import Mixup
from .resizemix import ResizeMix
from .saliencymix import SaliencyMix

__all__ = ['BatchAugment', 'CutMix', 'FMix', 'Mixup', 'ResizeMix', 'SaliencyMix']

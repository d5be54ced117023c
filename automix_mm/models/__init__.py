"""Registered models: classifier, encoders, mix blocks, heads, backbones."""

from .backbones import ResNeXt_CIFAR
from .classifiers import MomentumClassifier
from .encoders import Encoder, MomentumEncoder
from .heads import MixupHead
from .mix_blocks import MixBlock

__all__ = [
    'Encoder',
    'MixBlock',
    'MixupHead',
    'MomentumClassifier',
    'MomentumEncoder',
    'ResNeXt_CIFAR',
]

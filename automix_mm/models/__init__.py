"""Registered models: classifier, encoders, mixers, heads, losses, backbones."""

from .backbones import ResNeXt_CIFAR
from .classifiers import MomentumClassifier
from .data_preprocessors import ArrayPreprocessor
from .encoders import Encoder, MomentumEncoder
from .heads import MixupHead
from .losses import SoftmaxBCELoss
from .mix_blocks import MixBlock
from .mixers import ManifoldMix, PuzzleMix

__all__ = [
    'ArrayPreprocessor',
    'Encoder',
    'ManifoldMix',
    'MixBlock',
    'MixupHead',
    'MomentumClassifier',
    'MomentumEncoder',
    'PuzzleMix',
    'ResNeXt_CIFAR',
    'SoftmaxBCELoss',
]

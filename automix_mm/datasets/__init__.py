"""Datasets that mmpretrain does not have, and small ones held in memory."""

from .array_images import ArrayImages
from .cifar import CIFAR10, CIFAR100
from .collate import batch_collate
from .device_arrays import ArrayBatch
from .digits import Digits
from .npz_images import NpzImages
from .stl10 import STL10
from .tiny_imagenet import TinyImageNet

__all__ = [
    'CIFAR10',
    'CIFAR100',
    'STL10',
    'ArrayBatch',
    'ArrayImages',
    'Digits',
    'NpzImages',
    'TinyImageNet',
    'batch_collate',
]

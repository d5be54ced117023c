"""Preprocessing of batches on the model's device."""

from .array_preprocessor import ArrayPreprocessor
from .batch_labels import BatchLabels, LabelView

__all__ = ['ArrayPreprocessor', 'BatchLabels', 'LabelView']

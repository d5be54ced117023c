"""Metrics."""

from .head_accuracy import HeadAccuracy

__all__ = ['HeadAccuracy']

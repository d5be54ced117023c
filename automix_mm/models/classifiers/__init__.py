"""Classifiers: read momentum_classifier.py first."""

from .momentum_classifier import MomentumClassifier

__all__ = ['MomentumClassifier']

"""Trained encoders for other frameworks."""

from .source import ENCODERS, HEADS, Source, read_source
from .targets import TARGETS, export

__all__ = ['ENCODERS', 'HEADS', 'TARGETS', 'Source', 'export', 'read_source']

"""Hooks for training runs that can be cut at any moment and resumed."""

from .checkpoint_hook import CheckpointHook
from .epoch_seed_hook import EpochSeedHook
from .last10_hook import Last10Hook

__all__ = ['CheckpointHook', 'EpochSeedHook', 'Last10Hook']

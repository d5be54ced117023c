"""Hooks for training runs that can be cut at any moment and resumed."""

from .checkpoint_hook import CheckpointHook
from .epoch_seed_hook import EpochSeedHook

__all__ = ['CheckpointHook', 'EpochSeedHook']

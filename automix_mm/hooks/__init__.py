"""Hooks for training runs that can be cut at any moment and resumed, and that log cheaply."""

from .checkpoint_hook import CheckpointHook
from .epoch_seed_hook import EpochSeedHook
from .iter_timer_hook import IterTimerHook
from .last10_hook import Last10Hook
from .runtime_info_hook import RuntimeInfoHook

__all__ = ['CheckpointHook', 'EpochSeedHook', 'IterTimerHook', 'Last10Hook', 'RuntimeInfoHook']

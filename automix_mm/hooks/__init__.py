"""Hooks for training runs that can be cut at any moment and resumed, and that log cheaply."""

from .channels_last_hook import ChannelsLastHook
from .checkpoint_hook import CheckpointHook
from .compile_hook import CompileHook
from .epoch_seed_hook import EpochSeedHook
from .iter_timer_hook import IterTimerHook
from .last10_hook import Last10Hook
from .mix_preview_hook import MixPreviewHook
from .runtime_info_hook import RuntimeInfoHook

__all__ = [
    'ChannelsLastHook',
    'CheckpointHook',
    'CompileHook',
    'EpochSeedHook',
    'IterTimerHook',
    'Last10Hook',
    'MixPreviewHook',
    'RuntimeInfoHook',
]

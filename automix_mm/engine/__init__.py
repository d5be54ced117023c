"""Parts of a training run around the model: precision, optimizer groups, length, resumption."""

from .bf16_optim_wrapper import BFloat16OptimWrapper
from .merged_groups import MergedGroupsConstructor

__all__ = ['BFloat16OptimWrapper', 'MergedGroupsConstructor']

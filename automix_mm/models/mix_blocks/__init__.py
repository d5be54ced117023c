"""Mix blocks: features and a pair in, a mask out."""

from .mix_block import MixBlock

__all__ = ['MixBlock']

"""Parts of a training run around the model: precision, length and resumption."""

from .bf16_optim_wrapper import BFloat16OptimWrapper

__all__ = ['BFloat16OptimWrapper']

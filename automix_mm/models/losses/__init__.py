"""Losses that are not in mmpretrain."""

from .softmax_bce_loss import SoftmaxBCELoss

__all__ = ['SoftmaxBCELoss']

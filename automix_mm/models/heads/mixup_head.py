"""A linear head whose loss takes a target distribution."""

from typing import Any

import torch
from mmpretrain.models.heads import LinearClsHead
from torch import Tensor

from automix_mm.registry import MODELS


@MODELS.register_module()
class MixupHead(LinearClsHead):
    """Linear classification head for hard and for mixed targets.

    With the target ``lam * onehot(y) + (1 - lam) * onehot(y[partner])`` cross entropy equals the
    lam-weighted sum of the two hard losses (MIXLoss of Algorithm 1), and every classification loss
    of the host that takes a distribution (label smoothing, class weights) works unchanged.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Channels of the pooled features.
        **kwargs: Every other argument of ``LinearClsHead``, such as ``loss``.
    """

    def target_loss(self, feats: tuple[Tensor], target: Tensor, **kwargs: Any) -> Tensor:
        """Return the mean loss against a target distribution.

        Args:
            feats (tuple[Tensor]): Pooled features, the last one (N, in_channels).
            target (Tensor): Target distribution (N, K), rows sum to 1.
            **kwargs: Passed on to the loss module.

        Returns:
            Tensor: 0-dim loss.
        """
        score = self(feats)  # (N, K)
        # Half precision would round the log-softmax.
        score = score.to(torch.promote_types(score.dtype, torch.float32))
        return self.loss_module(score, target.to(score.dtype), avg_factor=len(score), **kwargs)

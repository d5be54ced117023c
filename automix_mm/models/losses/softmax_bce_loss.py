"""Binary cross entropy of softmax probabilities, the loss of ManifoldMix."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from automix_mm.registry import MODELS


@MODELS.register_module()
class SoftmaxBCELoss(nn.Module):
    """Binary cross entropy over the classes of a softmax (Verma et al., 2019, arXiv 1806.05236).

    The published training takes the mean over samples and classes, so that it is about K times
    smaller than cross entropy; ``loss_weight=K`` undoes that.

    Args:
        loss_weight (float): Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, score: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
        """Return the 0-dim loss.

        Args:
            score (Tensor): Logits (N, K).
            target (Tensor): Target distribution (N, K), rows sum to 1, or class indices (N,).
            **kwargs: What heads pass to their losses (avg_factor); the mean here is over N x K.
        """
        if target.dim() == 1:
            target = F.one_hot(target, score.shape[1])
        # Autocast refuses this loss: in half precision 1 - p would be 0 too soon.
        with torch.autocast(score.device.type, enabled=False):
            score = score.to(torch.promote_types(score.dtype, torch.float32))
            probability = score.softmax(1)  # (N, K)
            loss = F.binary_cross_entropy(probability, target.to(score.dtype))
        return self.loss_weight * loss

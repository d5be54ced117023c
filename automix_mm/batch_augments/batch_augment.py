"""The contract of a mixer that needs only pixels: usable in any classifier of the host."""

import torch
from mmengine.dist import get_rank
from torch import Tensor

from automix_mm.mixing import Mixer, mix_scores, stream_seed


class BatchAugment(Mixer):
    """A mixer for ``train_cfg=dict(augments=...)`` as well as for ``mixer=`` of the classifier."""

    def forward(self, inputs: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch as the host's batch augments do.

        Args:
            inputs (Tensor): Images (N, C, H, W); left untouched.
            score (Tensor): Target distributions (N, K); left untouched.

        Returns:
            tuple[Tensor, Tensor]: Mixed images (N, C, H, W) and targets (N, K).
        """
        # One number of torch's generator, which the host seeds alike on every rank.
        seed = int(torch.randint(1 << 62, ()))
        generator = torch.Generator(inputs.device)
        generator.manual_seed(stream_seed(seed, get_rank()))
        size = (inputs.shape[-2], inputs.shape[-1])
        mixed = self.mix(inputs, self.draw(len(inputs), size, generator))
        return mixed.images, mix_scores(score, mixed.pair)

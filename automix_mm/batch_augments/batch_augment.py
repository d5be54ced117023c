"""The contract of a mixer that needs only pixels: usable in any classifier of the host."""

from torch import Tensor

from automix_mm.mixing import Mixer, mix_scores
from automix_mm.seeding import batch_generator


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
        generator = batch_generator(inputs.device)
        size = (inputs.shape[-2], inputs.shape[-1])
        mixed = self.mix(inputs, self.draw(len(inputs), size, generator))
        return mixed.images, mix_scores(score, mixed.pair)

"""What shows at once whether a mix block works: three figures of its masks."""

import torch
from torch import Tensor

from automix_mm.mixing import Pair


class MaskDiagnostics:
    """Follows mask mean, variation inside the mask, and how both relate to lam and linear mixing.

    A healthy block's mask mean correlates with lam, its masks vary inside the image, and its mix
    has a lower loss under k than linear mixing of the same pair. Everything stays on the device, in
    few kernels: they are small, and each costs the host the same as a large one.

    Args:
        window (int): Batches over which the correlation is taken.
    """

    def __init__(self, window: int = 200) -> None:
        self.window = window
        self._sums: Tensor | None = None  # (window, 3, 3) sums of products of (1, mean, lam)
        self._ones: Tensor | None = None
        self._seen = 0
        self._gain: Tensor | None = None

    @torch.no_grad()
    def see(self, mask: Tensor, pair: Pair) -> dict[str, Tensor]:
        """Take in one batch.

        Args:
            mask (Tensor): Weight of the own image, (N, 1, H, W).
            pair (Pair): The pair that it was painted for.

        Returns:
            dict[str, Tensor]: ``mask_mean`` and ``mask_std`` (inside an image) of this batch and
            ``mask_lam_corr``, the correlation of a mask's mean with lam over the window. 0-dim.
        """
        std, mean = torch.std_mean(mask.detach().float(), (1, 2, 3))  # (N,)
        if self._sums is None or self._sums.device != mean.device:
            self._sums, self._seen = mean.new_zeros(self.window, 3, 3, dtype=torch.double), 0
        if self._ones is None or self._ones.shape != mean.shape or self._ones.device != mean.device:
            self._ones = torch.ones_like(mean)
        lam = pair.lam.to(mean).expand(len(mean))
        figures = torch.stack([self._ones, mean, lam]).double()  # (3, N)
        self._sums[self._seen % self.window] = figures @ figures.T
        self._seen += 1
        return dict(mask_mean=mean.mean(), mask_std=std.mean(), mask_lam_corr=self._correlation())

    def _correlation(self) -> Tensor:
        assert self._sums is not None
        sums = self._sums.sum(0)
        moments = sums / sums[0, 0]  # (3, 3); the first row are the means
        covariance = torch.addr(moments, moments[0], moments[0], alpha=-1)
        variance = covariance[1, 1] * covariance[2, 2]
        correlation = covariance[1, 2] * variance.clamp_min(1e-20).rsqrt()
        return torch.where(variance > 1e-20, correlation, 0.0).float()

    def see_gain(self, block: Tensor, linear: Tensor) -> None:
        """Take in k's loss on the block's mix and on the linear mix of the same pair, 0-dim."""
        self._gain = (linear - block).detach()

    def gain(self) -> dict[str, Tensor]:
        """Return ``gain_over_linear``, the last difference linear - block; above 0 is healthy."""
        return {} if self._gain is None else dict(gain_over_linear=self._gain)

"""The mix block of AutoMix: it looks at two feature maps and lam, and paints a mask."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from automix_mm.mixing import Mixed, Mixer, Pair, PairSampler, attend, blend
from automix_mm.registry import MODELS


class LamConv(nn.Conv2d):
    """A 1x1 convolution over [features, lam], computed without building that map.

    Args:
        in_channels (int): Channels C of the features.
        out_channels (int): Channels of the result.
        with_lam (bool): Whether the input has the extra channel that holds lam.
    """

    def __init__(self, in_channels: int, out_channels: int, with_lam: bool) -> None:
        super().__init__(in_channels + with_lam, out_channels, 1)
        self.with_lam = with_lam

    def forward(  # type: ignore[override]
        self, features: Tensor, lam: Tensor, index: Tensor | None = None
    ) -> Tensor:
        """Project features (N, C, h, w) with lam (N, 1, 1, 1) or (1, 1, 1, 1).

        ``index`` (N,) rearranges the batch; lam is that of the rearranged batch. Rearranging
        behind the convolution moves half the channels and keeps no second copy of the features.
        """
        weight = self.weight[:, :-1] if self.with_lam else self.weight
        projected = F.conv2d(features, weight, self.bias)
        if index is not None:
            projected = projected.index_select(0, index)
        if self.with_lam:
            projected = projected + self.weight[:, -1:].transpose(0, 1) * lam
        return projected  # (N, out, h, w)


@MODELS.register_module()
class MixBlock(BaseModule, Mixer):
    """Learns where each image of a pair shows (paper, 3.3, Eq. 7 and 8, Figure 3).

    Own and partner features, each with its lam channel, are projected by 1x1 convolutions; the row
    softmax of their product, the similarity, averages the content; a sigmoid makes it the mask.
    Every field on which the paper is silent or was found not to work is listed with its
    measurement in docs/design-decisions.md.

    Args:
        in_channels (int): Channels C of the feature map.
        feature_stage (int | str): Where k's features are taken: 'stem', a zero-based stage 0..3, or
            the name of any module of the backbone.
        pair (dict): Fields of :class:`automix_mm.mixing.PairSampler`, alpha and per_sample.
        projection (str): 'separate' convolutions W and W_s (Eq. 7) or one 'shared'.
        content_from (str): The content is projected from the 'own' features (Eq. 8 as printed) or
            from the 'partner' features.
        lam_in (Sequence[str]): Which projections see the lam channel: 'similarity', 'content'.
        upsample (dict): ``mode`` of the upsampling to image size ('nearest' or 'bilinear') and
            ``before_sigmoid``.
        lam_margin (float, optional): Where min(lam, 1 - lam) is at most this, the mask is lam.
        mask_loss (dict, optional): ``weight`` and ``margin`` of
            weight * relu(abs(mean(mask) - lam) - margin).
        init_cfg (dict, optional): Initialisation, as for every module of the host.

    Raises:
        ValueError: If a field is outside its choices, or features do not have ``in_channels``.
    """

    learns = True

    def __init__(
        self,
        in_channels: int,
        feature_stage: int | str = 2,
        pair: dict | None = None,
        projection: str = 'separate',
        content_from: str = 'own',
        lam_in: Iterable[str] = ('similarity', 'content'),
        upsample: dict | None = None,
        lam_margin: float | None = None,
        mask_loss: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        _choose('projection', projection, ('separate', 'shared'))
        _choose('content_from', content_from, ('own', 'partner'))
        for name in lam_in:
            _choose('lam_in', name, ('similarity', 'content'))
        self.in_channels = in_channels
        self.feature_stage = feature_stage
        self.sampler = PairSampler(**(pair or dict(alpha=2.0, per_sample=True)))
        self.content_from_partner = content_from == 'partner'
        self.upsample: dict[str, Any] = dict(mode='bilinear', before_sigmoid=False) | dict(
            upsample or {}
        )
        _choose('upsample.mode', self.upsample['mode'], ('nearest', 'bilinear'))
        _check_fields(in_channels, self.upsample, lam_margin, mask_loss)
        self.lam_margin = lam_margin
        self.mask_loss = mask_loss
        width = max(in_channels // 2, 1)
        self.own_projection = LamConv(in_channels, width, 'similarity' in lam_in)
        if projection == 'separate':
            self.partner_projection = LamConv(in_channels, width, 'similarity' in lam_in)
        self.content_projection = LamConv(in_channels, 1, 'content' in lam_in)

    def attach(self, encoder: Any) -> None:
        """Check that the encoder has the feature stage."""
        encoder.stage(self.feature_stage)

    def look(self, encoder: Any, images: Tensor, target: Tensor) -> Tensor:
        """Return the encoder's feature map z (N, C, h, w) of clean images, without gradient."""
        return encoder.features(images, self.feature_stage)

    def forward(self, features: Tensor, pair: Pair, size: tuple[int, int]) -> Tensor:
        """Paint the masks of a batch.

        Computed in the parameters' precision (float32 as shipped) whatever the autocast, so that
        neither the similarity's scores nor the sigmoid can overflow.

        Args:
            features (Tensor): Feature map z of k on the clean images, (N, C, h, w).
            pair (Pair): The drawn (lam, partner).
            size (tuple[int, int]): Image size (H, W).

        Returns:
            Tensor: Weight of the own image in [0, 1], (N, 1, H, W).

        Raises:
            ValueError: If ``features`` are not (N, in_channels, h, w).
        """
        if features.dim() != 4 or features.shape[1] != self.in_channels:
            raise ValueError(
                f'MixBlock expected features (N, {self.in_channels}, h, w) from feature_stage='
                f'{self.feature_stage!r}, got {tuple(features.shape)}; set in_channels to the '
                'channels of that stage'
            )
        with torch.autocast(features.device.type, enabled=False):
            score = self._score(features.to(self.content_projection.weight.dtype), pair)
            return self._paint(score, pair, size)

    def _score(self, features: Tensor, pair: Pair) -> Tensor:
        """Eq. 7 and 8 before the sigmoid: features (N, C, h, w) -> score (N, 1, h, w)."""
        own_lam = pair.lam_as(features)
        partner_lam = 1 - own_lam
        partner_projection = getattr(self, 'partner_projection', self.own_projection)
        query = self.own_projection(features, own_lam).flatten(2)  # (N, C/2, hw)
        key = partner_projection(features, partner_lam, pair.partner).flatten(2)  # (N, C/2, hw)
        if self.content_from_partner:
            content = self.content_projection(features, partner_lam, pair.partner)
        else:
            content = self.content_projection(features, own_lam)  # (N, 1, h, w)
        score = attend(
            query.transpose(1, 2).contiguous(),  # (N, hw, C/2)
            key.transpose(1, 2).contiguous(),
            content.flatten(1),  # (N, hw)
        )
        return score.view_as(content)

    def _paint(self, score: Tensor, pair: Pair, size: tuple[int, int]) -> Tensor:
        """Sigmoid and upsampling, in the configured order: (N, 1, h, w) -> (N, 1, H, W)."""
        align = None if self.upsample['mode'] == 'nearest' else False
        before = self.upsample['before_sigmoid']
        mask = score if before else score.sigmoid()
        mask = F.interpolate(mask, size, mode=self.upsample['mode'], align_corners=align)
        mask = mask.sigmoid() if before else mask
        if self.lam_margin is not None:
            lam = pair.lam_as(mask)
            mask = torch.where(torch.minimum(lam, 1 - lam) <= self.lam_margin, lam, mask)
        return mask

    def mix(self, images: Tensor, draw: Pair, seen: Any = None) -> Mixed:
        """Mix a batch by the mask painted for it (paper, Eq. 2).

        Args:
            images (Tensor): Images (N, 3, H, W).
            draw (Pair): The drawn (lam, partner).
            seen (Tensor): Feature map z of the images, (N, C, h, w), from :meth:`look`.

        Returns:
            Mixed: Mixed images (N, 3, H, W), the pair as drawn, masks (N, 1, H, W).
        """
        mask = self(seen, draw, (images.shape[-2], images.shape[-1]))
        return Mixed(blend(images, draw.partner, mask), draw, mask)

    def mask_losses(self, mixed: Mixed) -> dict[str, Tensor]:
        """Return ``loss_mask`` where configured: a mask's mean further from lam than the margin."""
        mask, pair = mixed.mask, mixed.pair
        if self.mask_loss is None or mask is None:
            return {}
        distance = (mask.mean((1, 2, 3)) - pair.lam.to(mask.dtype)).abs()  # (N,)
        excess = (distance - self.mask_loss['margin']).relu().mean()
        return dict(loss_mask=self.mask_loss['weight'] * excess)


def _choose(field: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{field} must be one of {choices}, got {value!r}')


def _check_fields(
    in_channels: int, upsample: dict, lam_margin: float | None, mask_loss: dict | None
) -> None:
    if in_channels < 1:
        raise ValueError(f'in_channels must be at least 1, got {in_channels}')
    if set(upsample) != {'mode', 'before_sigmoid'}:
        raise ValueError(f'upsample has the fields mode and before_sigmoid, got {sorted(upsample)}')
    if lam_margin is not None and not 0 <= lam_margin < 0.5:
        raise ValueError(
            f'lam_margin must be in [0, 0.5): above, no mask is left; got {lam_margin}'
        )
    if mask_loss is not None and set(mask_loss) != {'weight', 'margin'}:
        raise ValueError(f'mask_loss has the fields weight and margin, got {sorted(mask_loss)}')

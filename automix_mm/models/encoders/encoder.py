"""A backbone with its heads: the network that AutoMix keeps two of."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModule, ModuleDict
from mmpretrain.registry import MODELS as HOST_MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .stages import find_stage
from .tap import Tap


class Encoder(BaseModule):
    """Backbone, neck and one linear head for each loss that trains them.

    Torch's ``compile()`` compiles, in place, the passes that every training step makes: to the loss
    of a head and to a stage. What runs now and then, such as evaluation, stays as it is.

    Args:
        backbone (dict): Config of any backbone of the host.
        neck (dict, optional): Config of a neck, usually global average pooling.
        head (dict): Config of a head, built once for each name in ``head_names``.
        head_names (Iterable[str]): 'onehot' for clean images, 'mix' for mixed ones.
        init_cfg (dict, optional): Initialisation, as for every module of the host.

    Raises:
        ValueError: If the head has no loss against a target distribution.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict | None,
        head: dict,
        head_names: Iterable[str],
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = HOST_MODELS.build(backbone)
        self.neck = HOST_MODELS.build(neck) if neck else None
        self.heads = ModuleDict({name: HOST_MODELS.build(head) for name in head_names})
        self._taps: dict[int | str, Tap] = {}
        if not all(hasattr(built, 'target_loss') for built in self.heads.values()):
            raise ValueError(
                'head must have target_loss, as automix_mm.MixupHead has (use it in place of '
                f'LinearClsHead), got {head["type"]!r}'
            )

    def forward(
        self, images: Tensor, end: nn.Module | int | str, target: Tensor | None = None
    ) -> Any:
        """Run one pass of a training step: see :meth:`loss` and :meth:`stage_features`.

        Args:
            images (Tensor): Images (N, 3, H, W).
            end (nn.Module | int | str): Where the pass ends: a head (the module and not its name,
                so that all heads share one compiled pass) or a stage.
            target (Tensor, optional): Target distribution (N, K) of a head.

        Returns:
            Any: The 0-dim loss of the head, or what the stage puts out.
        """
        if isinstance(end, nn.Module):
            head: Any = end
            return head.target_loss(self.extract_feat(images), target)
        return self._taps[end].take(self.backbone, images)

    def extract_feat(self, images: Tensor, stage: str = 'neck') -> Any:
        """Return the features of 'backbone' or 'neck', a tuple of tensors, as the host does."""
        feats = self.backbone(images)
        return self.neck(feats) if stage == 'neck' and self.neck is not None else feats

    def loss(self, images: Tensor, target: Tensor, head: str) -> Tensor:
        """Return the 0-dim loss of ``head`` on images (N, 3, H, W), target (N, K)."""
        return self(images, self.heads[head], target)

    def watch(self, images: Tensor) -> None:
        """See clean images that no other pass shows: nothing to do for a trained encoder."""

    @torch.no_grad()
    def features(self, images: Tensor, stage: int | str) -> Tensor:
        """Return the feature map z (N, C, h, w) of clean images, for a mixer to look at."""
        with self.resting():
            return self.stage_features(images, stage)

    def judge(self, images: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the mix head without feeding any running statistics."""
        with self.resting():
            return self.forward(images, self.heads['mix'], target)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Feed no running statistics inside the block; the mode stays as it is."""
        fed = [layer for _, layer in self._norms() if layer.track_running_stats]
        for layer in fed:
            layer.track_running_stats = False
        try:
            yield
        finally:
            for layer in fed:
                layer.track_running_stats = True

    def stage(self, stage: int | str) -> nn.Module:
        """Return the module of the backbone that puts out a stage; see :func:`find_stage`."""
        return find_stage(self.backbone, stage)

    def stage_features(self, images: Tensor, stage: int | str, full: bool = False) -> Tensor:
        """Return the feature map of one stage, computing nothing behind it unless ``full``.

        Args:
            images (Tensor): Images (N, 3, H, W).
            stage (int | str): See :func:`find_stage`.
            full (bool): Run the backbone to its end, as its normalisation buffers may need.

        Returns:
            Tensor: Feature map (N, C, h, w).

        Raises:
            ValueError: If the stage does not put out a feature map.
        """
        if stage not in self._taps:
            self._taps[stage] = Tap(self.stage(stage))
        if full:
            output = self._taps[stage].take(self.backbone, images, full)
        else:
            output = self(images, stage)
        if not isinstance(output, Tensor) or output.dim() != 4:
            got: Any = [tuple(output.shape)] if isinstance(output, Tensor) else type(output)
            raise ValueError(
                f'feature_stage={stage!r} of {type(self.backbone).__name__} must put out one map '
                f'(N, C, h, w), got {got if output is not None else "nothing: it is never called"}'
            )
        return output

    def _norms(self) -> Iterator[tuple[str, _BatchNorm]]:
        return ((n, m) for n, m in self.named_modules() if isinstance(m, _BatchNorm))

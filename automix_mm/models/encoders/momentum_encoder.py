"""The momentum encoder k: frozen, moved towards q after each optimizer step."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from automix_mm.models.counter import Counter
from automix_mm.registry import MODELS

from .encoder import Encoder


@MODELS.register_module()
class MomentumEncoder(Encoder):
    """Encoder k, the moving average of q (paper, Eq. 6 and Algorithm 1).

    Its parameters never have a gradient; gradients of its input do pass. In training its
    normalisation layers use batch statistics, and everything random (dropout, drop path) is off,
    since k judges. ``buffers`` says which images feed the running statistics used at inference:

    - 'clean': own buffers, fed by clean images only, in one full pass of every ``clean_interval``
      batches. All other passes stop at the feature stage and feed nothing.
    - 'copy': q's buffers, copied after each update. Every pass stops early and feeds nothing.
    - 'own': own buffers, fed by each batch, clean (full pass) and block-mixed.

    Args:
        momentum (float): Share of q's weights taken in per update at the start, in (0, 1]; 0.001 is
            the paper's m = 0.999.
        end (float): Share at the end of training, in [0, momentum]; 0 is the paper's m = 1.
        hold (float): Part of the training, in [0, 1), before the cosine begins.
        max_steps (int, optional): Optimizer steps of the whole training. Defaults to None: the
            classifier learns it from the host's training loop.
        buffers (str): 'clean', 'copy' or 'own'.
        clean_interval (int): Batches between two full clean passes with buffers='clean'.
        **encoder: Arguments of :class:`Encoder`.

    Raises:
        ValueError: If a field is outside its range.
    """

    def __init__(
        self,
        momentum: float = 0.001,
        end: float = 0.0,
        hold: float = 0.0,
        max_steps: int | None = None,
        buffers: str = 'clean',
        clean_interval: int = 10,
        **encoder: Any,
    ) -> None:
        super().__init__(**encoder)
        if not 0 < momentum <= 1 or not 0 <= end <= momentum:
            raise ValueError(
                'momentum is the share of new weights per update: expected 0 < momentum <= 1 and '
                f'0 <= end <= momentum, got momentum={momentum}, end={end} '
                '(the paper writes 1 - momentum: its 0.999 is 0.001 here)'
            )
        if not 0 <= hold < 1:
            raise ValueError(f'hold is a part of the training in [0, 1), got {hold}')
        if buffers not in ('clean', 'copy', 'own') or clean_interval < 1:
            raise ValueError(
                "buffers must be 'clean', 'copy' or 'own' and clean_interval at least 1, got "
                f'buffers={buffers!r}, clean_interval={clean_interval}'
            )
        self.momentum, self.end, self.hold = momentum, end, hold
        self.max_steps = max_steps
        self.buffers_from = buffers
        self.clean_interval = clean_interval
        self.updates = Counter()
        self.batches = Counter()
        self.requires_grad_(False)
        # Layers may be replaced (SyncBN), so their own shares are kept by name; fed by nothing at
        # rest, since activation checkpointing runs layers again outside any context.
        self._own_shares = {name: layer.momentum for name, layer in self._norms()}
        if buffers != 'own':
            self._set_shares(dict.fromkeys(self._own_shares, 0.0))

    def momentum_at(self, step: int, max_steps: int | None) -> float:
        """Return the share of new weights of update ``step`` (0-based) of ``max_steps``.

        Raises:
            ValueError: If the share changes and the number of steps is not known.
        """
        if self.end == self.momentum:
            return self.momentum
        max_steps = self.max_steps or max_steps
        if not max_steps:
            raise ValueError(
                'the momentum schedule needs the number of optimizer steps: train with the '
                "host's Runner, or set max_steps (or end=momentum) in the momentum field"
            )
        held = self.hold * max_steps
        progress = min(max(step - held, 0.0) / (max_steps - held), 1.0)
        return self.end + (self.momentum - self.end) * (1 + math.cos(math.pi * progress)) / 2

    @torch.no_grad()
    def update(
        self, source: Encoder, max_steps: int | None = None, skipped: Tensor | None = None
    ) -> None:
        """Move every parameter towards ``source``, in place and fused (Eq. 6).

        Args:
            source (Encoder): Encoder q.
            max_steps (int, optional): Optimizer steps of the whole training.
            skipped (Tensor, optional): 0-dim, above 0 if the optimizer has skipped its step on the
                device. Then no parameter moves; as nothing is read, the step counts all the same.
        """
        share = self.momentum_at(self.updates.value(), max_steps)
        own, new = list(self.parameters()), list(source.parameters())
        if skipped is None:
            torch._foreach_lerp_(own, new, share)
        else:
            change = torch._foreach_sub(new, own)
            torch._foreach_mul_(change, share * (skipped == 0))
            torch._foreach_add_(own, change)
        if self.buffers_from == 'copy':
            self._copy_buffers(source)
        self.updates.add_one()

    def restart(self) -> None:
        """Begin the momentum schedule and the clean passes anew."""
        self.updates.reset()
        self.batches.reset()

    def init_weights(self) -> None:
        """Leave the weights alone: k starts as q, see :meth:`copy_from`."""

    @torch.no_grad()
    def copy_from(self, source: Encoder) -> None:
        """Become equal to ``source``: parameters and buffers."""
        for own, other in zip(self.parameters(), source.parameters(), strict=True):
            own.copy_(other)
        self._copy_buffers(source)

    def _copy_buffers(self, source: Encoder) -> None:
        own = dict(self.named_buffers())
        for name, buffer in source.named_buffers():
            own[name].copy_(buffer)

    @torch.no_grad()
    def watch(self, images: Tensor) -> None:
        """See clean images (N, 3, H, W) of which no features are needed: feed the buffers."""
        with self._clean_pass() as full:
            if full:
                self.extract_feat(images)

    @torch.no_grad()
    def features(self, images: Tensor, stage: int | str) -> Tensor:
        """Return k's feature map z (N, C, h, w) of clean images, feeding the buffers as set."""
        with self._clean_pass() as full:
            return self.stage_features(images, stage, full)

    @contextmanager
    def _clean_pass(self) -> Iterator[bool]:
        """Count a clean batch; say whether it passes through the whole network, feeding it."""
        passes, rest = divmod(self.batches.value(), self.clean_interval)
        if self.training:
            self.batches.add_one()
        due = self.buffers_from == 'clean' and self.training and not rest and self._own_shares
        if not due:
            yield self.buffers_from == 'own' and bool(self._own_shares)
            return
        # The first passes average from the start, as running statistics begin at 0 and 1.
        shares: dict[str, float | None] = {
            n: max(1 / (passes + 1), own or 0.0) for n, own in self._own_shares.items()
        }
        with self._feeding(shares):
            yield True

    def train(self, mode: bool = True) -> 'MomentumEncoder':
        """Set the mode: in training only normalisation layers train, nothing random does."""
        super().train(mode)
        for module in self.modules():
            if module is not self and not isinstance(module, _BatchNorm):
                module.training = False
        return self

    def _set_shares(self, shares: dict[str, float | None]) -> None:
        for name, layer in self._norms():
            layer.momentum = shares[name]

    @contextmanager
    def _feeding(self, shares: dict[str, float | None]) -> Iterator[None]:
        """Set the share with which a batch feeds each running statistic inside the block."""
        before = {name: layer.momentum for name, layer in self._norms()}
        self._set_shares(shares)
        try:
            yield
        finally:
            self._set_shares(before)

"""Backward branch by branch, so that the activations of only one branch are alive at a time."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# A GradScaler's first scale, used until the first backward pass has shown the real one.
_FIRST_SCALE = 65536.0


class _HandOver(torch.autograd.Function):
    """A loss whose gradient is known: the backward pass hands it on, times the incoming one."""

    @staticmethod
    def forward(ctx: Any, branch: '_Branch', loss: Tensor, *params: Tensor) -> Tensor:
        ctx.branch = branch
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        branch, ctx.branch = ctx.branch, None
        grads = [grad for grad in branch.grads if grad is not None]
        if grads:
            torch._foreach_mul_(grads, grad_output / branch.scale)
        branch.owner.seen_scale = grad_output.detach()
        return None, None, *branch.grads


class _Branch:
    """The gradients of one branch, from the moment they are taken until they are handed on."""

    def __init__(self, owner: 'BranchwiseBackward', losses: dict[str, Tensor]) -> None:
        self.owner = owner
        self.losses = losses
        self.params: list[nn.Parameter] = []
        self.grads: list[Tensor | None] = []
        self.scale: Tensor | float = 1.0

    def take(self, params: Iterable[nn.Parameter], scale: Tensor | float) -> None:
        """Compute the gradients of the scaled sum and free its graph."""
        total = torch.stack(list(self.losses.values())).sum()
        self.params = [p for p in params if p.requires_grad] if total.requires_grad else []
        self.losses = {name: loss.detach() for name, loss in self.losses.items()}
        if not self.params:
            return
        self.scale = scale
        with torch.autocast(total.device.type, enabled=False):
            grads = torch.autograd.grad([total * scale], self.params, allow_unused=True)
        self.grads = list(grads)

    def handed_over(self) -> dict[str, Tensor]:
        """Return the losses; the first one hands the gradients of their sum on."""
        if self.params:
            first = next(iter(self.losses))
            self.losses[first] = _HandOver.apply(self, self.losses[first], *self.params)
        return self.losses


class BranchwiseBackward:
    """Takes the gradients of independent losses one after the other.

    A branch that is added gives its gradients and frees its graph at once; :meth:`losses` returns
    losses whose backward pass hands these gradients on to the parameters, where hooks (DDP,
    accumulation) see them as usual. The branch returned with a living graph is the last one, and
    its gradients still arrive layer by layer, so DDP overlaps its communication with them.

    Under float16 autocast the gradients are taken of the scaled loss, lest they underflow, and
    divided when handed on. The scale is the one that the previous backward pass came with, which
    is the GradScaler's, seen without access to it.

    Args:
        enabled (bool): False keeps every graph: plain sum of the losses.
    """

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self.seen_scale: Tensor | None = None
        self._branches: list[_Branch] = []

    def add(self, losses: dict[str, Tensor], params: Iterable[nn.Parameter]) -> None:
        """Add 0-dim losses by name that together train ``params``; their graph is then gone."""
        branch = _Branch(self, losses)
        if self.enabled and torch.is_grad_enabled():
            branch.take(params, self._scale(next(iter(losses.values()))))
        self._branches.append(branch)

    def losses(self) -> dict[str, Tensor]:
        """Return the added losses by name, ready to be summed, and forget them.

        Call it after the last branch's forward pass: autograd runs the newest nodes first, and the
        parameters are then complete as soon as the last branch's own gradient arrives.
        """
        branches, self._branches = self._branches, []
        return {name: loss for b in branches for name, loss in b.handed_over().items()}

    def _scale(self, loss: Tensor) -> Tensor | float:
        device = loss.device.type
        half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.half
        if not half:
            return 1.0
        return _FIRST_SCALE if self.seen_scale is None else self.seen_scale

"""The call behind every optimizer step, whoever makes that step."""

import weakref
from typing import Any, Protocol

from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)


class FollowsSteps(Protocol):
    """What wants to be called: a model that knows the optimizers of its weights."""

    def is_trained_by(self, optimizer: Optimizer) -> bool:
        """Tell whether the optimizer holds weights of this model."""

    def after_step(self, optimizer: Optimizer) -> None:
        """Do what follows a step."""


def call_after_steps(model: FollowsSteps) -> None:
    """Have torch call ``model.after_step`` behind every step of an optimizer that trains it.

    The hooks are torch's own, so they work in any loop and cannot be forgotten; accumulated batches
    and steps that a GradScaler skips never reach them. An optimizer that steps another one inside
    its own step (ZeroRedundancyOptimizer, Lookahead) counts once, at its end. The hooks do not keep
    the model alive.

    Args:
        model (FollowsSteps): The model to call.
    """
    reference = weakref.ref(model)
    outermost: list[int] = []  # id of the optimizer whose step is under way

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        alive = reference()
        if alive is not None and not outermost and alive.is_trained_by(optimizer):
            outermost.append(id(optimizer))

    def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        alive = reference()
        if alive is not None and outermost == [id(optimizer)]:
            outermost.clear()
            alive.after_step(optimizer)

    for handle in (
        register_optimizer_step_pre_hook(before),
        register_optimizer_step_post_hook(after),
    ):
        weakref.finalize(model, handle.remove)

"""The call behind every optimizer step, whoever makes that step."""

import weakref
from typing import Any, Protocol

from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from automix_mm.models.counter import Counter


class FollowsSteps(Protocol):
    """What wants to be called: a model that knows the optimizers of its weights.

    Attributes:
        iterations: Training iterations so far.
    """

    iterations: Counter

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
    under_way: dict[int, int] = {}  # id of the outermost optimizer: iteration of its step

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        alive = reference()
        if alive is None or not alive.is_trained_by(optimizer):
            return
        # A step of an earlier iteration that is still under way has raised.
        if alive.iterations.value() not in under_way.values():
            under_way.clear()
        if not under_way:
            under_way[id(optimizer)] = alive.iterations.value()

    def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        alive = reference()
        if alive is not None and under_way.pop(id(optimizer), None) is not None:
            alive.after_step(optimizer)

    for handle in (
        register_optimizer_step_pre_hook(before),
        register_optimizer_step_post_hook(after),
    ):
        weakref.finalize(model, handle.remove)

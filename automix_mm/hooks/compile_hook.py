"""torch.compile for the training, and a report of what it compiled."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from automix_mm.engine.compilation import (
    break_reasons,
    check_mode,
    compile_counts,
    compile_networks,
)
from automix_mm.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles encoders and mix block, or the backbone of a plain classifier, for the training.

    Evaluation is not compiled. After ``warmup`` iterations the log says how many graphs there are
    and why any of them had to end in the middle of a network. What is compiled later gets a
    warning, since compiling takes longer than many steps.

    Args:
        mode: Mode of ``torch.compile``: ``'default'``, ``'reduce-overhead'``, ``'max-autotune'``
            or ``'max-autotune-no-cudagraphs'``.
        backend: Backend of ``torch.compile``.
        warmup: Iterations in which everything should have been compiled, at least 1.

    Raises:
        ValueError: If the mode is unknown or ``warmup`` below 1.
        TypeError: At the start of the training, if the model is no classifier with a backbone.
    """

    def __init__(self, mode: str = 'default', backend: str = 'inductor', warmup: int = 20) -> None:
        check_mode(mode)
        if warmup < 1:
            raise ValueError(f'warmup must be at least 1 iteration, got {warmup}')
        self.mode = mode
        self.backend = backend
        self.warmup = warmup

    def before_train(self, runner: Runner) -> None:
        """Has the networks compiled at their first pass."""
        compile_networks(runner.model, self.mode, self.backend)
        self._steps, self._known = 0, compile_counts()

    def before_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Says where a step begins, for the modes that replay a GPU's graphs."""
        if self.mode in ('reduce-overhead', 'max-autotune'):
            torch.compiler.cudagraph_mark_step_begin()

    def after_train_iter(self, runner: Runner, *_: Any, **__: Any) -> None:
        """Reports what the warm-up has compiled, behind its last iteration."""
        self._steps += 1
        if self._steps == self.warmup:
            counts = compile_counts().since(self._known)
            self._known = compile_counts()
            runner.logger.info(f'torch.compile in {self.warmup} iterations: {counts}.')
            for reason in break_reasons():
                runner.logger.warning(f'Graph break: {reason}')

    def after_train_epoch(self, runner: Runner) -> None:
        """Warns of what has been compiled since the warm-up or the last warning."""
        late = compile_counts().since(self._known)
        if self._steps > self.warmup and late.graphs:
            self._known = compile_counts()
            runner.logger.warning(f'torch.compile again, after {self._steps} iterations: {late}.')

    def after_train(self, runner: Runner) -> None:
        """Warns where no epoch ends before the training does."""
        self.after_train_epoch(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Evaluates with the network as it is."""
        torch.compiler.set_stance('force_eager')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Goes back to compiled networks."""
        torch.compiler.set_stance('default')

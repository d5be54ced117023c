"""The paper's figure of a run, logged while it trains, and no validation lost to a kill."""

from __future__ import annotations

import statistics

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from automix_mm.registry import HOOKS

LAST_EPOCHS = 10
"""Epochs at the end of a run whose median is its result (paper, 4.1)."""

_MEMORY = 'automix_mm_last_top1'


@HOOKS.register_module()
class Last10Hook(Hook):
    """Logs ``accuracy/top1_last10_median``, the median top-1 of exactly the last ten epochs.

    The value appears in every log of a validation (terminal, JSON, TensorBoard) as soon as ten
    epochs in a row have been validated, that is, with ``val_interval=1`` from epoch 10 on. It is
    that of the head the config reports, in percent. The ten values travel with the checkpoint.

    A checkpoint is written before the validation of its epoch. A run that goes on from it would
    never know that epoch's accuracy: the hook validates the restored weights first, also when all
    epochs were trained and only the last validation is missing.

    Args:
        key: Name of the accuracy among the metrics.

    Source: arXiv 2103.13027 v1, 4.1, "averaged median performances of last 10 epochs".
    """

    # After the host has noted the metrics, before its logger writes them.
    priority = 'NORMAL'

    def __init__(self, key: str = 'accuracy/top1') -> None:
        self.key = key

    def before_run(self, runner: Runner) -> None:
        """Registers the validation of restored weights, behind the set-up of all other hooks.

        Args:
            runner: The runner.
        """
        if not any(isinstance(hook, _ValidateRestored) for hook in runner.hooks):
            runner.register_hook(_ValidateRestored(), priority='LOWEST')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes the accuracy and logs the median.

        Args:
            runner: The runner; outside of an epoch-based training nothing is done.
            metrics: Metrics of the validation; without ``key`` nothing is done.
        """
        loop = runner._train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or not loop.epoch:
            return
        if self.key not in (metrics or {}):
            return
        hub = runner.message_hub
        first = loop.epoch - LAST_EPOCHS + 1
        past = hub.get_info(_MEMORY, {})
        top1 = {epoch: past[epoch] for epoch in past if first <= epoch < loop.epoch}
        top1[loop.epoch] = float(metrics[self.key])  # type: ignore[index]
        hub.update_info(_MEMORY, top1)
        name = f'val/{self.key}_last10_median'
        hub.log_scalars.pop(name, None)  # what an interrupted run has left is not of these ten
        if len(top1) == LAST_EPOCHS:
            hub.update_scalar(name, statistics.median(top1.values()))


class _ValidateRestored(Hook):
    """Validates once at the start of a resumed training."""

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or not loop.epoch or runner.val_loop is None:
            return
        due = loop.epoch % loop.val_interval == 0 or loop.epoch >= loop.max_epochs
        if due and loop.epoch >= loop.val_begin:
            runner.logger.info(
                f'Validating the restored weights of epoch {loop.epoch}: their checkpoint was '
                'written before their validation.'
            )
            runner.val_loop.run()

"""Channels last for the training."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from automix_mm.engine.memory_layout import match_layout, plain_layout, use_channels_last
from automix_mm.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Trains a classifier with weights, images and optimizer state laid out channels last.

    Checkpoints are written in the plain layout, so that any run may go on from them.

    Raises:
        TypeError: At the start of the training, if the model is no classifier with a backbone.
    """

    priority = 'HIGH'  # before the networks are compiled

    def before_train(self, runner: Runner) -> None:
        """Changes the layout, after weights and optimizer have been loaded."""
        use_channels_last(runner.model)
        match_layout(runner.optim_wrapper.optimizer)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Puts copies in the plain layout into the checkpoint."""
        for part in ('state_dict', 'optimizer'):
            if part in checkpoint:
                checkpoint[part] = plain_layout(checkpoint[part])

"""What the host logs in each iteration, without waiting for the device in each iteration."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import RuntimeInfoHook as HostRuntimeInfoHook
from mmengine.runner import Runner

from automix_mm.registry import HOOKS

from .lazy_history import DeviceScalars, LazyHistory, lazy_history, log_number


@HOOKS.register_module()
class RuntimeInfoHook(HostRuntimeInfoHook):
    """The host's hook with losses that stay on the device until they are logged.

    The host reads every value that a training step returns in every iteration; on a GPU each
    reading waits for the whole step. Here the values wait on the device. Whoever reads a scalar of
    the message hub (the logger at its interval, a checkpoint, another hook) gets all of them in one
    transfer. Names and values are those of the host.

    Use it as ``default_hooks=dict(runtime_info=dict(type='automix_mm.RuntimeInfoHook'))``, in any
    config whose steps return tensors.
    """

    def __init__(self) -> None:
        self._scalars = DeviceScalars()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Notes the iteration and the learning rates.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch, unused.
        """
        hub = runner.message_hub
        hub.update_info('iter', runner.iter)
        for name, rates in runner.optim_wrapper.get_lr().items():
            log_number(hub, f'train/{name}', rates[0])

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Takes the values of a step.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch, unused.
            outputs: What the training step returned: tensors of one element, or numbers, by name.
        """
        hub = runner.message_hub
        tensors: dict[LazyHistory, torch.Tensor] = {}
        for key, value in (outputs or {}).items():
            history = lazy_history(hub, f'train/{key}')
            if history is not None and isinstance(value, torch.Tensor) and value.numel() == 1:
                tensors[history] = value
            else:  # the first value, or a number, or what the host refuses
                hub.update_scalar(f'train/{key}', value)
        if tensors:
            self._scalars.add(tensors)

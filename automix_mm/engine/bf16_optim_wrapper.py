"""Mixed precision in bfloat16, on GPU and CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from automix_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """An optimizer wrapper whose forward pass runs under bfloat16 autocast.

    bfloat16 has the exponent range of float32, so nothing is scaled: gradients keep their values
    and no step is skipped. The host's ``AmpOptimWrapper`` brings a loss scaler and refuses a
    machine without an accelerator; this one runs on CPU, too. Weights, gradients and the
    optimizer's state stay float32. Gradient accumulation and clipping work as in the host.

    Args:
        optimizer: The optimizer to wrap.
        accumulative_counts: Iterations per optimizer step, at least 1.
        clip_grad: Arguments of gradient clipping, or None for none.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocasts the forward pass, and holds back synchronisation while accumulating.

        Args:
            model: The model in training; its wrapper's ``no_sync`` is used where it has one.

        Yields:
            Nothing.
        """
        device_type = self.optimizer.param_groups[0]['params'][0].device.type
        with super().optim_context(model), torch.autocast(device_type, dtype=torch.bfloat16):
            yield

"""What a training step costs: time, arithmetic, and memory kept for the backward pass."""

import time
from collections.abc import Callable
from typing import Any, Union

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

from automix_mm.models import ArrayPreprocessor


def _attention_flops(query: list, key: list, value: list, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward_flops(
    grad: list, query: list, key: list, value: list, *_: Any, **__: Any
) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


class TrainingStep:
    """Whole training steps of a config's model on one random batch.

    Args:
        cfg (Config): A training config; its model, data_preprocessor and optim_wrapper are used.
        batch_size (int): Images per step.
        image_size (tuple[int, int]): Height and width.
        device (torch.device): Where to train.
    """

    def __init__(
        self, cfg: Config, batch_size: int, image_size: tuple[int, int], device: torch.device
    ) -> None:
        # The momentum schedule asks the host for the length of the training.
        MessageHub.get_current_instance().update_info('max_iters', 1_000_000)
        preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
        for transform in preprocessor.get('transforms', []):
            crop = {'crop_size', 'scale'} & transform.keys()
            transform.update(dict.fromkeys(crop, image_size))  # of the images measured
        cfg.model.data_preprocessor = preprocessor
        self.model: Any = MODELS.build(cfg.model).to(device).train()
        self.optim_wrapper: OptimWrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        channels = cfg.model.backbone.get('in_channels', 3)
        self.images = torch.randint(0, 256, (batch_size, channels, *image_size), dtype=torch.uint8)
        self.labels = torch.randint(0, preprocessor['num_classes'], (batch_size,))
        self.device = device

    def batch(self) -> dict[str, Any]:
        """Return a batch as the loader of the config's data set gives it."""
        model = getattr(self.model, 'module', self.model)  # a wrapped one has its own attributes
        if isinstance(model.data_preprocessor, ArrayPreprocessor):
            numbers = torch.arange(len(self.labels))
            return dict(inputs=self.images, labels=self.labels, sample_idx=numbers)
        samples = [DataSample().set_gt_label(label) for label in self.labels.tolist()]
        return dict(inputs=self.images, data_samples=samples)

    def run(self, steps: int = 1) -> float:
        """Run steps and return their mean time in seconds."""
        batches = [self.batch() for _ in range(steps)]
        self._wait()
        start = time.perf_counter()
        for batch in batches:
            self.model.train_step(batch, self.optim_wrapper)
        self._wait()
        return (time.perf_counter() - start) / steps

    def flops(self, steps: int) -> float:
        """Return the floating point operations of one step, the mean over ``steps``.

        Counted by torch, whose counter does not know the fused attention of a CPU: its products
        are added by the formulas that torch uses for the fused kernels of a GPU.
        """
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
            self.run(steps)
        return counter.get_total_flops() / steps

    def saved_bytes(self) -> int:
        """Return the peak of bytes kept for the backward pass during one step."""
        meter = _SavedBytes(self.model)
        with torch.autograd.graph.saved_tensors_hooks(meter.pack, meter.unpack):
            self.run()
        return meter.peak

    def held_gradient_bytes(self) -> int:
        """Return the bytes of early branches' gradients held until the step's backward pass."""
        if not getattr(getattr(self.model, 'branches', None), 'enabled', False):
            return 0
        trained = [*self.model.mixer.parameters()]
        trained += self.model.q.parameters() if 'onehot' in self.model.q.heads else []
        return sum(param.numel() * param.element_size() for param in trained)

    def _wait(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


class _SavedBytes:
    """Counts each storage that autograd keeps once, for as long as it is kept.

    Parameters and buffers are left out: they exist anyway.
    """

    def __init__(self, model: nn.Module) -> None:
        owned = [*model.parameters(), *model.buffers()]
        self.known = {tensor.untyped_storage().data_ptr() for tensor in owned}
        self.users: dict[int, int] = {}
        self.live = self.peak = 0

    def pack(self, tensor: Tensor) -> Union[Tensor, '_Kept']:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer in self.known:
            return tensor.detach()
        return _Kept(self, tensor.detach(), pointer)

    def unpack(self, kept: Union[Tensor, '_Kept']) -> Tensor:
        return kept.tensor if isinstance(kept, _Kept) else kept

    def change(self, pointer: int, size: int, step: int) -> None:
        users = self.users.get(pointer, 0) + step
        if users == 0 or (users == 1 and step == 1):
            self.live += step * size
            self.peak = max(self.peak, self.live)
        self.users[pointer] = users


class _Kept:
    """A saved tensor; its storage counts until this object goes."""

    def __init__(self, meter: _SavedBytes, tensor: Tensor, pointer: int) -> None:
        self.meter, self.tensor, self.pointer = meter, tensor, pointer
        meter.change(pointer, tensor.untyped_storage().nbytes(), 1)

    def __del__(self) -> None:
        self.meter.change(self.pointer, self.tensor.untyped_storage().nbytes(), -1)


def alternate(first: Callable[[], float], second: Callable[[], float], repeats: int) -> list[tuple]:
    """Time two things in turn, A B A B ..., so that a drifting machine hits both alike."""
    return [(first(), second()) for _ in range(repeats)]

"""Counts what a training step moves and computes, operator by operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# They reserve memory and touch none of it.
_EMPTY = ('empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided', 'resize_')


class Work(NamedTuple):
    """What one training step costs.

    Attributes:
        flops: Floating point operations of products and convolutions.
        bytes: Bytes that its operators read and write, each once.
    """

    flops: float
    bytes: float


class TrafficMode(TorchDispatchMode):
    """Adds up the bytes of the inputs and outputs of every operator.

    An operator counts as if it read each input from memory and wrote each output to it, once.
    Views cost nothing. This is what a step without fusion and without caches would move: kernels
    that fuse operators move less, kernels that read an input twice (batch statistics) more.

    Attributes:
        bytes: Sum so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not _is_free(func):
            for value in tree_leaves((args, kwargs, out)):
                if isinstance(value, Tensor):
                    self.bytes += tensor_bytes(value)
        return out


def tensor_bytes(tensor: Tensor) -> int:
    """Return the bytes that a tensor covers in memory; those of an expanded one count once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _is_free(func: Any) -> bool:
    if func._schema.name.removeprefix('aten::') in _EMPTY:
        return True
    returns = func._schema.returns
    views = [r.alias_info is not None and not r.alias_info.is_write for r in returns]
    return bool(views) and all(views)


def extrapolate(count: Callable[[int], Work], sizes: tuple[int, int], batch_size: int) -> Work:
    """Count two small batches and draw the line through them.

    Arithmetic and traffic of a step are a part that each image costs and a part, such as the
    weights', that each step costs, so that two counts give all others.

    Args:
        count: Counts a step of so many images.
        sizes: The two numbers of images, different and at least 2.
        batch_size: The number asked for.
    """
    small, large = (count(size) for size in sizes)
    place = (batch_size - sizes[0]) / (sizes[1] - sizes[0])
    return Work(*(low + place * (high - low) for low, high in zip(small, large, strict=True)))

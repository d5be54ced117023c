"""A step count that lives in the checkpoint and is read without a host sync."""

from typing import Any

import torch
from torch import Tensor, nn


class Counter(nn.Module):
    """Counts on the device for the checkpoint, and in Python for the program.

    mmengine saves parameters and buffers only, and reading a buffer of a GPU waits for the GPU;
    so the buffer is read once after loading and then only written.
    """

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('count', torch.zeros((), dtype=torch.long))
        self._value: int | None = 0

    def value(self) -> int:
        """Return the count."""
        if self._value is None:
            self._value = int(self.count)
        return self._value

    def add_one(self) -> None:
        """Count one step."""
        self._value = self.value() + 1
        self.count.add_(1)

    def reset(self) -> None:
        """Count from 0 again."""
        self._value = 0
        self.count.zero_()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._value = None

"""Logged values that wait on the device until somebody reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import Tensor

MAX_WAITING = 1000
"""Iterations after which waiting values are read even if nobody asked for them."""


class _Growing:
    """An array with spare room behind its end, so that adding does not copy what is there."""

    def __init__(self, values: np.ndarray) -> None:
        self._room = values
        self._length = len(values)

    def extend(self, values: np.ndarray, max_length: int) -> None:
        """Appends values and keeps the last ``max_length`` of all."""
        end = self._length + len(values)
        dtype = np.result_type(self._room, values) if self._length else values.dtype
        if end > len(self._room) or dtype != self._room.dtype:
            kept = self.last(max_length)
            end = len(kept) + len(values)
            self._room = np.empty(2 * end, dtype)
            self._room[: len(kept)] = kept
        self._room[end - len(values) : end] = values
        self._length = end

    def last(self, max_length: int) -> np.ndarray:
        """Returns at most ``max_length`` values, the newest last."""
        return self._room[max(0, self._length - max_length) : self._length]


class LazyHistory(HistoryBuffer):
    """A history of a scalar that takes values cheaply and sorts them in when it is read.

    It reads as the host's buffer and holds the same values. The host's buffer is copied as a whole
    for each value: with 100,000 iterations behind it, that costs more than a short training step.
    Copied or pickled, as in a checkpoint, it is the host's plain buffer.

    Args:
        buffer: The host's buffer, whose values are taken over.
    """

    def __init__(self, buffer: HistoryBuffer) -> None:
        self.max_length = buffer.max_length
        self._set_default_statistics()
        self._log, self._count = (_Growing(values) for values in buffer.data)
        self._new: list[float] = []
        self.device_scalars: DeviceScalars | None = None
        """Where values of this history wait, None if it gets numbers of the host only."""

    def add(self, value: float) -> None:
        """Appends a number of the host.

        Args:
            value: The number; it counts once.
        """
        if self.device_scalars is not None:
            self.device_scalars.read()  # what is older comes first
        self._new.append(value)

    def take(self, value: float) -> None:
        """Appends a value that has waited on the device.

        Args:
            value: The number; it counts once.
        """
        self._new.append(value)

    def update(self, log_val: int | float, count: int = 1) -> None:
        """Appends a value as the host does.

        Args:
            log_val: The value.
            count: How often it counts.

        Raises:
            TypeError: If either is no number.
        """
        if not isinstance(log_val, (int, float)) or not isinstance(count, (int, float)):
            raise TypeError(
                f'expected numbers, got {type(log_val).__name__} with a count of type '
                f'{type(count).__name__}'
            )
        self._settle()
        self._log.extend(np.array([log_val]), self.max_length)
        self._count.extend(np.array([count]), self.max_length)

    def _settle(self) -> None:
        if self.device_scalars is not None:
            self.device_scalars.read()
        if self._new:
            new, self._new = np.array(self._new), []
            self._log.extend(new, self.max_length)
            self._count.extend(np.ones(len(new), int), self.max_length)

    @property
    def _log_history(self) -> np.ndarray:  # what every statistic of the host reads
        self._settle()
        return self._log.last(self.max_length)

    @property
    def _count_history(self) -> np.ndarray:
        self._settle()
        return self._count.last(self.max_length)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Checkpoints must not need this package to be read.
        return HistoryBuffer, (), HistoryBuffer(*self.data, self.max_length).__getstate__()


class DeviceScalars:
    """The values of some iterations, kept on the device and read in one transfer.

    Values of an iteration become one tensor at once: a graph of CUDA or of autograd that they
    come from may be overwritten or freed in the next iteration.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple, list[tuple[list[LazyHistory], Tensor]]] = {}
        self._iterations = 0

    def add(self, values: Mapping[LazyHistory, Tensor]) -> None:
        """Takes the values of one iteration, without waiting for them.

        Args:
            values: Tensors of one element by the history that each belongs to.
        """
        groups: dict[tuple, list[tuple[LazyHistory, Tensor]]] = {}
        for history, value in values.items():
            history.device_scalars = self
            # Apart by type: an integer stays one, and tensors of one type are joined by one kernel.
            number = value.reshape(()) if value.dim() else value
            groups.setdefault((value.device, value.dtype), []).append((history, number))
        with torch.no_grad():
            for kind, group in groups.items():
                row = torch.stack([value for _, value in group])  # (values,)
                self._waiting.setdefault(kind, []).append(([h for h, _ in group], row))
        self._iterations += 1
        if self._iterations >= MAX_WAITING:
            self.read()

    def read(self) -> None:
        """Hands all waiting values to their histories; waits once per type of number."""
        waiting, self._waiting, self._iterations = self._waiting, {}, 0
        for rows in waiting.values():
            numbers = iter(torch.cat([row for _, row in rows]).tolist())
            for histories, _ in rows:
                for history in histories:
                    history.take(next(numbers))


def lazy_history(hub: MessageHub, name: str) -> LazyHistory | None:
    """Finds the history of a scalar and makes it lazy, also where a checkpoint has replaced it.

    Args:
        hub: The run's message hub.
        name: Name of the scalar, such as ``'train/loss'``.

    Returns:
        The history, or None if nothing was logged under this name so far.
    """
    history = hub.log_scalars.get(name)
    if history is None or type(history) is LazyHistory:
        return history
    hub.log_scalars[name] = lazy = LazyHistory(history)
    return lazy


def log_number(hub: MessageHub, name: str, value: float) -> None:
    """Logs a number of the host as ``hub.update_scalar`` does.

    Args:
        hub: The run's message hub.
        name: Name of the scalar.
        value: The number.
    """
    history = lazy_history(hub, name)
    if history is None:
        hub.update_scalar(name, value)
    else:
        history.add(value)

"""Checks of values that run on the device and are read without stopping it."""

import torch
from mmengine.logging import print_log
from torch import Tensor

_FATAL = {
    'labels': 'labels must be in [0, {num_classes}): check data set and num_classes of the head',
    'images': 'images must be finite: check the data pipeline and the normalisation',
}


class ValueChecks:
    """Looks at labels, images and losses of each batch.

    A failure is kept on the device with its first iteration. It is read at once on a CPU and for
    the first batch, otherwise every ``interval`` iterations, so that a GPU is not waited for.

    Args:
        num_classes (int): Labels must be in [0, num_classes).
        interval (int): Iterations between two readings on a GPU, at least 1.
        max_nonfinite (int): Iterations with a non-finite loss after which training stops, >= 1.

    Raises:
        ValueError: If ``interval`` or ``max_nonfinite`` is below 1.
    """

    def __init__(self, num_classes: int, interval: int = 50, max_nonfinite: int = 10) -> None:
        if interval < 1 or max_nonfinite < 1:
            raise ValueError(
                'check_interval and max_nonfinite must be at least 1, got '
                f'{interval} and {max_nonfinite}'
            )
        self.num_classes = num_classes
        self.interval = interval
        self.max_nonfinite = max_nonfinite
        self._read_once = False
        self._names: list[str] = []
        self._state: Tensor | None = None  # (2, names): failures, first iteration
        self._reported: dict[str, int] = {}

    def see(
        self, iteration: int, images: Tensor, labels: Tensor, losses: dict[str, Tensor]
    ) -> None:
        """Check one batch.

        Args:
            iteration (int): Number of the training iteration, for the message.
            images (Tensor): Images (N, C, H, W).
            labels (Tensor): Class indices (N,).
            losses (dict[str, Tensor]): 0-dim losses by name.

        Raises:
            ValueError: If labels are out of range or images not finite.
            FloatingPointError: After ``max_nonfinite`` iterations with a non-finite loss.
        """
        bad = {'labels': ((labels < 0) | (labels >= self.num_classes)).any()}
        bad['images'] = ~images.isfinite().all()
        bad |= {name: ~loss.detach().isfinite() for name, loss in losses.items()}
        self._add(iteration, bad)
        if images.device.type == 'cpu' or not self._read_once or iteration % self.interval == 0:
            self._read_once = True
            self.read()

    def _add(self, iteration: int, bad: dict[str, Tensor]) -> None:
        flags = torch.stack(list(bad.values())).long()  # (names,)
        if self._names != list(bad):
            self._names = list(bad)
            self._state = torch.zeros(2, len(flags), dtype=torch.long, device=flags.device)
        assert self._state is not None
        first = (self._state[0] == 0) & (flags == 1)
        self._state[1] = torch.where(first, iteration, self._state[1])
        self._state[0] += flags

    def read(self) -> None:
        """Report what was found so far; the only place that waits for the device."""
        if self._state is None:
            return
        for name, count, first in zip(self._names, *self._state.tolist(), strict=True):
            if count and name in _FATAL:
                text = _FATAL[name].format(num_classes=self.num_classes)
                raise ValueError(f'{text}; first seen at iteration {first}')
            if count > self._reported.get(name, 0):
                self._report(name, count, first)

    def _report(self, name: str, count: int, first: int) -> None:
        self._reported[name] = count
        message = (
            f'{name} was not finite in {count} iteration(s), first at iteration {first}: lower the '
            'learning rate, clip gradients, or train without float16'
        )
        if count >= self.max_nonfinite:
            raise FloatingPointError(f'{message}; stopped after max_nonfinite={self.max_nonfinite}')
        print_log(message, logger='current', level=30)

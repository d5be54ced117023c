"""Checks of values that run on the device and are read without stopping it."""

import math
from typing import NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor

_FATAL = {
    'labels': 'labels must be in [0, {num_classes}): check data set and num_classes of the head',
    'images': 'images must be finite: check the data pipeline and the normalisation',
}


class _Extremes(NamedTuple):
    """What a batch is judged by, on the device."""

    iteration: int
    losses: list[str]
    labels: Tensor  # (2,) smallest and largest
    values: Tensor  # (2 + losses,) smallest and largest of the images, losses


class ValueChecks:
    """Looks at labels, images and losses of each batch.

    The extremes of labels and images and the losses are kept on the device: a NaN is an extreme,
    too, and to judge there would take several kernels for each value. They are read at once on a
    CPU and for the first batch, otherwise every ``interval`` iterations, so that a GPU is not
    waited for.

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
        self._unread: list[_Extremes] = []
        self._failures: dict[str, list[int]] = {}  # iterations by name
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
        with torch.no_grad():
            values = torch.stack([*images.aminmax(), *losses.values()])
            extremes = _Extremes(iteration, list(losses), torch.stack(labels.aminmax()), values)
        self._unread.append(extremes)
        if images.device.type == 'cpu' or not self._read_once or iteration % self.interval == 0:
            self._read_once = True
            self.read()

    def read(self) -> None:
        """Report what was found so far; the only place that waits for the device."""
        unread, self._unread = self._unread, []
        if not unread:
            return
        rows = [torch.cat(row).double() for row in list(zip(*unread, strict=True))[2:]]
        numbers = torch.cat(rows).tolist()
        end = 2 * len(unread)
        for index, batch in enumerate(unread):
            low, high = numbers[2 * index : 2 * index + 2]
            start, end = end, end + len(batch.values)
            darkest, brightest, *losses = numbers[start:end]
            passed = dict(labels=low >= 0 and high < self.num_classes)
            passed['images'] = math.isfinite(darkest) and math.isfinite(brightest)
            passed |= zip(batch.losses, map(math.isfinite, losses), strict=True)
            for name in (name for name, good in passed.items() if not good):
                self._failures.setdefault(name, []).append(batch.iteration)
        self._stop_or_report()

    def _stop_or_report(self) -> None:
        for name, text in _FATAL.items():
            if name in self._failures:
                first = self._failures[name][0]
                text = text.format(num_classes=self.num_classes)
                raise ValueError(f'{text}; first seen at iteration {first}')
        for name, iterations in self._failures.items():
            if len(iterations) > self._reported.get(name, 0):
                self._report(name, len(iterations), iterations[0])

    def _report(self, name: str, count: int, first: int) -> None:
        self._reported[name] = count
        message = (
            f'{name} was not finite in {count} iteration(s), first at iteration {first}: lower the '
            'learning rate, clip gradients, or train without float16'
        )
        if count >= self.max_nonfinite:
            raise FloatingPointError(f'{message}; stopped after max_nonfinite={self.max_nonfinite}')
        print_log(message, logger='current', level=30)

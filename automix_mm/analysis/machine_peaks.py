"""What a device can do at best, measured: arithmetic of a matrix product, bytes of a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

DTYPES = dict(fp32=torch.float32, bf16=torch.bfloat16, fp16=torch.float16)

# Large enough to leave the caches behind, small enough for seconds.
_SIDE = dict(cuda=8192, cpu=1024)
_BYTES = dict(cuda=2**30, cpu=2**27)


class Peaks(NamedTuple):
    """The two ceilings of a device.

    Attributes:
        flops: Floating point operations per second of a square matrix product.
        bytes: Bytes read plus bytes written per second by a copy inside the device's memory.
    """

    flops: float
    bytes: float


def measure_peaks(device: torch.device, precision: str, seconds: float = 1.0) -> Peaks:
    """Measure both ceilings, the best of several calls each.

    A float32 product on a GPU may use TF32, as convolutions do by default there.

    Args:
        device: What to measure.
        precision: A key of ``DTYPES``.
        seconds: How long to try each.
    """
    side, size = _SIDE.get(device.type, _SIDE['cpu']), _BYTES.get(device.type, _BYTES['cpu'])
    first = torch.randn(side, side, device=device, dtype=DTYPES[precision])
    second = torch.randn(side, side, device=device, dtype=DTYPES[precision])
    product = torch.empty_like(first)
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        best = _best(lambda: torch.mm(first, second, out=product), device, seconds)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    source = torch.ones(size // 4, device=device)
    target = torch.empty_like(source)
    copied = _best(lambda: target.copy_(source), device, seconds)
    return Peaks(flops=2 * side**3 / best, bytes=2 * size / copied)


def _best(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the shortest time of one call, waited for in groups on a GPU."""
    group = 10 if device.type == 'cuda' else 1
    best, end = float('inf'), time.perf_counter() + seconds
    call()
    while best == float('inf') or time.perf_counter() < end:
        wait(device)
        start = time.perf_counter()
        for _ in range(group):
            call()
        wait(device)
        best = min(best, (time.perf_counter() - start) / group)
    return best


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)

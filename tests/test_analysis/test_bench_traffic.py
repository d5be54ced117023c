"""Bytes that operators move, and the ceilings that they are compared with."""

import pytest
import torch
from torch import nn

from automix_mm.analysis.bench_traffic import TrafficMode, Work, extrapolate, tensor_bytes
from automix_mm.analysis.machine_peaks import measure_peaks

CPU = torch.device('cpu')


def moved(call) -> int:
    with TrafficMode() as traffic:
        call()
    return traffic.bytes


def test_inputs_and_outputs_count_once_each() -> None:
    first, second = torch.randn(4, 8), torch.randn(8, 2)
    assert moved(lambda: first @ second) == 4 * (32 + 16 + 8)
    assert moved(lambda: first.add_(1)) == 4 * (32 + 32)  # read and written
    assert moved(lambda: first.bfloat16()) == 4 * 32 + 2 * 32
    assert moved(lambda: torch._foreach_add([first, second], 1.0)) == 2 * 4 * (32 + 16)


def test_views_and_empty_memory_are_free() -> None:
    image = torch.randn(2, 3, 4)
    assert moved(lambda: image.flatten(1).transpose(0, 1)[2:]) == 0
    assert moved(lambda: torch.empty_like(image)) == 0
    assert moved(lambda: torch.zeros(5)) == 4 * 5


def test_an_expanded_tensor_counts_what_it_covers() -> None:
    one = torch.randn(1, 4)
    assert tensor_bytes(one.expand(100, 4)) == 16
    assert tensor_bytes(one[:, :2]) == 8


def test_the_backward_pass_counts() -> None:
    layer, images = nn.Linear(8, 2, bias=False), torch.randn(4, 8)
    forward = 4 * (32 + 16 + 8)
    total = moved(lambda: layer(images).sum().backward())
    # Behind it: the sum (8 -> 1), its start (1 -> 1, ones), the expanded 1, images and weights.
    assert total > forward + 4 * (1 + 32 + 16)


def test_two_counts_give_all_others() -> None:
    line = extrapolate(lambda num: Work(3.0 * num, 100.0 + 7.0 * num), (2, 4), 50)
    assert line == pytest.approx((150.0, 450.0))


def test_peaks_of_this_machine() -> None:
    """Far apart from zero and from what no machine can do."""
    peaks = measure_peaks(CPU, 'fp32', seconds=0.01)
    assert 1e8 < peaks.flops < 1e15
    assert 1e8 < peaks.bytes < 1e14

"""Which part of an iteration gets which time."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile, record_function

from automix_mm.analysis.profiling import (
    ITERATION,
    PARTS,
    _parts,
    mark,
    mark_parts,
    part,
    read_profile,
)

from ..small_models import batch, classifier, plain_classifier, sgd

NODE = 'autograd::engine::evaluate_function: '


class Trace:
    """Events as torch gives them, made up."""

    def __init__(self) -> None:
        self.events: list[SimpleNamespace] = []

    def add(self, name, start, end, parent=None, thread=1, number=-1, forward=0, kernels=()):
        event = SimpleNamespace(
            name=name,
            thread=thread,
            fwd_thread=forward,
            sequence_nr=number,
            cpu_parent=parent,
            device_type=DeviceType.CPU,
            is_user_annotation=name == ITERATION or name.startswith('part:'),
            time_range=SimpleNamespace(start=start, end=end, elapsed_us=lambda: end - start),
            self_cpu_time_total=end - start,
            kernels=[SimpleNamespace(duration=duration) for duration in kernels],
        )
        if parent is not None:
            parent.self_cpu_time_total -= end - start
        self.events.append(event)
        return event


def made_up(backward_thread: int) -> Trace:
    """100 us: data 10, k 20 forward and 30 backward, block 5 and 10, gradients 5, the rest 20."""
    trace = Trace()
    trace.add('aten::before', -10, -5)
    whole = trace.add(ITERATION, 0, 100)
    data = trace.add('part:data', 0, 10, whole)
    trace.add('aten::copy_', 2, 8, data, kernels=[6])
    k = trace.add('part:k', 10, 35, whole, kernels=[15])  # on a device, a range has its span
    block = trace.add('part:mix_block', 10, 15, k)
    trace.add('aten::mm', 11, 15, block, number=7, kernels=[3])
    trace.add('aten::view', 15, 16, k, number=8)  # makes no node: the next one has its number
    outer = trace.add('aten::conv2d', 16, 34, k, number=8)
    trace.add('aten::convolution', 17, 33, outer, number=8, kernels=[12])
    at = dict(thread=backward_thread, forward=1)
    parent = whole if backward_thread == 1 else None
    node = trace.add(NODE + 'ConvolutionBackward0', 40, 70, parent, number=8, **at)
    trace.add('aten::convolution_backward', 41, 69, node, thread=backward_thread, kernels=[26])
    node = trace.add(NODE + 'MmBackward0', 70, 80, parent, number=7, **at)
    trace.add('aten::mm', 71, 79, node, thread=backward_thread, kernels=[8])
    trace.add(NODE + 'torch::autograd::AccumulateGrad', 80, 85, parent, thread=backward_thread)
    trace.add('aten::after', 100, 120)
    return trace


def test_each_moment_of_a_cpu_counts_once() -> None:
    found = read_profile(made_up(backward_thread=1).events, on_device=False)
    expected = dict(q=5, k=50, mix_block=15, ema=0, optimizer=0, data=10, framework=20)
    assert {name: round(100 * share) for name, share in found.shares.items()} == expected
    assert found.seconds == pytest.approx(100e-6)
    first, *_ = found.operators
    assert (first.name, first.calls) == ('aten::convolution_backward', 1)
    assert first.seconds == pytest.approx(28e-6)
    both = next(cost for cost in found.operators if cost.name == 'aten::mm')
    assert (both.calls, both.seconds) == (2, pytest.approx(12e-6))
    assert 'aten::before' not in {cost.name for cost in found.operators}


def test_a_device_counts_its_kernels_and_its_idle_time_is_the_rest() -> None:
    """There the backward pass runs in a thread of its own, outside all ranges."""
    found = read_profile(made_up(backward_thread=2).events, on_device=True)
    expected = dict(q=0, k=38, mix_block=11, ema=0, optimizer=0, data=6, framework=45)
    assert {name: round(100 * share) for name, share in found.shares.items()} == expected
    assert found.operators[0].seconds == pytest.approx(26e-6)


def test_no_iteration_is_an_error() -> None:
    with pytest.raises(ValueError, match='found none'):
        read_profile([], on_device=False)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match='a part is one of'):
        part('backbone')


def test_marking_what_is_not_there_does_nothing() -> None:
    owner = SimpleNamespace(batch_augments=None)
    mark(owner, 'batch_augments', 'data')
    mark(owner, 'forward', 'data')
    assert vars(owner) == dict(batch_augments=None)


def profiled(model, steps=1):
    """Profile training steps of a marked model; returns events and profile."""
    optim_wrapper = OptimWrapper(sgd(model))
    mark_parts(model, optim_wrapper)
    images, samples = batch(num=4, size=16)
    data = dict(inputs=images, data_samples=samples)
    model.train_step(data, optim_wrapper)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        for _ in range(steps):
            with record_function(ITERATION):
                model.train_step(data, optim_wrapper)
    return profiler.events(), read_profile(profiler.events(), on_device=False)


def parts_of(events, name):
    hosts = [event for event in events if event.device_type == DeviceType.CPU]
    (thread,) = {event.thread for event in hosts if event.name == ITERATION}
    named = zip(hosts, _parts(hosts, {thread: 'framework'}), strict=True)
    return [part for event, part in named if event.name == name]


def test_backward_passes_belong_to_whose_forward_made_them() -> None:
    model = classifier(train_cfg=dict(linear_interval=0))
    events, found = profiled(model, steps=2)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares) == list(PARTS)
    assert all(share > 0 for share in found.shares.values())
    assert found.shares['q'] > found.shares['ema']
    backward = parts_of(events, 'aten::_scaled_dot_product_flash_attention_for_cpu_backward')
    assert backward == ['mix_block'] * 2
    convolutions = parts_of(events, 'aten::convolution_backward')
    per_network = 20  # of ResNet-18; q has two branches, k one, the block three projections
    assert convolutions.count('q') == 2 * 2 * per_network
    assert convolutions.count('k') == 2 * per_network
    assert convolutions.count('mix_block') == 2 * 3
    assert set(parts_of(events, 'aten::_foreach_lerp_')) == {'ema'}
    assert 'optimizer' in parts_of(events, 'aten::add_')


def test_without_momentum_there_is_no_k() -> None:
    _, found = profiled(classifier(momentum=None, train_cfg=dict(linear_interval=0)))
    assert found.shares['k'] == found.shares['ema'] == 0
    assert found.shares['q'] > found.shares['mix_block'] > 0


def test_a_plain_classifier_is_q() -> None:
    mixup = dict(augments=dict(type='automix_mm.Mixup', alpha=1.0))
    for train_cfg in (None, mixup):
        preprocessor = dict(num_classes=10, to_onehot=train_cfg is not None)
        model = plain_classifier(train_cfg=train_cfg, data_preprocessor=preprocessor)
        events, found = profiled(model.train())
        assert found.shares['k'] == found.shares['ema'] == 0
        assert (found.shares['mix_block'] > 0) == (train_cfg is not None)
        assert set(parts_of(events, 'aten::convolution_backward')) == {'q'}
        assert found.shares['q'] > found.shares['data'] > 0


def test_results_are_those_of_the_unmarked_model() -> None:
    images, samples = batch(num=4, size=16)
    data = dict(inputs=images, data_samples=samples)
    logs = []
    for marked in (False, True):
        model = classifier(train_cfg=dict(linear_interval=1))
        optim_wrapper = OptimWrapper(sgd(model))
        if marked:
            mark_parts(model, optim_wrapper)
        torch.manual_seed(0)
        logs.append([model.train_step(data, optim_wrapper) for _ in range(2)])
    for plain, marked in zip(*logs, strict=True):
        assert plain.keys() == marked.keys()
        assert all(torch.equal(plain[name], marked[name]) for name in plain)

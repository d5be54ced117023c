"""Which part of a training iteration its time goes to: q, k, mix block, EMA, optimizer, data."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch.autograd import DeviceType
from torch.profiler import record_function

from automix_mm.models import Encoder

PARTS = {
    'q': 'forward and backward of q (of a plain classifier: the whole network), the loss on top, '
    'and the adding up of all gradients',
    'k': 'every forward of k, and the backward of loss_mix_k through its layers to the images',
    'mix_block': 'drawing, looking and mixing of the mixer or batch augment: forward, and backward '
    'of the masks',
    'ema': 'moving k towards q after the step',
    'optimizer': "the optimizer's step, clipping and zero_grad",
    'data': 'waiting for the loader, and the data preprocessor',
    'framework': 'the rest of the iteration: hooks, logging, checks, diagnostics, the sum of the '
    'losses, Python in between; on a GPU also all time in which it waits',
}
PREFIX = 'part:'
ITERATION = 'training iteration'

_NODE = 'autograd::engine::evaluate_function'
# What is called from outside: ranges inside a compiled pass would break its graph.
_ENCODER = ('loss', 'watch', 'features', 'judge')


class Cost(NamedTuple):
    """What one operator cost.

    Attributes:
        name: The operator, as torch calls it.
        seconds: Its own time, without that of operators inside it: on the CPU, or of the kernels
            that it launched.
        calls: How often it ran.
    """

    name: str
    seconds: float
    calls: int


class Profile(NamedTuple):
    """Where the time of some iterations went.

    Attributes:
        shares: Share of each of ``PARTS``; they sum to 1.
        seconds: Mean length of an iteration, the profiler's own cost included.
        operators: All operators, the dearest first.
        iterations: How many were profiled.
    """

    shares: dict[str, float]
    seconds: float
    operators: list[Cost]
    iterations: int


def part(name: str) -> record_function:
    """Return a range that counts for one of ``PARTS``, except where others lie inside it."""
    if name not in PARTS:
        raise ValueError(f'a part is one of {list(PARTS)}, got {name!r}')
    return record_function(PREFIX + name)


def mark(owner: Any, method: str, choose: str | Callable[..., str]) -> None:
    """Put a range around a method of one object.

    Args:
        owner: The object; objects without the method are left alone.
        method: Name of the method.
        choose: The part, or a function of the method's arguments that returns it.
    """
    plain = getattr(owner, method, None)
    if plain is None:
        return

    @functools.wraps(plain)
    def ranged(*args: Any, **kwargs: Any) -> Any:
        with part(choose if isinstance(choose, str) else choose(*args, **kwargs)):
            return plain(*args, **kwargs)

    # Past nn.Module's own __setattr__, whose rules are about modules and parameters.
    object.__setattr__(owner, method, ranged)


def mark_parts(model: Any, optim_wrapper: Any) -> None:
    """Put ranges around what a training iteration of a classifier consists of.

    Args:
        model: A classifier of this package or of the host, not wrapped for several processes.
        optim_wrapper: Its optimizer wrapper.
    """
    mark(model.data_preprocessor, '_call_impl', 'data')  # with its hooks
    mark(model.data_preprocessor, 'batch_augments', 'mix_block')
    if isinstance(getattr(model, 'q', None), Encoder):
        _mark_encoders(model)
    else:
        mark(model, 'loss', 'q')
    for method, name in dict(
        backward='q', step='optimizer', zero_grad='optimizer', clip_grad='optimizer'
    ).items():
        mark(optim_wrapper, method, name)
    mark(optim_wrapper, '_clip_grad', 'optimizer')


def _mark_encoders(model: Any) -> None:
    for name, encoder in model.encoders.items():
        for method in _ENCODER:
            mark(encoder, method, name)
    mark(model, 'draws', 'mix_block')
    for method in ('look', 'mix', 'mask_losses'):
        mark(model.mixer, method, 'mix_block')
    mark(model, 'after_step', 'ema')
    # Inside, each step of the backward pass counts for the part whose forward pass made it.
    mark(model.branches, 'add', lambda losses, params: 'q' if _of_q(losses) else 'mix_block')
    mark(model.branches, 'losses', 'q')


def _of_q(losses: Iterable[str]) -> bool:
    return any(name.endswith('_q') for name in losses)


def read_profile(events: Iterable[Any], on_device: bool) -> Profile:
    """Divide the time of the profiled iterations among the parts.

    On a CPU each moment of an iteration belongs to the innermost range around it. A node of the
    backward pass belongs to the part whose forward pass made it: torch gives both the same
    sequence number. On a device the time of a part is that of the kernels launched in it.

    Args:
        events: What ``torch.profiler.profile.events()`` returns.
        on_device: Divide the device's time, not the CPU's.

    Raises:
        ValueError: If no iteration was profiled.
    """
    hosts = [event for event in events if event.device_type == DeviceType.CPU]
    whole = [event for event in hosts if event.name == ITERATION]
    if not whole:
        raise ValueError(f'expected ranges named {ITERATION!r} among the events, found none')
    parts = _parts(hosts, {whole[0].thread: 'framework'})
    times: defaultdict[str, float] = defaultdict(float)
    costs: defaultdict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    for event, name in zip(hosts, parts, strict=True):
        micros = _device_time(event) if on_device else event.self_cpu_time_total
        if name is None or (not on_device and event.thread != whole[0].thread):
            continue
        times[name] += micros
        if not event.is_user_annotation:
            costs[event.name] += micros
            calls[event.name] += 1
    wall = sum(event.time_range.elapsed_us() for event in whole)
    times['framework'] = 0.0 if on_device else times['framework']
    times['framework'] += max(0.0, wall - sum(times.values()))
    total = sum(times.values())
    dearest = sorted(costs.items(), key=lambda item: -item[1])
    return Profile(
        shares={name: times[name] / total for name in PARTS},
        seconds=wall / len(whole) / 1e6,
        operators=[Cost(name, micros / 1e6, calls[name]) for name, micros in dearest],
        iterations=len(whole),
    )


def _parts(events: list[Any], default: dict[int, str]) -> list[str | None]:
    """Return the part of each event; None lies outside every iteration.

    Events come in the order of their starts, so that a parent comes before its children and a
    forward pass before its backward pass.
    """
    known: dict[int, str | None] = {}
    makers: dict[tuple[int, int], str | None] = {}
    for event in events:
        inherited = known.get(id(event.cpu_parent)) if event.cpu_parent else None
        own = _own_part(event, makers)
        if event.name == ITERATION:
            own = default[event.thread]
        elif event.cpu_parent is None and event.thread in default:
            own = None  # between the ranges: before the first and after the last
        known[id(event)] = own or inherited
        # Of several operators with one number the last made the node: those before it made none.
        if event.sequence_nr >= 0 and not event.name.startswith(_NODE):
            makers[event.thread, event.sequence_nr] = known[id(event)]
    return [known[id(event)] for event in events]


def _own_part(event: Any, makers: dict[tuple[int, int], str | None]) -> str | None:
    if event.name.startswith(PREFIX):
        return event.name.removeprefix(PREFIX)
    if event.name.startswith(_NODE):
        # Nodes without a maker add up gradients.
        return makers.get((event.fwd_thread, event.sequence_nr)) or 'q'
    return None


def _device_time(event: Any) -> float:
    if event.is_user_annotation:  # its span on the device, not what it launched itself
        return 0.0
    return sum(kernel.duration for kernel in event.kernels)

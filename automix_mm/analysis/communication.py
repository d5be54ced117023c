"""What the processes of a distributed training send to each other, counted in bytes."""

import time
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .step_cost import TrainingStep

# These take the tensors that are sent as their first argument, all others as their second.
_IN_PLACE = ('allreduce_', 'allreduce_coalesced_', 'broadcast_', 'reduce_', 'send')


class Collective(NamedTuple):
    """One call of a collective operation.

    Attributes:
        kind: Name of torch's operation: allreduce, broadcast, allgather, ...
        nbytes: Bytes of the tensors that this process gives to it.
    """

    kind: str
    nbytes: int


class CommunicationMeter(TorchDispatchMode):
    """Counts every collective operation of this process while it is the context.

    It sits below Python's and C++'s callers alike: all-reduces of DDP's reducer, broadcasts of its
    constructor, reductions of a logger or of SyncBN are all seen. Barriers carry nothing and are
    left out.

    Attributes:
        calls (list[Collective]): The operations so far, in their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Collective] = []

    def bytes_of(self, kind: str) -> int:
        """Return the bytes of all calls of one kind."""
        return sum(call.nbytes for call in self.calls if call.kind == kind)

    def totals(self) -> dict[str, int]:
        """Return the bytes by kind of operation."""
        counts: Counter[str] = Counter()
        for call in self.calls:
            counts[call.kind] += call.nbytes
        return dict(counts)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Note the operation if it is a collective one, then run it."""
        if func.namespace == 'c10d':
            kind = func._schema.name.split('::')[1]
            if not kind.startswith(('barrier', 'monitored_barrier')):
                sent = args[0] if kind in _IN_PLACE else args[1]
                self.calls.append(Collective(kind.strip('_'), tensor_bytes(tree_leaves(sent))))
        return func(*args, **(kwargs or {}))


class GradientCount:
    """Counts what DDP's buckets hold when they are all-reduced, as a communication hook of it.

    Args:
        ddp (DistributedDataParallel): The wrapped model; it can have only one such hook.

    Attributes:
        buckets (list[int]): Bytes of each bucket since the last :meth:`reset`, in their order.
        times (list[float]): When each was complete, by the clock of the host, in seconds.
        names (set[str]): Names of the parameters whose gradients were in them.
    """

    def __init__(self, ddp: DistributedDataParallel) -> None:
        self._names = {id(param): name for name, param in ddp.module.named_parameters()}
        self.reset()
        ddp.register_comm_hook(None, self._see)

    def reset(self) -> None:
        """Begin anew."""
        self.buckets: list[int] = []
        self.times: list[float] = []
        self.names: set[str] = set()

    @property
    def nbytes(self) -> int:
        """Bytes of all buckets."""
        return sum(self.buckets)

    def _see(self, state: Any, bucket: distributed.GradBucket) -> torch.futures.Future[Tensor]:
        self.buckets.append(tensor_bytes([bucket.buffer()]))
        self.times.append(time.perf_counter())
        self.names |= {self._names[id(param)] for param in bucket.parameters()}
        return allreduce_hook(None, bucket)  # type: ignore[arg-type]  # None is the default group


def tensor_bytes(values: Any) -> int:
    """Return the bytes of the tensors among ``values``."""
    return sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor))


def parameter_bytes(model: nn.Module) -> dict[str, int]:
    """Return the bytes of a model's parameters by child (q, k, mixer, ...), trained or not."""
    return {
        name: nbytes
        for name, child in model.named_children()
        if (nbytes := tensor_bytes(child.parameters()))
    }


def trained_bytes(model: nn.Module) -> int:
    """Return the bytes of the parameters that get a gradient."""
    return tensor_bytes(param for param in model.parameters() if param.requires_grad)


def communication_of_step(step: TrainingStep) -> dict[str, Any]:
    """Count what a step sends whose model is wrapped and has trained before.

    Args:
        step (TrainingStep): The step; its model gets a communication hook.

    Returns:
        dict[str, Any]: Bytes all-reduced, bytes of anything else, bytes and number of the buckets,
        bytes of q, k, the mixer and the optimizer's state, and the overlap: the share of the step
        from the first complete bucket to the last one (None on a GPU, whose clock is its own).
    """
    ddp, count = step.model, GradientCount(step.model)
    step.run()
    count.reset()
    with CommunicationMeter() as meter:
        step.run()
    reduced = meter.bytes_of('allreduce')
    buckets = count.buckets
    parameters = parameter_bytes(ddp.module)
    count.reset()
    seconds = step.run()
    state = [*step.optim_wrapper.optimizer.state.values()]
    on_cpu = step.device.type == 'cpu'
    return dict(
        bytes_all_reduced=reduced,
        bytes_of_anything_else=sum(meter.totals().values()) - reduced,
        bytes_of_trained_parameters=trained_bytes(ddp.module),
        bucket_bytes=buckets,
        bytes_by_part=parameters,
        sent_parts=sorted({name.split('.')[0] for name in count.names}),
        bytes_of_buffers=tensor_bytes(ddp.module.buffers()),
        bytes_of_optimizer_state=tensor_bytes(tree_leaves(state)),
        overlap=round((count.times[-1] - count.times[0]) / seconds, 4) if on_cpu else None,
    )

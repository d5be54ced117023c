"""torch.compile for the networks of a training step, and a count of what it did."""

from __future__ import annotations

from typing import Any, NamedTuple

from mmengine.model import is_model_wrapper
from mmpretrain.models.classifiers.base import BaseClassifier
from torch import nn

from automix_mm.models import MomentumClassifier

MODES = ('default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs')


def check_mode(mode: str) -> None:
    """Raises a ValueError unless torch.compile has the mode."""
    if mode not in MODES:
        raise ValueError(f'mode of torch.compile must be one of {MODES}, got {mode!r}')


class CompileCounts(NamedTuple):
    """What torch.compile has done in this process.

    Attributes:
        graphs: Graphs compiled. A network that is compiled again, since its input or a setting in
            it has changed, counts again.
        breaks: Places at which a graph had to end in the middle of a network.
    """

    graphs: int
    breaks: int

    def since(self, earlier: CompileCounts) -> CompileCounts:
        """Return what has been done after ``earlier``."""
        return CompileCounts(self.graphs - earlier.graphs, self.breaks - earlier.breaks)

    def __str__(self) -> str:
        return f'{self.graphs} graphs compiled, {self.breaks} graph breaks'


def compile_counts() -> CompileCounts:
    """Return the counts of this process so far."""
    counters = _counters()
    return CompileCounts(counters['stats']['unique_graphs'], sum(counters['graph_break'].values()))


def break_reasons() -> list[str]:
    """Return why graphs had to end, the most frequent reason first, one line each."""
    return [
        f'{number} x {" ".join(reason.split())}'
        for reason, number in _counters()['graph_break'].most_common()
    ]


def _counters() -> Any:
    from torch._dynamo.utils import counters  # takes a second that few programs should pay

    return counters


def classifier_of(model: nn.Module, switch: str) -> Any:
    """Return the classifier inside wrappers such as DDP.

    Args:
        model: The model of a run.
        switch: What asks for it, for the message.

    Raises:
        TypeError: If it is no classifier with a backbone.
    """
    inner: Any = model
    while is_model_wrapper(inner):
        inner = inner.module
    has_networks = isinstance(inner, MomentumClassifier) or hasattr(inner, 'backbone')
    if not isinstance(inner, BaseClassifier) or not has_networks:
        raise TypeError(
            f'{switch} is for classifiers with a backbone, got {type(inner).__name__}: take its '
            "hook out of custom_hooks (detectors' images differ in size: each would be compiled)"
        )
    return inner


def compile_networks(model: nn.Module, mode: str = 'default', backend: str = 'inductor') -> None:
    """Compile the networks of a training step in place; the keys of the weights stay.

    Of a :class:`MomentumClassifier` these are q, k and a mix block, of a plain classifier the
    backbone. What lies around them (draws, blending, the backward passes branch by branch, the sum
    of the losses) stays Python. Shapes are static: batches of another size are compiled on
    their own, once.

    Args:
        model: The model of a run, wrapped or not.
        mode: Mode of ``torch.compile``.
        backend: Backend of ``torch.compile``; 'eager' and 'aot_eager' generate no code.

    Raises:
        ValueError: If the mode is unknown.
        TypeError: If the model is no classifier with a backbone.
    """
    check_mode(mode)
    classifier = classifier_of(model, 'torch.compile')
    networks = classifier if isinstance(classifier, MomentumClassifier) else classifier.backbone
    if backend != 'inductor':
        networks.compile(backend=backend, dynamic=False)  # other backends know no modes
    else:
        networks.compile(mode=mode, dynamic=False)

"""Channels last: the memory layout that convolutions of GPUs and CPUs prefer."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from automix_mm.models import ArrayPreprocessor

from .compilation import classifier_of


def use_channels_last(model: nn.Module) -> None:
    """Lay out weights and images of a classifier with the channels next to each other.

    The weights are changed in place and keep the layout, whatever is loaded into them; those of a
    wrapped model stay, and the layout is that of images and feature maps alone. Images out
    of arrays get it where they become float32, which costs nothing; others are rearranged behind
    the data preprocessor, once per batch.

    Args:
        model: The model of a run, wrapped or not.

    Raises:
        TypeError: If the model is no classifier with a backbone.
    """
    classifier = classifier_of(model, 'channels last')
    # DDP has laid out its buckets for the weights as they are: with other strides gradients come
    # out wrong. Convolutions follow the images alone, too.
    if not is_model_wrapper(model):
        classifier.to(memory_format=torch.channels_last)
    if isinstance(classifier.data_preprocessor, ArrayPreprocessor):
        classifier.data_preprocessor.memory_format = torch.channels_last
    classifier.data_preprocessor.register_forward_hook(_rearrange)


def match_layout(optimizer: Optimizer) -> None:
    """Lay out the state of an optimizer as its parameters.

    Fused kernels go through memory and not through indices: with two layouts some of them refuse,
    others mix elements up without a word.

    Args:
        optimizer: An optimizer, perhaps with a state from a run with another layout.
    """
    for param, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == param.shape:
                state[name] = torch.empty_like(param, dtype=value.dtype).copy_(value)


def plain_layout(state: Any) -> Any:
    """Return a state dict, nested or not, with every tensor contiguous; the given one stays."""
    if isinstance(state, Tensor):
        return state.contiguous()
    if isinstance(state, dict):
        copied = copy.copy(state)  # with what torch adds to state dicts of modules
        copied.update((name, plain_layout(value)) for name, value in state.items())
        return copied
    return state


def _rearrange(module: nn.Module, args: Any, batch: Any) -> Any:
    images = batch.get('inputs') if isinstance(batch, dict) else None
    if not isinstance(images, Tensor) or images.dim() != 4:
        return None
    return batch | dict(inputs=images.contiguous(memory_format=torch.channels_last))

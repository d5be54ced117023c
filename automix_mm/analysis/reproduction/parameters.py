"""Table 10: counts parameters on the spot."""

from __future__ import annotations

from typing import Any

from mmpretrain.registry import MODELS
from torch import nn

from automix_mm.models import MixBlock
from automix_mm.models.encoders import Encoder

from .experiments import Cell

CLASSES = 200
"""The printed totals are those of heads with so many classes, as for Tiny-ImageNet."""

_RESNET = dict(type='ResNet_CIFAR', depth=18, num_stages=4, out_indices=(3,))
_RESNEXT = dict(
    type='automix_mm.ResNeXt_CIFAR',
    depth=50,
    groups=32,
    width_per_group=4,
    num_stages=4,
    out_indices=(3,),
)
_LAYERS: dict[str, list[tuple[int | str, int]]] = {
    'r18': [('stem', 64), (1, 128), (2, 256), (3, 512)],
    'rx50': [('stem', 64), (0, 256), (2, 1024), (3, 2048)],
}
"""Feature stage and channels of L0 to L3: the choice by which all printed totals come out."""


def count_parameters(cell: Cell) -> int:
    """Counts what a cell of Table 10 prints in millions.

    The columns are the backbone, the backbone with one head, and q with its two heads and the mix
    block as the paper prints it (lam in the similarity, separate projections). Encoder k is a copy
    and is not counted twice.

    Args:
        cell: Its fields are ``network`` ('r18' or 'rx50'), ``count`` ('backbone', 'vanilla' or
            'automix') and, for the last, ``layer`` (0 to 3).

    Returns:
        Number of parameters.
    """
    network, kind = cell.fields['network'], cell.fields['count']
    backbone: dict[str, Any] = _RESNET if network == 'r18' else _RESNEXT
    if kind == 'backbone':
        return _count(MODELS.build(backbone))
    width = _LAYERS[network][3][1]
    head = dict(type='automix_mm.MixupHead', num_classes=CLASSES, in_channels=width)
    names = ('onehot',) if kind == 'vanilla' else ('onehot', 'mix')
    total = _count(Encoder(backbone, dict(type='GlobalAveragePooling'), head, names))
    if kind == 'automix':
        stage, channels = _LAYERS[network][cell.fields['layer']]
        total += _count(MixBlock(channels, stage, lam_in=('similarity',), projection='separate'))
    return total


def compare_count(cell: Cell, count: int, digits: int = 2) -> str:
    """Says whether a count is the printed one.

    Args:
        cell: The cell.
        count: Number of parameters.
        digits: Printed decimals, of millions.

    Returns:
        Empty if it is, else what differs and by how much.
    """
    if cell.paper is None or f'{count / 1e6:.{digits}f}' == f'{cell.paper:.{digits}f}':
        return ''
    gap = count - cell.paper * 1e6
    return (
        f'{cell.name}: {count:,} parameters are {count / 1e6:.{digits}f} million, the paper prints '
        f'{cell.paper:.{digits}f}: {gap:+,.0f}'
    )


def _count(module: nn.Module) -> int:
    return sum(param.numel() for param in module.parameters())

"""The labelings of least energy, by one minimum cut for many images."""

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from torch import Tensor

from automix_mm.mixing import LabelCosts

#: Blocks per graph: searching one large graph costs more time, building many small ones too.
_BLOCKS = 4096
#: Largest flow in a graph: capacities are 32-bit integers, and so are what is left of two of them.
_FLOW = 1 << 28


def best_labels(costs: LabelCosts) -> Tensor:
    """Return the labels (N, R, C), long, of least energy: exact, on the host.

    The pairwise cost is convex in the difference of two labels, so the energy is a cut in a graph
    with a node for each block and each step between labels (Ishikawa, 2003), and the minimum cut
    is the global optimum, where the alpha-beta swap of the authors stops at a local one. Costs are
    rounded to one 2^28th of the sum over the images of a graph.

    Args:
        costs (LabelCosts): Costs of R x C blocks on any device. They are copied to the host, where
            the maximum flow is found by SciPy.

    Returns:
        Tensor: Labels on the device of the costs. Of labelings of equal energy the one with most
        of the own images.
    """
    device = costs.unary.device
    unary, down, right = (cost.detach().cpu().double().numpy() for cost in costs)
    num, rows, cols, _ = unary.shape
    step = max(1, _BLOCKS // (rows * cols))
    labels = [
        _cut(unary[i : i + step], down[i : i + step], right[i : i + step])
        for i in range(0, num, step)
    ]
    return torch.from_numpy(np.concatenate(labels)).to(device)


def _cut(unary: np.ndarray, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the labels (N, R, C) of least energy of one graph.

    Node (block, t) is on the source's side of the cut where the label is above t.
    """
    steps = unary.shape[-1] - 1
    rise = np.diff(unary)  # (N, R, C, T): cost of a label above t
    node = np.arange(rise.size, dtype=np.int32).reshape(rise.shape)
    source, sink = node.size, node.size + 1
    total = max(min(rise[rise > 0].sum(), -rise[rise < 0].sum()), 1e-30)
    arcs = [
        (np.full_like(node, source), node, -rise),
        (node, np.full_like(node, sink), rise),
        # A label above t is above all lower steps as well.
        (node[..., 1:], node[..., :-1], np.full(node[..., 1:].shape, np.inf)),
    ]
    for weight, one, other in ((down, node[:, :-1], node[:, 1:]), (right, *_halves(node))):
        for high in range(steps):
            for low in range(high + 1):
                # (x - y)^2 counts each step between x and y once, and each pair of steps twice.
                part = weight * ((1 if high == low else 2) / steps**2)
                arcs += [(one[..., high], other[..., low], part)]
                arcs += [(other[..., high], one[..., low], part)]
    tails, heads, sizes = (
        np.concatenate([np.ravel(arc) for arc in part]) for part in zip(*arcs, strict=True)
    )
    # No cut is larger than the total, so more than twice of it is never needed.
    sizes = np.rint(np.clip(sizes / total, 0, 2) * _FLOW).astype(np.int32)
    used = sizes > 0
    shape = (node.size + 2,) * 2
    graph = csr_array((sizes[used], (tails[used], heads[used])), shape=shape)
    return _source_side(graph, source, sink)[:-2].reshape(node.shape).sum(-1)


def _halves(node: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return node[:, :, :-1], node[:, :, 1:]


def _source_side(graph: csr_array, source: int, sink: int) -> np.ndarray:
    """Return which nodes are on the source's side of the smallest minimum cut, bool."""
    rest = graph - maximum_flow(graph, source, sink).flow
    rest.data[rest.data < 0] = 0
    rest.eliminate_zeros()
    reached = np.zeros(graph.shape[0], dtype=bool)
    reached[breadth_first_order(rest, source, return_predecessors=False)] = True
    return reached

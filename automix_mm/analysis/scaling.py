"""A model of how the throughput of data-parallel training grows with the number of GPUs."""

from collections.abc import Iterable
from typing import NamedTuple


class Link(NamedTuple):
    """The nominal rate of a kind of connection.

    Attributes:
        rate: Bytes per second in one direction.
        source: Where the figure is from.
    """

    rate: float
    source: str


LINKS = {
    'nvlink4': Link(450e9, 'NVIDIA H100 data sheet: 900 GB/s per GPU, both directions together'),
    'nvlink3': Link(300e9, 'NVIDIA A100 data sheet: 600 GB/s per GPU, both directions together'),
    'pcie5': Link(32e9 * 16 * 128 / 130 / 8, 'PCI-SIG, PCIe 5.0: 32 GT/s, 16 lanes, 128b/130b'),
    'pcie4': Link(16e9 * 16 * 128 / 130 / 8, 'PCI-SIG, PCIe 4.0: 16 GT/s, 16 lanes, 128b/130b'),
    'ndr': Link(50e9, 'NVIDIA ConnectX-7 user manual: InfiniBand NDR, 400 Gb/s per port'),
    '100gbe': Link(12.5e9, 'IEEE 802.3: 100GBASE, 100 Gb/s per port'),
    '25gbe': Link(3.125e9, 'IEEE 802.3: 25GBASE, 25 Gb/s per port'),
}
"""Nominal rates by name."""


class Cluster(NamedTuple):
    """The machines.

    Attributes:
        inside: Rate between neighbours in a node, bytes per second in one direction.
        between: Rate between nodes, all adapters of a node together.
        per_node: GPUs of a node.
        reached: Share of the nominal rates that is reached, in (0, 1].
        latency: Seconds of one hop of the ring.
    """

    inside: float
    between: float
    per_node: int = 8
    reached: float = 1.0
    latency: float = 0.0


class Work(NamedTuple):
    """What one GPU does in a step.

    Attributes:
        nbytes: Bytes of the gradients that are all-reduced.
        last: Bytes of the bucket that is complete last: nothing is left to hide it behind.
        overlap: Share of the step from the first complete bucket to the last one, in [0, 1).
        images: Images per step and GPU.
        buckets: All-reduces per step.
    """

    nbytes: float
    last: float
    overlap: float
    images: int = 1
    buckets: int = 1


class Row(NamedTuple):
    """One line of the table; times in seconds.

    Attributes:
        gpus: Number of GPUs.
        reduce: Time of the all-reduce of all gradients.
        shortest: The shortest step of one GPU that is slowed to no less than the target share.
        wait: What a step waits for the all-reduce.
        throughput: Images per second.
        efficiency: Throughput over that of as many GPUs that need not wait.
    """

    gpus: int
    reduce: float
    shortest: float
    wait: float | None = None
    throughput: float | None = None
    efficiency: float | None = None


def all_reduce_seconds(gpus: int, work: Work, cluster: Cluster) -> float:
    """Return the time of a ring all-reduce.

    Each GPU sends ``2 (n - 1) / n`` times the bytes to its neighbour, and the slowest connection of
    the ring sets the pace: inside one node its own, else that between nodes if it is slower.
    """
    rate = cluster.inside
    if gpus > cluster.per_node:
        rate = min(rate, cluster.between)
    hops = 2 * (gpus - 1)
    return hops / gpus * work.nbytes / (cluster.reached * rate) + (
        work.buckets * hops * cluster.latency
    )


def waiting_seconds(step: float, reduce: float, work: Work) -> float:
    """Return what a step of ``step`` seconds waits for an all-reduce of ``reduce`` seconds.

    It runs beside the backward pass of the last branch for ``overlap`` of the step; the last
    bucket's share of it cannot begin before the step's arithmetic ends.
    """
    return max(reduce * work.last / work.nbytes, reduce - work.overlap * step)


def shortest_step(reduce: float, work: Work, target: float) -> float:
    """Return the shortest step that keeps ``target`` of its speed, solved for the step."""
    slack = 1 / target - 1  # waiting time that is allowed, in steps
    return max(reduce * work.last / work.nbytes / slack, reduce / (slack + work.overlap))


def scaling_table(
    gpus: Iterable[int],
    work: Work,
    cluster: Cluster,
    step: float | None = None,
    target: float = 0.95,
) -> list[Row]:
    """Return a row for each number of GPUs.

    Args:
        gpus: Numbers of GPUs, at least 1 each.
        work: What one GPU does in a step.
        cluster: The machines.
        step: Seconds of a step on one GPU; without it there is no throughput.
        target: The efficiency that :attr:`Row.shortest` keeps, in (0, 1).

    Returns:
        The rows.

    Raises:
        ValueError: If a figure is outside its range.
    """
    _check(work, cluster, step, target)
    rows = []
    for count in gpus:
        if count < 1:
            raise ValueError(f'the number of GPUs must be at least 1, got {count}')
        reduce = all_reduce_seconds(count, work, cluster)
        row = Row(count, reduce, shortest_step(reduce, work, target))
        if step is not None:
            wait = waiting_seconds(step, reduce, work)
            row = row._replace(
                wait=wait,
                throughput=count * work.images / (step + wait),
                efficiency=step / (step + wait),
            )
        rows.append(row)
    return rows


def _check(work: Work, cluster: Cluster, step: float | None, target: float) -> None:
    positive = dict(
        inside=cluster.inside,
        between=cluster.between,
        per_node=cluster.per_node,
        reached=cluster.reached,
        nbytes=work.nbytes,
        images=work.images,
        buckets=work.buckets,
        target=target,
    )
    if step is not None:
        positive['step'] = step
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f'{name} must be positive, got {value}')
    if cluster.latency < 0:
        raise ValueError(f'latency must not be negative, got {cluster.latency}')
    if not 0 <= work.last <= work.nbytes:
        raise ValueError(f'last must be in [0, nbytes={work.nbytes}], got {work.last}')
    if not 0 <= work.overlap < 1 or target >= 1 or cluster.reached > 1:
        raise ValueError(
            'overlap must be in [0, 1), target in (0, 1) and reached in (0, 1], got '
            f'{work.overlap}, {target} and {cluster.reached}'
        )


def link_rate(text: str) -> float:
    """Return bytes per second of a name of :data:`LINKS` or of a number of GB/s.

    Raises:
        ValueError: If it is neither.
    """
    if text in LINKS:
        return LINKS[text].rate
    try:
        rate = float(text) * 1e9
    except ValueError:
        rate = 0.0
    if not 0 < rate < float('inf'):
        raise ValueError(
            f'a connection is one of {", ".join(LINKS)} or a number of GB/s in one direction, '
            f'got {text!r}'
        )
    return rate


def markdown(rows: list[Row], target: float = 0.95) -> str:
    """Return the rows as a Markdown table, times in milliseconds."""
    head = ['GPUs', 'all-reduce (ms)', f'shortest step for {100 * target:g} % (ms)']
    if rows and rows[0].wait is not None:
        head += ['waits (ms)', 'images/s', 'efficiency']
    lines = [head, ['---:'] * len(head)]
    for row in rows:
        cells = [str(row.gpus), f'{1e3 * row.reduce:.2f}', f'{1e3 * row.shortest:.2f}']
        if row.wait is not None and row.efficiency is not None:
            cells += [
                f'{1e3 * row.wait:.2f}',
                f'{row.throughput:,.0f}',
                f'{100 * row.efficiency:.1f} %',
            ]
        lines.append(cells)
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)

"""The model of scaling against figures worked out by hand."""

import pytest

from automix_mm.analysis.scaling import (
    LINKS,
    Cluster,
    Work,
    all_reduce_seconds,
    link_rate,
    markdown,
    scaling_table,
    shortest_step,
    waiting_seconds,
)

WORK = Work(nbytes=100e6, last=20e6, overlap=0.25, images=32, buckets=4)
CLUSTER = Cluster(inside=100e9, between=10e9, per_node=8)
GPUS = (1, 2, 4, 8, 16, 32, 64)


def test_the_ring_sends_each_byte_almost_twice():
    assert all_reduce_seconds(1, WORK, CLUSTER) == 0
    assert all_reduce_seconds(2, WORK, CLUSTER) == pytest.approx(1e-3)  # 2 * 1/2 of 100 MB
    assert all_reduce_seconds(8, WORK, CLUSTER) == pytest.approx(1.75e-3)  # 2 * 7/8


def test_between_nodes_the_slower_connection_sets_the_pace():
    assert all_reduce_seconds(16, WORK, CLUSTER) == pytest.approx(18.75e-3)  # 2 * 15/16 at 10 GB/s
    fast = CLUSTER._replace(between=400e9)
    assert all_reduce_seconds(16, WORK, fast) == pytest.approx(1.875e-3)


def test_rates_that_are_not_reached_and_latency_cost_time():
    half = CLUSTER._replace(reached=0.5)
    assert all_reduce_seconds(2, WORK, half) == pytest.approx(2e-3)
    slow = CLUSTER._replace(latency=5e-6)
    # Four buckets, 14 hops each.
    assert all_reduce_seconds(8, WORK, slow) == pytest.approx(1.75e-3 + 4 * 14 * 5e-6)


def test_the_backward_pass_hides_all_but_the_last_bucket():
    # 25 ms of a step of 100 ms hide 10 ms, but not the last fifth of them.
    assert waiting_seconds(0.1, 0.010, WORK) == pytest.approx(0.002)
    assert waiting_seconds(0.1, 0.040, WORK) == pytest.approx(0.015)
    assert waiting_seconds(0.1, 0.040, WORK._replace(overlap=0.0)) == pytest.approx(0.040)


@pytest.mark.parametrize('reduce', [0.001, 0.010, 0.1])
@pytest.mark.parametrize('overlap', [0.0, 0.1, 0.6])
def test_the_shortest_step_is_the_one_that_just_keeps_the_target(reduce, overlap):
    work = WORK._replace(overlap=overlap)
    step = shortest_step(reduce, work, 0.9)
    for factor, holds in ((1.001, True), (0.999, False)):
        length = factor * step
        wait = waiting_seconds(length, reduce, work)
        assert (length / (length + wait) >= 0.9) is holds


def test_the_table_says_what_its_parts_say():
    rows = scaling_table(GPUS, WORK, CLUSTER, step=0.1)
    assert [row.gpus for row in rows] == list(GPUS)
    assert rows[0].efficiency == 1 and rows[0].throughput == pytest.approx(320)
    eight = rows[3]
    assert eight.wait == pytest.approx(0.35e-3)  # a fifth of 1.75 ms
    assert eight.throughput == pytest.approx(8 * 32 / 0.10035)
    assert eight.efficiency == pytest.approx(0.1 / 0.10035)
    efficiencies = [row.efficiency for row in rows]
    assert efficiencies == sorted(efficiencies, reverse=True)
    for row in rows:
        assert row.throughput == pytest.approx(row.gpus * 320 * row.efficiency)


def test_without_a_step_there_is_no_throughput():
    rows = scaling_table(GPUS, WORK, CLUSTER)
    assert all(row.throughput is None and row.efficiency is None for row in rows)
    text = markdown(rows).splitlines()
    assert text[0] == '| GPUs | all-reduce (ms) | shortest step for 95 % (ms) |'
    assert text[3].startswith('| 2 | 1.00 |') and len(text) == 2 + len(GPUS)


def test_the_nominal_rates():
    gigabytes = {name: round(link.rate / 1e9, 3) for name, link in LINKS.items()}
    assert gigabytes == {
        'nvlink4': 450.0,
        'nvlink3': 300.0,
        'pcie5': 63.015,
        'pcie4': 31.508,
        'ndr': 50.0,
        '100gbe': 12.5,
        '25gbe': 3.125,
    }
    assert all(link.source for link in LINKS.values())
    assert link_rate('ndr') == 50e9 and link_rate('42.5') == 42.5e9


@pytest.mark.parametrize('text', ['infiniband', '0', '-3', 'inf', 'nan', ''])
def test_an_unknown_connection_is_refused(text):
    with pytest.raises(ValueError, match=r'nvlink4.*GB/s'):
        link_rate(text)


@pytest.mark.parametrize(
    ('changes', 'name'),
    [
        (dict(work=WORK._replace(nbytes=0)), 'nbytes'),
        (dict(work=WORK._replace(last=101e6)), 'last'),
        (dict(work=WORK._replace(overlap=1.0)), 'overlap'),
        (dict(cluster=CLUSTER._replace(reached=1.5)), 'reached'),
        (dict(cluster=CLUSTER._replace(between=0.0)), 'between'),
        (dict(cluster=CLUSTER._replace(latency=-1.0)), 'latency'),
        (dict(step=0.0), 'step'),
        (dict(target=1.0), 'target'),
        (dict(gpus=[0]), 'number of GPUs'),
    ],
)
def test_figures_outside_their_range_are_refused(changes, name):
    arguments = dict(gpus=GPUS, work=WORK, cluster=CLUSTER) | changes
    with pytest.raises(ValueError, match=name):
        scaling_table(**arguments)

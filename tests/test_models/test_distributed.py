"""Two processes on gloo equal one process on the joined batch, where mathematics says so."""

import pytest
import torch
import torch.multiprocessing as mp

from tests.small_models import grads, sgd, total, weights
from tests.test_models import ddp_worker

EVERY_VARIANT = pytest.mark.parametrize('variant', ddp_worker.VARIANTS)
ACCUMULATING = [name for name in ddp_worker.VARIANTS if name != 'static-graph']


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What both processes have computed, scenario by scenario."""
    folder = tmp_path_factory.mktemp('ddp')
    mp.spawn(ddp_worker.main, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'{rank}.pt', weights_only=False) for rank in range(2)]


@pytest.fixture(scope='module')
def joined():
    """One process on the joined batch: gradients of the first step, weights after the last."""
    model = ddp_worker.fix_pairs(ddp_worker.small_model(False), *ddp_worker.joined_pairs())
    optimizer, first = sgd(model), None
    for step in range(ddp_worker.STEPS):
        optimizer.zero_grad()
        total(model.loss(*ddp_worker.joined_batch(step))).backward()
        first = first or grads(model)
        optimizer.step()
    return dict(grads=first, weights=weights(model))


def assert_same(one, other, rtol=1e-5, atol=1e-10):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if value is None:
            assert other[name] is None, name
        else:
            torch.testing.assert_close(value, other[name], rtol=rtol, atol=atol, msg=name)


@EVERY_VARIANT
def test_gradients_are_those_of_the_joined_batch(results, joined, variant):
    for rank in range(2):
        assert_same(results[rank]['same_mathematics', variant]['grads'], joined['grads'])


@EVERY_VARIANT
def test_q_block_and_k_after_several_steps_are_those_of_the_joined_batch(results, joined, variant):
    ours = results[0]['same_mathematics', variant]['weights']
    expected = joined['weights']
    start = weights(ddp_worker.small_model())
    for name, value in expected.items():
        if name.split('.')[0] in ('q', 'k', 'mixer') and value.is_floating_point():
            torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-9, msg=name)
    assert ours['k.updates.count'] == ddp_worker.STEPS
    assert not torch.equal(expected['k.backbone.conv1.weight'], start['k.backbone.conv1.weight'])


@pytest.mark.parametrize(
    ('scenario', 'variant'),
    [
        *(('same_mathematics', name) for name in ddp_worker.VARIANTS),
        *(('accumulated', name) for name in ACCUMULATING),
    ],
)
def test_both_processes_have_the_same_weights(results, scenario, variant):
    one, other = (result[scenario, variant]['weights'] for result in results)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize('scenario', ['same_mathematics', 'accumulated'])
def test_branchwise_equals_the_plain_sum_between_processes(results, scenario):
    one, other = (results[0][scenario, mode]['weights'] for mode in ('branchwise', 'plain'))
    assert_same(one, other, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ('scenario', 'variant'),
    [
        ('same_mathematics', 'config'),
        ('accumulated', 'config'),
        ('same_mathematics', 'static-graph'),
    ],
)
def test_the_ways_of_the_wrapper_change_nothing(results, scenario, variant):
    """Views into buckets, a static graph: the same numbers, also with accumulated batches."""
    one, other = (results[0][scenario, name]['weights'] for name in (variant, 'branchwise'))
    assert_same(one, other, rtol=1e-12, atol=1e-12)


def test_static_graph_does_not_accumulate(results):
    """Once torch can, the configs may turn it on."""
    for result in results:
        assert 'expect_autograd_hooks_' in result['accumulated', 'static-graph']['error']


def test_the_configs_keep_gradients_in_buckets_and_buffers_apart():
    _, flags = ddp_worker.VARIANTS['config']
    assert flags['gradient_as_bucket_view'] is True
    assert flags['broadcast_buffers'] is False and flags['find_unused_parameters'] is False
    assert not flags.get('static_graph', False)


@pytest.mark.parametrize('variant', ACCUMULATING)
def test_accumulated_batches_move_k_once_per_step(results, variant):
    assert results[0]['accumulated', variant]['updates'] == 2


@EVERY_VARIANT
def test_ranks_draw_their_own_pairs(results, variant):
    one, other = (result['own_draws', variant] for result in results)
    assert not (one['lams'] == other['lams']).any()
    assert not torch.equal(one['partners'], other['partners'])


@EVERY_VARIANT
def test_ranks_with_their_own_pairs_stay_one_model(results, variant):
    one, other = (result['own_draws', variant] for result in results)
    for name, value in one['parameters'].items():
        assert torch.equal(value, other['parameters'][name]), name
    assert one['updates'] == other['updates'] == ddp_worker.STEPS


def test_the_training_step_of_the_wrapper_moves_k(results):
    """The host's distributed wrapper has a train_step of its own."""
    found = results[0]['own_draws', 'branchwise']['parameters']
    start = dict(ddp_worker.classifier(momentum=dict(momentum=0.2)).named_parameters())
    for name in ('k.backbone.conv1.weight', 'k.heads.mix.fc.weight', 'mixer.own_projection.weight'):
        assert not torch.equal(found[name], start[name]), name


@pytest.mark.parametrize('buffers', ddp_worker.BUFFERS)
def test_synchronised_norms_see_the_joined_batch(results, buffers):
    """With SyncBN two halves are one batch: weights and running statistics, q's and k's."""
    model = ddp_worker.fix_pairs(ddp_worker.norm_model(buffers), *ddp_worker.joined_pairs())
    optimizer, first = sgd(model), None
    for step in range(ddp_worker.STEPS):
        optimizer.zero_grad()
        total(model.loss(*ddp_worker.joined_batch(step))).backward()
        first = first or grads(model)
        optimizer.step()
    expected = weights(model)
    statistics = [name for name in expected if 'running' in name]
    assert {name[0] for name in statistics} == {'q', 'k'}
    for result in results:
        found = result['synchronised', buffers]
        assert 'SyncBatchNorm' in found['kinds'] and 'BatchNorm2d' not in found['kinds']
        assert_same(found['grads'], first, atol=1e-9)
        for name in (*statistics, *dict(model.named_parameters())):
            torch.testing.assert_close(
                found['weights'][name], expected[name], rtol=1e-5, atol=1e-8, msg=name
            )

"""Two processes on gloo equal one process on the joined batch, where mathematics says so."""

import socket

import pytest
import torch
import torch.multiprocessing as mp

from tests.small_models import grads, sgd, total, weights
from tests.test_models import ddp_worker

MODES = pytest.mark.parametrize('branchwise', [True, False], ids=['branchwise', 'plain'])


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What both processes have computed, scenario by scenario."""
    folder = tmp_path_factory.mktemp('ddp')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.spawn(ddp_worker.main, args=(port, str(folder)), nprocs=2)
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


@MODES
def test_gradients_are_those_of_the_joined_batch(results, joined, branchwise):
    for rank in range(2):
        assert_same(results[rank]['same_mathematics', branchwise]['grads'], joined['grads'])


@MODES
def test_q_block_and_k_after_several_steps_are_those_of_the_joined_batch(
    results, joined, branchwise
):
    ours = results[0]['same_mathematics', branchwise]['weights']
    expected = joined['weights']
    start = weights(ddp_worker.small_model())
    for name, value in expected.items():
        if name.split('.')[0] in ('q', 'k', 'mixer') and value.is_floating_point():
            torch.testing.assert_close(ours[name], value, rtol=1e-5, atol=1e-9, msg=name)
    assert ours['k.updates.count'] == ddp_worker.STEPS
    assert not torch.equal(expected['k.backbone.conv1.weight'], start['k.backbone.conv1.weight'])


@MODES
@pytest.mark.parametrize('scenario', ['same_mathematics', 'accumulated'])
def test_both_processes_have_the_same_weights(results, scenario, branchwise):
    one, other = (result[scenario, branchwise]['weights'] for result in results)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize('scenario', ['same_mathematics', 'accumulated'])
def test_branchwise_equals_the_plain_sum_between_processes(results, scenario):
    one, other = (results[0][scenario, mode]['weights'] for mode in (True, False))
    assert_same(one, other, rtol=1e-5, atol=1e-9)


@MODES
def test_accumulated_batches_move_k_once_per_step(results, branchwise):
    assert results[0]['accumulated', branchwise]['updates'] == 2


@MODES
def test_ranks_draw_their_own_pairs(results, branchwise):
    one, other = (result['own_draws', branchwise] for result in results)
    assert not (one['lams'] == other['lams']).any()
    assert not torch.equal(one['partners'], other['partners'])


@MODES
def test_ranks_with_their_own_pairs_stay_one_model(results, branchwise):
    one, other = (result['own_draws', branchwise] for result in results)
    for name, value in one['parameters'].items():
        assert torch.equal(value, other['parameters'][name]), name
    assert one['updates'] == other['updates'] == ddp_worker.STEPS


def test_the_training_step_of_the_wrapper_moves_k(results):
    """The host's distributed wrapper has a train_step of its own."""
    found = results[0]['own_draws', True]['parameters']
    start = dict(ddp_worker.classifier(momentum=dict(momentum=0.2)).named_parameters())
    for name in ('k.backbone.conv1.weight', 'k.heads.mix.fc.weight', 'mixer.own_projection.weight'):
        assert not torch.equal(found[name], start[name]), name

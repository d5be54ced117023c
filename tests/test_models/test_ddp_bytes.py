"""DDP sends the gradients of q and of the mixer, each byte once, and nothing of k."""

import pytest
import torch
import torch.multiprocessing as mp

from tests.test_models import ddp_bytes_worker
from tests.test_models.ddp_bytes_worker import CASES, STEPS

COUNTED = (*CASES, 'vanilla', 'bucket-view', 'static-graph')
EVERY_CASE = pytest.mark.parametrize('case', COUNTED)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What both processes have counted, case by case."""
    folder = tmp_path_factory.mktemp('ddp_bytes')
    mp.spawn(ddp_bytes_worker.main, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'{rank}.pt', weights_only=False) for rank in range(2)]


def trained(found):
    """Bytes of the parameters that are trained: all children but k."""
    return sum(nbytes for name, nbytes in found['parameters'].items() if name != 'k')


@pytest.mark.parametrize('case', ['automix', 'plain-sum', 'bucket-view', 'static-graph'])
def test_every_step_all_reduces_q_and_the_block_and_nothing_else(results, case):
    for result in results:
        found = result[case]
        q, k, block = (found['parameters'][name] for name in ('q', 'k', 'mixer'))
        assert k == q > block > 0
        assert found['buckets'] == [q + block] * STEPS
        # Static graph tells the other processes once which parameters are used.
        once = 4 * len(found['trained']) if case == 'static-graph' else 0
        assert [step['allreduce'] for step in found['steps']] == [
            q + block + once,
            *[q + block] * (STEPS - 1),
        ]


@EVERY_CASE
def test_the_buckets_hold_what_is_trained(results, case):
    for result in results:
        found = result[case]
        assert found['buckets'] == [trained(found)] * STEPS
        assert found['names'] == found['trained']
        assert not [name for name in found['names'] if name.startswith('k.')]


@pytest.mark.parametrize(
    ('case', 'children'),
    [
        ('without-momentum', {'q', 'mixer'}),
        ('pixel-mixer', {'q', 'k'}),
        ('pixel-mixer-alone', {'q'}),
        ('vanilla', {'backbone', 'head'}),
    ],
)
def test_other_pipelines_send_what_they_train(results, case, children):
    found = results[0][case]
    assert found['parameters'].keys() == children
    assert found['steps'][0] == dict(allreduce=trained(found))


@EVERY_CASE
def test_nothing_but_all_reduces_is_sent_once_the_buckets_are_ordered(results, case):
    """After its first step DDP tells the other processes the new order of its buckets."""
    for result in results:
        steps = result[case]['steps']
        assert steps[-1].keys() == {'allreduce'}
        ordering = sum(step.get('broadcast', 0) for step in steps)
        assert 0 < ordering <= 4 * len(result[case]['trained']) + 16
        assert {kind for step in steps for kind in step} <= {'allreduce', 'broadcast'}


@EVERY_CASE
def test_the_start_sends_all_parameters_once(results, case):
    """Those of k, too: all processes begin as the first one. Buffers stay where they are."""
    found = results[0][case]
    parameters = sum(found['parameters'].values())
    assert found['start'].keys() == {'allgather', 'broadcast'}
    assert found['start']['allgather'] == 8  # how many parameters there are
    shapes = found['start']['broadcast'] - parameters
    assert 0 < shapes <= 8 * 8 * len(found['trained'])


def test_accumulated_batches_send_once_per_optimizer_step(results):
    for result in results:
        found = result['automix']
        assert result['accumulated'] == [0, trained(found)] * 2


def test_the_meter_sees_collectives_of_any_caller(results):
    assert results[0]['meter'] == [('allreduce', 32), ('broadcast', 32), ('allgather', 32)]

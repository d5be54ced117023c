"""What one of two processes does in the tests of the bytes that DDP sends."""

import logging
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from automix_mm.analysis.communication import (
    CommunicationMeter,
    GradientCount,
    parameter_bytes,
)
from tests.small_models import batch, classifier, plain_classifier, sgd

STEPS = 4
PIXEL = dict(type='automix_mm.CutMix', alpha=1.0)
CASES = {
    'automix': {},
    'without-momentum': dict(momentum=None),
    'pixel-mixer': dict(mixer=PIXEL),
    'pixel-mixer-alone': dict(mixer=PIXEL, momentum=None, onehot=False),
    'plain-sum': dict(train_cfg=dict(branchwise=False)),
}


def built(case):
    if case == 'vanilla':
        return plain_classifier().train()
    return classifier(**CASES[case])


def count(rank, case, **flags):
    """Bytes of a whole training: at the start, in each step, in each step's buckets."""
    model = built(case)
    with CommunicationMeter() as start:
        ddp = MMDistributedDataParallel(
            module=model, device_ids=None, broadcast_buffers=False, **flags
        )
    gradients, wrapper, steps, buckets = GradientCount(ddp), OptimWrapper(sgd(model)), [], []
    for step in range(STEPS):
        gradients.reset()
        images, data_samples = batch(4, seed=10 * step + rank)
        with CommunicationMeter() as meter:
            ddp.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
        steps.append(meter.totals())
        buckets.append(gradients.nbytes)
    return dict(
        start=start.totals(),
        steps=steps,
        buckets=buckets,
        names=gradients.names,
        parameters=parameter_bytes(model),
        trained={name for name, param in model.named_parameters() if param.requires_grad},
    )


def accumulated(rank):
    """Two batches per optimizer step: bytes of each batch."""
    model = built('automix')
    ddp = MMDistributedDataParallel(
        module=model, device_ids=None, broadcast_buffers=False, gradient_as_bucket_view=True
    )
    wrapper, found = OptimWrapper(sgd(model), accumulative_counts=2), []
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(4):
        images, data_samples = batch(4, seed=10 * step + rank)
        with CommunicationMeter() as meter:
            ddp.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
        found.append(meter.bytes_of('allreduce'))
    return found


def seen_by_the_meter():
    """Bytes of the collectives that nobody but this test calls."""
    eight = torch.zeros(8)
    with CommunicationMeter() as meter:
        dist.all_reduce(eight)
        dist.broadcast(eight, 0)
        dist.all_gather([torch.zeros(8), torch.zeros(8)], eight)
        dist.barrier()
    return meter.calls


def main(rank, folder):
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # A file, because a free port may be taken before it is used.
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2)
    results = {case: count(rank, case) for case in (*CASES, 'vanilla')}
    results['bucket-view'] = count(rank, 'automix', gradient_as_bucket_view=True)
    results['static-graph'] = count(rank, 'automix', static_graph=True)
    results['accumulated'] = accumulated(rank)
    results['meter'] = seen_by_the_meter()
    torch.save(results, Path(folder) / f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

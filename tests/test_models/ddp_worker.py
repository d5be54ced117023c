"""What one of two processes does in the distributed tests; imported by the spawned process."""

import logging
import os
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper

from automix_mm.mixing import Pair
from tests.small_models import GROUP_NORM, batch, classifier, fix_pairs, grads, sgd, total, weights

NUM = 4  # images per process
STEPS = 3
MASK_LOSS = dict(mask_loss=dict(weight=5.0, margin=0.0))


def local_pairs(rank):
    """An encoder pair and a block pair whose partners stay inside the process."""
    source = torch.Generator().manual_seed(100 + rank)
    return [
        Pair(
            torch.rand(NUM, generator=source, dtype=torch.float64),
            torch.randperm(NUM, generator=source),
        )
        for _ in range(2)
    ]


def joined_pairs():
    """The pairs of both processes as pairs of the joined batch."""
    return [
        Pair(torch.cat([a.lam, b.lam]), torch.cat([a.partner, b.partner + NUM]))
        for a, b in zip(local_pairs(0), local_pairs(1), strict=True)
    ]


def local_batch(rank, step):
    return batch(NUM, seed=10 * step + rank, dtype=torch.float64)


def joined_batch(step):
    (x0, s0), (x1, s1) = local_batch(0, step), local_batch(1, step)
    return torch.cat([x0, x1]), s0 + s1


def small_model(branchwise=True):
    """Norms that treat each sample alone, float64, momentum large enough to see."""
    return classifier(
        dict(GROUP_NORM),
        mixer=MASK_LOSS,
        momentum=dict(momentum=0.2, end=0.1, max_steps=STEPS),
        train_cfg=dict(branchwise=branchwise),
    ).double()


def wrapped(model):
    return MMDistributedDataParallel(module=model, device_ids=None, broadcast_buffers=False)


def same_mathematics(rank, branchwise):
    """Gradients of the first step and all weights after the last one."""
    model = fix_pairs(small_model(branchwise), *local_pairs(rank))
    ddp, optimizer, first = wrapped(model), sgd(model), None
    for step in range(STEPS):
        optimizer.zero_grad()
        images, data_samples = local_batch(rank, step)
        total(ddp(images, data_samples, mode='loss')).backward()
        first = first or grads(model)
        optimizer.step()
    return dict(grads=first, weights=weights(model))


def accumulated(rank, branchwise):
    """Two batches per step, the first of them without communication."""
    model = fix_pairs(small_model(branchwise), *local_pairs(rank))
    ddp, wrapper = wrapped(model), OptimWrapper(sgd(model), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(4):
        with wrapper.optim_context(ddp):
            images, data_samples = local_batch(rank, step)
            losses = ddp(images, data_samples, mode='loss')
        wrapper.update_params(total(losses))
    return dict(weights=weights(model), updates=model.k.updates.value())


def own_draws(rank, branchwise):
    """The host's training step with BatchNorm and the ranks' own pairs."""
    model = classifier(
        momentum=dict(momentum=0.2), train_cfg=dict(branchwise=branchwise), mixer=MASK_LOSS
    )
    draw, lams, partners = model.draws, [], []

    def spy(images):
        pairs = draw(images)
        lams.extend(pair.lam for pair in pairs)
        partners.extend(pair.partner for pair in pairs)
        return pairs

    model.draws = spy
    ddp, wrapper = wrapped(model), OptimWrapper(sgd(model))
    for step in range(STEPS):
        images, data_samples = batch(NUM, seed=10 * step + rank)
        ddp.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
    return dict(
        lams=torch.stack(lams),
        partners=torch.stack(partners),
        parameters={n: p.detach().clone() for n, p in model.named_parameters()},
        updates=model.k.updates.value(),
    )


def main(rank, port, folder):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    dist.init_process_group('gloo', rank=rank, world_size=2)
    results = {}
    for branchwise in (True, False):
        for scenario in (same_mathematics, accumulated, own_draws):
            results[scenario.__name__, branchwise] = scenario(rank, branchwise)
    torch.save(results, Path(folder) / f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

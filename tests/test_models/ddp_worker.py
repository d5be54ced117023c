"""What one of two processes does in the distributed tests; imported by the spawned process."""

import logging
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm
from mmengine.optim import OptimWrapper
from torch.distributed.nn.functional import all_reduce

from automix_mm.mixing import Pair
from tests.small_models import GROUP_NORM, batch, classifier, fix_pairs, grads, sgd, total, weights

NUM = 4  # images per process
STEPS = 3
BUFFERS = ('clean', 'copy', 'own')
MASK_LOSS = dict(mask_loss=dict(weight=5.0, margin=0.0))

RUNTIME = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/default_runtime_automix.py')
#: Whether branch by branch, and what the wrapper gets besides what every wrapper here gets.
VARIANTS = {
    'branchwise': (True, {}),
    'plain': (False, {}),
    'config': (True, {k: v for k, v in RUNTIME.model_wrapper_cfg.items() if k != 'type'}),
    'static-graph': (True, dict(static_graph=True, gradient_as_bucket_view=True)),
}


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


def wrapped(model, **flags):
    flags = dict(device_ids=None, broadcast_buffers=False) | flags
    return MMDistributedDataParallel(module=model, **flags)


def same_mathematics(rank, branchwise, **flags):
    """Gradients of the first step and all weights after the last one."""
    model = fix_pairs(small_model(branchwise), *local_pairs(rank))
    ddp, optimizer, first = wrapped(model, **flags), sgd(model), None
    for step in range(STEPS):
        optimizer.zero_grad()
        images, data_samples = local_batch(rank, step)
        total(ddp(images, data_samples, mode='loss')).backward()
        first = first or grads(model)
        optimizer.step()
    return dict(grads=first, weights=weights(model))


def accumulated(rank, branchwise, **flags):
    """Two batches per step, the first of them without communication."""
    if flags.get('static_graph'):
        return static_graph_without_communication(rank)
    model = fix_pairs(small_model(branchwise), *local_pairs(rank))
    ddp, wrapper = wrapped(model, **flags), OptimWrapper(sgd(model), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    for step in range(4):
        with wrapper.optim_context(ddp):
            images, data_samples = local_batch(rank, step)
            losses = ddp(images, data_samples, mode='loss')
        wrapper.update_params(total(losses))
    return dict(weights=weights(model), updates=model.k.updates.value())


def static_graph_without_communication(rank):
    """What torch says of a first backward pass without communication."""
    ddp = wrapped(small_model(), static_graph=True)
    try:
        with ddp.no_sync():
            total(ddp(*local_batch(rank, 0), mode='loss')).backward()
    except RuntimeError as error:
        return dict(error=str(error))
    return dict(error=None)


def synchronised(rank, buffers):
    """The host's SyncBN, its arithmetic written out for the CPU, on the ranks' halves."""
    torch.nn.SyncBatchNorm.forward = sync_batch_norm
    MMDistributedDataParallel._passing_sync_batchnorm_handle = lambda ddp, module: None  # no GPU
    model = fix_pairs(norm_model(buffers), *local_pairs(rank))
    ddp, optimizer, first = wrapped(convert_sync_batchnorm(model)), sgd(model), None
    kinds = {type(layer).__name__ for layer in model.modules()}
    for step in range(STEPS):
        optimizer.zero_grad()
        total(ddp(*local_batch(rank, step), mode='loss')).backward()
        first = first or grads(model)
        optimizer.step()
    return dict(grads=first, weights=weights(model), kinds=kinds)


def norm_model(buffers):
    """BatchNorm in float64; k's running statistics come from where ``buffers`` says."""
    momentum = dict(momentum=0.2, end=0.2, buffers=buffers, clean_interval=2)
    return classifier(mixer=MASK_LOSS, momentum=momentum).double()


def sync_batch_norm(layer, images):
    """Normalise by the statistics of all processes; torch's own kernel asks for a GPU."""
    assert layer.training
    dims, world = (0, 2, 3), dist.get_world_size()
    own = torch.stack([images.mean(dims), images.square().mean(dims)])
    mean, square = all_reduce(own) / world
    var = square - mean.square()
    if layer.track_running_stats:
        count = world * images.numel() / images.shape[1]
        with torch.no_grad():
            layer.running_mean.lerp_(mean, layer.momentum)
            layer.running_var.lerp_(var * count / (count - 1), layer.momentum)
            layer.num_batches_tracked.add_(1)
    columns = [v.view(1, -1, 1, 1) for v in (mean, var + layer.eps, layer.weight, layer.bias)]
    return (images - columns[0]) * columns[1].rsqrt() * columns[2] + columns[3]


def own_draws(rank, branchwise, **flags):
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
    ddp, wrapper = wrapped(model, **flags), OptimWrapper(sgd(model))
    for step in range(STEPS):
        images, data_samples = batch(NUM, seed=10 * step + rank)
        ddp.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
    return dict(
        lams=torch.stack(lams),
        partners=torch.stack(partners),
        parameters={n: p.detach().clone() for n, p in model.named_parameters()},
        updates=model.k.updates.value(),
    )


def main(rank, folder):
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # A file, because a free port may be taken before it is used.
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2)
    results = {}
    for variant, (branchwise, flags) in VARIANTS.items():
        for scenario in (same_mathematics, accumulated, own_draws):
            results[scenario.__name__, variant] = scenario(rank, branchwise, **flags)
    for buffers in BUFFERS:
        results['synchronised', buffers] = synchronised(rank, buffers)
    torch.save(results, Path(folder) / f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

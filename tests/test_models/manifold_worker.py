"""What one of two processes does in the distributed tests of ManifoldMix."""

import logging
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper

from automix_mm.mixing import Pair
from automix_mm.models.mixers.manifold_mix import LayerDraw
from tests.small_models import GROUP_NORM, batch, classifier, fix_pairs, grads, sgd, total, weights
from tests.test_models.ddp_worker import NUM, local_batch, local_pairs, wrapped

STEPS = 4
LAYERS = ('input', 'stem', 0, 1)
MODES = {
    'none': dict(momentum=None, onehot=False),
    'momentum-onehot': dict(momentum=dict(momentum=0.2, end=0.1, max_steps=STEPS), onehot=True),
}


def small_model(mode, **fields):
    """Norms that treat each sample alone, float64."""
    fields = MODES[mode] | fields
    mixer = dict(type='automix_mm.ManifoldMix', layers=LAYERS)
    return classifier(dict(GROUP_NORM), mixer=mixer, **fields).double()


def draw_of(rank, layer):
    """The first pair of the rank, exact in float32, mixed at this layer."""
    pair = local_pairs(rank)[0]
    return LayerDraw(Pair((pair.lam * 64).round() / 64, pair.partner), layer)


def joined_draw(layer):
    (one, _), (other, _) = draw_of(0, layer), draw_of(1, layer)
    pair = Pair(torch.cat([one.lam, other.lam]), torch.cat([one.partner, other.partner + NUM]))
    return LayerDraw(pair, layer)


def same_mathematics(rank, mode):
    """Gradients of every step and all weights after the last one; a layer per step."""
    model = small_model(mode)
    ddp, optimizer, found = wrapped(model), sgd(model), []
    for step in range(STEPS):
        draw = draw_of(rank, step)
        fix_pairs(model, draw, draw)
        optimizer.zero_grad()
        images, data_samples = local_batch(rank, step)
        total(ddp(images, data_samples, mode='loss')).backward()
        found.append(grads(model))
        optimizer.step()
    return dict(grads=found, weights=weights(model))


def own_draws(rank, mode):
    """The host's training step with BatchNorm and the ranks' own layers."""
    mixer = dict(type='automix_mm.ManifoldMix', layers=LAYERS)
    model = classifier(mixer=mixer, **MODES[mode])
    draw, drawn = model.draws, []
    model.draws = lambda images: drawn.append(draw(images)) or drawn[-1]
    ddp, wrapper = wrapped(model), OptimWrapper(sgd(model))
    for step in range(STEPS):
        images, data_samples = batch(NUM, seed=10 * step + rank)
        ddp.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
    return dict(
        layers=[encoder.layer for encoder, _ in drawn],
        lams=torch.stack([encoder.pair.lam for encoder, _ in drawn]),
        parameters={n: p.detach().clone() for n, p in model.named_parameters()},
    )


def main(rank, folder):
    torch.set_num_threads(1)
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # A file, because a free port may be taken before it is used.
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2)
    results = {}
    for mode in MODES:
        for scenario in (same_mathematics, own_draws):
            results[scenario.__name__, mode] = scenario(rank, mode)
    torch.save(results, Path(folder) / f'{rank}.pt')
    dist.barrier()
    dist.destroy_process_group()

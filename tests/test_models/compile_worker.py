"""What one of two processes does in the test of compiled networks under DDP."""

import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel

from automix_mm.engine.compilation import compile_counts, compile_networks
from automix_mm.engine.memory_layout import use_channels_last
from tests.small_models import batch, classifier, sgd, total, weights

SHORT = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))
STEPS = 4


def train(rank, switched):
    """Weights after some steps, what was compiled in the first two and later, and warnings."""
    model = classifier(SHORT, dict(feature_stage=0), width=16, momentum=dict(clean_interval=3))
    ddp = MMDistributedDataParallel(module=model.double(), device_ids=None, broadcast_buffers=False)
    if switched:
        use_channels_last(ddp)
        compile_networks(ddp, backend='aot_eager')
    optimizer, counts = sgd(model), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        for seed in range(STEPS):
            optimizer.zero_grad()
            images, data_samples = batch(seed=10 * seed + rank, dtype=torch.float64)
            total(ddp(images, data_samples, mode='loss')).backward()
            optimizer.step()
            counts.append(tuple(compile_counts()))
    return dict(weights=weights(model), counts=counts, warnings=[str(w.message) for w in caught])


def main(rank, folder):
    """Entry of a spawned process."""
    torch.set_num_threads(1)
    # A file, because a free port may be taken before it is used.
    meeting = f'file://{folder}/meeting'
    dist.init_process_group('gloo', init_method=meeting, rank=rank, world_size=2)
    results = {switched: train(rank, switched) for switched in (False, True)}
    torch.save(results, Path(folder) / f'{rank}.pt')
    dist.destroy_process_group()

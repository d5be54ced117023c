"""Generators of what is drawn batch by batch outside the classifier."""

import torch
from mmengine.dist import get_rank

from automix_mm.mixing import stream_seed


def batch_generator(device: torch.device) -> torch.Generator:
    """Return a generator for one batch, on its device.

    It takes one number of torch's global generator, which the host seeds alike on every rank and
    which therefore stays in step on all of them; the rank makes the draws differ.

    Args:
        device (torch.device): Where the batch is.
    """
    seed = int(torch.randint(1 << 62, ()))
    return torch.Generator(device).manual_seed(stream_seed(seed, get_rank()))

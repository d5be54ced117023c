"""Random draws as a function of the epoch, so that a resumed run repeats them."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from automix_mm.registry import HOOKS


def seed_of(seed: int, epoch: int, iteration: int, rank: int) -> int:
    """Mixes a run's seed and its place in training into one 32-bit seed.

    A hash instead of a sum: with ``seed + epoch`` the second epoch of run 0 would draw what the
    first epoch of run 1 draws.

    Args:
        seed: Seed of the run, any integer.
        epoch: Zero-based epoch about to start.
        iteration: Zero-based iteration about to start.
        rank: Rank of this process.

    Returns:
        An integer in [0, 2**32), the range NumPy accepts.
    """
    text = f'{seed}/{epoch}/{iteration}/{rank}'
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], 'little')


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds ``random``, NumPy and torch anew before each training epoch.

    The host seeds once, at the start of the process: a run that is resumed at epoch 5 would draw
    again what epoch 0 drew. With this hook the draws of the main process (image pipeline with
    ``num_workers=0``, pixel mixers, dropout) depend on seed, epoch, iteration and rank alone, so
    an uninterrupted run and one that was cut at an epoch boundary see the same numbers. Data
    loader workers keep the host's own seeding; the draws of
    :class:`~automix_mm.models.MomentumClassifier` have a generator of their own in the checkpoint.

    An iteration-based loop counts as a single epoch; there a resumed run gets fresh draws instead
    of those of iteration 0.
    """

    def before_train_epoch(self, runner: Runner) -> None:
        """Seeds all generators of this process.

        Args:
            runner: The runner; its ``seed``, ``epoch`` and ``iter`` are used.
        """
        seed = seed_of(runner.seed, runner.epoch, runner.iter, get_rank())
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 -- the host's pipelines draw from the global one
        torch.manual_seed(seed)

"""The draws of an epoch depend on seed, epoch, iteration and rank, and on nothing before it."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from automix_mm.hooks import EpochSeedHook, epoch_seed_hook
from automix_mm.hooks.epoch_seed_hook import seed_of


def draws(seed=0, epoch=0, iteration=0):
    runner = SimpleNamespace(seed=seed, epoch=epoch, iter=iteration)
    EpochSeedHook().before_train_epoch(runner)
    legacy = float(np.random.random())  # noqa: NPY002 -- the generator that pipelines use
    return random.random(), legacy, float(torch.rand(()))


def test_the_same_epoch_draws_the_same_numbers_whatever_came_before():
    first = draws(epoch=3)
    draws(epoch=8)
    assert draws(epoch=3) == first


@pytest.mark.parametrize('change', [dict(seed=1), dict(epoch=1), dict(iteration=1)])
def test_each_generator_depends_on(change):
    for own, other in zip(draws(), draws(**change), strict=True):
        assert own != other


def test_ranks_draw_differently(monkeypatch):
    first = draws()
    monkeypatch.setattr(epoch_seed_hook, 'get_rank', lambda: 1)
    assert all(own != other for own, other in zip(first, draws(), strict=True))


def test_seeds_do_not_collide_along_diagonals():
    seeds = {
        seed_of(seed, epoch, 0, rank)
        for seed in range(10)
        for epoch in range(10)
        for rank in range(10)
    }
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_seed_is_stable_across_versions():
    # A changed value would break the resumption of runs that are under way.
    assert seed_of(0, 0, 0, 0) == int.from_bytes(bytes.fromhex('342868ed'), 'little')


def test_runs_before_each_epoch_of_a_training(make_runner):
    seen = []

    class Spy(EpochSeedHook):
        def before_train_epoch(self, runner):
            super().before_train_epoch(runner)
            seen.append((runner.epoch, runner.iter, torch.initial_seed()))

    make_runner(None, custom_hooks=[Spy()], randomness=dict(seed=4)).train()
    assert seen == [(epoch, 2 * epoch, seed_of(4, epoch, 2 * epoch, 0)) for epoch in range(3)]

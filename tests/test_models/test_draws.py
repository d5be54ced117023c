"""Draws of the classifier: a function of seed, rank and iteration, and of nothing else."""

import pytest
import torch

from automix_mm.models.classifiers import momentum_classifier
from tests.small_models import batch, classifier, sgd, step


def drawn(model, iteration=0, rank=0, monkeypatch=None, num=16):
    if monkeypatch is not None:
        monkeypatch.setattr(momentum_classifier, 'get_rank', lambda: rank)
    model.iterations._value = iteration
    return model.draws(torch.zeros(num, 1, 1, 1))


def same(one, other):
    return all(
        torch.equal(a.lam, b.lam) and torch.equal(a.partner, b.partner)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize('per_sample', [False, True])
def test_encoder_pair_and_block_pair_are_independent(per_sample):
    model = classifier(mixer=dict(pair=dict(alpha=1.0, per_sample=per_sample)))
    lams = []
    for iteration in range(300):
        pair_q, pair_k = drawn(model, iteration)
        assert not torch.equal(pair_q.lam, pair_k.lam)
        assert not torch.equal(pair_q.partner, pair_k.partner)
        lams.append(torch.stack([pair_q.lam.flatten()[0], pair_k.lam.flatten()[0]]))
    assert abs(torch.corrcoef(torch.stack(lams).T)[0, 1]) < 5 / 300**0.5


def test_iterations_differ_and_are_reproducible():
    model = classifier(seed=3)
    first = [drawn(model, i) for i in range(20)]
    assert len({tuple(pairs[0].lam.tolist()) for pairs in first}) == 20
    torch.manual_seed(77)
    torch.rand(5)
    again = classifier(seed=3)
    assert all(same(drawn(again, i), pairs) for i, pairs in enumerate(first))


def test_ranks_differ(monkeypatch):
    model = classifier()
    by_rank = [drawn(model, 5, rank, monkeypatch) for rank in range(8)]
    assert len({tuple(pairs[0].lam.tolist()) for pairs in by_rank}) == 8
    assert len({tuple(pairs[1].partner.tolist()) for pairs in by_rank}) == 8
    assert same(drawn(model, 5, 3, monkeypatch), by_rank[3])


def test_ranks_never_repeat_each_other_later(monkeypatch):
    """Rank 1 at iteration 0 is not rank 0 at iteration 1, as with seed + rank + iteration."""
    model = classifier()
    lams = {
        tuple(drawn(model, i, r, monkeypatch)[0].lam.tolist()) for i in range(20) for r in range(4)
    }
    assert len(lams) == 80


def test_the_seed_of_the_process_decides():
    one, other = classifier(seed=1), classifier(seed=2)
    assert not same(drawn(one), drawn(other))


def test_the_global_generator_is_left_alone():
    model = classifier()
    before = torch.get_rng_state()
    drawn(model)
    assert torch.equal(before, torch.get_rng_state())


def test_the_loss_takes_the_next_draw_each_iteration(monkeypatch):
    model, taken = classifier(), []
    draw = model.draws
    monkeypatch.setattr(model, 'draws', lambda x: taken.append(draw(x)) or taken[-1])
    optimizer = sgd(model)
    for seed in range(3):
        step(model, optimizer, *batch(seed=seed))
    fresh = classifier()
    for iteration, pairs in enumerate(taken):
        assert same(drawn(fresh, iteration, num=6), pairs)


def test_reading_a_batch_in_evaluation_draws_nothing():
    model = classifier().eval()
    model(batch()[0])
    model.predict(*batch())
    assert model.iterations.value() == 0


def test_state_that_is_loaded_decides_about_the_next_draw():
    """Also in a classifier that has drawn before, with another seed."""
    one, other = classifier(seed=1), classifier(seed=2)
    step(one, sgd(one), *batch())
    step(other, sgd(other), *batch())
    step(other, sgd(other), *batch())
    other.load_state_dict(one.state_dict())
    images = batch()[0]
    assert other.iterations.value() == 1
    assert same(one.draws(images), other.draws(images))

"""Drawing of pairs: distribution, independence, edge cases."""

import math

import pytest
import torch
from scipy import stats

from automix_mm.mixing import Pair, PairSampler, stream_seed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(alpha, per_sample, num=4000):
    """``num`` draws of lam, as one batch or as that many batches."""
    source = generator(7)
    sampler = PairSampler(alpha, per_sample)
    if per_sample:
        return sampler.draw(num, source).lam.double()
    return torch.stack([sampler.draw(2, source).lam for _ in range(num)]).double()


@pytest.mark.parametrize('per_sample', [False, True])
@pytest.mark.parametrize('alpha', [0.2, 0.5, 1.0, 2.0, 4.0])
def test_lam_is_beta_distributed(alpha, per_sample):
    lam = draws(alpha, per_sample)
    variance = 1 / (4 * (2 * alpha + 1))
    assert lam.mean() == pytest.approx(0.5, abs=5 * math.sqrt(variance / len(lam)))
    assert lam.var() == pytest.approx(variance, rel=0.1)
    assert stats.kstest(lam.numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_another_alpha_would_be_noticed():
    lam = draws(2.0, per_sample=True)
    assert stats.kstest(lam.numpy(), stats.beta(1.5, 1.5).cdf).pvalue < 1e-3


def test_one_lam_for_the_batch_or_one_for_each_sample():
    assert PairSampler(1.0, per_sample=False).draw(6, generator()).lam.shape == ()
    lam = PairSampler(1.0, per_sample=True).draw(6, generator()).lam
    assert lam.shape == (6,)
    assert len(lam.unique()) == 6
    assert lam.dtype == torch.float32


def test_samples_of_one_batch_are_independent():
    source = generator(3)
    sampler = PairSampler(2.0, per_sample=True)
    lam = torch.stack([sampler.draw(2, source).lam for _ in range(4000)])
    assert abs(torch.corrcoef(lam.T)[0, 1]) < 5 / math.sqrt(4000)


def test_partner_is_a_uniform_permutation():
    source = generator(1)
    sampler = PairSampler()
    partners = torch.stack([sampler.draw(5, source).partner for _ in range(3000)])
    assert partners.dtype == torch.long
    assert (partners.sort(1).values == torch.arange(5)).all()
    counts = torch.stack([(partners == value).sum(0) for value in range(5)]).double()
    # Each of the 25 (position, value) counts is binomial with mean 600 and deviation 22.
    assert (counts - 600).abs().max() < 5 * math.sqrt(3000 * 0.2 * 0.8)


@pytest.mark.parametrize('per_sample', [False, True])
def test_a_single_image_stays_itself(per_sample):
    pair = PairSampler(0.5, per_sample).draw(1, generator())
    assert pair.lam.item() == 1
    assert pair.partner.tolist() == [0]


@pytest.mark.parametrize('per_sample', [False, True])
def test_the_generator_is_the_only_source(per_sample):
    sampler = PairSampler(2.0, per_sample)
    first = sampler.draw(16, generator(5))
    before = torch.get_rng_state()
    torch.manual_seed(99)
    again = sampler.draw(16, generator(5))
    other = sampler.draw(16, generator(6))
    assert torch.equal(first.lam, again.lam) and torch.equal(first.partner, again.partner)
    assert not torch.equal(first.lam, other.lam)
    torch.set_rng_state(before)
    sampler.draw(16, generator(5))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize('alpha', [0, -1.0, float('nan'), float('inf')])
def test_bad_alpha_is_named(alpha):
    with pytest.raises(ValueError, match='alpha.*got'):
        PairSampler(alpha)


def test_lam_as_broadcasts_and_takes_the_dtype():
    images = torch.zeros(3, 2, 4, 4, dtype=torch.float64)
    one = Pair(torch.tensor(0.25), torch.arange(3)).lam_as(images)
    many = Pair(torch.tensor([0.1, 0.2, 0.3]), torch.arange(3)).lam_as(images)
    assert one.shape == (1, 1, 1, 1) and many.shape == (3, 1, 1, 1)
    assert one.dtype == many.dtype == torch.float64
    assert torch.equal((images + many)[:, 0, 0, 0].float(), torch.tensor([0.1, 0.2, 0.3]))
    rows = Pair(torch.tensor([0.1, 0.2, 0.3]), torch.arange(3)).lam_as(torch.zeros(3, 10))
    assert rows.shape == (3, 1)


def test_stream_seeds_are_distinct():
    numbers = [
        (seed, rank, step)
        for seed in (0, 1, 2, 1 << 31)
        for rank in range(8)
        for step in range(500)
    ]
    seeds = {stream_seed(*n) for n in numbers}
    assert len(seeds) == len(numbers)
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_stream_seed_depends_on_order_and_number_of_arguments():
    assert stream_seed(1, 2) != stream_seed(2, 1)
    assert len({stream_seed(), stream_seed(0), stream_seed(0, 0), stream_seed(0, 0, 0)}) == 4
    assert stream_seed(3, 4) == stream_seed(3, 4)
    assert stream_seed(-1) != stream_seed(1)


def test_neighbouring_stream_seeds_flip_half_of_the_bits():
    flips = [
        (stream_seed(11, rank, step) ^ stream_seed(11, rank, step + 1)).bit_count()
        for rank in range(4)
        for step in range(500)
    ]
    assert sum(flips) / len(flips) == pytest.approx(31.5, abs=0.5)

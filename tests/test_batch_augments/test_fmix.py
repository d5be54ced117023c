"""FMix: its masks have the share of ones that lam says."""

import math

import pytest
import torch

from automix_mm.batch_augments import FMix
from automix_mm.mixing import Pair
from tests.test_models.test_host_sync import Reads

SIZE = (9, 14)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('fixed', [False, True])
def test_the_share_of_ones_is_lam_rounded_to_whole_pixels_at_random(fixed):
    mixer, total = FMix(fixed=fixed), math.prod(SIZE)
    images, lam = torch.randn(4, 3, *SIZE), torch.tensor(0.37)
    exact, found = 0.37 * total, []
    for seed in range(60):
        mixed = mixer.mix(images, mixer.place(Pair(lam, torch.randperm(4)), SIZE, generator(seed)))
        assert mixed.mask.shape == (1, 1, *SIZE)
        assert set(mixed.mask.unique().tolist()) == {0.0, 1.0}
        assert mixed.pair.lam == lam  # the labels get lam as drawn
        found.append(int(mixed.mask.sum()))
    assert set(found) == {math.floor(exact), math.ceil(exact)}
    assert 15 <= found.count(math.ceil(exact)) <= 45


def test_a_whole_number_of_pixels_stays_as_it_is():
    for seed in range(20):
        draw = FMix().place(Pair(torch.tensor(0.25), torch.arange(2)), (8, 8), generator(seed))
        assert draw.shown == 16


def test_every_pixel_is_of_one_of_the_two():
    images, partner = torch.randn(5, 3, *SIZE), torch.tensor([3, 0, 4, 1, 2])
    mixer = FMix()
    draw = mixer.place(Pair(torch.tensor(0.6), partner), SIZE, generator())
    mixed = mixer.mix(images, draw)
    own = mixed.mask.bool()
    assert torch.equal(mixed.images, torch.where(own, images, images[partner]))
    # The own image is where the noise is highest.
    noise = draw.noise.unsqueeze(1)
    assert noise[own].min() >= noise[~own].max()


def test_one_mask_for_the_batch_or_one_per_sample():
    one = FMix().draw(6, SIZE, generator())
    assert one.noise.shape == (1, *SIZE) and one.pair.lam.dim() == one.shown.dim() == 0
    mixer = FMix(per_sample=True)
    each = mixer.draw(6, SIZE, generator())
    assert each.noise.shape == (6, *SIZE) and each.shown.shape == each.pair.lam.shape == (6,)
    mask = mixer.mix(torch.randn(6, 3, *SIZE), each).mask
    assert torch.equal(mask.sum((1, 2, 3)).long(), each.shown)
    assert ((mask.mean((1, 2, 3)) - each.pair.lam).abs() <= 1 / math.prod(SIZE)).all()


@pytest.mark.parametrize('fixed', [False, True])
def test_masks_are_blobs(fixed):
    """Neighbours are alike far more often than in noise, and the less the decay the less so."""
    alike = []
    for decay in (3.0, 1.0, 0.0):
        mixer = FMix(decay_power=decay, fixed=fixed)
        changes = 0.0
        for seed in range(10):
            pair = Pair(torch.tensor(0.5), torch.arange(2))
            mask = mixer.mix(
                torch.zeros(2, 1, 32, 32), mixer.place(pair, (32, 32), generator(seed))
            ).mask
            changes += float((mask[..., 1:, :] != mask[..., :-1, :]).float().mean()) / 10
        alike.append(changes)
    assert alike[0] < alike[1] < alike[2]
    assert alike[0] < 0.1 and alike[2] > 0.3


def test_drawing_reads_no_value(monkeypatch):
    with Reads(monkeypatch) as reads:
        FMix(prob=0.5).draw(6, SIZE, generator())
        FMix(per_sample=True, fixed=True).draw(6, SIZE, generator())
    assert reads.found == []


@pytest.mark.parametrize('decay', [-1.0, math.inf, math.nan])
def test_bad_fields_are_refused(decay):
    with pytest.raises(ValueError, match='decay_power'):
        FMix(decay_power=decay)
    with pytest.raises(ValueError, match='alpha'):
        FMix(alpha=0.0)

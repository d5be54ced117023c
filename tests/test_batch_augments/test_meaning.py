"""What lam means: how much of the own image shows, and what its label weighs."""

import pytest
import torch

from automix_mm.mixing import Pair, blend, mix_targets
from tests.test_batch_augments.cases import CASES, SIZE, build, generator, look, photos, run

#: The block's mask is free inside the image, but lam_margin pins it where lam is 0 or 1.
PINNED = [c for c in CASES if not c.startswith('MixBlock') or 'lam_margin' in CASES[c][1]]
PINNED_CASE = pytest.mark.parametrize('case', PINNED)
TRUE_CASE = pytest.mark.parametrize('case', [c for c in CASES if not c.startswith('MixBlock')])


def run_pair(mixer, encoder, images, lam, partner, seed=0, seen=None):
    """Mix a given pair."""
    seen = look(mixer, encoder, images) if seen is None else seen
    with torch.no_grad():
        pair = Pair(torch.as_tensor(lam), torch.as_tensor(partner))
        draw = mixer.place(pair, tuple(images.shape[2:]), generator(seed))
        return mixer.mix(images, draw, seen)


def shifted(num):
    return torch.arange(num).roll(1)


# ------------------------------------------------------------------------- lam of 0 and 1


DTYPES = pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str)


@PINNED_CASE
@DTYPES
def test_lam_one_gives_the_own_image(case, dtype, encoder):
    """To the last bit, so that a batch that is not mixed is not blurred either."""
    mixer, images = build(case), photos(6)
    seen = look(mixer, encoder, images)
    for seed in range(3):
        mixed = run_pair(mixer, encoder, images.to(dtype), 1.0, shifted(6), seed, seen)
        assert (mixed.pair.lam == 1).all()
        assert torch.equal(mixed.images, images.to(dtype))


@PINNED_CASE
@DTYPES
def test_lam_zero_gives_the_partner(case, dtype, encoder):
    """Boxes that the border clips leave some of the own image, and its label that much."""
    mixer, images = build(case), photos(6)
    seen = look(mixer, encoder, images)
    clipped = case.startswith(('CutMix', 'SaliencyMix')) or 'clipped' in case
    for seed in range(3):
        mixed = run_pair(mixer, encoder, images.to(dtype), 0.0, shifted(6), seed, seen)
        assert torch.equal(mixed.pair.partner, shifted(6))
        if not clipped:
            assert (mixed.pair.lam == 0).all()
            assert torch.equal(mixed.images, images[shifted(6)].to(dtype))


@PINNED_CASE
def test_label_weights_zero_and_one_show_one_image(case, encoder):
    """Of images so small that a box covers them, whatever lam was asked for."""
    mixer, images = build(case), photos(4, (2, 2) if 'Puzzle' not in case else (8, 8))
    found, seen = {0.0: 0, 1.0: 0}, look(mixer, encoder, images)
    for seed in range(40):
        for lam in (0.0, 1.0):
            mixed = run_pair(mixer, encoder, images, lam, shifted(4), seed, seen)
            label_weights = mixed.pair.lam.expand(4)
            for row, weight in enumerate(label_weights.tolist()):
                if weight in found:
                    found[weight] += 1
                    shown = images[row if weight else shifted(4)[row]]
                    torch.testing.assert_close(mixed.images[row], shown, rtol=1e-6, atol=1e-6)
    assert found[1.0] >= 40
    assert found[0.0] >= 1


#: Largest share of the pixels by which picture and labels may differ.
TOLERANCE = {'FMix': 1 / 240}  # its label weight is lam as drawn, its pixels are whole


@TRUE_CASE
def test_the_mean_pixel_is_the_mean_label(case, encoder):
    """Image i is constant i and has label i: catches an inverted lam, box or partner."""
    mixer, num = build(case), 7
    values = torch.arange(num).float()
    images = values.view(-1, 1, 1, 1).expand(num, 3, *SIZE).contiguous()
    mixed_batches = 0
    for seed in range(20):
        mixed = run(mixer, encoder, images, seed)
        targets = mix_targets(torch.arange(num), mixed.pair, num)
        wrong = (mixed.images.double().mean((1, 2, 3)) - targets.double() @ values.double()).abs()
        apart = (values - values[mixed.pair.partner]).abs()
        tolerance = TOLERANCE.get(CASES[case][0].__name__, 0.0)
        assert (wrong <= apart * tolerance + 1e-5).all(), wrong / apart
        mixed_batches += bool(((mixed.pair.lam > 0) & (mixed.pair.lam < 1)).any())
    assert mixed_batches >= 15


@TRUE_CASE
def test_a_weight_by_hand_is_the_weight_of_the_own_image(case, encoder):
    """A tenth and nine tenths: the label weight of the own image grows with lam."""
    mixer, images = build(case), photos(6)
    small, large = (
        torch.stack(
            [run_pair(mixer, encoder, images, lam, shifted(6), s).pair.lam.mean() for s in range(9)]
        ).mean()
        for lam in (0.1, 0.9)
    )
    assert large > small + 0.2


def test_blending_of_the_block_at_the_ends():
    """The mask at lam 0 and 1 is free, unless lam_margin pins it: then one image shows."""
    images = photos(4)
    pair = Pair(torch.tensor([0.0, 1.0, 0.0, 1.0]), shifted(4))
    mixer, features = build('MixBlock-lam_margin=0.0'), torch.randn(4, 32, 3, 5)
    mixed = mixer.mix(images, pair, features)
    expected = blend(images, pair.partner, pair.lam_as(images))
    assert torch.equal(mixed.images, expected)
    free = build('MixBlock').mix(images, pair, features)
    assert not torch.allclose(free.images, expected, atol=0.1)

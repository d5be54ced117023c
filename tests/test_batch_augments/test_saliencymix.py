"""SaliencyMix: which box, of which image, and what the labels get."""

import pytest
import torch

from automix_mm.batch_augments import SaliencyMix
from automix_mm.mixing import Pair
from automix_mm.mixing.saliency import fine_grained_saliency, most_salient
from tests.test_models.test_host_sync import Reads

SIZE = (20, 30)


def with_spots(*places):
    """An image for each (row, column), grey 0.1 * index with a bright spot there.

    The darkest spot is as salient, but comes last.
    """
    images = torch.zeros(len(places), 3, *SIZE)
    for index, (row, column) in enumerate(places):
        images[index] = 0.1 * index
        images[index, :, row, column] += 5
        images[index, :, -1, -1] -= 5
    return images


IMAGES = with_spots((10, 15), (2, 27), (13, 4), (19, 0))
PARTNER = torch.tensor([2, 0, 3, 1])


def boxes(lam, partner=PARTNER, **fields):
    return SaliencyMix(**fields).find_box(IMAGES, Pair(torch.as_tensor(lam), partner)).tolist()


def test_the_first_partner_sets_the_box_by_hand():
    """Image 2 is the donor, its spot at (13, 4); a quarter of the area has half the sides."""
    assert boxes(0.75) == [13 - 5, 0, 13 + 5, 4 + 7]
    assert boxes(0.75, torch.tensor([1, 3, 0, 2])) == [0, 27 - 7, 2 + 5, 30]


def test_each_partner_sets_its_own_box_by_hand():
    assert boxes(0.75, per_sample=True) == [
        [8, 0, 18, 11],
        [5, 8, 15, 22],
        [14, 0, 20, 7],
        [0, 20, 7, 30],
    ]


def test_a_lam_for_each_sample_gives_each_box_its_own_size():
    lam = [0.75, 1.0, 0.0, 0.96]
    assert boxes(lam, per_sample=True) == [
        [8, 0, 18, 11],
        [10, 15, 10, 15],  # empty
        [0, 0, 20, 30],  # the image
        [0, 24, 4, 30],
    ]
    assert boxes(lam)[0] == [8, 0, 18, 11]  # one donor, sizes of their own
    assert boxes(lam)[3] == [11, 1, 15, 7]


@pytest.mark.parametrize('per_sample', [False, True])
def test_the_box_shows_the_partner_and_the_rest_the_own_image(per_sample):
    mixer = SaliencyMix(per_sample=per_sample)
    pair = Pair(torch.tensor(0.6), PARTNER)
    mixed = mixer.mix(IMAGES, pair)
    found = mixer.find_box(IMAGES, pair).expand(4, 4).tolist()
    for row, (top, left, bottom, right) in enumerate(found):
        expected = IMAGES[row].clone()
        partner = IMAGES[PARTNER[row]]
        expected[:, top:bottom, left:right] = partner[:, top:bottom, left:right]
        assert torch.equal(mixed.images[row], expected)
        lam = 1 - (bottom - top) * (right - left) / (SIZE[0] * SIZE[1])
        assert float(mixed.pair.lam.expand(4)[row]) == pytest.approx(lam)
    assert mixed.pair.lam.shape == ((4,) if per_sample else ())


@pytest.mark.parametrize('per_sample', [False, True])
def test_the_salient_pixel_is_shown(per_sample):
    """However small the box, unless it is empty: it is centred there."""
    images = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mixer = SaliencyMix(per_sample=per_sample)
    y, x = most_salient(fine_grained_saliency(images))
    for seed in range(20):
        draw = mixer.draw(6, (16, 16), torch.Generator().manual_seed(seed))
        top, left, bottom, right = mixer.find_box(images, draw).unbind(-1)
        donor = draw.partner if per_sample else draw.partner[0]
        shown = (top <= y[donor]) & (y[donor] < bottom) & (left <= x[donor]) & (x[donor] < right)
        small = (1 - draw.lam).sqrt() * 16 < 2
        assert (shown | small).all()
        assert draw.lam.shape == ((6,) if per_sample else ())


def test_normalised_images_take_the_same_box():
    images = torch.rand(8, 3, 24, 24, generator=torch.Generator().manual_seed(1)) * 255
    pair = Pair(torch.tensor(0.7), torch.arange(8).roll(1))
    mixer = SaliencyMix(per_sample=True)
    normalised = (images - 124.0) / 58.0
    assert torch.equal(mixer.find_box(images, pair), mixer.find_box(normalised, pair))


def test_the_share_of_mixed_batches():
    mixer = SaliencyMix(prob=0.5)
    mixed = 0
    for seed in range(200):
        draw = mixer.draw(4, SIZE, torch.Generator().manual_seed(seed))
        result = mixer.mix(IMAGES, draw)
        assert torch.equal(result.images, IMAGES) or float(draw.lam) < 1
        mixed += float(draw.lam) < 1
    assert 80 <= mixed <= 120


@pytest.mark.parametrize('per_sample', [False, True])
def test_finding_the_box_reads_nothing_on_the_host(per_sample, monkeypatch):
    """Caches are filled first, as in the first iteration on a device."""
    mixer, pair = SaliencyMix(per_sample=per_sample), Pair(torch.tensor(0.5), PARTNER)
    mixer.find_box(IMAGES, pair)
    with Reads(monkeypatch) as reads:
        mixer.find_box(IMAGES, pair)
    assert reads.found == []


@pytest.mark.parametrize('fields', [dict(alpha=0.0), dict(prob=1.5)], ids=str)
def test_a_field_outside_its_range(fields):
    with pytest.raises(ValueError, match='alpha|prob'):
        SaliencyMix(**fields)

"""ResizeMix: how large and where its partners lie, and the host's own as a variant."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.utils.batch_augments import ResizeMix as HostResizeMix

from automix_mm.batch_augments import ResizeMix
from automix_mm.mixing import Pair, mix_scores
from tests.test_models.test_host_sync import Reads


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def of_scale(mixer, scale, size, num, seed=0):
    """Partners of one side scale at N places."""
    pair = Pair(torch.tensor(1 - scale**2, dtype=torch.float32), torch.arange(num).roll(1))
    return mixer.place(pair, size, generator(seed))


def uniform(values, count):
    """Whether long values in [0, count) are uniform; about one seed in a thousand is not."""
    expected = len(values) / count
    counts = torch.bincount(values, minlength=count)
    assert len(counts) == count
    return float(((counts - expected) ** 2 / expected).sum()) < count - 1 + 5 * (count - 1) ** 0.5


def test_the_side_scale_is_uniform():
    """Largest distance of the distribution functions, Kolmogorov's bound at 0.1 %."""
    mixer, source, num = ResizeMix(scale=(0.1, 0.8)), generator(), 2000
    lams = torch.stack([mixer.sampler.draw(4, source).lam for _ in range(num)])
    scales = ((1 - lams).sqrt().sort().values - 0.1) / 0.7
    distance = (scales - torch.arange(num) / num).abs().max()
    assert distance < 1.95 / num**0.5
    assert scales.min() > -1e-5 and scales.max() < 1 + 1e-5


@pytest.mark.parametrize('size', [(32, 32), (24, 50)])
def test_partners_are_inside_and_uniform_over_all_places(size):
    scale, num = 0.47, 6000
    draw = of_scale(ResizeMix(), scale, size, num)
    height, width = int(size[0] * scale), int(size[1] * scale)
    top, left, bottom, right = draw.box.unbind(1)
    assert (bottom - top == height).all() and (right - left == width).all()
    assert (top >= 0).all() and (left >= 0).all()
    assert (bottom <= size[0]).all() and (right <= size[1]).all()
    assert uniform(top, size[0] - height + 1) and uniform(left, size[1] - width + 1)
    # Independent of each other: quarters of the joint range are equally full, up to 5 deviations.
    near = (top < top.float().median()).float() - (top >= top.float().median()).float()
    west = (left < left.float().median()).float() - (left >= left.float().median()).float()
    assert abs(float(((near - near.mean()) * (west - west.mean())).sum())) < 5 * num**0.5
    pasted = height * width / (size[0] * size[1])
    assert float(draw.pair.lam) == pytest.approx(1 - pasted, abs=1e-6)


def test_shifted_places_follow_the_authors_rule():
    """A uniform centre, moved until the partner fits: the borders hold what was moved there."""
    size, num = (20, 20), 8000
    draw = of_scale(ResizeMix(place='shifted'), 0.5, size, num)
    for low in (draw.box[:, 0], draw.box[:, 1]):
        centers = torch.arange(20)
        expected = torch.bincount((centers - 5).clamp(0, 10), minlength=11) / 20
        found = torch.bincount(low, minlength=11) / num
        assert (found - expected).abs().max() < 4 * (0.3 * 0.7 / num) ** 0.5
    assert (draw.box[:, 2:] - draw.box[:, :2] == 10).all()


def test_the_whole_partner_is_seen():
    """At a side scale of a half, every second pixel of every second row, at its own place."""
    images = torch.randn(5, 3, 12, 8)
    draw = of_scale(ResizeMix(), 0.5, (12, 8), 5)
    mixed = ResizeMix().mix(images, draw).images
    partner = draw.pair.partner
    for i, (top, left, bottom, right) in enumerate(draw.box.tolist()):
        patch = mixed[i, :, top:bottom, left:right].clone()
        assert torch.equal(patch, images[partner[i], :, ::2, ::2])
        rest = mixed[i].clone()
        rest[:, top:bottom, left:right] = images[i, :, top:bottom, left:right]
        assert torch.equal(rest, images[i])
    assert len({tuple(box) for box in draw.box.tolist()}) > 1


def test_the_smallest_partner_is_a_pixel_and_none_without_mixing():
    for size in [(4, 4), (1, 7)]:
        draw = of_scale(ResizeMix(), 0.1, size, 3)
        assert (draw.box[:, 2:] - draw.box[:, :2] == 1).all()
        assert float(draw.pair.lam) == pytest.approx(1 - 1 / (size[0] * size[1]))
        empty = of_scale(ResizeMix(), 0.0, size, 3)
        assert (empty.box[:, 2:] == empty.box[:, :2]).all() and empty.pair.lam == 1


def test_the_hosts_is_a_variant(monkeypatch):
    """Beta mapped into [0.1, 0.8], one clipped box for the batch, bilinear."""
    images, scores, size, lam = torch.randn(6, 3, 32, 24), torch.eye(6), (32, 24), 0.3
    mixer = ResizeMix(place='clipped', interpolation='bilinear', alpha=1.0)
    mapped = torch.tensor(lam * (0.8 - 0.1) + 0.1)
    for seed in range(20):
        pair = Pair(mapped, torch.randperm(6, generator=generator(seed)))
        mixed = mixer.mix(images, mixer.place(pair, size, generator(seed)))
        again = generator(seed)
        centers = [int(torch.randint(end, (), generator=again)) for end in size]
        with monkeypatch.context() as patch:
            patch.setattr(np.random, 'beta', lambda *_: lam)
            patch.setattr(np.random, 'randint', lambda *_, c=centers, **__: np.int64(c.pop(0)))
            patch.setattr(torch, 'randperm', lambda *_, pair=pair: pair.partner)
            host_images, host_scores = HostResizeMix(1.0).mix(images.clone(), scores)
        torch.testing.assert_close(mixed.images, host_images, rtol=0, atol=1e-5)
        torch.testing.assert_close(mix_scores(scores, mixed.pair), host_scores)


def test_the_variants_lam_fills_its_range():
    mixer, source = ResizeMix(alpha=1.0, lam_range=(0.2, 0.6)), generator()
    lams = torch.stack([mixer.sampler.draw(4, source).lam for _ in range(500)])
    assert 0.2 <= lams.min() < 0.21 and 0.59 < lams.max() <= 0.6
    assert float(lams.mean()) == pytest.approx(0.4, abs=0.03)


def test_bilinear_is_torchs():
    images = torch.randn(4, 3, 16, 16)
    draw = of_scale(ResizeMix(), 0.6, (16, 16), 4)
    mixed = ResizeMix(interpolation='bilinear').mix(images, draw).images
    small = F.interpolate(images, (9, 9), mode='bilinear', align_corners=False)
    for i, (top, left, bottom, right) in enumerate(draw.box.tolist()):
        assert torch.equal(mixed[i, :, top:bottom, left:right], small[draw.pair.partner[i]])


@pytest.mark.parametrize('place', ['inside', 'shifted', 'clipped'])
def test_drawing_reads_no_value(place, monkeypatch):
    with Reads(monkeypatch) as reads:
        ResizeMix(place=place, prob=0.5).draw(6, (32, 32), generator())
    assert reads.found == []


@pytest.mark.parametrize(
    'fields',
    [
        dict(scale=(0.0, 0.8)),
        dict(scale=(0.8, 0.1)),
        dict(scale=(0.1, 1.1)),
        dict(lam_range=(-0.1, 0.8), alpha=1.0),
        dict(place='anywhere'),
        dict(interpolation='bicubic'),
        dict(alpha=0.0),
        dict(prob=2.0),
    ],
    ids=str,
)
def test_bad_fields_are_refused(fields):
    name, value = next(iter(fields.items()))
    with pytest.raises(ValueError, match=name) as error:
        ResizeMix(**fields)
    assert str(value) in str(error.value)

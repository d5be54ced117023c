"""CutMix against the host's own, and where its boxes are."""

import numpy as np
import pytest
import torch
from mmpretrain.models.utils.batch_augments import CutMix as HostCutMix

from automix_mm.batch_augments import CutMix
from automix_mm.mixing import Pair, mix_scores
from tests.test_models.test_host_sync import Reads


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def place(mixer, lam, size, source, num=1):
    return mixer.place(Pair(torch.as_tensor(lam), torch.arange(num)), size, source)


@pytest.mark.parametrize('size', [(32, 32), (17, 40), (1, 9)])
def test_equals_the_hosts_for_the_same_pair_and_centre(size, monkeypatch):
    images, scores, source = torch.randn(6, 3, *size), torch.eye(6), generator()
    for seed in range(40):
        lam = torch.rand((), generator=source)
        pair = Pair(lam, torch.randperm(6, generator=source))
        draw = CutMix().place(pair, size, generator(seed))
        mixed = CutMix().mix(images, draw)
        # The host draws the centre's row, then its column, as ours does.
        again = generator(seed)
        centers = [int(torch.randint(end, (), generator=again)) for end in size]
        monkeypatch.setattr(np.random, 'beta', lambda *_, lam=lam: float(lam))
        monkeypatch.setattr(np.random, 'randint', lambda *_, c=centers, **__: np.int64(c.pop(0)))
        with monkeypatch.context() as patch:
            patch.setattr(torch, 'randperm', lambda *_, pair=pair: pair.partner)
            host_images, host_scores = HostCutMix(1.0).mix(images.clone(), scores)
        assert centers == []
        assert torch.equal(mixed.images, host_images)
        torch.testing.assert_close(mix_scores(scores, mixed.pair), host_scores)


def test_the_area_is_that_of_clipped_boxes():
    """For lam ~ U(0, 1) a box pastes 1/2 - 1/5 + 1/48 = 0.3208 of a large image on average.

    A side r of the unit interval around a uniform centre keeps r - r^2 / 4 of its length, alike
    for both axes; the mean of its square over r^2 ~ U(0, 1) is the number above. The standard
    error of the mean of 4000 boxes is 0.004.
    """
    mixer, source, size = CutMix(alpha=1.0), generator(), (1024, 1024)
    lam = torch.rand(4000, generator=source)
    draw = place(mixer, lam, size, source, 4000)
    assert draw.box.shape == (4000, 4)
    pasted = 1 - draw.pair.lam
    assert float(pasted.mean()) == pytest.approx(1 / 2 - 1 / 5 + 1 / 48, abs=0.013)
    assert (pasted <= 1 - lam + 1e-6).all()  # clipping only ever takes away
    area = (draw.box[:, 2] - draw.box[:, 0]) * (draw.box[:, 3] - draw.box[:, 1])
    torch.testing.assert_close(pasted, area / 1024**2, rtol=0, atol=1e-6)


def test_centres_are_uniform():
    """lam 3/4 cuts a half of each side: 16 of 32 rows, 10 of 20 columns, wherever it fits."""
    draw = place(CutMix(), torch.full((8000,), 0.75), (32, 20), generator(), 8000)
    for low, high, length, half in ((0, 2, 32, 8), (1, 3, 20, 5)):
        center = draw.box[:, [low, high]]
        counts = torch.zeros(length)
        # The upper end says the centre below the far border, the lower end above the near one.
        upper = center[:, 1] - half
        inner = center[:, 1] < length
        counts += torch.bincount(upper[inner], minlength=length)[:length]
        counts += torch.bincount((center[:, 0] + half)[~inner], minlength=length)[:length]
        expected = 8000 / length
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        assert chi_square < 1.9 * (length - 1), counts  # about one seed in a thousand is above


def test_one_box_for_the_batch_or_one_per_sample():
    one = CutMix().draw(6, (32, 32), generator())
    assert one.box.shape == (4,) and one.pair.lam.dim() == 0
    each = CutMix(per_sample=True).draw(6, (32, 32), generator())
    assert each.box.shape == (6, 4) and each.pair.lam.shape == (6,)
    assert len({tuple(box) for box in each.box.tolist()}) == 6


def test_the_share_of_mixed_batches():
    mixer, source = CutMix(prob=0.5), generator()
    lams = torch.stack([mixer.draw(4, (64, 64), source).pair.lam for _ in range(400)])
    # A box can be smaller than two pixels, and then nothing is mixed either.
    assert 0.42 < float((lams < 1).float().mean()) < 0.58


def test_drawing_reads_no_value(monkeypatch):
    with Reads(monkeypatch) as reads:
        CutMix(per_sample=True, prob=0.5).draw(6, (32, 32), generator())
        CutMix().draw(6, (32, 32), generator())
    assert reads.found == []


def test_bad_fields_are_refused():
    with pytest.raises(ValueError, match='alpha'):
        CutMix(alpha=-1.0)
    with pytest.raises(ValueError, match='prob'):
        CutMix(prob=-0.1)

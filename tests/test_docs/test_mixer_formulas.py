"""The formulas of docs/mixers.md, symbol by symbol, against what the mixers do."""

from math import floor, sqrt

import numpy as np
import pytest
import torch

from automix_mm.batch_augments import CutMix, ResizeMix, SaliencyMix
from automix_mm.mixing import Pair

H, W = 13, 10
ROWS, COLUMNS = np.mgrid[:H, :W]
LAMS = (0.0, 0.3, 0.5, 0.75, 0.999, 1.0)


@pytest.fixture
def pictures():
    """Four images with pixels that are all different, float32 (4, 3, H, W)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(4 * 3 * H * W, generator=generator).float().view(4, 3, H, W)


def mix(mixer, images, lam):
    """Mixes images with the next of the batch; returns the mix, the label weights, the partners."""
    partner = torch.arange(len(images)).roll(-1)
    generator = torch.Generator().manual_seed(1)
    draw = mixer.place(Pair(torch.tensor(lam), partner), (H, W), generator)
    mixed = mixer.mix(images, draw)
    return mixed.images, mixed.pair.lam.expand(len(images)), images[partner]


def box_around(r, c, lam):
    """m of CutMix and SaliencyMix."""
    h, w = floor(H * sqrt(1 - lam)), floor(W * sqrt(1 - lam))
    rows = (max(0, r - h // 2) <= ROWS) & (min(H, r + h // 2) > ROWS)
    columns = (max(0, c - w // 2) <= COLUMNS) & (min(W, c + w // 2) > COLUMNS)
    return np.where(rows & columns, 0.0, 1.0) if lam else np.zeros((H, W))


@pytest.mark.parametrize('lam', LAMS)
def test_cutmix(pictures, lam):
    mixed, weights, partners = mix(CutMix(), pictures, lam)
    found = 0
    for r, c in np.ndindex(H, W):
        m = box_around(r, c, np.float32(lam))
        expected = torch.tensor(m) * pictures + torch.tensor(1 - m) * partners
        if torch.equal(mixed, expected.float()):
            found += 1
            assert weights.tolist() == pytest.approx([m.mean()] * 4)
    assert found


@pytest.mark.parametrize('lam', LAMS)
def test_resizemix(pictures, lam):
    mixed, weights, partners = mix(ResizeMix(), pictures, lam)
    s = sqrt(1 - np.float32(lam))
    h, w = (max(1, floor(s * H)), max(1, floor(s * W))) if s else (0, 0)
    places = set()
    for own, other, result, weight in zip(pictures, partners, mixed, weights, strict=True):
        assert float(weight) == pytest.approx(1 - h * w / (H * W))
        changed = np.argwhere((own != result).all(0).numpy())
        if s == 0:
            assert torch.equal(own, result)
            continue
        p, q = changed.min(0)
        places.add((p, q))
        assert 0 <= p <= H - h and 0 <= q <= W - w
        inside = (p <= ROWS) & (p + h > ROWS) & (q <= COLUMNS) & (q + w > COLUMNS)
        shrunk = other[:, (ROWS - p) * H // h % H, (COLUMNS - q) * W // w % W]
        assert torch.equal(result, torch.where(torch.tensor(inside), shrunk, own))
    assert len(places) > 1 or lam in (0, 1)


def saliency(image):
    """S of an image (3, H, W), pixel by pixel."""
    g = np.tensordot((0.299, 0.587, 0.114), image.double().numpy(), 1)
    for _ in range(2):
        wide = np.pad(g, 1, mode='reflect')
        g = sum(
            (2 - abs(y - 1)) * (2 - abs(x - 1)) / 16 * wide[y : y + H, x : x + W]
            for y, x in np.ndindex(3, 3)
        )
    on, off = np.zeros((H, W)), np.zeros((H, W))
    for i, j in np.ndindex(H, W):
        for a in (12, 24, 28, 48, 56, 112):
            square = g[max(i - a + 1, 0) : i + a + 1, max(j - a + 1, 0) : j + a + 1]
            mean = (square.sum() - g[i, j]) / (square.size - 1)
            on[i, j] += max(g[i, j] - mean, 0)
            off[i, j] += max(mean - g[i, j], 0)
    return on / on.max() + off / off.max()


@pytest.mark.parametrize('lam', LAMS)
def test_saliencymix(pictures, lam):
    mixed, weights, partners = mix(SaliencyMix(), pictures, lam)
    found = saliency(partners[0])
    # The brightest and the darkest spot are equally salient; the first in reading order is taken.
    r, c = np.argwhere(found > found.max() - 1e-6)[0]
    m = box_around(r, c, np.float32(lam))
    expected = torch.tensor(m) * pictures + torch.tensor(1 - m) * partners
    assert torch.equal(mixed, expected.float())
    assert weights.tolist() == pytest.approx([m.mean()] * 4)

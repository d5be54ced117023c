"""Mixup against the host's own and by hand."""

import numpy as np
import pytest
import torch
from mmpretrain.models.utils.batch_augments import Mixup as HostMixup

from automix_mm.batch_augments import Mixup
from automix_mm.mixing import Pair, mix_scores


@pytest.mark.parametrize('lam', [0.0, 0.123, 0.5, 0.98, 1.0])
def test_equals_the_hosts_for_the_same_pair(lam, monkeypatch):
    images, scores = torch.randn(7, 3, 9, 6), torch.eye(7)
    pair = Pair(torch.tensor(lam), torch.randperm(7))
    monkeypatch.setattr(np.random, 'beta', lambda *_: lam)
    monkeypatch.setattr(torch, 'randperm', lambda *_: pair.partner)
    host_images, host_scores = HostMixup(1.0).mix(images, scores)
    torch.testing.assert_close(Mixup().mix(images, pair).images, host_images)
    torch.testing.assert_close(mix_scores(scores, pair), host_scores)


def test_a_lam_per_sample_weighs_its_own_image():
    images, pair = torch.randn(4, 3, 5, 5), Pair(torch.rand(4), torch.tensor([2, 0, 3, 1]))
    mixed = Mixup(per_sample=True).mix(images, pair).images
    for i, (lam, other) in enumerate(zip(pair.lam.tolist(), pair.partner.tolist(), strict=True)):
        torch.testing.assert_close(mixed[i], lam * images[i] + (1 - lam) * images[other])
    drawn = Mixup(per_sample=True).draw(4, (5, 5), torch.Generator().manual_seed(0))
    assert len(set(drawn.lam.tolist())) == 4


def test_bad_fields_are_refused():
    with pytest.raises(ValueError, match='alpha'):
        Mixup(alpha=0.0)
    with pytest.raises(ValueError, match='prob'):
        Mixup(prob=1.5)

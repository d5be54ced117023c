"""A mix block trained alone on a toy task follows lam and the object, unlike any constant mask.

Each image holds one object in a quadrant, its class is the object's colour. A fixed linear judge
counts colours. The best mask shows both objects, in the ratio that lam asks for.
"""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import Pair, blend, mix_targets
from automix_mm.models import MixBlock

CLASSES, NUM, SIZE = 4, 32, (16, 16)


class Batch(NamedTuple):
    images: torch.Tensor  # (N, 4, 16, 16)
    features: torch.Tensor  # (N, 6, 8, 8)
    labels: torch.Tensor  # (N,)
    inside: torch.Tensor  # (N, 1, 16, 16), 1 where the object is
    pair: Pair


class Health(NamedTuple):
    corr: float  # mask mean with lam
    focus: float  # mask on the own object minus mask beside it
    gain: float  # loss of linear mixing minus loss of the block


def draw(sampler, source):
    """The first half of the batch has its objects on the left, its partners have them right."""
    labels = torch.randint(CLASSES, (NUM,), generator=source)
    top = torch.randint(2, (NUM,), generator=source) * 4
    inside = torch.zeros(NUM, 1, 8, 8)
    for i in range(NUM):
        left = 4 * (i >= NUM // 2)
        inside[i, 0, top[i] : top[i] + 4, left : left + 4] = 1
    colour = F.one_hot(labels, CLASSES).float()[:, :, None, None]
    features = torch.cat([inside, 1 - inside, inside * colour], 1)
    features = features + 0.1 * torch.randn(features.shape, generator=source)
    inside = F.interpolate(inside, SIZE)
    pair = Pair(sampler.draw(NUM, source).lam, (torch.arange(NUM) + NUM // 2) % NUM)
    return Batch(inside * colour, features, labels, inside, pair)


def judge(batch, mask):
    mixed = blend(batch.images, batch.pair.partner, mask)
    return F.cross_entropy(12 * mixed.mean((2, 3)), mix_targets(batch.labels, batch.pair, CLASSES))


def train(steps=200, **fields):
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(0)
    block = MixBlock(6, pair=dict(alpha=1.0, per_sample=True), **fields)
    optimizer = torch.optim.Adam(block.parameters(), 0.05)
    for _ in range(steps):
        batch = draw(block.sampler, source)
        loss = judge(batch, block(batch.features, batch.pair, SIZE))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return block


@torch.no_grad()
def health(block, mask_of):
    source = torch.Generator().manual_seed(99)
    means, lams, focus, gain = [], [], [], []
    for _ in range(10):
        batch = draw(block.sampler, source)
        mask = mask_of(batch)
        means.append(mask.mean((1, 2, 3)))
        lams.append(batch.pair.lam)
        own = (mask * batch.inside).sum() / batch.inside.sum()
        beside = (mask * (1 - batch.inside)).sum() / (1 - batch.inside).sum()
        focus.append(own - beside)
        gain.append(judge(batch, linear(batch)) - judge(batch, mask))
    corr = torch.corrcoef(torch.stack([torch.cat(means), torch.cat(lams)]))[0, 1].nan_to_num()
    return Health(corr.item(), torch.stack(focus).mean().item(), torch.stack(gain).mean().item())


def linear(batch):
    return batch.pair.lam_as(batch.images).expand(-1, 1, *SIZE)


def healthy(found):
    return found.corr > 0.9 and found.focus > 0.25 and found.gain > 0.03


@pytest.mark.parametrize('content_from', ['own', 'partner'])
@pytest.mark.parametrize('projection', ['separate', 'shared'])
def test_a_trained_block_follows_lam_and_the_object(content_from, projection):
    block = train(content_from=content_from, projection=projection)
    found = health(block, lambda b: block(b.features, b.pair, SIZE))
    assert healthy(found), found


def test_the_untrained_block_does_not():
    block = train(steps=0)
    assert not healthy(health(block, lambda b: block(b.features, b.pair, SIZE)))


@pytest.mark.parametrize(
    'mask_of',
    [
        linear,
        lambda b: torch.full((NUM, 1, *SIZE), 0.5),
        lambda b: 1 - linear(b),
        lambda b: b.pair.lam.mean().expand(NUM, 1, *SIZE),
        lambda b: (torch.rand(NUM, 1, *SIZE) < linear(b)).float(),
        lambda b: b.inside,
    ],
    ids=['lam', 'half', 'one minus lam', 'mean lam', 'noise of mean lam', 'object without lam'],
)
def test_masks_that_are_no_masks_do_not(mask_of):
    """The criteria would notice a block that paints a constant, that inverts or ignores lam."""
    assert not healthy(health(train(steps=0), mask_of))


def test_a_broken_block_would_be_noticed():
    """Trained the same way, but its score is averaged over the positions before the sigmoid."""
    block = train()
    constant = health(
        block, lambda b: block(b.features, b.pair, SIZE).mean((2, 3), True).expand(-1, 1, *SIZE)
    )
    assert constant.corr > 0.9 and not healthy(constant)

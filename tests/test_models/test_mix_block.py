"""The mix block against its equations, written out directly."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import Mixed, Pair
from automix_mm.models import MixBlock


def block(channels=6, seed=0, **fields):
    torch.manual_seed(seed)
    made = MixBlock(channels, **fields)
    with torch.no_grad():
        for param in made.parameters():
            param.copy_(torch.randn_like(param))
    return made


def features(num=4, channels=6, size=(3, 5), dtype=torch.float64):
    return torch.randn(
        num, channels, *size, generator=torch.Generator().manual_seed(1), dtype=dtype
    )


PAIR = Pair(torch.tensor([0.3, 0.95, 0.05, 0.5]), torch.tensor([2, 0, 3, 1]))
BATCH_PAIR = Pair(torch.tensor(0.3), torch.tensor([2, 0, 3, 1]))


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


# ------------------------------------------------------------------ Eq. 7 and 8 by hand


def by_hand(block, z_own, z_partner, lam):
    """Eq. 7 and 8 for one pair of maps (C, h, w), position by position, in numpy."""
    weights = {name: p.detach().double().numpy() for name, p in block.named_parameters()}
    channels = z_own.shape[0]
    own = z_own.reshape(channels, -1).numpy()
    partner = z_partner.reshape(channels, -1).numpy()
    positions = own.shape[1]
    scores = np.zeros((positions, positions))
    for i, j in itertools.product(range(positions), range(positions)):
        left = np.append(own[:, i], lam)  # [z, lam]
        right = np.append(partner[:, j], 1 - lam)  # [z_s, 1 - lam]
        query = weights['own_projection.weight'][:, :, 0, 0] @ left
        key = weights['partner_projection.weight'][:, :, 0, 0] @ right
        query, key = (
            query + weights['own_projection.bias'],
            key + weights['partner_projection.bias'],
        )
        scores[i, j] = query @ key / math.sqrt(channels / 2)
    similarity = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)  # softmax of each row
    content = np.zeros(positions)
    for j in range(positions):
        content[j] = weights['content_projection.weight'][0, :, 0, 0] @ own[:, j]
        content[j] += weights['content_projection.bias'][0]
    return np.array([sigmoid(similarity[i] @ content) for i in range(positions)])


def test_two_by_two_by_hand():
    made = block(4, lam_in=('similarity',)).double()
    z = features(2, 4, (2, 2))
    pair = Pair(torch.tensor([0.3, 0.8], dtype=torch.float64), torch.tensor([1, 0]))
    mask = made(z, pair, (2, 2))
    for n in range(2):
        expected = by_hand(made, z[n], z[1 - n], pair.lam[n].item()).reshape(2, 2)
        np.testing.assert_allclose(mask[n, 0].detach().numpy(), expected, rtol=1e-12)


def test_numbers_that_anybody_can_check():
    """C = 2, so one similarity channel: query = own channel 0 + lam, key = partner channel 0."""
    made = MixBlock(2, lam_in=('similarity',)).double()
    with torch.no_grad():
        for param in made.parameters():
            param.zero_()
        made.own_projection.weight[0, 0] = 1  # own channel 0
        made.own_projection.weight[0, 2] = 1  # the lam channel
        made.partner_projection.weight[0, 0] = 1
        made.content_projection.weight[0, 1] = 1  # own channel 1
    z = torch.zeros(2, 2, 1, 2, dtype=torch.float64)
    z[0, 0, 0] = torch.tensor([0.5, -0.5])
    z[0, 1, 0] = torch.tensor([1.0, 4.0])
    z[1, 0, 0] = torch.tensor([0.0, math.log(2)])
    pair = Pair(torch.tensor(0.5, dtype=torch.float64), torch.tensor([1, 0]))
    mask = made(z, pair, (1, 2))
    # Position 0: query 1, scores (0, ln 2), softmax (1/3, 2/3). Position 1: query 0, (1/2, 1/2).
    expected = torch.tensor([sigmoid(1 / 3 + 8 / 3), sigmoid(2.5)], dtype=torch.float64)
    torch.testing.assert_close(mask[0, 0, 0], expected)


# --------------------------------------------------------------------- every open point


def transcribed(block, z, pair, size, shared, partner_content, lam_in, mode, before, margin):
    """The block as its docstring says, with the lam channels really concatenated."""
    lam = pair.lam.to(z.dtype).expand(len(z)).view(-1, 1, 1, 1)
    lam_map = lam.expand(-1, 1, *z.shape[2:])
    own, partner = z, z[pair.partner]

    def project(conv, maps, lam_channel, with_lam):
        return F.conv2d(torch.cat([maps, lam_channel], 1) if with_lam else maps, *conv.parameters())

    in_similarity, in_content = 'similarity' in lam_in, 'content' in lam_in
    key_conv = block.own_projection if shared else block.partner_projection
    query = project(block.own_projection, own, lam_map, in_similarity).flatten(2)
    key = project(key_conv, partner, 1 - lam_map, in_similarity).flatten(2)
    source = (partner, 1 - lam_map) if partner_content else (own, lam_map)
    content = project(block.content_projection, *source, in_content).flatten(2)
    scores = torch.einsum('ndi,ndj->nij', query, key) / math.sqrt(query.shape[1])
    score = torch.einsum('nij,noj->noi', scores.softmax(-1), content).view(-1, 1, *z.shape[2:])
    options = dict(mode=mode) if mode == 'nearest' else dict(mode=mode, align_corners=False)
    if before:
        mask = F.interpolate(score, size, **options).sigmoid()
    else:
        mask = F.interpolate(score.sigmoid(), size, **options)
    if margin is not None:
        keep = torch.minimum(lam, 1 - lam) > margin
        mask = keep * mask + ~keep * lam
    return mask


LAM_IN = [(), ('similarity',), ('content',), ('similarity', 'content')]


@pytest.mark.parametrize('pair', [PAIR, BATCH_PAIR], ids=['per_sample', 'per_batch'])
@pytest.mark.parametrize('margin', [None, 0.08])
@pytest.mark.parametrize('before', [False, True], ids=['after', 'before'])
@pytest.mark.parametrize('mode', ['nearest', 'bilinear'])
@pytest.mark.parametrize('lam_in', LAM_IN)
@pytest.mark.parametrize('content', ['own', 'partner'])
@pytest.mark.parametrize('projection', ['separate', 'shared'])
def test_every_field_is_its_transcription(projection, content, lam_in, mode, before, margin, pair):
    made = block(
        projection=projection,
        content_from=content,
        lam_in=lam_in,
        upsample=dict(mode=mode, before_sigmoid=before),
        lam_margin=margin,
    ).double()
    z = features()
    mask = made(z, pair, (9, 10))
    shared, partner_content = projection == 'shared', content == 'partner'
    expected = transcribed(
        made, z, pair, (9, 10), shared, partner_content, lam_in, mode, before, margin
    )
    torch.testing.assert_close(mask, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    'change',
    [
        dict(projection='shared'),
        dict(content_from='partner'),
        dict(upsample=dict(mode='nearest')),
        dict(upsample=dict(before_sigmoid=True)),
        dict(lam_margin=0.08),
    ],
)
def test_every_field_changes_the_mask(change):
    """Otherwise the comparison above could pass with a field that does nothing."""
    z = features()
    base, changed = block().double(), block(**change).double()
    changed.load_state_dict(base.state_dict(), strict=False)
    one, other = base(z, PAIR, (9, 10)), changed(z, PAIR, (9, 10))
    assert (one - other).abs().max() > 1e-3


def test_defaults_of_the_open_points():
    made = block()
    assert made.feature_stage == 2
    assert made.upsample == dict(mode='bilinear', before_sigmoid=False)
    assert (made.sampler.alpha, made.sampler.per_sample) == (2.0, True)
    assert made.own_projection is not made.partner_projection
    assert made.lam_margin is None and made.mask_loss is None
    assert not made.content_from_partner
    assert made.content_projection.with_lam and made.own_projection.with_lam


def test_partial_upsample_keeps_the_other_default():
    assert block(upsample=dict(mode='nearest')).upsample['before_sigmoid'] is False


# ------------------------------------------------------------------------------- pieces


def test_mix_blends_with_the_mask_that_it_returns():
    made = block().double()
    z, images = features(), torch.randn(4, 3, 6, 10, dtype=torch.float64)
    mixed, pair, mask, _ = made.mix(images, PAIR, z)
    assert pair is PAIR and mask.shape == (4, 1, 6, 10)
    torch.testing.assert_close(mask, made(z, PAIR, (6, 10)))
    torch.testing.assert_close(mixed, mask * images + (1 - mask) * images[PAIR.partner])


@pytest.mark.parametrize('pair', [PAIR, BATCH_PAIR], ids=['per_sample', 'per_batch'])
def test_mask_loss_by_hand(pair):
    made = block(mask_loss=dict(weight=0.1, margin=0.1))
    mask = torch.rand(4, 1, 5, 5)
    expected = 0.0
    for n in range(4):
        lam = pair.lam.expand(4)[n].item()
        expected += 0.1 * max(abs(mask[n].mean().item() - lam) - 0.1, 0.0) / 4
    losses = made.mask_losses(Mixed(mask, pair, mask))
    assert list(losses) == ['loss_mask']
    assert losses['loss_mask'].item() == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_no_mask_loss_where_none_is_configured():
    assert block().mask_losses(Mixed(torch.rand(4, 3, 5, 5), PAIR, torch.rand(4, 1, 5, 5))) == {}


def test_gradcheck_of_the_whole_block():
    made = block(4).double()
    named = [(n, p.detach().requires_grad_()) for n, p in made.named_parameters()]
    names, params = zip(*named, strict=True)
    z = features(3, 4, (2, 3)).requires_grad_()
    pair = Pair(torch.tensor([0.3, 0.9, 0.6]), torch.tensor([2, 0, 1]))

    def mask(z, *params):
        state = dict(zip(names, params, strict=True))
        return torch.func.functional_call(made, state, (z, pair, (4, 5)))

    assert torch.autograd.gradcheck(mask, (z, *params))


def test_gradients_are_those_of_the_transcription():
    made = block().double()
    z = features().requires_grad_()
    weight = torch.randn(4, 1, 9, 10, dtype=torch.float64)
    wanted = [z, *made.parameters()]
    expected = transcribed(
        made, z, PAIR, (9, 10), False, False, ('similarity', 'content'), 'bilinear', False, None
    )
    got = torch.autograd.grad((made(z, PAIR, (9, 10)) * weight).sum(), wanted)
    reference = torch.autograd.grad((expected * weight).sum(), wanted)
    for one, other in zip(got, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


# ---------------------------------------------------------------------- edges and errors


@pytest.mark.parametrize('lam', [0.0, 1.0])
def test_ends_of_lam(lam):
    pair = Pair(torch.full((4,), lam), PAIR.partner)
    images = torch.randn(4, 3, 6, 10)
    mask = block()(features(dtype=torch.float32), pair, (6, 10))
    assert mask.isfinite().all() and (mask >= 0).all() and (mask <= 1).all()
    mixed, _, mask, _ = block(lam_margin=0.08).mix(images, pair, features(dtype=torch.float32))
    assert (mask == lam).all()
    torch.testing.assert_close(mixed, images if lam else images[pair.partner])


def test_margin_is_per_sample():
    """0.95 and 0.05 are within 0.1 of an end, 0.12 and 0.85 are not."""
    made = block(lam_margin=0.1).double()
    pair = Pair(torch.tensor([0.12, 0.95, 0.05, 0.85]), PAIR.partner)
    mask = made(features(), pair, (6, 10))
    painted = mask.flatten(1).std(1) > 1e-6
    assert painted.tolist() == [True, False, False, True]
    for n in (1, 2):
        expected = torch.full_like(mask[n], pair.lam[n].item())
        torch.testing.assert_close(mask[n], expected, rtol=1e-6, atol=0)


def test_a_sample_is_painted_alone():
    """Only a sample and its partner decide about its mask."""
    made = block().double()
    z = features()
    before = made(z, PAIR, (6, 10))
    z[1] = torch.randn_like(z[1])  # partner of sample 3
    changed = (made(z, PAIR, (6, 10)) - before).flatten(1).abs().amax(1) > 0
    assert changed.tolist() == [False, True, False, True]


def test_mask_is_not_stacked_with_its_complement():
    assert block()(features(dtype=torch.float32), PAIR, (7, 4)).shape == (4, 1, 7, 4)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_neither_overflows_nor_rounds(dtype):
    """float16 ends at 65504: the scores of such features are beyond it by far."""
    made = block()
    z = (features(dtype=torch.float32) * 1e4).to(dtype)
    with torch.autocast('cpu', dtype=dtype):
        mixed, _, mask, _ = made.mix(torch.randn(4, 3, 6, 10), PAIR, z)
    assert mask.dtype == torch.float32
    assert mask.isfinite().all() and (mask >= 0).all() and (mask <= 1).all()
    torch.testing.assert_close(mask, made(z.float(), PAIR, (6, 10)), rtol=0, atol=0)
    mixed.sum().backward()
    assert all(p.grad.isfinite().all() for p in made.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_gradient_under_autocast_is_that_without(dtype):
    made = block()
    z = features(dtype=torch.float32)
    results = []
    for enabled in (False, True):
        made.zero_grad()
        with torch.autocast('cpu', dtype=dtype, enabled=enabled):
            mask = made(z, PAIR, (6, 10))
        mask.square().sum().backward()
        results.append([p.grad.clone() for p in made.parameters()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_odd_channels_and_one_position():
    mask = MixBlock(3)(torch.randn(2, 3, 1, 1), Pair(torch.rand(2), torch.tensor([1, 0])), (4, 4))
    torch.testing.assert_close(mask, mask[:, :, :1, :1].expand_as(mask))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(projection='both'), "projection must be one of .*'separate', 'shared'.* got 'both'"),
        (dict(content_from='k'), "content_from must be one of .* got 'k'"),
        (dict(lam_in=('key',)), "lam_in must be one of .* got 'key'"),
        (dict(upsample=dict(mode='area')), "mode must be one of .* got 'area'"),
        (dict(pair=dict(alpha=0.0)), 'alpha .*above 0.* got 0'),
    ],
)
def test_bad_fields_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        MixBlock(4, **fields)


@pytest.mark.parametrize(
    'fields',
    [
        dict(upsample=dict(mod='nearest')),
        dict(mask_loss=dict(weight=0.1)),
        dict(lam_margin=2.0),
        dict(lam_margin=-0.1),
        dict(in_channels=0),
    ],
)
def test_fields_that_would_fail_late_or_never_are_refused(fields):
    with pytest.raises((ValueError, TypeError)):
        MixBlock(**(dict(in_channels=4) | fields))


@pytest.mark.parametrize('shape', [(2, 5, 3, 3), (2, 4, 9), (4, 3, 3)])
def test_features_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=r'expected features \(N, 4, h, w\).*got .*in_channels'):
        MixBlock(4)(torch.randn(shape), Pair(torch.tensor(0.5), torch.tensor([1, 0])), (8, 8))

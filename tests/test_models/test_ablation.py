"""Tables 9 and A1: any mixer, with and without Momentum and Onehot, trains what it should."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.mixing import Mixer, Pair, mix_targets
from automix_mm.registry import MODELS
from tests.small_models import (
    CLASSES,
    batch,
    classifier,
    fix_pairs,
    grads,
    labels_of,
    plain_classifier,
    sgd,
    step,
    total,
    weights,
)

MIXERS = {
    'Mixup': dict(type='automix_mm.Mixup', alpha=1.0),
    'CutMix': dict(type='automix_mm.CutMix', alpha=1.0),
    'MixBlock': dict(pair=dict(alpha=1.0)),
}
SWITCHES = {
    'none': dict(momentum=None, onehot=False),
    'onehot': dict(momentum=None, onehot=True),
    'momentum': dict(momentum=dict(momentum=0.2, end=0.1), onehot=False),
    'momentum-onehot': dict(momentum=dict(momentum=0.2, end=0.1), onehot=True),
}
EVERY_MIXER = [n for n, c in MODELS.module_dict.items() if issubclass(c, Mixer)]
COMBINATIONS = list(itertools.product(MIXERS, SWITCHES))
EVERY = pytest.mark.parametrize(('mixer', 'switches'), COMBINATIONS)
MODES = pytest.mark.parametrize('branchwise', [True, False], ids=['branchwise', 'plain'])
# Adds the same to a whole row of scores, which the row softmax does not see.
WITHOUT_EFFECT = 'partner_projection.bias'


def build(mixer, switches, branchwise=True, /, **fields):
    fields = SWITCHES[switches] | fields
    fields['mixer'] = MIXERS[mixer] | fields.get('mixer', {})
    return classifier(train_cfg=dict(branchwise=branchwise), **fields)


def learns(mixer):
    return mixer == 'MixBlock'


def with_momentum(switches):
    return 'momentum' in switches


def loss_names(mixer, switches):
    """What is logged, written down from the table and not from the code."""
    names = ['loss_mix_q']
    if 'onehot' in switches:
        names.append('loss_onehot_q')
    if with_momentum(switches) and learns(mixer):
        names.append('loss_mix_k')
    return sorted(names)


def trained(module):
    """Names of parameters with a gradient that is not zero."""
    found = {n for n, g in grads(module).items() if g is not None and g.abs().sum() > 0}
    return {n for n in found if not n.endswith(WITHOUT_EFFECT)}


def names(module, *prefixes):
    found = {n for n, _ in module.named_parameters() if n.startswith(prefixes)}
    return {n for n in found if not n.endswith(WITHOUT_EFFECT)}


def trained_by(model, images, data_samples, loss):
    """What the gradient of this loss alone reaches."""
    model.zero_grad()
    model.loss(images, data_samples)[loss].backward()
    return trained(model)


def known_draws(model):
    """Two draws of which the arithmetic is exact: lam and 1 - lam are sums of few halves."""
    partners = torch.tensor([1, 2, 3, 4, 5, 0]), torch.tensor([5, 3, 0, 1, 2, 4])
    pairs = [Pair(torch.tensor(lam), p) for lam, p in zip((0.3125, 0.71875), partners, strict=True)]
    source = torch.Generator().manual_seed(3)
    draws = [model.mixer.place(pair, (16, 16), source) for pair in pairs]
    return fix_pairs(model, *draws), draws


# ----------------------------------------------------------------------------- structure


@EVERY
def test_only_the_parts_that_train_exist(mixer, switches):
    model = build(mixer, switches)
    heads = ['onehot', 'mix'] if 'onehot' in switches else ['mix']
    assert list(model.q.heads) == heads
    assert (model.k is None) == (not with_momentum(switches))
    if model.k is not None:
        assert list(model.k.heads) == heads
    assert bool(list(model.mixer.parameters())) == learns(mixer)
    state = set(model.state_dict())
    assert any(n.startswith('k.') for n in state) == with_momentum(switches)
    assert any('onehot' in n for n in state) == ('onehot' in switches)
    assert any(n.startswith('mixer.') for n in state) == learns(mixer)


@EVERY
def test_the_reported_head(mixer, switches):
    assert build(mixer, switches).report == ('mix_k' if with_momentum(switches) else 'mix_q')


# ------------------------------------------------------------------------------ training


@EVERY
@MODES
def test_two_iterations_train_what_they_should(mixer, switches, branchwise):
    model = build(mixer, switches, branchwise)
    optimizer, start = sgd(model), weights(model)
    for seed in range(2):
        k_before = None if model.k is None else weights(model.k)
        losses = step(model, optimizer, *batch(seed=seed))
        assert sorted(n for n in losses if 'loss' in n) == loss_names(mixer, switches)
        assert all(value.isfinite() and value.dim() == 0 for value in losses.values())
        assert trained(model) == names(model, 'q.', 'mixer.')
        if model.k is not None:
            assert all(p.grad is None and not p.requires_grad for p in model.k.parameters())
            follows_by_hand(model, k_before, seed)
    after = weights(model)
    for name in names(model, 'q.', 'k.', 'mixer.'):
        assert not torch.equal(after[name], start[name]), name
    assert model.iterations.value() == 2


def follows_by_hand(model, k_before, step_number):
    """K is its old weights and the cosine's share of the new ones, of 100 steps."""
    share = 0.1 + 0.1 * (1 + torch.cos(torch.tensor(torch.pi * step_number / 100))) / 2
    q = dict(model.q.named_parameters())
    moved = 0
    for name, param in model.k.named_parameters():
        expected = (1 - share) * k_before[name] + share * q[name].detach()
        torch.testing.assert_close(param, expected, rtol=1e-5, atol=1e-7, msg=name)
        moved += not torch.equal(param, k_before[name])
    assert moved == len(q)
    assert model.k.updates.value() == step_number + 1


@pytest.mark.parametrize('switches', SWITCHES)
@pytest.mark.parametrize('mixer', sorted(set(EVERY_MIXER) - set(MIXERS)))
def test_every_other_mixer_trains_too(mixer, switches):
    model = classifier(mixer=dict(type=f'automix_mm.{mixer}'), **SWITCHES[switches])
    optimizer, start = sgd(model), weights(model)
    for seed in range(2):
        losses = step(model, optimizer, *batch(seed=seed))
        assert sorted(losses) == loss_names(mixer, switches)
        assert all(value.isfinite() for value in losses.values())
        assert trained(model) == names(model, 'q.')
        assert model.k is None or not trained(model.k)
    after = weights(model)
    assert not [n for n in names(model, 'q.', 'k.') if torch.equal(after[n], start[n])]


@EVERY
@MODES
def test_diagnostics_are_logged_for_a_learned_mask_only(mixer, switches, branchwise):
    losses = build(mixer, switches, branchwise).loss(*batch())
    others = {n for n in losses if 'loss' not in n}
    health = {'mask_mean', 'mask_std', 'mask_lam_corr', 'gain_over_linear'}
    assert others == (health if learns(mixer) else set())
    assert not any(losses[n].requires_grad for n in others)


@pytest.mark.parametrize('switches', SWITCHES)
def test_a_mask_loss_is_logged_and_trains_the_block(switches):
    fields = dict(mixer=dict(mask_loss=dict(weight=5.0, margin=0.0)))
    model = build('MixBlock', switches, False, **fields)
    losses = model.loss(*batch())
    expected = sorted([*loss_names('MixBlock', switches), 'loss_mask'])
    assert sorted(n for n in losses if 'loss' in n) == expected
    assert trained_by(model, *batch(), 'loss_mask') == names(model, 'mixer.')


@pytest.mark.parametrize('switches', SWITCHES)
def test_a_mask_loss_counts_once_in_every_mode(switches):
    fields = dict(mixer=dict(mask_loss=dict(weight=5.0, margin=0.0)))
    compare_modes('MixBlock', switches, **fields)


# ------------------------------------------------------------------------------- gradients


@EVERY
@MODES
def test_each_loss_reaches_its_part_and_no_other(mixer, switches, branchwise):
    model = build(mixer, switches, branchwise)
    images, data_samples = batch()
    alone = 'mixer.' if not with_momentum(switches) else 'none of it'
    by_mix_q = names(model, 'q.backbone.', 'q.heads.mix.', alone)
    assert trained_by(model, images, data_samples, 'loss_mix_q') == by_mix_q
    if 'onehot' in switches:
        by_onehot = names(model, 'q.backbone.', 'q.heads.onehot.')
        assert trained_by(model, images, data_samples, 'loss_onehot_q') == by_onehot
    if with_momentum(switches) and learns(mixer):
        found = trained_by(model, images, data_samples, 'loss_mix_k')
        assert found == names(model, 'mixer.')


def compare_modes(mixer, switches, /, **fields):
    """The same float64 model by both modes, for two steps."""
    found = []
    for branchwise in (True, False):
        model = build(mixer, switches, branchwise, **fields).double()
        optimizer, collected = sgd(model), []
        for seed in range(2):
            losses = step(model, optimizer, *batch(seed=seed, dtype=torch.float64))
            collected.append((losses, grads(model)))
        found.append((collected, weights(model)))
    (ours, our_weights), (plain, plain_weights) = found
    for (losses, gradients), (other_losses, other_gradients) in zip(ours, plain, strict=True):
        assert losses.keys() == other_losses.keys()
        for name, value in losses.items():
            torch.testing.assert_close(value, other_losses[name], rtol=1e-6, atol=1e-9, msg=name)
        for name, gradient in gradients.items():
            if gradient is None:
                assert other_gradients[name] is None, name
            else:
                torch.testing.assert_close(
                    gradient, other_gradients[name], rtol=1e-5, atol=1e-11, msg=name
                )
    for name, value in our_weights.items():
        torch.testing.assert_close(value, plain_weights[name], rtol=1e-5, atol=1e-9, msg=name)


@EVERY
def test_branch_by_branch_gives_the_gradients_of_the_plain_sum(mixer, switches):
    compare_modes(mixer, switches)


# --------------------------------------------------------------------------------- by hand


def logits(encoder, images, head):
    return encoder.heads[head].fc(encoder.backbone(images)[-1].mean((2, 3)))


def features(encoder, images):
    net = encoder.backbone
    x = net.relu(net.norm1(net.conv1(images)))
    return net.layer3(net.layer2(net.layer1(x))).detach()


def mixed_by_hand(model, mixer, images, draw):
    """The mixed images and the pair of their labels, from a draw."""
    if mixer == 'Mixup':
        mask, pair = draw.lam, draw
    elif mixer == 'CutMix':
        top, left, bottom, right = draw.box.tolist()
        mask, pair = torch.ones(1, 1, 16, 16), draw.pair
        mask[..., top:bottom, left:right] = 0
        assert draw.pair.lam == pytest.approx(float(mask.mean()))
    else:
        judge = model.q if model.k is None else model.k
        mask, pair = model.mixer(features(judge, images), draw, (16, 16)), draw
    return mask * images + (1 - mask) * images[pair.partner], pair


def losses_by_hand(model, mixer, images, data_samples, draw_q, draw_k):
    labels = labels_of(data_samples)

    def mixed_loss(encoder, mixed, pair):
        out = logits(encoder, mixed, 'mix')
        own = F.cross_entropy(out, labels, reduction='none')
        other = F.cross_entropy(out, labels[pair.partner], reduction='none')
        return (pair.lam * own + (1 - pair.lam) * other).mean()

    mixed, pair = mixed_by_hand(model, mixer, images, draw_q)
    if model.k is not None:
        mixed = mixed.detach()
    losses = dict(loss_mix_q=mixed_loss(model.q, mixed, pair))
    if 'onehot' in model.q.heads:
        losses['loss_onehot_q'] = F.cross_entropy(logits(model.q, images, 'onehot'), labels)
    if model.k is not None and mixer == 'MixBlock':
        mixed, pair = mixed_by_hand(model, mixer, images, draw_k)
        losses['loss_mix_k'] = mixed_loss(model.k, mixed, pair)
    return losses


@EVERY
@MODES
def test_losses_and_gradients_by_hand(mixer, switches, branchwise):
    model = build(mixer, switches, branchwise).double()
    model, draws = known_draws(model)
    images, data_samples = batch(dtype=torch.float64)
    losses = model.loss(images, data_samples)
    total(losses).backward()
    got = grads(model)
    model.zero_grad()
    expected = losses_by_hand(model, mixer, images, data_samples, *draws)
    sum(expected.values()).backward()
    assert expected.keys() == {n for n in losses if 'loss' in n}
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=0, msg=name)
    for name, gradient in grads(model).items():
        if gradient is None:
            assert got[name] is None, name
        elif not name.endswith(WITHOUT_EFFECT):
            torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-9, msg=name)


def test_none_with_mixup_is_the_plain_mixup_classifier():
    """The losses of the host's classifier on the same mixed batch, with the same weights."""
    model = build('Mixup', 'none')
    plain = plain_classifier().train()
    state = {n[2:].replace('heads.mix.', 'head.'): v for n, v in weights(model).items()}
    plain.load_state_dict({n: v for n, v in state.items() if n in plain.state_dict()})
    images, data_samples = batch()
    pair = Pair(torch.tensor(0.3), torch.tensor([1, 2, 3, 4, 5, 0]))
    loss = fix_pairs(model, pair, pair).loss(images, data_samples)['loss_mix_q']
    loss.backward()
    mixed = 0.3 * images + 0.7 * images[pair.partner]
    target = mix_targets(labels_of(data_samples), pair, CLASSES)
    for sample, row in zip(data_samples, target, strict=True):
        sample.set_gt_score(row)
    host_loss = plain(mixed, data_samples, mode='loss')['loss']
    host_loss.backward()
    torch.testing.assert_close(loss, host_loss)
    ours = grads(model.q)
    for name, gradient in grads(plain).items():
        found = ours[name.replace('head.', 'heads.mix.')]
        torch.testing.assert_close(found, gradient, rtol=1e-3, atol=1e-6, msg=name)

"""Which loss trains which part: the algorithm is its gradient routing."""

import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import Pair
from tests.small_models import batch, classifier, fix_pairs, grads, labels_of, sgd, step, total

MASK_LOSS = dict(mask_loss=dict(weight=5.0, margin=0.0))
MODES = pytest.mark.parametrize('branchwise', [True, False], ids=['branchwise', 'plain'])


def model_and_batch(branchwise=True, num=6, **fields):
    """In float64, with k away from q and pairs that are known."""
    model = classifier(train_cfg=dict(branchwise=branchwise), **fields).double()
    source = torch.Generator().manual_seed(4)
    pairs = [
        Pair(torch.rand(num, generator=source), torch.randperm(num, generator=source))
        for _ in range(2)
    ]
    return fix_pairs(model, *pairs), *pairs, *batch(num, dtype=torch.float64)


# Adds the same to a whole row of scores, which the row softmax does not see.
WITHOUT_EFFECT = 'partner_projection.bias'


def has_gradient(module):
    """Names of parameters with a gradient that is not zero."""
    found = {n for n, g in grads(module).items() if g is not None and g.abs().sum() > 0}
    return {n for n in found if not n.endswith(WITHOUT_EFFECT)}


def names(module, *prefixes):
    found = {n for n, _ in module.named_parameters() if n.startswith(prefixes)}
    return {n for n in found if not n.endswith(WITHOUT_EFFECT)}


def backward_of(model, images, data_samples, *wanted):
    model.zero_grad()
    losses = model.loss(images, data_samples)
    sum(losses[name] for name in wanted).backward()
    return losses


# ------------------------------------------------------------------------- loss by loss


@MODES
def test_names_of_the_losses(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise, mixer=MASK_LOSS)
    losses = {n for n in model.loss(images, data_samples) if 'loss' in n}
    assert losses == {'loss_mix_k', 'loss_mask', 'loss_onehot_q', 'loss_mix_q'}


@MODES
def test_loss_mix_k_trains_the_block_and_nothing_else(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise)
    backward_of(model, images, data_samples, 'loss_mix_k')
    assert has_gradient(model) == names(model, 'mixer.')


@MODES
def test_loss_onehot_q_trains_q_but_not_its_mix_head(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise)
    backward_of(model, images, data_samples, 'loss_onehot_q')
    assert has_gradient(model) == names(model, 'q.backbone.', 'q.heads.onehot.')


@MODES
def test_loss_mix_q_trains_q_but_neither_its_onehot_head_nor_the_block(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise)
    backward_of(model, images, data_samples, 'loss_mix_q')
    assert has_gradient(model) == names(model, 'q.backbone.', 'q.heads.mix.')


def test_loss_mask_trains_the_block_and_nothing_else():
    model, *_, images, data_samples = model_and_batch(False, mixer=MASK_LOSS)
    backward_of(model, images, data_samples, 'loss_mask')
    assert has_gradient(model) == names(model, 'mixer.')


def test_branchwise_loss_mask_arrives_with_loss_mix_k():
    """Both are one branch: the sum of the two is handed on with the first."""
    results = []
    for branchwise in (True, False):
        model, *_, images, data_samples = model_and_batch(branchwise, mixer=MASK_LOSS)
        backward_of(model, images, data_samples, 'loss_mix_k', 'loss_mask')
        results.append(grads(model.mixer))
    alone = model_and_batch(False, mixer=MASK_LOSS)
    backward_of(alone[0], *alone[3:], 'loss_mix_k')
    for name, grad in results[0].items():
        torch.testing.assert_close(grad, results[1][name], rtol=1e-9, atol=1e-13)
    differs = {
        name
        for name, grad in grads(alone[0].mixer).items()
        if not torch.allclose(grad, results[0][name], rtol=1e-3)
    }
    assert differs == names(alone[0].mixer, '')


@MODES
def test_without_onehot_only_two_losses_and_no_onehot_head(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise, onehot=False)
    losses = backward_of(model, images, data_samples, 'loss_mix_k', 'loss_mix_q')
    assert [n for n in losses if 'loss' in n] == ['loss_mix_k', 'loss_mix_q']
    assert has_gradient(model) == names(model, 'q.', 'mixer.')
    assert not [n for n in model.state_dict() if 'onehot' in n]


# ------------------------------------------------------------------------------ of the sum


@MODES
@pytest.mark.parametrize('stage', ['stem', 3])
def test_k_never_has_a_gradient(branchwise, stage):
    model = classifier(train_cfg=dict(branchwise=branchwise), mixer=dict(feature_stage=stage))
    optimizer = sgd(model)
    for seed in range(3):
        step(model, optimizer, *batch(seed=seed))
        assert all(p.grad is None and not p.requires_grad for p in model.k.parameters())
    assert len(names(model, 'k.')) == len(names(model, 'q.'))


@MODES
def test_zeroing_a_loss_zeroes_exactly_its_gradient(branchwise):
    parts = dict(
        loss_mix_k=('mixer.',),
        loss_onehot_q=('q.heads.onehot.',),
        loss_mix_q=('q.heads.mix.',),
    )
    for zeroed, gone in parts.items():
        model, *_, images, data_samples = model_and_batch(branchwise)
        losses = model.loss(images, data_samples)
        sum(0 * v if n == zeroed else v for n, v in losses.items() if 'loss' in n).backward()
        assert has_gradient(model) == names(model, 'q.', 'mixer.') - names(model, *gone)


@MODES
def test_a_loss_of_q_does_not_change_the_gradient_of_the_block(branchwise):
    model, *_, images, data_samples = model_and_batch(branchwise)
    backward_of(model, images, data_samples, 'loss_mix_k')
    alone = grads(model.mixer)
    losses = model.loss(images, data_samples)
    model.zero_grad()
    (1000 * losses['loss_onehot_q'] + 1000 * losses['loss_mix_q'] + losses['loss_mix_k']).backward()
    for name, grad in grads(model.mixer).items():
        torch.testing.assert_close(grad, alone[name], rtol=1e-12, atol=0)


# ------------------------------------------------------------------------------- by hand


def by_hand(model, images, data_samples, pair_q, pair_k):
    """Algorithm 1 line by line, with nothing of the classifier but its networks."""
    labels = labels_of(data_samples)
    size = tuple(images.shape[2:])

    def mix(pair):
        mask = model.mixer(z, pair, size)
        return mask * images + (1 - mask) * images[pair.partner], mask

    def mixed_loss(logits, pair):
        own = F.cross_entropy(logits, labels, reduction='none')
        other = F.cross_entropy(logits, labels[pair.partner], reduction='none')
        return (pair.lam * own + (1 - pair.lam) * other).mean()

    with torch.no_grad():
        z = model.k.backbone.layer3(
            model.k.backbone.layer2(
                model.k.backbone.layer1(
                    model.k.backbone.relu(model.k.backbone.norm1(model.k.backbone.conv1(images)))
                )
            )
        )
        m_q, _ = mix(pair_q)
    m_k, mask = mix(pair_k)

    def logits(encoder, x, head):
        pooled = encoder.backbone(x)[-1].mean((2, 3))
        return encoder.heads[head].fc(pooled)

    losses = dict(
        loss_mix_k=mixed_loss(logits(model.k, m_k, 'mix'), pair_k),
        loss_onehot_q=F.cross_entropy(logits(model.q, images, 'onehot'), labels),
        loss_mix_q=mixed_loss(logits(model.q, m_q, 'mix'), pair_q),
    )
    distance = (mask.mean((1, 2, 3)) - pair_k.lam).abs()
    losses['loss_mask'] = 5.0 * distance.mean()
    return losses


@MODES
@pytest.mark.parametrize('backbone', [{}, dict(norm_cfg=dict(type='GN', num_groups=4))])
def test_losses_and_gradients_are_those_of_algorithm_1(branchwise, backbone):
    model, pair_q, pair_k, images, data_samples = model_and_batch(
        branchwise, mixer=MASK_LOSS, backbone=backbone
    )
    losses = model.loss(images, data_samples)
    total(losses).backward()
    got = grads(model)
    model.zero_grad()
    expected = by_hand(model, images, data_samples, pair_q, pair_k)
    sum(expected.values()).backward()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-6, atol=0)
    for name, grad in grads(model).items():
        if grad is None:
            assert got[name] is None, name
        else:
            torch.testing.assert_close(got[name], grad, rtol=1e-4, atol=1e-9, msg=name)


def test_the_losses_notice_a_wrong_partner_or_an_inverted_lam():
    """The comparison above is worth something: it fails for either mistake."""
    model, pair_q, pair_k, images, data_samples = model_and_batch()
    right = by_hand(model, images, data_samples, pair_q, pair_k)
    for wrong in (
        Pair(1 - pair_k.lam, pair_k.partner),
        Pair(pair_k.lam, pair_k.partner.roll(1)),
        pair_q,
    ):
        value = by_hand(model, images, data_samples, pair_q, wrong)['loss_mix_k']
        assert abs(value / right['loss_mix_k'] - 1) > 1e-4


@MODES
def test_gradient_of_the_input_passes_through_k(branchwise):
    """k is frozen, yet a function: the block's gradient depends on k's weights."""
    model, *_, images, data_samples = model_and_batch(branchwise)
    backward_of(model, images, data_samples, 'loss_mix_k')
    before = grads(model.mixer)
    with torch.no_grad():
        model.k.heads['mix'].fc.weight.mul_(2)
    backward_of(model, images, data_samples, 'loss_mix_k')
    after = grads(model.mixer)
    differs = {n for n in before if not torch.allclose(before[n], after[n], rtol=1e-3)}
    assert differs == names(model.mixer, '')


@pytest.mark.parametrize('frozen', ['mixer', 'q'])
@MODES
def test_a_frozen_part_leaves_the_other_trained(branchwise, frozen):
    model, *_, images, data_samples = model_and_batch(branchwise)
    model.get_submodule(frozen).requires_grad_(False)
    total(model.loss(images, data_samples)).backward()
    assert has_gradient(model) == names(model, 'q.' if frozen == 'mixer' else 'mixer.')

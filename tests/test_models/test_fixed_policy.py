"""With Momentum a fixed policy gets a k to evaluate, whose statistics nothing else feeds."""

import copy

import pytest
import torch

from tests.small_models import batch, classifier, sgd, step, weights
from tests.test_models.test_ablation import build
from tests.test_models.test_without_momentum import NORM, data_of, logits_of

FIXED = pytest.mark.parametrize('mixer', ['Mixup', 'CutMix'])


def passes_through(norm):
    """Collect batch mean and variance of every pass of a norm in training, and its mode."""
    seen = []

    def note(module, inputs):
        x = inputs[0].detach()
        var, mean = torch.var_mean(x, (0, 2, 3))
        fed = module.training and module.track_running_stats and bool(module.momentum)
        seen.append((fed, mean, var))

    norm.register_forward_pre_hook(note)
    return seen


def k_fed(model):
    return passes_through(model.k.get_submodule(NORM))


@FIXED
@pytest.mark.parametrize('interval', [1, 3])
def test_clean_buffers_are_fed_by_clean_images_of_every_nth_batch(mixer, interval):
    momentum = dict(momentum=0.2, end=0.1, buffers='clean', clean_interval=interval)
    model = build(mixer, 'momentum', momentum=momentum)
    seen, shown = k_fed(model), []
    model.k.backbone.register_forward_pre_hook(lambda m, inputs: shown.append(inputs[0]))
    norm, optimizer = model.k.get_submodule(NORM), sgd(model, 0.01)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    batches = [batch(seed=seed) for seed in range(7)]
    for each in batches:
        step(model, optimizer, *each)
    due = list(range(0, 7, interval))
    assert len(shown) == len(seen) == len(due)  # k costs nothing in between
    for index, images in zip(due, shown, strict=True):
        assert torch.equal(images, batches[index][0])
    for number, (fed, batch_mean, batch_var) in enumerate(seen):
        assert fed
        share = max(1 / (number + 1), 0.1)
        mean = (1 - share) * mean + share * batch_mean
        var = (1 - share) * var + share * batch_var
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-6)


@FIXED
def test_copied_buffers_are_those_of_q_and_cost_no_pass(mixer):
    model = build(mixer, 'momentum', momentum=dict(momentum=0.2, end=0.1, buffers='copy'))
    seen, optimizer = k_fed(model), sgd(model)
    for seed in range(3):
        step(model, optimizer, *batch(seed=seed))
    assert seen == []
    for name, buffer in model.q.named_buffers():
        assert torch.equal(buffer, model.k.get_buffer(name)), name
    assert model.k.get_submodule(NORM).num_batches_tracked == 3


@FIXED
def test_own_buffers_are_fed_by_a_clean_pass_of_every_batch(mixer):
    model = build(mixer, 'momentum', momentum=dict(momentum=0.2, end=0.1, buffers='own'))
    seen, shown = k_fed(model), []
    model.k.backbone.register_forward_pre_hook(lambda m, inputs: shown.append(inputs[0]))
    norm, optimizer = model.k.get_submodule(NORM), sgd(model, 0.01)
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    batches = [batch(seed=seed) for seed in range(3)]
    for each in batches:
        step(model, optimizer, *each)
    assert len(shown) == 3
    for images, each in zip(shown, batches, strict=True):
        assert torch.equal(images, each[0])
    for fed, batch_mean, batch_var in seen:
        assert fed
        mean, var = 0.9 * mean + 0.1 * batch_mean, 0.9 * var + 0.1 * batch_var
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(norm.running_var, var, rtol=1e-4, atol=1e-6)


@FIXED
@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_k_of_a_fixed_policy_can_be_evaluated(mixer, buffers):
    """At a rate of zero k stays q, and comes near to what it says by the batch's statistics."""
    momentum = dict(momentum=0.2, end=0.1, buffers=buffers, clean_interval=2)
    fast = dict(norm_cfg=dict(type='BN', momentum=0.5))
    model = build(mixer, 'momentum-onehot', momentum=momentum, backbone=fast)
    model.k.copy_from(model.q)
    optimizer, (images, data_samples) = sgd(model, 0.0), batch(8)

    def distance():
        with torch.no_grad():
            expected = logits_of(copy.deepcopy(model.q).train(), images, 'mix').softmax(1)
            return (model(images).softmax(1) - expected).abs().max()

    model.eval()
    unfed = distance()
    model.train()
    for _ in range(12):
        step(model, optimizer, images, data_samples)
    model.eval()
    out = model.val_step(data_of(images, data_samples))
    with torch.no_grad():
        expected = logits_of(model.k, images, 'mix').softmax(1)
    torch.testing.assert_close(torch.stack([s.pred_score for s in out]), expected)
    # A copy has q's statistics, which are of clean and of mixed images.
    assert distance() < (0.6 if buffers == 'copy' else 0.15) * unfed


@FIXED
def test_evaluation_feeds_nothing_and_counts_nothing(mixer):
    model = build(mixer, 'momentum')
    step(model, sgd(model), *batch())
    before = weights(model)
    model.eval()
    model.val_step(data_of(*batch(seed=3)))
    model(batch(seed=4)[0])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('mixer', ['ManifoldMix', 'PuzzleMix', 'SaliencyMix'])
@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_what_a_mixer_does_with_k_does_not_feed_it(mixer, buffers):
    """The same clean batches leave the same statistics as with Mixup, and every mode as it was."""
    found = []
    for name in ('Mixup', mixer):
        momentum = dict(momentum=0.2, end=0.1, buffers=buffers, clean_interval=2)
        model = classifier(
            dict(drop_path_rate=0.1), mixer=dict(type=f'automix_mm.{name}'), momentum=momentum
        )
        modes = [module.training for module in model.modules()]
        for seed in range(3):
            model.loss(*batch(seed=seed))  # without a step, so that both k stay equal
        assert modes == [module.training for module in model.modules()]
        assert all(p.grad is None for p in model.parameters())
        found.append({n: b for n, b in model.k.named_buffers() if 'running' in n})
    for name, value in found[0].items():
        torch.testing.assert_close(value, found[1][name], msg=name)


@pytest.mark.parametrize('mixer', ['ManifoldMix', 'PuzzleMix', 'SaliencyMix'])
def test_what_a_mixer_does_with_q_does_not_feed_it(mixer):
    model = classifier(mixer=dict(type=f'automix_mm.{mixer}'), momentum=None, onehot=False)
    modes = [module.training for module in model.modules()]
    for seed in range(3):
        model.loss(*batch(seed=seed))
    assert model.q.get_submodule(NORM).num_batches_tracked == 3
    assert modes == [module.training for module in model.modules()]

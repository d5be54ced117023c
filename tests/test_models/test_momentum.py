"""The momentum encoder: its average, its schedule, and when it moves."""

import copy
import gc
import math
import pickle

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch.optim import optimizer as torch_optimizer

from automix_mm.models.encoders import Encoder, MomentumEncoder
from tests.small_models import SLIM, batch, classifier, sgd, step, total, weights

HEAD = dict(type='automix_mm.MixupHead', num_classes=4, in_channels=64)
NETWORK = dict(
    backbone=SLIM, neck=dict(type='GlobalAveragePooling'), head=HEAD, head_names=('onehot', 'mix')
)


def encoders(**momentum):
    torch.manual_seed(0)
    return Encoder(**NETWORK), MomentumEncoder(**NETWORK, **momentum)


@pytest.fixture
def max_iters():
    """Tell the classifier how long the training is, as the host's runner does."""
    info = MessageHub.get_current_instance().runtime_info

    def tell(number):
        info['max_iters'] = number

    yield tell
    info.pop('max_iters', None)


@pytest.fixture
def shares(monkeypatch):
    """Every share of new weights that an update has used."""
    used = []
    momentum_at = MomentumEncoder.momentum_at

    def spy(self, step, max_steps):
        used.append(momentum_at(self, step, max_steps))
        return used[-1]

    monkeypatch.setattr(MomentumEncoder, 'momentum_at', spy)
    return used


def fill(module, value):
    with torch.no_grad():
        for param in module.parameters():
            param.fill_(value)


# ------------------------------------------------------------------------------ average


def test_update_by_hand():
    """k = (1 - m) k + m q, with q changing: 0, then 0.1, then 0.1 * 0.9 + 2 * 0.1."""
    q, k = encoders(momentum=0.1, end=0.1)
    fill(q, 1.0), fill(k, 0.0)
    k.update(q)
    assert all(torch.allclose(p, torch.tensor(0.1)) for p in k.parameters())
    fill(q, 2.0)
    k.update(q)
    assert all(torch.allclose(p, torch.tensor(0.29)) for p in k.parameters())
    assert all((p == 2).all() for p in q.parameters())
    assert k.updates.value() == int(k.updates.count) == 2


def test_every_parameter_follows_its_namesake():
    q, k = encoders(momentum=0.25, end=0.25)
    before = weights(k)
    k.update(q)
    for name, param in k.named_parameters():
        expected = 0.75 * before[name] + 0.25 * q.get_parameter(name)
        torch.testing.assert_close(param, expected, rtol=1e-6, atol=1e-7)
    moved = {n for n, p in k.named_parameters() if not torch.equal(p, before[n])}
    assert {'heads.onehot.fc.weight', 'heads.mix.fc.weight', 'backbone.conv1.weight'} <= moved


def test_update_is_in_place_and_without_graph():
    q, k = encoders(momentum=0.5, end=0.5)
    where = [p.data_ptr() for p in k.parameters()]
    k.update(q)
    assert where == [p.data_ptr() for p in k.parameters()]
    assert all(p.grad_fn is None and not p.requires_grad for p in k.parameters())


def test_momentum_one_copies_q():
    q, k = encoders(momentum=1.0, end=1.0)
    k.update(q)
    for own, other in zip(k.parameters(), q.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_k_starts_as_q():
    model = classifier(spread=False)
    model.init_weights()
    k = weights(model.k)
    for name, value in weights(model.q).items():
        assert torch.equal(value, k[name]), name


# ----------------------------------------------------------------------------- schedule


def test_schedule_at_first_middle_and_last_step():
    """The paper: m from 0.999 to 1 on a cosine."""
    _, k = encoders(momentum=0.001, end=0.0)
    assert k.momentum_at(0, 1000) == 0.001
    assert k.momentum_at(500, 1000) == pytest.approx(0.0005)
    last = 0.001 * (1 + math.cos(math.pi * 999 / 1000)) / 2
    assert k.momentum_at(999, 1000) == pytest.approx(last)
    assert 0 < last < 1e-8
    assert k.momentum_at(1000, 1000) == pytest.approx(0.0, abs=1e-12)


def test_schedule_ends_at_end():
    _, k = encoders(momentum=0.01, end=0.002)
    assert k.momentum_at(0, 10) == 0.01
    assert k.momentum_at(5, 10) == pytest.approx(0.006)
    assert k.momentum_at(10, 10) == pytest.approx(0.002)
    assert k.momentum_at(99, 10) == pytest.approx(0.002)  # trained on beyond the plan


def test_schedule_holds_first():
    _, k = encoders(momentum=0.01, end=0.0, hold=0.1)
    assert [k.momentum_at(s, 1000) for s in (0, 50, 100)] == [0.01] * 3
    assert k.momentum_at(550, 1000) == pytest.approx(0.005)
    assert k.momentum_at(101, 1000) < 0.01


def test_constant_momentum_needs_no_number_of_steps():
    _, k = encoders(momentum=0.01, end=0.01)
    assert k.momentum_at(10**6, None) == 0.01


def test_own_number_of_steps_goes_before_that_of_the_loop():
    _, k = encoders(momentum=0.01, end=0.0, max_steps=10)
    assert k.momentum_at(5, 1000) == pytest.approx(0.005)


def test_unknown_number_of_steps_is_an_error_that_says_what_to_do():
    q, k = encoders(momentum=0.01, end=0.0)
    with pytest.raises(ValueError, match='set max_steps'):
        k.update(q)
    model = classifier(momentum=dict(max_steps=None))
    with pytest.raises(ValueError, match='set max_steps'):
        step(model, sgd(model), *batch())


@pytest.mark.parametrize(
    'fields',
    [
        dict(momentum=0.0),
        dict(momentum=1.5),
        dict(momentum=-0.1),
        dict(momentum=0.999, end=0.9995),
        dict(momentum=0.01, end=-0.01),
        dict(hold=1.0),
        dict(hold=-0.1),
        dict(buffers='mean'),
        dict(clean_interval=0),
        dict(momentum=float('nan')),
    ],
)
def test_fields_outside_their_range(fields):
    with pytest.raises(ValueError, match='got'):
        classifier(momentum=fields)


# ------------------------------------------------------------------------- when it moves


def test_a_bare_loop_moves_k_after_the_step_of_q():
    model = classifier(momentum=dict(momentum=0.3, end=0.3))
    before = weights(model.k)
    step(model, sgd(model), *batch())
    for name, param in model.k.named_parameters():
        expected = 0.7 * before[name] + 0.3 * model.q.get_parameter(name)
        torch.testing.assert_close(param, expected, rtol=1e-5, atol=1e-7)


def test_shares_of_a_whole_run(shares, max_iters):
    max_iters(6)
    model = classifier(momentum=dict(momentum=0.01, max_steps=None))
    optimizer = sgd(model)
    for seed in range(6):
        step(model, optimizer, *batch(seed=seed))
    expected = [0.01 * (1 + math.cos(math.pi * s / 6)) / 2 for s in range(6)]
    assert shares == pytest.approx(expected)


@pytest.mark.parametrize('counts', [2, 3])
def test_accumulated_batches_are_one_step_of_the_schedule(counts, shares, max_iters):
    max_iters(12)
    model = classifier(momentum=dict(momentum=0.01, max_steps=None))
    wrapper = OptimWrapper(sgd(model), accumulative_counts=counts)
    wrapper.initialize_count_status(model, 0, 12)
    moved = []
    for seed in range(12):
        before = weights(model.k)['backbone.conv1.weight']
        with wrapper.optim_context(model):
            losses = model.loss(*batch(4, seed=seed))
        wrapper.update_params(total(losses))
        moved.append(not torch.equal(before, model.k.backbone.conv1.weight))
    steps = 12 // counts
    assert moved == ([False] * (counts - 1) + [True]) * steps
    assert shares == pytest.approx(
        [0.01 * (1 + math.cos(math.pi * s / steps)) / 2 for s in range(steps)]
    )
    assert model.k.updates.value() == steps and model.iterations.value() == 12


def test_a_last_step_of_fewer_batches_still_counts(shares, max_iters):
    max_iters(5)
    model = classifier(momentum=dict(momentum=0.01, max_steps=None))
    wrapper = OptimWrapper(sgd(model), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 5)
    for seed in range(5):
        with wrapper.optim_context(model):
            losses = model.loss(*batch(4, seed=seed))
        wrapper.update_params(total(losses))
    assert len(shares) == 3
    assert shares == sorted(shares, reverse=True) and shares[0] == 0.01


def scaled_step(model, optimizer, scaler, images, data_samples, overflow):
    optimizer.zero_grad()
    scaler.scale(total(model.loss(images, data_samples))).backward()
    if overflow:
        model.q.backbone.conv1.weight.grad[0] = float('inf')
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize('fused', [False, True])
def test_a_skipped_step_does_not_move_k(fused):
    """A fused one is skipped on the device: unread, it counts in the schedule all the same."""
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, fused=fused)
    scaler = torch.amp.GradScaler('cpu')
    before = weights(model)
    scaled_step(model, optimizer, scaler, *batch(), overflow=True)
    for name, param in model.named_parameters():
        assert torch.equal(param, before[name]), name
    assert model.k.updates.value() == int(fused)
    scaled_step(model, optimizer, scaler, *batch(), overflow=False)
    assert model.k.updates.value() == 1 + fused
    assert not torch.equal(model.k.backbone.conv1.weight, before['k.backbone.conv1.weight'])


def test_skipped_steps_do_not_shorten_the_schedule(shares, max_iters):
    """The first steps of float16 training are skipped as a rule."""
    max_iters(20)
    model = classifier(momentum=dict(momentum=0.01, max_steps=None))
    optimizer, scaler = sgd(model), torch.amp.GradScaler('cpu')
    for seed in range(20):
        scaled_step(model, optimizer, scaler, *batch(4, seed=seed), overflow=seed < 3)
    assert model.k.updates.value() == len(shares) == 17
    exact = [0.01 * (1 + math.cos(math.pi * (s + 3) / 20)) / 2 for s in range(17)]
    # Within three steps of the schedule everywhere, and close to its end at the end.
    ahead = [0.01 * (1 + math.cos(math.pi * min(s + 3, 20) / 20)) / 2 for s in range(3, 20)]
    behind = [0.01 * (1 + math.cos(math.pi * s / 20)) / 2 for s in range(17)]
    for share, low, high in zip(shares, ahead, behind, strict=True):
        assert low - 1e-9 <= share <= high + 1e-9
    assert shares[-1] == pytest.approx(exact[-1], abs=5e-4)


def test_an_optimizer_of_other_parameters_does_not_move_k():
    model, other = classifier(), torch.nn.Linear(2, 2)
    for module in (other, model.mixer):
        for param in module.parameters():
            param.grad = torch.ones_like(param)
        torch.optim.SGD(module.parameters(), 0.1).step()
    assert model.k.updates.value() == 0


def test_separate_optimizers_of_q_and_block_are_one_step():
    model = classifier()
    optimizers = [torch.optim.SGD(m.parameters(), 0.05) for m in (model.q, model.mixer)]
    total(model.loss(*batch())).backward()
    for optimizer in optimizers:
        optimizer.step()
    assert model.k.updates.value() == 1


class Slow(torch.optim.Optimizer):
    """Steps an optimizer inside its own step, and changes the weights once more afterwards.

    So do torch's ZeroRedundancyOptimizer, which fetches the other ranks' weights behind the local
    step, and Lookahead.
    """

    def __init__(self, inner):
        super().__init__(inner.param_groups, {})
        self.inner = inner

    def step(self, closure=None):
        self.inner.step()
        with torch.no_grad():
            for group in self.param_groups:
                for param in group['params']:
                    if param.grad is not None:
                        param.mul_(0.5)


def test_a_step_inside_a_step_is_one_update_at_the_end():
    model = classifier(momentum=dict(momentum=1.0, end=1.0))
    optimizer = Slow(sgd(model))
    step(model, optimizer, *batch())
    assert model.k.updates.value() == 1
    for own, other in zip(model.k.parameters(), model.q.parameters(), strict=True):
        torch.testing.assert_close(own, other)
    step(model, optimizer, *batch(seed=1))
    assert model.k.updates.value() == 2


class Failing(torch.optim.SGD):
    """Raises in its step, as an optimizer that finds no memory does."""

    @torch.no_grad()
    def step(self, closure=None):
        raise RuntimeError('no step')


def test_k_follows_another_optimizer_after_one_has_failed():
    model = classifier(momentum=dict(momentum=1.0, end=1.0))
    with pytest.raises(RuntimeError, match='no step'):
        step(model, Failing(model.parameters(), 0.05), *batch())
    assert model.k.updates.value() == 0
    step(model, sgd(model), *batch(seed=1))
    assert model.k.updates.value() == 1
    for own, other in zip(model.k.parameters(), model.q.parameters(), strict=True):
        torch.testing.assert_close(own, other)


# --------------------------------------------------------------- classifiers in a process


def test_two_classifiers_do_not_disturb_each_other():
    alone = classifier(seed=1)
    step(alone, sgd(alone), *batch())
    expected = weights(alone)
    one, two = classifier(seed=1), classifier(seed=2)
    untouched = weights(two)
    torch.manual_seed(5)
    step(one, sgd(one), *batch())
    for name, value in expected.items():
        assert torch.equal(one.state_dict()[name], value), name
    for name, value in untouched.items():
        assert torch.equal(two.state_dict()[name], value), name
    step(two, sgd(two), *batch())
    assert (one.k.updates.value(), two.k.updates.value()) == (1, 1)


@pytest.mark.parametrize('clone', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_follows_its_own_optimizer(clone):
    model = classifier()
    step(model, sgd(model), *batch())
    other = clone(model)
    step(other, sgd(other), *batch(seed=1))
    assert (model.k.updates.value(), other.k.updates.value()) == (1, 2)
    step(model, sgd(model), *batch(seed=1))
    for name, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_classifier_that_is_gone_leaves_no_hook_behind():
    hooks = torch_optimizer._global_optimizer_post_hooks
    gc.collect()
    before = len(hooks)
    model = classifier()
    step(model, sgd(model), *batch())
    assert len(hooks) == before + 1
    del model
    gc.collect()
    assert len(hooks) == before

"""Backward branch by branch gives the gradients of the plain sum, in less memory."""

import weakref

import pytest
import torch
from mmengine.optim import OptimWrapper

from tests.small_models import batch, classifier, grads, plain_classifier, sgd, step, total, weights

MASK_LOSS = dict(mask_loss=dict(weight=5.0, margin=0.0))


def pair_of_models(dtype=torch.float64, **fields):
    """The same classifier twice: branch by branch, and with the plain sum."""
    return [
        classifier(train_cfg=dict(branchwise=branchwise), **fields).to(dtype)
        for branchwise in (True, False)
    ]


def assert_same(one, other, rtol=1e-5, atol=1e-12):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if value is None:
            assert other[name] is None, name
        else:
            torch.testing.assert_close(value, other[name], rtol=rtol, atol=atol, msg=name)


@pytest.mark.parametrize('onehot', [True, False])
@pytest.mark.parametrize('mixer', [{}, MASK_LOSS])
@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_gradients_are_those_of_the_plain_sum(onehot, mixer, buffers):
    one, other = pair_of_models(onehot=onehot, mixer=mixer, momentum=dict(buffers=buffers))
    images, data_samples = batch(dtype=torch.float64)
    losses = []
    for model in (one, other):
        losses.append(model.loss(images, data_samples))
        total(losses[-1]).backward()
    assert losses[0].keys() == losses[1].keys()
    for name in losses[0]:
        torch.testing.assert_close(losses[0][name], losses[1][name], rtol=1e-12, atol=0)
    assert_same(grads(one), grads(other))


@pytest.mark.parametrize('optimizer', ['sgd', 'adamw'])
def test_weights_after_several_steps_are_the_same(optimizer):
    models = pair_of_models(momentum=dict(momentum=0.2))
    for model in models:
        make = sgd if optimizer == 'sgd' else lambda m: torch.optim.AdamW(m.parameters(), 1e-3)
        made = make(model)
        for seed in range(3):
            step(model, made, *batch(seed=seed, dtype=torch.float64))
    assert_same(weights(models[0]), weights(models[1]), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize('counts', [2, 3])
def test_under_gradient_accumulation(counts):
    models = pair_of_models(momentum=dict(momentum=0.2))
    for model in models:
        wrapper = OptimWrapper(sgd(model), accumulative_counts=counts)
        wrapper.initialize_count_status(model, 0, 2 * counts)
        for seed in range(2 * counts):
            with wrapper.optim_context(model):
                losses = model.loss(*batch(seed=seed, dtype=torch.float64))
            wrapper.update_params(total(losses))
        assert model.k.updates.value() == 2
    assert_same(weights(models[0]), weights(models[1]), rtol=1e-5, atol=1e-9)


def test_accumulated_gradient_is_the_sum_over_the_batches():
    model = pair_of_models()[0]
    expected = None
    for seed in range(2):
        model.zero_grad()
        model.iterations.count.fill_(seed), setattr(model.iterations, '_value', seed)
        total(model.loss(*batch(seed=seed, dtype=torch.float64))).backward()
        found = grads(model)
        if expected is None:
            expected = found
        else:
            expected = {n: None if g is None else g + expected[n] for n, g in found.items()}
    model.zero_grad()
    for seed in range(2):
        model.iterations._value = seed
        total(model.loss(*batch(seed=seed, dtype=torch.float64))).backward()
    assert_same(grads(model), expected, rtol=1e-9)


# ----------------------------------------------------------------------- scaled losses


@pytest.mark.parametrize('amp', [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('growth_interval', [1, 1000])
def test_under_a_grad_scaler(amp, growth_interval):
    """In float64, which autocast leaves alone, so that the scaling alone is compared."""
    models = pair_of_models(mixer=MASK_LOSS)
    collected = []
    for model in models:
        optimizer = sgd(model)
        scaler = torch.amp.GradScaler('cpu', init_scale=1024.0, growth_interval=growth_interval)
        for seed in range(4):
            optimizer.zero_grad()
            with torch.autocast('cpu', dtype=amp or torch.bfloat16, enabled=amp is not None):
                losses = model.loss(*batch(seed=seed, dtype=torch.float64))
            scaler.scale(total(losses)).backward()
            scaler.unscale_(optimizer)
            collected.append(grads(model))
            scaler.step(optimizer)
            scaler.update()
        assert model.k.updates.value() == 4
        assert scaler.get_scale() == (1024 * 2**4 if growth_interval == 1 else 1024)
    for one, other in zip(collected[:4], collected[4:], strict=True):
        assert_same(one, other)
    assert_same(weights(models[0]), weights(models[1]), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize('amp', [torch.bfloat16, torch.float16])
def test_under_autocast_of_a_float32_model(amp):
    """Half precision rounds: equal to what it can hold, and every parameter gets its gradient."""
    models = pair_of_models(torch.float32)
    for model in models:
        scaler = torch.amp.GradScaler('cpu', init_scale=128.0, enabled=amp == torch.float16)
        for seed in range(2):  # the first pass shows the scale to the branches
            model.zero_grad()
            with torch.autocast('cpu', dtype=amp):
                losses = model.loss(*batch(seed=seed))
            scaler.scale(total(losses)).backward()
        scaler.unscale_(torch.optim.SGD(model.parameters(), 0.1))
    found = [{n: g for n, g in grads(m).items() if g is not None} for m in models]
    assert found[0].keys() == found[1].keys()
    one, other = (torch.cat([g.flatten() for g in each.values()]) for each in found)
    assert one.isfinite().all()
    assert (one - other).norm() < 0.03 * other.norm()


@pytest.mark.parametrize('seen_scale', [None, 2.0**16, 1.0])
def test_small_gradients_do_not_underflow_in_float16(seen_scale):
    """Unscaled they would be zero in float16; a branch takes them scaled and divides again."""
    found = []
    for branchwise in (False, True):
        model = classifier(train_cfg=dict(branchwise=branchwise))
        with torch.no_grad():
            model.k.heads['mix'].fc.weight.mul_(1e-5)  # makes the block's gradient tiny
        model.branches.seen_scale = seen_scale and torch.tensor(seen_scale)
        scaler = torch.amp.GradScaler('cpu', init_scale=2.0**16)
        with torch.autocast('cpu', dtype=torch.float16):
            losses = model.loss(*batch())
        scaler.scale(total(losses)).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.mixer.parameters()]))
    plain, ours = found
    assert plain.norm() > 0
    if seen_scale == 1.0:  # what would happen without the scale
        assert (ours - plain).norm() > 0.5 * plain.norm()
    else:
        assert (ours - plain).norm() < 0.01 * plain.norm()


def test_an_overflow_in_an_early_branch_reaches_the_scaler():
    """A gradient of inf must arrive as inf, or the scaler would let the step pass."""
    model = classifier()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0**16)
    before = weights(model.k)
    with torch.autocast('cpu', dtype=torch.float16):
        losses = model.loss(*batch())
    handle = model.mixer.content_projection.weight.register_hook(lambda g: g * float('inf'))
    scaler.scale(total(losses)).backward()
    handle.remove()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**15
    assert model.k.updates.value() == 0
    after = dict(model.k.named_parameters())
    assert all(torch.equal(before[n], p) for n, p in after.items())


def test_a_loss_weight_outside_scales_the_gradient():
    """What stands in front of the loss multiplies the gradients that were taken before."""
    images, data_samples = batch(dtype=torch.float64)
    one, other = pair_of_models()
    (3 * total(one.loss(images, data_samples))).backward()
    total(other.loss(images, data_samples)).backward()
    tripled = {n: None if g is None else 3 * g for n, g in grads(other).items()}
    assert_same(grads(one), tripled)


# ------------------------------------------------------------------- order of arrival


def test_gradients_of_the_last_branch_arrive_layer_by_layer():
    """Late layers are complete while early ones are still to come: DDP can send them meanwhile."""
    model, events = classifier(), []
    for name, param in model.q.backbone.named_parameters():
        param.register_post_accumulate_grad_hook(lambda _, name=name: events.append(name))

    def watch(module, inputs, output):
        output.register_hook(lambda _: events.append('backward reaches layer1'))

    model.q.backbone.layer1.register_forward_hook(watch)
    losses = model.loss(*batch())
    assert events == ['backward reaches layer1']  # the clean branch: no parameter was touched
    events.clear()
    total(losses).backward()
    assert len(events) == len(list(model.q.backbone.parameters())) + 1
    middle = events.index('backward reaches layer1')
    assert all(name.startswith(('layer2', 'layer3', 'layer4')) for name in events[:middle])
    assert all(name.startswith(('layer1', 'bn1', 'conv1')) for name in events[middle + 1 :])
    assert middle > 20


def test_every_parameter_is_accumulated_once():
    """DDP counts on it: a second arrival would come after its bucket was sent."""
    model, counts = classifier(), {}
    for name, param in model.named_parameters():
        if param.requires_grad:
            counts[name] = 0

            def count(_, name=name):
                counts[name] += 1

            param.register_post_accumulate_grad_hook(count)
    total(model.loss(*batch())).backward()
    assert set(counts.values()) == {1}


# ------------------------------------------------------------------------------- memory


class LiveBytes:
    """Peak of the bytes saved for backward, each storage counted once, weights left out."""

    def __init__(self, model):
        self.weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
        self.users, self.now, self.peak = {}, 0, 0

    def pack(self, tensor):
        tensor = tensor.detach()
        storage = tensor.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if key in self.weights:
            return [tensor]
        holder = Held(tensor)
        if not self.users.get(key):
            self.now += size
            self.peak = max(self.peak, self.now)
        self.users[key] = self.users.get(key, 0) + 1
        weakref.finalize(holder, self.release, key, size)
        return holder

    def release(self, key, size):
        self.users[key] -= 1
        if not self.users[key]:
            self.now -= size

    @staticmethod
    def unpack(holder):
        return holder[0]


class Held(list):
    def __init__(self, tensor):
        super().__init__([tensor])


def peak_of(model, loss_of):
    live = LiveBytes(model)
    with torch.autograd.graph.saved_tensors_hooks(live.pack, live.unpack):
        total(loss_of(*batch(8, 32))).backward()
    assert live.now == 0
    return live.peak


def test_saved_activations_stay_near_those_of_the_plain_classifier():
    vanilla = plain_classifier().train()
    vanilla_peak = peak_of(vanilla, lambda x, s: vanilla(x, s, mode='loss'))
    branchwise, joint = (
        peak_of(model, model.loss) for model in pair_of_models(torch.float32, mixer={})
    )
    assert branchwise < 1.15 * vanilla_peak
    assert joint > 2.5 * vanilla_peak


def test_the_graph_of_a_branch_is_gone_before_the_next_begins():
    model = classifier()
    live = LiveBytes(model)
    seen = {}
    loss_of_q = model.q.loss

    def spy(images, target, head):
        seen[head] = live.now
        return loss_of_q(images, target, head)

    model.q.loss = spy
    with torch.autograd.graph.saved_tensors_hooks(live.pack, live.unpack):
        model.loss(*batch())
    assert seen['onehot'] == 0  # k's branch has been freed
    assert seen['mix'] == 0  # and the clean one, too


# -------------------------------------------------------------- activation checkpointing


def test_activation_checkpointing_needs_the_plain_sum():
    with pytest.raises(ValueError, match=r'with_cp.*branchwise=False'):
        classifier(dict(with_cp=True))


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
def test_activation_checkpointing_gives_the_same_gradients():
    with_cp, without = (
        classifier(dict(with_cp=with_cp), train_cfg=dict(branchwise=False)).double()
        for with_cp in (True, False)
    )
    for model in (with_cp, without):
        total(model.loss(*batch(dtype=torch.float64))).backward()
    assert_same(grads(with_cp), grads(without), rtol=1e-8)


def test_without_gradient_nothing_is_taken():
    model = classifier()
    with torch.no_grad():
        losses = model.loss(*batch())
    assert not any(value.requires_grad for value in losses.values())
    assert all(p.grad is None for p in model.parameters())

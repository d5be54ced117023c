"""ManifoldMix: hidden maps of any backbone are mixed where the draw says, and nowhere else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from automix_mm.mixing import Pair
from automix_mm.models.mixers.manifold_mix import LayerDraw, ManifoldMix
from tests.small_models import (
    GROUP_NORM,
    batch,
    classifier,
    fix_pairs,
    grads,
    labels_of,
    sgd,
    step,
    weights,
)

LAYERS = ('input', 'stem', 0, 1, 2, 3, 'layer2.0')
EVERY_LAYER = pytest.mark.parametrize('index', range(len(LAYERS)), ids=map(str, LAYERS))
PARTNER = torch.tensor([1, 2, 3, 4, 5, 0])
# Exact in float32, so that results by hand in float64 are comparable.
LAM = torch.tensor(0.3125)
LAM_PER_SAMPLE = torch.tensor([0.25, 0.875, 0.0, 1.0, 0.5, 0.0625])


def build(layers=LAYERS, *, momentum=None, onehot=False, **fields):
    mixer = dict(type='automix_mm.ManifoldMix', layers=layers) | fields.pop('mixer_fields', {})
    return classifier(mixer=mixer, momentum=momentum, onehot=onehot, **fields)


def drawing(model, index, lam=LAM, partner=PARTNER):
    """Let the classifier mix this pair at the layer of this index."""
    draw = LayerDraw(Pair(lam, partner), index)
    return fix_pairs(model, draw, draw)


def logits_of(encoder, images, head):
    return encoder.heads[head](encoder.extract_feat(images))


def mixed(x, lam=LAM, partner=PARTNER):
    weight = lam.double().view(-1, *[1] * (x.dim() - 1))
    return weight * x + (1 - weight) * x[partner]


def by_hand(model, images, layer, lam=LAM):
    """Logits of the mix head, module by module."""
    net = model.q.backbone

    def at(name, x):
        return mixed(x, lam) if name == layer else x

    x = at('input', images)
    x = at('stem', net.relu(net.norm1(net.conv1(x))))
    x = at(0, net.layer1(x))
    x = at('layer2.0', net.layer2[0](x))
    x = at(1, net.layer2[1](x))
    x = at(2, net.layer3(x))
    x = at(3, net.layer4(x))
    return model.q.heads['mix'].fc(x.mean((2, 3)))


def mixed_loss(logits, labels, lam=LAM):
    own = F.cross_entropy(logits, labels, reduction='none')
    other = F.cross_entropy(logits, labels[PARTNER], reduction='none')
    return (lam.double() * own + (1 - lam.double()) * other).mean()


def hooks_of(model):
    return list(model.mixer._hooks.values())


# ------------------------------------------------------------------------------- by hand


@EVERY_LAYER
@pytest.mark.parametrize('lam', [LAM, LAM_PER_SAMPLE], ids=['batch', 'sample'])
@pytest.mark.parametrize('norm', [{}, GROUP_NORM], ids=['BN', 'GN'])
def test_loss_and_gradients_by_hand(index, lam, norm):
    model = build(backbone=dict(norm)).double()
    drawing(model, index, lam)
    images, data_samples = batch(dtype=torch.float64)
    losses = model.loss(images, data_samples)
    losses['loss_mix_q'].backward()
    got = grads(model)
    model.zero_grad()
    expected = mixed_loss(by_hand(model, images, LAYERS[index], lam), labels_of(data_samples), lam)
    expected.backward()
    torch.testing.assert_close(losses['loss_mix_q'], expected, rtol=1e-6, atol=0)
    for name, gradient in grads(model).items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-4, atol=1e-9, msg=name)


def test_every_layer_gives_another_loss():
    """The comparisons above would otherwise not tell one layer from the other."""
    found = []
    for index in range(len(LAYERS)):
        model = drawing(build(), index)
        found.append(model.loss(*batch())['loss_mix_q'].item())
    assert len({round(value, 4) for value in found}) == len(LAYERS)


@EVERY_LAYER
@pytest.mark.parametrize(
    ('lam', 'reached'), [(LAM, {0, 2}), (torch.tensor(1.0), {0}), (torch.tensor(0.0), {2})], ids=str
)
def test_gradient_flows_to_own_image_and_partner(index, lam, reached):
    """Of the first sample alone, whose partner is the third, without norms that join samples."""
    model = build(backbone=dict(GROUP_NORM))
    images = batch()[0].requires_grad_()
    draw = LayerDraw(Pair(lam, torch.tensor([2, 3, 4, 5, 0, 1])), index)
    head = model.q.heads['mix']
    loss_of = head.target_loss
    head.target_loss = lambda feats, target: loss_of((feats[-1][:1],), target[:1])
    mix = model.mixer.mix(images, draw)
    model.mixer.loss(model.q, mix, torch.full((6, 10), 0.1)).backward()
    strength = images.grad.abs().amax((1, 2, 3))
    assert set((strength > 1e-9).nonzero().flatten().tolist()) == reached


@EVERY_LAYER
def test_one_image_is_left_alone(index):
    model = build()
    images, data_samples = batch(1)
    draw = model.mixer.place(
        Pair(torch.ones(()), torch.zeros(1).long()), (16, 16), torch.Generator()
    )
    fix_pairs(model, draw._replace(layer=index), draw)
    loss = model.loss(images, data_samples)['loss_mix_q']
    logits = logits_of(build().q, images, 'mix')
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels_of(data_samples)))


# ------------------------------------------------------------------------------- draws


def test_the_layer_is_uniform_and_a_function_of_the_generator():
    mixer, num = ManifoldMix(layers=('input', 'stem', 0, 1)), 800
    draws = [mixer.draw(4, (8, 8), torch.Generator().manual_seed(seed)) for seed in range(num)]
    counts = torch.tensor([draw.layer for draw in draws]).bincount(minlength=4)
    assert len(counts) == 4
    assert ((counts - num / 4).abs() < 4 * (num * 3 / 16) ** 0.5).all(), counts
    again = [mixer.draw(4, (8, 8), torch.Generator().manual_seed(seed)) for seed in range(num)]
    assert [draw.layer for draw in again] == [draw.layer for draw in draws]


def test_the_layer_does_not_depend_on_lam():
    """Beta(2, 2) has mean 1/2 and variance 1/20, whichever layer mixes."""
    mixer = ManifoldMix(layers=(0, 1))
    source = torch.Generator().manual_seed(0)
    draws = [mixer.draw(4, (8, 8), source) for _ in range(1000)]
    for layer in (0, 1):
        lam = torch.stack([draw.pair.lam for draw in draws if draw.layer == layer])
        assert abs(lam.mean() - 0.5) < 4 * (0.05 / len(lam)) ** 0.5
        assert abs(lam.var() - 0.05) < 0.01


def test_the_classifier_draws_a_layer_per_iteration():
    model, images = build(('input', 0, 1)), batch()[0]
    layers = []
    for iteration in range(300):
        model.iterations._value = iteration
        layers.append(model.draws(images)[0].layer)
    counts = torch.tensor(layers).bincount(minlength=3)
    assert ((counts - 100).abs() < 4 * (300 * 2 / 9) ** 0.5).all(), counts
    model.iterations._value = 7
    assert model.draws(images)[0].layer == layers[7]


def test_training_mixes_at_the_drawn_layers():
    """Over many iterations every layer mixes, each batch exactly once."""
    model = build(('input', 'stem', 0, 1))
    used, mixer = [], model.mixer
    for name, hook in mixer._hooks.items():
        module = model.q.stage(name)
        module.register_forward_hook(
            lambda m, i, o, name=name, hook=hook: used.append(name) if hook.pair else None
        )
    expected, draw = [], model.draws

    def spy(images):
        drawn = draw(images)
        expected.append(mixer.layers[drawn[0].layer])
        return drawn

    model.draws = spy
    optimizer = sgd(model, 0.01)
    for seed in range(12):
        step(model, optimizer, *batch(seed=seed))
    assert set(expected) == {'input', 'stem', 0, 1}
    assert used == [layer for layer in expected if layer != 'input']


def test_without_mixing_nothing_is_mixed():
    model = build((0,), mixer_fields=dict(prob=0.0))
    images, data_samples = batch()
    loss = model.loss(images, data_samples)['loss_mix_q']
    expected = F.cross_entropy(logits_of(build().q, images, 'mix'), labels_of(data_samples))
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------- nothing else is mixed


@EVERY_LAYER
def test_predictions_and_the_onehot_branch_are_not_mixed(index):
    model = drawing(build(onehot=True), index)
    plain = build(onehot=True)
    for name in ('q.backbone.layer1', 'q.backbone.layer2'):
        plain.get_submodule(name)._forward_hooks.clear()
    images, data_samples = batch()
    clean = logits_of(plain.q, images, 'onehot')
    for _ in range(2):
        losses = model.loss(images, data_samples)
        expected = F.cross_entropy(clean, labels_of(data_samples))
        torch.testing.assert_close(losses['loss_onehot_q'], expected)
        assert all(hook.pair is None for hook in hooks_of(model))
    model.load_state_dict(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(images), plain.eval()(images))


def test_an_error_inside_the_pass_ends_the_mixing():
    model = drawing(build((0,)), 0)

    def fail(*_):
        raise RuntimeError('a failure behind the layer')

    handle = model.q.backbone.layer3.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match='a failure behind'):
        model.loss(*batch())
    handle.remove()
    assert all(hook.pair is None for hook in hooks_of(model))
    fresh = build((0,))
    model.load_state_dict(fresh.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(batch()[0]), fresh.eval()(batch()[0]))


def test_k_has_no_hooks():
    model = build(momentum=dict(momentum=0.2))
    assert not [m for m in model.k.modules() if m._forward_hooks]
    assert len([m for m in model.q.modules() if m._forward_hooks]) == len(LAYERS) - 1


@pytest.mark.parametrize('momentum', [None, dict(momentum=0.2, end=0.1)], ids=['q', 'qk'])
@pytest.mark.parametrize('onehot', [False, True])
@pytest.mark.parametrize('branchwise', [False, True])
def test_it_trains_in_every_combination(momentum, onehot, branchwise):
    model = build(momentum=momentum, onehot=onehot, train_cfg=dict(branchwise=branchwise))
    optimizer, start = sgd(model), weights(model)
    for index in range(len(LAYERS)):
        losses = step(drawing(model, index), optimizer, *batch(seed=index))
        assert set(losses) == {'loss_mix_q'} | ({'loss_onehot_q'} if onehot else set())
        assert all(g is not None and g.isfinite().all() for g in grads(model.q).values())
        assert momentum is None or all(g is None for g in grads(model.k).values())
    after = weights(model)
    assert not [n for n, p in model.named_parameters() if torch.equal(after[n], start[n])]


# ------------------------------------------------------------------------------- errors


class Toy(nn.Module):
    """A backbone with modules at which mixing makes no sense."""

    class Twins(nn.Module):
        def forward(self, x):
            return x, x

    class Windows(nn.Module):
        def forward(self, x):
            return x.reshape(2 * len(x), -1)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.idle, self.twins, self.windows = nn.Identity(), self.Twins(), self.Windows()
        self.again, self.once = nn.ReLU(), nn.Identity()

    def forward(self, x):
        x = self.again(self.conv(x))
        self.windows(x)
        return (self.once(self.again(self.twins(x)[0])),)


def toy(layer):
    return drawing(build((layer,), backbone=dict(type=Toy), width=8), 0)


@pytest.mark.parametrize(
    ('layer', 'error', 'message'),
    [
        ('idle', RuntimeError, "'idle' to run once.*got 0 times.*layers"),
        ('again', RuntimeError, "'again' to run once.*got 2 times.*layers"),
        ('twins', ValueError, 'one tensor.*got tuple from Twins.*layers'),
        ('windows', ValueError, r'N=6, got \(12,.*from Windows.*layers'),
    ],
)
def test_a_layer_that_cannot_be_mixed_is_told(layer, error, message):
    model = toy(layer)
    with pytest.raises(error, match=message):
        model.loss(*batch())
    assert all(hook.pair is None for hook in hooks_of(model))
    with torch.no_grad():
        assert model.eval()(batch()[0]).isfinite().all()


def test_the_other_layers_of_the_same_backbone_work():
    for layer in ('conv', 'once'):
        assert toy(layer).loss(*batch())['loss_mix_q'].isfinite()


def test_a_module_that_a_backbone_runs_twice():
    model = drawing(build(('layer1.0.relu',)), 0)
    with pytest.raises(RuntimeError, match="'layer1.0.relu' to run once.*got 2 times"):
        model.loss(*batch())


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="'layer9'.*ResNet_CIFAR.*stages are"):
        build(('input', 'layer9'))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(layers=()), r'layers must be a sequence.*got \(\)'),
        (dict(layers='input'), "layers must be a sequence.*got 'input'"),
        (dict(alpha=0.0), 'alpha'),
        (dict(prob=1.5), 'prob'),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(ValueError, match=message):
        ManifoldMix(**fields)

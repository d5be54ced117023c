"""Which images feed the running statistics of q and of k, layer by layer."""

import pytest
import torch
from torch import nn

from tests.small_models import batch, classifier, sgd, step, weights

# The first and the last norm of the backbone: the last is behind every stage.
LAYERS = ('backbone.bn1', 'backbone.layer4.1.bn2')


class Spy:
    """Notes for every pass through a norm: who ran it, and the batch's mean and variance."""

    def __init__(self, model, which):
        self.kind, self.seen = None, {layer: [] for layer in LAYERS}
        encoder = model.get_submodule(which)
        self.start = {layer: self.stats(encoder, layer) for layer in LAYERS}
        self.encoder = encoder
        for layer in LAYERS:
            encoder.get_submodule(layer).register_forward_pre_hook(self.note(layer))
        for name in ('features', 'judge', 'loss'):
            if hasattr(encoder, name):
                setattr(encoder, name, self.named(name, getattr(encoder, name)))

    @staticmethod
    def stats(encoder, layer):
        norm = encoder.get_submodule(layer)
        return norm.running_mean.clone(), norm.running_var.clone()

    def note(self, layer):
        def hook(module, inputs):
            if module.training:
                var, mean = torch.var_mean(inputs[0].detach(), (0, 2, 3))
                self.seen[layer].append((self.kind, mean, var))

        return hook

    def named(self, name, method):
        def call(*args, **kwargs):
            outer, self.kind = self.kind, self.kind or (args[2] if name == 'loss' else name)
            try:
                return method(*args, **kwargs)
            finally:
                self.kind = outer

        return call

    def kinds(self, layer):
        return [kind for kind, *_ in self.seen[layer]]

    def expected(self, layer, share_of):
        """Running mean and variance if pass ``i`` of a kind feeds with ``share_of(kind, i)``."""
        mean, var = self.start[layer]
        counts = {}
        for kind, batch_mean, batch_var in self.seen[layer]:
            index = counts[kind] = counts.get(kind, -1) + 1
            share = share_of(kind, index)
            mean = (1 - share) * mean + share * batch_mean
            var = (1 - share) * var + share * batch_var
        return mean, var

    def check(self, share_of):
        for layer in LAYERS:
            for found, wanted in zip(
                self.stats(self.encoder, layer), self.expected(layer, share_of), strict=True
            ):
                torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def train(model, iterations, **fields):
    optimizer = sgd(model, 0.01)
    for seed in range(iterations):
        step(model, optimizer, *batch(seed=seed, **fields))


def test_clean_buffers_see_clean_images_of_every_nth_batch_only():
    """Eight batches, a full pass at the first, fourth and seventh: shares 1, 1/2 and 1/3."""
    model = classifier(momentum=dict(buffers='clean', clean_interval=3))
    spy = Spy(model, 'k')
    train(model, 8)
    first, last = (spy.kinds(layer) for layer in LAYERS)
    assert first.count('features') == 8 and first.count('mix') == 8
    assert last.count('features') == 3 and last.count('mix') == 8
    assert first.count('judge') == last.count('judge') == 1  # the comparison with linear mixing

    full = (0, 3, 6)
    counted = {'bn1': lambda i: full.index(i) if i in full else None, 'bn2': lambda i: i}
    for layer in LAYERS:
        number = counted[layer.rsplit('.', 1)[1]]

        def share_of(kind, index, number=number):
            passes = number(index) if kind == 'features' else None
            return 0.0 if passes is None else max(1 / (passes + 1), 0.1)

        for found, wanted in zip(
            spy.stats(model.k, layer), spy.expected(layer, share_of), strict=True
        ):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_clean_buffers_never_average_over_more_than_the_layer_does():
    """From the tenth pass on the share is the layer's own 0.1."""
    model = classifier(momentum=dict(buffers='clean', clean_interval=1))
    spy = Spy(model, 'k')
    model.k.batches._value = 20
    train(model, 2)
    spy.check(lambda kind, i: 0.1 if kind == 'features' else 0.0)


def test_own_buffers_see_clean_and_block_mixed_images():
    model = classifier(momentum=dict(buffers='own'), train_cfg=dict(linear_interval=2))
    spy = Spy(model, 'k')
    train(model, 3)
    for layer in LAYERS:
        assert spy.kinds(layer).count('features') == spy.kinds(layer).count('mix') == 3
        assert spy.kinds(layer).count('judge') == 2
    spy.check(lambda kind, i: 0.0 if kind == 'judge' else 0.1)


def test_copied_buffers_are_those_of_q():
    model = classifier(momentum=dict(buffers='copy'))
    spy = Spy(model, 'k')
    train(model, 3)
    assert spy.kinds(LAYERS[1]).count('features') == 0
    for name, buffer in model.q.named_buffers():
        assert torch.equal(buffer, model.k.get_buffer(name)), name
    assert not torch.equal(model.q.backbone.bn1.running_mean, torch.zeros(8))
    # Within a step k feeds nothing: q's statistics arrive with the update alone.
    before = weights(model.k)
    model.loss(*batch(seed=9))
    assert torch.equal(model.k.backbone.bn1.running_mean, before['backbone.bn1.running_mean'])


@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_q_is_fed_by_clean_and_encoder_mixed_images(buffers):
    model = classifier(momentum=dict(buffers=buffers))
    spy = Spy(model, 'q')
    train(model, 3)
    for layer in LAYERS:
        assert spy.kinds(layer) == ['onehot', 'mix'] * 3
    spy.check(lambda kind, i: 0.1)


def test_clean_buffers_of_k_are_its_own():
    model = classifier(momentum=dict(buffers='clean'))
    train(model, 2)
    assert not torch.allclose(model.k.backbone.bn1.running_mean, model.q.backbone.bn1.running_mean)


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
@pytest.mark.parametrize('buffers', ['clean', 'copy'])
def test_recomputation_for_the_gradient_feeds_nothing(buffers):
    """With activation checkpointing k's layers run once more, in the backward pass."""
    model = classifier(
        dict(with_cp=True),
        momentum=dict(buffers=buffers, clean_interval=2),
        train_cfg=dict(branchwise=False),
    )
    model.loss(*batch())
    losses = model.loss(*batch(seed=1))  # no clean pass is due
    before = weights(model.k)
    losses['loss_mix_k'].backward()
    for name, buffer in model.k.named_buffers():
        if 'running' in name:
            assert torch.equal(buffer, before[name]), name


def test_reading_features_or_judging_feeds_nothing():
    model = classifier(momentum=dict(buffers='clean')).eval()
    before = weights(model.k)
    images = batch()[0]
    model.k.features(images, 2)
    model.k.judge(images, torch.full((6, 10), 0.1))
    model(images)
    for name, value in model.k.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_validation_feeds_nothing():
    model = classifier()
    train(model, 1)
    before = weights(model)
    model.eval()
    images, data_samples = batch()
    model.val_step(dict(inputs=list(images), data_samples=data_samples))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


# -------------------------------------------------------------------------- frozen norms


@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_frozen_stages_stay_as_they_are(buffers):
    model = classifier(dict(frozen_stages=1), momentum=dict(buffers=buffers), spread=False)
    before = weights(model)
    train(model, 2)
    frozen = tuple(
        f'{which}.backbone.{part}.' for which in 'qk' for part in ('conv1', 'bn1', 'layer1')
    )
    for name, value in model.state_dict().items():
        if name.startswith(frozen):
            assert torch.equal(value, before[name]), name
        elif 'layer4' in name and 'num_batches' not in name:
            assert not torch.equal(value, before[name]), name
    assert not model.k.backbone.bn1.training and model.k.backbone.layer4[0].bn1.training


@pytest.mark.parametrize('buffers', ['clean', 'own'])
def test_norm_eval_keeps_every_statistic(buffers):
    model = classifier(dict(norm_eval=True), momentum=dict(buffers=buffers))
    before = weights(model)
    train(model, 2)
    for name, value in model.state_dict().items():
        if 'running' in name:
            assert torch.equal(value, before[name]), name


def test_without_batch_norm_no_pass_runs_to_the_end():
    """There are no statistics to refresh, so no batch pays for a full pass."""
    model = classifier(dict(norm_cfg=dict(type='GN', num_groups=4)))
    passes = []
    model.k.backbone.layer4.register_forward_hook(lambda *_: passes.append(1))
    model.k.features(batch()[0], 2)
    assert not passes


# ------------------------------------------------------------------------ train and eval


def test_in_training_k_has_norms_in_training_and_nothing_random():
    model = classifier(dict(drop_path_rate=0.5))
    model.train()
    assert model.k.training
    for module in model.k.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.training
        elif 'Drop' in type(module).__name__:
            assert not module.training
    model.eval()
    assert not any(module.training for module in model.modules())
    model.train()
    assert model.k.backbone.bn1.training and model.q.backbone.bn1.training


RANDOM = dict(
    drop_path=(dict(drop_path_rate=0.5), 64),
    convnext=(
        dict(
            type='ConvNeXt',
            arch=dict(depths=[1, 1, 1, 2], channels=[8, 12, 32, 20]),
            drop_path_rate=0.5,
            layer_scale_init_value=1.0,
            gap_before_final_norm=False,
        ),
        20,
    ),
    dropout_of_layers_with_norms=(
        dict(
            type='DenseNet',
            arch=dict(growth_rate=4, depths=[2, 2, 2, 2], init_channels=8),
            drop_rate=0.5,
        ),
        16,
    ),
)


@pytest.mark.parametrize('name', RANDOM)
def test_dropout_is_off_in_k_and_on_in_q(name):
    backbone, width = RANDOM[name]
    stage = 'stages.2' if name.startswith('dropout') else 2
    model = classifier(backbone, width=width, mixer=dict(feature_stage=stage)).train()
    images, target = batch(8, 32)[0], torch.full((8, 10), 0.1)
    target[:, 3] += 0.5
    q = {model.q.loss(images, target, 'mix').item() for _ in range(4)}
    k = {model.k.judge(images, target).item() for _ in range(4)}
    assert len(q) == 4
    assert len(k) == 1
    z = [model.k.features(images, stage) for _ in range(3)]
    assert torch.equal(z[1], z[2])

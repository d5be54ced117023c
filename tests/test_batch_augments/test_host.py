"""Pixel mixers as batch augments of any classifier of the host, beside the host's own."""

import copy

import mmpretrain.models.utils.batch_augments as host_augments
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmpretrain.registry import BATCH_AUGMENTS as HOST_AUGMENTS

from automix_mm import (
    batch_augments,  # noqa: F401  (registers the mixers)
    seeding,
)
from automix_mm.registry import BATCH_AUGMENTS
from tests.small_models import CLASSES, batch, plain_classifier, samples, sgd

NAMES = sorted(BATCH_AUGMENTS.module_dict)
EVERY = pytest.mark.parametrize('name', NAMES)
#: FMix shows whole pixels, while its labels get lam as drawn.
PIXEL = {'FMix': 1 / 256}


def ours(name):
    return dict(type=f'automix_mm.{name}')


def build(name, **fields):
    return HOST_AUGMENTS.build(ours(name) | fields)


def with_augments(*augments, probs=None):
    """The host's classifier; it changes the list of probabilities that it is given."""
    train_cfg = dict(augments=list(augments), probs=probs and list(probs))
    return plain_classifier(train_cfg=train_cfg, data_preprocessor=dict(num_classes=CLASSES))


def constant_batch(num=7, size=16):
    """Image i is constant i and has label i."""
    values = torch.arange(num).float()
    images = values.view(-1, 1, 1, 1).expand(num, 3, size, size).contiguous()
    return dict(inputs=list(images), data_samples=samples(range(num)))


def preprocess(model, data):
    """Mixed images and target distributions, as the host's preprocessor hands them on."""
    done = model.data_preprocessor(copy.deepcopy(data), training=True)
    return done['inputs'], torch.stack([sample.gt_score for sample in done['data_samples']])


def seed_all(seed):
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the host chooses among the augments by it)


def test_there_are_mixers_to_test():
    assert {'CutMix', 'FMix', 'Mixup', 'ResizeMix', 'SaliencyMix'} <= set(NAMES)


# ----------------------------------------------------------------------- in a classifier


@EVERY
def test_the_mean_pixel_is_the_mean_label_behind_the_preprocessor(name):
    """The host's one-hot scores are integers: a label weight must survive them."""
    model = with_augments(ours(name))
    values = torch.arange(7).double()
    mixed_batches = 0
    for seed in range(8):
        seed_all(seed)
        images, targets = preprocess(model, constant_batch())
        assert targets.dtype == torch.float32
        torch.testing.assert_close(targets.sum(1), torch.ones(7))
        wrong = images.double().mean((1, 2, 3)) - targets[:, :7].double() @ values
        assert wrong.abs().max() <= 6 * PIXEL.get(name, 0.0) + 1e-5
        mixed_batches += bool(((targets > 0) & (targets < 1)).any())
    assert mixed_batches >= 6


@EVERY
def test_a_classifier_trains_a_step_with_ours_and_the_hosts(name):
    model = with_augments(
        ours(name),
        dict(type='Mixup', alpha=1.0),
        dict(type='CutMix', alpha=1.0),
        probs=[0.4, 0.3, 0.2],
    ).train()
    wrapper = OptimWrapper(sgd(model))
    for seed in range(4):
        seed_all(seed)
        images, data_samples = batch(seed=seed)
        before = model.backbone.conv1.weight.detach().clone()
        log = model.train_step(dict(inputs=list(images), data_samples=data_samples), wrapper)
        assert log['loss'].isfinite()
        assert not torch.equal(before, model.backbone.conv1.weight)


@EVERY
def test_each_augment_has_its_share_of_the_batches(name, monkeypatch):
    model = with_augments(
        ours(name),
        dict(type='Mixup', alpha=1.0),
        dict(type='CutMix', alpha=1.0),
        probs=[0.4, 0.3, 0.2],
    )
    used = []
    for cls in (BATCH_AUGMENTS.get(name), host_augments.Mixup, host_augments.CutMix):
        call = cls.__call__

        def note(self, *args, call=call, **kwargs):
            used.append(type(self))
            return call(self, *args, **kwargs)

        monkeypatch.setattr(cls, '__call__', note)
    np.random.seed(0)  # noqa: NPY002
    for _ in range(200):
        preprocess(model, constant_batch(2, 4))
    counts = [
        used.count(cls)
        for cls in (BATCH_AUGMENTS.get(name), host_augments.Mixup, host_augments.CutMix)
    ]
    expected = np.array([80, 60, 40])
    assert (np.abs(counts - expected) <= 25).all(), counts


def test_bare_names_stay_the_hosts():
    model = with_augments(
        dict(type='Mixup', alpha=1.0), dict(type='CutMix', alpha=1.0), ours('Mixup')
    )
    modules = [
        type(a).__module__.split('.')[0] for a in model.data_preprocessor.batch_augments.augments
    ]
    assert modules == ['mmpretrain', 'mmpretrain', 'automix_mm']


@EVERY
def test_evaluation_does_not_mix(name):
    model = with_augments(ours(name)).eval()
    data = constant_batch()
    done = model.data_preprocessor(copy.deepcopy(data), training=False)
    assert torch.equal(done['inputs'], torch.stack(data['inputs']))


@EVERY
def test_a_copy_of_the_classifier_mixes_alike(name):
    model = with_augments(ours(name))
    found = []
    for each in (model, copy.deepcopy(model)):
        seed_all(3)
        found.append(preprocess(each, constant_batch()))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert model.state_dict().keys() == plain_classifier().state_dict().keys()


# ------------------------------------------------------------------------------- the call


@EVERY
@pytest.mark.parametrize('dtype', [torch.long, torch.float32, torch.float64], ids=str)
def test_scores_of_any_kind(name, dtype):
    """Integers as the host makes them, or soft ones: the same mix, and nothing is written to."""
    augment, images = build(name), batch(6)[0]
    score = torch.eye(6, CLASSES)
    torch.manual_seed(1)
    expected_images, expected = augment(images, score)
    given = score.to(dtype)
    kept, versions = (images.clone(), given.clone()), (images._version, given._version)
    torch.manual_seed(1)
    mixed, targets = augment(images, given)
    assert targets.is_floating_point()
    torch.testing.assert_close(targets.float(), expected)
    assert torch.equal(mixed, expected_images)
    assert torch.equal(images, kept[0]) and torch.equal(given, kept[1])
    assert (images._version, given._version) == versions
    assert ((expected > 0).sum(1) <= 2).all()


@EVERY
def test_soft_scores_are_mixed(name):
    """A mix of two rows, with the weight that two unique labels would show."""
    augment, images = build(name), batch(6)[0]
    soft = torch.rand(6, CLASSES).softmax(1)
    torch.manual_seed(2)
    hard = augment(images, torch.eye(6))[1]
    torch.manual_seed(2)
    torch.testing.assert_close(augment(images, soft)[1], hard @ soft)


@EVERY
def test_the_global_seed_makes_it_repeatable(name):
    augment, (images, score) = build(name), (batch(8)[0], torch.eye(8))
    found = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append([augment(images, score) for _ in range(2)])
    (first, second), again, other = found
    for one, two in zip((first, second), again, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert not torch.equal(first[0], second[0])  # the next call draws anew
    assert not torch.equal(first[0], other[0][0])


@EVERY
def test_ranks_draw_their_own(name, monkeypatch):
    """All ranks have the same seed, as the host gives it to them."""
    augment, (images, score) = build(name), (batch(8)[0], torch.eye(8))
    found = []
    for rank in (0, 1, 1):
        monkeypatch.setattr(seeding, 'get_rank', lambda rank=rank: rank)
        torch.manual_seed(5)
        found.append(augment(images, score))
    (zero_images, zero), (one_images, one), (_, again) = found
    assert not torch.equal(zero_images, one_images)
    assert not torch.equal(zero, one)
    assert torch.equal(one, again)


@EVERY
def test_ranks_stay_in_step_behind_the_call(name, monkeypatch):
    """Whatever the rank drew, the host's generator is where it is on every other rank."""
    augment, states = build(name), []
    for rank in (0, 1):
        monkeypatch.setattr(seeding, 'get_rank', lambda rank=rank: rank)
        torch.manual_seed(5)
        augment(batch(4)[0], torch.eye(4))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_mixup_of_the_host_for_the_same_pair(monkeypatch):
    """The host's own arithmetic, given the lam and the partner that ours has drawn."""
    images, score = batch(8)[0], F.one_hot(torch.arange(8), 8)
    augment, drawn = build('Mixup'), []
    draw = augment.draw
    monkeypatch.setattr(augment, 'draw', lambda *args: drawn.append(draw(*args)) or drawn[-1])
    torch.manual_seed(0)
    mixed, targets = augment(images, score)
    (pair,) = drawn
    monkeypatch.setattr(np.random, 'beta', lambda *args: float(pair.lam))
    monkeypatch.setattr(torch, 'randperm', lambda *args, **kwargs: pair.partner)
    host_mixed, host_targets = host_augments.Mixup(alpha=1.0).mix(images, score)
    torch.testing.assert_close(mixed, host_mixed)
    torch.testing.assert_close(targets, host_targets.float())

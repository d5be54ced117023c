"""Values that must not be: found on the device, reported with name and iteration."""

from types import SimpleNamespace

import pytest
import torch
from mmpretrain.structures import DataSample

from automix_mm.models.classifiers import value_checks
from automix_mm.models.classifiers.value_checks import ValueChecks
from tests.small_models import batch, classifier, samples, sgd, step

NAN, INF = float('nan'), float('inf')


@pytest.fixture
def messages(monkeypatch):
    said = []
    monkeypatch.setattr(value_checks, 'print_log', lambda text, **_: said.append(text))
    return said


class OnDevice:
    """Images that claim to be on an accelerator, where reading would wait."""

    device = SimpleNamespace(type='cuda')

    def __init__(self, images):
        self.aminmax = images.aminmax


def see(checks, iteration, image=0.0, label=0, loss=1.0, on_device=False, **losses):
    images = torch.full((2, 3, 2, 2), image)
    losses = dict(loss_mix_q=loss) | losses
    checks.see(
        iteration,
        OnDevice(images) if on_device else images,
        torch.tensor([0, label]),
        {name: torch.tensor(value) for name, value in losses.items()},
    )


# ------------------------------------------------------------------------------- labels


@pytest.mark.parametrize('label', [10, -1, 1000])
def test_labels_out_of_range(label):
    images, data_samples = batch()
    data_samples[3].set_gt_label(label)
    with pytest.raises(ValueError, match=r'labels must be in \[0, 10\).*iteration 0'):
        classifier().loss(images, data_samples)


def test_the_last_label_is_in_range():
    images, _ = batch()
    classifier().loss(images, samples([9, 9, 0, 0, 9, 0]))


def test_soft_labels_are_refused():
    images, data_samples = batch()
    data_samples[0].set_gt_score(torch.full((10,), 0.1))
    with pytest.raises(TypeError, match='needs hard ones, got gt_score.*batch_augments'):
        classifier().loss(images, data_samples)


@pytest.mark.parametrize('labels', [([1, 2], 3), ([1, 2], [])])
def test_several_labels_of_one_sample_are_refused(labels):
    """Also when another sample has none, so that the number of labels is right."""
    images, _ = batch(2)
    data_samples = [
        DataSample().set_gt_label(torch.tensor(label, dtype=torch.long)) for label in labels
    ]
    with pytest.raises(ValueError, match='one label per sample'):
        classifier().loss(images, data_samples)


@pytest.mark.parametrize('data_samples', [None, [], [DataSample(), DataSample()]])
def test_missing_labels_are_named(data_samples):
    with pytest.raises(ValueError, match='needs a gt_label'):
        classifier().loss(batch(2)[0], data_samples)


# ------------------------------------------------------------------------------- images


@pytest.mark.parametrize('value', [NAN, INF, -INF])
def test_an_image_that_is_not_finite(value):
    images, data_samples = batch()
    images[4, 1, 2, 3] = value
    with pytest.raises(ValueError, match='images must be finite.*iteration 0'):
        classifier().loss(images, data_samples)


def test_the_iteration_of_the_training_is_named():
    model = classifier()
    optimizer = sgd(model)
    for seed in range(3):
        step(model, optimizer, *batch(seed=seed))
    images, data_samples = batch()
    images[0, 0, 0, 0] = NAN
    with pytest.raises(ValueError, match='first seen at iteration 3'):
        model.loss(images, data_samples)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_one_bad_pixel_is_found_in_every_type_and_layout(dtype, layout):
    images = torch.rand(2, 3, 5, 5).to(dtype).contiguous(memory_format=layout)
    checks, labels = ValueChecks(4), torch.tensor([0, 3])
    losses = dict(loss_mix_q=torch.tensor(1.0))
    checks.see(0, images, labels, losses)
    images[1, 2, 3, 4] = NAN
    with pytest.raises(ValueError, match='images must be finite.*iteration 1'):
        checks.see(1, images, labels, losses)


# ------------------------------------------------------------------------------- losses


def test_a_loss_that_is_not_finite_is_reported_with_its_branch(messages):
    model = classifier()
    model.loss(*batch())
    with torch.no_grad():
        model.k.heads['mix'].fc.bias.fill_(NAN)
    model.loss(*batch())
    assert [m.split(' was')[0] for m in messages] == ['loss_mix_k']
    assert 'first at iteration 1' in messages[0] and 'in 1 iteration' in messages[0]
    with torch.no_grad():
        model.q.heads['onehot'].fc.bias.fill_(INF)
    model.loss(*batch())
    assert [m.split(' was')[0] for m in messages] == ['loss_mix_k', 'loss_mix_k', 'loss_onehot_q']


def test_training_stops_after_max_nonfinite(messages):
    model = classifier(train_cfg=dict(max_nonfinite=3))
    with torch.no_grad():
        model.q.heads['mix'].fc.bias.fill_(NAN)
    for _ in range(2):
        model.loss(*batch())
    with pytest.raises(FloatingPointError, match='loss_mix_q.*3 iteration.*max_nonfinite=3'):
        model.loss(*batch())
    assert len(messages) == 2


def test_a_finite_training_says_nothing(messages):
    checks = ValueChecks(4)
    for iteration in range(20):
        see(checks, iteration, label=3)
    assert messages == []


def test_failures_need_not_follow_each_other(messages):
    checks = ValueChecks(4, max_nonfinite=3)
    for iteration, loss in enumerate([1.0, NAN, 1.0, INF, 1.0]):
        see(checks, iteration, loss=loss)
    assert len(messages) == 2
    with pytest.raises(FloatingPointError, match='first at iteration 1'):
        see(checks, 9, loss=-INF)


# ------------------------------------------------------------------- when values are read


def test_on_a_device_a_failure_waits_for_the_interval(messages):
    checks = ValueChecks(4, interval=50)
    see(checks, 0, on_device=True)
    for iteration in range(1, 50):
        see(checks, iteration, loss=NAN if iteration in (7, 9) else 1.0, on_device=True)
    assert messages == []
    see(checks, 50, on_device=True)
    assert len(messages) == 1
    assert 'in 2 iteration' in messages[0] and 'first at iteration 7' in messages[0]
    see(checks, 100, on_device=True)
    assert len(messages) == 1  # nothing new


def test_on_a_device_the_first_batch_is_read_at_once():
    with pytest.raises(ValueError, match='labels must be in'):
        see(ValueChecks(4), 17, label=4, on_device=True)


def test_on_a_device_a_wrong_label_is_found_at_the_interval():
    checks = ValueChecks(4, interval=10)
    see(checks, 0, on_device=True)
    see(checks, 3, label=-2, on_device=True)
    see(checks, 4, label=9, on_device=True)
    with pytest.raises(ValueError, match='first seen at iteration 3'):
        see(checks, 10, on_device=True)


def test_too_many_failures_within_one_interval_stop_as_well():
    checks = ValueChecks(4, interval=10, max_nonfinite=5)
    see(checks, 0, on_device=True)
    for iteration in range(1, 10):
        see(checks, iteration, loss=NAN, on_device=True)
    with pytest.raises(FloatingPointError, match='9 iteration'):
        see(checks, 10, on_device=True)


def test_what_is_not_read_yet_is_said_before_validation(messages):
    """Else a failure behind the last interval of a training would never be heard of."""
    model = classifier()
    see_on_cpu = model.checks.see
    model.checks.see = lambda it, x, y, losses: see_on_cpu(it, OnDevice(x), y, losses)
    model.loss(*batch())
    with torch.no_grad():
        model.q.heads['mix'].fc.bias.fill_(NAN)
    model.loss(*batch())
    assert messages == []
    model.eval()
    assert len(messages) == 1 and 'loss_mix_q' in messages[0]


@pytest.mark.parametrize('fields', [dict(check_interval=0), dict(max_nonfinite=0)])
def test_intervals_below_one(fields):
    with pytest.raises(ValueError, match='at least 1'):
        classifier(train_cfg=fields)


# ------------------------------------------------------------------------------- config


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(report='mix_q'), "report must name a head of k .*'onehot_k', 'mix_k'.* got 'mix_q'"),
        (dict(report='onehot_k', onehot=False), r"one of \['mix_k'\], got 'onehot_k'"),
        (dict(train_cfg=dict(augments=dict(type='Mixup'))), 'train_cfg .*augments'),
        (dict(mixer=dict(feature_stage=4, in_channels=8)), r'stage 4 .*\[0, 1, 2, 3'),
        (dict(mixer=dict(pair=dict(alpha=-1))), 'alpha .* got -1'),
        (dict(head=dict(type='LinearClsHead')), 'MixupHead'),
        (dict(head=dict(num_classes=0)), 'num_classes'),
    ],
)
def test_fields_of_the_classifier_that_do_not_fit(fields, message):
    with pytest.raises(ValueError, match=message):
        classifier(**fields)


def test_channels_that_do_not_match_the_stage():
    model = classifier(mixer=dict(feature_stage=1, in_channels=32))
    with pytest.raises(ValueError, match=r'\(N, 32, h, w\) .*=1, got \(6, 16, 8, 8\)'):
        model.loss(*batch())


def test_an_unknown_mode_is_named():
    with pytest.raises((RuntimeError, ValueError), match="got 'train'"):
        classifier()(batch()[0], mode='train')

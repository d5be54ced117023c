"""The head's loss against a target distribution: mixed, smoothed, weighted by class."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper

from automix_mm.mixing import Pair, mix_targets
from automix_mm.models import MixupHead
from tests.small_models import batch, classifier, sgd, step

CLASSES = 4
PAIR = Pair(torch.tensor([0.3, 0.9, 0.5, 1.0, 0.0]), torch.tensor([1, 2, 3, 4, 0]))
LABELS = torch.tensor([0, 3, 1, 1, 2])


def head(**fields):
    torch.manual_seed(0)
    return MixupHead(num_classes=CLASSES, in_channels=8, **fields)


@pytest.fixture
def feats():
    return (torch.randn(5, 8, generator=torch.Generator().manual_seed(1)),)


def weighted(log_probs, class_weight=None, smooth=0.0):
    """The loss sample by sample and class by class."""
    value = 0.0
    for i in range(5):
        lam = PAIR.lam[i].item()
        target = [smooth / CLASSES] * CLASSES
        target[LABELS[i]] += (1 - smooth) * lam
        target[LABELS[PAIR.partner[i]]] += (1 - smooth) * (1 - lam)
        for c in range(CLASSES):
            weight = 1.0 if class_weight is None else class_weight[c]
            value -= weight * target[c] * log_probs[i, c].item() / 5
    return value


@pytest.mark.parametrize('class_weight', [None, [1.0, 2.0, 0.5, 3.0]])
@pytest.mark.parametrize('smooth', [0.0, 0.1])
@pytest.mark.parametrize('use_soft', [False, True])
def test_loss_by_hand(feats, class_weight, smooth, use_soft):
    if smooth:
        loss = dict(type='LabelSmoothLoss', label_smooth_val=smooth, num_classes=CLASSES)
    else:
        loss = dict(type='CrossEntropyLoss', use_soft=use_soft)
    made = head(loss=loss | dict(class_weight=class_weight))
    value = made.target_loss(feats, mix_targets(LABELS, PAIR, CLASSES))
    expected = weighted(made(feats).log_softmax(1), class_weight, smooth)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_mixed_target_is_the_lam_weighted_sum_of_two_hard_losses(feats):
    """MIXLoss of Algorithm 1."""
    made = head()
    own = F.cross_entropy(made(feats), LABELS, reduction='none')
    other = F.cross_entropy(made(feats), LABELS[PAIR.partner], reduction='none')
    value = made.target_loss(feats, mix_targets(LABELS, PAIR, CLASSES))
    torch.testing.assert_close(value, (PAIR.lam * own + (1 - PAIR.lam) * other).mean())


def test_loss_weight(feats):
    target = mix_targets(LABELS, PAIR, CLASSES)
    doubled = head(loss=dict(type='CrossEntropyLoss', loss_weight=2.0))
    torch.testing.assert_close(
        doubled.target_loss(feats, target), 2 * head().target_loss(feats, target)
    )


def test_hard_loss_of_the_host_still_works(feats):
    from tests.small_models import samples

    losses = head().loss(feats, samples(LABELS))
    torch.testing.assert_close(losses['loss'], F.cross_entropy(head()(feats), LABELS))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_loss_is_computed_in_float32_under_autocast(feats, dtype):
    """Scores of half precision are rounded once, the log-softmax is not."""
    made = head()
    with torch.no_grad():
        made.fc.weight.mul_(30)
    target = mix_targets(LABELS, PAIR, CLASSES)
    with torch.autocast('cpu', dtype=dtype):
        value = made.target_loss(feats, target)
        scores = made(feats)
    assert value.dtype == torch.float32 and scores.dtype == dtype
    torch.testing.assert_close(value, -(target * scores.float().log_softmax(1)).sum(1).mean())


def test_loss_of_a_float64_model_is_float64():
    model = head().double()
    feats = (torch.randn(5, 8, dtype=torch.float64),)
    assert model.target_loss(feats, mix_targets(LABELS, PAIR, CLASSES)).dtype == torch.float64


def test_label_smoothing_in_the_whole_classifier():
    plain, smooth = (
        classifier(head=dict(loss=loss)).loss(*batch())
        for loss in (
            dict(type='CrossEntropyLoss'),
            dict(type='LabelSmoothLoss', label_smooth_val=0.2, num_classes=10),
        )
    )
    for name in ('loss_mix_k', 'loss_onehot_q', 'loss_mix_q'):
        assert abs(plain[name] - smooth[name]) > 1e-4


# ------------------------------------------------------------------- parameter groups


def test_the_block_has_its_own_learning_rate():
    model = classifier()
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.1, weight_decay=1e-4),
            paramwise_cfg=dict(custom_keys={'mixer': dict(lr_mult=10.0, decay_mult=0.0)}),
        ),
    )
    block = {id(p) for p in model.mixer.parameters()}
    groups = wrapper.optimizer.param_groups
    lr = {id(p): (g['lr'], g['weight_decay']) for g in groups for p in g['params']}
    assert block <= lr.keys()
    for key, values in lr.items():
        assert values == ((1.0, 0.0) if key in block else (0.1, 1e-4))


def test_ten_times_the_learning_rate_moves_the_block_ten_times_as_far():
    moved = []
    for mult in (1.0, 10.0):
        model = classifier()
        before = model.mixer.content_projection.weight.clone()
        wrapper = build_optim_wrapper(
            model,
            dict(
                optimizer=dict(type='SGD', lr=0.01),
                paramwise_cfg=dict(custom_keys={'mixer': dict(lr_mult=mult)}),
            ),
        )
        step(model, wrapper.optimizer, *batch())
        moved.append(model.mixer.content_projection.weight - before)
    torch.testing.assert_close(moved[1], 10 * moved[0], rtol=1e-3, atol=1e-8)


def test_weight_decay_leaves_k_alone():
    """k's frozen parameters are in the optimizer's list, without a gradient."""
    model = classifier(momentum=dict(momentum=1e-9, end=1e-9))
    before = {n: p.clone() for n, p in model.k.named_parameters()}
    step(model, torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.5), *batch())
    for name, param in model.k.named_parameters():
        torch.testing.assert_close(param, before[name], rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------------- SyncBN


@pytest.mark.parametrize('buffers', ['clean', 'copy', 'own'])
def test_synchronised_norms_keep_k_working(buffers):
    """Outside a process group they compute what BatchNorm computes."""
    plain = classifier(momentum=dict(buffers=buffers, clean_interval=2))
    synced = classifier(momentum=dict(buffers=buffers, clean_interval=2))
    synced = torch.nn.SyncBatchNorm.convert_sync_batchnorm(synced)
    norms = [m for m in synced.k.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert len(norms) == 20
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in synced.modules())
    for model in (plain, synced):
        model.train()
        optimizer = sgd(model)
        for seed in range(3):
            step(model, optimizer, *batch(seed=seed))
    for name, value in synced.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)
    assert norms[0].training
    synced.eval()
    assert not norms[0].training

"""Binary cross entropy of softmax probabilities, against its formula."""

import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import Pair, mix_targets
from automix_mm.models.losses import SoftmaxBCELoss
from tests.small_models import HOST_MODELS, batch, classifier, grads, sgd, step

BCE = dict(type='automix_mm.SoftmaxBCELoss')
CLASSES = 10


def by_hand(score, target):
    """-(t log p + (1 - t) log(1 - p)), the mean over samples and classes, class by class."""
    total = torch.zeros((), dtype=torch.float64)
    for row, wanted in zip(score.double(), target.double(), strict=True):
        exponentials = (row - row.max()).exp()
        for p, t in zip(exponentials / exponentials.sum(), wanted, strict=True):
            total = total - t * p.log() - (1 - t) * (1 - p).log()
    return total / score.numel()


def scores(num=6):
    return 3 * torch.randn(num, CLASSES, generator=torch.Generator().manual_seed(0))


def soft_targets(num=6):
    source = torch.Generator().manual_seed(1)
    labels = torch.randint(CLASSES, (num,), generator=source)
    pair = Pair(torch.rand(num, generator=source), torch.randperm(num, generator=source))
    return mix_targets(labels, pair, CLASSES)


def test_soft_targets_by_hand():
    score, target = scores(), soft_targets()
    torch.testing.assert_close(
        SoftmaxBCELoss()(score, target).double(), by_hand(score, target), rtol=1e-5, atol=0
    )


def test_two_classes_on_paper():
    """p = 0.8 and 0.2, target 0.75 and 0.25: both classes cost -0.75 ln 0.8 - 0.25 ln 0.2."""
    score = torch.tensor([[4.0, 1.0]]).log()
    assert SoftmaxBCELoss()(score, torch.tensor([[0.75, 0.25]])).item() == pytest.approx(0.5697171)


def test_hard_labels_are_one_hot_targets():
    labels, score = torch.tensor([3, 0, 9, 9, 1, 5]), scores()
    expected = by_hand(score, F.one_hot(labels, CLASSES))
    loss = SoftmaxBCELoss()
    torch.testing.assert_close(loss(score, labels).double(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(loss(score, F.one_hot(labels, CLASSES)), loss(score, labels))


def test_gradient_is_that_of_the_formula():
    target = soft_targets()
    ours, hand = (scores().requires_grad_() for _ in range(2))
    SoftmaxBCELoss()(ours, target).backward()
    by_hand(hand, target).backward()
    assert hand.grad.abs().max() > 1e-3
    torch.testing.assert_close(ours.grad, hand.grad, rtol=1e-4, atol=1e-7)


def test_it_is_not_the_loss_of_the_sigmoid_nor_cross_entropy():
    score, target = scores(), soft_targets()
    loss = SoftmaxBCELoss()(score, target)
    assert not torch.allclose(loss, F.binary_cross_entropy_with_logits(score, target), rtol=0.05)
    assert not torch.allclose(loss, F.cross_entropy(score, target), rtol=0.05)
    assert not torch.allclose(loss, F.cross_entropy(score, target) / CLASSES, rtol=0.05)


def test_loss_weight_and_what_heads_pass():
    score, target = scores(), soft_targets()
    expected = SoftmaxBCELoss()(score, target)
    weighted = SoftmaxBCELoss(loss_weight=CLASSES)(score, target, avg_factor=6)
    torch.testing.assert_close(weighted, CLASSES * expected)


@pytest.mark.parametrize('sharp', [100.0, 1e4])
def test_certain_scores_stay_finite(sharp):
    """Where p is 0 or 1 in float32, the loss and its gradient are large but finite."""
    score = (sharp * torch.eye(3, CLASSES)).requires_grad_()
    loss = SoftmaxBCELoss()(score, torch.tensor([1, 1, 1]))
    loss.backward()
    assert loss.isfinite() and loss > 5
    assert score.grad.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_under_autocast_it_is_computed_in_float32(dtype):
    score, target = scores(), soft_targets()
    expected = SoftmaxBCELoss()(score.to(dtype).float(), target)
    with torch.autocast('cpu', dtype=dtype):
        loss = SoftmaxBCELoss()(score.to(dtype), target.to(torch.float32))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


# ---------------------------------------------------------------------------- in a head


def head():
    torch.manual_seed(0)
    return HOST_MODELS.build(
        dict(type='automix_mm.MixupHead', num_classes=CLASSES, in_channels=8, loss=BCE)
    )


def test_through_the_head():
    built, feats, target = head(), (torch.randn(6, 8),), soft_targets()
    loss = built.target_loss(feats, target)
    expected = by_hand(F.linear(feats[-1], built.fc.weight, built.fc.bias), target)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize('amp', [torch.bfloat16, torch.float16])
def test_through_the_head_under_autocast(amp):
    built, feats, target = head(), (torch.randn(6, 8),), soft_targets()
    exact = built.target_loss(feats, target)
    with torch.autocast('cpu', dtype=amp):
        loss = built.target_loss(feats, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact, rtol=0.02, atol=0)
    loss.backward()
    assert built.fc.weight.grad.abs().sum() > 0


def test_the_head_of_the_host_takes_it_with_hard_labels():
    feats, (_, data_samples) = (torch.randn(6, 8),), batch()
    labels = torch.cat([sample.gt_label for sample in data_samples])
    built = HOST_MODELS.build(
        dict(type='LinearClsHead', num_classes=CLASSES, in_channels=8, loss=BCE)
    )
    loss = built.loss(feats, data_samples)['loss']
    expected = by_hand(built.fc(feats[-1]), F.one_hot(labels, CLASSES))
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


def test_a_classifier_trains_with_it():
    model = classifier(
        mixer=dict(type='automix_mm.ManifoldMix', layers=('input',)),
        head=dict(loss=BCE),
        momentum=None,
        onehot=False,
    )
    images, data_samples = batch()
    taken, loss_of = [], model.q.heads['mix'].target_loss

    def spy(feats, target):
        taken.append((feats, target))
        return loss_of(feats, target)

    model.q.heads['mix'].target_loss = spy
    losses = step(model, sgd(model), images, data_samples)
    ((feats, target),) = taken
    assert all(g is not None and g.isfinite().all() for g in grads(model.q).values())
    fresh = classifier(
        mixer=dict(type='automix_mm.ManifoldMix', layers=('input',)), momentum=None, onehot=False
    )
    expected = by_hand(fresh.q.heads['mix'].fc(feats[-1]), target)
    torch.testing.assert_close(losses['loss_mix_q'].double(), expected, rtol=1e-5, atol=0)

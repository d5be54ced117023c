"""The figures that show whether a block works."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from automix_mm.mixing import Pair
from automix_mm.models.classifiers.diagnostics import MaskDiagnostics
from tests.small_models import batch, classifier, fix_pairs, labels_of, sgd, step


def masks(num, source):
    return torch.rand(num, 1, 4, 4, generator=source) * torch.rand(num, 1, 1, 1, generator=source)


@pytest.mark.parametrize('per_sample', [True, False])
def test_figures_by_hand_over_the_window(per_sample):
    diagnostics, source = MaskDiagnostics(window=5), torch.Generator().manual_seed(0)
    means, lams = [], []
    for _ in range(12):
        num = 7
        mask = masks(num, source)
        lam = torch.rand((num,) if per_sample else (), generator=source)
        figures = diagnostics.see(mask, Pair(lam, torch.arange(num)))
        means.append(mask.mean((1, 2, 3)).numpy())
        lams.append(lam.expand(num).numpy())
        m, lams_seen = np.concatenate(means[-5:]), np.concatenate(lams[-5:])
        # One lam for the only batch has no correlation with anything.
        expected = np.corrcoef(m, lams_seen)[0, 1] if np.ptp(lams_seen) else 0.0
        assert figures['mask_lam_corr'].item() == pytest.approx(expected, abs=1e-5)
        flat = mask.flatten(1).numpy()
        assert figures['mask_mean'].item() == pytest.approx(flat.mean(), rel=1e-5)
        assert figures['mask_std'].item() == pytest.approx(flat.std(1, ddof=1).mean(), rel=1e-5)


def test_batches_of_different_size_count_by_samples():
    diagnostics, source = MaskDiagnostics(), torch.Generator().manual_seed(0)
    means, lams = [], []
    for num in (2, 30, 5):
        mask, lam = masks(num, source), torch.rand(num, generator=source)
        figures = diagnostics.see(mask, Pair(lam, torch.arange(num)))
        means.append(mask.mean((1, 2, 3)).numpy())
        lams.append(lam.numpy())
    expected = np.corrcoef(np.concatenate(means), np.concatenate(lams))[0, 1]
    assert figures['mask_lam_corr'].item() == pytest.approx(expected, abs=1e-6)


def test_a_block_that_paints_a_constant_is_visible():
    diagnostics, source = MaskDiagnostics(), torch.Generator().manual_seed(0)
    for _ in range(3):
        lam = torch.rand(8, generator=source)
        figures = diagnostics.see(torch.full((8, 1, 4, 4), 0.4), Pair(lam, torch.arange(8)))
    assert figures['mask_std'] == 0 and abs(figures['mask_lam_corr']) < 1e-3
    linear = diagnostics.see(lam.view(8, 1, 1, 1).expand(8, 1, 4, 4), Pair(lam, torch.arange(8)))
    assert linear['mask_lam_corr'] > 0.5 and linear['mask_std'] < 1e-6


def test_gain_is_the_difference_to_linear_mixing_under_the_same_k():
    source = torch.Generator().manual_seed(4)
    pair_q, pair_k = (
        Pair(torch.rand(6, generator=source), torch.randperm(6, generator=source)) for _ in range(2)
    )
    model = fix_pairs(classifier(), pair_q, pair_k)
    images, data_samples = batch()
    losses = model.loss(images, data_samples)
    labels = labels_of(data_samples)
    lam = pair_k.lam.view(-1, 1, 1, 1)
    linear = lam * images + (1 - lam) * images[pair_k.partner]
    with torch.no_grad():
        logits = model.k.heads['mix'].fc(model.k.backbone(linear)[-1].mean((2, 3)))
    own, other = (
        F.cross_entropy(logits, y, reduction='none') for y in (labels, labels[pair_k.partner])
    )
    expected = (pair_k.lam * own + (1 - pair_k.lam) * other).mean() - losses['loss_mix_k']
    torch.testing.assert_close(losses['gain_over_linear'], expected.detach(), rtol=1e-3, atol=1e-5)


def test_linear_mixing_is_compared_every_nth_iteration():
    model = classifier(train_cfg=dict(linear_interval=3))
    judged = []
    judge = model.k.judge
    model.k.judge = lambda *args: judged.append(model.iterations.value()) or judge(*args)
    optimizer = sgd(model)
    gains = [step(model, optimizer, *batch(seed=s))['gain_over_linear'].item() for s in range(7)]
    assert judged == [0, 3, 6]
    assert gains[0] == gains[1] == gains[2] != gains[3] == gains[4] == gains[5] != gains[6]


def test_linear_mixing_can_be_left_out():
    model = classifier(train_cfg=dict(linear_interval=0))
    assert 'gain_over_linear' not in model.loss(*batch())


def test_figures_are_logged_each_iteration_and_are_no_losses():
    """The host sums every key with 'loss' in it into what it differentiates."""
    losses = classifier().loss(*batch())
    figures = {'mask_mean', 'mask_std', 'mask_lam_corr', 'gain_over_linear'}
    assert set(losses) == figures | {'loss_mix_k', 'loss_onehot_q', 'loss_mix_q'}
    assert not any('loss' in name for name in figures)
    for name in figures:
        assert losses[name].dim() == 0 and not losses[name].requires_grad


def test_figures_do_not_change_the_training():
    results = []
    for interval in (0, 1):
        model = classifier(train_cfg=dict(linear_interval=interval))
        optimizer = sgd(model)
        for seed in range(2):
            step(model, optimizer, *batch(seed=seed))
        results.append(model.state_dict())
    for name, value in results[0].items():
        if 'num_batches_tracked' not in name:
            assert torch.equal(value, results[1][name]), name

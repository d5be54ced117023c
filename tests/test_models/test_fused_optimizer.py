"""A fused optimizer: the same training, and k stays behind with a step skipped on the device."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from tests.small_models import batch, classifier, plain_classifier, total, weights
from tests.test_models.test_host_sync import Reads


def wrapper(model, fused, **fields):
    sgd = dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=1e-4, fused=fused)
    return build_optim_wrapper(
        model,
        dict(
            optimizer=sgd,
            constructor='automix_mm.MergedGroupsConstructor',
            paramwise_cfg=dict(custom_keys={'mixer': dict(lr_mult=10.0)}),
        ),
    )


@pytest.mark.parametrize('make', [classifier, lambda: plain_classifier().train()])
def test_a_fused_optimizer_trains_as_the_plain_one(make):
    models = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = make()
        optim = wrapper(model, fused)
        for seed in range(5):
            optim.update_params(total(model.loss(*batch(seed=seed))))
        models.append(weights(model))
    for name, value in models[0].items():
        torch.testing.assert_close(value, models[1][name], rtol=1e-4, atol=1e-6, msg=name)


def test_a_step_that_is_not_skipped_moves_k_as_ever():
    model = classifier(momentum=dict(momentum=0.5, end=0.5))
    optimizer = torch.optim.SGD(model.parameters(), 0.05, fused=True)
    before = {name: p.clone() for name, p in model.k.named_parameters()}
    scaler = torch.amp.GradScaler('cpu', init_scale=2.0)
    scaler.scale(total(model.loss(*batch()))).backward()
    scaler.step(optimizer)
    source = dict(model.q.named_parameters())
    for name, param in model.k.named_parameters():
        torch.testing.assert_close(param, (before[name] + source[name]) / 2, msg=name)


def test_following_a_scaled_fused_step_reads_nothing(monkeypatch):
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, fused=True)
    optimizer.found_inf = torch.zeros(())
    model.loss(*batch())
    reads = Reads(monkeypatch)
    with reads:
        model.after_step(optimizer)
    assert reads.found == []
    assert model.k.updates.value() == 1

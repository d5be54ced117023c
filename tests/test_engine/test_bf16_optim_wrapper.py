"""bfloat16 in the forward pass, float32 everywhere else."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

import automix_mm  # noqa: F401


def build(model, **kwargs):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    cfg = dict(type='automix_mm.BFloat16OptimWrapper', **kwargs)
    return OPTIM_WRAPPERS.build(cfg, default_args=dict(optimizer=optimizer))


def test_the_forward_pass_is_bfloat16_and_the_weights_are_not():
    model = nn.Linear(4, 2)
    wrapper = build(model)
    with wrapper.optim_context(model):
        output = model(torch.ones(3, 4))
    assert output.dtype == torch.bfloat16
    assert model(torch.ones(3, 4)).dtype == torch.float32
    wrapper.update_params(output.float().square().sum())
    assert model.weight.dtype == torch.float32


def test_gradients_are_not_scaled():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    wrapper = build(model)
    with wrapper.optim_context(model):
        loss = model(torch.full((1, 1), 3.0)).sum()
    wrapper.backward(loss)
    assert model.weight.grad.item() == 3.0


def test_accumulates_as_the_host_does():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    weights = []
    for value in (1.0, 3.0, 1.0, 3.0):
        with wrapper.optim_context(model):
            loss = model(torch.full((1, 1), value)).sum()
        wrapper.update_params(loss)
        weights.append(model.weight.item())
    assert weights == pytest.approx([1.0, 0.8, 0.8, 0.6])  # mean gradient 2, rate 0.1


def test_holds_synchronisation_back_while_accumulating():
    class Wrapped(nn.Linear):
        entered = 0

        def no_sync(self):
            Wrapped.entered += 1
            return torch.no_grad()

    model = Wrapped(1, 1)
    wrapper = build(model, accumulative_counts=2)
    with wrapper.optim_context(model):
        assert Wrapped.entered == 1

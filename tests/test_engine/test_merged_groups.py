"""Equal options share a group; the update is the host's."""

import copy

import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

import automix_mm  # noqa: F401


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        self.mixer = nn.Linear(2, 2)
        self.k = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, images):
        return self.k(self.mixer(self.backbone(images))).square().sum()


PARAMWISE = dict(custom_keys={'mixer': dict(lr_mult=10.0)}, norm_decay_mult=0.0)


def build(model, constructor):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1),
            constructor=constructor,
            paramwise_cfg=PARAMWISE,
        ),
    )


def test_three_groups_for_three_kinds_of_options():
    model = Model()
    groups = build(model, 'automix_mm.MergedGroupsConstructor').optimizer.param_groups
    found = {(group['lr'], group['weight_decay']): len(group['params']) for group in groups}
    assert found == {(0.01, 0.1): 4, (0.01, 0.0): 2, (0.1, 0.1): 2}
    held = {id(param) for group in groups for param in group['params']}
    assert held == {id(param) for param in model.parameters() if param.requires_grad}


def test_the_update_is_the_hosts():
    ours, host = Model(), Model()
    host.load_state_dict(copy.deepcopy(ours.state_dict()))
    images = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    for model, constructor in [
        (ours, 'automix_mm.MergedGroupsConstructor'),
        (host, 'DefaultOptimWrapperConstructor'),
    ]:
        wrapper = build(model, constructor)
        for _ in range(3):
            wrapper.update_params(model(images))
    for own, other in zip(ours.parameters(), host.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=0, atol=0)

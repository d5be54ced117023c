"""The sum of the losses: the host's, with no kernel for what is a number already."""

import pytest
import torch
from mmengine.model import BaseModel
from torch.utils._python_dispatch import TorchDispatchMode

from tests.small_models import batch, classifier


class Kernels(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def hosts(model, losses):
    return BaseModel.parse_losses(model, losses)


def assert_same(ours, expected):
    (loss, logged), (host_loss, host_logged) = ours, expected
    assert torch.equal(loss, host_loss) and list(logged) == list(host_logged)
    for name, value in logged.items():
        assert torch.equal(value, host_logged[name]), name


def test_it_is_the_hosts_sum_of_a_step():
    model = classifier()
    losses = model.loss(*batch())
    assert_same(model.parse_losses(losses), hosts(model, losses))


def test_the_gradient_of_each_loss_is_one_and_of_figures_none():
    values = [torch.tensor(value, requires_grad=True) for value in (1.0, 2.0, 5.0)]
    loss, _ = classifier().parse_losses(dict(loss_a=values[0], loss_b=values[1], top=values[2]))
    loss.backward()
    assert loss == 3 and [value.grad for value in values] == [1, 1, None]


def test_numbers_are_not_averaged():
    model = classifier()
    losses = dict(loss_a=torch.tensor(1.0), figure=torch.tensor(2.0), loss_b=torch.tensor(3.0))
    with Kernels() as kernels:
        model.parse_losses(losses)
    assert [name.split('.')[1] for name in kernels.names] == ['add']


@pytest.mark.parametrize(
    'losses',
    [
        dict(loss_a=torch.arange(4.0), figure=torch.tensor(2.0)),
        dict(loss_a=[torch.tensor(1.0), torch.arange(3.0)], loss_b=torch.tensor(1.0)),
    ],
)
def test_other_losses_are_averaged_as_in_the_host(losses):
    model = classifier()
    assert_same(model.parse_losses(losses), hosts(model, losses))


def test_what_is_no_tensor_is_refused_as_in_the_host():
    with pytest.raises(TypeError, match='loss_a is not a tensor'):
        classifier().parse_losses(dict(loss_a=1.0))

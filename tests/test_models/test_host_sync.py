"""The training step never waits for the device: nothing in it reads a value on the host."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.small_models import batch, classifier, sgd, total

# Operators whose result, or the shape of whose result, the host has to wait for.
READING = (
    'aten._local_scalar_dense',
    'aten.item',
    'aten.nonzero',
    'aten.masked_select',
    'aten.is_nonzero',
    'aten.equal',
    'aten.unique',
    'aten._unique',
    'aten.bincount',
    'aten.repeat_interleave.Tensor',
)
# Ways from Python to a value that no operator shows on a CPU.
METHODS = ('tolist', 'numpy', '__array__', 'cpu')


class Reads(TorchDispatchMode):
    """Collects what reads a value: operators, boolean indices, and methods of tensors."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.found = []
        for name in METHODS:
            monkeypatch.setattr(torch.Tensor, name, self.spy(name, getattr(torch.Tensor, name)))

    def spy(self, name, method):
        def call(tensor, *args, **kwargs):
            self.found.append(name)
            return method(tensor, *args, **kwargs)

        return call

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if name.startswith(READING):
            self.found.append(name)
        if name.startswith(('aten.index.', 'aten.index_put')):
            masks = [t for t in args[1] if t is not None and t.dtype == torch.bool]
            self.found.extend([name] * len(masks))
        return func(*args, **(kwargs or {}))


class OnDevice:
    """The images as the checks see them: on an accelerator."""

    device = SimpleNamespace(type='cuda')

    def __init__(self, images):
        self.aminmax = images.aminmax


def pretend_device(model):
    """The checks read at once on a CPU; let them believe that the images are on a GPU."""
    see = model.checks.see
    model.checks.see = lambda it, images, y, losses: see(it, OnDevice(images), y, losses)


def whole_step(model, optimizer, images, data_samples):
    optimizer.zero_grad()
    losses = model.loss(images, data_samples)
    total(losses).backward()
    optimizer.step()


@pytest.fixture
def reads(monkeypatch):
    return Reads(monkeypatch)


@pytest.mark.parametrize(
    'fields',
    [
        {},
        dict(onehot=False),
        dict(train_cfg=dict(branchwise=False)),
        dict(momentum=dict(buffers='copy')),
        dict(momentum=dict(buffers='own')),
        dict(momentum=dict(clean_interval=1), train_cfg=dict(linear_interval=1)),
        dict(mixer=dict(lam_margin=0.1, mask_loss=dict(weight=0.1, margin=0.1))),
        dict(mixer=dict(pair=dict(alpha=1.0, per_sample=False))),
        dict(head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1))),
    ],
)
def test_a_training_step_reads_nothing(reads, fields):
    model = classifier(**fields)
    pretend_device(model)
    optimizer = sgd(model)
    data = [batch(seed=seed) for seed in range(4)]
    whole_step(model, optimizer, *data[0])  # the first batch is read
    reads.found.clear()
    with reads:
        for images, data_samples in data[1:]:
            whole_step(model, optimizer, images, data_samples)
    assert reads.found == []


def test_the_first_batch_and_the_interval_are_read(reads):
    model = classifier(train_cfg=dict(check_interval=3))
    pretend_device(model)
    optimizer, found = sgd(model), []
    data = [batch(seed=seed) for seed in range(7)]
    for images, data_samples in data:
        reads.found.clear()
        with reads:
            whole_step(model, optimizer, images, data_samples)
        found.append(reads.found.count('tolist'))
    assert found == [1, 0, 0, 1, 0, 0, 1]


def test_on_a_cpu_every_batch_is_read(reads):
    model = classifier()
    for seed in range(2):
        reads.found.clear()
        images, data_samples = batch(seed=seed)
        with reads:
            model.loss(images, data_samples)
        assert 'tolist' in reads.found


@pytest.mark.parametrize(
    'read',
    [
        lambda t: t.sum().item(),
        lambda t: bool(t.sum() > 0),
        lambda t: int(t.sum()),
        lambda t: t[t > 0],
        lambda t: t.nonzero(),
        lambda t: t.tolist(),
        lambda t: t.masked_select(t > 0),
        lambda t: torch.equal(t, t + 1),
    ],
)
def test_the_spy_sees_every_kind_of_reading(reads, read):
    """Otherwise the tests above would prove nothing."""
    tensor = torch.randn(4)
    reads.found.clear()
    with reads:
        read(tensor)
    assert reads.found


def test_a_step_after_loading_reads_the_counters_once(reads):
    model = classifier()
    pretend_device(model)
    model.load_state_dict(model.state_dict())
    optimizer = sgd(model)
    whole_step(model, optimizer, *batch())
    images, data_samples = batch(seed=1)
    reads.found.clear()
    with reads:
        whole_step(model, optimizer, images, data_samples)
    assert reads.found == []

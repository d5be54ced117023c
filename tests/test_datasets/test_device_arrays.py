"""Arrays on the model's device: the same batches, no wait, and no value read on the host.

Without a GPU two stand-ins show it. ``cpu:0`` is a device other than ``cpu`` to torch, so that
the arrays are copied. A fake GPU of torch's has no values, but refuses operators that mix devices
and whatever reads a value.
"""

import copy
import pickle

import pytest
import torch
from mmengine.runner import Runner
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from automix_mm.datasets import CIFAR10, array_images
from automix_mm.models import ArrayPreprocessor
from tests.test_datasets.archives import write_npz

from .test_batches import build, loader_cfg, model_cfg

SECOND, FAKE = torch.device('cpu:0'), torch.device('cuda:0')
TRANSFORMS = [
    [dict(type='RandomCrop', crop_size=6, padding=1, padding_mode='reflect')],
    [dict(type='RandomCrop', crop_size=6, padding=1), dict(type='RandomFlip', prob=0.5)],
    [dict(type='RandomResizedCrop', scale=5), dict(type='RandomFlip', prob=0.5)],
]
BY_NAME = pytest.mark.parametrize('transforms', TRANSFORMS, ids=['reflect', 'crop', 'resize'])
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


class FakeGenerator(torch.Generator):
    """Torch's own asks for the device."""

    device = FAKE


@pytest.fixture
def path(tmp_path):
    write_npz(tmp_path / 'a.npz')
    return str(tmp_path / 'a.npz')


@pytest.fixture
def fake(monkeypatch):
    """The mode in which tensors on a GPU without values can be made."""
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor: tensor)
    module = 'automix_mm.models.data_preprocessors.array_preprocessor'
    monkeypatch.setattr(f'{module}.batch_generator', lambda device: FakeGenerator())
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def preprocessor(transforms, **kwargs):
    fields = dict(mean=[120.0, 121.0, 122.0], std=[60.0, 61.0, 62.0], num_classes=4)
    return ArrayPreprocessor(transforms, **fields, **kwargs)


def loaded(path, **kwargs):
    data = CIFAR10(path, batched=True, **kwargs)
    data.full_init()
    return data


def same(ours, theirs, names=('inputs', 'labels', 'sample_idx')):
    return all(torch.equal(ours[name], theirs[name]) for name in names)


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('part', [{}, dict(num_classes=2), dict(indices=[1, 4, 3])], ids=str)
def test_batches_are_the_same_wherever_they_are_taken(path, split, part):
    host = loaded(path, split=split, device_gib=0, **part)
    ours = loaded(path, split=split, **part)
    for numbers in ([2, 0, 1], [1]):
        batch, expected = ours.get_batch(numbers), host.get_batch(numbers)
        assert set(expected) == {'inputs', 'labels', 'sample_idx'}
        assert set(batch) == {'arrays', 'rows', 'sample_idx'}
        assert same(batch.taken(SECOND), expected)
        assert same(batch, expected)  # what asks for the images gets them


def test_other_items_are_missing(path):
    with pytest.raises(KeyError, match='data_samples'):
        loaded(path).get_batch([0])['data_samples']


def test_a_batch_is_taken_from_the_copy(path):
    data = loaded(path)
    before = data.get_batch([3]).taken(SECOND)
    data.images.zero_()
    after = data.get_batch([3])
    assert before['inputs'].any() and same(after.taken(SECOND), before)
    assert not after['inputs'].any()


def test_the_arrays_are_copied_once_and_subsets_share_the_copy(path):
    data = loaded(path)
    batch = data.get_batch([5, 2])
    taken, copies = batch.taken(SECOND), batch['arrays']._there
    subset = data.get_subset([5, 2]).get_batch([0, 1])
    assert same(subset.taken(SECOND), taken, ['inputs', 'labels'])
    assert subset['inputs'].equal(taken['inputs']) and subset['sample_idx'].tolist() == [0, 1]
    assert subset['arrays'] is batch['arrays'] and batch['arrays']._there is copies
    assert copies[0].data_ptr() != data.images.data_ptr()


def test_a_cpu_gets_no_copy(path):
    data = loaded(path)
    batch = data.get_batch([0])
    batch.taken(torch.device('cpu'))
    assert batch['arrays']._there[0] is data.images


def test_no_copy_is_pickled(path):
    data = loaded(path)
    taken = data.get_batch([1]).taken(SECOND)
    size = len(pickle.dumps(data))
    for twin in (pickle.loads(pickle.dumps(data)), copy.deepcopy(data)):
        assert twin._arrays._there[0] is twin._arrays.images
        assert same(twin.get_batch([1]).taken(SECOND), taken)
    data._arrays = None
    assert size < len(pickle.dumps(data)) + 1000


@pytest.mark.parametrize(('limit', 'copied'), [(0, False), (0.9, False), (1, True), (2.0, True)])
def test_the_limit_is_the_size_of_the_images(path, monkeypatch, limit, copied):
    data = loaded(path, device_gib=limit)
    monkeypatch.setattr(array_images, 'GIB', data.images.nbytes)
    assert ('arrays' in data.get_batch([0])) == copied


@pytest.mark.parametrize('limit', [-1, 'all', None, float('nan')])
def test_a_wrong_limit_is_named(path, limit):
    with pytest.raises(ValueError, match='device_gib must be a number of at least 0, got'):
        CIFAR10(path, batched=True, device_gib=limit)


def test_worker_processes_send_images(path):
    alone = list(build(loader_cfg(path)))
    loader = build(loader_cfg(path, num_workers=2, multiprocessing_context='fork'))
    for ours, theirs in zip(loader, alone, strict=True):
        assert 'arrays' in theirs and 'arrays' not in ours
        assert same(ours, theirs)


def test_a_loader_that_pins_memory_pins_the_numbers(path, monkeypatch):
    """The arrays stay as they are: the tools pin memory wherever there is a GPU."""
    from torch.utils.data._utils.pin_memory import pin_memory

    pinned = []
    monkeypatch.setattr(torch.Tensor, 'pin_memory', lambda tensor, *_: pinned.append(tensor))
    batch = loaded(path).get_batch([4, 1])
    found = pin_memory(batch)
    assert type(found) is type(batch) and found['arrays'] is batch['arrays']
    assert [tensor.tolist() for tensor in pinned] == [[4, 1], [4, 1]]


@BY_NAME
@pytest.mark.parametrize('training', [True, False])
def test_a_batch_is_made_on_the_device_without_reading_it(path, fake, transforms, training):
    """The fake device raises where an operator mixes devices or the host reads a value."""
    batch = loaded(path).get_batch([2, 0, 5])
    batch['sample_idx'] = [2, 0, 5]  # the mode hides values on the CPU, too
    out = preprocessor(transforms, pad_size_divisor=4).to(FAKE)(batch, training)
    assert out['inputs'].device == FAKE and out['inputs'].shape == (3, 3, 8, 8)
    if training:
        assert out['data_samples'].labels.device == FAKE
    else:
        assert [sample.sample_idx for sample in out['data_samples']] == [2, 0, 5]
        assert {sample.gt_label.device for sample in out['data_samples']} == {FAKE}


def test_the_fake_device_refuses_what_it_should(fake):
    """Otherwise the test above would prove nothing."""
    there = torch.zeros(4, device=FAKE)
    with pytest.raises(RuntimeError, match='device'):
        there.index_select(0, torch.tensor([1]))
    with pytest.raises(DataDependentOutputException):
        bool((there > 0).any())


def train(path, work_dir, **dataset):
    """Runs two epochs of crops, flips and CutMix, and a validation."""
    loader = loader_cfg(path, drop_last=True, dataset=dataset)
    loader['sampler'] = dict(type='DefaultSampler', shuffle=True)
    runner = Runner(
        model=model_cfg('ours'),
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=loader_cfg(path, 'test', dataset=dataset),
        val_evaluator=dict(type='automix_mm.HeadAccuracy', topk=(1, 2)),
        train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=2),
        val_cfg={},
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[dict(type='automix_mm.EpochSeedHook')],
        default_scope='mmpretrain',
        experiment_name=work_dir.name,
        log_level='ERROR',
        randomness=dict(seed=0),
    )
    runner.train()
    return runner


def test_a_training_is_the_same_on_a_second_device(path, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: 'cpu:0')
    runs = [train(path, tmp_path / f'gib_{gib}', device_gib=gib) for gib in (0, 2)]
    for gib, runner in zip((0, 2), runs, strict=True):
        for loader in (runner.train_dataloader, runner.val_dataloader):
            arrays = loader.dataset._arrays
            assert (arrays._there[0] is not arrays.images) == bool(gib)
    weights = [runner.model.state_dict() for runner in runs]
    assert same(*weights, names=weights[0])
    assert (
        runs[0].message_hub.get_scalar('val/accuracy/top1').current()
        == runs[1].message_hub.get_scalar('val/accuracy/top1').current()
    )


@needs_gpu
@BY_NAME
def test_batches_are_the_same_on_a_gpu_and_never_waited_for(path, transforms):
    host, ours = loaded(path, device_gib=0), loaded(path)
    prepare = preprocessor(transforms).to('cuda')
    found = []
    for data in (host, ours):
        prepare(data.get_batch([0, 1]), training=True)
        torch.manual_seed(0)
        torch.cuda.set_sync_debug_mode('default' if data is host else 'error')
        try:
            found.append(prepare(data.get_batch([4, 1, 1]), training=True))
        finally:
            torch.cuda.set_sync_debug_mode('default')
    assert torch.equal(*(out['inputs'] for out in found))
    assert torch.equal(*(out['data_samples'].labels for out in found))
    assert found[1]['inputs'].is_cuda and found[1]['data_samples'].labels.is_cuda

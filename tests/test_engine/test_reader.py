"""Checkpoints are read as data: real ones wholly, hostile ones not at all."""

import os
import pickle
import shutil
import subprocess
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmengine.runner import checkpoint as host
from torch import nn
from torch.utils.data import Dataset

from automix_mm.engine.host_loading import read_instead_of_host
from automix_mm.engine.reader import STAND_INS, CheckpointError, find_damage, read_checkpoint
from tests.small_models import config

from . import pickles


@pytest.fixture
def mark(tmp_path):
    """A file that hostile checkpoints try to write."""
    return tmp_path / 'ran'


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


# ------------------------------------------------------------------------- real checkpoints


class Images(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        source = torch.Generator().manual_seed(index)
        from mmpretrain.structures import DataSample

        image = (torch.rand(3, 16, 16, generator=source) * 255).to(torch.uint8)
        return dict(inputs=image, data_samples=DataSample().set_gt_label(index % 2))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The checkpoint of a training with everything that a checkpoint of this project holds."""
    folder = tmp_path_factory.mktemp('run')
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = dict(
            batch_size=4,
            dataset=Images(),
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        )
        runner = Runner(
            config(),
            work_dir=str(folder),
            default_scope='mmpretrain',
            train_dataloader=loader,
            val_dataloader=loader | dict(sampler=dict(type='DefaultSampler', shuffle=False)),
            val_cfg={},
            val_evaluator=dict(type='automix_mm.HeadAccuracy'),
            train_cfg=dict(by_epoch=True, max_epochs=2, val_interval=1),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[
                dict(type='LinearLR', begin=0, end=1, by_epoch=False),
                dict(type='MultiStepLR', milestones=[1, 1, 2]),
                dict(type='CosineAnnealingLR', convert_to_iter_based=True),
            ],
            default_hooks=dict(
                checkpoint=dict(type='automix_mm.CheckpointHook', interval=1, save_best='auto')
            ),
            experiment_name='reader',
        )
        runner.train()
    return folder / 'epoch_2.pth'


def equal(one, other):
    """Whether two contents are the same, types included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, HistoryBuffer):
        return equal(one.data, other.data) and one.max_length == other.max_length
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return one == other or (one != one and other != other)


def test_a_real_checkpoint_is_read_as_the_host_reads_it(trained):
    ours = read_checkpoint(trained)
    theirs = torch.load(trained, weights_only=False)
    assert {'meta', 'state_dict', 'message_hub', 'optimizer', 'param_schedulers'} <= set(ours)
    assert equal(ours, theirs)
    assert ours['state_dict']._metadata == theirs['state_dict']._metadata
    assert isinstance(ours['param_schedulers'][1]['milestones'], Counter)
    scalars = ours['message_hub']['log_scalars']
    assert scalars['train/loss'].data[0].shape == (4,)
    assert scalars['train/loss'].statistics('mean') == scalars['train/loss'].mean()


def test_real_checkpoints_name_nothing_but_the_list(trained):
    """The list is as long as needed: the rest is for numpy 1 and for b''."""
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(trained)
    others = {name for name in STAND_INS if name.startswith('numpy.core.')} | {'builtins.bytes'}
    assert set(foreign) == set(STAND_INS) - others


@pytest.mark.parametrize('old', [True, False])
def test_arrays_of_numbers_are_kept(tmp_path, old):
    """Also from numpy 1, where the same functions have other names."""
    content = dict(
        fortran=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        big=np.arange(3, dtype='>i4'),
        flags=np.array([True, False]),
        half=np.float16(0.5),
        whole=np.int64(-3),
        empty=np.zeros((0, 2)),
        complex=np.array(1 + 2j),
    )
    path = tmp_path / 'arrays.pth'
    torch.save(content, path)
    if old:
        with zipfile.ZipFile(path) as archive:
            record = next(n for n in archive.namelist() if n.endswith('data.pkl'))
            old_names = archive.read(record).replace(b'numpy._core', b'numpy.core')
        pickles.write_pickle(path, old_names)
    assert equal(read_checkpoint(path), content)


def test_shared_tensors_stay_shared(tmp_path):
    weight = torch.ones(3)
    torch.save(OrderedDict(a=[weight], b=[weight]), tmp_path / 'tied.pth')
    read = read_checkpoint(tmp_path / 'tied.pth')
    assert type(read) is OrderedDict and read['a'][0] is read['b'][0]


def test_the_format_before_torch_1_6(tmp_path):
    torch.save(dict(a=torch.ones(3)), tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert torch.equal(read_checkpoint(tmp_path / 'old.pth')['a'], torch.ones(3))


# ---------------------------------------------------------------------- hostile checkpoints


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    ('function', 'arguments', 'named'),
    [
        (os.system, ('touch {mark}',), 'system'),
        (open, ('{mark}', 'w'), 'open'),
        (eval, ("open('{mark}', 'w')",), 'eval'),
        (subprocess.call, (['touch', '{mark}'],), 'call'),
        (np.load, ('{mark}',), 'load'),
        (nn.Linear, (2, 2), 'Linear'),
    ],
)
def test_a_call_is_refused_by_name(tmp_path, mark, function, arguments, named, zipped):
    """And --trust really runs it."""
    arguments = [str(a).format(mark=mark) if isinstance(a, str) else a for a in arguments]
    arguments = [
        [part.format(mark=mark) for part in a] if isinstance(a, list) else a for a in arguments
    ]
    path = tmp_path / 'hostile.pth'
    torch.save(
        dict(state_dict={}, meta=Calls(function, *arguments)),
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(CheckpointError, match=rf'Refused to read .*{named}.*--trust'):
        read_checkpoint(path)
    assert not mark.exists()
    if function is os.system:
        read_checkpoint(path, trust=True)
        assert mark.exists()


def test_names_that_the_host_allows_cannot_be_turned_into_code(tmp_path, mark):
    """HistoryBuffer with getattr runs code even under weights_only=True; the stand-ins do not."""
    path = pickles.write(tmp_path / 'armed.pth', pickles.running(f'open({str(mark)!r}, "w")'))
    with torch.serialization.safe_globals(host.get_torch_safe_globals()):
        torch.load(path, weights_only=True)
    assert mark.exists()  # so this file is a real attack
    mark.unlink()
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not mark.exists()


def test_a_statistic_of_the_file_reaches_no_buffer(tmp_path):
    """The host takes over functions that a buffer's pickle names, for all buffers at once."""
    before = dict(HistoryBuffer._statistics_methods)
    buffer = HistoryBuffer([1.0], [1])
    path = tmp_path / 'buffer.pth'
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HistoryBuffer._statistics_methods, 'foreign', HistoryBuffer.max)
        torch.save(dict(buffer=buffer), path)
    assert read_checkpoint(path)['buffer'].data[0].tolist() == [1.0]
    assert HistoryBuffer._statistics_methods == before


OBJECTS = np.array([None, 'text'], dtype=object)


@pytest.mark.parametrize(
    'value',
    [
        OBJECTS,
        np.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')]),
        np.array(['text']),
        np.dtype('f8'),
        np.ndarray,
        getattr,
        HistoryBuffer,
        torch._utils._rebuild_tensor_v2,
    ],
)
def test_what_is_no_data_is_refused(tmp_path, value):
    torch.save(dict(value=value), tmp_path / 'odd.pth')
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / 'odd.pth')


def test_an_array_with_pointers_from_the_file_is_refused(tmp_path):
    """An object type whose flags are cleared makes numpy take the file's bytes for pointers."""
    number = pickles.call(pickles.name('numpy', 'dtype'), pickles.text('O'), b'\x89', b'\x88')
    state = b'(K\x04' + pickles.text('|') + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t'
    number = pickles.build(number, state)
    raw = pickles.call(
        pickles.name('_codecs', 'encode'), pickles.text('A' * 8), pickles.text('latin1')
    )
    array = pickles.call(
        pickles.name('numpy._core.multiarray', '_reconstruct'),
        pickles.name('numpy', 'ndarray'),
        b'K\x00\x85',
        raw,
    )
    path = pickles.write(
        tmp_path / 'pointers.pth',
        pickles.build(array, b'(K\x01K\x01\x85' + number + b'\x89' + raw + b't'),
    )
    with pytest.raises(CheckpointError, match="array of 'O'"):
        read_checkpoint(path)


def test_what_others_have_allowed_is_not_allowed_here(tmp_path):
    torch.save(dict(layer=nn.Identity()), tmp_path / 'module.pth')
    with torch.serialization.safe_globals([nn.Identity, set]):
        with pytest.raises(CheckpointError, match='Identity'):
            read_checkpoint(tmp_path / 'module.pth')
        assert nn.Identity in torch.serialization.get_safe_globals()
    assert nn.Identity not in torch.serialization.get_safe_globals()


def test_a_config_that_the_host_would_run_is_left_out(tmp_path):
    """Resuming, it reads meta.config as a Python file."""
    torch.save(dict(meta=dict(config='import os', cfg='a = 1')), tmp_path / 'old.pth')
    assert read_checkpoint(tmp_path / 'old.pth')['meta'] == dict(cfg='a = 1')


@pytest.mark.parametrize('content', [b'\x80\x02}}s.', b'\x80\x04.', b''])
def test_a_senseless_pickle_is_a_clear_error(tmp_path, content):
    path = pickles.write_pickle(tmp_path / 'senseless.pth', content)
    with pytest.raises(CheckpointError, match='no checkpoint, or a damaged one'):
        read_checkpoint(path)


def test_a_nest_without_end_is_a_clear_error(tmp_path):
    nest = {}
    nest['nest'] = nest
    torch.save(nest, tmp_path / 'nest.pth')
    with pytest.raises(CheckpointError, match='no checkpoint, or a damaged one'):
        read_checkpoint(tmp_path / 'nest.pth')


# ---------------------------------------------------------------------- damaged and foreign


def test_damage_is_named(tmp_path, trained):
    whole = trained.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    files = {
        'cut.pth': (whole[: len(whole) // 2], 'cut short'),
        'empty.pth': (b'', 'cut short'),
        'flipped.pth': (bytes(flipped), 'checksum'),
        'picture.pth': (b'\x89PNG\r\n' + bytes(100), 'no checkpoint'),
        'plain.pth': (pickle.dumps([1, 2]), 'no checkpoint'),
    }
    for name, (content, reason) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=f'Cannot read .*{name}.*{reason}'):
            read_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointError, match='there is no such file'):
        read_checkpoint(tmp_path / 'absent.pth')


def test_no_advice_to_read_what_is_no_checkpoint_in_another_way(tmp_path):
    """torch advises weights_only=False here, with which a file may run any code."""
    path = tmp_path / 'notes.pth'
    for content in (b'# Notes', b'no weights', pickle.dumps([1, 2])):
        path.write_bytes(content)
        with pytest.raises(pickle.UnpicklingError, match='weights_only'):
            torch.load(path)
        with pytest.raises(CheckpointError, match='no checkpoint, or a damaged one') as caught:
            read_checkpoint(path)
        said = str(caught.value)
        assert 'weights_only' not in said and '--trust' not in said and '\n' not in said
        assert 'Unsupported operand' in said  # the reason stays
        assert said.endswith('Expected is a file that torch.save has written.')


def test_programs_and_bare_tensors_are_no_checkpoints(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / 'program.pt')
    assert 'torch.save' in find_damage(tmp_path / 'program.pt')
    torch.save(torch.ones(3), tmp_path / 'tensor.pth')
    with pytest.raises(CheckpointError, match='expected a dict with weights, got Tensor'):
        read_checkpoint(tmp_path / 'tensor.pth')


# -------------------------------------------------------------------------- the host's loader


@pytest.fixture
def hostile(tmp_path, mark):
    path = tmp_path / 'hostile.pth'
    weights = nn.Linear(2, 2).state_dict()
    torch.save(dict(state_dict=weights, meta=Calls(os.system, f'touch {mark}')), path)
    return path


def addresses(path, monkeypatch):
    """One address of each kind that the host knows how to resolve, all of this file."""
    monkeypatch.setattr(host, 'get_torchvision_models', lambda: dict(net='http://x.test/tv.pth'))
    monkeypatch.setattr(host, 'get_external_models', lambda: dict(net='http://x.test/mm.pth'))
    monkeypatch.setattr(host, 'get_mmcls_models', lambda: dict(net='http://x.test/cls.pth'))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, target, **_: shutil.copy(path, target),
    )
    monkeypatch.setenv('TORCH_HOME', str(path.parent))
    names = ('torchvision://net', 'open-mmlab://net', 'mmcls://net', 'https://x.test/a.pth?b=1')
    return [str(path), *names]


def test_the_host_reads_nothing_hostile_any_more(hostile, mark, monkeypatch):
    places = addresses(hostile, monkeypatch)
    read_instead_of_host()
    for place in places:
        with pytest.raises(CheckpointError, match='Refused to read'):
            host.load_checkpoint(nn.Linear(2, 2), place)
    with pytest.raises(CheckpointError, match='Refused to read'), open(hostile, 'rb') as file:
        host._safe_torch_load(file)
    assert not mark.exists()


def test_the_host_loads_the_rest_as_before(tmp_path, monkeypatch, trained):
    layer = nn.Linear(2, 2)
    torch.save(layer.state_dict(), tmp_path / 'plain.pth')
    places = addresses(tmp_path / 'plain.pth', monkeypatch)
    read_instead_of_host()
    for place in places[:3] + places[4:]:  # mmcls:// takes the backbone of a classifier
        other = nn.Linear(2, 2)
        host.load_checkpoint(other, place, strict=True)
        assert torch.equal(other.weight, layer.weight)
    assert equal(
        host.CheckpointLoader.load_checkpoint(str(trained), 'cpu'), read_checkpoint(trained)
    )


def test_trust_leaves_the_host_alone(hostile, mark):
    read_instead_of_host(trust=True)
    host.load_checkpoint(nn.Linear(2, 2), str(hostile))
    assert mark.exists()


def test_a_host_with_another_loader_is_an_error(monkeypatch):
    monkeypatch.delattr(host, 'load_url')
    with pytest.raises(RuntimeError, match='load_url'):
        read_instead_of_host()

"""The file appears whole under its name or not at all, and nothing else appears or disappears."""

import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from automix_mm.export import export, read_source

from . import checkpoints
from .checkpoints import plain


@pytest.fixture
def source(tmp_path):
    checkpoints.save(tmp_path / 'source.pth', plain())
    return read_source(str(tmp_path / 'source.pth'))


@contextmanager
def no_file_above(num_bytes):
    """Writing more is an error, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('target', ['mmpretrain', 'mmdet', 'onnx', 'torchscript'])
def test_a_full_disk(tmp_path, source, target):
    if target == 'onnx':
        pytest.importorskip('onnxscript')
    out = tmp_path / 'out'
    out.write_text('older')
    with no_file_above(20_000), pytest.raises(ValueError, match=f'could not write .* for {target}'):
        export(source, target, str(out))
    assert sorted(os.listdir(tmp_path)) == ['out', 'source.pth']
    assert out.read_text() == 'older'


def test_a_name_that_cannot_be_written(tmp_path, source):
    with pytest.raises(ValueError, match='could not write .*xx for mmpretrain'):
        export(source, 'mmpretrain', str(tmp_path / ('x' * 300)))
    assert os.listdir(tmp_path) == ['source.pth']


@pytest.mark.parametrize('kind', ['folder', 'device'])
def test_out_is_no_file(tmp_path, source, kind):
    """A device would be replaced by the file: /dev/null too."""
    out = tmp_path / 'out'
    (os.mkdir if kind == 'folder' else os.mkfifo)(out)
    with pytest.raises(ValueError, match='expected the name of a file'):
        export(source, 'mmpretrain', str(out))
    assert out.is_dir() or out.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ['out', 'source.pth']


def test_links(tmp_path, source):
    """One to the checkpoint is refused; another one is replaced, not what it leads to."""
    (tmp_path / 'to_source').symlink_to('source.pth')
    with pytest.raises(ValueError, match='itself'):
        export(source, 'mmpretrain', str(tmp_path / 'to_source'))
    (tmp_path / 'other').write_text('other')
    (tmp_path / 'to_other').symlink_to('other')
    (tmp_path / 'to_nothing').symlink_to('nothing')
    for name in ('to_other', 'to_nothing'):
        export(source, 'mmpretrain', str(tmp_path / name))
        assert not (tmp_path / name).is_symlink()
        assert 'state_dict' in torch.load(tmp_path / name, weights_only=True)
    assert (tmp_path / 'other').read_text() == 'other' and not (tmp_path / 'nothing').exists()


def test_other_files_stay_as_they_were(tmp_path, source):
    """Also those that are named like unfinished ones."""
    (tmp_path / 'out.pth.part').write_text('of another run')
    export(source, 'mmpretrain', str(tmp_path / 'out.pth'))
    assert (tmp_path / 'out.pth.part').read_text() == 'of another run'
    assert sorted(os.listdir(tmp_path)) == ['out.pth', 'out.pth.part', 'source.pth']
    reference = tmp_path / 'reference'
    reference.touch()
    assert Path(tmp_path / 'out.pth').stat().st_mode == reference.stat().st_mode

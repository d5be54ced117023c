"""Files that are built to exhaust or to mislead a reader."""

import builtins
import re
import struct
import zipfile

import pytest
import torch
from torch import nn

from automix_mm.engine.reader import CheckpointError, find_damage, read_checkpoint

from . import pickles


def repacked(path, compression):
    """Write a file of torch.save again with other records."""
    torch.save(dict(weight=torch.zeros(100_000)), path)
    packed = path.with_suffix('.packed')
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, 'w', compression) as target:
        for record in source.namelist():
            target.writestr(record, source.read(record))
    return packed


@pytest.mark.parametrize('compression', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_packed_records_are_refused(tmp_path, compression):
    """A small file of them can hold more than there is memory."""
    packed = repacked(tmp_path / 'a.pth', compression)
    assert packed.stat().st_size < 10_000
    with pytest.raises(CheckpointError, match=r'Cannot read .*a\.packed: its records are packed'):
        read_checkpoint(packed)
    assert find_damage(repacked(tmp_path / 'a.pth', zipfile.ZIP_STORED)) is None


def test_encrypted_records_are_refused(tmp_path):
    """In the list of records and in front of the record itself, one bit says so."""
    path = repacked(tmp_path / 'a.pth', zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    for mark, flags in ((b'PK\x01\x02', 8), (b'PK\x03\x04', 6)):
        content[content.index(mark) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='packed'):
        read_checkpoint(path)


def test_records_that_share_their_bytes_are_refused(tmp_path):
    """Each as large as the file: a list of a thousand is a thousand times the file."""
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a/data.pkl', bytes(5000))
        first = archive.infolist()[0]
        archive.filelist += [first] * 10
    assert 'overlap' in find_damage(path)


def test_a_storage_that_claims_more_than_its_record(tmp_path):
    """What lies behind it in memory would become weights."""
    torch.save(dict(a=torch.ones(4)), tmp_path / 'whole.pth')
    with zipfile.ZipFile(tmp_path / 'whole.pth') as archive:
        record = next(name for name in archive.namelist() if name.endswith('data.pkl'))
        content = archive.read(record)
    many = b'J' + struct.pack('<i', 1 << 28)
    claimed = re.sub(rb'(cpuq.)K\x04t', lambda found: found[1] + many + b't', content)
    assert claimed != content
    with pytest.raises(CheckpointError):
        read_checkpoint(pickles.write_pickle(tmp_path / 'claims.pth', claimed))


def test_a_shape_without_data_takes_no_memory(tmp_path):
    torch.save(dict(weight=torch.zeros(1).expand(10**14)), tmp_path / 'wide.pth')
    weight = read_checkpoint(tmp_path / 'wide.pth')['weight']
    assert weight.shape == (10**14,) and weight.untyped_storage().nbytes() == 4


def test_lists_in_lists_in_lists(tmp_path):
    """Deeper than Python's stack; written by hand, since torch.save could not either."""
    depth = 100_000
    content = b'\x80\x02}' + pickles.text('a') + b']' * depth + b'a' * (depth - 1) + b's.'
    path = pickles.write_pickle(tmp_path / 'deep.pth', content)
    with pytest.raises(CheckpointError, match=r'deep\.pth: it is no checkpoint, or a damaged one'):
        read_checkpoint(path)


def test_a_file_that_may_not_be_opened(tmp_path, monkeypatch):
    path = tmp_path / 'locked.pth'
    torch.save(nn.Linear(2, 2).state_dict(), path)

    def denied(*args, **kwargs):
        raise PermissionError(13, 'Permission denied')

    with monkeypatch.context() as patch:
        patch.setattr(builtins, 'open', denied)
        assert find_damage(path) == 'it cannot be opened (Permission denied)'
    assert find_damage(tmp_path) == 'it is a folder'

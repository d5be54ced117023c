"""What all pictures have in common."""

import errno
import os

import pytest

from automix_mm.analysis import style
from automix_mm.analysis.style import new_figure, require_writable, save_figure


def test_a_picture_that_can_be_written_leaves_nothing_behind_yet(tmp_path):
    path = tmp_path / 'new' / 'inner' / 'a.png'
    require_writable(str(path))
    assert list(tmp_path.iterdir()) == []
    save_figure(new_figure(1, 1), str(path))
    before = path.read_bytes()
    require_writable(str(path))  # will be replaced
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_name_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ('a.png', 'new/a.png'):
        require_writable(path)
    assert os.listdir() == []


def test_where_no_picture_can_be_written(tmp_path):
    (tmp_path / 'file').touch()
    for name in ('file/a.png', 'file/new/a.png'):
        with pytest.raises(ValueError, match=rf'cannot write .*{name}: .*file is no folder'):
            require_writable(str(tmp_path / name))
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(ValueError, match=r'folder\.png: it is a folder'):
        require_writable(str(tmp_path / 'folder.png'))
    with pytest.raises(ValueError, match=r'cannot write .*File name too long\. Name a folder'):
        require_writable(str(tmp_path / 'new' / ('a' * 300) / 'a.png'))
    assert sorted(os.listdir(tmp_path)) == ['file', 'folder.png']


def test_a_folder_of_somebody_else(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))  # root never meets it

    monkeypatch.setattr(style.tempfile, 'TemporaryFile', refuse)
    with pytest.raises(ValueError, match='Permission denied. Name a folder'):
        require_writable(str(tmp_path / 'new' / 'a.png'))
    assert not os.listdir(tmp_path)

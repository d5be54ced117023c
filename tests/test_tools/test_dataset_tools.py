"""Data sets are checked, fetched and unpacked; bad archives do no harm."""

import hashlib
import http.server
import io
import json
import os
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from automix_mm.datasets import checking, downloading, reading
from automix_mm.datasets.downloading import Source, download
from automix_mm.datasets.progress import ProgressLine
from automix_mm.datasets.unpacking import unpack
from tests.test_datasets.archives import write_npz, write_stl10, write_tiny_imagenet

# ------------------------------------------------------------------------------------ unpacking


def make_tar(path, *members):
    """Writes (TarInfo or name, content) members."""
    with tarfile.open(path, 'w:gz') as file:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def make_zip(path, *members):
    with zipfile.ZipFile(path, 'w') as file:
        for member, content in members:
            file.writestr(member, content)
    return path


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / 'root'
    folder.mkdir()
    return folder


@pytest.mark.parametrize('make', [make_tar, make_zip])
def test_unpacks_files_and_folders(tmp_path, root, make):
    archive = make(tmp_path / 'a', ('set/x.txt', b'one'), ('set/deep/y.txt', b'two'))
    assert unpack(archive, root) == 2
    assert (root / 'set/x.txt').read_text() == 'one'
    assert (root / 'set/deep/y.txt').read_text() == 'two'


@pytest.mark.parametrize('make', [make_tar, make_zip])
@pytest.mark.parametrize('name', ['../evil', '/tmp/automix_mm_evil', 'a/../../evil', 'a\\evil'])
def test_nothing_is_written_outside(tmp_path, root, make, name):
    archive = make(tmp_path / 'a', (name, b'evil'))
    with pytest.raises(ValueError, match='would be written outside'):
        unpack(archive, root)
    assert list(tmp_path.rglob('*evil*')) == []


@pytest.mark.parametrize('kind', [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, root, kind):
    link = tarfile.TarInfo('link')
    link.type, link.linkname = kind, str(tmp_path)
    archive = make_tar(tmp_path / 'a', (link, b''), ('link/evil', b'evil'))
    with pytest.raises(ValueError, match="'link' is neither a file nor a folder"):
        unpack(archive, root)
    assert list(root.iterdir()) == []


def test_a_link_in_a_zip_is_refused(tmp_path, root):
    link = zipfile.ZipInfo('link')
    link.external_attr = 0o120777 << 16
    with pytest.raises(ValueError, match="'link' is neither"):
        unpack(make_zip(tmp_path / 'a', (link, '/etc')), root)


def test_a_link_that_is_there_already_is_not_followed(tmp_path, root):
    (root / 'set').symlink_to(tmp_path)
    with pytest.raises(ValueError, match='outside'):
        unpack(make_tar(tmp_path / 'a', ('set/evil', b'evil')), root)
    assert not (tmp_path / 'evil').exists()


def test_a_file_with_holes_is_refused(tmp_path, root):
    """A member of a few bytes that would be a terabyte of zeros on disk."""
    sparse = tarfile.TarInfo('holes')
    sparse.pax_headers = {'GNU.sparse.map': '0,0', 'GNU.sparse.size': str(1 << 40)}
    with tarfile.open(tmp_path / 'a', 'w', format=tarfile.PAX_FORMAT) as file:
        file.addfile(sparse)
    with pytest.raises(ValueError, match="'holes' is neither a file"):
        unpack(tmp_path / 'a', root)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize('kind', ['tar', 'zip'])
def test_an_archive_that_grows_beyond_all_measure_is_refused(tmp_path, root, monkeypatch, kind):
    monkeypatch.setattr(reading, '_ANY_SIZE', 1000)
    members = [(f'{number}', bytes(1_000_000)) for number in range(3)]
    if kind == 'tar':
        archive = make_tar(tmp_path / 'a', *members)
    else:
        archive = tmp_path / 'a'
        with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
    with pytest.raises(ValueError, match='bytes would become .000000 or more'):
        unpack(archive, root)


def test_an_encrypted_zip_is_named(tmp_path, root):
    content = bytearray(make_zip(tmp_path / 'a', ('x', b'text')).read_bytes())
    content[6] |= 1  # the flag in the member's header and in the table of contents
    content[content.index(b'PK\x01\x02') + 8] |= 1
    (tmp_path / 'a').write_bytes(content)
    with pytest.raises(ValueError, match='truncated or no archive .*encrypted'):
        unpack(tmp_path / 'a', root)


FULL = Path('/dev/full')


@pytest.mark.skipif(not FULL.exists(), reason='needs /dev/full')
def test_a_full_disk_is_named(tmp_path, root, served, monkeypatch):
    def full(path, *args, **kwargs):
        return real(FULL if path.is_relative_to(root) else path, *args, **kwargs)

    source, _ = served
    archive = make_tar(tmp_path / 'a', ('x', os.urandom(100)))
    real = Path.open
    monkeypatch.setattr(Path, 'open', full)
    with pytest.raises(OSError, match=f"No space left on device: '{root}/x'"):
        unpack(archive, root)
    with pytest.raises(OSError, match=f"No space left on device: '{root}/set.tar.gz.part'"):
        download(source, root)


def test_a_download_that_cannot_fit_is_not_started(root, served, monkeypatch):
    source, handler = served
    monkeypatch.setattr(downloading.shutil, 'disk_usage', lambda path: SimpleNamespace(free=9))
    with pytest.raises(OSError, match=f'{len(handler.content)} bytes are to come, 9 are free'):
        download(source, root)
    assert list(root.iterdir()) == [] and handler.asked == [None]


def test_a_damaged_archive_is_named(tmp_path, root):
    archive = make_tar(tmp_path / 'a', ('x', os.urandom(5000)))
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ValueError, match=f'{archive}: truncated or no archive'):
        unpack(archive, root)
    archive.write_bytes(b'no archive')
    with pytest.raises(ValueError, match=f'{archive}: truncated or no archive'):
        unpack(archive, root)


# ----------------------------------------------------------------------------------- downloading


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``content``; the first ``breaks`` replies stop half-way."""

    content, breaks, resumes, asked = b'', 0, True, []

    def do_GET(self):
        span = self.headers.get('Range')
        type(self).asked.append(span)
        start = int(span.split('=')[1][:-1]) if span and self.resumes else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        part = self.content[start:]
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(part)))
        self.end_headers()
        if self.breaks:
            type(self).breaks -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *args):
        pass


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Serves a small archive; returns its source and the handler's class."""
    monkeypatch.setattr(downloading.time, 'sleep', lambda seconds: None)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    content = make_tar(tmp_path / 'made', ('set/x.txt', os.urandom(3000))).read_bytes()
    handler = type('Handler', (Server,), dict(content=content, asked=[]))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f'http://127.0.0.1:{server.server_address[1]}/set.tar.gz'
        yield Source(url, 'set.tar.gz', hashlib.md5(content).hexdigest(), 'set'), handler
        server.shutdown()
        thread.join()


def test_downloads_with_progress_and_only_once(served, root):
    source, handler = served
    seen = []
    path = download(source, root, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == handler.content
    assert seen[-1] == (len(handler.content),) * 2
    assert download(source, root) == path and handler.asked == [None]
    assert [entry.name for entry in root.iterdir()] == ['set.tar.gz']


def test_goes_on_where_it_broke(served, root):
    source, handler = served
    handler.breaks = 1
    assert download(source, root).read_bytes() == handler.content
    assert handler.asked == [None, f'bytes={len(handler.content) // 2}-']


@pytest.mark.parametrize('there', [10, None])
def test_goes_on_with_what_an_earlier_run_left(served, root, there):
    source, handler = served
    (root / 'set.tar.gz.part').write_bytes(handler.content[:there])
    assert download(source, root).read_bytes() == handler.content
    assert handler.asked == [f'bytes={there or len(handler.content)}-']


def test_starts_again_where_the_server_cannot_go_on(served, root):
    source, handler = served
    handler.resumes = False
    (root / 'set.tar.gz.part').write_bytes(b'something')
    assert download(source, root).read_bytes() == handler.content


def test_a_wrong_checksum_is_named_and_not_kept(served, root):
    source, handler = served
    wrong = source._replace(md5='0' * 32)
    with pytest.raises(ValueError, match=f'wrong checksum, expected MD5 0{{32}}, got {source.md5}'):
        download(wrong, root)
    assert list(root.iterdir()) == []
    (root / source.file).write_bytes(b'altered')
    with pytest.raises(ValueError, match='set.tar.gz: wrong checksum'):
        download(source, root)


def test_without_a_network_the_message_says_what_to_do(monkeypatch, load_tool, root, capsys):
    source = Source('http://127.0.0.1:9/set.tar.gz', 'set.tar.gz', '1' * 32, 'set')
    monkeypatch.setattr(downloading.time, 'sleep', lambda seconds: None)
    monkeypatch.setitem(downloading.SOURCES, 'stl10', source)
    assert load_tool('dataset_tools/prepare_dataset', 'stl10', root).main() == 1
    error = capsys.readouterr().err
    assert 'cannot be reached' in error and str(root / 'set.tar.gz') in error and '1' * 32 in error


def test_a_root_that_is_a_file_is_named(load_tool, tmp_path, capsys):
    (tmp_path / 'a').write_bytes(b'')
    assert load_tool('dataset_tools/prepare_dataset', 'stl10', tmp_path / 'a').main() == 1
    assert f"File exists: '{tmp_path / 'a'}'" in capsys.readouterr().err


@pytest.mark.parametrize('terminal', [True, False])
def test_progress_is_shown(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: terminal)
    show = ProgressLine()
    for done in [*range(0, 41), 40]:
        show(done * 1_000_000, 40_000_000)
    shown = capsys.readouterr().err
    if terminal:
        assert shown.count('\r') == 41 and shown.endswith('\r  40 of 40 MB (100 %)\n')
    else:
        assert len(shown.splitlines()) == 10 and shown.startswith('  4 of 40 MB (10 %)\n')
    show = ProgressLine()
    show(1_500_000, 0)
    assert ('  1 MB' in capsys.readouterr().err) == terminal


def test_the_tool_gets_and_unpacks(monkeypatch, served, load_tool, root, capsys):
    source, _ = served
    monkeypatch.setitem(downloading.SOURCES, 'stl10', source)
    assert load_tool('dataset_tools/prepare_dataset', 'stl10', root, '--delete').main() == 0
    assert (root / 'set/x.txt').stat().st_size == 3000
    assert not (root / 'set.tar.gz').exists()
    assert f'1 files in {root / "set"}' in capsys.readouterr().out


def test_sources_are_what_the_sets_read():
    assert downloading.SOURCES['cifar10'].folder == checking.CIFAR10.FOLDER
    assert downloading.SOURCES['cifar100'].folder == checking.CIFAR100.FOLDER
    assert set(checking.LAYOUTS) == {*downloading.SOURCES, 'imagenet'}


# -------------------------------------------------------------------------------------- checking


def problems(name, path, **kwargs):
    return list(checking.problems_of(name, path, **kwargs))


@pytest.mark.parametrize('name', checking.LAYOUTS)
def test_nothing_there_is_a_problem(name, tmp_path):
    assert problems(name, tmp_path / 'no') == [f'{tmp_path / "no"} is missing']
    assert problems(name, tmp_path)


def test_stl10_is_counted_by_class(tmp_path):
    write_stl10(tmp_path, num=10)
    found = problems('stl10', tmp_path)
    assert f'{tmp_path}/stl10_binary (train): images: expected 5000, found 10' in found
    assert f'{tmp_path}/stl10_binary (test): images of class 9: expected 800, found 1' in found
    assert len(found) == 22


def test_a_complete_cifar_has_no_problem(tmp_path):
    arrays = {}
    for split, num in (('train', 50_000), ('test', 10_000)):
        arrays[f'{split}_images'] = np.zeros((num, 1, 1, 3), np.uint8)
        arrays[f'{split}_labels'] = np.arange(num) % 100
    path = tmp_path / 'c.npz'
    np.savez(path, **arrays)
    assert problems('cifar100', path) == []
    assert any('label 10 is out of range' in line for line in problems('cifar10', path))
    arrays['test_labels'][0] = 1
    np.savez(path, **arrays)
    assert [line.split(': ', 1)[1] for line in problems('cifar100', path)] == [
        'images of class 0: expected 100, found 99',
        'images of class 1: expected 100, found 101',
    ]


def test_a_wrong_checksum_is_a_problem(tmp_path):
    folder = tmp_path / 'cifar-100-python'
    folder.mkdir()
    (folder / 'train').write_bytes(b'x')
    first, second = problems('cifar100', tmp_path)
    assert 'wrong checksum' in first and 'cifar-100-python/test' in second


def test_tiny_imagenet_names_folders_counts_and_images(tmp_path):
    folder = write_tiny_imagenet(tmp_path)
    image = folder / 'val/images/val_n01_1.JPEG'
    image.write_bytes(image.read_bytes()[:-200])
    found = problems('tiny_imagenet', tmp_path)
    assert f'{folder}/wnids.txt: classes: expected 200, found 3' in found
    assert f'{folder} (train): images of n02: expected 500, found 2' in found
    assert [line for line in found if f'{image} is truncated' in line]
    assert len(problems('tiny_imagenet', tmp_path, decode=False)) == len(found) - 1
    (folder / 'train/n02').rename(folder / 'other')
    assert any(
        line.startswith(f'{folder}/train/n02 is missing')
        for line in problems('tiny_imagenet', tmp_path, decode=False)
    )


def test_cub_names_labels_and_images(tmp_path):
    folder = tmp_path / 'CUB_200_2011'
    (folder / 'images').mkdir(parents=True)
    Image.new('RGB', (4, 4)).save(folder / 'images/a.jpg')
    (folder / 'images.txt').write_text('1 a.jpg\n2 b.jpg\n')
    (folder / 'image_class_labels.txt').write_text('1 1\n2 201\n')
    (folder / 'train_test_split.txt').write_text('1 1\n2 0\n')
    found = problems('cub200', tmp_path)
    assert any('2 201' in line and 'from 1 to 200' in line for line in found)
    assert f'{folder}/images/b.jpg is missing: images.txt lists it' in found
    assert not any('a.jpg' in line for line in found)


@pytest.mark.parametrize('text', ['1 x\n', '1 -1\n', '1 1.5\n'])
def test_cub_names_labels_that_are_no_numbers(tmp_path, text):
    for name in ('images', 'image_class_labels', 'train_test_split'):
        (tmp_path / f'{name}.txt').write_text(text)
    (tmp_path / 'image_class_labels.txt').write_text(text)
    assert any('expected a label from 1 to 200' in line for line in problems('cub200', tmp_path))


def test_cub_names_lines_that_are_no_pairs(tmp_path):
    for name in ('images', 'image_class_labels', 'train_test_split'):
        (tmp_path / f'{name}.txt').write_text('1 1\n2\n')
    line = f"{tmp_path}/image_class_labels.txt, '2': expected a number and an entry"
    assert line in problems('cub200', tmp_path)


def test_what_cannot_be_read_is_a_problem(tmp_path):
    folder = write_tiny_imagenet(tmp_path)
    (folder / 'wnids.txt').write_bytes(b'\xff\xfe')
    (found,) = problems('tiny_imagenet', tmp_path)
    assert "can't decode byte" in found and 'Nothing behind it' in found


def test_imagenet_names_folders_and_lines(tmp_path):
    (tmp_path / 'train/n01').mkdir(parents=True)
    (tmp_path / 'val').mkdir()
    (tmp_path / 'meta').mkdir()
    (tmp_path / 'meta/val.txt').write_text('a.JPEG 1000\n')
    found = problems('imagenet', tmp_path)
    assert f'{tmp_path}/train: folders of classes: expected 1000, found 1' in found
    assert f'{tmp_path}/train/n01 has no images' in found
    assert any('val.txt, line 1: ' in line for line in found)


def test_the_tool_prints_problems_layout_and_exit_code(load_tool, tmp_path, capsys):
    write_stl10(tmp_path)
    tool = load_tool('dataset_tools/check_dataset', 'stl10', tmp_path, '--most', 2)
    assert tool.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == '  ... and 20 more'
    assert lines[3].endswith('22 problems. Expected:') and '{train,test}' in lines[4]
    with pytest.raises(SystemExit, match='2'):
        load_tool('dataset_tools/check_dataset', 'stl10', tmp_path, '--most', 0).main()


# ------------------------------------------------------------------------------------- benchmark


def test_the_benchmark_ends_in_json(load_tool, tmp_path, capsys):
    write_npz(tmp_path / 'a.npz', num=20, side=32)
    load_tool(
        'analysis_tools/benchmark_data',
        *('--data', tmp_path / 'a.npz', '--batch', 5, '--workers', 0),
        *('--repeats', 1, '--seconds', 0.05, '--device', 'cpu'),
    ).main()
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result['images_per_second']) == {'arrays', 'mmpretrain_0'}
    assert all(row['median'] > 0 for row in result['images_per_second'].values())
    assert result['batch'] == 5


def test_the_benchmark_names_what_it_cannot_use(load_tool, tmp_path, capsys):
    write_npz(tmp_path / 'a.npz', num=20, side=30)
    for path, message in ((tmp_path / 'a.npz', '32x32'), (tmp_path / 'b.npz', 'is missing')):
        assert load_tool('analysis_tools/benchmark_data', '--data', path).main() == 1
        assert message in capsys.readouterr().err

"""The sets read the official layouts, and name the file where something is wrong."""

import io
import os
import pickle
import zipfile

import mmcv
import numpy as np
import pytest
from PIL import Image

from automix_mm.datasets import (
    CIFAR10,
    CIFAR100,
    STL10,
    NpzImages,
    TinyImageNet,
    reading,
    tiny_imagenet,
)
from automix_mm.datasets.reading import unpickle_arrays
from automix_mm.datasets.tiny_imagenet import decode_one
from tests.test_datasets.archives import (
    md5,
    rng,
    write_cifar,
    write_npz,
    write_stl10,
    write_tiny_imagenet,
)

# ---------------------------------------------------------------------------------------- CIFAR


@pytest.mark.parametrize('kind', [CIFAR10, CIFAR100])
@pytest.mark.parametrize('protocol', [2, 4])
def test_cifar_reads_the_official_files(tmp_path, monkeypatch, kind, protocol):
    written, digests = write_cifar(tmp_path, kind, protocol=protocol)
    monkeypatch.setattr(kind, 'FILES', digests)
    for root in (tmp_path, tmp_path / kind.FOLDER):
        for split, (images, labels) in written.items():
            data = kind(str(root), split)
            assert np.array_equal(data.images.numpy(), images)
            assert data.get_gt_labels().tolist() == labels.tolist()
            item = data[1]
            assert np.array_equal(item['img'], images[1][::-1].transpose(1, 2, 0))  # BGR
            assert item['gt_label'] == labels[1]
    assert len(data.CLASSES) == (10 if kind is CIFAR10 else 100)


def test_cifar_compares_checksums(tmp_path):
    write_cifar(tmp_path, CIFAR100)
    file = tmp_path / 'cifar-100-python' / 'train'
    with pytest.raises(ValueError, match=rf'{file}: wrong checksum.*16019d7e3df5.*{md5(file)}'):
        CIFAR100(str(tmp_path))
    assert len(CIFAR100(str(tmp_path), checksum=False)) == 6


def test_items_out_of_npz_are_bgr(tmp_path):
    """As the host's decoders deliver images, so that to_rgb=True is right for every set."""
    arrays = write_npz(tmp_path / 'a.npz')
    for data in (CIFAR10(str(tmp_path / 'a.npz')), NpzImages(str(tmp_path / 'a.npz'))):
        assert np.array_equal(data[2]['img'], arrays['train_images'][2][..., ::-1])


def test_a_missing_file_of_cifar_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match='cifar-10-batches-py/data_batch_1'):
        CIFAR10(str(tmp_path))
    _, digests = write_cifar(tmp_path, CIFAR10)
    monkeypatch.setattr(CIFAR10, 'FILES', digests)
    gone = tmp_path / 'cifar-10-batches-py' / 'data_batch_3'
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=f'{gone} is missing'):
        CIFAR10(str(tmp_path))


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_code_in_a_pickle_is_not_run(tmp_path):
    path, mark = tmp_path / 'train', tmp_path / 'mark'
    path.write_bytes(pickle.dumps({'data': Evil(mark)}))
    with pytest.raises(ValueError, match=f'{path}: expected a pickled dict of arrays.*mkdir'):
        unpickle_arrays(path)
    assert not mark.exists()


class Raw:
    """Pickles as a call of what is given."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


RECONSTRUCT = np.zeros(0).__reduce__()[0]
POINTERS = {
    'called': Raw(np.ndarray, ((1,), np.dtype('O'), b'12345678')),
    'state': Raw(RECONSTRUCT, (np.ndarray, (0,), b'b'), (1, (1,), np.dtype('O'), False, b'8' * 8)),
    'size': Raw(RECONSTRUCT, (np.ndarray, (0,), b'b'), (1, (9,), np.dtype('u1'), False, b'12')),
}


@pytest.mark.parametrize('array', POINTERS.values(), ids=POINTERS)
def test_bytes_are_not_taken_for_pointers(tmp_path, array):
    path = tmp_path / 'train'
    path.write_bytes(pickle.dumps({'data': array}, protocol=2))
    with pytest.raises(ValueError, match=f'{path}: expected a pickled dict of arrays'):
        unpickle_arrays(path)


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('code', ['u1', '>i4', '<f8'])
@pytest.mark.parametrize('order', ['C', 'F'])
def test_pickled_arrays_keep_their_numbers(tmp_path, protocol, code, order):
    array = np.arange(12).reshape(3, 4).astype(code, order=order)
    (tmp_path / 'train').write_bytes(pickle.dumps({'data': array}, protocol=protocol))
    found = unpickle_arrays(tmp_path / 'train')['data']
    assert found.dtype == array.dtype and np.array_equal(found, array)


@pytest.mark.parametrize('content', [b'', b'\x80\x02}', pickle.dumps({'a': 1})[:-3], b'hello'])
def test_a_truncated_pickle_is_named(tmp_path, content):
    path = tmp_path / 'train'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path}: expected a pickled dict'):
        unpickle_arrays(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1], 'expected a pickled dict, got list'),
        ({'data': np.zeros((2, 3072), np.uint8)}, "has no .'fine_labels'"),
        ({'data': np.zeros((2, 9), np.uint8), 'fine_labels': [0, 1]}, r'got \(2, 9\) uint8'),
        ({'data': np.zeros((1, 3072), np.uint8), 'fine_labels': [0, 1]}, 'with 2 labels'),
        ({'data': np.zeros((1, 3072), np.uint8), 'fine_labels': [100]}, 'label 100 of image 0'),
    ],
    ids=['no dict', 'no labels', 'width', 'count', 'range'],
)
def test_wrong_content_of_cifar_is_named(tmp_path, content, message):
    write_cifar(tmp_path, CIFAR100)
    (tmp_path / 'cifar-100-python' / 'train').write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ValueError, match=message):
        CIFAR100(str(tmp_path), checksum=False)


# ----------------------------------------------------------------------------------------- .npz


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'train_labels': np.zeros(3, int)}, r'labels \(N,\), got .*\(3,\)'),
        ({'train_images': np.zeros((8, 6, 6), np.uint8)}, r'\(N, H, W, 3\) uint8'),
        ({'train_images': np.zeros((8, 6, 6, 3))}, 'float64'),
        ({'train_labels': -np.ones(8, int)}, 'label -1 of image 0 is out of range'),
        ({'train_images': np.zeros((0, 6, 6, 3), np.uint8), 'train_labels': np.zeros(0, int)}, 'n'),
    ],
    ids=['count', 'shape', 'dtype', 'range', 'empty'],
)
def test_wrong_arrays_are_named(tmp_path, changes, message):
    path = tmp_path / 'a.npz'
    np.savez(path, **(write_npz(path) | changes))
    with pytest.raises(ValueError, match=f'{path}.*{message}'):
        NpzImages(str(path))


def npy(shape, code='|u1'):
    """A file of an array whose header claims a shape, with 100 bytes of content."""
    header = dict(descr=code, fortran_order=False, shape=shape)
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(100)


@pytest.mark.parametrize(
    'content',
    [
        npy((10**6, 1000, 1000, 3)),
        npy((-1, 32, 32, 3)),
        npy((2**62, 32, 32, 3)),
        npy((4, 32, 32, 3)),
        npy((10**9, 32, 32, 3), '<f8'),
        npy((4,), '|O'),
        npy((4, 32, 32, 3))[:20],
        b'garbage',
    ],
    ids=['too many', 'negative', 'overflow', 'short', 'doubles', 'objects', 'header', 'garbage'],
)
def test_hostile_npz_files_are_named(tmp_path, content):
    path = tmp_path / 'a.npz'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('train_images.npy', content)
    with pytest.raises(ValueError, match=f'{path} cannot be read .*expected an .npz file'):
        NpzImages(str(path))


@pytest.mark.parametrize('content', [b'', pickle.dumps({'a': 1}), npy((100,))])
def test_other_files_than_npz_are_named(tmp_path, content):
    path = tmp_path / 'a.npz'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path} cannot be read .*expected an .npz file'):
        NpzImages(str(path))


def test_an_npz_that_grows_beyond_all_measure_is_refused(tmp_path, monkeypatch):
    path = tmp_path / 'a.npz'
    np.savez_compressed(path, train_images=np.zeros((9, 99, 99, 3), np.uint8))
    monkeypatch.setattr(reading, '_ANY_SIZE', 1000)
    with pytest.raises(ValueError, match=f'{path}: .* bytes would become 264.*at most 100 times'):
        NpzImages(str(path))


def test_a_truncated_npz_is_named(tmp_path):
    path = tmp_path / 'a.npz'
    write_npz(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f'{path} cannot be read'):
        NpzImages(str(path))
    with pytest.raises(FileNotFoundError, match='b.npz is missing'):
        NpzImages(str(tmp_path / 'b.npz'))


# --------------------------------------------------------------------------------------- STL-10


def test_stl10_reads_columns_first_and_labels_from_one(tmp_path):
    for split, (images, labels) in write_stl10(tmp_path, num=12).items():
        data = STL10(str(tmp_path), split)
        assert np.array_equal(data.images.numpy(), images.transpose(0, 3, 1, 2))
        assert np.array_equal(data[3]['img'], images[3][..., ::-1])
        assert data.get_gt_labels().tolist() == labels.tolist()
    assert data.CLASSES[:2] == ('airplane', 'bird') and len(data.CLASSES) == 10


def test_a_truncated_stl10_is_named(tmp_path):
    write_stl10(tmp_path)
    path = tmp_path / 'stl10_binary' / 'train_X.bin'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f'{path}: expected 82944 bytes.*got 82943'):
        STL10(str(tmp_path))


@pytest.mark.parametrize(('label', 'found'), [(0, -1), (11, 10)])
def test_a_label_of_stl10_out_of_range_is_named(tmp_path, label, found):
    write_stl10(tmp_path)
    path = tmp_path / 'stl10_binary' / 'test_y.bin'
    path.write_bytes(bytes([1, label, 2]))
    with pytest.raises(ValueError, match=f'{path}.*start at 1.*label {found} of image 1'):
        STL10(str(tmp_path), 'test')


def test_missing_files_of_stl10_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='stl10_binary/train_X.bin'):
        STL10(str(tmp_path))
    write_stl10(tmp_path)
    (tmp_path / 'stl10_binary' / 'train_y.bin').unlink()
    with pytest.raises(FileNotFoundError, match='train_y.bin is missing: expected the labels'):
        STL10(str(tmp_path))


# -------------------------------------------------------------------------------- Tiny-ImageNet


@pytest.mark.parametrize('split', ['train', 'val'])
def test_tiny_imagenet_numbers_the_sorted_wnids(tmp_path, split):
    folder = write_tiny_imagenet(tmp_path)
    data = TinyImageNet(str(tmp_path), split, batched=True)
    assert len(data) == 6 and sorted(data.get_gt_labels()) == [0, 0, 1, 1, 2, 2]
    assert data.CLASSES == ('goldfish', 'tench', 'n03')
    batch = data.get_batch(range(6))
    for number, (image, label) in enumerate(zip(batch['inputs'], batch['labels'], strict=True)):
        path = data.get_data_info(number)['img_path']
        assert path.startswith(str(folder / split))
        wnid = ['n01', 'n02', 'n03'][label]
        assert wnid in path
        level = 40 * ['n03', 'n01', 'n02'].index(wnid) + (10 if path.endswith('_1.JPEG') else 0)
        blue = 200 if path.endswith('_1.JPEG') else level  # the others are grey
        means = image.float().mean((1, 2))
        assert abs(means[0] - level) < 4 and abs(means[2] - blue) < 4  # RGB


def test_tiny_imagenet_items_are_files_for_the_hosts_pipeline(tmp_path):
    write_tiny_imagenet(tmp_path)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = TinyImageNet(str(tmp_path), 'val', pipeline=pipeline)
    packed = data[0]
    assert packed['inputs'].shape == (3, 64, 64)
    assert packed['data_samples'].gt_label.item() == data.get_gt_labels()[0]
    with pytest.raises(ValueError, match='needs batched=True'):
        data.get_batch([0])


def test_tiny_imagenet_with_sorted_validation_folders(tmp_path):
    folder = write_tiny_imagenet(tmp_path)
    expected = TinyImageNet(str(tmp_path), 'val').get_gt_labels()
    for line in (folder / 'val/val_annotations.txt').read_text().splitlines():
        name, wnid = line.split()[:2]
        (folder / 'val' / wnid).mkdir(exist_ok=True)
        (folder / 'val/images' / name).rename(folder / 'val' / wnid / name)
    (folder / 'val/images').rmdir()
    assert sorted(TinyImageNet(str(tmp_path), 'val').get_gt_labels()) == sorted(expected)


def test_a_part_without_wnids_takes_the_folders(tmp_path):
    folder = write_tiny_imagenet(tmp_path, side=20)
    (folder / 'wnids.txt').unlink()
    data = TinyImageNet(str(folder), 'train', side=20, batched=True, num_classes=2)
    assert len(data) == 4 and data.CLASSES == ('goldfish', 'tench')


def test_a_truncated_image_is_named(tmp_path):
    folder = write_tiny_imagenet(tmp_path)
    path = folder / 'train/n02/images/n02_1.JPEG'
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=f'{path} is truncated or no image'):
        TinyImageNet(str(tmp_path), batched=True)


@pytest.mark.parametrize('side', [9_000, 30_000])
def test_an_image_of_another_size_is_not_decoded(tmp_path, monkeypatch, side):
    """Black PNG files of a few kB, which would fill the memory."""
    folder = write_tiny_imagenet(tmp_path)
    monkeypatch.setattr(Image.Image, 'convert', lambda *args: pytest.fail('decoded'))
    path = folder / 'train/n01/images/bomb.png'
    Image.new('1', (side, side)).save(path)
    with pytest.raises(ValueError, match=f'{path}.*({side}|pixels)'):
        decode_one(path, 64)


@pytest.mark.parametrize(
    ('mode', 'colour', 'suffix'),
    [('CMYK', (0, 255, 255, 0), 'jpg'), ('RGBA', (255, 0, 0, 9), 'png'), ('P', 5, 'png')],
)
def test_other_colours_become_rgb(tmp_path, mode, colour, suffix):
    image = Image.new(mode, (64, 64), colour)
    if mode == 'P':
        image.putpalette([0, 0, 0] * 5 + [255, 0, 0])
    image.save(tmp_path / f'a.{suffix}')
    assert decode_one(tmp_path / f'a.{suffix}', 64)[:, 3, 3].tolist() == pytest.approx([255, 0, 0])


def test_decodes_the_same_bytes_as_the_host(tmp_path):
    Image.fromarray(rng().integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(tmp_path / 'a.jpg')
    theirs = mmcv.imread(str(tmp_path / 'a.jpg'))[..., ::-1].transpose(2, 0, 1)
    assert np.array_equal(decode_one(tmp_path / 'a.jpg'), theirs)


def test_tiny_imagenet_decodes_only_what_indices_leave(tmp_path, monkeypatch):
    write_tiny_imagenet(tmp_path)
    whole = TinyImageNet(str(tmp_path), batched=True).get_batch(range(6))
    seen = []
    real = tiny_imagenet.decode
    monkeypatch.setattr(
        tiny_imagenet, 'decode', lambda paths, side: seen.extend(paths) or real(paths, side)
    )
    data = TinyImageNet(str(tmp_path), batched=True, indices=[5, 1, 1])
    assert len(seen) == len(data) == 3
    batch = data.get_batch([0, 1, 2])
    assert np.array_equal(batch['inputs'], whole['inputs'][[5, 1, 1]])
    assert batch['labels'].tolist() == whole['labels'][[5, 1, 1]].tolist()


@pytest.mark.parametrize('batched', [True, False])
def test_fewer_classes_of_tiny_imagenet(tmp_path, batched):
    write_tiny_imagenet(tmp_path)
    data = TinyImageNet(str(tmp_path), 'val', batched=batched, num_classes=2)
    assert len(data) == 4 and data.CLASSES == ('goldfish', 'tench')


def test_an_image_of_another_size_is_named(tmp_path):
    write_tiny_imagenet(tmp_path, side=60)
    with pytest.raises(ValueError, match='JPEG: expected an image of 64x64 pixels, got 60x60'):
        TinyImageNet(str(tmp_path), batched=True)


def test_missing_and_empty_folders_of_tiny_imagenet_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='tiny-imagenet-200/train'):
        TinyImageNet(str(tmp_path))
    folder = write_tiny_imagenet(tmp_path)
    for path in (folder / 'train/n01/images').iterdir():
        path.unlink()
    with pytest.raises(ValueError, match='train/n01 has no images'):
        TinyImageNet(str(tmp_path))
    (folder / 'train/n01').rename(folder / 'other')
    with pytest.raises(FileNotFoundError, match='train/n01 is missing'):
        TinyImageNet(str(tmp_path))


@pytest.mark.parametrize(
    ('line', 'error', 'message'),
    [
        ('val_n01_0.JPEG\tn77\t0', ValueError, "line 1: .*wnid of wnids.txt, got 'val_n01_0.JPEG"),
        ('val_n01_0.JPEG', ValueError, 'line 1'),
        ('val_9.JPEG\tn01\t0', FileNotFoundError, 'val_9.JPEG is missing.*line 1'),
        ('', ValueError, 'val_annotations.txt is empty'),
    ],
)
def test_wrong_annotations_are_named(tmp_path, line, error, message):
    folder = write_tiny_imagenet(tmp_path)
    (folder / 'val/val_annotations.txt').write_text(line + '\n')
    with pytest.raises(error, match=message):
        TinyImageNet(str(tmp_path), 'val')


@pytest.mark.parametrize('kind', [CIFAR10, STL10, TinyImageNet, NpzImages])
def test_unknown_splits_are_refused(kind):
    with pytest.raises(ValueError, match="split must be one of .*'valid'"):
        kind('data', 'valid')
    for wrong in (0, 2.5, '3'):
        with pytest.raises(ValueError, match='num_classes must be an integer of at least 1'):
            kind('data', num_classes=wrong)
    with pytest.raises(TypeError, match='ann_file'):
        kind('data', ann_file='a')


def test_more_classes_than_there_are_are_refused(tmp_path):
    write_npz(tmp_path / 'a.npz')
    with pytest.raises(ValueError, match='num_classes must be at most 10 in .*a.npz, got 11'):
        CIFAR10(str(tmp_path / 'a.npz'), num_classes=11)


def test_a_set_without_images_is_refused(tmp_path):
    arrays = write_npz(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', **(arrays | dict(train_labels=arrays['train_labels'] + 5)))
    with pytest.raises(ValueError, match='num_classes=2 and indices=None leave none'):
        NpzImages(str(tmp_path / 'a.npz'), num_classes=2)


def test_the_archives_of_these_tests_are_not_constant():
    assert len(np.unique(rng().integers(0, 256, 100))) > 50

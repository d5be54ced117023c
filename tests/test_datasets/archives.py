"""Tiny archives in the layout of the official ones."""

import hashlib
import pickle

import numpy as np
from PIL import Image


def rng(seed=0):
    return np.random.default_rng(seed)


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(root, kind, num=6, protocol=2):
    """Pickled files as Python 2 and 3 write them; returns images and labels by split."""
    folder = root / kind.FOLDER
    folder.mkdir(parents=True)
    classes, written, digests = len(kind.METAINFO['classes']), {}, {}
    for split, files in kind.FILES.items():
        images, labels, digests[split] = [], [], {}
        for number, name in enumerate(files):
            data = rng(number).integers(0, 256, (num, 3072), dtype=np.uint8)
            label = rng(number).integers(0, classes, num).tolist()
            content = {b'data': data, kind.LABELS.encode(): label, b'filenames': [b'a.png'] * num}
            (folder / name).write_bytes(pickle.dumps(content, protocol=protocol))
            digests[split][name] = md5(folder / name)
            images.append(data.reshape(-1, 3, 32, 32))
            labels += label
        written[split] = np.concatenate(images), np.array(labels)
    return written, digests


def write_npz(path, num=8, side=6, classes=4):
    arrays = {}
    for split in ('train', 'test'):
        images = rng().integers(0, 256, (num, side, side, 3), dtype=np.uint8)
        arrays |= {f'{split}_images': images, f'{split}_labels': np.arange(num) % classes}
    np.savez(path, **arrays)
    return arrays


def write_stl10(root, num=3):
    """Bytes column by column, labels from 1; returns images (N, 96, 96, 3) and labels from 0."""
    folder = root / 'stl10_binary'
    folder.mkdir(parents=True)
    written = {}
    for split in ('train', 'test'):
        images = rng().integers(0, 256, (num, 96, 96, 3), dtype=np.uint8)
        labels = np.arange(num) % 10
        with (folder / f'{split}_X.bin').open('wb') as file:
            for image in images:
                for channel in range(3):
                    for column in range(96):
                        file.write(image[:, column, channel].tobytes())
        (folder / f'{split}_y.bin').write_bytes(bytes((labels + 1).tolist()))
        written[split] = images, labels
    return written


WNIDS = ['n03', 'n01', 'n02']  # unsorted, as in the official file


def write_tiny_imagenet(root, each=2, side=64):
    """Folders, annotations and one grey image; one grey level per image."""
    folder = root / 'tiny-imagenet-200'
    (folder / 'val' / 'images').mkdir(parents=True)
    (folder / 'wnids.txt').write_text('\n'.join(WNIDS))
    (folder / 'words.txt').write_text('n01\tgoldfish, carp\nn02\ttench\nn99\tother\n')
    lines = []
    for number, wnid in enumerate(WNIDS):
        images = folder / 'train' / wnid / 'images'
        images.mkdir(parents=True)
        for index in range(each):
            level = 40 * number + 10 * index
            mode, colour = ('L', level) if index == 0 else ('RGB', (level, 0, 200))
            name = f'{wnid}_{index}.JPEG'
            Image.new(mode, (side, side), colour).save(images / name, quality=95)
            Image.new(mode, (side, side), colour).save(folder / 'val/images' / f'val_{name}')
            lines.append(f'val_{name}\t{wnid}\t0\t0\t62\t62')
    (folder / 'val' / 'val_annotations.txt').write_text('\n'.join(reversed(lines)) + '\n')
    return folder

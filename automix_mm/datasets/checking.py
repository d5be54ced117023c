"""What is missing, corrupt or miscounted in a data set on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cifar import CIFAR10, CIFAR100
from .progress import ProgressLine
from .stl10 import read_binary
from .tiny_imagenet import SIDE, SUFFIXES, class_folders, decode_one, list_images, read_wnids

_AT_ONCE = 1024
Problems = Iterator[str]
Look = Callable[[list[Path], int | None], Problems]
"""Decodes image files, of a side or of any, and yields what is wrong with them."""


class Layout(NamedTuple):
    """What a data set looks like on disk.

    Attributes:
        tree: The expected files, for people.
        check: Yields what is wrong below a folder; its second argument looks at image files.
    """

    tree: str
    check: Callable[[Path, Look], Problems]


def _expect(what: str, found: int, expected: int) -> Problems:
    if found != expected:
        yield f'{what}: expected {expected}, found {found}'


def _attempt(read: Callable[[], object]) -> tuple[object, list[str]]:
    """Returns what ``read`` returns, or what its error says."""
    try:
        return read(), []
    except (ValueError, OSError) as error:
        return None, [str(error)]


def _split(
    what: str, read: Callable[[], tuple[np.ndarray, np.ndarray]], count: int, classes: int
) -> Problems:
    """Reads a split from arrays and counts its images."""
    arrays, problems = _attempt(read)
    yield from problems
    if arrays is None:
        return
    labels = arrays[1]  # type: ignore[index]
    yield from _expect(f'{what}: images', len(labels), count)
    counts = Counter(labels.tolist())
    for label in range(classes):
        yield from _expect(
            f'{what}: images of class {label}', counts.pop(label, 0), count // classes
        )
    for label in sorted(counts):
        yield f'{what}: label {label} is out of range, expected 0 to {classes - 1}'


def _cifar(kind: type[CIFAR10], classes: int) -> Callable[[Path, Look], Problems]:
    def check(root: Path, look: Look) -> Problems:
        for split, count in (('train', 50_000), ('test', 10_000)):
            data = kind(str(root), split, lazy_init=True)
            yield from _split(f'{root} ({split})', data.load_arrays, count, classes)

    return check


def _stl10(root: Path, look: Look) -> Problems:
    folder = root / 'stl10_binary' if (root / 'stl10_binary').is_dir() else root
    for split, count in (('train', 5000), ('test', 8000)):
        yield from _split(f'{folder} ({split})', partial(read_binary, folder, split), count, 10)


def _decode(paths: list[Path], side: int | None) -> Problems:
    """Decodes image files, shows how far it is, and yields what is wrong with them."""
    progress = ProgressLine('images', 1)
    with ThreadPoolExecutor(max_workers=4) as pool:
        for start in range(0, len(paths), _AT_ONCE):  # a million at once would fill the memory
            part = paths[start : start + _AT_ONCE]
            for _, problems in pool.map(lambda p: _attempt(partial(decode_one, p, side)), part):
                yield from problems
            progress(start + len(part), len(paths))


def _tiny_imagenet(root: Path, look: Look) -> Problems:
    folder = root / 'tiny-imagenet-200' if (root / 'tiny-imagenet-200').is_dir() else root
    if not (folder / 'wnids.txt').is_file():
        yield f'{folder / "wnids.txt"} is missing: expected one class (wnid) per line'
        return
    wnids = read_wnids(folder)
    yield from _expect(f'{folder / "wnids.txt"}: classes', len(wnids), 200)
    paths: list[Path] = []
    for split, each in (('train', 500), ('val', 50)):
        folders = class_folders(folder, split, wnids)
        missing = [str(path) for path in folders if not path.is_dir()]
        yield from (f'{path} is missing: expected the images of a class' for path in missing)
        if missing:
            continue
        entries, problems = _attempt(partial(list_images, folder, split))
        yield from problems
        counts = Counter(label for _, label in entries or ())  # type: ignore[attr-defined]
        for label, wnid in enumerate(wnids):
            yield from _expect(f'{folder} ({split}): images of {wnid}', counts[label], each)
        paths += [path for path, _ in entries or ()]  # type: ignore[attr-defined]
    yield from look(paths, SIDE)


def _imagenet(root: Path, look: Look) -> Problems:
    for split, total in (('train', 1_281_167), ('val', 50_000)):
        folder = root / split
        if not folder.is_dir():
            yield f'{folder} is missing: expected the images of the split'
            continue
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        if split == 'val' and not classes:
            paths = sorted(folder.iterdir())
            yield from _annotations(root / 'meta' / 'val.txt', total)
        else:
            yield from _expect(f'{folder}: folders of classes', len(classes), 1000)
            paths = []
            for path in classes:
                images = [p for p in path.rglob('*') if p.suffix.lower() in SUFFIXES]
                if not images:
                    yield f'{path} has no images'
                paths += images
        yield from _expect(f'{folder}: images', len(paths), total)
        yield from look(paths, None)


def _annotations(path: Path, total: int) -> Problems:
    if not path.is_file():
        yield f'{path} is missing: expected a file name and a label per line'
        return
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    yield from _expect(f'{path}: lines', len(lines), total)
    for number, words in enumerate(lines, 1):
        if len(words) != 2 or not words[1].isdigit() or int(words[1]) >= 1000:
            yield f'{path}, line {number}: expected a file name and a label from 0 to 999'


def _cub200(root: Path, look: Look) -> Problems:
    folder = root / 'CUB_200_2011' if (root / 'CUB_200_2011').is_dir() else root
    columns = {}
    for name in ('images', 'image_class_labels', 'train_test_split'):
        path = folder / f'{name}.txt'
        if not path.is_file():
            yield f'{path} is missing: expected a number and an entry per line'
            return
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        wrong = [' '.join(words) for words in lines if len(words) != 2]
        yield from (f'{path}, {line!r}: expected a number and an entry' for line in wrong)
        columns[name] = dict(words for words in lines if len(words) == 2)
        yield from _expect(f'{path}: lines', len(lines), 11_788)
    for number, label in columns['image_class_labels'].items():
        if not label.isdecimal() or not 0 < int(label) <= 200:
            path = folder / 'image_class_labels.txt'
            yield f'{path}, {f"{number} {label}"!r}: expected a label from 1 to 200'
    train = sum(value == '1' for value in columns['train_test_split'].values())
    yield from _expect(f'{folder / "train_test_split.txt"}: training images', train, 5994)
    paths = [folder / 'images' / name for name in columns['images'].values()]
    yield from (f'{path} is missing: images.txt lists it' for path in paths if not path.is_file())
    yield from look([path for path in paths if path.is_file()], None)


_CIFAR_TREE = 'ROOT/{}/{}  as unpacked from the official archive, or ROOT itself an .npz file'
LAYOUTS = {
    'cifar10': Layout(
        _CIFAR_TREE.format(CIFAR10.FOLDER, 'data_batch_1 ... data_batch_5, test_batch'),
        _cifar(CIFAR10, 10),
    ),
    'cifar100': Layout(_CIFAR_TREE.format(CIFAR100.FOLDER, 'train, test'), _cifar(CIFAR100, 100)),
    'stl10': Layout('ROOT/stl10_binary/{train,test}_{X,y}.bin', _stl10),
    'tiny_imagenet': Layout(
        'ROOT/tiny-imagenet-200/wnids.txt\n'
        'ROOT/tiny-imagenet-200/train/<wnid>/images/*.JPEG\n'
        'ROOT/tiny-imagenet-200/val/val_annotations.txt, val/images/*.JPEG',
        _tiny_imagenet,
    ),
    'imagenet': Layout(
        'ROOT/train/<wnid>/*.JPEG\n'
        'ROOT/val/<wnid>/*.JPEG, or ROOT/val/*.JPEG with ROOT/meta/val.txt (file name, label)',
        _imagenet,
    ),
    'cub200': Layout(
        'ROOT/CUB_200_2011/{images,image_class_labels,train_test_split}.txt\n'
        'ROOT/CUB_200_2011/images/<class>/*.jpg',
        _cub200,
    ),
}


def problems_of(name: str, root: str | Path, decode: bool = True) -> Problems:
    """Looks for what is missing, corrupt or miscounted.

    Args:
        name: One of ``LAYOUTS``.
        root: Where the data set is.
        decode: Also decode every image file.

    Yields:
        One line for each problem, naming the file and what is expected.
    """
    path = Path(root).expanduser()
    if not path.exists():
        yield f'{path} is missing'
        return
    try:
        yield from LAYOUTS[name].check(path, _decode if decode else lambda paths, side: iter(()))
    except (OSError, ValueError) as error:
        yield f'{error} Nothing behind it is checked.'

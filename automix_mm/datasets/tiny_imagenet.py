"""Tiny-ImageNet, from its files or in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from automix_mm.registry import DATASETS

from .array_images import ArrayImages
from .reading import find_folder, require_file

SIDE = 64
SUFFIXES = ('.jpeg', '.jpg', '.png')
_CHUNK = 256  # images that a thread takes at a time
Entry = tuple[Path, int]
"""An image file and its label."""


@DATASETS.register_module()
class TinyImageNet(ArrayImages):
    """Tiny-ImageNet: 100,000 training and 10,000 validation images 64x64 of 200 classes.

    Source: the archive tiny-imagenet-200 of Stanford's course CS231n. Read from its own layout
    (``wnids.txt``, ``train/<wnid>/images/``, ``val/images/`` with ``val/val_annotations.txt``), or
    from validation images that were sorted into ``val/<wnid>/``. Labels number the sorted wnids.

    An item has ``img_path`` instead of ``img``: its pipeline begins with ``LoadImageFromFile``.
    With ``batched=True`` all images are decoded at the start, about 1.2 GB for the training split;
    grey images become RGB.

    Args:
        data_root: The folder with or of the unpacked archive.
        split: ``'train'`` or ``'val'``.
        side: Height and width that every image must have when decoded.
        **kwargs: Other arguments of :class:`ArrayImages`: ``batched``, ``num_classes``,
            ``pipeline``, ...

    Raises:
        FileNotFoundError: If a file or the folder of a class is missing.
        ValueError: If a folder is empty, an annotation names an unknown class, an image is
            truncated or has another size, or ``split`` is unknown.
    """

    SPLITS = ('train', 'val')

    def __init__(
        self, data_root: str, split: str = 'train', side: int = SIDE, **kwargs: Any
    ) -> None:
        self.side = side
        super().__init__(data_root=data_root, split=split, **kwargs)

    def full_init(self) -> None:
        """Lists the files and, for batches, decodes those that ``indices`` leaves."""
        if self._fully_initialized:
            return
        super().full_init()
        if self.batched:
            paths = [Path(info['img_path']) for info in self.data_list]
            self.images = torch.from_numpy(decode(paths, self.side))
            self.labels = torch.from_numpy(self.get_gt_labels())
            self._rows = torch.arange(len(paths))
            for row, info in enumerate(self.data_list):
                info['row'] = row

    def load_data_list(self) -> list[dict]:
        """Lists the files of the split.

        Returns:
            One dict with ``row``, ``img_path`` and ``gt_label`` for each image.
        """
        folder = find_folder(self.data_root, 'tiny-imagenet-200', 'train')
        wnids = read_wnids(folder)
        self._metainfo.setdefault('classes', class_names(folder, wnids))
        return [
            dict(row=row, img_path=str(path), gt_label=label)
            for row, (path, label) in enumerate(list_images(folder, self.split))
            if self._keeps(label)
        ]

    def get_data_info(self, idx: int) -> dict:
        """Returns one item before the pipeline: ``img_path`` and ``gt_label``.

        Args:
            idx: Number of the item.
        """
        info = super().get_data_info(idx)
        info.pop('img', None)  # LoadImageFromFile reads it
        return info


def read_wnids(folder: Path) -> list[str]:
    """Reads and sorts the classes: the lines of ``wnids.txt``, or else the folders of ``train``.

    Args:
        folder: The unpacked archive, or a part of it without ``wnids.txt``.

    Raises:
        ValueError: If there are none.
    """
    path = folder / 'wnids.txt'
    if not path.is_file():
        path = folder / 'train'
        wnids = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        if not wnids:
            raise ValueError(f'{path} has no folders: expected one for each class (wnid).')
        return wnids
    wnids = sorted(set(path.read_text().split()))
    if not wnids:
        raise ValueError(f'{path} is empty: expected one class (wnid) per line.')
    return wnids


def class_names(folder: Path, wnids: list[str]) -> tuple[str, ...]:
    """Returns the first name of each class in ``words.txt``, or its wnid."""
    path = folder / 'words.txt'
    lines = path.read_text(encoding='utf-8').splitlines() if path.is_file() else []
    names = dict(line.split('\t', 1) for line in lines if '\t' in line)
    return tuple(names.get(wnid, wnid).split(',')[0].strip() for wnid in wnids)


def list_images(folder: Path, split: str) -> list[Entry]:
    """Lists the image files of a split with their labels.

    Args:
        folder: The unpacked archive.
        split: ``'train'`` or ``'val'``.

    Returns:
        Entries sorted by label and name; those of the annotations in their order.

    Raises:
        FileNotFoundError: If the folder of a class or an annotated image is missing.
        ValueError: If a folder is empty or an annotation names an unknown class.
    """
    wnids = read_wnids(folder)
    folders = class_folders(folder, split, wnids)
    if not folders:
        return list(_annotated(folder / 'val' / 'val_annotations.txt', wnids))
    return [(path, label) for label, of in enumerate(folders) for path in _images_of(of)]


def class_folders(folder: Path, split: str, wnids: list[str]) -> list[Path]:
    """Names the folders of the classes; none where an annotation file stands for them."""
    annotations = folder / 'val' / 'val_annotations.txt'
    if split == 'val' and annotations.is_file() and (folder / 'val' / 'images').is_dir():
        return []
    return [folder / split / wnid for wnid in wnids]


def _images_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f'{folder} is missing: expected a folder with the images of each class.'
        )
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ValueError(f'{folder} has no images: expected {"/".join(SUFFIXES)} files in it.')
    return found


def _annotated(path: Path, wnids: list[str]) -> Iterator[Entry]:
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not lines:
        raise ValueError(f'{path} is empty: expected lines with a file name and a wnid.')
    for number, words in enumerate(lines, 1):
        if len(words) < 2 or words[1] not in labels:
            raise ValueError(
                f'{path}, line {number}: expected a file name and a wnid of wnids.txt, got '
                f'{" ".join(words[:2])!r}.'
            )
        image = path.parent / 'images' / words[0]
        yield require_file(image, f'the image of line {number} of {path.name}'), labels[words[1]]


def decode(paths: Sequence[Path], side: int) -> np.ndarray:
    """Decodes image files, several at a time.

    Args:
        paths: N files.
        side: Height and width each must have.

    Returns:
        Images (N, 3, side, side) uint8 RGB.

    Raises:
        ValueError: If a file is truncated, no image or of another size.
    """
    images = np.empty((len(paths), 3, side, side), dtype=np.uint8)

    def fill(start: int) -> None:
        for row, path in enumerate(paths[start : start + _CHUNK], start):
            images[row] = decode_one(path, side)

    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        list(pool.map(fill, range(0, len(paths), _CHUNK)))  # raises what a thread has raised
    return images


def decode_one(path: Path, side: int | None = None) -> np.ndarray:
    """Decodes one image file as RGB.

    Args:
        path: The file.
        side: Height and width it must have; None takes any.

    Returns:
        Image (3, H, W) uint8.

    Raises:
        ValueError: If the file is truncated, no image or of another size.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            fits = side is None or width == height == side
            pixels = np.asarray(image.convert('RGB')) if fits else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f'{path} is truncated or no image ({error}): get it again from the archive.'
        ) from error
    if pixels is None:
        raise ValueError(
            f'{path}: expected an image of {side}x{side} pixels, got {width}x{height}.'
        )
    return pixels.transpose(2, 0, 1)

"""Pairs of images to mix: from files, or out of a config's data set."""

from __future__ import annotations

import os.path as osp
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from automix_mm.export.images import RGB_DATASETS


class NamedImage(NamedTuple):
    """An image with what to call it.

    Attributes:
        name: File name, or number and class in the data set.
        pixels: (C, H, W), uint8, RGB or grey.
    """

    name: str
    pixels: Tensor


def require_image(path: str) -> None:
    """Checks that there is a file where an image is expected; it is not opened.

    Args:
        path: The file.

    Raises:
        ValueError: If there is none, or a folder.
    """
    if osp.isdir(path):
        raise ValueError(f'{path} is a folder: expected the file of an image, name one in it')
    if not osp.isfile(path):
        raise ValueError(f'there is no image {path}')


def read_image(path: str, size: Sequence[int], channels: int = 3) -> NamedImage:
    """Reads an image file, upright, resized and centre-cropped.

    Args:
        path: The file, of any format that Pillow reads, with 8 or 16 bits a channel; of 16 bits the
            upper 8 are taken, as Pillow does itself where the image has colours.
        size: Height and width in pixels, or one number for both.
        channels: 3 for RGB, 1 for grey.

    Returns:
        The image.

    Raises:
        ValueError: If there is no such file, it is no image, or its pixels have no known range.
    """
    require_image(path)
    try:
        with Image.open(path) as file:
            image = _to_8_bits(ImageOps.exif_transpose(file))
            image = image.convert('L' if channels == 1 else 'RGB')
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    return NamedImage(osp.basename(path), _fit(image, size))


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scales grey pixels of 16 bits, which Pillow's `convert` would clip at 255."""
    if image.mode.startswith('I;16'):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ('I', 'F'):
        kind = 'whole numbers' if image.mode == 'I' else 'floats'
        raise ValueError(
            f'its pixels are {kind} of 32 bits (mode {image.mode}), which tell not what is white: '
            'expected 8 or 16 bits, convert it, for example to a PNG'
        )
    return image


def _fit(image: Image.Image, size: Sequence[int]) -> Tensor:
    return pil_to_tensor(ImageOps.fit(image, (size[-1], size[0])))


def build_dataset(cfg: Config, split: str) -> Any:
    """Builds the data set of a config and reads its list of images.

    Args:
        cfg: The config.
        split: 'val' or 'train'.

    Returns:
        The data set.

    Raises:
        ValueError: If the config has none, or one that cannot be built, or its files are not there.
    """
    fields = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    if fields is None:
        raise ValueError(f'the config has no {split}_dataloader with a dataset')
    try:
        dataset = DATASETS.build(fields)
        len(dataset)  # reads the list
    except (OSError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f'the images of {split}_dataloader cannot be read: {reason} (--data-root names '
            'another folder)'
        ) from error
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'the data set of {split}_dataloader cannot be built: {error.args[0]}'
        ) from error
    return dataset


def first_of_classes(dataset: Any, num: int) -> list[int]:
    """Returns the numbers of the first images of as many classes, in turn where there are fewer.

    Args:
        dataset: A data set of the host or of this package.
        num: How many images.
    """
    labels = np.asarray(dataset.get_gt_labels())
    _, firsts = np.unique(labels, return_index=True)
    classes = labels[np.sort(firsts)[:num]]
    members = [np.flatnonzero(labels == label) for label in classes]
    rounds = [[int(own[turn % len(own)]) for own in members] for turn in range(num)]
    return [index for turn in rounds for index in turn][:num]


def read_item(dataset: Any, index: int, seed: int = 0) -> NamedImage:
    """Takes an image out of a data set, through its pipeline where it has one.

    What a pipeline draws comes from the global generators, which are seeded here.

    Args:
        dataset: What :func:`build_dataset` returns.
        index: Number of the image.
        seed: Seed of the pipeline's draws, such as those of a training crop.

    Returns:
        The image as the network gets it before the normalisation.

    Raises:
        ValueError: If there is no such image, it cannot be read, or the pipeline ends in floats.
    """
    if not 0 <= index < len(dataset):
        raise ValueError(f'the data set has images 0 to {len(dataset) - 1}, got {index}')
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 -- the host's pipelines draw from the global one
    torch.default_generator.manual_seed(seed)
    try:
        item = dataset[index]
    except OSError as error:
        raise ValueError(f'image {index} of the data set cannot be read: {error}') from error
    pixels = item.get('inputs', item.get('img'))
    if isinstance(pixels, np.ndarray):  # no pipeline
        pixels = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8 or pixels.dim() != 3:
        got = f'{tuple(pixels.shape)} {pixels.dtype}' if isinstance(pixels, Tensor) else item.keys()
        raise ValueError(
            f'expected images (C, H, W) uint8 from the pipeline of the data set, got {got}: leave '
            'the normalisation to the data_preprocessor'
        )
    if pixels.shape[0] == 3 and type(dataset).__name__ not in RGB_DATASETS:
        pixels = pixels.flip(0)
    return NamedImage(_describe(dataset, index), pixels.contiguous())


def _describe(dataset: Any, index: int) -> str:
    label = int(dataset.get_gt_labels()[index])
    classes = (dataset.metainfo or {}).get('classes')
    return f'{index}: {classes[label] if classes else label}'


def pair_up(images: Sequence[NamedImage], size: Sequence[int] | None = None) -> list[Tensor]:
    """Joins images two by two.

    Args:
        images: Own image and partner of each pair in turn.
        size: Height and width to resize and crop to, or one number for both; None keeps them.

    Returns:
        A tensor (2, C, H, W) uint8 of each pair.

    Raises:
        ValueError: If the number is odd, or a pair has two sizes.
    """
    if len(images) % 2 or not images:
        raise ValueError(f'images are mixed in pairs: expected an even number, got {len(images)}')
    pixels = [image.pixels for image in images]
    if size is not None:
        pixels = [_fit(to_pil_image(image), size) for image in pixels]
    pairs = []
    for place in range(0, len(images), 2):
        own, partner = pixels[place : place + 2]
        if own.shape != partner.shape:
            names = [image.name for image in images[place : place + 2]]
            raise ValueError(
                f'images of a pair must have one size, got {tuple(own.shape)} and '
                f'{tuple(partner.shape)} of {names}: resize them (--size of the tools)'
            )
        pairs.append(torch.stack([own, partner]))
    return pairs

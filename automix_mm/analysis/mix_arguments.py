"""What the tools that show mixed samples share: which config, which images."""

from __future__ import annotations

import argparse
import os.path as osp

from mmengine.config import Config
from torch import Tensor

from automix_mm.engine.data_root import set_data_root
from automix_mm.export.images import input_size
from automix_mm.launch import add_trust_argument

from .mix_images import (
    NamedImage,
    build_dataset,
    first_of_classes,
    pair_up,
    read_image,
    read_item,
    require_image,
)
from .style import require_writable

CONFIG_SUFFIXES = ('.py', '.yml', '.yaml', '.json')
"""Of configs that the host reads; those here end in .py."""
SUFFIXES = ('.png', '.svg', '.pdf')
SIZE = 224
"""Height and width of files without a config, in pixels."""


def add_image_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of images, `--size`, `--seed`, `--trust` and `--out`.

    Args:
        parser: The parser to extend.
    """
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument(
        '--images', nargs='+', metavar='FILE', help='own image and partner of one or more pairs'
    )
    images.add_argument(
        '--dataset',
        nargs='?',
        choices=('val', 'train'),
        const='val',
        help="take images of the config's val_dataloader (a bare --dataset) or train_dataloader, "
        'through its pipeline',
    )
    parser.add_argument(
        '--index',
        nargs='+',
        type=int,
        metavar='I',
        help='numbers of own image and partner of one or more pairs in the data set (default: the '
        'first images of its first two classes)',
    )
    parser.add_argument(
        '--data-root', metavar='DIR', help='folder of the data, in place of that of the config'
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of all that is drawn, such as boxes and random crops (default: 0)',
    )
    parser.add_argument(
        '--size',
        nargs='+',
        type=int,
        metavar='PIXELS',
        help='height and width to which the images are resized and cropped, or one number for '
        f"both (default: of files the size of the config's test images, {SIZE} without a config; "
        'of a data set what it delivers)',
    )
    add_trust_argument(parser)
    parser.add_argument('--out', required=True, help='picture to write: .png, .svg or .pdf')


def check_image_arguments(args: argparse.Namespace) -> None:
    """Refuses values out of range, files that are not there and what does not go together.

    Args:
        args: Arguments of :func:`add_image_arguments`, ``config``, ``checkpoint`` (a list) and
            ``lam``.

    Raises:
        ValueError: With what was expected and what to do.
    """
    if not all(0 <= lam <= 1 for lam in args.lam):
        raise ValueError(f'--lam takes weights from 0 to 1, got {args.lam}')
    if args.size is not None and (len(args.size) > 2 or min(args.size) < 1):
        raise ValueError(f'--size takes one or two numbers of at least 1, got {args.size}')
    if osp.splitext(args.out)[1].lower() not in SUFFIXES:
        raise ValueError(f'--out must end in one of {", ".join(SUFFIXES)}, got {args.out}')
    _check_files(args)
    given = args.images or args.index or []
    if len(given) % 2:
        raise ValueError(f'images are mixed in pairs: expected an even number, got {given}')
    if args.index and not args.dataset:
        raise ValueError('--index names images of a data set: it needs --dataset')
    if args.dataset and not args.config:
        raise ValueError('--dataset needs a config')
    require_writable(args.out)


def _check_files(args: argparse.Namespace) -> None:
    if args.config and not args.config.endswith(CONFIG_SUFFIXES):
        raise ValueError(
            f'CONFIG comes first and ends in .py, got {args.config}: name the config before its '
            'checkpoint'
        )
    for path in filter(None, (args.config, *args.checkpoint)):
        if not osp.isfile(path):
            raise ValueError(f'there is no file {path}')
    for path in args.images or ():
        require_image(path)


def read_config(args: argparse.Namespace) -> Config | None:
    """Reads the config, if one is given.

    Args:
        args: Checked arguments.

    Returns:
        The config with the folder of ``--data-root``.

    Raises:
        ValueError: If it cannot be read, it is no config of a classifier, or the folder of its data
            is not there.
    """
    if not args.config:
        return None
    try:
        cfg = Config.fromfile(args.config)
    except Exception as error:  # of a program: any
        reason = str(error).strip().split('\n')[0]
        raise ValueError(
            f'{args.config} cannot be read as a config: {type(error).__name__}: {reason}'
        ) from error
    model = cfg.get('model') or {}
    if 'backbone' not in model or 'head' not in model:
        found = f'its model is of type {model["type"]}' if 'type' in model else 'it has no model'
        raise ValueError(
            f'{args.config} is not the config of a classifier, {found}: expected a model with '
            'backbone and head, such as that of configs/automix/r50_imagenet.py'
        )
    if args.data_root is not None:
        set_data_root(cfg, args.data_root)
    return cfg


def read_pairs(
    args: argparse.Namespace, cfg: Config | None, channels: int = 3
) -> list[tuple[Tensor, tuple[str, str]]]:
    """Reads the images from the files or out of the data set.

    Args:
        args: Checked arguments.
        cfg: The config, if there is one.
        channels: 3 for files in RGB, 1 for grey ones.

    Returns:
        Own image and partner of each pair, (2, C, H, W) uint8, RGB, with their names.

    Raises:
        ValueError: If an image cannot be read.
    """
    images = _read(args, cfg, channels)
    names = [image.name for image in images]
    pairs = pair_up(images, args.size)
    return [(pair, (names[2 * i], names[2 * i + 1])) for i, pair in enumerate(pairs)]


def _read(args: argparse.Namespace, cfg: Config | None, channels: int) -> list[NamedImage]:
    if args.dataset and cfg is not None:
        dataset = build_dataset(cfg, args.dataset)
        indices = args.index or first_of_classes(dataset, 2)
        return [read_item(dataset, index, args.seed) for index in indices]
    size = args.size or (input_size(cfg)[1:] if cfg else [SIZE])
    return [read_image(path, size, channels) for path in args.images]

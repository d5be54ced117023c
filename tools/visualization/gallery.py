"""Writes a page on which a person mixes pairs of images and sees masks, labels and scores.

One file, index.html: it needs no server, loads nothing, and opens from disk in any browser.
"""

from __future__ import annotations

import argparse
import os.path as osp

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.registry import init_default_scope

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.analysis import gallery
from automix_mm.launch import add_trust_argument

SIZE = 224
"""Height and width of the images without a network."""
EXAMPLES = """examples:
  python tools/visualization/gallery.py --images photos --out gallery
  python tools/visualization/gallery.py work_dirs/r50_imagenet/epoch_300.pth \\
      --images photos --mixers AutoMix PuzzleMix CutMix --out gallery
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoints',
        nargs='*',
        metavar='CHECKPOINT',
        help='trained AutoMix networks, with their config in them as a training writes it; each '
        'adds its mix block and its scores (default: none, only mixers of pixels)',
    )
    parser.add_argument('--images', required=True, metavar='DIR', help='folder with the images')
    parser.add_argument(
        '--limit',
        type=int,
        default=6,
        metavar='N',
        help='how many images at most, the first in order of their names; the page grows with the '
        'square (default: 6)',
    )
    parser.add_argument(
        '--mixers',
        nargs='+',
        metavar='NAME',
        help=f'some of {", ".join(gallery.RECIPES)} (default: all; the first two need a '
        'checkpoint)',
    )
    parser.add_argument(
        '--lam',
        nargs='+',
        type=float,
        default=[step / 10 for step in range(11)],
        help='weights of the own image at which the slider stops, each from 0 to 1 '
        '(default: 0 0.1 ... 1)',
    )
    parser.add_argument(
        '--size',
        nargs='+',
        type=int,
        help='height and width in pixels to which the images are resized and cropped, or one '
        f"number for both (default: the test images' of the networks, {SIZE} without one)",
    )
    parser.add_argument(
        '--classes',
        metavar='FILE',
        help='text file with the name of a class in each line, in place of the names in the '
        'checkpoints',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of boxes and noise (default: 0)')
    add_trust_argument(parser)
    parser.add_argument(
        '--out', required=True, metavar='DIR', help='folder in which index.html is written'
    )
    return parser, parser.parse_args()


def check_args(args: argparse.Namespace) -> None:
    """Refuses values out of range."""
    if not all(0 <= lam <= 1 for lam in args.lam):
        raise ValueError(f'--lam takes weights from 0 to 1, got {args.lam}')
    if args.size and (len(args.size) > 2 or min(args.size) < 1):
        raise ValueError(f'--size takes one or two numbers of at least 1, got {args.size}')
    if args.limit < 2:
        raise ValueError(f'--limit must be at least 2, a pair, got {args.limit}')


def read_classes(path: str | None) -> list[str] | None:
    """Reads the names of the classes, one in each line."""
    if path is None:
        return None
    try:
        with open(path, encoding='utf-8') as file:
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'cannot read {path}: {error}') from error


def find_size(given: list[int] | None, networks: list[gallery.GalleryNetwork]) -> tuple[int, int]:
    """Returns height and width of the images."""
    if given:
        return given[0], given[-1]
    sizes = {network.size[1:] for network in networks} or {(SIZE, SIZE)}
    if len(sizes) > 1:
        told = ' and '.join(f'{h} x {w}' for h, w in sorted(sizes))
        raise ValueError(f'the networks take images of {told} pixels: choose with --size')
    return sizes.pop()


def make(args: argparse.Namespace) -> str:
    """Writes the page; returns what there is to say of it."""
    init_default_scope('mmpretrain')
    with gallery.write_page(args.out) as page:
        networks = gallery.read_networks(args.checkpoints, args.trust, read_classes(args.classes))
        size = find_size(args.size, networks)
        channels = networks[0].size[0] if networks else 3
        images, left_out = gallery.read_images(args.images, size, channels, args.limit)
        if left_out:
            print(f'{len(images)} images of {len(images) + left_out}: --limit takes more')
        pixels = torch.stack([image.pixels for image in images])
        makers = gallery.make_makers(args.mixers, pixels, networks)
        lams = sorted(set(args.lam))
        content = gallery.build_content(images, networks, makers, lams, args.seed, print)
        page.write(gallery.page_html(content.data))
    return (
        f'Written {osp.join(args.out, "index.html")}: {content.images} images, {content.pairs} '
        f'pairs, {content.mixers} mixers, {page.size / 1e6:.1f} MB'
    )


def main() -> None:
    """Makes the page."""
    parser, args = parse_args()
    try:
        check_args(args)
        print(make(args))
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


if __name__ == '__main__':
    main()

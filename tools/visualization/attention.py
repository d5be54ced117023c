"""Draws how a mix block comes to its mask: similarity of a position of a to all of b, and content.

The similarity's row of a position tells from which places the block takes the content that decides
whether image a shows there.
"""

from __future__ import annotations

import argparse
import os.path as osp

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from mmengine.registry import init_default_scope

from automix_mm.analysis.attention import Attention, attend_from, draw_attention
from automix_mm.analysis.mix_arguments import (
    add_image_arguments,
    check_image_arguments,
    read_config,
    read_pairs,
)
from automix_mm.analysis.mix_network import load_network
from automix_mm.models import MixBlock

EXAMPLES = """example:
  python tools/visualization/attention.py configs/automix/r50_imagenet.py CHECKPOINT \\
      --images cat.jpg dog.jpg --at 0.5 0.4 --at 0.1 0.9 --lam 0.3 0.7 --out attention.png
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='an AutoMix config')
    parser.add_argument('checkpoint', nargs=1, help='its trained weights')
    parser.add_argument(
        '--at',
        nargs=2,
        action='append',
        metavar=('X', 'Y'),
        help='a position of image a from its top left corner, in pixels of the shown image (12 30) '
        'or, with a decimal point, as parts of width and height (0.5 0.25); may be given several '
        'times (default: 0.5 0.5)',
    )
    parser.add_argument(
        '--lam',
        nargs='+',
        type=float,
        default=[0.1, 0.5, 0.9],
        help='weights of the own image, each from 0 to 1 (default: 0.1 0.5 0.9)',
    )
    add_image_arguments(parser)
    return parser, parser.parse_args()


def find_pixel(given: list[str], width: int, height: int) -> tuple[int, int]:
    """Returns the pixel (x, y) of a position.

    Args:
        given: Two whole numbers of pixels, or two parts from 0 to 1.
        width: Of the image, in pixels.
        height: Of the image, in pixels.

    Raises:
        ValueError: If it is neither, or outside the image.
    """
    try:
        if not any('.' in text for text in given):
            x, y = (int(text) for text in given)
        else:
            parts = [float(text) for text in given]
            if not all(0 <= part <= 1 for part in parts):
                raise ValueError
            x, y = (
                min(int(part * side), side - 1)
                for part, side in zip(parts, (width, height), strict=True)
            )
    except ValueError as error:
        raise ValueError(
            f'--at takes two whole numbers of pixels or two parts from 0.0 to 1.0, got {given}'
        ) from error
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f'--at {x} {y} is outside an image of {width} x {height} pixels')
    return x, y


def describe(args: argparse.Namespace, block: MixBlock, names: tuple[str, str]) -> str:
    """Returns the caption."""
    side = 'b' if block.content_from_partner else 'a'
    return '\n'.join(
        [
            f'a: {names[0]}, b: {names[1]}. Row: weights with which the position takes the content '
            f'of {side} at the same places; their sum, through a sigmoid, is the mask there.',
            'Even: every cell has the same weight. Spread: exponential of the entropy.',
            f'Network: {osp.basename(args.config)}, {osp.basename(args.checkpoint[0])}, feature '
            f'stage {block.feature_stage}.',
        ]
    )


def report(seen: list[Attention], positions: list[tuple[int, int]]) -> None:
    """Prints the figures."""
    for one in seen:
        low, high = one.content.min(), one.content.max()
        print(f'lam {one.lam:g}: mask {one.mask.mean():.3f}, content {low:.2f} to {high:.2f}')
        for place, peak, spread in zip(positions, one.peaks, one.spreads, strict=True):
            told = f'peak {peak:.2f} x even, spread over {spread:.1f} of {one.content.size} cells'
            print(f'  row of {place}: {told}, mask there {one.mask[place[1], place[0]]:.3f}')


def main() -> None:
    """Looks and draws."""
    parser, args = parse_args()
    try:
        print(draw(args))
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


def draw(args: argparse.Namespace) -> str:
    """Draws the picture and prints the figures; returns the picture's path."""
    check_image_arguments(args)
    if len(args.images or args.index or [0, 0]) != 2:
        raise ValueError('a picture shows one pair: give two images')
    cfg = read_config(args)
    init_default_scope('mmpretrain')
    network = load_network(cfg, args.config, args.checkpoint[0], trust=args.trust, seed=args.seed)
    ((pair, names),) = read_pairs(args, cfg, network.channels)
    height, width = pair.shape[2:]
    positions = [find_pixel(given, width, height) for given in args.at or [['0.5', '0.5']]]
    seen = attend_from(network, pair, args.lam, positions)
    report(seen, positions)
    caption = describe(args, network.classifier.mixer, names)
    return draw_attention(pair.permute(0, 2, 3, 1).numpy(), positions, seen, args.out, caption)


if __name__ == '__main__':
    main()

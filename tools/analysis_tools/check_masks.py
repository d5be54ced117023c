"""Tells whether masks follow lam and the objects: figures over many pairs of unseen images."""

import argparse
import json
import os.path as osp

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from automix_mm.analysis.box_images import read_box_images
from automix_mm.analysis.mask_figures import (
    border_and_inner,
    follow_lam,
    inside_and_outside,
    look,
    look_reflected,
    paint,
)
from automix_mm.analysis.mix_images import build_dataset, pair_up, read_item
from automix_mm.analysis.mix_network import Network, load_network
from automix_mm.engine.data_root import set_data_root
from automix_mm.export.images import input_size
from automix_mm.launch import add_trust_argument
from automix_mm.models import MixBlock

EXAMPLES = """examples:
  python tools/analysis_tools/check_masks.py configs/automix/r50_imagenet.py \\
      work_dirs/r50_imagenet/epoch_300.pth
  python tools/analysis_tools/check_masks.py configs/automix/r50_imagenet.py \\
      work_dirs/r50_imagenet/epoch_300.pth \\
      --boxes data/coco/annotations/instances_val2017.json --box-images data/coco/val2017
"""
#: Pairs that go through the network at once.
BATCH = 25
LAM = 0.5
"""lam at which border and objects are looked at."""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='the AutoMix config of the checkpoint')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--pairs', type=int, default=100, metavar='N', help='pairs of images (default: 100)'
    )
    parser.add_argument(
        '--lam',
        nargs='+',
        type=float,
        default=[0.1, 0.3, 0.5, 0.7, 0.9],
        metavar='LAM',
        help='weights of the own image, from 0 to 1 (default: 0.1 0.3 0.5 0.7 0.9)',
    )
    parser.add_argument(
        '--data-root', metavar='DIR', help='folder of the data, in place of that of the config'
    )
    parser.add_argument(
        '--boxes',
        metavar='JSON',
        help='annotations with boxes as COCO has them: compares masks inside and outside the boxes '
        '(default: not compared)',
    )
    parser.add_argument('--box-images', metavar='DIR', help='folder of the images of --boxes')
    parser.add_argument('--seed', type=int, default=0, help='seed of the pairs (default: 0)')
    add_trust_argument(parser)
    return parser, parser.parse_args()


def check(args: argparse.Namespace) -> None:
    """Checks the arguments.

    Raises:
        ValueError: With what was expected and what to do.
    """
    if args.pairs < 2:
        raise ValueError(f'--pairs takes a number of at least 2, got {args.pairs}')
    if len(args.lam) < 2 or not all(0 <= lam <= 1 for lam in args.lam):
        raise ValueError(f'--lam takes two or more weights from 0 to 1, got {args.lam}')
    if (args.boxes is None) != (args.box_images is None):
        raise ValueError('--boxes and --box-images go together')
    for path in (args.config, args.checkpoint):
        if not osp.isfile(path):
            raise ValueError(f'there is no file {path}')


def read_pairs(cfg: Config, num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Takes pairs of different images out of the validation set, (N, C, H, W) uint8 each."""
    dataset = build_dataset(cfg, 'val')
    if len(dataset) < 2 * num:
        raise ValueError(f'{num} pairs need {2 * num} images, the data set has {len(dataset)}')
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    images = [read_item(dataset, int(index), seed) for index in order[: 2 * num]]
    pairs = torch.stack(pair_up(images, input_size(cfg)[1:]))  # (N, 2, C, H, W)
    return pairs[:, 0], pairs[:, 1]


def judge_pairs(
    network: Network, images: tuple[Tensor, Tensor], lams: list[float]
) -> dict[str, dict]:
    """Returns how masks follow lam, and what is different at their border."""
    size = (images[0].shape[2], images[0].shape[3])
    masks: list[list[Tensor]] = [[] for _ in lams]
    borders: dict[str, list[dict]] = dict(border=[], border_if_reflected=[])
    for batch in zip(*(part.split(BATCH) for part in images), strict=True):
        seen = [look(network, part) for part in batch]
        for lam, painted in zip(lams, masks, strict=True):
            painted.append(paint(network, *seen, lam, size).mask)
        borders['border'].append(border_and_inner(paint(network, *seen, LAM, size)))
        seen = [look_reflected(network, part, seen[0].shape[2:]) for part in batch]
        borders['border_if_reflected'].append(border_and_inner(paint(network, *seen, LAM, size)))
    weights = torch.tensor([len(part) for part in images[0].split(BATCH)], dtype=torch.float64)
    found = dict(follows_lam=follow_lam([torch.cat(painted) for painted in masks], lams))
    for name, parts in borders.items():
        found[name] = {key: average([part[key] for part in parts], weights) for key in parts[0]}
    return found


def average(rows: list[list[float]], weights: Tensor) -> list[float]:
    """Returns the weighted mean of rows."""
    return (weights @ torch.tensor(rows, dtype=torch.float64) / weights.sum()).tolist()


def judge_objects(network: Network, images: Tensor, boxes: Tensor) -> dict[str, dict]:
    """Compares masks inside and outside boxes: of the own image, of the partner, of neither.

    Args:
        network: Network with a mix block.
        images: Images (N, C, H, W), uint8; each is mixed with the next.
        boxes: Pixels inside their boxes, (N, H, W), bool.
    """
    size = (images.shape[2], images.shape[3])
    seen = torch.cat([look(network, part) for part in images.split(BATCH)])
    pairs = zip(seen.split(BATCH), seen.roll(-1, 0).split(BATCH), strict=True)
    masks = torch.cat([paint(network, *pair, LAM, size).mask for pair in pairs])
    return dict(
        own=inside_and_outside(masks, boxes),
        partner=inside_and_outside(masks, boxes.roll(-1, 0)),
        neither=inside_and_outside(masks, boxes.roll(-2, 0)),
    )


def measure(args: argparse.Namespace) -> dict[str, dict]:
    """Paints the masks and returns the figures."""
    check(args)
    cfg = Config.fromfile(args.config)
    init_default_scope('mmpretrain')
    if args.data_root is not None:
        set_data_root(cfg, args.data_root)
    network = load_network(cfg, args.config, args.checkpoint, trust=args.trust)
    if not isinstance(network.classifier.mixer, MixBlock):
        raise ValueError(f'{args.config} has no mix block')
    found = judge_pairs(network, read_pairs(cfg, args.pairs, args.seed), args.lam)
    if args.boxes:
        size = input_size(cfg)[1:]
        chosen = (size, args.pairs, args.seed, network.channels)
        images, boxes = read_box_images(args.boxes, args.box_images, *chosen)
        found['objects'] = judge_objects(network, images, boxes)
    return found


def numbers(value: float | list[float] | dict[str, float]) -> list[float]:
    """Returns the numbers of a figure."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def main() -> None:
    """Prints the figures, as JSON in the last line."""
    parser, args = parse_args()
    try:
        found = measure(args)
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')
    for part, figures in found.items():
        print(part)
        for name, value in figures.items():
            print(f'{name:>14}' + ''.join(f'{number:9.3f}' for number in numbers(value)))
    print(json.dumps(dict(found, pairs=args.pairs, checkpoint=args.checkpoint)))


if __name__ == '__main__':
    main()

"""Draws what mixers make of two images, for several lam, with the label weights below."""

from __future__ import annotations

import argparse
import os.path as osp
from typing import Any

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS as HOST_MODELS
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.analysis.mix_grid import MixGrid, MixRow, Network, draw_mix_grid, mix_pair
from automix_mm.batch_augments import BatchAugment
from automix_mm.engine.reader import read_checkpoint
from automix_mm.launch import add_trust_argument
from automix_mm.mixing import Mixer
from automix_mm.models import MomentumClassifier
from automix_mm.registry import MODELS

PIXEL_MIXERS = ('Mixup', 'CutMix', 'ResizeMix', 'FMix', 'SaliencyMix')
#: Names under which the paper's tables have a mixer, where its class has another.
ALIASES = {'automix': 'MixBlock'}
SUFFIXES = ('.png', '.svg', '.pdf')
EXAMPLES = """examples:
  python tools/visualization/show_mix.py --images cat.jpg dog.jpg --out mix.png
  python tools/visualization/show_mix.py configs/automix/r50_imagenet.py CHECKPOINT \\
      --images cat.jpg dog.jpg --mixers AutoMix PuzzleMix CutMix --lam 0.3 0.5 0.7 --out mix.png
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'config', nargs='?', help='config whose mixer is shown; PuzzleMix and AutoMix need one'
    )
    parser.add_argument('checkpoint', nargs='?', help='its trained weights')
    parser.add_argument(
        '--images', nargs=2, required=True, metavar=('A', 'B'), help='own image and partner, files'
    )
    parser.add_argument(
        '--mixers',
        nargs='+',
        metavar='NAME',
        help='mixers, with the fields of the config where it has them, else with their defaults '
        f"(default: the config's mixer; without a config {' '.join(PIXEL_MIXERS)})",
    )
    parser.add_argument(
        '--lam',
        nargs='+',
        type=float,
        default=[0.1, 0.3, 0.5, 0.7, 0.9],
        help='weights of the own image, each from 0 to 1 (default: 0.1 0.3 0.5 0.7 0.9)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of places, masks and grids (default: 0)'
    )
    parser.add_argument(
        '--size',
        nargs='+',
        type=int,
        default=[224],
        help='height and width in pixels to which the images are resized and cropped, or one '
        'number for both; best that of the training (default: 224)',
    )
    add_trust_argument(parser)
    parser.add_argument('--out', required=True, help='picture to write: .png, .svg or .pdf')
    return parser, parser.parse_args()


def check_args(args: argparse.Namespace) -> None:
    """Refuses values out of range and files that are not there."""
    if not all(0 <= lam <= 1 for lam in args.lam):
        raise ValueError(f'--lam takes weights from 0 to 1, got {args.lam}')
    if len(args.size) > 2 or min(args.size) < 1:
        raise ValueError(f'--size takes one or two numbers of at least 1, got {args.size}')
    if osp.splitext(args.out)[1].lower() not in SUFFIXES:
        raise ValueError(f'--out must end in one of {", ".join(SUFFIXES)}, got {args.out}')
    for path in (args.config, args.checkpoint):
        if path is not None and not osp.isfile(path):
            raise ValueError(f'there is no file {path}')


def read_image(path: str, size: list[int], channels: int) -> Tensor:
    """Reads an image, upright, resized and centre-cropped: (C, H, W), uint8, RGB or grey."""
    if not osp.isfile(path):
        raise ValueError(f'there is no image {path}')
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert('L' if channels == 1 else 'RGB')
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    return pil_to_tensor(ImageOps.fit(image, (size[-1], size[0])))


def find_mixers(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the fields of each of this project's mixers in a model's config, by name."""
    augments = (model.get('train_cfg') or {}).get('augments') or []
    augments = [augments] if isinstance(augments, dict) else list(augments)
    found = [model['mixer']] if 'mixer' in model else augments
    fields = {}
    for part in found:
        scope, _, name = part['type'].rpartition('.')
        if scope == 'automix_mm':
            fields[name] = {key: value for key, value in part.items() if key != 'type'}
    return fields


def find_name(given: str) -> str:
    """Returns the registered name of a mixer, whatever the case of its letters.

    Raises:
        ValueError: If there is no such mixer.
    """
    known = {n.lower(): n for n, c in MODELS.module_dict.items() if issubclass(c, Mixer)} | ALIASES
    if given.lower() not in known:
        names = ', '.join(sorted(set(known.values())))
        raise ValueError(f'there is no mixer {given}; choose from {names}')
    return known[given.lower()]


def load_network(cfg: Config, args: argparse.Namespace) -> Network:
    """Builds the config's classifier and loads the checkpoint, if there is one.

    Raises:
        ValueError: If the config is of another classifier, or the checkpoint of another model.
    """
    torch.manual_seed(args.seed)
    model = HOST_MODELS.build(dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor')))
    if not isinstance(model, MomentumClassifier):
        raise ValueError(
            f'PuzzleMix and AutoMix look at images through an automix_mm.MomentumClassifier, but '
            f'{args.config} has an {cfg.model.type}: give a config such as '
            'configs/puzzlemix/puzzlemix_r50_imagenet.py, into which its checkpoint loads, too'
        )
    if args.checkpoint:
        load_weights(model, args)
    return Network(model)


def load_weights(model: MomentumClassifier, args: argparse.Namespace) -> None:
    """Loads the checkpoint; buffers such as counters may be missing, parameters may not."""
    file = read_checkpoint(args.checkpoint, trust=args.trust)
    try:
        result = model.load_state_dict(file.get('state_dict', file), strict=False)
    except (RuntimeError, TypeError) as error:
        lines = str(error).splitlines()[:3]
        raise ValueError(f'{args.checkpoint} does not fit {args.config}: {lines}') from error
    parameters = {name for name, _ in model.named_parameters()}
    missing = [name for name in result.missing_keys if name in parameters]
    if missing or result.unexpected_keys:
        raise ValueError(
            f'{args.checkpoint} is of another model than {args.config}: it lacks '
            f'{len(missing)} parameters {missing[:2]} and has {len(result.unexpected_keys)} '
            f'others {result.unexpected_keys[:2]}'
        )


def build_mixer(
    name: str, fields: dict[str, dict[str, Any]], network: Network | None
) -> tuple[Mixer, str]:
    """Builds a mixer, or takes that of the network; returns it with its title.

    Raises:
        ValueError: If it needs a network and there is none.
    """
    cls = MODELS.module_dict[name]
    if issubclass(cls, BatchAugment):
        return cls(**fields.get(name, {})), name
    if name == 'ManifoldMix':  # hidden maps have no picture
        shown = dict(fields.get(name, {}), layers=('input',))
        return cls(**shown), 'ManifoldMix\n(input layer)'
    if network is None or (name == 'MixBlock' and name not in fields):
        what = 'its block is' if name == 'MixBlock' else 'it looks at images through'
        raise ValueError(
            f'{name} needs the CONFIG and CHECKPOINT of a model of its own: {what} a trained '
            'network'
        )
    if name in fields:
        return network.classifier.mixer, 'AutoMix' if name == 'MixBlock' else name
    std = getattr(network.classifier.data_preprocessor, 'std', torch.ones(1))
    return cls(std=std.flatten().tolist()), name


def describe(args: argparse.Namespace, looks: bool) -> str:
    """Returns the caption."""
    names = [osp.basename(path) for path in args.images]
    lines = [f'a: {names[0]}, b: {names[1]}. Below each image: what the labels get.']
    if looks and args.checkpoint:
        lines.append(f'Network: {osp.basename(args.config)}, {osp.basename(args.checkpoint)}.')
    elif looks:
        lines.append(f'Network: {osp.basename(args.config)}, UNTRAINED: no checkpoint was given.')
    return '\n'.join(lines)


def main() -> None:
    """Mixes and draws."""
    parser, args = parse_args()
    try:
        check_args(args)
        print(draw(args))
    except ValueError as error:
        parser.error(str(error))


def draw(args: argparse.Namespace) -> str:
    """Draws the picture and prints the label weights; returns the picture's path."""
    cfg = Config.fromfile(args.config) if args.config else None
    init_default_scope('mmpretrain')
    fields = find_mixers(cfg.model) if cfg else {}
    names = [find_name(name) for name in args.mixers or fields or PIXEL_MIXERS]
    looking = {'PuzzleMix', 'MixBlock'} & set(names)
    network = load_network(cfg, args) if cfg and looking else None
    channels = network.channels if network else 3
    images = torch.stack([read_image(path, args.size, channels) for path in args.images])
    rows = []
    for name in names:
        mixer, title = build_mixer(name, fields, network)
        through = network if name in looking else None
        mixed, weights, drawn = mix_pair(mixer.eval(), images, args.lam, args.seed, through)
        blocks = getattr(drawn, 'grid', None)
        title += f'\n({blocks}x{blocks} blocks)' if blocks else ''
        rows.append(MixRow(title, mixed, weights))
        told = ', '.join(f'{lam:g} -> {w:.3f}' for lam, w in zip(args.lam, weights, strict=True))
        print(f'{name}: lam -> label weight of a: {told}')
    own, partner = images.permute(0, 2, 3, 1).numpy()
    caption = describe(args, network is not None)
    print(caption)
    return draw_mix_grid(MixGrid(own, partner, args.lam, rows), args.out, caption)


if __name__ == '__main__':
    main()

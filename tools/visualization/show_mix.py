"""Draws what mixers make of pairs of images: masks and mixes for several lam, label weights."""

from __future__ import annotations

import argparse
import os.path as osp
from collections.abc import Iterable, Iterator
from typing import Any

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from mmengine.config import Config
from mmengine.registry import init_default_scope

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.analysis.mix_arguments import (
    add_image_arguments,
    check_image_arguments,
    read_config,
    read_pairs,
)
from automix_mm.analysis.mix_drawing import draw_mix_grid
from automix_mm.analysis.mix_grid import MixRow, looks, mix_grid, shown_mixer
from automix_mm.analysis.mix_network import Network, load_network
from automix_mm.mixing import Mixer
from automix_mm.registry import MODELS

PIXEL_MIXERS = ('Mixup', 'CutMix', 'ResizeMix', 'FMix', 'SaliencyMix')
#: Names under which the paper's tables have a mixer, where its class has another.
PAPER_NAMES = {'MixBlock': 'AutoMix'}
EXAMPLES = """examples:
  python tools/visualization/show_mix.py --images cat.jpg dog.jpg --out mix.png
  python tools/visualization/show_mix.py configs/automix/r50_imagenet.py CHECKPOINT \\
      --images cat.jpg dog.jpg --mixers AutoMix PuzzleMix CutMix --lam 0.3 0.5 0.7 --out mix.png
  python tools/visualization/show_mix.py configs/automix/r18_cifar100.py EPOCH_L1 EPOCH_L2 EPOCH_L3 \\
      --dataset --index 0 1 2 3 --stages 1 2 3 --out stages.png
"""  # noqa: E501


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
    parser.add_argument(
        'checkpoint', nargs='*', help='its trained weights; with --stages those of each stage'
    )
    add_image_arguments(parser)
    parser.add_argument(
        '--mixers',
        nargs='+',
        metavar='NAME',
        help='mixers, with the fields of the config where it has them, else with their defaults '
        f"(default: the config's mixer; without a config {' '.join(PIXEL_MIXERS)})",
    )
    parser.add_argument(
        '--stages',
        nargs='+',
        metavar='STAGE',
        help='a row of AutoMix for each of these feature stages: stem, 0 to 3 or names of modules '
        '(default: the stage of the config). A mix block is trained for one stage, so each needs '
        'a checkpoint of its own, in the same order',
    )
    parser.add_argument(
        '--lam',
        nargs='+',
        type=float,
        default=[0.1, 0.3, 0.5, 0.7, 0.9],
        help='weights of the own image, each from 0 to 1 (default: 0.1 0.3 0.5 0.7 0.9)',
    )
    return parser, parser.parse_args()


def check_args(args: argparse.Namespace) -> None:
    """Refuses values out of range and what does not go together."""
    check_image_arguments(args)
    if args.stages and not args.config:
        raise ValueError('--stages needs a config')
    stages = len(args.stages or ' ')
    if len(args.checkpoint) not in (0, stages):
        raise ValueError(
            f'got {len(args.checkpoint)} checkpoint(s) for {stages} feature stage(s): a mix block '
            'is trained for one stage, so that --stages takes a checkpoint for each of them, in '
            'the same order'
        )


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
    known = {
        n: PAPER_NAMES.get(n, n) for n, c in MODELS.module_dict.items() if issubclass(c, Mixer)
    }
    for name, shown in known.items():
        if given.lower() in (name.lower(), shown.lower()):
            return name
    names = ', '.join(sorted(known.values()))
    raise ValueError(f'there is no mixer {given}; choose from {names}')


def check_mixers(
    args: argparse.Namespace, given: dict[str, str], fields: dict[str, dict[str, Any]]
) -> None:
    """Refuses mixers without what they need, and what none of them would use.

    Args:
        args: The command line.
        given: What the user calls the mixers, by their registered names.
        fields: Of the config's mixers, by name.

    Raises:
        ValueError: With what to give or to leave out.
    """
    looking = [name for name in given if looks(MODELS.module_dict[name])]
    for name in looking:
        if not args.config or name not in (*fields, 'PuzzleMix'):
            what = 'its block is' if name == 'MixBlock' else 'it looks at images through'
            lacks = f'; {args.config} has none' if args.config else ''
            raise ValueError(
                f'{given[name]} needs the CONFIG and CHECKPOINT of a model of its own: {what} a '
                f'trained network{lacks}'
            )
    if args.stages and 'MixBlock' not in given:
        raise ValueError('--stages are feature stages of AutoMix, which is not among the mixers')
    if args.checkpoint and not looking:
        raise ValueError(
            f'the checkpoint {args.checkpoint[0]} would not be read: none of the mixers '
            f'({", ".join(given.values())}) looks through a network. Leave it out, or add AutoMix '
            'or PuzzleMix to --mixers'
        )


def build_mixer(
    name: str, fields: dict[str, dict[str, Any]], network: Network | None
) -> tuple[Mixer, str]:
    """Builds a mixer, or takes that of the network; returns it with its title."""
    cls = MODELS.module_dict[name]
    if network is None:
        return shown_mixer(cls(**fields.get(name, {})).eval())
    if name in fields:
        return shown_mixer(network.classifier.mixer)
    std = getattr(network.classifier.data_preprocessor, 'std', None)
    return shown_mixer(cls(std=1.0 if std is None else std.flatten().tolist()).eval())


def load_networks(args: argparse.Namespace, cfg: Config) -> list[tuple[str, Network]]:
    """Loads what the mixers look through: a network, or one for each of the stages, with titles."""
    stages = [int(name) if name.isdigit() else name for name in args.stages or ()] or [None]
    checkpoints = args.checkpoint or [None] * len(stages)
    return [
        (
            '' if stage is None else f'\nstage {stage}',
            load_network(cfg, args.config, path, stage, args.trust, args.seed),
        )
        for stage, path in zip(stages, checkpoints, strict=True)
    ]


def iter_mixers(
    names: Iterable[str], fields: dict[str, dict[str, Any]], networks: list[tuple[str, Network]]
) -> Iterator[tuple[str, Mixer, Network | None]]:
    """Yields title, mixer and what it looks through; AutoMix once for each network."""
    for name in names:
        through = networks if name == 'MixBlock' else networks[:1]
        pairs: list[tuple[str, Network | None]] = (
            [*through] if looks(MODELS.module_dict[name]) else []
        )
        for stage, network in pairs or [('', None)]:
            mixer, title = build_mixer(name, fields, network)
            yield title + (stage if name == 'MixBlock' else ''), mixer, network


def describe(args: argparse.Namespace, through_network: bool) -> str:
    """Returns the caption."""
    lines = ['Below a mask: its mean. Below a mix: what the labels of a and b get.']
    if through_network and args.checkpoint:
        files = ', '.join(osp.basename(path) for path in args.checkpoint)
        lines.append(f'Network: {osp.basename(args.config)}, {files}.')
    elif through_network:
        lines.append(f'Network: {osp.basename(args.config)}, UNTRAINED: no checkpoint was given.')
    return '\n'.join(lines)


def report(row: MixRow, lams: list[float]) -> None:
    """Prints the figures of a row."""
    told = ', '.join(
        f'{lam:g} -> {weight:.3f} ({mask.mean():.3f})'
        for lam, weight, mask in zip(lams, row.weights, row.masks, strict=True)
    )
    name = row.name.replace('\n', ' ')
    print(f'{name}: lam -> label weight of a (mean of the mask): {told}')


def main() -> None:
    """Mixes and draws."""
    parser, args = parse_args()
    try:
        check_args(args)
        print(draw(args))
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: error: {error}\n')


def draw(args: argparse.Namespace) -> str:
    """Draws the picture and prints the label weights; returns the picture's path."""
    cfg = read_config(args)
    init_default_scope('mmpretrain')
    fields = find_mixers(cfg.model) if cfg else {}
    if cfg and not (args.mixers or fields):
        names = ', '.join(PIXEL_MIXERS)
        print(f'{args.config} has no mixer of automix_mm: shown are {names} with their defaults')
    given = {find_name(name): name for name in args.mixers or fields or PIXEL_MIXERS}
    check_mixers(args, given, fields)
    through_network = any(looks(MODELS.module_dict[name]) for name in given)
    networks = load_networks(args, cfg) if cfg and through_network else []
    mixers = list(iter_mixers(given, fields, networks))
    grids = []
    for pair, (own, partner) in read_pairs(args, cfg, networks[0][1].channels if networks else 3):
        print(f'a: {own}, b: {partner}, {pair.shape[2]} x {pair.shape[3]} pixels')
        grids.append(mix_grid(mixers, pair, args.lam, args.seed, (own, partner)))
        for row in grids[-1].rows:
            report(row, args.lam)
    caption = describe(args, through_network)
    print(caption)
    return draw_mix_grid(grids, args.out, caption)


if __name__ == '__main__':
    main()

"""Trains a model from a config: a classifier or a detector."""

from __future__ import annotations

import argparse

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from mmengine.config import Config

from automix_mm import launch
from automix_mm.detection.pretrained import require_pretrained
from automix_mm.engine.compilation import MODES
from automix_mm.engine.data_root import require_data
from automix_mm.engine.epochs import set_epochs
from automix_mm.engine.reader import CheckpointError
from automix_mm.engine.resume import apply_resume

EXAMPLES = """examples:
  python tools/train.py configs/automix/r18slim_digits.py
  python tools/train.py configs/automix/r18_cifar100.py --epochs 200 --amp bf16
  python tools/train.py configs/automix/r18_cifar100.py --amp bf16 --compile --channels-last
  python tools/train.py configs/automix/r18_cifar100.py --resume      # after an interruption
  tools/dist_train.sh configs/automix/r50_imagenet.py 8               # eight GPUs
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path of the config')
    launch.add_common_arguments(parser)
    parser.add_argument(
        '--compile',
        nargs='?',
        choices=MODES,
        const='default',
        metavar='MODE',
        help='compile encoders and mix block (of a plain classifier the backbone) with '
        f'torch.compile; MODE is one of {", ".join(MODES)}',
    )
    parser.add_argument(
        '--channels-last',
        action='store_true',
        help='lay out weights and images with the channels next to each other',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint; without a path from the newest whole one of the work '
        'dir, or from the start where there is none',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='train without evaluating in between'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the initial learning rate with the total batch size',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start data loader workers anew in each epoch',
    )
    parser.add_argument(
        '--epochs',
        type=int,
        metavar='N',
        help='train for N epochs; every schedule is stretched or shortened with the loop '
        '(default: as many as the config says)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        metavar='N',
        help='seed of weights, data order and all draws (default: that of the config, 0)',
    )
    return parser, parser.parse_args()


def prepare(args: argparse.Namespace) -> tuple[Config, list[str]]:
    """Turns config and arguments into the config of the run and notes for its log."""
    cfg = launch.load_config(args)
    launch.set_switches(cfg, args.amp, args.compile, args.channels_last)
    require_pretrained(cfg)
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    require_data(cfg, loaders[:1] if args.no_validate else loaders[:2])
    notes = []
    if args.seed is not None:
        cfg.randomness = {**cfg.get('randomness', {}), 'seed': args.seed}
    if args.epochs is not None:
        notes += set_epochs(cfg, args.epochs)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config.'
            )
        cfg.auto_scale_lr.enable = True
    launch.set_loader_defaults(cfg, loaders, pin_memory=not args.no_pin_memory)
    for loader in loaders:
        if args.no_persistent_workers and cfg.get(loader):
            cfg[loader].persistent_workers = False
    notes += apply_resume(cfg, args.resume)
    launch.join_processes(cfg)
    return cfg, notes


def main() -> None:
    """Runs the training."""
    parser, args = parse_args()
    try:
        cfg, notes = prepare(args)
    except ValueError as error:
        parser.error(str(error))
    try:
        launch.build_runner(cfg, notes, args.trust).train()
    except CheckpointError as error:
        parser.error(str(error))
    finally:
        launch.leave_processes()


if __name__ == '__main__':
    main()

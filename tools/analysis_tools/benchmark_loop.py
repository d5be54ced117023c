"""Measures what the loop around a training step costs: share of time, readings of tensors."""

import argparse
import json
import sys
import tempfile
import warnings

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from automix_mm import launch
from automix_mm.analysis.loop_cost import TrainingLoop, measure_loop
from automix_mm.analysis.machine import device_name
from automix_mm.analysis.random_images import crop_size
from automix_mm.analysis.step_cost import TrainingStep
from automix_mm.engine.compilation import MODES

NOTES = """Three kinds of iteration take turns, with one model, optimizer and random batch:
  bare   model.train_step alone
  light  the host's Runner with the project's logging hooks, as in configs/
  host   the same with the host's logging hooks
share is 1 - bare / Runner, by the wall clock until the device has finished, so that what a GPU
hides does not count. loop_ms is the processor's time of an iteration whose step returns at once,
and reads how often such an iteration reads a tensor, for which a GPU would be waited for.
Each timing holds one line of the log: configs log every 100 iterations.

example:
  python tools/analysis_tools/benchmark_loop.py configs/automix/r18_cifar100.py \\
      --baseline configs/vanilla/vanilla_r18_cifar100.py --amp bf16 --batch-size 100
"""
ROWS = ('seconds', 'share', 'share_min', 'share_max')
ALONE = ('loop_ms', 'loop_ms_min', 'loop_ms_max', 'reads')


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=NOTES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='training config of a classifier')
    parser.add_argument('--baseline', help='a second config to measure in the same run')
    parser.add_argument(
        '--batch-size', type=int, default=100, help='images per step (default: 100)'
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='pixels (default: those of the crop in the config)',
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='timings of each kind, in turn (default: 5)'
    )
    parser.add_argument(
        '--steps', type=int, default=100, help='iterations per timing (default: 100)'
    )
    parser.add_argument(
        '--history',
        type=int,
        default=50_000,
        help='iterations that the log holds already (default: 50000, the middle of 200 epochs of '
        "CIFAR; the host's hooks grow dearer with it)",
    )
    parser.add_argument(
        '--amp', nargs='?', choices=launch.PRECISIONS, const='fp16', help='mixed precision'
    )
    parser.add_argument(
        '--compile', nargs='?', choices=MODES, const='default', help='mode of torch.compile'
    )
    parser.add_argument(
        '--channels-last', action='store_true', help='memory layout of weights and images'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='changes to the configs'
    )
    args = parser.parse_args()
    if min(args.batch_size, args.repeats, args.steps) < 1 or args.history < 0:
        parser.error('--batch-size, --repeats and --steps must be at least 1, --history 0')
    return parser, args


def measure(path: str, args: argparse.Namespace) -> tuple[dict[str, float], list[int]]:
    """Measures one config; returns figures by name and the shape of the batch."""
    cfg = Config.fromfile(path)
    if args.cfg_options:
        cfg.merge_from_dict(args.cfg_options)
    # Layout and compiler come with hooks; the runner calls them before the first iteration.
    launch.set_switches(cfg, args.amp, args.compile, args.channels_last)
    size = tuple(args.image_size) if args.image_size else crop_size(cfg)
    torch.manual_seed(0)
    step = TrainingStep(cfg, args.batch_size, size, torch.device(get_device()))
    with tempfile.TemporaryDirectory() as folder:
        loop = TrainingLoop(cfg, step, args.steps, folder)
        return measure_loop(loop, args.repeats, args.history), list(step.images.shape)


def show(path: str, figures: dict[str, float]) -> None:
    """Prints the table of one config."""
    print(f'\n{path}\n{"":<14}{"bare":>12}{"light":>12}{"host":>12}')
    for row in (*ROWS, *ALONE):
        cells = [figures.get(f'{kind}_{row}') for kind in ('bare', 'light', 'host')]
        texts = [f'{"" if cell is None else format(cell, ".4f"):>12}' for cell in cells]
        print(f'{row:<14}{"".join(texts)}')


def main() -> int:
    """Measures and prints tables, and JSON as the last line; returns the exit code."""
    parser, args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    result: dict[str, object] = {}
    try:
        for prefix, path in (('', args.config), ('baseline_', args.baseline)):
            if path is None:
                continue
            figures, shape = measure(path, args)
            show(path, figures)
            result |= {f'{prefix}{name}': round(value, 6) for name, value in figures.items()}
            result |= {f'{prefix}config': path, f'{prefix}shape': shape}
    except (ValueError, OSError) as error:
        parser.error(str(error))
    device = torch.device(get_device())
    asked = ('amp', 'compile', 'channels_last', 'repeats', 'steps', 'history')
    facts = {name: getattr(args, name) for name in asked}
    facts |= dict(device=device_name(device), threads=torch.get_num_threads())
    print(json.dumps(result | facts | dict(torch=torch.__version__)))
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Profiles training iterations: a Chrome trace, the dearest operators, the share of each part."""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config, DictAction

from automix_mm import launch
from automix_mm.analysis.machine import default_device, device_name
from automix_mm.analysis.profiling import PARTS
from automix_mm.analysis.profiling_run import Traced, profile_training
from automix_mm.analysis.random_images import use_random_images
from automix_mm.analysis.switches import Switches, apply_switches
from automix_mm.engine.compilation import MODES

TOP = 10
SHARES = '\n'.join(f'  {name:<10} {text}' for name, text in PARTS.items())
NOTES = f"""The training is that of tools/train.py, without validation and checkpoints and with a
silent log; the iterations of the table follow each other, one from the end of the last to its own.
Shares, which sum to 1:
{SHARES}
Backward time belongs to the part whose forward pass made the node. On a CPU each moment counts for
the innermost of these; on a GPU the kernels launched by a part count, and idle time is framework's.
The profiler's own cost per operator makes parts of many small operators look dearer."""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f'{NOTES}\nOpen the trace in chrome://tracing or ui.perfetto.dev.\n\nexample:\n'
        '  python tools/analysis_tools/profile_step.py configs/automix/r18slim_digits.py '
        '--out trace.json',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path of a classification config')
    parser.add_argument('--out', required=True, type=Path, help='file of the trace, .json')
    parser.add_argument('--steps', type=int, default=5, help='iterations to profile (default: 5)')
    parser.add_argument(
        '--warmup', type=int, default=3, help='iterations before, not measured (default: 3)'
    )
    parser.add_argument('--batch-size', type=int, help='images per iteration (default: config)')
    parser.add_argument(
        '--amp',
        nargs='?',
        choices=launch.PRECISIONS,
        const='fp16',
        help='mixed precision (default: float32)',
    )
    parser.add_argument(
        '--compile',
        nargs='?',
        choices=MODES,
        const='default',
        metavar='MODE',
        help='compile with torch.compile',
    )
    parser.add_argument('--channels-last', action='store_true', help='memory layout channels_last')
    parser.add_argument(
        '--random-images',
        type=int,
        metavar='N',
        help='train on N random images in place of the data set; nothing is decoded then',
    )
    parser.add_argument('--data-root', metavar='DIR', help='folder of the data')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes to CONFIG')
    # What load_config reads beyond these.
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser, parser.parse_args()


def prepare(args: argparse.Namespace, folder: str) -> Config:
    """Turns config and arguments into the config of the run."""
    cfg = launch.load_config(args)
    apply_switches(cfg, Switches(args.amp, args.channels_last, args.compile))
    if args.batch_size is not None:
        cfg.train_dataloader.batch_size = args.batch_size
    if args.random_images is not None:
        use_random_images(cfg, args.random_images, folder)
    return cfg


def show(traced: Traced, trace: Path) -> None:
    """Prints the tables, and JSON as the last line."""
    profile = traced.profile
    where = device_name(default_device())
    kind = 'on the GPU' if torch.cuda.is_available() else 'on the CPU'
    print(f'{profile.iterations} iterations on {where}, {torch.get_num_threads()} threads')
    print(f'\n{"operator, own time " + kind:<60}{"ms/iter":>9}{"share":>8}{"calls":>8}')
    for cost in profile.operators[:TOP]:
        seconds = cost.seconds / profile.iterations
        print(
            f'{cost.name[:58]:<60}{1e3 * seconds:9.2f}{seconds / profile.seconds:8.1%}'
            f'{cost.calls / profile.iterations:8.0f}'
        )
    print(f'\n{"part":<12}{"share":>8}{"ms/iter":>10}')
    for name, share in profile.shares.items():
        print(f'{name:<12}{share:8.1%}{1e3 * share * profile.seconds:10.2f}   {PARTS[name]}')
    print(
        f'\nOne iteration: {1e3 * profile.seconds:.2f} ms under the profiler, '
        f'{1e3 * traced.plain_seconds:.2f} ms without it.\nTrace: {trace}'
    )
    shares = {name: round(share, 4) for name, share in profile.shares.items()}
    top = {c.name: round(c.seconds / profile.iterations, 6) for c in profile.operators[:TOP]}
    facts = dict(device=where, threads=torch.get_num_threads(), torch=torch.__version__)
    seconds = dict(seconds=round(profile.seconds, 6), plain_seconds=round(traced.plain_seconds, 6))
    print(json.dumps(dict(shares=shares, operators=top) | seconds | facts))


def main() -> int:
    """Profiles; returns the exit code."""
    parser, args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            cfg = prepare(args, folder)
            traced = profile_training(cfg, args.warmup, args.steps, args.out, folder)
        except (ValueError, OSError) as error:
            parser.error(str(error))
    show(traced, args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Times one call of every mixer: drawing, mixing the images, mixing the labels."""

import argparse
import json
import statistics
import warnings
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.registry import init_default_scope

from automix_mm.analysis.mixer_cost import (
    host_cases,
    load_batch,
    mixer_cases,
    mixer_names,
    saliency_cases,
    time_in_turn,
)

DATA = Path('data/cifar100.npz')
EXAMPLE = """Images are those of --data, by default data/cifar100.npz where it exists and
otherwise the digits that come with scikit-learn. PuzzleMix's figure is the mean
over its grids, ManifoldMix's that over its layers; what mixers see of the network
first is not in their figures, but PuzzleMix's saliency pass is timed apart, beside
a training step of the same ResNet-18.

example:
  python tools/analysis_tools/benchmark_mixers.py --batch 32 --size 224 --mixers Mixup FMix
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--batch', type=int, default=100, help='images per batch (default: 100)')
    parser.add_argument(
        '--size', type=int, default=32, help='height and width of the images (default: 32)'
    )
    parser.add_argument('--device', help='cpu or cuda; by default cuda where there is one')
    parser.add_argument(
        '--repeats', type=int, default=5, help='timings of each, in turn (default: 5)'
    )
    parser.add_argument(
        '--mixers', nargs='+', choices=mixer_names(), metavar='NAME', help='by default all'
    )
    parser.add_argument('--data', help='.npz file of images (see automix_mm.NpzImages)')
    args = parser.parse_args()
    if args.data is None and DATA.is_file():
        args.data = str(DATA)
    return args


@torch.no_grad()
def measure(args: argparse.Namespace, device: torch.device) -> tuple[dict, str]:
    """Times everything; returns milliseconds by name, and a description of the images."""
    batch = load_batch(args.data, args.batch, args.size, device)
    names = args.mixers or mixer_names()
    cases = mixer_cases(names, batch) + host_cases(batch)
    times = time_in_turn(cases, args.repeats, device)
    if 'PuzzleMix' in names:
        with torch.enable_grad():
            times |= time_in_turn(saliency_cases(batch), args.repeats, device)
    return times, batch.source


def main() -> None:
    """Measures and prints a table, and JSON as the last line."""
    args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    times, source = measure(args, device)
    where = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'
    print(f'{args.batch} images ({source}) on {where}, {torch.get_num_threads()} threads')
    print(f'{"milliseconds per call":<26}{"median":>10}{"least":>10}{"most":>10}')
    for name, each in sorted(times.items()):
        print(f'{name:<26}{statistics.median(each):10.3f}{min(each):10.3f}{max(each):10.3f}')
    if 'training step' in times:
        pairs = zip(times['PuzzleMix saliency pass'], times['training step'], strict=True)
        share = statistics.median(look / step for look, step in pairs)
        print(f'The saliency pass takes {share:.2f} of a training step.')
    print(json.dumps({name: round(statistics.median(each), 4) for name, each in times.items()}))


if __name__ == '__main__':
    main()

"""Times training batches of 32x32 images: arrays at once against mmpretrain's pipeline."""

import argparse
import json
import sys
import warnings
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import numpy as np
import torch

from automix_mm.analysis.data_cost import Images, build_cases, measure_rates, summarise
from automix_mm.datasets.npz_images import read_npz

EXAMPLE = """Both sides do the same: random crop with padding 4, random flip, normalisation to
float32. On a GPU the arrays are measured there and in host memory. Without --data
the images are random numbers, which cost the same. The last line is JSON.

example:
  python tools/analysis_tools/benchmark_data.py --data data/cifar100.npz
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data', help='.npz file of 32x32 images (see automix_mm.NpzImages)')
    parser.add_argument(
        '--images', type=int, default=10_000, help='how many to use (default: 10000)'
    )
    parser.add_argument('--batch', type=int, default=100, help='images per batch (default: 100)')
    parser.add_argument(
        '--workers',
        type=int,
        nargs='*',
        default=[0, 2],
        help="worker processes of mmpretrain's pipeline; 0 is always measured (default: 0 2)",
    )
    parser.add_argument('--repeats', type=int, default=5, help='timings of each (default: 5)')
    parser.add_argument('--seconds', type=float, default=1.0, help='length of each (default: 1)')
    parser.add_argument(
        '--device', choices=('cpu', 'cuda'), help='where batches end; by default a GPU if any'
    )
    args = parser.parse_args()
    if min(args.images, args.batch, args.repeats) < 1 or args.seconds <= 0:
        parser.error('--images, --batch, --repeats and --seconds must be above 0')
    if min(args.workers, default=0) < 0:
        parser.error('--workers must be 0 or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda needs a GPU that torch can use')
    return args


def load(path: str | None, count: int) -> Images:
    """Reads images, or draws random ones."""
    if path is None:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        return Images(images, generator.integers(0, 100, count))
    images, labels = read_npz(Path(path).expanduser(), 'train')
    if images.shape[2:] != (32, 32):
        raise ValueError(f'{path}: expected images of 32x32 pixels, got {images.shape[2:]}.')
    return Images(np.ascontiguousarray(images[:count].transpose(0, 2, 3, 1)), labels[:count])


def main() -> int:
    """Measures and prints a table, and JSON as the last line; returns the exit code."""
    args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
    workers = tuple(dict.fromkeys((0, *args.workers)))  # the others are compared with 0
    try:
        cases = build_cases(load(args.data, args.images), args.batch, device, workers)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    result = summarise(measure_rates(cases, args.repeats, args.seconds))
    where = torch.cuda.get_device_name(device) if device.type == 'cuda' else 'CPU'
    print(f'batches of {args.batch} on {where}, {torch.get_num_threads()} threads')
    print(f'{"images per second":<22}{"median":>10}{"least":>10}{"most":>10}{"times":>8}')
    for name, row in result.items():
        print(
            f'{name:<22}{row["median"]:>10.0f}{row["least"]:>10.0f}{row["most"]:>10.0f}'
            f'{row["times_mmpretrain_0"]:>8.1f}'
        )
    setup = dict(batch=args.batch, device=where, threads=torch.get_num_threads())
    print(json.dumps(setup | dict(images_per_second=result)))
    return 0


if __name__ == '__main__':
    sys.exit(main())

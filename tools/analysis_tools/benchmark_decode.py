"""Times training images of ImageNet's size out of JPEG files: decoders, workers, overlap."""

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

from automix_mm.analysis.decode_cost import (
    build_loader,
    consume,
    list_variants,
    measure_steps,
    single_thread,
    turbojpeg_problem,
)
from automix_mm.analysis.photographs import write_photographs

EXAMPLE = """Images are JPEG files made of the photographs that come with scikit-learn, 500x375,
or those below --data, one folder per class. Each is decoded, cropped and resized to
224x224, flipped and packed, in one thread. Then loaders with workers deliver
batches of the first variant to a consumer that takes --load times as many images
per second as one worker delivers: a pause for each batch, as long as a GPU would be
at work. The last line is JSON.

example:
  python tools/analysis_tools/benchmark_decode.py --variants cv2 torchvision_decoder
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data', type=Path, help='folder of JPEG files, one folder per class')
    parser.add_argument(
        '--quality',
        type=int,
        nargs=2,
        metavar=('LOW', 'HIGH'),
        default=[90, 95],
        help='JPEG quality of the photographs (default: 90 95)',
    )
    parser.add_argument('--images', type=int, default=100, help='how many to use (default: 100)')
    parser.add_argument('--variants', nargs='+', metavar='NAME', help='by default all there are')
    parser.add_argument('--repeats', type=int, default=5, help='rounds of all (default: 5)')
    parser.add_argument('--batch', type=int, default=32, help='images per batch (default: 32)')
    parser.add_argument(
        '--workers',
        type=int,
        nargs='*',
        default=[0, 1, 2],
        help='of the loaders (default: 0 1 2); none leaves them out',
    )
    parser.add_argument(
        '--prefetch', type=int, nargs='+', default=[2], help='batches per worker (default: 2)'
    )
    parser.add_argument(
        '--load',
        type=float,
        nargs='+',
        default=[0.5, 0.9, 1.8],
        help='rates of the consumer, in rates of a worker (default: 0.5 0.9 1.8)',
    )
    parser.add_argument(
        '--seconds', type=float, default=5.0, help='length of each stream (default: 5)'
    )
    args = parser.parse_args()
    if min(args.images, args.repeats, args.batch, *args.prefetch) < 1 or args.seconds <= 0:
        parser.error('--images, --repeats, --batch, --prefetch and --seconds must be above 0')
    if min(args.workers, default=0) < 0 or min(args.load) <= 0:
        parser.error('--workers must be 0 or more, --load above 0')
    known = list_variants()
    unknown = [name for name in args.variants or () if name not in known]
    if 'turbojpeg' in unknown:
        parser.error(f'turbojpeg cannot be used here: {turbojpeg_problem()}')
    if unknown:
        parser.error(f'--variants are {", ".join(known)}; got {", ".join(unknown)}')
    return args


def decoding(args: argparse.Namespace, folder: Path) -> dict:
    """Times the steps of each variant and prints them."""
    variants = list_variants()
    chosen = {name: variants[name] for name in args.variants or variants}
    paths = sorted(folder.glob('*/*'))[: args.images]
    found = measure_steps(chosen, paths, args.repeats)
    first = next(iter(found.values()))['images_per_second']
    print(f'{"ms per image":<22}{"decode":>8}{"crop":>8}{"flip":>8}{"pack":>8}', end='')
    print(f'{"images/s":>10}{"times":>7}')
    for name, row in found.items():
        row['times_first'] = row['images_per_second'] / first
        print(f'{name:<22}', end='')
        print(''.join(f'{row[step]:>8.3f}' for step in ('decode', 'crop', 'flip', 'pack')), end='')
        print(f'{row["images_per_second"]:>10.0f}{row["times_first"]:>7.2f}')
    return found


def overlap(args: argparse.Namespace, folder: Path, name: str) -> dict:
    """Streams batches of a variant to consumers of several rates, and prints what arrives."""

    def stream(workers: int, prefetch: int | None, rate: float | None) -> dict[str, float]:
        fields = {} if prefetch is None else dict(prefetch_factor=prefetch)
        loader = build_loader(folder, list_variants()[name], args.batch, workers, **fields)
        return consume(loader, args.batch, args.seconds, rate)  # which ends its workers

    worker = stream(1, args.prefetch[0], None)['images_per_second']
    print(f'\n{name}: one worker delivers {worker:.0f} images/s; batches of {args.batch}')
    print(f'{"workers":>8}{"prefetch":>9}{"wanted":>9}{"images/s":>10}{"waiting":>9}')
    rows = []
    for workers in args.workers:
        for prefetch in args.prefetch if workers else [None]:
            for load in [*args.load, None]:
                rate = None if load is None else load * worker
                row = stream(workers, prefetch, rate)
                rows.append(dict(workers=workers, prefetch=prefetch, wanted=rate) | row)
                wanted = 'all' if rate is None else f'{rate:.0f}'
                print(f'{workers:>8}{prefetch or "-":>9}{wanted:>9}', end='')
                print(f'{row["images_per_second"]:>10.0f}{row["waiting"]:>9.1%}', flush=True)
    return dict(variant=name, worker_images_per_second=worker, streams=rows)


def main() -> int:
    """Measures and prints tables, and JSON as the last line; returns the exit code."""
    warnings.filterwarnings('ignore', category=UserWarning)
    args = parse_args()
    single_thread()
    with tempfile.TemporaryDirectory() as folder:
        root, size = Path(folder), None
        if args.data is not None:
            root = args.data
        else:
            size = write_photographs(root, args.images, quality=tuple(args.quality))
            print(f'{args.images} photographs of 500x375, {size / 1000:.0f} kB each\n')
        if not any(root.glob('*/*')):
            print(f'error: {root} has no files in folders of classes.', file=sys.stderr)
            return 1
        variants = decoding(args, root)
        found = overlap(args, root, next(iter(variants))) if args.workers else None
    setup = dict(batch=args.batch, file_bytes=size, torch=torch.__version__)
    print(json.dumps(setup | dict(variants=variants, overlap=found)))
    return 0


if __name__ == '__main__':
    sys.exit(main())

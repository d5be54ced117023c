"""Says what is missing, corrupt or miscounted in a data set on disk."""

import argparse
import sys

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from automix_mm.datasets.checking import LAYOUTS, problems_of

EXAMPLE = """The exit code is 0 if nothing is wrong, 1 if something is, and 2 for a wrong command.

examples:
  python tools/dataset_tools/check_dataset.py tiny_imagenet data
  python tools/dataset_tools/check_dataset.py cifar100 data/cifar100.npz
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', choices=LAYOUTS, metavar='NAME', help=', '.join(LAYOUTS))
    parser.add_argument(
        'root', metavar='ROOT', help='the folder with the unpacked archive (CIFAR: or .npz file)'
    )
    parser.add_argument('--quick', action='store_true', help='do not decode every image file')
    parser.add_argument('--most', type=int, default=20, help='problems to print (default: 20)')
    args = parser.parse_args()
    if args.most < 1:
        parser.error('--most must be at least 1')
    return args


def main() -> int:
    """Prints the problems; returns the exit code."""
    args = parse_args()
    count = 0
    for problem in problems_of(args.name, args.root, decode=not args.quick):
        count += 1
        if count <= args.most:
            print(f'  {problem}', flush=True)
    if not count:
        print(f'{args.name} in {args.root}: complete')
        return 0
    if count > args.most:
        print(f'  ... and {count - args.most} more')
    print(f'{args.name} in {args.root}: {count} problem{"s" * (count > 1)}. Expected:')
    for line in LAYOUTS[args.name].tree.splitlines():
        print(f'  {line}')
    return 1


if __name__ == '__main__':
    sys.exit(main())

"""Says what is missing, corrupt or miscounted in a data set on disk."""

import argparse
import itertools
import sys

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from automix_mm.datasets.checking import LAYOUTS, problems_of

EXAMPLE = """example:
  python tools/dataset_tools/check_dataset.py tiny_imagenet data

The exit code is 0 if nothing is wrong and 1 otherwise.
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', choices=LAYOUTS, metavar='NAME', help=', '.join(LAYOUTS))
    parser.add_argument('root', metavar='ROOT', help='the data_root of the configs')
    parser.add_argument('--quick', action='store_true', help='do not decode every image file')
    parser.add_argument('--most', type=int, default=20, help='problems to print (default: 20)')
    return parser.parse_args()


def main() -> int:
    """Prints the problems; returns the exit code."""
    args = parse_args()
    problems = problems_of(args.name, args.root, decode=not args.quick)
    shown = list(itertools.islice(problems, args.most))
    for problem in shown:
        print(f'  {problem}')
    more = sum(1 for _ in problems)
    if not shown:
        print(f'{args.name} in {args.root}: complete')
        return 0
    if more:
        print(f'  ... and {more} more')
    print(f'{args.name} in {args.root}: {len(shown) + more} problems. Expected:')
    for line in LAYOUTS[args.name].tree.splitlines():
        print(f'  {line}')
    return 1


if __name__ == '__main__':
    sys.exit(main())

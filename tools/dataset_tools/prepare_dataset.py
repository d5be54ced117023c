"""Gets a data set from its official source: download, checksum, safe unpacking."""

import argparse
import sys
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from automix_mm.datasets.downloading import SOURCES, download
from automix_mm.datasets.unpacking import unpack

EXAMPLE = """A started download goes on where it stopped. An archive that is in ROOT already is
checked and unpacked without a network. The exit code is 0 if all went well and 1 after an error.

ImageNet has no public download: register at https://image-net.org, and let
tools/dataset_tools/check_dataset.py say which layout is expected.

examples:
  python tools/dataset_tools/prepare_dataset.py cifar100 data/cifar100
  python tools/dataset_tools/prepare_dataset.py tiny_imagenet data
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', choices=SOURCES, metavar='NAME', help=', '.join(SOURCES))
    parser.add_argument('root', metavar='ROOT', help='folder for the archive and what is in it')
    parser.add_argument('--delete', action='store_true', help='delete the archive at the end')
    return parser.parse_args()


def main() -> int:
    """Downloads and unpacks; returns the exit code."""
    args = parse_args()
    source, root = SOURCES[args.name], Path(args.root).expanduser()
    try:
        root.mkdir(parents=True, exist_ok=True)
        print(f'Getting {source.url} ...', flush=True)
        archive = download(source, root)
        print(f'Unpacking {archive} ...', flush=True)
        count = unpack(archive, root)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nStopped. Run this again to go on.', file=sys.stderr)
        return 130
    if args.delete:
        archive.unlink()
    print(
        f'{count} files in {root / source.folder}. '
        f'Check them: python tools/dataset_tools/check_dataset.py {args.name} {args.root}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())

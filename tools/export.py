"""Exports one encoder and one head of a checkpoint for another framework."""

from __future__ import annotations

import argparse
import signal
import sys

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from mmengine.registry import init_default_scope

from automix_mm.export import ENCODERS, HEADS, TARGETS, export, read_source
from automix_mm.launch import add_trust_argument

EXAMPLES = """examples:
  python tools/export.py work_dirs/r50_imagenet/epoch_300.pth --to mmdet --out r50_automix.pth
  python tools/export.py CHECKPOINT --to onnx --out model.onnx
  python tools/export.py CHECKPOINT --encoder q --head onehot --to timm --out q_onehot.pth
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoint', help='checkpoint of a training of this project, or of an ImageClassifier'
    )
    parser.add_argument('--to', required=True, choices=sorted(TARGETS), help='target framework')
    parser.add_argument('--out', required=True, help='file to write')
    parser.add_argument(
        '--encoder', choices=ENCODERS, help='encoder (default: the one that the config reports)'
    )
    parser.add_argument(
        '--head', choices=HEADS, help='head (default: the one that the config reports)'
    )
    add_trust_argument(parser)
    return parser, parser.parse_args()


def main() -> None:
    """Reads, writes, compares and prints how to use the file."""
    parser, args = parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # whose default leaves unfinished files behind
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    init_default_scope('mmpretrain')
    try:
        source = read_source(args.checkpoint, args.encoder, args.head, args.trust)
        usage = export(source, args.to, args.out)
    except ValueError as error:
        parser.error(str(error))
    print(f'Wrote {args.out}. To use it:\n{usage}')


if __name__ == '__main__':
    main()

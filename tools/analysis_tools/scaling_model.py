"""Prints how throughput should grow from 1 to 64 GPUs, by the model of docs/scaling.md."""

import argparse

from automix_mm.analysis.scaling import (
    LINKS,
    Cluster,
    Work,
    link_rate,
    markdown,
    scaling_table,
)

EXAMPLE = """example (bytes as benchmark_ddp.py prints them, a step that you have measured):
  python tools/analysis_tools/scaling_model.py --bytes 104000000 --images 32 --step-ms 100 \\
      --inside nvlink4 --between ndr --adapters 8 --overlap 0.2
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--bytes', type=float, required=True, help='bytes all-reduced per step')
    add('--last-bytes', type=float, help='of these, bytes of the last bucket (default: 25 MiB)')
    add('--buckets', type=int, default=1, help='all-reduces per step (default: 1)')
    add('--step-ms', type=float, help='measured step of one GPU, in ms (default: no throughput)')
    add('--images', type=int, default=1, help='images per step and GPU (default: 1)')
    add('--overlap', type=float, default=0.0, help='share of the step that hides it (default: 0)')
    names = f'{", ".join(LINKS)} or GB/s in one direction'
    add('--inside', default='nvlink4', help=f'connection in a node: {names} (default: nvlink4)')
    add('--between', default='ndr', help='connection of nodes, likewise (default: ndr)')
    add('--adapters', type=int, default=1, help='how many of these a node has (default: 1)')
    add('--gpus-per-node', type=int, default=8, help='GPUs of a node (default: 8)')
    add('--reached', type=float, default=1.0, help='share of the nominal rates (default: 1)')
    add('--latency-us', type=float, default=0.0, help='of one hop, in µs (default: 0)')
    add('--target', type=float, default=0.95, help='efficiency to keep, 0 to 1 (default: 0.95)')
    numbers = [1, 2, 4, 8, 16, 32, 64]
    add('--gpus', type=int, nargs='+', default=numbers, help='lines of the table (default: to 64)')
    return parser, parser.parse_args()


def main() -> None:
    """Prints the inputs and the table."""
    parser, args = parse_args()
    last = min(args.bytes, 25 * 2**20) if args.last_bytes is None else args.last_bytes
    work = Work(args.bytes, last, args.overlap, args.images, args.buckets)
    step = None if args.step_ms is None else args.step_ms / 1e3
    try:
        cluster = Cluster(
            inside=link_rate(args.inside),
            between=link_rate(args.between) * args.adapters,
            per_node=args.gpus_per_node,
            reached=args.reached,
            latency=args.latency_us / 1e6,
        )
        rows = scaling_table(args.gpus, work, cluster, step, args.target)
    except ValueError as error:
        parser.error(str(error))
    for option, value in sorted(vars(args).items()):
        print(f'{option:>14} {value}')
    for name in dict.fromkeys((args.inside, args.between)):
        if name in LINKS:
            print(f'{name:>14} {LINKS[name].rate / 1e9:.4g} GB/s ({LINKS[name].source})')
    print()
    print(markdown(rows, args.target))


if __name__ == '__main__':
    main()

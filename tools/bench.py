"""Runs all benchmarks, one after the other, and writes latest.json and latest.md."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch

from automix_mm.analysis.bench_list import list_benchmarks
from automix_mm.analysis.bench_report import (
    Benchmark,
    describe_machine,
    markdown,
    run_benchmark,
)

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example:\n  python tools/bench.py --only step,data',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--only', help='some of the benchmarks, by name, with commas')
    parser.add_argument(
        '--quick', action='store_true', help='tiny settings: whether they run, not how fast'
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'benchmarks', help='folder (default: benchmarks)'
    )
    return parser.parse_args()


def choose(only: str | None) -> list[Benchmark]:
    """Returns the benchmarks that are asked for.

    Raises:
        SystemExit: If one of them is not known.
    """
    known = {benchmark.name: benchmark for benchmark in list_benchmarks(torch.cuda.is_available())}
    names = list(known) if only is None else [name.strip() for name in only.split(',')]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f'--only expects some of {", ".join(known)}, got {", ".join(unknown)}')
    return [known[name] for name in known if name in names]


def run(benchmarks: Sequence[Benchmark], quick: bool, out: Path) -> list[str]:
    """Runs them, writes both files after each; returns the names of those that failed."""
    report = describe_machine(ROOT) | dict(quick=quick, benchmarks={})
    out.mkdir(parents=True, exist_ok=True)
    for number, benchmark in enumerate(benchmarks, 1):
        print(f'[{number}/{len(benchmarks)}] {benchmark.name} ...', end=' ', flush=True)
        record = run_benchmark(benchmark, ROOT, quick, report['benchmarks'])
        report['benchmarks'][benchmark.name] = record
        print(record['status'], *([f'({record["reason"]})'] if 'reason' in record else []), end='')
        print(f', {record["seconds"]:.0f} s', flush=True)
        (out / 'latest.json').write_text(json.dumps(report, indent=1) + '\n')
        (out / 'latest.md').write_text(markdown(report, benchmarks))
    records = report['benchmarks'].items()
    return [name for name, record in records if record['status'] == 'failed']


def main() -> int:
    """Runs the benchmarks; returns the exit code, 1 if one failed."""
    args = parse_args()
    failed = run(choose(args.only), args.quick, args.out)
    print(f'Written: {args.out / "latest.json"} and {args.out / "latest.md"}')
    if failed:
        print(f'Failed: {", ".join(failed)}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

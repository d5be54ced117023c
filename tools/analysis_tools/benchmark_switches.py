"""Images per second of vanilla, Mixup and AutoMix, one switch after the other added."""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config

from automix_mm.analysis import bench_switches as bench
from automix_mm.analysis.machine import default_device, device_name, now, versions
from automix_mm.analysis.machine_peaks import Peaks, measure_peaks
from automix_mm.analysis.random_images import crop_size
from automix_mm.analysis.switches import LADDER, Switches

METHODS = dict(
    vanilla='configs/vanilla/vanilla_r18_cifar100.py',
    mixup='configs/mixup/mixup_r18_cifar100.py',
    automix='configs/automix/r18_cifar100.py',
)
EXAMPLE = """Whole training steps on one batch of random pixels that lies in the device's memory:
preparation, losses, gradients, optimizer, k's update. Each line of the table adds a
switch to the line above. The methods of a line are timed in turn. Cells that --out
has already are not measured again, so that a table can be made in parts; give
--anew to begin it anew.

Two ceilings, both measured here: arithmetic, that of a large matrix product in the
precision of the line (TF32 for float32 where convolutions may use it), against the
counted operations of a step; and memory, that of a large copy, against the bytes
that the operators of a step read and write, each input and output once. The bytes
are those of the step without compilation and without caches, so that fusion can
push the second share above 100 %. The last line is JSON.

examples:
  python tools/analysis_tools/benchmark_switches.py --out switches.json
  python tools/analysis_tools/benchmark_switches.py --out switches.json --only automix \\
      --switches '+ compile' --minutes 5
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name, path in METHODS.items():
        add(f'--{name}', default=path, metavar='CONFIG', help=f'default: {path}')
    add('--only', help=f'methods, with commas (default: {",".join(METHODS)})')
    add('--switches', help=f'lines, with commas (default: {",".join(LADDER)})')
    add('--batch-size', type=int, default=100, help='images per step (default: 100)')
    add('--steps', type=int, default=10, help='steps per timing (default: 10, one full pass of k)')
    add('--repeats', type=int, default=5, help='timings of each, in turn (default: 5)')
    add('--warmup', type=int, default=12, help='steps before the first timing (default: 12)')
    add('--minutes', type=float, help='begin no further line after so many minutes')
    add('--device', help='cpu or cuda; by default cuda where there is one')
    add('--out', type=Path, help='JSON file of the table, read first where it exists')
    add('--anew', action='store_true', help='do not read --out')
    args = parser.parse_args()
    args.only = _choose(parser, '--only', args.only, list(METHODS))
    args.switches = _choose(parser, '--switches', args.switches, list(LADDER))
    if min(args.batch_size, args.steps, args.repeats, args.warmup) < 1:
        parser.error('--batch-size, --steps, --repeats and --warmup must be at least 1')
    return args


def _choose(
    parser: argparse.ArgumentParser, option: str, given: str | None, choices: list[str]
) -> list[str]:
    names = choices if given is None else [name.strip() for name in given.split(',')]
    unknown = [name for name in names if name not in choices]
    if unknown:
        parser.error(f'{option} expects some of {", ".join(choices)}, got {", ".join(unknown)}')
    return [name for name in choices if name in names]


def start_table(args: argparse.Namespace, setup: bench.Setup) -> dict[str, Any]:
    """Reads the table that is to be completed, or begins one.

    Raises:
        ValueError: If the file was made on another device or with other settings.
    """
    facts: dict[str, Any] = dict(
        device=device_name(setup.device),
        threads=torch.get_num_threads(),
        versions=versions(),
        batch_size=setup.batch_size,
        image_size=list(setup.image_size),
        configs={name: getattr(args, name) for name in METHODS},
    )
    if args.out is None or args.anew or not args.out.is_file():
        return facts | dict(ceilings={}, switches={name: {} for name in LADDER})
    table = json.loads(args.out.read_text())
    changed = [name for name, value in facts.items() if table.get(name) != value]
    if changed:
        raise ValueError(
            f'{args.out} was made with another {", ".join(changed)}: name another file, or give '
            '--anew to begin it anew'
        )
    return table


def save(table: dict[str, Any], path: Path | None) -> None:
    """Writes the table as it is, so that an interruption costs one line."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(table, indent=1) + '\n')


def peaks_of(table: dict[str, Any], switches: Switches, device: torch.device) -> Peaks:
    """Measures the ceilings of a precision once."""
    precision = switches.precision or 'fp32'
    if precision not in table['ceilings']:
        table['ceilings'][precision] = measure_peaks(device, precision)._asdict()
    return Peaks(**table['ceilings'][precision])


def fill(args: argparse.Namespace, setup: bench.Setup, table: dict[str, Any]) -> None:
    """Measures the missing cells, line by line."""
    late = bench.deadline(args.minutes)
    run = now()
    for level in args.switches:
        row = table['switches'][level]
        missing = [name for name in args.only if 'seconds' not in row.get(name, {})]
        if not missing or late():
            continue
        print(f'{level}: {", ".join(missing)} ...', file=sys.stderr, flush=True)
        switches = LADDER[level]
        peaks = peaks_of(table, switches, setup.device)
        paths = {name: getattr(args, name) for name in missing}
        try:
            times = bench.time_methods(paths, switches, setup, late)
        except Exception as error:  # a compiler that is missing must not cost the other lines
            reason = f'{type(error).__name__}: {str(error).splitlines()[0][:200]}'
            row |= {name: dict(reason=reason) for name in missing}
            print(f'{level} failed: {reason}', file=sys.stderr)
        else:
            for name in missing:
                work = bench.count_work(paths[name], switches._replace(compile=None), setup)
                cell = bench.make_cell(times[name], work, peaks, setup)
                row[name] = cell | dict(run=run)
        save(table, args.out)


def main() -> int:
    """Measures and prints the table, and JSON as the last line; returns the exit code."""
    args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    size = crop_size(Config.fromfile(getattr(args, args.only[0])))
    setup = bench.Setup(
        args.batch_size, size, default_device(args.device), args.steps, args.repeats, args.warmup
    )
    try:
        table = start_table(args, setup)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    fill(args, setup, table)
    rows = {level: row for level, row in table['switches'].items() if row}
    print(f'Batches of {setup.batch_size} on {table["device"]}, {table["threads"]} threads\n')
    print(bench.table(rows))
    for precision, peak in table['ceilings'].items():
        print(
            f'\nCeilings, {precision}: {peak["flops"] / 1e12:.3g} TFLOP/s, '
            f'{peak["bytes"] / 1e9:.3g} GB/s'
        )
    failed = [cell for row in rows.values() for cell in row.values() if 'reason' in cell]
    print(json.dumps(table))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())

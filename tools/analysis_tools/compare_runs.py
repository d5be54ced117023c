"""Compare finished trainings: top-1 by the paper's rule and seconds per iteration.

The result of a run is the median top-1 of its last ten validations (paper, 4.1).

Example:
    python tools/analysis_tools/compare_runs.py work_dirs/*
"""

import argparse
import json
import sys
from typing import Any

from automix_mm.analysis.training_log import TrainingLog, last_median, read_log


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Prints a table of finished trainings, and as last line JSON.',
        epilog='The result of a run is the median top-1 of its last ten validations.\n\n'
        'example:\n  python tools/analysis_tools/compare_runs.py work_dirs/*',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='folder of a training')
    return parser.parse_args()


def figures(log: TrainingLog) -> dict[str, Any]:
    """Return what is compared of one training."""
    return dict(
        run=log.name,
        validations=len(log.top1),
        top1_last10_median=round(log.result(), 2),
        top1_last=log.top1[max(log.top1)],
        heads={name: round(last_median(top1, name), 2) for name, top1 in log.heads.items()},
        seconds_per_iteration=round(log.seconds_per_iteration(), 4),
    )


def main() -> int:
    """Print the comparison; runs without a result are named, and make the exit code 1."""
    args = parse_args()
    rows = []
    for work_dir in args.work_dirs:
        try:
            rows.append(figures(read_log(work_dir)))
        except (FileNotFoundError, ValueError) as error:
            print(f'compare_runs.py: {error}', file=sys.stderr)
    print('| run | validations | top-1, last-10 median | every head | seconds per iteration |')
    print('|---|---|---|---|---|')
    for row in rows:
        heads = ', '.join(f'{name} {top1:.2f}' for name, top1 in row['heads'].items())
        print(
            f'| {row["run"]} | {row["validations"]} | {row["top1_last10_median"]:.2f} | {heads} '
            f'| {row["seconds_per_iteration"]:.3f} |'
        )
    print(json.dumps(rows))
    return 0 if len(rows) == len(args.work_dirs) else 1


if __name__ == '__main__':
    sys.exit(main())

"""Trains vanilla, Mixup and AutoMix of one small network and compares them.

The images are the digits that come with scikit-learn: no download, CPU only. It prints a table and
writes accuracy curves and a picture of mixed samples.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from mmengine.runner import Runner
    from rich.console import Console

    from automix_mm import analysis

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
METHODS = {
    'vanilla': 'vanilla/vanilla_r18slim_digits.py',
    'mixup': 'mixup/mixup_r18slim_digits.py',
    'automix': 'automix/r18slim_digits.py',
}
NAMES = {'vanilla': 'vanilla', 'mixup': 'Mixup', 'automix': 'AutoMix'}
FLOORS = {'vanilla': 85.0, 'AutoMix': 85.0}
"""Only a broken build ends below. Mixup is there for comparison."""
COSTS = {'AutoMix': 3.0}
"""An AutoMix step costs about three plain ones."""
LAMS = (0.25, 0.5, 0.75)
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
"""Digits whose first test images are shown mixed."""
EPILOG = """exit code: 0 if all is well, 1 if a run failed or ended below the accuracy that only
a broken build misses, 130 after Ctrl-C.

example:
  python tools/demo.py --seeds 1 --methods vanilla automix --out demo_output
"""
NEXT = 'tools/dist_train.sh configs/automix/r50_imagenet.py 8'


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('demo_output'),
        metavar='DIR',
        help='folder for everything that is written (default: %(default)s)',
    )
    parser.add_argument(
        '--seeds', type=_positive, default=3, metavar='N', help='runs of each method (default: 3)'
    )
    parser.add_argument(
        '--epochs',
        type=_positive,
        metavar='N',
        help='length of each run (default: as in the configs; a shorter run may miss the floor)',
    )
    parser.add_argument(
        '--methods',
        nargs='+',
        choices=METHODS,
        default=list(METHODS),
        help='which methods to train (default: all)',
    )
    parser.add_argument(
        '--workers',
        type=_positive,
        default=_cores(),
        metavar='N',
        help='runs at a time; the results do not depend on it (default: one per core, %(default)s)',
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number from 1, got {text!r}')
    return int(text)


def _cores() -> int:
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def output_to(path: Path) -> Iterator[None]:
    """Sends everything that is printed, C libraries included, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(path, 'w', encoding='utf-8') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)


def make_plans(args: argparse.Namespace) -> list[analysis.Plan]:
    """Lists the runs; the long ones come first, so that the processes end together."""
    from automix_mm.analysis import Plan

    return [
        Plan(
            method=NAMES[method],
            config=str(CONFIGS / METHODS[method]),
            seed=seed,
            epochs=args.epochs,
            work_dir=str(args.out / 'runs' / f'{method}_seed{seed}'),
            finish=paint_digits if (method, seed) == ('automix', 0) else None,
        )
        for method in sorted(set(args.methods), key=list(METHODS).index, reverse=True)
        for seed in range(args.seeds)
    ]


def paint_digits(runner: Runner) -> analysis.MixedSamples:
    """Lets the trained mix block paint masks for test images, in the process of the run."""
    import torch

    from automix_mm.analysis import paint_samples

    first: dict[int, torch.Tensor] = {}
    for item in runner.val_dataloader.dataset:
        first.setdefault(int(item['data_samples'].gt_label), item['inputs'])
    own = torch.stack([first[digit] for digit, _ in PAIRS])
    partner = torch.stack([first[digit] for _, digit in PAIRS])
    return paint_samples(runner.model, own, partner, LAMS)


def train(plans: list[analysis.Plan], workers: int, console: Console) -> list[analysis.RunResult]:
    """Makes all runs and shows how far they are."""
    from automix_mm.analysis import ProgressDisplay, RunResult, run_all

    results: dict[int, RunResult] = {}
    messages = run_all(plans, workers)
    with closing(messages), ProgressDisplay(plans, console, COSTS) as display:
        for index, message in messages:
            display.show(index, message)
            if isinstance(message, RunResult):
                results[index] = message
    return [results[index] for index in range(len(plans))]


def draw(runs: analysis.Runs, out: Path) -> list[str]:
    """Writes the pictures and the numbers; returns a line about each file."""
    from automix_mm.analysis import Curve, draw_curves, draw_mixed_samples

    curves = {
        method: [Curve(result.epochs, result.top1) for result in by_seed.values()]
        for method, by_seed in runs.items()
    }
    seeds = len(next(iter(runs.values())))
    title = f'Handwritten digits, test accuracy, {seeds} run{"s" * (seeds > 1)} each'
    floor = min(FLOORS.values())
    lines = ['curves         ' + draw_curves(curves, str(out / 'accuracy.png'), title, floor=floor)]
    samples = [r.extra for by_seed in runs.values() for r in by_seed.values() if r.extra]
    if samples:
        title = 'Mixes of test images by the trained mix block, beside Mixup of the same pairs'
        path = draw_mixed_samples(samples[0], str(out / 'mixed_samples.png'), title)
        lines.append('mixed samples  ' + path)
    numbers = {
        method: {seed: {**asdict(r), 'extra': None} for seed, r in by_seed.items()}
        for method, by_seed in runs.items()
    }
    (out / 'results.json').write_text(json.dumps(numbers, indent=1), encoding='utf-8')
    return [*lines, f'all numbers    {out / "results.json"}', f'logs           {out / "runs"}']


def report(runs: analysis.Runs, out: Path, console: Console, seconds: float) -> list[str]:
    """Prints what was measured; returns what is wrong with it."""
    from automix_mm.analysis import health_rows, missed_floors, summary_table

    title = 'Top-1 accuracy on 1,497 test images after the last epoch, in percent:'
    console.print('\n' + title, style='bold', highlight=False)
    console.print(summary_table(runs))
    health = health_rows(runs.get('AutoMix', {}))
    if health:
        console.print(
            '\nMix block of AutoMix, last tenth of training: mean [lowest, highest], healthy:',
            style='bold',
            markup=False,
        )
        for row in health:
            console.print('  {:<16} {:>22}  {:<6}  {}'.format(*row), highlight=False, markup=False)
    console.print()
    for line in draw(runs, out):
        console.print('  ' + line, highlight=False, soft_wrap=True)
    minutes, rest = divmod(round(seconds), 60)
    console.print(f'\nThe runs took {minutes} min {rest:02d} s.', highlight=False)
    return missed_floors(runs, FLOORS)


def run(args: argparse.Namespace) -> str:
    """Runs the demo; returns what went wrong, or nothing."""
    # A network this small trains fastest with one thread per run and several runs side by side,
    # and on a CPU whatever the machine has. torch and NumPy read this when they are imported.
    threads = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')
    os.environ.update(dict.fromkeys(threads, '1'), CUDA_VISIBLE_DEVICES='')
    try:
        with output_to(args.out / 'import.log'):
            from rich.console import Console

            from automix_mm.analysis import RunError, group_runs
    except ImportError as error:
        return f'{error}\n`make setup` installs all that the demo needs.'
    console, plans = Console(), make_plans(args)
    start = time.monotonic()
    try:
        results = train(plans, args.workers, console)
    except RunError as error:
        return str(error)
    groups = group_runs(plans, results)
    ordered = {name: groups[name] for name in NAMES.values() if name in groups}
    problems = report(ordered, args.out, console, time.monotonic() - start)
    if problems:
        hint = 'Only a broken build misses a floor' + (' (or a short run).' if args.epochs else '.')
        return '\n'.join(['', *problems, hint])
    console.print(f'\nNext, on a server with eight GPUs and ImageNet in place:\n  {NEXT}')
    return ''


def main() -> NoReturn:
    """Reads the command line and runs the demo."""
    args = parse_args()
    runs = args.seeds * len(set(args.methods))
    args.workers = min(args.workers, runs)
    length = f' of {args.epochs} epochs' if args.epochs else ''
    print(f'{runs} runs{length} on handwritten digits, {args.workers} at a time.\n', flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        problem = run(args)
    except KeyboardInterrupt:
        print('\nStopped; all runs have ended.')
        sys.exit(130)
    sys.exit(problem or 0)


if __name__ == '__main__':
    main()

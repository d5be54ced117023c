"""Plans, runs and collects experiments of the paper, or a sweep of your own."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
from mmengine.config import DictAction
from rich.console import Console

from automix_mm.analysis.reproduction.execution import run_tasks
from automix_mm.analysis.reproduction.experiments import Experiment, choose, load_experiments
from automix_mm.analysis.reproduction.figures import draw_experiment
from automix_mm.analysis.reproduction.locks import holder, stale_owner
from automix_mm.analysis.reproduction.planning import LAUNCHERS, Settings, Task, command, plan
from automix_mm.analysis.reproduction.results import collect, markdown, write_results
from automix_mm.analysis.reproduction.run_display import RunDisplay
from automix_mm.analysis.reproduction.sweep import make_sweep
from automix_mm.analysis.reproduction.timing import Timing, describe_total, read_benchmark

FOLDER = Path(__file__).resolve().parents[1]
"""Where `configs` and `tools` are, in the repository and in an installed package."""

EPILOG = """exit code: 0 the plan is shown, or everything asked for is complete; 1 something
failed or is missing; 2 the command line is wrong; 130 interrupted.

examples:
  python tools/reproduce.py table2                          # what would run, what is there
  python tools/reproduce.py table2 --run --cells 'AutoMix/800 ep'
  python tools/reproduce.py table2 figure4 --collect
  python tools/reproduce.py table2_reduced figure_reduced --run --collect
  python tools/reproduce.py --config mine.py --sweep alpha=0.2,0.5 lr_min=0,1e-3 --run --collect
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('names', nargs='*', metavar='TABLE', help='table1 ... table11, tablea1, figure4, ..., all')
    add('--plan', action='store_true', help='show commands, states and times (default)')
    add('--run', action='store_true', help='train what is missing, go on with what was cut')
    add('--collect', nargs='?', const='', metavar='DIR', help='tables and figures of runs in DIR')
    add('--work-dir', type=Path, help='folder of all runs (default: DIR, else work_dirs)')
    add('--out', type=Path, help='folder for tables and figures (default: WORK_DIR/reproduced)')
    add('--cells', nargs='+', metavar='ROW/COLUMN', help='only these, with * and ? (default: all)')
    add('--seeds', nargs='+', type=int, metavar='N', help='seeds of the runs (default: 0 1 2)')
    add(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='how a training is started (default: none)',
    )
    add('--gpus', type=int, default=1, metavar='N', help='devices of one training (default: 1)')
    add(
        '--epochs', type=int, metavar='N', help='length of every run, at least 10 (default: config)'
    )
    add('--config', type=Path, help='a config of your own instead of tables')
    add('--sweep', nargs='+', default=[], metavar='NAME=V,V', help='alpha, lr_min or a.dotted.name')
    add(
        '--benchmark',
        type=Path,
        metavar='JSON',
        help='step times in seconds of configs without a log: '
        '{"CONFIG": {"seconds_per_iteration": S, "iterations_per_epoch": N}}',
    )
    add('--cfg-options', nargs='+', action=DictAction, help='settings replaced in every run')
    args = parser.parse_args()
    if bool(args.names) == bool(args.config):
        parser.error('expected names of tables, or --config CONFIG, and not both')
    if args.sweep and not args.config:
        parser.error('--sweep needs --config CONFIG')
    if args.collect and args.work_dir:
        parser.error('--collect DIR names the folder of the runs, as --work-dir does: give one')
    if args.collect and not args.run and not Path(args.collect).is_dir():
        parser.error(f'--collect {args.collect}: there is no such folder')
    args.work_dir = args.work_dir or Path(args.collect or 'work_dirs')
    return parser, args


def chosen_experiments(args: argparse.Namespace) -> list[Experiment]:
    """Finds the experiments and keeps the cells that were asked for."""
    seeds = tuple(args.seeds or (0, 1, 2))
    if args.config:
        experiments = [make_sweep(args.config.resolve(), args.sweep, seeds)]
    else:
        experiments = choose(args.names, load_experiments())
    if not args.cells:
        return experiments
    kept = [one.selected(args.cells) for one in experiments]
    if not any(one.cells for one in kept):
        known = '\n  '.join(cell.name for one in experiments for cell in one.cells)
        raise ValueError(f'no cell fits {args.cells}; there are\n  {known}')
    return [one for one in kept if one.cells]


def show_plan(tasks: list[Task], without: list[str], settings: Settings, timing: Timing) -> None:
    """Prints every run with its state, its command and its hours."""
    hours = []
    for task in tasks:
        line = describe(task, settings)
        if task.state.status != 'complete':
            hours.append(timing.hours_left(task.run, task.state))
            words, variables = command(task.run, settings)
            prefix = ''.join(f'{name}={value} ' for name, value in variables.items())
            line += f'; {hours[-1]}\n    {prefix}{shlex.join(words)}'
        print(line)
    for text in without:
        print(f'no training: {text}')
    counts = [task.state.status for task in tasks]
    states = ', '.join(f'{counts.count(one)} {one}' for one in ('complete', 'partial', 'missing'))
    print(f'{len(tasks)} run{"s" * (len(tasks) != 1)}: {states}.')
    if hours:
        print(describe_total(hours))


def describe(task: Task, settings: Settings) -> str:
    """One line about a run."""
    state, work_dir = task.state, task.run.work_dir(settings.root)
    text = f'{state.status:<8} {task.name}: {task.run.epochs} epochs'
    if state.status == 'complete':
        text += f', {state.result:.2f} %'
    elif state.status == 'partial':
        text += f', {state.done} done'
    text += f' ({", ".join(task.cells)})'
    owner, stale = holder(work_dir), stale_owner(work_dir)
    if owner:
        text += f'; in use by {owner}'
    if stale:
        text += f'; stale lock of {stale}'
    return text + (f'; {state.note}' if state.note else '')


def show_results(experiments: list[Experiment], settings: Settings, out: Path) -> bool:
    """Prints and writes tables and figures; returns whether everything is there."""
    whole = True
    for experiment in experiments:
        found = collect(experiment, settings)
        print(markdown(found))
        paths = write_results(found, out)
        if experiment.kind in ('curves', 'sensitivity'):
            paths += draw_experiment(experiment, settings, out)
        print('Written:', ', '.join(map(str, paths)), '\n')
        whole = whole and not found.absent
    return whole


def end(number: int, frame: object) -> None:
    """Turns a polite kill into an exception, so that the training is ended, too."""
    raise KeyboardInterrupt


def main() -> int:
    """Plans, runs and collects; returns the exit code."""
    parser, args = parse_args()
    signal.signal(signal.SIGTERM, end)
    try:
        experiments = chosen_experiments(args)
        seeds, options = tuple(args.seeds or ()), args.cfg_options or {}
        settings = Settings(
            FOLDER, args.work_dir, seeds, args.epochs, options, args.launcher, args.gpus
        )
        benchmark = read_benchmark(args.benchmark) if args.benchmark else None
        tasks, without = plan(experiments, settings)
        for task in tasks:
            command(task.run, settings)  # refuses an impossible number of devices in time
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    if args.plan or not (args.run or args.collect is not None):
        show_plan(tasks, without, settings, Timing(args.work_dir, benchmark))
    complete = True
    if args.run:
        try:
            outcomes = run_tasks(tasks, settings, RunDisplay(tasks, Console()))
        except KeyboardInterrupt:
            print('Interrupted: the training was ended; the same command goes on with it.')
            return 130
        complete = not any(outcome.failure for outcome in outcomes) and not without
        for text in without:
            print(f'no training: {text}')
    if args.collect is not None:
        complete = (
            show_results(experiments, settings, args.out or args.work_dir / 'reproduced')
            and complete
        )
    return 0 if complete else 1


if __name__ == '__main__':
    sys.exit(main())

"""Runs the project's benchmarks one after the other and writes down what they say."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .machine import commit, default_device, device_name, now, processor, versions


class Benchmark(NamedTuple):
    """A program whose last line is JSON.

    Attributes:
        name: What it is called.
        compares: What it says, in a few words.
        script: Its path below the project's root.
        full: Arguments of a real run; '{folder}' in them is an empty folder that goes afterwards.
        quick: Arguments of a trial that takes seconds.
        figures: What of its JSON the table shows: caption and key with a format, see
            :func:`read_figure`.
        minutes: How long it may take.
        missing: Returns why it cannot run here, or None.
        needs: Name of a benchmark that must have run before.
        more: Further arguments, made of the JSON of that one.
        text: Its output ends with a Markdown table, behind a blank line, and not with JSON.
    """

    name: str
    compares: str
    script: str
    full: Sequence[str]
    quick: Sequence[str]
    figures: Mapping[str, tuple[str, str]]
    minutes: float = 15.0
    missing: Callable[[], str | None] = lambda: None
    needs: str | None = None
    more: Callable[[Any], Sequence[str]] = lambda result: []
    text: bool = False


def run_benchmark(
    benchmark: Benchmark, root: Path, quick: bool, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run one benchmark as a process of its own.

    Args:
        benchmark: What to run.
        root: The project's root, where it runs.
        quick: Take the arguments of a trial.
        earlier: What this function returned for the benchmarks before, by name.

    Returns:
        ``status`` ('ok', 'failed' or 'skipped'), ``reason`` where it is not 'ok', ``command``,
        ``seconds`` and ``result``: the JSON, or a dict with the table as ``text``.
    """
    args = list(benchmark.quick if quick else benchmark.full)
    reason = benchmark.missing()
    if benchmark.needs is not None:
        before = (earlier or {}).get(benchmark.needs, {})
        try:
            args += benchmark.more(before.get('result') or {})
        except KeyError as error:
            reason = f'needs {error} of {benchmark.needs}'
    record: dict[str, Any] = dict(command=shlex.join(['python', benchmark.script, *args]))
    if reason is not None:
        return record | dict(status='skipped', reason=reason, seconds=0.0, result=None)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        placed = [arg.replace('{folder}', folder) for arg in args]
        command = [sys.executable, '-W', 'ignore', benchmark.script, *placed]
        result, reason = _finish(command, root, 60 * benchmark.minutes, benchmark.text)
    return record | dict(
        status='ok' if reason is None else 'failed',
        **({} if reason is None else dict(reason=reason)),
        seconds=round(time.perf_counter() - start, 2),
        result=result,
    )


def _finish(command: list[str], root: Path, limit: float, text: bool) -> tuple[Any, str | None]:
    """Run a command; return the JSON of its last line, or its table, and what went wrong."""
    paths = [str(root), os.environ.get('PYTHONPATH', '')]
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(filter(None, paths)))
    try:
        done = subprocess.run(
            command, cwd=root, env=env, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f'not finished after {limit / 60:g} min'
    except OSError as error:
        return None, str(error)
    result = (_last_table if text else _last_json)(done.stdout)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or 'nothing').splitlines()[-1]
        return result, f'exit code {done.returncode}: {said[:300]}'
    return result, None if result is not None else 'its last line is no JSON'


def _last_table(text: str) -> Any:
    return dict(text=text.strip().rpartition('\n\n')[2])


def _last_json(text: str) -> Any:
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return json.loads(lines[-1]) if lines else None
    except ValueError:
        return None


def describe_machine(root: Path) -> dict[str, Any]:
    """Return where and when: machine, device, threads, load, versions, commit and date."""
    device = default_device()
    return dict(
        machine=processor(),
        device=device_name(device) if device.type == 'cuda' else 'CPU',
        threads=torch.get_num_threads(),
        load=round(os.getloadavg()[0], 1),
        versions=versions(),
        commit=commit(root),
        date=now(),
    )


def read_figure(result: Any, key: str, form: str) -> str:
    """Return one figure of a benchmark's JSON as text.

    Args:
        result: The JSON.
        key: Key, with slashes for nesting.
        form: How to write it, such as ``'{:.2f} s'``.
    """
    for name in key.split('/'):
        if not isinstance(result, Mapping) or name not in result:
            return 'not given'
        result = result[name]
    return 'not given' if result is None else form.format(result)


def markdown(report: Mapping[str, Any], benchmarks: Sequence[Benchmark]) -> str:
    """Return the report as a page.

    Args:
        report: What ``latest.json`` holds.
        benchmarks: The benchmarks, whose captions and formats are used.
    """
    facts = {name: report[name] for name in ('machine', 'device', 'threads', 'commit', 'date')}
    facts['load before'] = report['load']
    facts |= report['versions']
    rows = [['Benchmark', 'What', 'Figure', 'Value'], ['---', '---', '---', '---:']]
    for benchmark in benchmarks:
        rows += _rows(benchmark, report['benchmarks'].get(benchmark.name))
    warning = '**A trial with tiny settings: its figures mean nothing.**'
    lines = [
        '# Benchmarks',
        '',
        'Written by `make bench`; `README.md` beside this file says how to read it.',
        *(['', warning] if report['quick'] else []),
        '',
        *_table([['', ''], ['---', '---'], *([name, str(fact)] for name, fact in facts.items())]),
        '',
        *_table(rows),
        *_quotes(report, benchmarks),
        '',
        'Commands:',
        '',
        '```shell',
        *(record['command'] for record in report['benchmarks'].values()),
        '```',
    ]
    return '\n'.join(lines) + '\n'


def _rows(benchmark: Benchmark, record: Mapping[str, Any] | None) -> list[list[str]]:
    if record is None:
        return []
    if record['status'] != 'ok':
        return [[benchmark.name, benchmark.compares, record['status'], record['reason']]]
    if benchmark.text:
        return [[benchmark.name, benchmark.compares, 'below', '']]
    figures = [
        [caption, read_figure(record['result'], key, form)]
        for caption, (key, form) in benchmark.figures.items()
    ]
    names = [[benchmark.name, benchmark.compares], *[['', '']] * (len(figures) - 1)]
    return [name + figure for name, figure in zip(names, figures, strict=True)]


def _quotes(report: Mapping[str, Any], benchmarks: Sequence[Benchmark]) -> list[str]:
    lines = []
    for benchmark in benchmarks:
        record = report['benchmarks'].get(benchmark.name)
        if benchmark.text and record and record['status'] == 'ok':
            table = record['result']['text'].splitlines()
            lines += ['', f'{benchmark.name}: {benchmark.compares}', '', *table]
    return lines


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f'| {" | ".join(cell.replace("|", "/") for cell in row)} |' for row in rows]

"""The paper's experiments, read from one file of data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FILE = Path(__file__).resolve().parents[1] / 'experiments.yml'
"""The data; its head explains the fields."""


class Cell(NamedTuple):
    """One value of a table, or one point or curve of a figure.

    Attributes:
        row: Label of its row, as in the paper.
        column: Label of its column; of a figure, of its panel.
        config: Path of the config below the folder that has ``configs``; None where nothing is
            trained.
        epochs: Length of the run, None for the config's own.
        overrides: Settings that replace those of the config, by dotted name.
        paper: The printed value; None where the paper prints none.
        unavailable: Why there is no config, empty where there is one.
        fields: Everything that the file says about the cell.
    """

    row: str
    column: str
    config: str | None
    epochs: int | None
    overrides: Mapping[str, Any]
    paper: float | None
    unavailable: str
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Row and column, as ``--cells`` takes them."""
        return f'{self.row}/{self.column}'


class Experiment(NamedTuple):
    """A table or a figure.

    Attributes:
        name: Its key, such as ``'table2'``.
        title: What it shows.
        where: Its place in the paper.
        kind: ``'trained'`` or ``'parameters'`` for tables, ``'curves'`` or ``'sensitivity'`` for
            figures.
        cells: Row by row.
        seeds: Seeds of each cell.
        digits: Decimals that the paper prints.
    """

    name: str
    title: str
    where: str
    kind: str
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    digits: int = 2

    @property
    def rows(self) -> list[str]:
        """Labels of the rows, in order."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """Labels of the columns, in order."""
        return list(dict.fromkeys(cell.column for cell in self.cells))

    def cell(self, row: str, column: str) -> Cell | None:
        """Finds a cell, None if it was left out by a selection."""
        found = [one for one in self.cells if (one.row, one.column) == (row, column)]
        return found[0] if found else None

    def selected(self, patterns: Iterable[str]) -> Experiment:
        """Keeps the cells that one of the patterns fits.

        Args:
            patterns: ``ROW/COLUMN``, or ``ROW`` alone, with ``*`` and ``?``; case does not count.
        """

        def fits(cell: Cell) -> bool:
            names = (cell.name.lower(), cell.row.lower())
            return any(fnmatch(name, one.lower()) for one in patterns for name in names)

        return self._replace(cells=tuple(cell for cell in self.cells if fits(cell)))


@cache
def read_file(path: Path = FILE) -> dict[str, Any]:
    """Reads the file as it is.

    Args:
        path: Another file of the same form.

    Raises:
        ValueError: If it has no tables.
    """
    data = yaml.safe_load(path.read_text(encoding='utf-8'))
    if not isinstance(data, dict) or 'tables' not in data:
        raise ValueError(f'{path}: expected a mapping with the key "tables", as in {FILE.name}.')
    return data


def load_experiments(path: Path = FILE) -> dict[str, Experiment]:
    """Builds every table and figure of the file.

    Args:
        path: Another file of the same form.

    Returns:
        Experiments by name, tables first.

    Raises:
        ValueError: If a row has another number of values than there are columns.
    """
    data = read_file(path)
    found = {name: _table(name, spec, data) for name, spec in data['tables'].items()}
    for name, spec in data.get('figures', {}).items():
        found[name] = _figure(name, spec, data, found)
    return found


def choose(names: Iterable[str], known: Mapping[str, Experiment]) -> list[Experiment]:
    """Finds experiments by the names that users give them.

    Args:
        names: Such as ``table2``, ``2``, ``A1``, ``fig4``; ``all`` is everything of the paper.
        known: All experiments.

    Returns:
        The experiments, each once, in the order of ``names``.

    Raises:
        ValueError: If a name is not known.
    """
    chosen: dict[str, Experiment] = {}
    for name in names:
        if name.lower() == 'all':
            chosen |= {key: one for key, one in known.items() if not key.endswith('reduced')}
            continue
        key = re.sub(r'[\s._-]', '', name.lower())
        key = re.sub(r'^(figure|fig)(?=\d)', 'figure', key)
        key = re.sub(r'^(table|tab|)(?=a?\d)', 'table', key)
        keys = [one for one in known if one.replace('_', '') == key]
        if not keys:
            raise ValueError(f'There is no {name}; known are all, {", ".join(known)}.')
        chosen[keys[0]] = known[keys[0]]
    return list(chosen.values())


def _table(name: str, spec: dict[str, Any], data: dict[str, Any]) -> Experiment:
    shared = {key: value for key, value in spec.items() if key not in ('columns', 'rows')}
    base = {**data['defaults'], **shared}
    cells = []
    for row, fields in spec['rows'].items():
        values = fields['paper']
        if len(values) != len(spec['columns']):
            raise ValueError(
                f'{name}, row {row}: expected {len(spec["columns"])} values, got {len(values)}.'
            )
        for (column, own), paper in zip(spec['columns'].items(), values, strict=True):
            cells.append(_cell(row, column, paper, base, own, fields))
    return _experiment(name, base, base.get('computed', 'trained'), cells)


def _figure(
    name: str, spec: dict[str, Any], data: dict[str, Any], tables: dict[str, Experiment]
) -> Experiment:
    base = {**data['defaults'], **spec}
    if 'cells' in spec:
        source = tables[spec['cells']['table']]
        columns = spec['cells'].get('columns', source.columns)
        cells = [cell for cell in source.cells if cell.column in columns]
        base['seeds'] = source.seeds
    else:
        cells = [
            _cell(str(row), panel, fields['paper'], base, {}, fields)
            for panel, rows in spec['panels'].items()
            for row, fields in rows.items()
        ]
    return _experiment(name, base, spec['kind'], cells)


def _experiment(name: str, base: dict[str, Any], kind: str, cells: list[Cell]) -> Experiment:
    seeds, digits = tuple(base['seeds']), base['digits']
    return Experiment(name, base['title'], base['where'], kind, tuple(cells), seeds, digits)


def _cell(row: str, column: str, paper: float | None, base: dict, own: dict, fields: dict) -> Cell:
    merged = {**base, **own, **fields}
    unavailable = merged.get('unavailable', '').format(**merged)
    config = None if unavailable or not merged['config'] else merged['config'].format(**merged)
    overrides = {
        key: value
        for part in (base, own, fields)
        for key, value in part.get('overrides', {}).items()
    }
    return Cell(row, column, config, merged.get('epochs'), overrides, paper, unavailable, merged)

"""NAME.csv, a sweep's rows as a file that anything reads, with three marks that tell its readers
whether it is what was collected:

- quotes: a cell in quotes is text even where it looks like a number (``"01"``);
- ``sweep_done``, the same in each row: how many of the sweep's runs are there;
- ``run_digest``, of the run's rows and the header: no value is edited, and no row goes, without a
  word. It is a column and no second file, because so it goes wherever the rows go, says which run
  is meant, and ``pandas.read_csv`` reads the rest as before.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mdlib.io import atomic_write
from mdlib.sweep.spec import Point, Spec

MARKS = ("sweep_done", "run_digest")
_CELL = re.compile(r'("(?:[^"]|"")*"|[^",\r\n]*)(,|\n|\Z)')
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


def csv_path(spec: Spec) -> Path:
    """NAME.csv, beside NAME.yaml."""
    return spec.path.with_suffix(".csv")


def settings(point: Point) -> dict[str, Any]:
    """A run's number and parameters as the table has them; lists and the like as text."""
    scalars = (bool, int, float, str, type(None))
    values = {k: v for k, v in point.parameters.items() if k != "out"}
    return {"number": point.number} | {
        name: value if isinstance(value, scalars) else str(value) for name, value in values.items()
    }


def read(spec: Spec) -> list[dict[str, Any]]:
    """The rows of NAME.csv, if they are as they were collected, and of this sweep."""
    path, again = csv_path(spec), f"mdlib collect {spec.called}"
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if text.partition("\n")[0].endswith("\r"):  # else, "\r" is part of a word
        text = text.replace("\r\n", "\n")
    header, *lines = _lines(text)
    names = [str(_value(cell)) for cell in header]
    if tuple(names[-2:]) != MARKS or names[0] != "number":
        raise ValueError(f"{path} is no table as `{again}` writes it now: collect it again")
    digests = _digests(header, lines)
    for n, line in enumerate(lines, 2):
        if len(line) != len(header) or line[-1] != digests[line[0]]:
            raise ValueError(
                f"{path}: row {n} (run {line[0]}), or another one of this run, is not as it was "
                f"collected: {again}, or restore the file"
            )
    points = {str(point.number): point for point in spec.points}
    rows, columns = [], names[: -len(MARKS)]
    is_done, says = f"{len(digests)} of {len(points)}", "nothing of its"
    differs = ""
    for line in lines:
        values = dict(zip(names, map(_value, line), strict=True))
        differs, says = _difference(values, points.get(line[0]), spec), values["sweep_done"]
        if differs:
            break
        given = settings(points[line[0]])
        rows.append(given | {name: values[name] for name in columns if name not in given})
    if differs or says != is_done:
        differs = differs or f"it says {says} runs, but has {is_done}"
        raise ValueError(f"{path} is of another {spec.path.name}: {differs}: {again}")
    numbers = [row["number"] for row in rows]
    if numbers != sorted(numbers):
        raise ValueError(f"{path}: its runs are not in the order of their numbers: {again}")
    if len(digests) < len(points):
        warnings.warn(f"{path} has {is_done} runs: mdlib sweep {spec.called}", stacklevel=3)
    return rows


def parse(text: str) -> list[dict[str, Any]]:
    """The rows of such a file's text as they stand there, whatever they are of."""
    names, *lines = ([_value(cell) for cell in line] for line in _lines(text))
    return [dict(zip(map(str, names), line, strict=False)) for line in lines]


def _difference(values: dict[str, Any], point: Point | None, spec: Spec) -> str:
    """What tells a row of the file from the run that the sweep has under this number.

    A parameter that the chapter was given only since then has had its default.
    """
    if point is None:
        return f"the sweep has no run {values['number']}"
    for name, value in settings(point).items():
        found = values[name] if name in values else spec.chapter.parameter(name).default
        if str("" if found is None else found) != str("" if value is None else value):
            return f"run {point.number} has {name} = {found!r}, there it is {value!r}"
    return ""


def write(spec: Spec, names: list[str], rows: list[dict[str, Any]]) -> None:
    """NAME.csv with the columns `names`, the run's number first."""
    is_done = f"{len({row['number'] for row in rows})} of {len(spec.points)}"
    header = [_word(name) for name in (*names, *MARKS)]
    lines = [[*(_word(row.get(name)) for name in names), is_done, ""] for row in rows]
    digests = _digests(header, lines)
    text = [header, *([*line[:-1], digests[line[0]]] for line in lines)]
    with atomic_write(csv_path(spec)) as temporary:
        temporary.write_text("".join(",".join(line) + "\n" for line in text), encoding="utf-8")


def _lines(text: str) -> list[list[str]]:
    """A file's cells as they stand there, with their quotes."""
    lines: list[list[str]] = [[]]
    end = 0
    for found in _CELL.finditer(text):
        lines[-1].append(text[end : found.start()] + found[1])  # with what is no cell before it
        end = found.end()
        if found[2] == "\n":
            lines.append([])
        elif not found[2]:
            break
    return [line for line in lines if line != [""]] or [[""]]


def _digests(header: list[str], lines: Iterable[list[str]]) -> dict[str, str]:
    """The digest of each run's rows, by the run's number; the last cell of a row is left out."""
    runs: dict[str, Any] = {}
    for line in lines:
        run = runs.setdefault(line[0], hashlib.sha256("\0".join(header).encode()))
        run.update(("\n" + "\0".join(line[:-1])).encode())
    return {number: run.hexdigest()[:12] for number, run in runs.items()}


def _word(value: Any) -> str:
    """A value as a cell."""
    if value is None or isinstance(value, (bool, int, float)):
        return "" if value is None else repr(value)
    plain = _value(value) == value and not re.search(r'[",\r\n]', value)
    return value if plain else '"' + value.replace('"', '""') + '"'


def _value(cell: str) -> Any:
    """A cell's value; `_word` the other way around."""
    if cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    if cell in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[cell]
    if _INT.fullmatch(cell):
        return int(cell)
    return float(cell) if _FLOAT.fullmatch(cell) else cell

"""What a run leaves behind in numbers: its metrics and its environment.

Every file is written whole or not at all. Nothing heavy is imported before it is needed, so a
chapter can record its numbers without waiting for a plotting or a notebook library.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mdlib.io import read_json, write_json

Row = dict[str, Any]  # flat: name → number, string, bool or None

METRICS = "metrics.json"


def record(out: str | os.PathLike, rows: Any = None, **metrics: Any) -> list[Row]:
    """Append rows of metrics to ``out/metrics.json`` and return the rows that were added.

    Args:
        out: the run's folder; "" (a chapter run interactively) writes nothing.
        rows: a dict, a list of dicts, or a pandas DataFrame (its index is kept only if named).
        metrics: further metrics, which form one row of their own.

    Raises:
        ValueError: nothing to record, a name that is no string, a value that is NaN, infinite or
            no scalar (the metric is named), or an unreadable ``metrics.json`` (it is left alone).
    """
    added = [_flat(row) for row in _rows(rows)] + ([_flat(metrics)] if metrics else [])
    if not added:
        raise ValueError("nothing to record: give rows, or metrics as keywords")
    if out != "":
        path = Path(out, METRICS)
        write_json(path, (read_metrics(out) if path.exists() else []) + added)
    return added


def read_metrics(folder: str | os.PathLike) -> list[Row]:
    """The rows that a run recorded.

    Raises FileNotFoundError if it recorded none, ValueError if the file is damaged.
    """
    path = Path(folder, METRICS)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the run recorded nothing, or has not come to it yet"
        )
    rows = read_json(path)
    try:
        if isinstance(rows, list) and rows:
            return [_flat(row) for row in rows]
    except ValueError as error:
        raise ValueError(f"{path} was not written by mdlib.record: {error}") from None
    raise ValueError(f"{path} holds no list of rows: it was not written by mdlib.record")


def _rows(rows: Any) -> Iterable[Mapping]:
    if rows is None:
        return []
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame, without importing it
        if any(name is not None for name in rows.index.names):
            rows = rows.reset_index(allow_duplicates=True)
        if not rows.columns.is_unique:
            raise ValueError(f"two columns have one name: {list(rows.columns)}")
        return rows.to_dict("records")
    if not isinstance(rows, Iterable):
        raise ValueError(f"rows are {rows!r}: expected a dict, a list of dicts, or a DataFrame")
    return [rows] if isinstance(rows, Mapping) else rows


def _flat(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise ValueError(f"a row is a dict of metrics, not {type(row).__name__}: {row!r}")
    return {_name(name): _scalar(name, value) for name, value in row.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ValueError(f"metric {name!r} has a name that is no string")
    return name


def _scalar(name: str, value: Any) -> Any:
    """`value` as a plain Python scalar; numpy's and torch's are converted."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"metric {name!r} is {value}: record finite numbers, or None for 'no value'"
        )
    if value is not None and not isinstance(value, (bool, int, float, str)):
        kind = type(value).__name__
        raise ValueError(f"metric {name!r} is a {kind}, not a number, string, bool or None")
    return value

"""The one table of a sweep: a row for each row of metrics that its runs recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlib.checks import unknown
from mdlib.figures import tables
from mdlib.io import atomic_write, read_json
from mdlib.notebook import results
from mdlib.sweep import driver, plan
from mdlib.sweep.spec import Spec, load

if TYPE_CHECKING:
    import pandas as pd

PROVENANCE = ("run_device", "run_commit", "run_seconds", "run")


def csv_path(spec: Spec) -> Path:
    """NAME.csv, beside NAME.yaml."""
    return spec.path.with_suffix(".csv")


def table(
    name: str | os.PathLike | Spec,
    out: str | os.PathLike | None = None,
    stale: bool = False,
) -> pd.DataFrame:
    """A sweep's results: run number, parameters, metrics, and where the run was made.

    They are read from the runs' folders if there are any, else from NAME.csv.

    Args:
        name: a sweep's name, the path of its .yaml, or a loaded one.
        out: the folder of the runs' folders; else ``runs/sweeps/NAME``.
        stale: allow rows that were made with different sources side by side.

    Raises:
        ValueError: rows of different sources, unless `stale`; a metric in `record` that no run
            recorded.
        FileNotFoundError: there are no results yet.
    """
    spec, out, rows = _found(name, out)
    if rows:
        return _frame(spec, rows, stale)
    if not csv_path(spec).is_file():
        raise FileNotFoundError(
            f"no results of {spec.name} in {out}, nor {csv_path(spec)}: mdlib sweep {spec.name}"
        )
    return _of_one_source(spec, _read(spec), stale)


def read_csv(name: str | os.PathLike | Spec) -> pd.DataFrame:
    """The rows of NAME.csv as they were collected, whatever this machine has run since.

    What a chapter shows of its sweep: the same on every machine, and a table without rows as long
    as there is no NAME.csv. FileNotFoundError or SpecError where there is no such sweep.
    """
    import pandas as pd

    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    return _read(spec) if csv_path(spec).is_file() else pd.DataFrame()


def best(rows: pd.DataFrame, by: str, **of: Any) -> dict[str, Any] | None:
    """Of the rows whose columns equal `of`, the one with the largest `by`, without its empty cells.

    What a tuning sweep is for: ``best(read_csv("NAME"), "held-out accuracy", method="vae")["lr"]``.
    The first of equals; None where there is no such row. ValueError for a column that is none.
    """
    if rows.empty:
        return None
    for name in (by, *of):
        if name not in rows:
            raise ValueError(f"column {name!r}: the table has {sorted(rows.columns)}")
    for name, value in of.items():
        rows = rows[rows[name] == value]
    rows = rows[rows[by].notna()]
    if rows.empty:
        return None
    return rows.iloc[rows[by].to_numpy().argmax()].dropna().to_dict()


def _read(spec: Spec) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(csv_path(spec), keep_default_na=False, na_values=[""])


def _found(
    name: str | os.PathLike | Spec, out: str | os.PathLike | None
) -> tuple[Spec, Path, list[dict[str, Any]]]:
    """The sweep, its folder, and the rows of the runs there."""
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    out = Path(out or driver.default_out(spec)).resolve()
    return spec, out, _rows(spec, out)


def _frame(spec: Spec, rows: list[dict[str, Any]], stale: bool) -> pd.DataFrame:
    """Rows as a table, provenance last."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    names = [name for name in frame if name not in PROVENANCE]
    return _of_one_source(spec, frame[[*names, *PROVENANCE]], stale)


def _of_one_source(spec: Spec, frame: pd.DataFrame, stale: bool) -> pd.DataFrame:
    """The table itself, or ValueError if its rows come from different sources, unless `stale`."""
    sources = frame["run"].str.rpartition("-")[2]
    if sources.nunique() > 1 and not stale:
        fresh = sources == plan.source_hash(spec.chapter)
        numbers = frame.loc[~fresh, "number"].unique()
        raise ValueError(
            f"{spec.name}: {len(numbers)} runs are stale: the chapter or mdlib has changed since "
            f"(run {', '.join(map(str, numbers[:10]))}). Run them again: mdlib sweep {spec.name}; "
            f"or say stale=True (mdlib collect --stale)"
        )
    return frame


def _rows(spec: Spec, out: Path) -> list[dict[str, Any]]:
    """The rows of the runs' folders: of the present sources where they are done, else of stale."""
    rows, folders = [], driver.folders(spec, out)
    metrics: set[str] = set()
    for point in spec.points:
        folder = folders[point.number]
        status = plan.read_status(folder)
        if not status or status["state"] != "done":
            older = plan.stale_runs(out, folder.name)
            if not older:
                continue
            folder = older[-1]
        found = results.read_metrics(folder) if (folder / results.METRICS).exists() else [{}]
        environment = read_json(folder / plan.ENVIRONMENT)
        made = {
            "run_device": environment["device"],
            "run_commit": environment["commit"],
            "run_seconds": environment["seconds"],
            "run": folder.name,
        }
        parameters = {k: _cell(v) for k, v in point.parameters.items() if k != "out"}
        for row in found:
            metrics |= row.keys()
            rows.append({"number": point.number} | parameters | _tabulated(spec, row) | made)
    for wanted in spec.record:
        if rows and wanted not in metrics:
            raise ValueError(f"{spec.path}: record: {unknown('metric', wanted, metrics)}")
    return rows


def _tabulated(spec: Spec, row: dict[str, Any]) -> dict[str, Any]:
    """The metrics that `record` names, with the words and the seed that tell rows apart."""
    if not spec.record:
        return row
    return {k: v for k, v in row.items() if k in (*spec.record, "seed") or isinstance(v, str)}


def _cell(value: Any) -> Any:
    """A parameter as a table can hold it; lists and the like as text."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def summary(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Mean ± std over seeds, with n, for each setting and each word that a run recorded."""
    parameters = [name for name in spec.chapter.parameters if name != "out"]
    metrics = [c for c in frame if c not in ("number", *parameters, *PROVENANCE)]
    metrics = [c for c in metrics if frame[c].notna().any()]  # None in all runs: no word, no number
    words = [c for c in metrics if not _is_number(frame[c])]
    groups = [name for name in spec.varying if name not in ("seed", *words)] + words
    # a parameter that says the same as a recorded word would only widen the table
    groups = [g for g in groups if g in words or not any(_same(frame, g, w) for w in words)]
    if not groups:
        groups = ["sweep"]
        frame = frame.assign(sweep=spec.name)
    numbers = [c for c in metrics if c not in (*words, "seed")]
    return tables.mean_std(frame[[*groups, *numbers]], groups)


def _is_number(column: pd.Series) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_numeric_dtype(column) and not is_bool_dtype(column)


def _same(frame: pd.DataFrame, one: str, other: str) -> bool:
    pairs = frame[[one, other]].drop_duplicates()
    return bool((pairs[one].astype(str) == pairs[other].astype(str)).all())


def collect(
    name: str | os.PathLike | Spec,
    out: str | os.PathLike | None = None,
    stale: bool = False,
) -> tuple[pd.DataFrame, Path]:
    """Write NAME.csv, beside NAME.yaml, from the runs' folders; return the table and its path.

    Raises:
        FileNotFoundError: no run is done.
        ValueError: as `table`.
    """
    spec, out, rows = _found(name, out)
    if not rows:
        raise FileNotFoundError(f"no run of {spec.name} is done in {out}: mdlib sweep {spec.name}")
    frame = _frame(spec, rows, stale)
    with atomic_write(csv_path(spec)) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    return frame, csv_path(spec)

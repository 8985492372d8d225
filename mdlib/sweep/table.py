"""The one table of a sweep: a row for each row of metrics that its runs recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlib.checks import need, unknown
from mdlib.figures import tables
from mdlib.io import read_json
from mdlib.notebook import results
from mdlib.notebook.provenance import CHANGED
from mdlib.sweep import driver, plan, rowfile, sources
from mdlib.sweep.claims import agree, claims_path, read_verdicts, verdicts, write
from mdlib.sweep.rowfile import csv_path
from mdlib.sweep.spec import Spec, load

if TYPE_CHECKING:
    import pandas as pd

MACHINE = ("run_device_name", "run_threads", "run_torch")  # equal numbers need these to be equal
PROVENANCE = ("run_device", *MACHINE, "run_commit", "run_seconds", "run")


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
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    frame = of_runs(spec, out)
    if frame.empty and not csv_path(spec).is_file():
        raise FileNotFoundError(
            f"no results of {spec.name} in {_folder(spec, out)}, nor {csv_path(spec)}: "
            f"mdlib sweep {spec.called}"
        )
    return _of_one_source(spec, _frame(rowfile.read(spec)) if frame.empty else frame, stale)


def read_csv(name: str | os.PathLike | Spec) -> pd.DataFrame:
    """The rows of NAME.csv as they were collected, whatever this machine has run since.

    What a chapter shows of its sweep: the same on every machine, and a table without rows as long
    as there is no NAME.csv. Warns if runs are missing.

    Raises:
        ValueError: rows that were edited, or that are not of the sweep that NAME.yaml describes.
        SpecError: there is no such sweep, or none that makes sense.
    """
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    return _frame(rowfile.read(spec) if csv_path(spec).is_file() else [])


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


def of_runs(spec: Spec, out: str | os.PathLike | None) -> pd.DataFrame:
    """The rows of the runs' folders alone, of whatever sources."""
    return _frame(_rows(spec, _folder(spec, out)))


def _folder(spec: Spec, out: str | os.PathLike | None) -> Path:
    return Path(out or driver.default_out(spec)).resolve()


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table, provenance last; None, or nothing, is NaN."""
    import pandas as pd

    names = dict.fromkeys(name for row in rows for name in row)
    order = [*(n for n in names if n not in PROVENANCE), *(PROVENANCE if names else ())]
    there = [{k: v for k, v in row.items() if v is not None} for row in rows]
    return pd.DataFrame(there, columns=order)


def _of_one_source(spec: Spec, frame: pd.DataFrame, stale: bool) -> pd.DataFrame:
    """The table itself, or ValueError if its rows come from different sources, unless `stale`."""
    made, now = frame["run"].str.rpartition("-")[2], sources_now(spec, frame)
    alike = made.str[: sources.SHARED].nunique() == 1 and made.groupby(now).nunique().eq(1).all()
    if stale or (made == now).all() or (alike and not (made == now).any()):
        return frame
    numbers = frame.loc[made != now, "number"].unique()
    raise ValueError(
        f"{spec.name}: {len(numbers)} runs are stale: the chapter or mdlib has changed since "
        f"(run {', '.join(map(str, numbers[:10]))}). Run them again: "
        f"mdlib sweep {spec.called}; or say stale=True (mdlib collect --stale)"
    )


def sources_now(spec: Spec, frame: pd.DataFrame) -> pd.Series:
    """What the name of each row's run would end on if it were made today."""
    folders = driver.folders(spec, Path()).items()
    names = frame["number"].map({number: folder.name for number, folder in folders})
    return names.str.rpartition("-")[2]


def _rows(spec: Spec, out: Path) -> list[dict[str, Any]]:
    """The rows of the runs' folders: of the present sources where they are done, else of stale."""
    rows, folders, there = [], driver.folders(spec, out), plan.listing(out)
    for point in spec.points:
        folder = folders[point.number]
        status = plan.read_status(folder)
        if not status or status["state"] != "done":
            older = plan.stale_runs(out, folder.name, str(spec.chapter.path), there)
            if not older:
                continue
            folder = older[-1]
            status = plan.read_status(folder) or {}
        found = results.read_metrics(folder) if (folder / results.METRICS).exists() else [{}]
        environment = read_json(folder / plan.ENVIRONMENT)
        made = {
            "run_device": environment.get("device"),
            "run_device_name": environment.get("device_name"),
            "run_threads": environment.get("threads"),
            "run_torch": environment.get("versions", {}).get("torch"),
            "run_commit": _made_at(environment),
            "run_seconds": status.get("seconds"),
            "run": folder.name,
        }
        rows += [(rowfile.settings(point), row, made) for row in found]
    recorded = {name for _, row, _ in rows for name in row}
    for wanted in spec.record:
        if rows and wanted not in recorded:
            raise ValueError(f"{spec.path}: record: {unknown('metric', wanted, recorded)}")
    return _joined(spec, rows)


def _made_at(environment: dict[str, Any]) -> str | None:
    commit = environment.get("commit")
    return f"{commit}{CHANGED}" if commit and environment.get("dirty") else commit


def _joined(spec: Spec, rows: list[tuple[dict, dict, dict]]) -> list[dict[str, Any]]:
    """Parameters, metrics and provenance as one row each.

    A metric with the name of one of the others says what was used. Where that is in all rows what
    was given, it says nothing new; else it is called "NAME (used)".
    """
    taken = {name for given, _, made in rows for name in given | made}.union(rowfile.MARKS)
    taken |= {used(name) for name in taken}
    other = {n for given, row, made in rows for n in row if row[n] != (given | made).get(n)}
    kept = (*spec.record, "seed")  # and words, which tell the rows of a run apart
    joined = []
    for given, row, made in rows:
        measured = {
            used(name) if name in taken else name: value
            for name, value in row.items()
            if name not in taken or name in other
            if not spec.record or name in kept or isinstance(value, str)
        }
        joined.append(given | measured | made)
    return joined


def used(parameter: str) -> str:
    """The column of what a run used for a parameter, where that is not what it was given."""
    return f"{parameter} (used)"


def metrics(frame: pd.DataFrame, spec: Spec) -> list[str]:
    """The columns that were measured: neither settings nor provenance, nor None in all runs."""
    settings = ["number", *spec.chapter.parameters, *PROVENANCE]
    settings += [used(name) for name in settings]
    return [c for c in frame if c not in settings and frame[c].notna().any()]


def summary(frame: pd.DataFrame, spec: Spec) -> pd.DataFrame:
    """Mean ± std over seeds, with n, for each setting and each word that a run recorded."""
    settings, numbers = settings_and_numbers(frame, spec)
    if not settings:
        settings = ["sweep" if "sweep" not in numbers else "the sweep"]
        frame = frame.assign(**{settings[0]: spec.name})
    return tables.mean_std(frame[[*settings, *numbers]], settings)


def settings_and_numbers(frame: pd.DataFrame, spec: Spec) -> tuple[list[str], list[str]]:
    """The columns that tell settings apart, words that a run recorded among them, and those of
    numbers that were measured."""
    measured = metrics(frame, spec)
    words = [c for c in measured if not is_number(frame[c])]
    found = [name for name in spec.varying if name not in ("seed", *words)] + words
    # a parameter that says the same as a recorded word would only widen the table
    found = [g for g in found if g in words or not any(_same(frame, g, w) for w in words)]
    return found, [c for c in measured if c not in words]


def is_number(column: pd.Series) -> bool:
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

    NAME.claims.csv, what the rows say of the sweep's claims, is written with it.

    Raises:
        FileNotFoundError: no run is done.
        ValueError: as `table`; a claim of a column that the table doesn't have.
    """
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    out = _folder(spec, out)
    rows = _rows(spec, out)
    if not rows:
        raise FileNotFoundError(
            f"no run of {spec.name} is done in {out}: mdlib sweep {spec.called}"
        )
    frame = _of_one_source(spec, _frame(rows), stale)
    said = verdicts(spec, frame)
    rowfile.write(spec, list(frame), rows)
    write(spec, said)
    return frame, csv_path(spec)


def claims(name: str | os.PathLike | Spec) -> pd.DataFrame:
    """The verdicts on a sweep's claims as they were collected, by the claims' ids.

    The columns are those of `verdicts`. Raises ValueError where they are not what the rows of
    NAME.csv say of the claims in NAME.yaml, FileNotFoundError where none were collected.
    """
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    path, again = claims_path(spec), f"mdlib collect {spec.called}, or with --claims"
    if not path.is_file():
        raise FileNotFoundError(f"no verdicts at {path}: {again}")
    kept = read_verdicts(path)
    need(
        agree(kept, verdicts(spec, read_csv(spec))),
        f"{path} is not what {csv_path(spec).name} says of the claims in {spec.path.name}: {again}",
    )
    return kept


def judge(name: str | os.PathLike | Spec) -> pd.DataFrame:
    """Write NAME.claims.csv from the rows of NAME.csv, as they were collected; return its table.

    For claims on rows that are there: each is exploratory. Raises as `read_csv` and `collect`;
    ValueError for a sweep that has no claims, or no rows.
    """
    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    need(spec.claims, f"{spec.path} has no claims to judge")
    rows = read_csv(spec)
    need(not rows.empty, f"{spec.name} has no rows to judge: mdlib collect {spec.called}")
    said = verdicts(spec, rows)
    write(spec, said)
    return said

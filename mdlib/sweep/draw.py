"""A sweep's standard figures from its NAME.csv: dots, differences, curves along the grid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mdlib.checks import need, unknown
from mdlib.sweep.rowfile import csv_path
from mdlib.sweep.spec import Spec, load
from mdlib.sweep.table import claims, is_number, read_csv, settings_and_numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SETTING, _LINE, _SWEEP = "setting ", "line ", "sweep "  # columns that no metric hides
MOST_SETTINGS, MOST_METRICS = 60, 3  # rows and panels that can be read


def show_claims(
    name: str | os.PathLike,
    xlabel: str = "difference, or distance from the number",
    apart: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """What a chapter shows of its sweep's claims: it draws their intervals, and returns what they
    say, their verdicts and their n. Where none were collected, the command that would do so.

    A family of claims in another unit has a figure of its own: `apart` has its label on x.
    """
    import pandas as pd

    from mdlib.figures import plots

    try:
        said = claims(name)
    except FileNotFoundError:
        return pd.DataFrame({"not yet run": [f"mdlib sweep {name}"]})
    apart = apart or {}
    for family, label in apart.items():
        plots.claims(said[said["family"] == family], label)
    plots.claims(said[~said["family"].isin(list(apart))], xlabel)
    return said[["says", "verdict", "n"]]


def show_pictures(
    name: str | os.PathLike,
    column_labels: list[str] | None = None,
    rows: slice = slice(None),
) -> None:
    """What a chapter shows of the pictures that its sweep's runs kept.

    Each row of NAME.csv with a text of `pictures.as_text` in the column "pictures" is a row of
    images, with its label in the column "shown"; `rows` are some of these. Without any, nothing is
    drawn.
    """
    import torch

    from mdlib.figures import pictures, plots

    found = read_csv(name)
    if "pictures" in found and len(kept := found.dropna(subset="pictures")[rows]):
        images = torch.stack([pictures.from_text(text) for text in kept["pictures"]])
        plots.image_grid(images, list(kept["shown"]), column_labels)


def draw(
    name: str | os.PathLike | Spec,
    metrics: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
    against: str | None = None,
) -> dict[str, Figure]:
    """The figures of a sweep by their names, from the rows of NAME.csv.

    ``dots`` has each setting's mean ± one standard deviation over seeds, ``forest`` the differences
    from one setting, paired by seed, with 95 % intervals, and ``curve PARAMETER`` the means along
    each numeric parameter of which the sweep has three values or more. A figure that the rows don't
    allow is not there.

    Args:
        name: a sweep's name, the path of its .yaml, or a loaded one.
        metrics: the columns to draw; none: the first three that were measured.
        only: column → value, as text: draw these rows alone.
        against: the setting that the others are compared with; None: the first.

    Raises:
        FileNotFoundError: there is no NAME.csv.
        ValueError: a column, a value or a setting that the rows don't have; more settings than a
            figure can show.
    """
    import matplotlib.pyplot as plt

    from mdlib.evaluation import statistics
    from mdlib.figures import plots

    spec = name if isinstance(name, Spec) else load(name, need_data=False)
    rows, groups, columns = _rows(spec, metrics, only or {})
    rows[_SETTING] = _words(rows[groups])
    titles = _words(rows[groups].replace(dict(plots.LABELS)))
    labels = dict(zip(rows[_SETTING], titles, strict=True))
    settings = list(labels)
    most = max(groups, key=lambda group: rows[group].nunique())
    need(
        len(settings) <= MOST_SETTINGS,
        f"{spec.name} has {len(settings)} settings, and a figure shows {MOST_SETTINGS} at most: "
        f"choose some by only (--only {most}=…)",
    )
    first = settings[0] if against is None else against
    if first not in settings:
        raise ValueError(unknown("setting", first, settings))

    plots.theme()
    figures = {}
    plots.dots(rows, columns, settings, by=_SETTING, labels=labels)
    figures["dots"] = plt.gcf()
    once = "seed" in rows and not rows.duplicated([_SETTING, "seed"]).any()
    if once and len(settings) > 1 and rows["seed"].nunique() > 1:
        differences = {
            column: {
                labels[other]: statistics.paired(rows, other, first, column, by=_SETTING)
                for other in settings
                if other != first
            }
            for column in columns
        }
        plots.forest(differences, xlabel=f"difference from {labels[first]}, paired by seed")
        figures["forest"] = plt.gcf()
    for axis in groups:
        if is_number(rows[axis]) and rows[axis].nunique() > 2:
            rest = [group for group in groups if group != axis]
            rows[_LINE] = _words(rows[rest].replace(dict(plots.LABELS)))
            plots.curves(rows, axis, columns, _LINE if rest else None)
            figures[f"curve {axis}"] = plt.gcf()
    return figures


def _rows(
    spec: Spec, metrics: Sequence[str], only: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The rows to draw, the columns whose values are settings, and those that were measured."""
    rows = read_csv(spec)
    if rows.empty:
        raise FileNotFoundError(
            f"there is no {csv_path(spec)}: mdlib sweep {spec.called}, then "
            f"mdlib collect {spec.called}"
        )
    for column, value in only.items():
        if column not in rows:
            raise ValueError(unknown("column", column, list(rows)))
        there = rows[column].astype(str)
        need(
            (there == value).any(),
            f"no row has {column} = {value}: there are {', '.join(there.unique()[:20])}",
        )
        rows = rows[there == value]
    groups, numbers = settings_and_numbers(rows, spec)
    for metric in metrics:
        if metric not in numbers:
            raise ValueError(unknown("metric", metric, numbers))
    need(bool(numbers), f"{spec.name} recorded no numbers: there is nothing to draw")
    columns = list(metrics) or numbers[:MOST_METRICS]
    for group in list(groups):  # what follows from the others would only lengthen the labels
        rest = [other for other in groups if other != group]
        if rest and not is_number(rows[group]):
            follows = (rows.groupby(rest)[group].nunique() == 1).all()
            groups = rest if follows else groups
    if not groups:
        return rows.assign(**{_SWEEP: spec.name}), [_SWEEP], columns
    return rows.copy(), groups, columns


def _words(rows: pd.DataFrame) -> list[str]:
    """The values of each row as one text, without what is missing; of no columns, empty ones."""
    return [
        ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values if v == v)
        for values in rows.itertuples(index=False)
    ] or [""] * len(rows)

"""The tables that several chapters share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def mean_std(rows: Any, by: str | list[str] = "method") -> pd.DataFrame:
    """The table of results: "mean ± std" of every numeric column over a group's rows, and their n.

    Args:
        rows: a DataFrame, or the rows of `read_metrics`; a column "seed" is left out.
        by: the column that names the groups, which keep their order; or several.

    A group of one row has no spread, and its cells say so: "mean ± ?".
    """
    import pandas as pd

    frame = pd.DataFrame(rows)
    names = [by] if isinstance(by, str) else by
    groups = frame.groupby(by, sort=False, dropna=False)
    numbers = frame.select_dtypes("number").columns.drop(["seed", *names], errors="ignore")
    table = groups[list(numbers)].agg(
        lambda x: f"{x.mean():.3f} ± {x.std():.3f}".replace("nan", "?")
    )
    return table.assign(n=groups.size())

"""The tables that several chapters share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mdlib.checks import need

if TYPE_CHECKING:
    import pandas as pd

LARGE = 1e5  # from here on numbers are written with a power of ten …
_FINEST = 6  # … as they are if this many decimals do not show them


def mean_std(rows: Any, by: str | list[str] = "method") -> pd.DataFrame:
    """The table of results: "mean ± std" of every numeric column over a group's rows, and their n.

    Words, truth values and dates are no numbers, and left out; ValueError for durations.

    Args:
        rows: a DataFrame, or the rows of `read_metrics`; a column "seed" is left out.
        by: the column that names the groups, which keep their order; or several.

    n counts values, not rows: of the columns of a group that has most. A cell of fewer says so,
    "0.500 ± 0.100 (n = 2)"; one of a single value has no spread, "0.500 ± ?", and one of none is
    "–". Digits: see `plus_minus`.
    """
    import pandas as pd

    frame = pd.DataFrame(rows).infer_objects()
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        need(name in frame, f"by={name!r}: the rows have no such column, but {list(frame)}")
    for name in frame.select_dtypes("timedelta"):
        raise ValueError(f"column {name!r} holds durations: give seconds, by .dt.total_seconds()")
    numbers = frame.select_dtypes(("integer", "floating")).columns
    numbers = numbers.drop(["seed", *names], errors="ignore")
    frame = frame.astype(dict.fromkeys(numbers, float))  # float16 and ints overflow in a sum
    groups = frame.groupby(by, sort=False, dropna=False)
    counts = groups[list(numbers)].count()
    n = counts.max(axis=1) if len(numbers) else groups.size()
    table = groups[list(numbers)].agg(lambda x: plus_minus(*_mean_and_std(x)))
    fewer = counts.lt(n, axis=0) & counts.gt(0)
    table = table.mask(fewer, table.astype(str) + " (n = " + counts.astype(str) + ")")
    return table.assign(n=n)


def _mean_and_std(values: pd.Series) -> tuple[float, float]:
    """Of values, scaled by the largest, whose squares may be no numbers any more."""
    scale = values.abs().max()
    if scale == math.inf:
        return values.mean(), math.nan
    if not scale > 0:  # all are 0, or there is none
        return values.mean(), values.std()
    values = values / scale
    return values.mean() * scale, values.std() * scale


def plus_minus(mean: float, std: float = math.nan) -> str:
    """ "mean ± std", with two significant digits of the spread, and three decimals or more.

    A spread of exactly 0 is "0", none at all (NaN) is "?", and no mean either is "–".
    """
    if math.isnan(mean):
        return "–"
    if not math.isfinite(std):
        return f"{number(mean)} ± ?"
    if std <= 1e-12 * abs(mean):  # of equal values, but for rounding
        return f"{number(mean)} ± 0"
    decimals = max(3, 1 - math.floor(math.log10(std)))
    if max(abs(mean), std) >= LARGE or decimals > _FINEST:
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def number(value: float) -> str:
    """A number with three significant digits, and three decimals or more."""
    if value == 0 or not math.isfinite(value):
        return f"{abs(value) and value:.0f}"
    decimals = max(3, 2 - math.floor(math.log10(abs(value))))
    if abs(value) >= LARGE or decimals > _FINEST:
        return f"{value:.4g}"
    return f"{value:.{decimals}f}"

"""The tables that several chapters share, and how every table of a chapter is shown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from mdlib.checks import need

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

_LARGE = 1e5  # from here on numbers are written with a power of ten …
_FINEST = 6  # … as they are if this many decimals do not show them


def mean_std(rows: Any, by: str | list[str] = "method", best: Iterable[str] = ()) -> pd.DataFrame:
    """The table of results: "mean ± std" of every numeric column over a group's rows, and their n.

    Words, truth values and dates are no numbers, and left out; ValueError for durations.

    Args:
        rows: a DataFrame, or the rows of `read_metrics`; a column "seed" is left out.
        by: the column that names the groups, which keep their order; or several.
        best: columns in which more is better, of rows with a "seed": there the largest mean and
            what cannot be told from it end in "*", which `html` sets in bold. A group can be told
            if the interval of its difference, paired by seed (`statistics.paired`), is below 0,
            after Holm's adjustment over the column. Of several names in `by`, the last one's groups
            are compared, among those that share the others.

    n, or "n (values)" beside another n, counts values, not rows: of the columns of a group that
    has most. A cell of fewer says so,
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
    for column in best:
        need(column in table, f"best={column!r}: expected one of {list(table)}")
        need("seed" in frame, "best= needs a column 'seed': groups are compared in the same seeds")
        others = names[:-1]
        parts = [part for _, part in frame.groupby(others, sort=False)] if others else [frame]
        for part in parts:
            shared = tuple(part[others].iloc[0])
            for group in _not_told_from_the_best(part, names[-1], column):
                table.loc[(*shared, group) if shared else group, column] += "*"
    counted = "n (values)" if "n" in {*names, *numbers} else "n"  # it would hide the other one
    return table.assign(**{counted: n})


def _not_told_from_the_best(frame: pd.DataFrame, by: str, column: str) -> list[Any]:
    """The group with the largest mean, and those whose difference from it may be 0."""
    from mdlib.evaluation import statistics

    means = frame.groupby(by, sort=False)[column].mean().dropna()
    if means.empty:
        return []
    first, others = means.idxmax(), list(means.drop(means.idxmax()).index)
    found = [statistics.paired(frame, first, other, column, by) for other in others]
    known = [one.p if one is not None else 1.0 for one in found]
    told = statistics.holm([1.0 if math.isnan(p) else p for p in known]) <= 0.05 if known else []
    return [first, *(other for other, far in zip(others, told, strict=True) if not far)]


def html(frame: pd.DataFrame) -> str:
    """A table as the book shows it, in place of pandas' own HTML.

    One row of heads, with the index's names in it. Methods have their titles, where a column or an
    index says "method" or "methods"; what is missing is "–"; "$I_{1}$" has an index; a text that
    ends in "*" is bold.
    """
    import pandas as pd

    shown = frame.copy()
    for number, name in enumerate(shown.columns):
        if not pd.api.types.is_numeric_dtype(shown.dtypes.iloc[number]):
            column = shown.iloc[:, number].map(_word, na_action=None).astype(object)
            shown.isetitem(number, column.map(_title) if name in _OF_METHODS else column)
    for level, name in enumerate(shown.index.names):
        if name in _OF_METHODS:
            shown = shown.rename(index=_title, level=level)
    most = pd.get_option("display.max_rows"), pd.get_option("display.max_columns")
    text = shown.to_html(na_rep="–", border=0, max_rows=most[0], max_cols=most[1])
    if frame.columns.nlevels == 1 and frame.columns.name is None:
        text = _TWO_HEADS.sub(lambda found: _joined(found, frame.index.names), text, count=1)
    text = _INDEXED.sub(r"<i>\1</i><sub>\2</sub>", text)
    return _BOLD.sub(r"<td><b>\1</b></td>", text)


_OF_METHODS = ("method", "methods")
_OURS = 'class="dataframe"'
_INDEXED = re.compile(r"\$(\w)_\{([^{}$]*)\}\$")  # a title of a figure, which sets it by itself
_BOLD = re.compile(r"<td>([^<]*?)\*</td>")
_TWO_HEADS = re.compile(
    r"(<thead>\s*<tr[^>]*>)(?P<first>.*?)(</tr>)\s*<tr>.*?</tr>(\s*</thead>)", re.DOTALL
)


def _title(name: Any) -> Any:
    from mdlib.figures.plots import LABELS

    return LABELS.get(name, name) if isinstance(name, str) else name


def _word(value: Any) -> Any:
    return "–" if value is None or value != value else value


def _joined(found: re.Match[str], names: Iterable[Any]) -> str:
    """The first row of heads, with the index's names where it is empty."""
    heads = re.findall(r"<th[^>]*>.*?</th>", found["first"], re.DOTALL)
    said = [f"<th>{escape(str(name)) if name is not None else ''}</th>" for name in names]
    return f"{found[1]}{''.join([*said, *heads[len(said) :]])}{found[3]}{found[4]}"


def styled(styler: Styler) -> str:
    """A styled table: pandas' own HTML, with the book's class, and indices in "$I_{1}$"."""
    return _INDEXED.sub(r"<i>\1</i><sub>\2</sub>", styler.to_html(table_attributes=_OURS))


def show() -> None:
    """Have the running notebook show each table by `html` or `styled`; elsewhere, nothing."""
    import pandas as pd
    from pandas.io.formats.style import Styler

    try:
        from IPython import get_ipython
    except ImportError:
        return
    if shell := get_ipython():
        formatter = shell.display_formatter.formatters["text/html"]
        formatter.for_type(pd.DataFrame, html)
        formatter.for_type(Styler, styled)


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
    if max(abs(mean), std) >= _LARGE or decimals > _FINEST:
        return f"{mean:.4g} ± {std:.2g}"
    return f"{mean:.{decimals}f} ± {std:.{decimals}f}"


def number(value: float) -> str:
    """A number with three significant digits, and three decimals or more."""
    if value == 0 or not math.isfinite(value):
        return f"{abs(value) and value:.0f}"
    decimals = max(3, 2 - math.floor(math.log10(abs(value))))
    if abs(value) >= _LARGE or decimals > _FINEST:
        return f"{value:.4g}"
    return f"{value:.{decimals}f}"

"""Is one method better than another? Differences paired by seed, with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Interval:
    """A mean of n differences and the ends of its interval. Prints as "+0.012 [+0.003, +0.021]"."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @property
    def verdict(self) -> str:
        """ "beats" where all of the interval is above 0, "loses to" where all is below."""
        return "beats" if self.low > 0 else "loses to" if self.high < 0 else "ties with"


def interval(differences, confidence: float = 0.95) -> Interval:
    """The mean of differences [n] and Student's t interval around it.

    With a single difference, the interval is all numbers. A bootstrap of five differences would be
    too narrow. Raises ValueError for none, for NaN, and for a confidence outside (0, 1).
    """
    from scipy.stats import t

    d = np.asarray(differences, float)
    if d.ndim != 1 or len(d) == 0 or np.isnan(d).any():
        raise ValueError(f"differences {d!r}: expected one number or more, none of them NaN")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence}: expected a number between 0 and 1")
    half = math.inf
    if len(d) > 1:
        half = t.ppf((1 + confidence) / 2, len(d) - 1) * d.std(ddof=1) / len(d) ** 0.5
    return Interval(float(d.mean()), float(d.mean() - half), float(d.mean() + half), len(d))


def paired(rows: pd.DataFrame, a: str, b: str, column: str, by: str = "method") -> Interval | None:
    """The interval of method a − method b in `column`, paired by seed; None where no seed has both.

    `rows` has the columns `by`, in which a and b stand, and "seed". Raises ValueError where a
    method has a seed twice: such rows are of several settings, and the caller must say of which.
    """
    of = {}
    for name in (a, b):
        values = rows[rows[by] == name].set_index("seed")[column].dropna()
        if values.index.has_duplicates:
            raise ValueError(
                f"{by} {name!r} has a seed more than once: select the rows of one setting first"
            )
        of[name] = values
    differences = (of[a] - of[b]).dropna()
    return interval(differences) if len(differences) else None


def claim(
    rows: pd.DataFrame, a: str, b: str, column: str, least: float = 0.0, by: str = "method"
) -> None:
    """Assert that the interval of a − b, as of `paired`, lies above `least` as a whole.

    AssertionError, with the interval, where it does not, and where there are no pairs.
    """
    found = paired(rows, a, b, column, by)
    if found is None or found.low <= least:
        raise AssertionError(f"{a} − {b}, {column!r}: {found}, expected all of it above {least}")

"""Is one method better than another? Intervals of differences, and what many of them allow to say.

Student's t, of differences paired by seed (`paired`) or of two samples that have nothing in common
(`unpaired`); a bootstrap over seeds × test images, where it is known which images were right. No
bootstrap of five numbers: its interval covers the truth 85 times of 100, where it says 95.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mdlib.checks import as_array, check_not_negative, check_whole, need, unknown

WORDS = ("better", "worse", "equivalent", "undecided")
_ROUNDING = 1e-12  # of the largest value: what is no more is no spread, and no difference


@dataclass(frozen=True)
class Interval:
    """A mean difference, the ends of its interval, and the p value of "there is none".

    n counts the values behind it: pairs, or the values of both samples, or seeds. `p` is two-sided.
    `correlation` is that of the two members of a pair, NaN where there are no pairs or fewer than
    three: near 0, pairing has cost degrees of freedom and brought nothing.

    Prints as "+0.012 [+0.003, +0.021]", with as many digits as the width of the interval gives
    sense to, and so many that no end which isn't 0 looks like 0.
    """

    mean: float
    low: float
    high: float
    n: int
    p: float
    correlation: float = math.nan

    def __str__(self) -> str:
        half = (self.high - self.low) / 2
        known = 0 < half < math.inf
        scale = half if known else abs(self.mean)
        digits = _decimals(scale, 2 if known else 3)
        # An end that isn't 0 may need more; less than a millionth of the width is rounding.
        ends = [abs(end) for end in (self.low, self.high) if known and abs(end) > half * 1e-6]
        digits = max(digits, 0, *(_decimals(end, 1) for end in ends))
        return f"{self.mean:+.{digits}f} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def _decimals(value: float, significant: int) -> int:
    """Digits after the point that show `value` with so many significant ones."""
    known = 0 < value < math.inf
    return significant - 1 - math.floor(math.log10(value)) if known else significant - 1


def interval(values, confidence: float = 0.95) -> Interval:
    """The mean of values [n], such as differences, and Student's t interval around it.

    With a single value, the interval is all numbers. Values that differ by rounding alone are
    equal. Raises ValueError for none, for NaN or infinity, and for a confidence outside (0, 1).
    """
    d = _sample("values", values)
    return _of_mean(d, np.abs(d).max(), confidence)


def paired(rows: pd.DataFrame, a: str, b: str, column: str, by: str = "method") -> Interval | None:
    """The interval of a − b in `column`, paired by seed; None where no seed has both.

    `rows` has the columns `by`, in which a and b stand, and "seed"; those without a seed are left
    out. Differences below a 1e12th of the values are rounding. Raises ValueError where a column is
    missing, and where a or b has a seed twice: such rows are of several settings, and the caller
    must say of which.
    """
    _check_columns(rows, by, "seed", column)
    of = {}
    for name in (a, b):
        values = rows[rows[by] == name].dropna(subset=["seed", column]).set_index("seed")[column]
        values = pd.Series(_array(column, values), values.index)
        need(
            not values.index.has_duplicates,
            f"{by} {name!r} has a seed more than once: select the rows of one setting first",
        )
        of[name] = values
    x, y = of[a].align(of[b], join="inner")
    if x.empty:
        return None
    size = max(x.abs().max(), y.abs().max())
    found = _of_mean(_sample("differences", x - y), size)
    x, y = x * _unit(size), y * _unit(size)
    together = len(x) > 2 and x.std() > 0 and y.std() > 0
    r = float(np.corrcoef(x, y)[0, 1]) if together else math.nan
    return replace(found, correlation=r)


def unpaired(
    rows: pd.DataFrame, a: str, b: str, column: str, by: str = "method"
) -> Interval | None:
    """The interval of a − b in `column`, as of two samples (Welch); None where one has no values.

    For rows whose seeds share nothing that moves the score. With a single value on either side, the
    interval is all numbers.
    """
    _check_columns(rows, by, column)
    x, y = (_array(column, rows.loc[rows[by] == name, column].dropna()) for name in (a, b))
    if not (len(x) and len(y)):
        return None
    x, y = _sample(a, x), _sample(b, y)
    n, size = len(x) + len(y), max(np.abs(x).max(), np.abs(y).max())
    unit = _unit(size)
    x, y = x * unit, y * unit
    mean = x.mean() - y.mean()
    if min(len(x), len(y)) == 1:
        return _student(mean, math.inf, 0, n, size=size, unit=unit)
    parts = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    freedom = _satterthwaite(parts, [len(x) - 1, len(y) - 1])
    return _student(mean, parts.sum() ** 0.5, freedom, n, size=size, unit=unit)


def bootstrap(
    correct_a,
    correct_b,
    *,
    pair_seeds: bool = True,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """The interval of accuracy a − b over other seeds *and* other test images.

    Args:
        correct_a, correct_b: right or wrong (or any score) of each test image, [seeds, images]; a
            column is the same image in both.
        pair_seeds: row i of both shares a seed; else each is drawn for itself, and the numbers of
            rows may differ.
        draws: how often seeds and images are drawn anew, with replacement, each for itself.
        seed: of the draws.

    Of n seeds, n − 1 are drawn (McCarthy 1969; all of n would give (n − 1)/n of their variance).
    The interval is the mean ± t times the deviation of the draws, with Satterthwaite's degrees of
    freedom from the shares of seeds and images: with few seeds, quantiles of the draws would be too
    narrow. Simulated coverage of 95 %: 94 to 98 % (tests). n is the number of seeds (of the method
    with fewer). ValueError for fewer than two seeds or images.
    """
    a, b = _array("correct_a", correct_a), _array("correct_b", correct_b)
    for name, x in (("correct_a", a), ("correct_b", b)):
        need(
            x.ndim == 2 and min(x.shape) >= 2 and np.isfinite(x).all(),
            f"{name} has shape {list(x.shape)}: expected finite values [seeds, images], two or more"
            " of each",
        )
    same = a.shape == b.shape if pair_seeds else a.shape[1] == b.shape[1]
    expected = "the same test images" + (" and the same seeds" if pair_seeds else "")
    need(same, f"correct_a {list(a.shape)}, correct_b {list(b.shape)}: expected {expected}")
    check_whole(100, draws=draws)
    size = max(np.abs(a).max(), np.abs(b).max())
    unit = _unit(size)
    a, b = a * unit, b * unit
    samples = [a - b] if pair_seeds else [a, -b]
    images = a.shape[1]
    by_image = sum(x.mean(0) for x in samples)
    mean = by_image.mean()

    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for i in range(draws):
        chosen = rng.integers(images, size=images)
        seeds = [rng.integers(len(x), size=len(x) - 1) for x in samples]
        drawn = sum(x[rows].mean(0) for x, rows in zip(samples, seeds, strict=True))
        means[i] = drawn[chosen].mean()

    parts = [by_image.var(ddof=1) / images] + [x.mean(1).var(ddof=1) / len(x) for x in samples]
    freedom = _satterthwaite(parts, [images - 1] + [len(x) - 1 for x in samples])
    error, n = means.std(ddof=1), min(len(a), len(b))
    return _student(mean, error, freedom, n, confidence, size=size, unit=unit)


def right_as_text(right, images: int) -> str:
    """Which test views were right, bool [views], as text for a column of a table: views/6 letters.

    View i is of image i modulo `images`, as those of `protocol.fresh_views` are.
    """
    right = _array("right", right)
    known = right.ndim == 1 and np.isin(right, (0, 1)).all()
    need(known, f"right {right!r:.60}: expected True or False for each view")
    need(len(right) >= 1 <= images, f"{len(right)} views of {images} images: expected some of both")
    bits = base64.b64encode(np.packbits(right > 0).tobytes()).decode()
    return f"{len(right)}:{images}:{bits}"


def right_by_image(column: Iterable[str]) -> np.ndarray:
    """The share of each image's views that were right, [seeds, images], for `bootstrap`.

    `column` holds what `right_as_text` wrote, a text a seed; images without a view are left out.
    ValueError for anything else, or for texts of different views.
    """
    found, sizes = [], set()
    for text in column:
        try:
            views, images, bits = text.split(":")
            packed = np.frombuffer(base64.b64decode(bits, validate=True), np.uint8)
            right = np.unpackbits(packed)[: int(views)]
            whole = int(views) >= 1 <= int(images) and len(packed) == -(-int(views) // 8)
            need(whole, f"{len(packed)} bytes of BITS")
        except (AttributeError, ValueError) as error:
            raise ValueError(f"{text!r:.40}: expected VIEWS:IMAGES:BITS ({error})") from None
        sizes.add((views, images))
        need(len(sizes) == 1, f"texts of different views: {sorted(sizes)} of VIEWS, IMAGES")
        of = np.arange(len(right)) % int(images)
        found.append(np.bincount(of, right) / np.bincount(of))
    return np.array(found)


def holm(p) -> np.ndarray:
    """p values [m] of a family, adjusted (Holm 1979).

    Who rejects those at or below α is wrong about *any* of the family with probability at most α.
    """
    p = _probabilities(p)
    order, m = np.argsort(p, kind="stable"), len(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(m, 0, -1)).clip(max=1)
    adjusted = np.empty(m)
    adjusted[order] = stepped
    return adjusted


def benjamini_hochberg(p) -> np.ndarray:
    """p values [m] of a family, adjusted (Benjamini & Hochberg 1995).

    Of those at or below α, the expected share of false ones is at most α, if the tests are
    independent or positively dependent.
    """
    from scipy.stats import false_discovery_control

    return false_discovery_control(_probabilities(p), method="bh")


def verdict(found: Interval | None, margin: float = 0.0) -> str:
    """What an interval of a − b allows to say, one of `WORDS`.

    "equivalent" where all of it lies within ±`margin`, the largest difference that nobody would
    care for; else "better" where all of it is above 0, "worse" where all is below; else, and where
    there is no interval, "undecided". A 95 % interval makes "equivalent" two one-sided tests at
    2.5 % each. Without a margin nothing is ever equivalent: not to see a difference is not to see
    that there is none.
    """
    check_not_negative(margin=margin)
    if found is None:
        return "undecided"
    within = margin * (1 - _ROUNDING)  # an end on the margin is not within it, however it rounds
    if margin and -within < found.low and found.high < within:
        return "equivalent"
    return "better" if found.low > 0 else "worse" if found.high < 0 else "undecided"


def compare(
    rows: pd.DataFrame,
    contrasts: Iterable[tuple[str, str, str]],
    by: str = "method",
    margin: float = 0.0,
    pairs: bool = True,
    within: str | None = None,
) -> pd.DataFrame:
    """One family of comparisons (a, b, column), each in every value of the column `within`.

    A line a comparison, in their order: the value of `within`, a, b, column, "interval" (the
    `Interval` of a − b), its mean, low, high, n and r (`Interval.correlation`), p, "p (Holm)" and
    "p (BH)", adjusted over the family, "verdict", that of the interval, and "verdict (Holm)": the
    same, but "undecided" where "better" or "worse" does not survive Holm's adjustment at 5 %.
    Comparisons without rows are left out. `pairs=False` compares by `unpaired`.
    """
    kind, lines = paired if pairs else unpaired, []
    parts = {None: rows}
    if within is not None:
        _check_columns(rows, within)
        parts = dict(iter(rows.groupby(within, sort=False, dropna=False)))
    contrasts = list(contrasts)
    for value, part in parts.items():
        for a, b, column in contrasts:
            found = kind(part, a, b, column, by) if column in part else None
            if found is not None:
                line = {} if within is None else {within: value}
                line |= {"a": a, "b": b, "column": column, "interval": found, **vars(found)}
                lines.append(line | {"r": found.correlation})
    names = [within] if within else []
    names += ["a", "b", "column", "interval", "mean", "low", "high", "n", "r", "p"]
    table = pd.DataFrame(lines, columns=names)
    table["p (Holm)"] = holm(table["p"]) if lines else []
    table["p (BH)"] = benjamini_hochberg(table["p"]) if lines else []
    table["verdict"] = [verdict(found, margin) for found in table["interval"]]
    lost = table["verdict"].isin(["better", "worse"]) & (table["p (Holm)"] > 0.05)
    table["verdict (Holm)"] = table["verdict"].mask(lost, "undecided")
    return table


def tally(found: pd.DataFrame, by: str | list[str] = "column") -> pd.DataFrame:
    """How many of the comparisons of `compare` came out how, a line for each value of `by`.

    The columns are `WORDS`, below "interval" by the interval alone, below "after Holm" adjusted.
    """
    names = [by] if isinstance(by, str) else by
    keys = [found[name] for name in names]
    kinds = {"interval": "verdict", "after Holm": "verdict (Holm)"}
    counts = {
        title: pd.DataFrame(
            {word: (found[kind] == word).groupby(keys, sort=False).sum() for word in WORDS}
        )
        for title, kind in kinds.items()
    }
    return pd.concat(counts, axis=1)


def _of_mean(d: np.ndarray, size: float, confidence: float = 0.95) -> Interval:
    """Student's interval around the mean of d [n], differences of values as large as `size`."""
    unit = _unit(size)
    d = d * unit
    error = d.std(ddof=1) / len(d) ** 0.5 if len(d) > 1 else math.inf
    return _student(d.mean(), error, len(d) - 1, len(d), confidence, size=size, unit=unit)


def _student(
    mean: float,
    error: float,
    freedom: float,
    n: int,
    confidence: float = 0.95,
    *,
    size: float,
    unit: float,
) -> Interval:
    """(mean ± t · error)/unit. No error known (infinite): all numbers, and p = 1.

    An error that is rounding, of values as large as `size`, is 0, and so is such a mean beside it.
    """
    from scipy.stats import t

    need(0 < confidence < 1, f"confidence={confidence}: expected a number between 0 and 1")
    mean, rounding = float(mean), _ROUNDING * float(size) * unit
    if math.isinf(error):
        return Interval(mean / unit, -math.inf, math.inf, n, 1.0)
    if error <= rounding:
        error, mean = 0.0, mean if abs(mean) > rounding else 0.0
    half = float(t.ppf((1 + confidence) / 2, freedom) * error) if error else 0.0
    p = float(2 * t.sf(abs(mean) / error, freedom)) if error else float(mean == 0)
    return Interval(mean / unit, (mean - half) / unit, (mean + half) / unit, n, p)


def _unit(size: float) -> float:
    """What to multiply values as large as `size` by, so that fourth powers are neither 0 nor inf.

    A power of two, which rounds nothing; 1 for all but the oddest values.
    """
    if size == 0 or 1e-50 < size < 1e50:
        return 1.0
    return math.ldexp(1.0, -max(-1000, min(1000, math.frexp(size)[1])))


def _satterthwaite(variances, freedoms) -> float:
    """Degrees of freedom of a sum of independent estimates of variance."""
    variances, freedoms = np.asarray(variances), np.asarray(freedoms)
    if not variances.sum():
        return float(freedoms.sum())
    return float(variances.sum() ** 2 / (variances**2 / freedoms).sum())


def _check_columns(rows: pd.DataFrame, *names: str) -> None:
    for name in names:
        need(name in rows, unknown("column", name, map(str, rows.columns)))


def _array(name: str, values) -> np.ndarray:
    """Numbers as floats; ValueError for whole ones that floats merge, and for anything else."""
    array = as_array(values, name)
    need(
        array.dtype != np.int64 or ((array >= -(2**53)) & (array <= 2**53)).all(),
        f"{name} hold whole numbers beyond ±2^53, which floats merge: take the least off",
    )
    return array.astype(float)


def _sample(name: str, values) -> np.ndarray:
    values = _array(name, values)
    need(
        values.ndim == 1 and len(values) > 0 and np.isfinite(values).all(),
        f"{name} {values!r}: expected one number or more, none of them NaN or infinite",
    )
    return values


def _probabilities(p) -> np.ndarray:
    p = _array("p values", p)
    need(
        p.ndim == 1 and len(p) > 0 and bool(((p >= 0) & (p <= 1)).all()),
        f"p values {p!r}: expected one or more, each between 0 and 1",
    )
    return p

"""What a sweep's rows say of its claims: NAME.claims.csv, beside NAME.csv.

A claim is written before its rows. Whether it was is read from Git: the rows carry the commit that
they were made at, and the claim must stand in NAME.yaml there, in the same words, and so must their
runs; the claim also where earlier rows of its seeds were made, which an earlier NAME.csv had. One
that does not is exploratory: rows may have suggested it.
"""

from __future__ import annotations

import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mdlib.checks import need, unknown
from mdlib.io import atomic_write
from mdlib.notebook.chapters import Chapter
from mdlib.notebook.provenance import CHANGED
from mdlib.sweep import rowfile
from mdlib.sweep.claim import Claim, Side, as_text, claims_of, fits
from mdlib.sweep.spec import Point, Spec, runs_of

if TYPE_CHECKING:
    import pandas as pd

    from mdlib.evaluation.statistics import Interval

LEVEL = 0.05
BLIND = "can't be looked at here"  # a commit of which this clone knows nothing
_SIDES: tuple[Side, Side] = ("a", "b")
_UNASKED = {"says", "source", "kind"}  # what a sibling may change: none of it is in its p value
# the file's columns of numbers; all others are text, whatever it looks like
_NUMBERS = ("a − b", "low", "high", "n", "p", "p (Holm)")


def claims_path(spec: Spec) -> Path:
    """NAME.claims.csv, beside NAME.yaml."""
    return spec.path.with_suffix(".claims.csv")


def read_verdicts(path: Path) -> pd.DataFrame:
    """A file NAME.claims.csv as it is. Raises ValueError, which names it, if it is none."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        need(isinstance(frame.index, pd.RangeIndex), "a row has more cells than the first")
        numbers = [name for name in _NUMBERS if name in frame]
        return frame.assign(**{n: pd.to_numeric(frame[n]) for n in numbers}).set_index("claim")
    except (ValueError, KeyError, TypeError) as error:  # as pandas is surprised
        raise ValueError(f"{path} holds no verdicts ({error}): mdlib collect") from None


def verdicts(spec: Spec, rows: pd.DataFrame) -> pd.DataFrame:
    """What the rows of a sweep's table say of each of its claims, by the claims' ids.

    The interval of a − b is Student's at 95 %, of pairs by seed or of two samples. Where all of it
    is within ±`equivalent_within`, the verdict is *equivalent*. Else, of "better" with a margin m,
    a − b > m, it is *holds* where all of the interval is above m, *fails* where all is below, and
    *undecided* elsewhere. p is that of the verdict's own test, and a verdict for which it is above
    5 % when adjusted (Holm) over the claims of its family is *undecided*. Of *undecided*, nothing
    follows.

    Raises ValueError for a column that the table doesn't have, and for several rows of one seed.
    """
    import pandas as pd

    lines = {one: _line(spec, one, claim, rows) for one, claim in spec.claims.items()}
    frame = pd.DataFrame.from_dict(lines, orient="index").rename_axis("claim")
    return frame if frame.empty else _adjusted(frame)


def verdict_anew(spec: Spec, name: str, rows: pd.DataFrame, kept: pd.DataFrame) -> pd.Series:
    """What other rows say of one claim; adjusted with the rest of its family as it is in `kept`."""
    import pandas as pd

    line = pd.DataFrame([_line(spec, name, spec.claims[name], rows)], index=[name])
    family = kept[kept["family"] == line["family"].iloc[0]].drop(index=name, errors="ignore")
    return _adjusted(pd.concat([line, family[list(line)]])).loc[name]


def _adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    from mdlib.evaluation import statistics

    for _, family in frame.groupby("family"):
        frame.loc[family.index, "p (Holm)"] = statistics.holm(family["p"])
    frame["verdict"] = frame["verdict"].mask(frame["p (Holm)"] > LEVEL, "undecided")
    return frame


def agree(kept: pd.DataFrame, anew: pd.DataFrame) -> bool:
    """Are verdicts that were kept those of today? A clone without history can't say which claims
    were written before their rows, and there that is not asked."""
    from pandas.testing import assert_frame_equal

    blind = anew.index[anew["because"].str.endswith(BLIND)] if len(anew) else []
    kept, anew = (frame.copy() for frame in (kept, anew))
    try:
        for frame in (kept, anew):
            frame.loc[blind, ["kind", "because"]] = ""
        assert_frame_equal(kept, anew, check_dtype=False, rtol=1e-4, atol=1e-6)
    except (AssertionError, KeyError):
        return False
    return True


def write(spec: Spec, said: pd.DataFrame) -> None:
    """NAME.claims.csv with these verdicts; without claims, there is none."""
    if said.empty:
        claims_path(spec).unlink(missing_ok=True)
        return
    with atomic_write(claims_path(spec)) as temporary:
        said.to_csv(temporary)


def rows_of(claim: Claim, side: Side, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the claim's setting `side`, "a" or "b"."""
    for key, value in claim.settings.get(side, {}).items():
        need(key in rows, unknown("column", key, rows.columns))
        value = value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
        rows = rows[rows[key].isna() if value is None else rows[key] == value]
    return rows


def rows_behind(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of both settings of the claim."""
    import pandas as pd

    return pd.concat([rows_of(claim, side, rows) for side in claim.settings])


def effect(one: pd.Series) -> str:
    """A verdict's difference with its interval."""
    from mdlib.evaluation.statistics import Interval

    return str(Interval(one["a − b"], one["low"], one["high"], n=0, p=1.0))


def seedwise(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    """The claim's numbers as they are compared: "seed", "a" and "b", and their difference."""
    sides = [_values(claim, side, rows).set_index("seed")["value"] for side in _SIDES]
    found = sides[0].to_frame("a").join(sides[1].rename("b"), how="outer").sort_index()
    return found.assign(**{"a − b": found["a"] - found["b"]}).reset_index()


def _line(spec: Spec, name: str, claim: Claim, rows: pd.DataFrame) -> dict[str, Any]:
    import pandas as pd

    from mdlib.evaluation import statistics

    missing = _missing(spec, claim, rows)
    try:
        for side, setting in claim.settings.items():
            there = missing or len(rows_of(claim, side, rows))
            need(there, f"no row is of {side}, {setting!r}, though all runs are done")
        sides = [_values(claim, side, rows) for side in _SIDES]
        kind = statistics.paired if claim.pairs else statistics.unpaired

        def over(shift: float) -> Interval | None:
            """The interval of a − b − shift."""
            moved = sides[0].assign(value=sides[0]["value"] - shift)
            return kind(pd.concat([moved, sides[1]]), "a", "b", "value", "side")

        word, p = _verdict(claim, over)
        found = over(0.0) or statistics.Interval(float("nan"), float("nan"), float("nan"), 0, p)
    except ValueError as error:
        raise ValueError(f"{spec.path}: claim {name!r}: {error}") from None
    used = rows_behind(claim, rows)
    commits = _distinct(used, "run_commit")
    why = ""
    if claim.kind == "confirmatory":
        why = missing or _changed(spec, name, claim, used, commits or ["unknown"])
        why = why or _seen(spec, name, claim, used)
    return {
        "says": claim.says,
        "verdict": word,
        "expected": _expected(claim),
        **{"a − b": found.mean, "low": found.low, "high": found.high, "n": found.n},
        "p": p,
        "p (Holm)": p,
        "family": claim.family,
        "kind": "exploratory" if why else claim.kind,
        "because": why,
        **{key: ", ".join(_distinct(used, key)) for key in ("dataset", "run_device")},
        "run_commit": ", ".join(commits),
    }


def _expected(claim: Claim) -> str:
    """What a − b is to be."""
    sign = {"better": "> ", "worse": "< −" if claim.margin else "< ", "equivalent": "within ±"}
    more = f" (equal: ±{claim.equivalent_within:g})" if claim.equivalent_within else ""
    return f"{sign[claim.expected]}{claim.margin:g}{more}"


def _distinct(rows: pd.DataFrame, column: str) -> list[str]:
    return [str(value) for value in rows[column].dropna().unique()] if column in rows else []


def _values(claim: Claim, side: Side, rows: pd.DataFrame) -> pd.DataFrame:
    """ "side", "seed" and "value" of one of the two; a number is one for each seed of a."""
    from pandas.api.types import is_numeric_dtype

    number = isinstance(claim.b, float) and side == "b"
    column, rows = claim.column("a" if number else side), rows_of(claim, side, rows)
    if number:
        rows = rows_of(claim, "a", rows)
    need(column in rows, unknown("metric", column, rows.columns))
    need(is_numeric_dtype(rows[column]), f"{column!r} has words: expected a column of numbers")
    seed = _seeds(rows).name
    rows = rows[rows[column].notna()]
    if (twice := rows[seed].duplicated(keep=False)).any():
        differ = [name for name in rows if rows.loc[twice, name].astype(str).nunique() > 1]
        differ = [name for name in differ if not is_numeric_dtype(rows[name]) and name != "run"]
        message = f"{side} has several rows of seed {rows.loc[twice, seed].iloc[0]}"
        raise ValueError(f"{message}: say also which {' or '.join(differ) or 'of them'}")
    found = rows[[seed, column]].set_axis(["seed", "value"], axis=1).astype({"value": float})
    found = found.assign(side=side)
    return found.assign(value=claim.b) if number else found


def _verdict(claim: Claim, over) -> tuple[str, float]:
    """The verdict of the interval alone, and the p value that it must keep when adjusted."""
    from mdlib.evaluation.statistics import verdict

    if (found := over(0.0)) is None:
        return "undecided", 1.0
    margin, near = claim.margin, claim.equivalent_within or 0.0
    if claim.expected == "equivalent":
        below, above = over(margin), over(-margin)
        outside = verdict(below) == "better" or verdict(above) == "worse"
        within = verdict(found, margin) == "equivalent"
        return "holds" if within else "fails" if outside else "undecided", max(below.p, above.p)
    if verdict(found, near) == "equivalent":
        return "equivalent", max(over(near).p, over(-near).p)
    test = over(margin if claim.expected == "better" else -margin)
    words = {"undecided": "undecided", claim.expected: "holds"}
    return words.get(verdict(test), "fails"), test.p


def _missing(spec: Spec, claim: Claim, rows: pd.DataFrame) -> str:
    """Runs of the claim that have no rows, of which one might have looked at the rest; or ""."""
    settings, parameters = claim.settings.values(), spec.chapter.parameters
    known = [{k: v for k, v in one.items() if k in parameters} for one in settings]
    wanted = {p.number for p in spec.points if any(fits(p.parameters, one) for one in known)}
    if not (left := sorted(wanted.difference(rows.get("number", ())))):
        return ""
    return f"{len(left)} of its runs have no rows: {', '.join(map(str, left[:10]))}"


def _changed(spec: Spec, name: str, claim: Claim, used: pd.DataFrame, commits: list[str]) -> str:
    """Why a claim is not one that was written before its rows, `used`, and earlier ones, as their
    commits have it; "" if it was."""
    for commit in commits:
        short = commit[:9]
        if commit.endswith(CHANGED):
            return f"its rows were made with changes that commit {short} does not have"
        try:
            old, runs = _file_at(spec.path, commit, spec.chapter)
        except (OSError, subprocess.SubprocessError):
            return f"commit {short} of its rows {BLIND}"
        if name not in old:
            return f"it was not there at {short}, the commit of its rows"
        if _parsed(old[name]) != claim:
            return f"it was another one at {short}, the commit of its rows"
        gone = [other for other in old if other not in spec.claims]
        if gone:  # Holm's adjustment would not know of what was tried
            return f"{', '.join(gone)} was there at {short}, the commit of its rows, and is no more"
        parsed = {other: _parsed(values) for other, values in old.items()}
        family = {o: was for o, was in parsed.items() if not was or was.family == claim.family}
        if others := [o for o, was in family.items() if _asks(was) != _asks(spec.claims[o])]:
            return f"{', '.join(others)} of its family was another one at {short}"
        for number in used.loc[used["run_commit"] == commit, "number"].unique():
            if as_text(spec.points[number - 1].parameters) not in runs:
                return f"{spec.path.name} had no such run as {number} at {short}, its commit"
    return ""


def _parsed(values: Any) -> Claim | None:
    """A claim as a file has it; None where it makes no sense to this version."""
    try:
        return Claim.model_validate(values)
    except ValidationError:
        return None


def _asks(claim: Claim | None) -> dict[str, Any] | None:
    """What a claim's p value is of, and with which others it is adjusted."""
    return None if claim is None else claim.model_dump(exclude=_UNASKED)


def _seen(spec: Spec, name: str, claim: Claim, used: pd.DataFrame) -> str:
    """Why earlier rows of the claim's settings and seeds, which NAME.csv had once, may have
    suggested it; "" if they did not."""
    path = spec.path.with_suffix(".csv")
    defaults = {one: p.default for one, p in spec.chapter.parameters.items()}
    defaults = rowfile.settings(Point(0, defaults)).items()
    seeds, found = set(_seeds(used)), {}
    try:
        for rows in _revisions(path, frozenset(_distinct(used, "run_commit"))):
            # a parameter that the chapter got since then has had its default
            rows = rows.assign(**{one: value for one, value in defaults if one not in rows})
            with suppress(ValueError):  # of other columns: of something else
                before = rows_behind(claim, rows)
                found |= dict.fromkeys(_distinct(before[_seeds(before).isin(seeds)], "run_commit"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return f"what {path.name} was before {BLIND}"
    return _changed(spec, name, claim, used, [*found])


def _seeds(rows: pd.DataFrame) -> pd.Series:
    """The seeds that rows were made with."""
    need("seed" in rows, "the rows have no seed, and a claim's n are seeds")
    return rows["seed (used)" if "seed (used)" in rows else "seed"]


@cache
def _revisions(path: Path, known: frozenset[str]) -> list[pd.DataFrame]:
    """The tables that were committed as this file, the newest first, if they have rows of commits
    that are not `known`."""
    import pandas as pd

    there = ("--format=%H", "--diff-filter=AM")  # not where it was deleted
    commits = _git(path.parent, "log", *there, "--", path.name).split()
    texts = (_git(path.parent, "show", f"{commit}:./{path.name}") for commit in commits)
    frames = (pd.DataFrame(rowfile.parse(text)) for text in texts)
    return [frame for frame in frames if not known.issuperset(_distinct(frame, "run_commit"))]


@cache
def _file_at(path: Path, commit: str, chapter: Chapter) -> tuple[dict[str, Any], set[str]]:
    """The claims and the runs in a sweep's file at a commit, none if it was not there; an error
    where there is no such commit here."""
    _git(path.parent, "cat-file", "-e", f"{commit}^{{commit}}")
    try:
        text = _git(path.parent, "show", f"{commit}:./{path.name}")
    except subprocess.CalledProcessError:
        return {}, set()
    return claims_of(text), runs_of(text, chapter)


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout

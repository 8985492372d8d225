"""A claim of a sweep's file: what it may say, and what is wrong with it before any row is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from mdlib.checks import unknown
from mdlib.io import read_text
from mdlib.notebook import chapters
from mdlib.notebook.chapters import Chapter
from mdlib.sweep.plain_yaml import Loader

if TYPE_CHECKING:
    from mdlib.sweep.spec import Point

Where = tuple[str | int, ...]  # the way to a value in the file: ("grid", "rate", 1)
Side = Literal["a", "b"]  # of a claim: it is about a − b


class Claim(BaseModel):
    """What the rows are asked to show, written before they are: a − b in a column of the table."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    says: Annotated[str, Field(min_length=1)]  # in our words
    source: str | list[str] = []  # whose claim it is, as keys of the bibliography; none: our own
    metric: str | dict[Side, str]
    # parameters' values, and words that a run records with its rows: together, one row a seed
    a: dict[str, Any] = {}
    b: dict[str, Any] | Annotated[float, Field(allow_inf_nan=False)] = {}
    pairs: bool = True  # by seed; else two samples
    expected: Literal["better", "worse", "equivalent"] = "better"  # of a − b: larger, smaller
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    equivalent_within: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    family: str = ""  # whose claims are adjusted together
    kind: Literal["confirmatory", "exploratory"] = "confirmatory"

    @property
    def settings(self) -> dict[Side, dict[str, Any]]:
        """a and b, or a alone where b is a number."""
        return {"a": self.a, "b": self.b} if isinstance(self.b, dict) else {"a": self.a}

    def column(self, side: Side) -> str:
        return self.metric if isinstance(self.metric, str) else self.metric[side]


EXPECTS = {  # where pydantic would say a line for each of the kinds that a value may have
    "source": "a key of the bibliography, or a list of them",
    "metric": "the name of a column, or {a: COLUMN, b: COLUMN}",
    "a": "a setting, {NAME: VALUE, …}",
    "b": "a setting, {NAME: VALUE, …}, or a number",
    "equivalent_within": "a number above 0",
}


def unfit(where: Where, error: Any, claim: dict) -> str:
    """What pydantic has against a claim, in the words of the file."""
    key = str(where[2])
    if error["type"] == "extra_forbidden":
        return unknown("key", key, Claim.model_fields)
    if error["type"] == "missing":
        return f"claim {where[1]!r} has no {key!r}"
    expected = EXPECTS.get(key, error["msg"].replace("Input should be ", ""))
    return f"{key} is {claim.get(key, error['input'])!r}: expected {expected}"


@dataclass(frozen=True)
class Checker:
    """Holds claims against the runs of their sweep; what is wrong goes to `wrong`."""

    chapter: Chapter
    points: list[Point]
    record: list[str]
    fits: Callable[[Where, str, Any], Any]  # a parameter's value as its chapter has it
    wrong: Callable[[Where, str], None]
    problems: list[str]  # that were found so far

    def check(self, name: str, claim: Claim) -> None:
        """What no rows are needed for: a and b name runs, one a seed, and differ."""
        where = ("claims", name)
        if isinstance(claim.metric, dict) and len(claim.metric) < 2:
            expected = EXPECTS["metric"]
            self.wrong((*where, "metric"), f"metric is {claim.metric!r}: expected {expected}")
            return
        if claim.a == claim.b and claim.column("a") == claim.column("b"):
            self.wrong(where, "a and b are the same: expected two settings, or two columns")
        if isinstance(claim.b, float) and not claim.pairs:
            self.wrong((*where, "pairs"), "b is a number: leave `pairs` out")
        if isinstance(claim.b, float) and isinstance(claim.metric, dict):
            self.wrong((*where, "metric"), "b is a number: expected the name of one column, a's")
        near = claim.equivalent_within or 0.0
        if near > claim.margin > 0 and claim.expected != "equivalent":
            message = f"expected at most the margin, {claim.margin:g}, or no margin"
            self.wrong((*where, "equivalent_within"), f"equivalent_within is {near:g}: {message}")
        if claim.expected == "equivalent":
            if not claim.margin:
                message = "a margin above 0, the largest difference that counts for nothing"
                self.wrong((*where, "margin"), f"margin is {claim.margin}: expected {message}")
            if claim.equivalent_within:
                message = "`expected: equivalent` has its margin: leave this out"
                self.wrong((*where, "equivalent_within"), message)
        for side in ("a", "b"):
            column = claim.column(side)
            if column in self.chapter.parameters:
                message = f"{column!r} is a parameter: expected what the chapter measures"
                self.wrong((*where, "metric"), message)
            elif self.record and column not in self.record:
                message = unknown("metric", column, self.record)
                self.wrong((*where, "metric"), f"not in `record`: {message}")
        for side, setting in claim.settings.items():
            self._check_setting((*where, side), setting)
        if not self.problems:
            self._check_both(where, claim)

    def _check_both(self, where: Where, claim: Claim) -> None:
        """That the two settings, if they are of parameters alone, are of other runs or columns; and
        of seeds that can be paired."""
        if not isinstance(claim.b, dict) or not {*claim.a, *claim.b} <= {*self.chapter.parameters}:
            return

        def seeds(setting: dict[str, Any]) -> dict[int, Any]:
            found = [(p.number, p.parameters) for p in self.points]
            return {n: p.get("seed") for n, p in found if fits(p, setting)}

        a, b = seeds(claim.a), seeds(claim.b)
        if a == b and claim.column("a") == claim.column("b"):
            message = f"a and b are both runs {', '.join(map(str, list(a)[:5]))}"
            self.wrong(where, f"{message}: expected two settings, or two columns")
        elif claim.pairs and not {*a.values()} & {*b.values()}:
            message = "a and b have no seed in common: expected pairs, or `pairs: false`"
            self.wrong((*where, "pairs"), message)

    def _check_setting(self, where: Where, setting: dict[str, Any]) -> None:
        given = {key: value for key, value in setting.items() if key in self.chapter.parameters}
        for key, value in given.items():
            given[key] = setting[key] = self.fits((*where, key), key, value)
            if all(point.parameters.get(key) != given[key] for point in self.points):
                there = sorted({as_text(point.parameters.get(key)) for point in self.points})
                message = f"no run has {key} = {value!r}: expected one of {', '.join(there)}"
                self.wrong((*where, key), message)
        of_seed: dict[Any, int] = {}
        there = [point for point in self.points if fits(point.parameters, given)]
        if not (there or self.problems):
            self.wrong(where, f"no run has all of {setting!r}")
        for point in there if len(given) == len(setting) else []:
            seed = point.parameters.get("seed")
            if (other := of_seed.setdefault(seed, point.number)) != point.number:
                values = point.parameters, self.points[other - 1].parameters
                differ = [
                    key for key in point.parameters if len({as_text(v[key]) for v in values}) > 1
                ]
                message = f"runs {other} and {point.number} are both {setting!r} of seed {seed}"
                self.wrong(where, f"{message}: say also {' and '.join(differ)}")
                break


def fits(parameters: dict[str, Any], setting: dict[str, Any]) -> bool:
    """Are the parameters of a run those of a claim's setting, as far as that names them?"""
    return all(parameters.get(key) == value for key, value in setting.items())


def check_ids(path: Path, claims: dict[str, Claim], wrong: Callable[[Where, str], None]) -> None:
    """Every source is in the book's bibliography, and no id in another sweep beside `path`."""
    if not claims:
        return
    known, cited = None, Path()
    with suppress(FileNotFoundError):  # a sweep of one's own, where no book is
        cited = chapters.root() / "book" / "references.bib"
        known = sources(cited) if cited.is_file() else None
    for name, claim in claims.items():
        for source in [claim.source] if isinstance(claim.source, str) else claim.source:
            if known is not None and source not in known:
                message = unknown("source", source, known)
                wrong(("claims", name, "source"), f"{message} in {cited}")
    for other in sorted(path.parent.glob("*.yaml")):
        for name in claims_of(other, claims) if other.resolve() != path.resolve() else {}:
            if name in claims:
                message = f"claim {name!r} is in {other.name} too: expected an id of its own"
                wrong(("claims", name), message)


def sources(bibliography: Path) -> set[str]:
    """The keys of a .bib file."""
    return set(re.findall(r"^@\w+\{(.+),", read_text(bibliography), re.MULTILINE))


def claims_of(text: Path | str, ids: Iterable[str] = ("",)) -> dict[str, Any]:
    """The claims in a sweep's file, or in its text, unchecked; none where it makes no sense.

    Who looks for some `ids` only says so: a text that has none of them is not parsed, which takes a
    hundred times as long as to read it. (A backslash may spell an id in another way.)
    """
    try:
        content = read_text(text) if isinstance(text, Path) else text
        there = "claims:" in content and any(one in content for one in (*ids, "\\"))
        found = yaml.load(content, Loader)["claims"] if there else {}
        return found if isinstance(found, dict) else {}
    except (ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return {}


def as_text(value: Any) -> str:
    """A value as text that is the same for equal values and differs between types."""
    return json.dumps(value, sort_keys=True, default=repr)

"""What to run: ``notebooks/sweeps/NAME.yaml``, checked to the last value before anything starts."""

from __future__ import annotations

import itertools
import math
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from yaml.reader import ReaderError

from mdlib.checks import unknown
from mdlib.io import check_no_conflict
from mdlib.notebook import chapters, data_checks, execution
from mdlib.notebook.chapters import Chapter
from mdlib.sweep.claim import Checker, Claim, Where, as_text, check_ids, unfit
from mdlib.sweep.plain_yaml import Loader

MOST_VALUES = 10**6  # in a file
MOST_RUNS = 10**5  # each is checked before the first starts
LONGEST = 2e6  # seconds; the system waits for no more at once
_OF_RUNS = ("chapter", "fixed", "grid", "points", "seeds")  # keys that say which runs there are
_COLUMNS = re.compile(r"number|sweep_done|run(_.*)?")  # of every table


class SpecError(ValueError):
    """A sweep that makes no sense: one line a problem, each with file and line."""


class Keys(BaseModel):
    """The keys of the file; only `chapter` is required."""

    model_config = ConfigDict(extra="forbid", strict=True)

    chapter: str  # a name, or a path seen from the file's folder
    fixed: dict[str, Any] = {}  # parameters of every run
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}  # lists: their product
    points: list[dict[str, Any]] = []  # or the runs one by one
    seeds: list[int] | Annotated[int, Field(ge=1)] | None = None  # each point with each; n: 0 … n-1
    record: list[str] = []  # the metrics to tabulate; none: all
    time_limit: Annotated[float, Field(gt=0, le=LONGEST)] | None = None  # seconds a run may take
    retries: Annotated[int, Field(ge=0)] = 1  # how often a failed run is tried again
    claims: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")], Claim] = {}

    def each_seed(self) -> list[int] | None:
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


@dataclass(frozen=True)
class Point:
    """One run of a sweep: its number, from 1, and all its parameters."""

    number: int
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Spec:
    """A sweep that was checked. `varying` names the parameters in which its points differ."""

    name: str
    path: Path
    chapter: Chapter
    points: list[Point]
    record: list[str]
    time_limit: float | None
    retries: int
    claims: dict[str, Claim]

    @property
    def called(self) -> str:
        """What commands take it by: its name, or, if it is not of the book, its path."""
        with suppress(FileNotFoundError):
            if self.path.parent == chapters.root() / "notebooks" / "sweeps":
                return self.name
        return shlex.quote(str(self.path))

    @property
    def varying(self) -> list[str]:
        def spread(name: str) -> bool:
            return len({as_text(point.parameters[name]) for point in self.points}) > 1

        return [name for name in self.chapter.parameters if spread(name)]


def find(name: str | os.PathLike) -> Path:
    """The file of a sweep: a path (.yaml, .yml), or NAME for ``notebooks/sweeps/NAME.yaml``.

    Raises ValueError if there is none, with the nearest names.
    """
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"{name!r} names no sweep: expected NAME, or the path of a .yaml")
    name = os.fspath(name)
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            raise ValueError(f"no sweep at {name}: there is no such file")
        return Path(name).resolve()
    folder = chapters.root() / "notebooks" / "sweeps"
    there = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if name not in there:
        raise ValueError(f"{unknown('sweep', name, there)} in {folder}")
    return there[name]


def load(
    name: str | os.PathLike, data_root: str | os.PathLike | None = None, need_data: bool = True
) -> Spec:
    """Read and check a sweep, by its name or path.

    Args:
        name: NAME for ``notebooks/sweeps/NAME.yaml``, or a path.
        data_root: where the data sets lie; None for the usual places.
        need_data: look whether the data sets are there; who only reads results need not have them.

    Raises:
        SpecError: unknown keys or parameters, values of a wrong type, unknown methods or data sets,
            an empty grid, points that are there twice; every problem with file and line.
        ValueError, OSError: there is no such sweep, or it cannot be read.
    """
    path = find(name)
    return _Reader(path, data_root, need_data).spec()


class _Reader:
    """Turns one file into a Spec, and collects what is wrong with it on the way."""

    def __init__(self, path: Path, data_root: str | os.PathLike | None, need_data: bool):
        self.path, self.data_root, self.need_data = path, data_root, need_data
        try:
            shown = path.relative_to(Path.cwd())
        except ValueError:
            shown = path
        self.shown, self.problems = shown, []
        self.sizes: dict[int, float] = {}  # of the file's nodes

    def spec(self) -> Spec:
        values = self.values = self._read()
        if not isinstance(values, dict):
            raise SpecError(f"{self.shown}:1: expected keys such as `chapter: NAME`")
        self._stop_if_wrong()
        keys = self._keys(values)
        chapter = self._chapter(keys.chapter)
        self._check_length(keys)
        seeds = keys.each_seed()
        self._check_shape(keys, seeds, chapter)
        self._stop_if_wrong()
        points = self._points(keys, chapter)
        self._stop_if_wrong()
        fits = partial(self._fits, chapter)
        checker = Checker(chapter, points, keys.record, fits, self._wrong, self.problems)
        for name, claim in keys.claims.items():
            checker.check(name, claim)
        check_ids(self.path, keys.claims, self._wrong)
        self._stop_if_wrong()
        given = keys.record, keys.time_limit, keys.retries, keys.claims
        return Spec(self.path.stem, self.path, chapter, points, *given)

    def _read(self) -> Any:
        """The file's content; its nodes, which know their lines, are kept in `root`."""
        content = self.path.read_bytes()
        try:
            text = content.decode()
            check_no_conflict(self.shown, text)
            self.root = yaml.compose(text, Loader)
            self._size(self.root or yaml.ScalarNode("", ""))
            return yaml.load(text, Loader)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            message = f"byte 0x{content[error.start]:02x} is no UTF-8: save the file as UTF-8"
        except ValueError as error:  # of a merge, with its line
            raise SpecError(str(error)) from None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            message = f"no YAML: {error.problem}"
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            message = f"no YAML: {error.reason} (character {error.character:#x})"
        except RecursionError:
            line, message = 1, "no YAML that can be read: lists within lists without end"
        raise SpecError(f"{self.shown}:{line}: {message}") from None

    def _wrong(self, where: Where, message: str) -> None:
        problem = f"{self.shown}:{self._line(where)}: {message}"
        if problem not in self.problems:
            self.problems.append(problem)

    def _stop_if_wrong(self) -> None:
        if self.problems:
            raise SpecError("\n".join(self.problems))

    def _line(self, where: Where) -> int:
        """The line of a value, or of the nearest thing around it that the file has."""
        node, line = self.root, 1
        for step in where:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if k.value == str(step)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line + 1, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line

    def _size(self, node: yaml.Node) -> float:
        """How many values a node holds, its aliases written out. Keys that are there twice are
        noted on the way."""
        if id(node) not in self.sizes:
            self.sizes[id(node)] = math.inf  # for an alias inside of what it repeats
            parts, seen = node.value if isinstance(node, yaml.SequenceNode) else [], set()
            for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
                if str(key.value) in seen:
                    line = key.start_mark.line + 1
                    self.problems.append(f"{self.shown}:{line}: {key.value!r} is there twice")
                seen.add(str(key.value))
                parts.append(value)
            self.sizes[id(node)] = 1 + sum(map(self._size, parts))
        if self.sizes[id(node)] > MOST_VALUES:
            line = node.start_mark.line + 1
            raise SpecError(f"{self.shown}:{line}: aliases (*) repeat values here without end")
        return self.sizes[id(node)]

    def _keys(self, values: dict) -> Keys:
        try:
            return Keys.model_validate(values)
        except ValidationError as error:
            for one in error.errors():
                where, key = one["loc"], str(one["loc"][-1])
                if where[0] == "claims" and key == "[key]" and len(where) == 3:
                    message = "expected an id such as `byol-needs-no-negatives`"
                    self._wrong(where[:2], f"claim {where[1]!r}: {message}")
                elif where[0] == "claims" and len(where) > 2:
                    claims = {str(name): claim for name, claim in values["claims"].items()}
                    self._wrong(where[:3], unfit(where, one, claims[str(where[1])]))
                elif one["type"] == "extra_forbidden":
                    self._wrong(where, unknown("key", key, Keys.model_fields))
                elif one["type"] == "too_short":
                    self._wrong(where, f"{key!r} of the grid has no values")
                elif one["type"] == "missing":
                    self._wrong(where, f"{key!r} is missing: say which chapter to run")
                elif where[0] == "seeds":
                    given = f"seeds is {values['seeds']!r}"
                    self._wrong(("seeds",), f"{given}: expected how many (1 or more), or a list")
                else:
                    name = ".".join(str(step) for step in where)
                    self._wrong(where, f"{name} is {one['input']!r}: {one['msg']}")
        raise SpecError("\n".join(self.problems))

    def _check_length(self, keys: Keys) -> None:
        seeds = keys.seeds if isinstance(keys.seeds, int) else len(keys.seeds or [0])
        runs = seeds * (len(keys.points) or math.prod(map(len, keys.grid.values())))
        if runs > MOST_RUNS:
            where = ("seeds",) if seeds > MOST_RUNS else ("grid",)
            self._wrong(
                where, f"these are {runs} runs, expected at most {MOST_RUNS}: leave some out"
            )
        self._stop_if_wrong()

    def _chapter(self, name: str) -> Chapter:
        try:
            if name.endswith((".py", ".ipynb")):  # from the file's folder, not from here
                name = str(self.path.parent / name)
            chapter = chapters.find(name)
            for taken in filter(_COLUMNS.fullmatch, chapter.parameters):  # read now, or ValueError
                message = "which is a column of every sweep's table: give it another name"
                raise ValueError(f"{chapter.path} has a parameter {taken!r}, {message}")
            return chapter
        except (ValueError, OSError) as error:
            self._wrong(("chapter",), str(error))
        raise SpecError("\n".join(self.problems))

    def _check_shape(self, keys: Keys, seeds: list[int] | None, chapter: Chapter) -> None:
        if keys.grid and keys.points:
            self._wrong(("points",), "give a grid or points, not both")
        for name in keys.grid.keys() & keys.fixed.keys():
            self._wrong(("grid", name), f"parameter {name!r} is in fixed and in the grid")
        if seeds is not None:
            if not seeds:
                self._wrong(("seeds",), "seeds is empty: leave it out, or name some")
            if len(set(seeds)) < len(seeds):
                self._wrong(("seeds",), "seeds names a seed twice")
            places = [("fixed",), ("grid",), *(("points", n) for n in range(len(keys.points)))]
            values = [keys.fixed, keys.grid, *keys.points]
            for where, there in zip(places, values, strict=True):
                if "seed" in there:
                    self._wrong((*where, "seed"), "seed is set here and by seeds: keep one of them")
            for n, seed in enumerate(seeds):
                self._fits(chapter, ("seeds", n), "seed", seed)
        for name, value in keys.fixed.items():
            self._fits(chapter, ("fixed", name), name, value)
        for name, values in keys.grid.items():
            seen = []
            for n, value in enumerate(values):
                text = as_text(self._fits(chapter, ("grid", name, n), name, value))
                if text in seen:
                    self._wrong(("grid", name, n), f"{name} = {value!r} is in the grid twice")
                seen.append(text)
        for n, point in enumerate(keys.points):
            for name, value in point.items():
                self._fits(chapter, ("points", n, name), name, value)

    def _fits(self, chapter: Chapter, where: Where, name: str, value: Any) -> Any:
        """`value` as its parameter has it; what is wrong with it by itself is noted."""
        try:
            if name == "out":
                raise ValueError("'out' is set by the sweep: leave it out")
            return chapter.parameter(name).conform(value)
        except ValueError as error:
            self._wrong(where, str(error))
            return value

    def _points(self, keys: Keys, chapter: Chapter) -> list[Point]:
        found: list[Point] = []
        seen: dict[str, int] = {}
        looked_at: set[Any] = set()  # data sets may be large: each is looked at once a setting
        named = [n for n, one in chapter.parameters.items() if "data set" in (one.domain or "")]
        looked_at_for = dict.fromkeys([*data_checks.LOOKED_AT, *named])
        for where, given, values in _product(keys):
            asked = tuple(repr(values.get(one)) for one in looked_at_for)
            need_data = self.need_data and asked not in looked_at
            looked_at.add(asked)
            try:
                full = execution.check(chapter, values, self.data_root, need_data)
            except (ValueError, OSError) as error:
                self._wrong(self._culprit(chapter, values, where, str(error)), str(error))
                continue
            number, text = len(found) + 1, as_text(full)
            if text in seen:
                self._wrong(where, f"run {number} is run {seen[text]} again: {given}")
            seen.setdefault(text, number)
            found.append(Point(number, full))
        return found

    def _culprit(self, chapter: Chapter, values: dict, where: Where, message: str) -> Where:
        """Where the file gives the value that is refused with this message by itself, too."""
        for name, value in values.items():
            try:
                execution.check(chapter, {name: value}, self.data_root, self.need_data)
            except (ValueError, OSError) as error:
                if str(error) == message:
                    return self._place(name, value, where)
        return where

    def _place(self, name: str, value: Any, where: Where) -> Where:
        """Where the file gives a parameter of a run that comes from `where`."""
        if where[0] == "points" and name in self.values["points"][where[1]]:
            return (*where, name)
        if name in (grid := self.values.get("grid", {})):
            return ("grid", name, grid[name].index(value))
        return ("fixed", name) if name in self.values.get("fixed", {}) else ("seeds",)


def runs_of(text: str, chapter: Chapter) -> set[str]:
    """The parameters of the runs in a sweep's file, as of an earlier commit, each as one text.

    Parameters that the chapter has no more are left out; there are none where it makes no sense.
    """
    found = set()
    with suppress(ValueError, TypeError, yaml.YAMLError, RecursionError):
        values = yaml.load(text, Loader)
        keys = Keys.model_validate({k: v for k, v in values.items() if k in _OF_RUNS})
        for _, _, given in _product(keys):
            with suppress(ValueError):
                known = {name: given[name] for name in given if name in chapter.parameters}
                found.add(as_text(execution.check(chapter, known, need_data=False)))
    return found


def _product(keys: Keys) -> Iterator[tuple[Where, dict[str, Any], dict[str, Any]]]:
    """The points in the file's order, else the grid's product with its last key the fastest; with
    each, and each seed, all values that the file gives."""
    if keys.points:
        points = [(("points", n), point) for n, point in enumerate(keys.points)]
    else:
        product = itertools.product(*keys.grid.values())
        points = ((("grid",), dict(zip(keys.grid, values, strict=True))) for values in product)
    seeds = keys.each_seed()
    for where, given in points:
        for seed in [None] if seeds is None else seeds:
            yield where, given, keys.fixed | given | ({} if seed is None else {"seed": seed})

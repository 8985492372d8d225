"""What to run: ``notebooks/sweeps/NAME.yaml``, checked to the last value before anything starts."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mdlib.checks import unknown
from mdlib.notebook import chapters, execution
from mdlib.notebook.chapters import Chapter

Where = tuple[str | int, ...]  # the way to a value in the file: ("grid", "rate", 1)


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
    time_limit: Annotated[float, Field(gt=0)] | None = None  # seconds a run may take
    retries: Annotated[int, Field(ge=0)] = 1  # how often a failed run is tried again


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

    @property
    def varying(self) -> list[str]:
        def spread(name: str) -> bool:
            return len({_text(point.parameters[name]) for point in self.points}) > 1

        return [name for name in self.chapter.parameters if spread(name)]


def find(name: str | os.PathLike) -> Path:
    """The file of a sweep: a path (.yaml, .yml), or NAME for ``notebooks/sweeps/NAME.yaml``.

    Raises ValueError if there is none, with the nearest names.
    """
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


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but 1e-3 is a number, as everybody expects."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


class _Reader:
    """Turns one file into a Spec, and collects what is wrong with it on the way."""

    def __init__(self, path: Path, data_root: str | os.PathLike | None, need_data: bool):
        self.path, self.data_root, self.need_data = path, data_root, need_data
        try:
            shown = path.relative_to(Path.cwd())
        except ValueError:
            shown = path
        self.shown, self.problems = shown, []
        self.checked: dict[str, dict[str, Any] | None] = {}

    def spec(self) -> Spec:
        text = self.path.read_text(encoding="utf-8")
        try:
            self.root = yaml.compose(text, _Loader)
            values = self.values = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            raise SpecError(f"{self.shown}:{line}: no YAML: {error.problem or error}") from None
        if not isinstance(values, dict):
            raise SpecError(f"{self.shown}:1: expected keys such as `chapter: NAME`")
        self._refuse_keys_that_are_there_twice(self.root)
        self._stop_if_wrong()
        keys = self._keys(values)
        chapter = self._chapter(keys.chapter)
        seeds = list(range(keys.seeds)) if isinstance(keys.seeds, int) else keys.seeds
        self._check_shape(keys, seeds, chapter)
        self._stop_if_wrong()
        points = self._points(keys, seeds, chapter)
        self._stop_if_wrong()
        return Spec(
            self.path.stem,
            self.path,
            chapter,
            points,
            keys.record,
            keys.time_limit,
            keys.retries,
        )

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

    def _refuse_keys_that_are_there_twice(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if key.value in seen:
                    line = key.start_mark.line + 1
                    self.problems.append(f"{self.shown}:{line}: {key.value!r} is there twice")
                seen.add(key.value)
                self._refuse_keys_that_are_there_twice(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                self._refuse_keys_that_are_there_twice(value)

    def _keys(self, values: dict) -> Keys:
        try:
            return Keys.model_validate(values)
        except ValidationError as error:
            for one in error.errors():
                where, key = one["loc"], str(one["loc"][-1])
                if one["type"] == "extra_forbidden":
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
        self._stop_if_wrong()

    def _chapter(self, name: str) -> Chapter:
        try:
            if name.endswith((".py", ".ipynb")):  # from the file's folder, not from here
                name = str(self.path.parent / name)
            return chapters.find(name)
        except (ValueError, OSError) as error:
            self._wrong(("chapter",), str(error))
        self._stop_if_wrong()

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
            self._fits(chapter, ("seeds",), "seed", seeds[0] if seeds else 0)
        for name, value in keys.fixed.items():
            self._fits(chapter, ("fixed", name), name, value)
        for name, values in keys.grid.items():
            seen = []
            for n, value in enumerate(values):
                text = _text(self._fits(chapter, ("grid", name, n), name, value))
                if text in seen:
                    self._wrong(("grid", name, n), f"{name} = {value!r} is in the grid twice")
                seen.append(text)
        for n, point in enumerate(keys.points):
            for name, value in point.items():
                self._fits(chapter, ("points", n, name), name, value)

    def _fits(self, chapter: Chapter, where: Where, name: str, value: Any) -> Any:
        """`value` in the type of its parameter; what is wrong with it is noted."""
        try:
            if name == "out":
                raise ValueError("'out' is set by the sweep: leave it out")
            return chapter.parameter(name).conform(value)
        except ValueError as error:
            self._wrong(where, str(error))
            return value

    def _points(self, keys: Keys, seeds: list[int] | None, chapter: Chapter) -> list[Point]:
        found: list[Point] = []
        seen: dict[str, int] = {}
        for where, values in _product(keys):
            for seed in [None] if seeds is None else seeds:
                values = values if seed is None else values | {"seed": seed}
                full = self._checked(chapter, keys.fixed | values, where)
                if full is None:
                    continue
                number, text = len(found) + 1, _text(full)
                if text in seen:
                    self._wrong(where, f"run {number} is run {seen[text]} again: {values}")
                seen.setdefault(text, number)
                found.append(Point(number, full))
        return found

    def _checked(self, chapter: Chapter, values: dict, where: Where) -> dict[str, Any] | None:
        """All parameters of a run. Data sets may be large: each is looked at once."""
        asked = {name: values.get(name) for name in ("device", "method", "methods", "dataset")}
        known = _text(asked)
        if known not in self.checked:
            try:
                full = execution.check(chapter, values, self.data_root, self.need_data)
                self.checked[known] = {name: full[name] for name in asked if name in full}
            except (ValueError, OSError) as error:
                self.checked[known] = None
                self._wrong(self._culprit(values, where, str(error)), str(error))
        if self.checked[known] is None:
            return None
        full = {n: p.conform(values.get(n, p.default)) for n, p in chapter.parameters.items()}
        return full | self.checked[known]

    def _culprit(self, values: Mapping[str, Any], where: Where, message: str) -> Where:
        """Where the file gives the value that a check's message speaks of."""
        for name, value in values.items():
            if name in ("device", "method", "methods", "dataset"):
                kind = name.removesuffix("s").replace("dataset", "data set")
                parts = [part.strip() for part in str(value).split(",")]
                if kind in message or any(part and part in message for part in parts):
                    return next(_places(self.values, name, value, where), where)
        return where


def _product(keys: Keys) -> Iterator[tuple[Where, dict[str, Any]]]:
    """The points in the file's order, else the grid's product with its last key the fastest."""
    if keys.points:
        yield from ((("points", n), point) for n, point in enumerate(keys.points))
        return
    for values in itertools.product(*keys.grid.values()):
        yield ("grid",), dict(zip(keys.grid, values, strict=True))


def _places(content: dict, name: str, value: Any, where: Where) -> Iterator[Where]:
    """Places of parameter `name` = `value` in the file, for a run that comes from `where`."""
    if where[0] == "points" and name in content["points"][where[1]]:
        yield (*where, name)
    for n, there in enumerate(content.get("grid", {}).get(name, [])):
        if there == value:
            yield ("grid", name, n)
    if name in content.get("fixed", {}):
        yield ("fixed", name)


def _text(value: Any) -> str:
    """A value as text that is the same for equal values and differs between types."""
    return json.dumps(value, sort_keys=True, default=repr)

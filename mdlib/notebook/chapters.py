"""Chapters: find one, read its question, its parameters and values for them.

A chapter is a pair in ``notebooks/``: NAME.py, jupytext's py:percent, which is the source of truth,
and NAME.ipynb with its outputs. What is needed to list chapters is read from the text by a few
lines here, because jupytext takes seconds to import.
"""

from __future__ import annotations

import ast
import io
import json
import math
import os
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mdlib.checks import unknown


@dataclass(frozen=True)
class Parameter:
    """One line of a chapter's parameters cell: ``name = default  # help``."""

    name: str
    default: Any
    help: str = ""

    @property
    def type(self) -> type:
        return type(self.default)

    def conform(self, value: Any) -> Any:
        """`value` in the type of the default, or ValueError if it is of another."""
        wanted = self.type
        if (wanted is float and type(value) is int) or (wanted is tuple and type(value) is list):
            value = wanted(value)
        if self.default is not None and type(value) is not wanted:
            raise ValueError(f"{self.mismatch(value)} (it is of type {type(value).__name__})")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"parameter {self.name!r} is {value}, expected a finite number")
        return value

    def mismatch(self, value: Any) -> str:
        """What to say of a value that does not fit."""
        wanted = {bool: "bool (true or false)"}.get(self.type, self.type.__name__)
        default = f"such as its default {self.default!r}"
        return f"parameter {self.name!r} is {value!r}, expected {wanted}, {default}"


@dataclass(frozen=True)
class Cell:
    """A cell of a chapter's source."""

    kind: str  # "code", "markdown" or "raw"
    tags: tuple[str, ...]
    source: str


class Chapter:
    """A chapter and what its text says about it.

    Args:
        path: its .py, or a notebook (.ipynb), which then is read instead of the .py beside it.
        name: what it is called; the file's name unless given.
    """

    def __init__(self, path: str | os.PathLike, name: str | None = None):
        self.path = Path(path).resolve()
        self.name = name or self.path.stem

    def __repr__(self) -> str:
        return f"Chapter({self.name!r})"

    @cached_property
    def cells(self) -> list[Cell]:
        text = self.path.read_text(encoding="utf-8")
        return list((_ipynb_cells if self.path.suffix == ".ipynb" else _percent_cells)(text))

    @property
    def title(self) -> str:
        """The first heading, or the name."""
        return self._first(r"^# +(.+)$") or self.name

    @property
    def question(self) -> str:
        """The question that it answers: the first emphasised line that ends on a question mark."""
        return self._first(r"^\*([^*\s][^*]*\?)\*[ \t]*$")

    @property
    def time(self) -> str:
        """What the chapter says about how long it takes."""
        return self._first(r"\*\*Time(?::\*\*|\*\*:)[ \t]*(.+)$")

    def _first(self, pattern: str) -> str:
        text = "\n\n".join(cell.source for cell in self.cells if cell.kind == "markdown")
        found = re.search(pattern, text, re.MULTILINE)
        return " ".join(found[1].split()) if found else ""

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, in the order of the cell tagged "parameters".

        Raises ValueError if there are two such cells, or one holds more than flat literals.
        """
        cells = [cell for cell in self.cells if "parameters" in cell.tags]
        if len(cells) > 1:
            raise ValueError(f"{self.path} has {len(cells)} cells tagged 'parameters': keep one")
        try:
            return {p.name: p for cell in cells for p in _parameters(cell.source)}
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"parameters cell of {self.path}: {error}") from None

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; ValueError if there is none, with the nearest names."""
        if name not in self.parameters:
            raise ValueError(f"{self.name}: {unknown('parameter', name, self.parameters)}")
        return self.parameters[name]

    def notebook(self) -> Any:
        """The chapter as an nbformat node."""
        import jupytext

        notebook = jupytext.read(self.path)
        if "kernelspec" not in notebook.metadata:
            python3 = {"name": "python3", "language": "python", "display_name": "Python 3"}
            notebook.metadata["kernelspec"] = python3
        return notebook


def _percent_cells(text: str) -> Iterable[Cell]:
    starts = [*re.finditer(r"^# ?%%(.*)$", text, re.MULTILINE)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        kind = re.search(r"\[(markdown|md|raw)\]", start[1])
        kind = {"md": "markdown"}.get(kind[1], kind[1]) if kind else "code"
        tags = re.search(r"tags=(\[[^\]]*\])", start[1])
        source = text[start.end() : end].strip("\n")
        if kind != "code":
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        yield Cell(kind, tuple(json.loads(tags[1])) if tags else (), source)


def _ipynb_cells(text: str) -> Iterable[Cell]:
    for cell in json.loads(text)["cells"]:
        tags = cell.get("metadata", {}).get("tags", ())
        yield Cell(cell["cell_type"], tuple(tags), "".join(cell["source"]))


def _parameters(source: str) -> Iterable[Parameter]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    module = ast.parse(source)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    seen = set()
    for line in module.body:
        text = ast.get_source_segment(source, line)
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        if len(targets) != 1 or not isinstance(targets[0], ast.Name) or line.value is None:
            raise ValueError(f"{text!r} is not of the form `name = literal  # comment`")
        name = targets[0].id
        if name in seen:
            raise ValueError(f"{name!r} is set twice")
        seen.add(name)
        try:
            default = ast.literal_eval(line.value)
        except ValueError:
            hint = "derive it in the cell after the parameters"
            raise ValueError(f"{text!r} is no plain literal: {hint}") from None
        help = comments.get(line.end_lineno) or comments.get(line.lineno, "")
        yield Parameter(name, default, help)


def root() -> Path:
    """The folder that holds ``notebooks/``: mdlib's own checkout, else the nearest one upward.

    Raises FileNotFoundError if there is none.
    """
    here = Path.cwd()
    for folder in (Path(__file__).resolve().parents[2], here, *here.parents):
        if (folder / "notebooks").is_dir():
            return folder
    raise FileNotFoundError(
        f"no notebooks/ folder in {here} or above it: go to the book's checkout"
    )


def _all() -> dict[str, Path]:
    """Chapters by their names relative to notebooks/."""
    top = root() / "notebooks"
    found = {}
    for path in sorted(top.rglob("*.py")):
        folders = path.relative_to(top).parts[:-1]
        if "sweeps" not in folders and not any(folder.startswith((".", "_")) for folder in folders):
            found[path.relative_to(top).with_suffix("").as_posix()] = path
    return found


def names() -> list[str]:
    """Names of all chapters, relative to notebooks/, such as "theory/latent_model"."""
    return list(_all())


def find(name: str | os.PathLike) -> Chapter:
    """A chapter by its name ("latent_model", "theory/latent_model") or by a path (.py, .ipynb).

    Raises ValueError if there is none, with the nearest names, or if a short name means several.
    """
    name = os.fspath(name)
    if name.endswith((".py", ".ipynb")):
        if not Path(name).is_file():
            raise ValueError(f"no chapter at {name}: there is no such file")
        return Chapter(name)
    chapters = _all()
    if name in chapters:
        return Chapter(chapters[name], name)
    matches = [full for full in chapters if Path(full).name == name]
    if len(matches) > 1:
        raise ValueError(f"chapter {name!r} is ambiguous: say {' or '.join(matches)}")
    if not matches:
        raise ValueError(unknown("chapter", name, chapters))
    return Chapter(chapters[matches[0]], matches[0])


def parse(parameter: Parameter, text: str) -> Any:
    """Read a parameter's value from the command line, by the type of its default.

    Raises ValueError if the text is no such value.
    """
    if parameter.type is str:
        return text
    try:
        if parameter.type is bool:
            return {"true": True, "false": False}[text.lower()]
        if parameter.type in (int, float):
            return parameter.type(text)
        try:
            value = json.loads(text)
        except ValueError:
            value = ast.literal_eval(text)
    except (ValueError, KeyError, SyntaxError):
        if parameter.default is None:
            return text
        raise ValueError(parameter.mismatch(text)) from None
    return parameter.conform(value)


def parse_all(chapter: Chapter, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read ``(name, text)`` pairs from the command line.

    Raises ValueError for an unknown name, a repeated one, or a text of the wrong type.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        parameter = chapter.parameter(name)
        if name in values:
            raise ValueError(f"parameter {name!r} is given twice")
        values[name] = parse(parameter, text)
    return values

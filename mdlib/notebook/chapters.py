"""Chapters: find one, read its question, its parameters and values for them.

A chapter is a pair in ``notebooks/``: NAME.py, jupytext's py:percent, which is the source of truth,
and NAME.ipynb with its outputs. Plain py:percent is read by a few lines here, because jupytext
takes seconds to import, and all that is not plain by jupytext.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mdlib.checks import need, unknown
from mdlib.io import check_no_conflict, read_text
from mdlib.notebook import parameters
from mdlib.notebook.parameters import Parameter

_MARKER = re.compile(r"^#[ \t]*%%.*$", re.MULTILINE)
# the markers that our chapters have; whatever else a file may hold is left to jupytext
_PLAIN_MARKER = re.compile(r"# %%( \[markdown\])?(?: tags=(\[[^\]]*\]))?")


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
        """Its cells; ValueError, which names the file, if it cannot be read or holds none."""
        cells = None if self.path.suffix == ".ipynb" else _plain_cells(_source(self.path))
        if cells is None:
            cells = [
                Cell(cell.cell_type, tuple(cell.metadata.get("tags", ())), cell.source)
                for cell in self.notebook().cells
            ]
        if not any(cell.source.strip() for cell in cells):
            raise ValueError(f"{self.path} holds no cells: expected a chapter, cells and all")
        return cells

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
            return parameters.read(cells[0].source) if cells else {}
        except (SyntaxError, ValueError) as error:
            raise ValueError(f"parameters cell of {self.path}: {error}") from None

    def parameter(self, name: str) -> Parameter:
        """The parameter of that name; ValueError if there is none, with the nearest names."""
        if name not in self.parameters:
            raise ValueError(f"{self.name}: {unknown('parameter', name, self.parameters)}")
        return self.parameters[name]

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, `values` and else defaults, each in its type and domain.

        Raises ValueError for an unknown name or a value that is none. Reads no data.
        """
        for name in values:
            self.parameter(name)  # or ValueError
        full = {n: p.conform(values.get(n, p.default)) for n, p in self.parameters.items()}
        parameters.check_together(self.parameters, full)
        return full

    def parse(self, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Read ``(name, text)`` pairs from the command line.

        Raises ValueError for an unknown name, a repeated one, or a text that is no such value.
        """
        values: dict[str, Any] = {}
        for name, text in pairs:
            parameter = self.parameter(name)
            if name in values:
                raise ValueError(f"parameter {name!r} is given twice")
            values[name] = parameter.parse(text)
        return values

    def notebook(self) -> Any:
        """The chapter as an nbformat node; ValueError, which names the file, if it is none."""
        if self.path.suffix == ".ipynb":
            notebook = read_ipynb(self.path)
        else:
            import jupytext

            source = _source(self.path)
            fmt = {"extension": ".py"} | (
                {"format_name": "percent"} if _MARKER.search(source) else {}
            )
            try:
                notebook = jupytext.reads(source, fmt)
            except Exception as error:  # of whatever reads the header: YAML, JSON, Python
                what = str(error).partition("\n")[0]
                raise ValueError(f"{self.path} cannot be read by jupytext: {what}") from None
            for number, cell in enumerate(notebook.cells):
                cell.id = f"cell-{number}"  # not at random, so that a diff shows what changed
        info, kernel = (notebook.metadata.get(key) or {} for key in ("language_info", "kernelspec"))
        language = info.get("name") or kernel.get("language") or "python"
        need(
            "python" in str(language).lower(),
            f"{self.path} is written in {language}, expected Python, which is what executes it",
        )
        if "kernelspec" not in notebook.metadata:
            python3 = {"name": "python3", "language": "python", "display_name": "Python 3"}
            notebook.metadata["kernelspec"] = python3
        return notebook


def read_ipynb(path: str | os.PathLike) -> Any:
    """A notebook of any version of the format, as a valid node of the present one.

    Raises ValueError, which names the file, for what is no notebook, OSError for no file.
    """
    import nbformat
    from nbformat import converter, reader, validator

    text = _source(Path(path))
    try:
        raw = json.loads(text)
        for cell in raw.get("cells", []):  # what other tools leave out, and the format wants
            cell["metadata"] = cell.get("metadata") or {}
            if not cell["metadata"].get("tags", True):
                del cell["metadata"]["tags"]
            if cell["cell_type"] == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
        with warnings.catch_warnings():  # of what is mended here
            warnings.simplefilter("ignore")
            notebook = converter.convert(reader.reads(json.dumps(raw)), 4)
            _, notebook = validator.normalize(notebook)
            nbformat.validate(notebook)
    except Exception as error:  # a damaged file may break the reader in any way
        what = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, KeyError | AttributeError | TypeError):
            what = f"something is missing or of another kind: {what}"
        again = "get it again, or write it anew from its .py: jupytext --to ipynb"
        raise ValueError(f"{path} is damaged, or no notebook ({what}): {again}") from None
    return notebook


def _source(path: Path) -> str:
    """The text of a file, or ValueError if Git left a conflict of two versions in it."""
    text = read_text(path)
    check_no_conflict(path, text)
    return text


def _plain_cells(text: str) -> list[Cell] | None:
    """The cells of plain py:percent, as jupytext would read them; None if it should be asked."""
    starts = list(_MARKER.finditer(text))
    header = text[: starts[0].start()] if starts else text  # nothing, or what jupytext writes there
    if not starts or not re.fullmatch(r"\s*(# ---\n(#.*\n)*?# ---\s*)?", header):
        return None
    found = []
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        marker = _PLAIN_MARKER.fullmatch(start[0])
        source = text[start.end() : end and end.start()].strip("\n")
        if not marker or source.count('"""') % 2 or source.count("'''") % 2:
            return None  # a marker with more in it, or one that stands inside of a string
        if not marker[1] and re.search(r"^[ \t]*#[ \t]*[%!?]|^[ \t]*[%!?]", source, re.MULTILINE):
            return None  # a magic, which jupytext comments out
        if marker[1]:
            if not all(line.startswith("#") for line in source.splitlines()):
                return None
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        try:
            tags = json.loads(marker[2] or "[]")
        except ValueError:
            return None
        found.append(Cell("markdown" if marker[1] else "code", tuple(tags), source))
    return found


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

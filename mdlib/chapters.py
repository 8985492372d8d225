"""Chapters: find one, read its question and parameters, refuse bad ones, run it.

A chapter is a pair in ``notebooks/``: NAME.py, jupytext's py:percent, which is the source of truth,
and NAME.ipynb with its outputs. What is needed to list chapters is read from the text by a few
lines here, because jupytext takes seconds to import.
"""

from __future__ import annotations

import ast
import io
import json
import logging
import math
import os
import re
import time
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mdlib import records
from mdlib._names import unknown


class ChapterFailed(RuntimeError):
    """A chapter that stopped while running: why, and the notebook executed up to there."""

    def __init__(self, name: str, cause: str, message: str, notebook: Path):
        super().__init__(f"{name} failed: {cause}: {message}\nExecuted up to there: {notebook}")
        self.cause, self.message, self.notebook = cause, message, notebook


@dataclass(frozen=True)
class Parameter:
    """One line of a chapter's parameters cell: ``name = default  # help``."""

    name: str
    default: Any
    help: str = ""

    @property
    def type(self) -> type:
        return type(self.default)


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
    for folder in (Path(__file__).resolve().parents[1], here, *here.parents):
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
        raise ValueError(_mismatch(parameter, text)) from None
    return _conform(parameter, value)


def parse_all(chapter: Chapter, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Read ``(name, text)`` pairs from the command line.

    Raises ValueError for an unknown name, a repeated one, or a text of the wrong type.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        _known(chapter, name)
        if name in values:
            raise ValueError(f"parameter {name!r} is given twice")
        values[name] = parse(chapter.parameters[name], text)
    return values


def check(
    chapter: Chapter, values: Mapping[str, Any], data_root: str | os.PathLike | None = None
) -> dict[str, Any]:
    """All parameters of a run, defaults included, or an error before anything starts.

    Args:
        chapter: whose parameters they are.
        values: those that differ from the defaults.
        data_root: where the data sets lie; None for the usual places.

    Raises:
        ValueError: an unknown parameter, a value of the wrong type, an unknown method or device.
        ValueError, OSError: a data set that is unknown, missing or damaged.
    """
    for name in values:
        _known(chapter, name)
    checked = {
        name: _conform(parameter, values.get(name, parameter.default))
        for name, parameter in chapter.parameters.items()
    }
    device = str(checked.get("device", "auto"))
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise ValueError(f"unknown device {device!r}: expected auto, cpu, cuda, cuda:N or mps")
    for name in {"method", "methods"} & checked.keys():
        _check_methods(checked[name])
    if "dataset" in checked:
        from mdlib import data

        scheme, colon, folder = str(checked["dataset"]).partition(":")
        if colon:  # a folder is meant from here, but the chapter runs in its own
            checked["dataset"] = f"{scheme}:{_absolute(folder)}"
        data.check(checked["dataset"], root=data_root)
    return checked


def _known(chapter: Chapter, name: str) -> None:
    if name not in chapter.parameters:
        raise ValueError(f"{chapter.name}: {unknown('parameter', name, chapter.parameters)}")


def _mismatch(parameter: Parameter, value: Any) -> str:
    wanted = {bool: "bool (true or false)"}.get(parameter.type, parameter.type.__name__)
    default = f"such as its default {parameter.default!r}"
    return f"parameter {parameter.name!r} is {value!r}, expected {wanted}, {default}"


def _conform(parameter: Parameter, value: Any) -> Any:
    wanted = parameter.type
    if (wanted is float and type(value) is int) or (wanted is tuple and type(value) is list):
        value = wanted(value)
    if parameter.default is not None and type(value) is not wanted:
        raise ValueError(f"{_mismatch(parameter, value)} (it is of type {type(value).__name__})")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"parameter {parameter.name!r} is {value}, expected a finite number")
    return value


def _check_methods(value: str | Iterable[str]) -> None:
    from mdlib import methods

    for name in value.split(",") if isinstance(value, str) else value:
        if name.strip() not in ("all", *methods.names()):
            raise ValueError(unknown("method", name.strip(), methods.names()))


@dataclass(frozen=True)
class Run:
    """A finished run and where its files are."""

    chapter: Chapter
    parameters: dict[str, Any]
    out: Path
    seconds: float

    @property
    def notebook(self) -> Path:
        return self.out / "executed.ipynb"

    @property
    def page(self) -> Path:
        return self.out / "executed.html"

    @property
    def metrics(self) -> list[records.Row]:
        """What the chapter recorded; empty if it records nothing."""
        return records.read_metrics(self.out) if (self.out / records.METRICS).exists() else []


def run(
    chapter: Chapter,
    values: Mapping[str, Any],
    out: str | os.PathLike,
    progress: bool = True,
    data_root: str | os.PathLike | None = None,
    timeout: int | None = None,
) -> Run:
    """Execute a chapter by papermill, in its own folder, and leave in `out`: ``params.json``,
    ``executed.ipynb`` (saved as it goes), ``executed.html``, ``environment.json``, and what the
    chapter itself records there (``metrics.json``).

    Args:
        chapter: what to run.
        values: the parameters that differ from its defaults; `out` is none of them.
        out: a new or empty folder.
        progress: show a progress bar on stderr.
        data_root: where the data sets lie; None for the usual places.
        timeout: seconds that one cell may take.

    Raises:
        ValueError, OSError: a bad parameter or a non-empty `out`; no kernel was started.
        ChapterFailed: a cell raised, ran out of time, or the kernel died.
    """
    if "out" in values:
        raise ValueError("'out' is set by the run: give the folder as --out instead")
    parameters = check(chapter, values, data_root)
    out = Path(out).resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not an empty folder: choose another --out")
    started = time.time()
    if "out" in parameters:
        parameters["out"] = str(out)
    records.write_json(out / "params.json", parameters)

    failure = None
    try:
        data_root = _absolute(data_root or os.environ.get("MDLIB_DATA"))
        with _variables(MDLIB_DATA=data_root, PYDEVD_DISABLE_FILE_VALIDATION="1"):
            _execute(chapter, parameters, out, progress, timeout)
    except Exception as error:  # whatever stopped it, the reader wants its name and the notebook
        failure = error
    result = Run(chapter, parameters, out, round(time.time() - started, 1))
    if failure is None:
        _describe(result, started)
        return result
    with suppress(Exception):  # after a failure these are a courtesy: the failure is the news
        _describe(result, started)
    cause = getattr(failure, "ename", type(failure).__name__)
    message = getattr(failure, "evalue", str(failure))
    raise ChapterFailed(chapter.name, cause, message, result.notebook) from failure


def _describe(result: Run, started: float) -> None:
    device, chapter = str(result.parameters.get("device", "cpu")), result.chapter
    records.write_json(result.out / "environment.json", records.environment(device, started))
    records.page(result.notebook, result.page, chapter.title, chapter.path.parent)


def _absolute(path: str | os.PathLike | None) -> str | None:
    return str(Path(path).expanduser().resolve()) if path else None


@contextmanager
def _variables(**values: str | None) -> Iterator[None]:
    """Environment variables for the kernel to inherit; None leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _execute(
    chapter: Chapter, parameters: dict[str, Any], out: Path, progress: bool, timeout: int | None
) -> None:
    import papermill
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from traitlets import default

    class ThisPython(AsyncKernelManager):
        """Starts ipykernel in the running interpreter, whatever "python3" is installed as."""

        @default("kernel_spec_manager")
        def _no_installed_specs(self):
            return KernelSpecManager(kernel_dirs=[])

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it says, we raise
    papermill.execute_notebook(
        chapter.notebook(),
        out / "executed.ipynb",
        parameters or None,
        kernel_name="python3",
        language="python",
        progress_bar={"desc": chapter.name} if progress else False,
        cwd=chapter.path.parent,
        execution_timeout=timeout,
        kernel_manager_class=ThisPython,
        extra_arguments=["--log-level=CRITICAL"],  # the kernel's own remarks, not the chapter's
    )

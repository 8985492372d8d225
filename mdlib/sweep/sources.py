"""What a run's numbers come from, as a hash: its chapter's code, and all modules that it imports.

Imports are read from the text, nothing is run. Those inside functions count, those for type
checkers alone do not. "mdlib.methods.vae:VAE" in a string, as registries have it, counts as one.
They are followed into mdlib and into modules beside the chapter; the versions of other packages
stand in a run's environment.

Comments, docstrings, annotations and layout change nothing, nor do a chapter's exercises, nor the
cells that show what a sweep's rows say.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection
from functools import cache, lru_cache
from importlib.util import decode_source
from pathlib import Path
from typing import Any, NamedTuple

import mdlib
from mdlib.notebook.chapters import Chapter

NO_NUMBERS = {  # what a chapter may import although no number of its rows comes from there
    "mdlib.figures": "draws and prints what was computed",
    "mdlib.cli": "starts chapters",
    "mdlib.notebook": "parses chapters; writes down what it is handed, as it is",
    "mdlib.sweep": "starts runs, gathers rows; what a chapter takes from another sweep, such as "
    "the learning rate that won, it records with its rows",
    "mdlib.types": "annotations",
}
_ANNOTATES = {"__future__", "typing", "typing_extensions", "collections", "jaxtyping", "types"}
_ANNOTATES |= {"torch", "numpy", "pandas"}  # where an import may serve annotations only
_UNREAD = {"annotation", "returns", "type_comment", "type_params", "type_ignores", "ctx", "kind"}
_REGISTERED = re.compile(r"(mdlib(?:\.\w+)+)(?::\w+)?|(\w+(?:\.\w+)*):[A-Za-z_]\w*")
_IMPORTERS = ("import_module", "__import__")
# tags of cells whose numbers nobody records, exercises and what shows rows: a run leaves them out
UNRECORDED = {"solution", "check", "hidden", "reads-rows"}


def source_hash(chapter: Chapter) -> str:
    """A hash of what a run's numbers come from: the chapter's code and all that it imports."""
    code = _recorded(chapter)
    modules = closure(code.imports, chapter.path.parent)
    digests = [f"{name} {_of_file(path).digest}" for name, path in sorted(modules.items())]
    return _digest("\n".join([code.digest, *digests]))


def changed(chapter: Chapter, before: Path) -> list[str]:
    """Of what a run's numbers come from, the names whose code is another than in `before`.

    `before` is the root of an earlier copy of the project. The chapter's own code, without what
    records nothing, is "the chapter". Where the chapter was not there yet, all is another.
    """
    root, now = Path(mdlib.__file__).parents[1], _recorded(chapter)
    modules = sorted(closure(now.imports, chapter.path.parent).items())
    names = [name for name, path in modules if path.is_file() and not _same(path, root, before)]
    earlier = before / chapter.path.relative_to(root)
    if earlier.is_file() and _recorded(Chapter(earlier)).digest == now.digest:
        return names
    return ["the chapter", *names]


def _recorded(chapter: Chapter) -> _Code:
    """The chapter's own code, as far as numbers may come from it."""
    return _of_text(_text(chapter, without=UNRECORDED))


def _same(path: Path, root: Path, before: Path) -> bool:
    earlier = before / path.relative_to(root)
    return earlier.is_file() and _of_file(earlier).digest == _of_file(path).digest


def imported(chapter: Chapter) -> tuple[str, ...]:
    """What a chapter imports, and the modules of mdlib and beside it that these lead to."""
    names = _of_text(_text(chapter)).imports
    return tuple(dict.fromkeys([*names, *sorted(closure(names, chapter.path.parent))]))


def imported_hash(chapter: Chapter) -> str:
    """A hash of these modules and of where they are: what a process that has imported them knows,
    whichever chapter it was for."""
    modules = closure(_of_text(_text(chapter)).imports, chapter.path.parent)
    lines = [f"{name} {path} {_of_file(path).digest}" for name, path in sorted(modules.items())]
    return _digest("\n".join(lines))


def code_hash(chapter: Chapter) -> str:
    """A hash of the chapter's code cells alone, exercises included: of what a notebook shows."""
    return _of_text(_text(chapter)).digest


def closure(imports: tuple[str, ...], beside: Path) -> dict[str, Path]:
    """The modules that imports lead to, with their files; `beside` is the chapter's folder."""
    found: dict[str, Path] = {}
    seen: set[str] = set()
    waiting = [(name, "") for name in imports]
    while waiting:
        name, package = waiting.pop()
        if package.startswith("mdlib") and not name.startswith(("mdlib", ".")):
            continue  # another package's: mdlib imports nothing from beside a chapter
        if dots := len(name) - len(name.lstrip(".")):
            above = package.split(".")
            name = ".".join([*above[: len(above) - dots + 1], name[dots:]]).rstrip(".")
        if name in seen:
            continue
        seen.add(name)
        parts = name.split(".")
        for end in range(1, len(parts) + 1):  # whoever imports a.b.c runs a and a.b, too
            module = ".".join(parts[:end])
            path = None if module in NO_NUMBERS else _file(module, beside)
            if path is None:
                break
            if path.is_file() and module not in found:
                found[module] = path
                package = module if path.stem == "__init__" else module.rpartition(".")[0]
                waiting += [(name, package) for name in _of_file(path).imports]
    return found


def _file(module: str, beside: Path) -> Path | None:
    """Where a module of mdlib or beside the chapter is; a folder, if it has no __init__.py."""
    top = Path(mdlib.__file__).parents[1] if module.partition(".")[0] == "mdlib" else beside
    folder = top.joinpath(*module.split("."))
    for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
        if path.is_file():
            return path
    return folder if folder.is_dir() else None


def _text(chapter: Chapter, without: Collection[str] = ()) -> str:
    """The code cells as one text; a cell tagged "launch" only fetches the book."""
    left_out = {"launch", *without}
    cells = [c.source for c in chapter.cells if c.kind == "code" and not left_out & {*c.tags}]
    return "\n".join(cells) + "\n"


class _Code(NamedTuple):
    digest: str
    imports: tuple[str, ...]  # what may be modules; relative ones with their dots


def _of_file(path: Path) -> _Code:
    facts = path.stat()
    # a copy that keeps times, or a clock that was set back, leaves the time of change alone
    return _of_version(path, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)


@cache
def _of_version(path: Path, *version: int) -> _Code:
    content = path.read_bytes()
    try:
        return _of_text(decode_source(content))  # by its declared encoding, as Python does
    except (SyntaxError, UnicodeDecodeError):  # it can't be imported, and the chapter will say so
        return _Code(_digest(repr(content)), ())


@lru_cache(maxsize=64)
def _of_text(text: str) -> _Code:
    try:
        tree = ast.parse(text)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        try:  # IPython's own syntax, such as %magic
            tree = ast.parse(TransformerManager().transform_cell(text))
        except SyntaxError:  # it will fail, and what it imports before does not matter
            return _Code(_digest(text), ())
    return _Reader().read(tree)


class _Reader:
    """Goes through a piece of code once, for what counts of it and for what it imports."""

    def __init__(self) -> None:
        self.outline: list[str] = []
        self.imports: dict[str, None] = {}
        self.used: set[str] = set()
        self.maybe: list[tuple[int, str]] = []  # places of imports that count if they are used
        self.strings: list[str] = []
        self.by_variable = False  # import_module(name): then each string may name a module

    def read(self, tree: ast.AST) -> _Code:
        self._node(tree)
        for place, name in self.maybe:
            if name not in self.used:
                self.outline[place] = ""
        for text in self.strings:
            if self.by_variable or text.startswith("mdlib.") or ":" in text:
                if found := _REGISTERED.fullmatch(text):
                    self.imports[found[1] or found[2]] = None
                elif self.by_variable and re.fullmatch(r"\.*\w+(\.\w+)*", text):
                    self.imports[text] = None
        return _Code(_digest("".join(self.outline)), tuple(self.imports))

    def _node(self, node: ast.AST) -> None:
        kind, say = type(node), self.outline.append
        if isinstance(node, ast.Import | ast.ImportFrom):
            return self._import(node)
        if isinstance(node, ast.Constant):
            say(f"{node.value!r},")
            if isinstance(node.value, str):
                self.strings.append(node.value)
            return None
        if isinstance(node, ast.Name):
            self.used.add(node.id)
        elif isinstance(node, ast.Call):
            self._called(node)
        elif isinstance(node, ast.If) and (
            getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"
        ):
            return self._value(node.orelse)
        say(f"({kind.__name__}")
        for field in _fields(kind):
            value = getattr(node, field, None)
            if value:
                say(f" {field}=")
                if isinstance(value, ast.AST):
                    self._node(value)
                else:
                    self._value(value)
        return say(")")

    def _value(self, value: Any) -> None:
        if type(value) is not list:
            self.outline.append(repr(value))
            return
        for one in value:
            if not isinstance(one, ast.AST):
                self.outline.append(f"{one!r},")
            # a string by itself is a docstring
            elif type(one) is not ast.Expr or type(getattr(one.value, "value", 0)) is not str:
                self._node(one)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        module = "." * (getattr(node, "level", 0) or 0) + (getattr(node, "module", "") or "")
        separator = "." if module.strip(".") else ""
        for alias in node.names:
            full = f"{module}{separator}{alias.name}" if module else alias.name
            self.imports |= {name: None for name in (module, full) if name.strip(".")}
            bound = alias.asname or alias.name.partition(".")[0]
            if full.partition(".")[0] in _ANNOTATES:
                self.maybe.append((len(self.outline), bound))
            self.outline.append(f"(import {full} as {bound})")

    def _called(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in _IMPORTERS and node.args:
            given = getattr(node.args[0], "value", None)
            if type(node.args[0]) is ast.Constant and type(given) is str:
                self.imports[given] = None
            else:
                self.by_variable = True


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field not in _UNREAD)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]

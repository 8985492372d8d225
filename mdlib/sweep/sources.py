"""What a run's numbers come from, as a hash: its chapter's code, and all modules that it imports.

Imports are read from the text, nothing is run. Those inside functions count, those for type
checkers alone do not. "other:Mine" or "other.py" in a string counts as one; of a `Registry` of such
strings in mdlib, the entries that are named: in a text of the chapter, of what it imports, or of
the run's parameters (`Registry.check_counted` holds runs to that). Imports are followed into mdlib
and into modules beside the chapter; the versions of other packages stand in a run's environment.

Comments, docstrings, annotations (also where a library reads them) and layout change nothing, nor
do cells that a run leaves out. A module counts as a whole. Files that are only read don't count.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import decode_source
from itertools import accumulate, chain
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
    "mdlib.io": "reads and writes files as they are",
}
_TYPES = {"__future__", "typing", "typing_extensions", "jaxtyping"}
_ANNOTATES = _TYPES | {"collections", "types", "torch", "numpy", "pandas"}  # or only annotations
_ANNOTATED = {"annotation", "returns"}
_UNREAD = _ANNOTATED | {"type_comment", "type_params", "type_ignores", "ctx", "kind"}
SHARED = 6  # digits of a hash
_REGISTERED = re.compile(r"(mdlib(?:\.\w+)+)(?::\w+)?|(\w+(?:\.\w+)*):[A-Za-z_]\w*")
_IMPORTERS = ("import_module", "__import__", "run_module")
# %run, exec, runpy, a command line: "a.py", "python -m a", and of two strings "run", "-i a --fast"
_SCRIPTS = re.compile(
    r"(?:^|[^\w/-])([./]{0,9}\w[\w/-]*)\.py\b"
    r"|^(?:run\n(?:-\S+ ){0,9}|(?:.* )?-m\s)([./]{0,9}\w[\w./-]*)",
    re.MULTILINE,
)
_UP = "^"  # in a script's name, the folder above
# tags of cells whose numbers nobody records: exercises, what shows rows, what only fetches the
# book; a run leaves them out
UNRECORDED = {"solution", "check", "hidden", "reads-rows", "launch"}


def source_hash(chapter: Chapter, parameters: Mapping[str, Any] | None = None) -> str:
    """A hash of what a run's numbers come from: the chapter's code and all that it imports.

    Without parameters, those of the chapter are meant.
    """
    defaults = {name: one.default for name, one in chapter.parameters.items()}
    return source_hashes(chapter, [parameters or defaults])[0]


def source_hashes(chapter: Chapter, runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The hashes of runs by their parameters. `SHARED` digits are the same for all of a chapter."""
    code, beside = _recorded(chapter), chapter.path.parent
    shared, every = _closure(code, beside), _closure(code, beside, None)
    left = sorted({name for name, _ in every.entries - shared.entries})
    first = _digest(f"{code.digest}\n{shared}")
    own, hashes = {}, []
    for text in map(_said, runs):
        named = " ".join(name for name in left if _stands_in(name, text))
        if named not in own:
            own[named] = _digest(f"{first}\n{_closure(code, beside, named)}")
        hashes.append(first[:SHARED] + own[named][SHARED:])
    return hashes


def named(chapter: Chapter, parameters: Mapping[str, Any]) -> set[str]:
    """The entries of registries that are among a run's sources."""
    found = _closure(_recorded(chapter), chapter.path.parent, _said(parameters))
    return {name for name, _ in found.entries}


def changed(chapter: Chapter, before: Path, runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of what the runs' numbers come from, the names whose code is another than in `before`.

    `before` is the root of an earlier copy of the project. The chapter's own code, without what
    records nothing, is "the chapter". Where the chapter was not there yet, all is another.
    """
    root, now = Path(mdlib.__file__).parents[1], _recorded(chapter)
    found = _closure(now, chapter.path.parent, " ".join(map(_said, runs)))
    modules = sorted(found.modules.items())
    names = [name for name, path in modules if path.is_file() and not _same(path, root, before)]
    earlier = before / chapter.path.relative_to(root)
    if earlier.is_file() and _recorded(Chapter(earlier)).digest == now.digest:
        return names
    return ["the chapter", *names]


def _said(parameters: Mapping[str, Any]) -> str:
    return " ".join(map(str, parameters.values()))


def _recorded(chapter: Chapter) -> _Code:
    """The chapter's own code, as far as numbers may come from it."""
    return _of_text(_text(chapter, UNRECORDED))


def _same(path: Path, root: Path, before: Path) -> bool:
    earlier = before / path.relative_to(root)
    return earlier.is_file() and _of_file(earlier).digest == _of_file(path).digest


def imported(chapter: Chapter) -> tuple[str, ...]:
    """What a chapter imports, and the modules of mdlib and beside it that these may lead to."""
    code = _of_text(_text(chapter))
    found = _closure(code, chapter.path.parent, None, scripts=False)
    return tuple(dict.fromkeys([*code.imports, *sorted(found.modules)]))


def left_out(chapter: Chapter, modules: Iterable[Any]) -> list[str]:
    """Of modules, those in the chapter's folder that no hash of it is of."""
    beside, code = chapter.path.parent, _of_text(_text(chapter))
    files = {Path(str(getattr(module, "__file__", None))).resolve() for module in modules}
    files -= {*_closure(code, beside, None).modules.values(), chapter.path}
    apart = {Path(mdlib.__file__).parent, Path(sys.prefix), Path(sys.base_prefix)}
    own = [f for f in files if beside in f.parents and f.suffix == ".py"]
    own = [f.relative_to(beside) for f in own if apart.isdisjoint(f.parents)]
    own = [f for f in own if "site-packages" not in f.parts]
    return sorted(".".join(file.with_suffix("").parts) for file in own)


def imported_code(chapter: Chapter, parameters: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Of each module that a run imports, where it is and a hash of its code; without parameters, of
    each that the chapter may import: what a process that has done so knows."""
    every = parameters is None
    code = _of_text(_text(chapter)) if every else _recorded(chapter)
    named = None if every else _said(parameters)
    found = _closure(code, chapter.path.parent, named, scripts=False)
    return {name: f"{path} {_of_file(path).digest}" for name, path in found.modules.items()}


def imported_hash(chapter: Chapter) -> str:
    """A hash of these: processes of one hash can stand for each other, whichever chapter's."""
    return _digest(str(sorted(imported_code(chapter).items())))


def code_hash(chapter: Chapter) -> str:
    """A hash of the chapter's code cells alone, exercises included: of what a notebook shows."""
    return _of_text(_text(chapter)).digest


class _Closure(NamedTuple):
    """What a piece of code leads to."""

    modules: dict[str, Path]  # with their files
    entries: set[tuple[str, str]]  # of registries: a name, and what it stands for

    def __str__(self) -> str:
        """The same for the same code."""
        lines = [f"{name} {_of_file(path).digest}" for name, path in self.modules.items()]
        return "\n".join(sorted([*lines, *map(str, self.entries)]))


def _closure(code: _Code, beside: Path, named: str | None = "", scripts: bool = True) -> _Closure:
    """What `code` leads to; `beside` is the chapter's folder. Of registries, the entries that stand
    in its texts, in those of what it leads to, or in `named`; all, if that is None. Without
    `scripts`, what an import leads to.
    """
    found, seen, file = _Closure({}, set()), set(), cache(_file)
    texts, tables = [code.text, named or "", *dict(code.entries)], set(code.entries)
    waiting = [(name, "") for name in (*code.imports, *(_run_by(code, beside) if scripts else ()))]
    while waiting:
        name, package = waiting.pop()
        if not _ours(package) or _ours(name) or name.startswith("."):
            # another package's is left out: mdlib imports nothing from beside a chapter
            if dots := len(name) - len(name.lstrip(".")):
                above = package.split(".")
                name = ".".join([*above[: len(above) - dots + 1], name[dots:]]).rstrip(".")
            for module in _prefixes(name) if name not in seen else []:
                path = None if module in NO_NUMBERS else file(module, beside)
                if path is None:
                    break
                # who imports a.b runs a, too, but mdlib's packages only define
                counts = module == name or not _ours(module)
                if counts and path.is_file() and module not in found.modules:
                    found.modules[module], read = path, _of_file(path)
                    package = module if path.stem == "__init__" else module.rpartition(".")[0]
                    waiting += [(name, package) for name in read.imports]
                    run = read.scripts if _ours(module) else _run_by(read, beside)
                    waiting += [(name, package) for name in run if scripts]
                    texts += [read.text, *(() if _ours(module) else dict(read.entries))]
                    tables.update(read.entries)
            seen.add(name)
        if not waiting:
            for entry in tables - found.entries:
                if named is None or any(_stands_in(entry[0], text) for text in texts):
                    found.entries.add(entry)
                    waiting.append((entry[1].partition(":")[0], ""))
    return found


def _run_by(code: _Code, beside: Path) -> Iterable[str]:
    """What may be modules that are run and not imported. Where a script is not, those of its name
    one or two folders below: a text may have had only the last part of a path."""
    for name in code.scripts:
        yield name
        if _file(name, beside) is None:
            last = f"{name.replace('.', '/')}.py"
            below = (beside.glob(folders + last) for folders in ("[!.]*/", "[!.]*/[!.]*/"))
            for file in sorted(chain(*below)):
                yield ".".join(file.relative_to(beside).with_suffix("").parts)


def _stands_in(name: str, text: str) -> bool:
    """Is the name there as a word, or as a part of one such as `same-class-digits`?"""
    end = "[a-zA-Z0-9]"
    return name in text and bool(re.search(f"(?<!{end}){re.escape(name)}(?!{end})", text))


def _ours(module: str) -> bool:
    return module.partition(".")[0] == "mdlib"


def _prefixes(name: str) -> Iterable[str]:
    """a, a.b and a.b.c of a.b.c."""
    return accumulate(name.split("."), "{}.{}".format)


def _file(module: str, beside: Path) -> Path | None:
    """Where a module of mdlib or beside the chapter is; a folder, if it has no __init__.py."""
    top = Path(mdlib.__file__).parents[1] if _ours(module) else beside
    # a text: hundreds are asked for, Path is slow
    folder = os.path.join(top, module.replace(".", os.sep).replace(_UP, os.pardir))
    for path in (f"{folder}/__init__.py", f"{folder}.py"):
        if os.path.isfile(path):
            return Path(path)
    return Path(folder) if os.path.isdir(folder) else None


def _text(chapter: Chapter, without: Collection[str] = ("launch",)) -> str:
    """The code cells as one text in Python."""
    cells = [c.source for c in chapter.cells if c.kind == "code" and not {*without} & {*c.tags}]
    return "\n".join(map(_python, cells)) + "\n"


@lru_cache(maxsize=1024)
def _python(cell: str) -> str:
    """A cell as it is, or with calls for IPython's own syntax, such as %magic. What stands below a
    %%magic is code where it can be, else a text; so is a cell that will fail."""
    with suppress(SyntaxError):
        ast.parse(cell)
        return cell
    from IPython.core.inputtransformer2 import TransformerManager

    first, _, below = cell.lstrip().partition("\n")
    magic = [(f"_({first!r})\n", below)] if first.startswith("%%") else []
    for head, body in [*magic, ("", cell)]:
        with suppress(SyntaxError):
            text = head + TransformerManager().transform_cell(body)
            ast.parse(text)
            return text
    return f"_({cell!r})"


class _Code(NamedTuple):
    digest: str
    imports: tuple[str, ...] = ()  # what may be modules; relative ones with their dots
    scripts: tuple[str, ...] = ()  # what may be modules that are run and not imported
    entries: tuple[tuple[str, str], ...] = ()  # of its registries, "module:attribute" by name
    text: str = ""  # its strings


def _of_file(path: Path) -> _Code:
    facts = path.stat()
    # a copy that keeps times, or a clock that was set back, leaves the time of change alone
    return _of_version(path, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)


@cache
def _of_version(path: Path, *version: int) -> _Code:
    content = path.read_bytes()
    try:
        return _of_text(decode_source(content), True)  # by its declared encoding, as Python does
    except (SyntaxError, UnicodeDecodeError):  # it can't be imported, and the chapter will say so
        return _Code(_digest(repr(content)))


@lru_cache(maxsize=64)
def _of_text(text: str, shared: bool = False) -> _Code:
    return _Reader().read(ast.parse(text), shared)


class _Reader:
    """Goes through a piece of code once, for what counts of it and for what it imports."""

    def __init__(self) -> None:
        self.outline: list[str] = []
        self.imports: dict[str, None] = {}
        self.scripts: dict[str, None] = {}
        self.used: set[str] = set()
        self.annotated: set[str] = set()  # names in annotations
        self.maybe: list[tuple[int, str]] = []  # places of imports that these alone may need
        self.strings: list[str] = []
        self.entries: list[tuple[str, str]] = []
        self.by_variable = False  # import_module(name): then each string may name a module

    def read(self, tree: ast.AST, shared: bool) -> _Code:
        self._node(tree)
        for place, name in self.maybe:  # what a module does not use may be for who imports it
            if name not in self.used and (name in self.annotated or not shared):
                self.outline[place] = ""
        for text in self.strings:
            if self.by_variable or text.startswith("mdlib.") or ":" in text:
                if found := _REGISTERED.fullmatch(text):
                    self.imports[found[1] or found[2]] = None
                elif self.by_variable and re.fullmatch(r"\.*\w+(\.\w+)*", text):
                    self.imports[text] = None
        text, digest = "\n".join(self.strings), _digest("".join(self.outline))
        for script, module in _SCRIPTS.findall(text):
            name = (script or module).replace("../", f"{_UP}/").lstrip("./").replace("/", ".")
            self.scripts |= {name: None} | ({f"{name}.__main__": None} if module else {})
        return _Code(digest, (*self.imports,), (*self.scripts,), tuple(self.entries), text)

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
        elif isinstance(node, ast.Attribute) and (name := _dotted(node)).startswith("mdlib."):
            self.imports[name] = None  # in a run, all of mdlib that a sweep needs is imported
        elif isinstance(node, ast.If) and (
            getattr(node.test, "id", getattr(node.test, "attr", "")) == "TYPE_CHECKING"
        ):
            return self._value(node.orelse)
        for field in _ANNOTATED.intersection(kind._fields):
            for one in ast.walk(getattr(node, field) or ast.Pass()):
                text = getattr(one, "id", getattr(one, "value", ""))  # or in quotes
                self.annotated.update(re.findall(r"\w+", text) if type(text) is str else ())
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
            names = [module, full] if module else _prefixes(full)  # `import a.b` gives all of a
            self.imports |= {name: None for name in names if name.strip(".")}
            bound = alias.asname or alias.name.partition(".")[0]
            self.by_variable |= alias.name in _IMPORTERS and bound != alias.name
            if full.partition(".")[0] in _ANNOTATES and alias.name != "*":
                self.maybe.append((len(self.outline), bound))
            if full.partition(".")[0] in _TYPES:
                self.annotated.add(bound)
            self.outline.append(f"(import {full} as {bound})")

    def _called(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name == "Registry" and len(node.args) == 2:
            with suppress(ValueError, TypeError, AttributeError):  # of what is there already
                table = ast.literal_eval(node.args[1])
                if all(_REGISTERED.fullmatch(target) for target in table.values()):
                    self.entries += table.items()
                    del node.args[1]
        if name in _IMPORTERS:
            given = getattr(node.args[0], "value", None) if node.args else None
            if type(given) is str:
                (self.scripts if name == "run_module" else self.imports)[given] = None
            else:
                self.by_variable = True


def _dotted(node: ast.AST) -> str:
    """a.b.c as text."""
    inner = f"{_dotted(node.value)}." if isinstance(node, ast.Attribute) else ""
    return inner + getattr(node, "attr", getattr(node, "id", ""))


@cache
def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    return tuple(field for field in kind._fields if field not in _UNREAD)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]

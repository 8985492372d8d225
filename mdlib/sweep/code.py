"""What counts of a piece of code, as a digest, and what it may import or run; nothing is run."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import decode_source
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

_TYPES = {"__future__", "typing", "typing_extensions", "jaxtyping"}
_ANNOTATES = _TYPES | {"collections", "types", "torch", "numpy", "pandas"}  # or only annotations
_ANNOTATED = {"annotation", "returns"}
_UNREAD = _ANNOTATED | {"type_comment", "type_params", "type_ignores", "ctx", "kind"}
_REGISTERED = re.compile(r"(mdlib(?:\.\w+)+)(?::\w+)?|(\w+(?:\.\w+)*):[A-Za-z_]\w*")
_IMPORTERS = ("import_module", "__import__", "run_module")
# %run, exec, runpy, a command line: "a.py", "python -m a", and of two strings "run", "-i a --fast"
_SCRIPTS = re.compile(
    r"(?:^|[^\w/-])([./]{0,9}\w[\w/-]*)\.py\b"
    r"|^(?:run\n(?:-\S+ ){0,9}|(?:.* )?-m\s)([./]{0,9}\w[\w./-]*)",
    re.MULTILINE,
)
UP = "^"  # in a script's name, the folder above


class Code(NamedTuple):
    """What counts of a piece of code."""

    digest: str
    imports: tuple[str, ...] = ()  # what may be modules; relative ones with their dots
    scripts: tuple[str, ...] = ()  # what may be modules that are run and not imported
    entries: tuple[tuple[str, str], ...] = ()  # of its registries, "module:attribute" by name
    text: str = ""  # its strings


def of_file(path: Path) -> Code:
    """That of a module's file, which is read once as long as it stays the same."""
    facts = path.stat()
    # a copy that keeps times, or a clock that was set back, leaves the time of change alone
    return _of_version(path, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)


@cache
def _of_version(path: Path, *version: int) -> Code:
    content = path.read_bytes()
    try:
        return of_text(decode_source(content), True)  # by its declared encoding, as Python does
    except (SyntaxError, UnicodeDecodeError):  # it can't be imported, and the chapter will say so
        return Code(digest(repr(content)))


@lru_cache(maxsize=64)
def of_text(text: str, shared: bool = False) -> Code:
    """That of a text in Python; names that a `shared` one imports may be for who imports it."""
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

    def read(self, tree: ast.AST, shared: bool) -> Code:
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
        text, own = "\n".join(self.strings), digest("".join(self.outline))
        for script, module in _SCRIPTS.findall(text):
            name = (script or module).replace("../", f"{UP}/").lstrip("./").replace("/", ".")
            self.scripts |= {name: None} | ({f"{name}.__main__": None} if module else {})
        return Code(own, (*self.imports,), (*self.scripts,), tuple(self.entries), text)

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
            names = [module, full] if module else prefixes(full)  # `import a.b` gives all of a
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


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def prefixes(name: str) -> Iterable[str]:
    """a, a.b and a.b.c of a.b.c."""
    return accumulate(name.split("."), "{}.{}".format)


@lru_cache(maxsize=1024)
def as_python(cell: str) -> str:
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

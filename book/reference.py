"""The reference of mdlib, written from its docstrings: one page a module, without importing it."""

import ast
import re
from functools import cache
from pathlib import Path
from textwrap import dedent

import mdlib

PACKAGE = Path(mdlib.__file__).parent

# In the order of the package's sentence; then what runs chapters.
MODULES = (
    *("data", "views", "nets", "losses", "methods", "training", "evaluation", "metrics", "mi"),
    *("figures", "notebook", "sweep", "checks", "types", "devices", "io"),
)
NO_LIBRARY = {"cli"}  # `mdlib --help` describes them

# What no chapter calls: helpers of the modules around them.
INTERNAL = {
    *("data.decode", "data.files", "data.grid", "data.gridfile", "data.npz"),
    *("sweep.engine", "sweep.kernel", "sweep.progress", "sweep.plan", "sweep.warm"),
    "sweep.worker",
}

Definition = ast.FunctionDef | ast.ClassDef
HEADS = re.compile(r"(Args|Returns|Raises|Yields):$")


def pages() -> dict[str, str]:
    """The pages as Markdown, by the names of their files."""
    lines = [f"- [`mdlib.{name}`]({name}.md): {_summary(_path(name))}" for name in MODULES]
    about = prose(ast.get_docstring(_parsed(PACKAGE / "__init__.py")))
    index = f"# The package mdlib\n\n{about}\n\n" + "\n".join(lines) + "\n"
    return {"index.md": index} | {f"{name}.md": page(name) for name in MODULES}


def page(name: str) -> str:
    """A module with all that is public in it; of a package, its modules one by one."""
    top = _path(name)
    parts = [f"# mdlib.{name}", prose(ast.get_docstring(_parsed(top)))]
    parts += [described(node, 2) for node in public(top)]
    inside = sorted(top.parent.glob("*.py")) if top.name == "__init__.py" else []
    for path in inside:
        if path.stem.startswith("_") or f"{name}.{path.stem}" in INTERNAL:
            continue
        parts += [f"## mdlib.{name}.{path.stem}", prose(ast.get_docstring(_parsed(path)))]
        parts += [described(node, 3) for node in public(path)]
    return "\n\n".join(part for part in parts if part) + "\n"


def public(path: Path) -> list[Definition]:
    """The documented functions and classes of a file, and those that it takes from a hidden
    module to make them public: by name in `__all__`, or by ``import x as x``."""
    module = _parsed(path)
    exported = next((_strings(n.value) for n in module.body if _assigns(n, "__all__")), ())
    found = []
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and _hidden(node.module or ""):
            taken = {a.name for a in node.names if a.name in exported or a.asname == a.name}
            there = PACKAGE.parent / (node.module.replace(".", "/") + ".py")
            found += [n for n in _definitions(there) if n.name in taken]
    return found + [n for n in _definitions(path) if not n.name.startswith("_")]


def _hidden(module: str) -> bool:
    """Has this module no page or heading of its own?"""
    return "._" in module or module.removeprefix("mdlib.") in INTERNAL


def described(node: Definition, level: int) -> str:
    """A function or a class: heading, signature, docstring, and a class's methods."""
    parts = [f"{'#' * level} {node.name}", f"```python\n{signature(node)}\n```"]
    parts.append(prose(ast.get_docstring(node)))
    if isinstance(node, ast.ClassDef):
        for method in _documented(node.body):
            if not method.name.startswith("_"):
                text = prose(ast.get_docstring(method))
                parts.append(f"```python\n{signature(method)}\n```\n\n{text}")
    return "\n\n".join(parts)


def signature(node: Definition) -> str:
    """How it is called; of a data class, its fields; of a property, its type."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if isinstance(node, ast.ClassDef):
        start = next((n for n in node.body if getattr(n, "name", "") == "__init__"), None)
        if any("dataclass" in decorator for decorator in decorators):
            arguments = [_field(n) for n in node.body if isinstance(n, ast.AnnAssign)]
        else:
            arguments = _arguments(start) if start else []
        bases = ", ".join(ast.unparse(base) for base in node.bases)
        return _wrapped(f"class {node.name}(", arguments, ")" + (f"  # a {bases}" if bases else ""))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    if any("property" in decorator for decorator in decorators):
        return f"{node.name}{returns}"
    return _wrapped(f"{node.name}(", _arguments(node), f"){returns}")


def _wrapped(start: str, arguments: list[str], end: str) -> str:
    """A signature in lines of at most 80 characters, if need be an argument a line."""
    line = start + ", ".join(arguments) + end
    if len(line) <= 80:
        return line
    return start + "".join(f"\n    {argument}," for argument in arguments) + f"\n{end}"


def _field(node: ast.AnnAssign) -> str:
    plain = node.value is not None and "field(" not in ast.unparse(node.value)
    return _argument(ast.unparse(node.target), node.annotation, node.value if plain else None)


def _arguments(node: ast.FunctionDef) -> list[str]:
    given = node.args
    left = [*given.posonlyargs, *given.args]
    defaults = [*[None] * (len(left) - len(given.defaults)), *given.defaults]
    found = [_argument(a.arg, a.annotation, d) for a, d in zip(left, defaults, strict=True)]
    if given.vararg or given.kwonlyargs:
        found.append(f"*{given.vararg.arg if given.vararg else ''}")
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found.append(_argument(argument.arg, argument.annotation, default))
    if given.kwarg:
        found.append(f"**{given.kwarg.arg}")
    return found[1:] if found[:1] in (["self"], ["cls"]) else found


def _argument(name: str, annotation: ast.expr | None, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(annotation)}" if annotation else ""
    return f"{name}{kind}" + (f" = {ast.unparse(default)}" if default else "")


def prose(docstring: str | None) -> str:
    """A docstring as Markdown: paragraphs, lists, code, and the blocks Args, Returns, Raises."""
    done: list[str] = []
    lines = (docstring or "").splitlines()
    while lines:
        head = HEADS.match(lines[0])
        if head or lines[0].startswith("    "):
            first = 1 if head else 0
            size = next((n for n in range(first, len(lines)) if _ends(lines[n])), len(lines))
            block = dedent("\n".join(lines[first:size])).strip("\n")
            done.append(
                f"\n**{head[1]}**\n\n{_items(block)}\n" if head else f"```text\n{block}\n```\n"
            )
            lines = lines[size:]
        else:
            done.append(escaped(lines.pop(0).replace("::", ":")))
    return "\n".join(done).strip()


def _ends(line: str) -> bool:
    """Does an indented block end before this line?"""
    return bool(line) and not line.startswith("    ")


def _items(block: str) -> str:
    """The entries of an Args block, ``name: what it is``, one a bullet; else the text as it is."""
    entries = []
    for line in filter(None, block.splitlines()):
        named = re.match(r"([\w*]+(?:, [\w*]+)*): (.+)", line)
        entry = f"- `{named[1]}`: {escaped(named[2])}" if named else escaped(line.strip())
        entries.append(f"  {entry}" if line.startswith(" ") else entry)
    return "\n".join(entries)


def escaped(text: str) -> str:
    """A line of a docstring, whose signs mean themselves; works that it names become links."""
    pieces = re.split(r"(``?[^`]+``?)", text)
    pieces[::2] = [re.sub(r"([\\_$<>\[\]{}])", r"\\\1", piece) for piece in pieces[::2]]
    text = "".join(pieces)
    text = re.sub(r"github\.com/[\w./\\-]*\w", r"[\g<0>](https://\g<0>)", text)
    text = re.sub(r"arXiv[: ](\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.\d+/\w+)", r"[doi:\1](https://doi.org/\1)", text)


def _path(name: str) -> Path:
    package = PACKAGE / name / "__init__.py"
    return package if package.exists() else PACKAGE / f"{name}.py"


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _summary(path: Path) -> str:
    return escaped(ast.get_docstring(_parsed(path)).partition("\n\n")[0].replace("\n", " "))


def _definitions(path: Path) -> list[Definition]:
    return _documented(_parsed(path).body)


def _documented(body: list[ast.stmt]) -> list[Definition]:
    return [n for n in body if isinstance(n, Definition) and ast.get_docstring(n)]


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def _strings(node: ast.expr) -> list[str]:
    return ast.literal_eval(node)

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

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import mdlib
from mdlib.notebook.chapters import Chapter
from mdlib.sweep.code import UP, Code, as_python, digest, of_file, of_text, prefixes

NO_NUMBERS = {  # what a chapter may import although no number of its rows comes from there
    "mdlib.figures": "draws and prints what was computed",
    "mdlib.cli": "starts chapters",
    "mdlib.notebook": "parses chapters; writes down what it is handed, as it is",
    "mdlib.sweep": "starts runs, gathers rows; what a chapter takes from another sweep, such as "
    "the learning rate that won, it records with its rows",
    "mdlib.types": "annotations",
    "mdlib.io": "reads and writes files as they are",
}
SHARED = 6  # digits of a hash
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
    first = digest(f"{code.digest}\n{shared}")
    own, hashes = {}, []
    for text in map(_said, runs):
        named = " ".join(name for name in left if _stands_in(name, text))
        if named not in own:
            own[named] = digest(f"{first}\n{_closure(code, beside, named)}")
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


def _recorded(chapter: Chapter) -> Code:
    """The chapter's own code, as far as numbers may come from it."""
    return of_text(_text(chapter, UNRECORDED))


def _same(path: Path, root: Path, before: Path) -> bool:
    earlier = before / path.relative_to(root)
    return earlier.is_file() and of_file(earlier).digest == of_file(path).digest


def imported(chapter: Chapter) -> tuple[str, ...]:
    """What a chapter imports, and the modules of mdlib and beside it that these may lead to."""
    code = of_text(_text(chapter))
    found = _closure(code, chapter.path.parent, None, scripts=False)
    return tuple(dict.fromkeys([*code.imports, *sorted(found.modules)]))


def left_out(chapter: Chapter, modules: Iterable[Any]) -> list[str]:
    """Of modules, those in the chapter's folder that no hash of it is of."""
    beside, code = chapter.path.parent, of_text(_text(chapter))
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
    code = of_text(_text(chapter)) if every else _recorded(chapter)
    named = None if every else _said(parameters)
    found = _closure(code, chapter.path.parent, named, scripts=False)
    return {name: f"{path} {of_file(path).digest}" for name, path in found.modules.items()}


def imported_hash(chapter: Chapter) -> str:
    """A hash of these: processes of one hash can stand for each other, whichever chapter's."""
    return digest(str(sorted(imported_code(chapter).items())))


def code_hash(chapter: Chapter) -> str:
    """A hash of the chapter's code cells alone, exercises included: of what a notebook shows."""
    return of_text(_text(chapter)).digest


class _Closure(NamedTuple):
    """What a piece of code leads to."""

    modules: dict[str, Path]  # with their files
    entries: set[tuple[str, str]]  # of registries: a name, and what it stands for

    def __str__(self) -> str:
        """The same for the same code."""
        lines = [f"{name} {of_file(path).digest}" for name, path in self.modules.items()]
        return "\n".join(sorted([*lines, *map(str, self.entries)]))


def _closure(code: Code, beside: Path, named: str | None = "", scripts: bool = True) -> _Closure:
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
            for module in prefixes(name) if name not in seen else []:
                path = None if module in NO_NUMBERS else file(module, beside)
                if path is None:
                    break
                # who imports a.b runs a, too, but mdlib's packages only define
                counts = module == name or not _ours(module)
                if counts and path.is_file() and module not in found.modules:
                    found.modules[module], read = path, of_file(path)
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


def _run_by(code: Code, beside: Path) -> Iterable[str]:
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


def _file(module: str, beside: Path) -> Path | None:
    """Where a module of mdlib or beside the chapter is; a folder, if it has no __init__.py."""
    top = Path(mdlib.__file__).parents[1] if _ours(module) else beside
    # a text: hundreds are asked for, Path is slow
    folder = os.path.join(top, module.replace(".", os.sep).replace(UP, os.pardir))
    for path in (f"{folder}/__init__.py", f"{folder}.py"):
        if os.path.isfile(path):
            return Path(path)
    return Path(folder) if os.path.isdir(folder) else None


def _text(chapter: Chapter, without: Collection[str] = ("launch",)) -> str:
    """The code cells as one text in Python."""
    cells = [c.source for c in chapter.cells if c.kind == "code" and not {*without} & {*c.tags}]
    return "\n".join(map(as_python, cells)) + "\n"

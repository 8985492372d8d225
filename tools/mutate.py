"""Do the tests notice? One small change at a time in a module's code, and its tests on each.

    python tools/mutate.py mdlib/training/loop.py tests/training
    python tools/mutate.py mdlib/losses tests/test_losses.py tests/test_conformance.py --minutes 20

Prints the share of changes that a test noticed, and those that none did. A change that alters no
behaviour can't be noticed, so each survivor wants a look. Of a folder, the changes of all its
modules count. They come in a random order that is always the same, so that what was done in a
limited time is a fair sample; of several test files, those that name the changed module most often
come first. Results are kept in build/mutate: the same command goes on where it was stopped; where
tests have changed it tries the survivors again, and where the code has, all.

A change is compiled in memory and lives in a fork of this process, which has imported torch and
pytest but nothing of mdlib: the files are not touched. Processes that a test starts by itself see
the code as it is.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import importlib
import importlib.machinery
import json
import os
import random
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRELOADED = ("pytest", "torch", "torch._dynamo", "numpy", "pandas", "scipy.stats", "sklearn.svm")

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
OTHERS = {
    "sum": "mean", "mean": "sum", "min": "max", "max": "min", "amin": "amax", "amax": "amin",
    "argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any", "var": "std", "std": "var",
}  # fmt: skip
DROPPED = {  # x.NAME(…) → x
    "abs", "clamp", "clone", "contiguous", "cpu", "detach", "double", "exp", "flip", "float",
    "log", "long", "mul_", "div_", "add_", "neg", "relu", "repeat", "roll", "round", "sigmoid",
    "sort", "sqrt", "square", "tanh", "to", "train", "eval", "requires_grad_",
}  # fmt: skip


def changes(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every (node, what to put in its place) of the code; not in annotations and messages."""
    for node in _code(tree):
        match node:
            case ast.Compare(ops=[op, *_]) if type(op) in COMPARISONS:
                yield node, _with(node, ops=[COMPARISONS[type(op)](), *node.ops[1:]])
            case ast.BinOp(op=op) if type(op) in ARITHMETIC:
                yield node, _with(node, op=ARITHMETIC[type(op)]())
            case ast.AugAssign():
                yield node, ast.Pass()
            case ast.BoolOp(op=op):
                yield node, _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
                yield node, node.operand
            case ast.Constant(value=bool(value)):
                yield node, ast.Constant(not value)
            case ast.Constant(value=int(value) | float(value)):
                yield node, ast.Constant(value + 1 if isinstance(value, int) else 2 * value + 0.1)
            case ast.If() | ast.IfExp() | ast.While():
                yield node, _with(node, test=ast.UnaryOp(ast.Not(), node.test))
            case ast.Return(value=ast.AST()):
                yield node, ast.Return()
            case ast.Raise() | ast.Expr(value=ast.Call()):
                yield node, ast.Pass()
            case ast.With():
                yield node, ast.If(ast.Constant(True), node.body, [])
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                if node.func.attr in DROPPED:
                    yield node, node.func.value
                if other := OTHERS.get(node.func.attr):
                    yield node, _with(node, func=_with(node.func, attr=other))
            for i, keyword in enumerate(node.keywords):
                if keyword.arg:
                    yield node, _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes below `node` that decide what happens, in order."""
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "exc", "type_params"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom) or not isinstance(
                child, ast.AST
            ):
                continue
            yield child
            yield from _code(child)


def _with(node: ast.AST, **fields) -> ast.AST:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return super().visit(node)


def mutant(source: str, i: int) -> tuple[str, ast.Module]:
    """The i-th change of a module's source as (what it is, the module with it)."""
    tree = ast.parse(source)
    old, new = list(changes(tree))[i]
    place = _statement(tree, old)
    before = ast.unparse(place)
    whole = ast.fix_missing_locations(_Put(old, new).visit(tree))
    after = ast.unparse(new if place is old else place)
    return f"line {old.lineno}: {_difference(before, after)}", whole


def _statement(tree: ast.Module, node: ast.AST) -> ast.stmt:
    """The innermost statement that holds `node`."""
    inside = [s for s in ast.walk(tree) if isinstance(s, ast.stmt) and node in ast.walk(s)]
    return inside[-1]


def _difference(before: str, after: str) -> str:
    """The first lines that differ."""
    old, new = before.splitlines(), after.splitlines()
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    return f"{old[at].strip()}  →  {new[at].strip() if at < len(new) else 'pass'}"


def noticed(path: Path, tree: ast.Module | None, tests: list[str], limit: float) -> str:
    """ "survived", or "killed": by a failing test, a crash or by `limit` seconds going by."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        os._exit(_run(path, tree, tests))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if status == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed"


def _run(path: Path, tree: ast.Module | None, tests: list[str]) -> int:
    import pytest

    sys.dont_write_bytecode = True
    plain = importlib.machinery.SourceFileLoader.get_code

    def get_code(self, name):
        if tree is not None and Path(self.path).resolve() == path:
            return compile(tree, str(path), "exec", dont_inherit=True)
        return plain(self, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
    return int(pytest.main([*options, *tests]))


def files_of(paths: list[Path]) -> list[Path]:
    return [f for p in paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]


def digest(files: list[Path]) -> str:
    """Of names and content."""
    parts = [part for f in files for part in (str(f).encode(), f.read_bytes())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def nearest_first(tests: list[Path], module: Path) -> list[str]:
    """Test files, those first that name the module most often."""
    name = module.parent.name if module.stem == "__init__" else module.stem
    counts = {f: len(re.findall(rf"\b{name}\b", f.read_text(encoding="utf-8"))) for f in tests}
    return [str(f) for f in sorted(tests, key=lambda f: -counts[f])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("code", type=Path, help="a file or a folder of mdlib")
    parser.add_argument(
        "tests", nargs="+", type=Path, help="files and folders; -k and the like are pytest's"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="when to stop")
    options, more = parser.parse_known_args()
    code = options.code.resolve()
    beside = files_of([t.resolve() for t in options.tests])
    tests = [f for f in beside if f.name.startswith("test_")]
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in PRELOADED:
        importlib.import_module(name)

    modules = files_of([code])
    state = ROOT / "build" / "mutate" / f"{code.stem}-{digest(modules)}.json"
    results = json.loads(state.read_text()) if state.exists() else {"tests": "", "done": {}}
    tested = digest(beside) + " ".join(more)
    if results["tests"] != tested:
        done = {place: what for place, what in results["done"].items() if what == "killed"}
        results = {"tests": tested, "done": done}
    started = time.monotonic()
    if noticed(modules[0], None, [*map(str, tests), *more], 1200) != "survived":
        asked = " ".join(map(str, [*options.tests, *more]))
        sys.exit(f"the tests {asked} fail, or find nothing, before anything is changed")
    limit = 10 + 3 * (time.monotonic() - started)

    sources = {m: m.read_text(encoding="utf-8") for m in modules}
    todo = [(m, i) for m in modules for i, _ in enumerate(changes(ast.parse(sources[m])))]
    random.Random(0).shuffle(todo)
    for module, i in todo:
        place = f"{module.relative_to(code.parent)}:{i}"
        if place in results["done"]:
            continue
        if time.monotonic() > started + 60 * options.minutes:
            break
        what, tree = mutant(sources[module], i)
        ending = noticed(module, tree, [*nearest_first(tests, module), *more], limit)
        results["done"][place] = what if ending == "survived" else ending
        state.parent.mkdir(parents=True, exist_ok=True)
        state.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    survivors = {place: what for place, what in results["done"].items() if what != "killed"}
    count = len(results["done"])
    share = f"{count - len(survivors)} noticed ({1 - len(survivors) / max(1, count):.1%})"
    print(f"{options.code}: {count} of {len(todo)} changes tried, {share}")
    for file, i in sorted(
        (f, int(i)) for f, _, i in (place.rpartition(":") for place in survivors)
    ):
        print(f"  {file}, {survivors[f'{file}:{i}']}")


if __name__ == "__main__":
    main()

"""The site's pages that are written from files: results, status, the package's reference."""

import ast
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pandas as pd
import pytest

from mdlib import sweep
from mdlib.notebook import chapters
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import plan

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
pages, reference = import_module("pages"), import_module("reference")

TABLE = (ROOT / "book" / "notation.md").read_text(encoding="utf-8")
NOTATION = re.findall(r"^\| .+ \| `(.+)` \| `(\w+)` \|$", TABLE, re.MULTILINE)


# --- results


def test_numbers_of_the_results_are_those_of_the_file():
    spec = sweep.load("start_here", need_data=False)
    shown = pages.table(spec, sweep.read_csv(spec))
    rows = pd.read_csv(ROOT / "notebooks/sweeps/start_here.csv")
    style = rows[rows["method"] == "infonce"]["style"]
    wanted = f"{style.mean():.3f} ± {style.std(ddof=1):.3f}"
    assert f"<td>{wanted}</td>" in shown.replace("&nbsp;", " ")
    assert shown.count("<tr>") == 5  # four methods and the untrained network


def test_rows_of_one_run_are_not_averaged():
    spec = sweep.load("mi_in_practice", need_data=False)
    found = sweep.summary(pages.told_apart(spec, sweep.read_csv(spec)), spec)
    assert set(found["n"]) == {3}  # seeds, not seeds × true values
    assert "truth" in found.index.names


def test_results_name_every_sweep():
    text = pages.results()
    for path in (ROOT / "notebooks" / "sweeps").glob("*.yaml"):
        done = path.with_suffix(".csv").exists()
        assert (f"## {path.stem}\n" in text) == done
        assert (f"- `{path.stem}`" in text) == (not done)


# --- status


def test_status_has_a_row_for_each_chapter_with_outputs():
    rows = re.findall(r"^\| (?!chapter|---)", pages.status(), re.MULTILINE)
    paths = [chapters.find(name).path.with_suffix(".ipynb") for name in chapters.names()]
    assert len(rows) == sum(path.exists() for path in paths)


def test_outputs_are_compared_with_the_present_source(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text("# %% [markdown]\n# # Tiny\n\n# %%\nx = 1\n")
    chapter = Chapter(path)
    code, source = plan.code_hash(chapter), plan.source_hash(chapter)
    assert pages.freshness(chapter, {"code": code, "source": source}) == "fresh"
    assert pages.freshness(chapter, {"code": code, "source": "0" * 12}) == "older mdlib"
    assert pages.freshness(chapter, None) == "unknown"
    path.write_text("# %% [markdown]\n# # Changed\n\n# %%\nx = 1\n")
    assert plan.code_hash(Chapter(path)) == code
    path.write_text("# %% [markdown]\n# # Tiny\n\n# %%\nx = 2\n")
    assert pages.freshness(Chapter(path), {"code": code, "source": source}) == "other code"


def test_provenance_is_read_from_the_notebook():
    text = "{'date': '2026-11-22T05:53:52+00:00', 'device': 'cpu', 'seconds': 1.5}"
    output = nbformat.v4.new_output("execute_result", data={"text/plain": text})
    cell = nbformat.v4.new_code_cell(metadata={"tags": ["provenance"]}, outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(), cell])
    assert pages.provenance(notebook)["seconds"] == 1.5


# --- the package's reference


def test_reference_has_every_public_module():
    there = {path.stem for path in (ROOT / "mdlib").glob("[!_]*.py")}
    there |= {path.parent.name for path in (ROOT / "mdlib").glob("*/__init__.py")}
    assert there == set(reference.MODULES) | reference.NO_LIBRARY
    listed = re.findall(r"file: book/mdlib/(\w+)", (ROOT / "book/_toc.yml").read_text())
    assert listed == ["index", *reference.MODULES]


@pytest.mark.parametrize("name", ["data", "methods", "metrics", "mi", "sweep"])
def test_reference_has_what_packages_export(name):
    module, text = import_module(f"mdlib.{name}"), reference.page(name)
    things = {n: getattr(module, n) for n in module.__all__}
    wanted = {n for n, t in things.items() if inspect.isroutine(t) or inspect.isclass(t)}
    assert wanted <= set(re.findall(r"^##+ (\w+)$", text, re.MULTILINE))


def test_signatures_are_those_of_python():
    source = 'def f(a, b: int = 2, *, c="x", **rest) -> int:\n    """Adds."""\n'
    (node,) = ast.parse(source).body
    assert reference.signature(node) == "f(a, b: int = 2, *, c = 'x', **rest) -> int"
    source = "class A(B):\n    def __init__(self, one: int): ...\n"
    assert reference.signature(ast.parse(source).body[0]) == "class A(one: int)  # a B"
    source = "@dataclass\nclass A:\n    n: int\n    m: Tensor = field(repr=False)\n    k: int = 0\n"
    expected = "class A(n: int, m: Tensor, k: int = 0)"
    assert reference.signature(ast.parse(source).body[0]) == expected


def test_docstrings_become_markdown():
    text = "Codes [N] of `x_i` x_i.\n\nArgs:\n    a, b: two,\n        long.\n\nRaises:\n    E: no."
    assert reference.prose(text) == (
        "Codes \\[N\\] of `x_i` x\\_i.\n\n\n**Args**\n\n- `a, b`: two,\n  long.\n\n\n"
        "**Raises**\n\n- `E`: no."
    )
    assert reference.prose("So::\n\n    a = 1\n\nEnd.") == "So:\n\n```text\na = 1\n```\n\nEnd."
    linked = "[arXiv:1807.03748](https://arxiv.org/abs/1807.03748)"
    assert reference.escaped("see arXiv:1807.03748") == f"see {linked}"
    address = reference.escaped("github.com/a/b_c")
    assert address == r"[github.com/a/b\_c](https://github.com/a/b\_c)"


# --- notation


@pytest.mark.parametrize(("name", "chapter"), NOTATION)
def test_names_in_the_notation_exist(name, chapter):
    path, _, parameter = name.rstrip(")").partition("(")
    if "." not in path:
        code = "\n".join(c.source for c in chapters.find(chapter).cells if c.kind == "code")
        assert re.search(rf"\b{path}\b", code), f"no cell of {chapter} has {name}"
        return
    thing = SimpleNamespace(mdlib=import_module("mdlib"))
    for part in ["mdlib", *path.split(".")]:
        thing = member(thing, part)
    assert not parameter or parameter in inspect.signature(thing).parameters


def member(thing, name):
    """An attribute, a module inside a package, or the annotation of a data class's field."""
    if name in getattr(thing, "__annotations__", {}):
        return thing.__annotations__[name]
    if inspect.ismodule(thing) and not hasattr(thing, name):
        return import_module(f"{thing.__name__}.{name}")
    return getattr(thing, name)


def test_every_row_of_the_notation_is_checked():
    assert len(NOTATION) == TABLE.count("\n| $") > 40

"""The hash of a run covers what its numbers come from, and nothing else."""

import ast
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat import v4

import mdlib
from mdlib import data, registry, sweep
from mdlib.methods import REGISTRY, create
from mdlib.notebook import chapters
from mdlib.notebook.chapters import Chapter
from mdlib.sweep import driver, performer, preload, sources
from mdlib.sweep.code import _of_version
from mdlib.sweep.task import SourceChanged, Task

PACKAGE = Path(mdlib.__file__).parent


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of mdlib that may be edited, which is the one that the hash is taken of."""
    copy = tmp_path / "copy" / "mdlib"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(mdlib, "__file__", str(copy / "__init__.py"))
    return copy


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}: the test needs another edit"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def modules_of(name, parameters=""):
    chapter = chapters.find(name)
    text = sources.of_text(sources._text(chapter))
    return sources._closure(text, chapter.path.parent, parameters).modules


PARTITIONED = "experiments/partitioned"
HEXAGONS = """\
from mdlib.data.base import Source


class Hexagons(Source):
    name, title = "hexagons", "Hexagons"
"""


def test_what_is_no_source_of_numbers_leaves_rows_fresh(package):
    spec = sweep.load("partitioned", need_data=False)
    before = driver.folders(spec, package)
    (package / "data/hexagons.py").write_text(HEXAGONS)
    for file, old, new in [
        (
            "data/__init__.py",
            '    "pong":',
            '    "hexagons": "mdlib.data.hexagons:Hexagons", "pong":',
        ),
        ("methods/__init__.py", '    "wmse":', '    "wmse2": "mdlib.methods.wmse:WMSE", "wmse":'),
        ("data/hexagons.py", "Hexagons", "Others"),
        ("data/celeba.py", "return ", "return 2 * "),  # which no row of it names
        ("methods/wmse.py", "return ", "return 2 * "),
        ("metrics/aggregate.py", "return ", "return 2 * "),
        ("io.py", "return ", "return 2 * "),
        ("figures/plots.py", "import ", "import antigravity, "),
        ("figures/explorable/__init__.py", "return ", "return 2 * "),
        ("cli/sweep.py", "import ", "import antigravity, "),
        ("notebook/html.py", "return ", "return 2 * "),
        ("sweep/driver.py", "return ", "return 2 * "),
        ("mi/pairs.py", "return ", "return 2 * "),  # which this chapter does not import
        ("losses/__init__.py", '"""', '"""Quite another docstring. '),
        ("losses/__init__.py", "\ndef ", "\n\n\n# a remark\ndef "),
        ("losses/__init__.py", "\n\n\n", "\n\nfrom jaxtyping import Shaped\n"),
        ("methods/byol.py", "\nfrom __future__ import annotations\n", "\n"),
    ]:
        edit(package / file, old, new)
        assert driver.folders(spec, package) == before, (file, old)


def test_a_source_of_numbers_makes_rows_stale(package):
    chapter = chapters.find(PARTITIONED)
    code, hashes = sources.code_hash(chapter), [sources.source_hash(chapter)]
    for file, old, new in [
        ("losses/__init__.py", "return ", "return 2 * "),
        ("methods/byol.py", "momentum: Share = 0.99", "momentum: Share = 0.9"),
        ("methods/augself.py", "return ", "return 2 * "),  # reached by the registry alone
        ("methods/__init__.py", '"mdlib.methods.byol:BYOL"', '"mdlib.methods.simsiam:SimSiam"'),
        ("data/digits.py", "return ", "return 2 * "),  # in SOURCES
        ("data/digits.py", "class Digits", "class Others"),
        ("evaluation/logistic.py", "return ", "return 2 * "),  # imported by what is imported
        ("__init__.py", "return ", "return 2 * "),
    ]:
        edit(package / file, old, new)
        hashes.append(sources.source_hash(chapter))
        assert len(set(hashes)) == len(hashes), (file, old)
    assert sources.code_hash(chapter) == code


def test_an_entry_makes_those_runs_stale_that_name_it(package):
    chapter = chapters.find("start_here")
    runs = [{"dataset": name, "seed": seed} for name in ("sprites", "celeba") for seed in range(2)]
    before = sources.source_hashes(chapter, runs)
    assert before[0] == before[1] != before[2] == before[3]
    edit(package / "data/celeba.py", "return ", "return 2 * ")
    now = sources.source_hashes(chapter, runs)
    assert now[:2] == before[:2]
    assert now[2] not in before
    assert len({name[: sources.SHARED] for name in before + now}) == 1
    assert now == [sources.source_hash(chapter, parameters) for parameters in runs]


def test_what_changed_is_named(package):
    chapter, before = chapters.find("theory/collapse"), package.parents[1] / "before"
    shutil.copytree(package, before / "mdlib")
    copy = package.parent / chapter.path.relative_to(chapters.root())
    for place in (copy, before / copy.relative_to(package.parent)):
        place.parent.mkdir(parents=True)
        shutil.copy(chapter.path, place)
    there = Chapter(copy)
    assert sources.changed(there, before, [{}]) == []
    edit(package / "figures/plots.py", "return ", "return 2 * ")
    edit(copy, "# # ", "# # Another ")
    assert sources.changed(there, before, [{}]) == []
    edit(package / "losses/__init__.py", "return ", "return 2 * ")
    assert sources.changed(there, before, [{}]) == ["mdlib.losses"]
    edit(copy, "import torch\n", "import torch\n\nnow = 1\n")
    assert sources.changed(Chapter(copy), before, [{}]) == ["the chapter", "mdlib.losses"]
    shutil.rmtree(before)
    assert {"the chapter", "mdlib.losses"} < set(sources.changed(Chapter(copy), before, [{}]))


ANNOTATED = """\
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import other


@dataclass
class A:
    x: torch.Tensor
    n: int = 0


def f(a: torch.Tensor, *rest: Sequence, key: int = 1, **more: other.T) -> torch.Tensor:
    b: torch.Tensor = a
    return torch.relu(b)
"""


def test_annotations_count_for_nothing(tmp_path):
    first = hash_of(tmp_path, helper=ANNOTATED, other="x = 1\n")
    same = ANNOTATED.replace("torch.Tensor", "Float[Tensor, 'n d']")
    same = same.replace("import torch\n", "import torch\nfrom jaxtyping import Float\n", 1)
    same = same.replace("import torch\n", "import torch\nfrom torch import Tensor\n", 1)
    assert hash_of(tmp_path, helper=same, other="x = 1\n") == first
    assert hash_of(tmp_path, helper=ANNOTATED, other="x = 2\n") == first, "never imported"
    used = ANNOTATED.replace("import torch\n", "import torch\nfrom torch import relu as f2\n")
    assert hash_of(tmp_path, helper=used.replace("torch.relu", "f2"), other="x = 1\n") != first
    for old, new in [("n: int = 0", "n: int = 1"), ("key: int = 1", "key: int = 2")]:
        assert hash_of(tmp_path, helper=ANNOTATED.replace(old, new), other="x = 1\n") != first


def test_of_registries_the_entries_count_that_a_run_names():
    every = {f"mdlib.methods.{name}" for name in ("vae", "simve", "infonce", "byol", "wmse")}
    every |= {"mdlib.data.digits", "mdlib.data.celeba", "mdlib.data.pong"}
    assert every - modules_of("start_here").keys() == {
        "mdlib.methods.wmse", "mdlib.data.celeba", "mdlib.data.pong",
    }  # fmt: skip
    assert every - modules_of("start_here", "wmse same-class-celeba").keys() == {"mdlib.data.pong"}
    assert every <= modules_of("start_here", None).keys()
    found = modules_of("start_here", None)
    assert {entry.partition(":")[0] for entry in REGISTRY.values()} <= found.keys()
    assert not [name for name in found if name.startswith(("mdlib.figures", "mdlib.sweep"))]


def test_a_run_takes_no_entry_that_its_hash_leaves_out(monkeypatch):
    monkeypatch.setattr(registry.Registry, "counted", {"digits", "vae"})
    shape = {"image_shape": (1, 8, 8), "latent_dim": 2}
    assert create("vae", **shape) and data.load("digits", size=8)
    for take in (lambda: create("cr_vae", **shape), lambda: data.load("pong")):
        with pytest.raises(RuntimeError, match=r"named by no text .*: write the whole"):
            take()
    assert REGISTRY["cr_vae"].title and data.describe("pong")  # these make no number
    with pytest.raises(ValueError, match="vay"):
        create("vay", **shape)


def test_an_edit_stops_a_sweep_only_where_its_runs_are_of_it(package, monkeypatch):
    chapter = chapters.find("start_here")
    parameters = {name: one.default for name, one in chapter.parameters.items()}
    monkeypatch.setattr(preload, "IMPORTED", sources.imported_code(chapter))
    monkeypatch.setattr(registry.Registry, "counted", None)  # a run's process sets it
    source, imported = sources.source_hash(chapter, parameters), sources.imported_hash(chapter)
    task = Task(1, str(chapter.path), chapter.name, "", source, imported, parameters)
    for file in ("data/celeba.py", "methods/wmse.py", "figures/plots.py"):
        edit(package / file, "return ", "return 2 * ")
        performer._checked(task)
    digits = (package / "data/digits.py").read_text()
    edit(package / "data/digits.py", "return ", "return 2 * ")
    with pytest.raises(SourceChanged):
        performer._checked(task)
    monkeypatch.setattr(preload, "IMPORTED", sources.imported_code(chapter))
    (package / "data/digits.py").write_text(digits)
    with pytest.raises(SourceChanged):  # what lies there is right, what was imported is not
        performer._checked(task)


def test_packages_do_nothing_but_define():
    """Who imports one of their modules runs them, and is not asked whether they have changed."""
    others = {
        PACKAGE.parent.joinpath(*name.split("."), "__init__.py") for name in sources.NO_NUMBERS
    }
    for path in {*PACKAGE.rglob("__init__.py")} - others:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
                defines = (ast.Import, ast.ImportFrom, ast.If, ast.Try, ast.Assign, ast.AnnAssign)
                assert isinstance(node, (*defines, ast.FunctionDef, ast.ClassDef)), path


def test_a_chapter_that_trains_nothing_depends_on_no_method():
    found = modules_of("theory/infonce_bound")
    assert "mdlib.mi.bounds" in found
    assert not [name for name in found if name.startswith("mdlib.methods")]


def test_reasons_are_given_for_modules_that_exist():
    for name, reason in sources.NO_NUMBERS.items():
        assert reason
        assert sources._file(name, PACKAGE), f"{name} is gone: take it off the list"


def test_a_file_is_read_once(monkeypatch):
    chapter = chapters.find(PARTITIONED)
    sources.of_text.cache_clear()
    _of_version.cache_clear()
    start = time.process_time()
    first = sources.source_hash(chapter)
    assert time.process_time() - start < 1.5  # 0.2 s on an idle machine

    read, of_text = [], sources.of_text
    monkeypatch.setattr(sources, "of_text", lambda text: read.append(text) or of_text(text))
    assert sources.source_hash(chapter) == first
    assert len(read) == 1, "the chapter's own"


CODE = """\
# %% tags=["parameters"]
seed = 0  # of all
out = ""  # where

# %% tags=["launch"]
import antigravity

# %%
import helper

helper.f()
"""


def chapter_of(folder, code=CODE, **files):
    (folder / "chapter.py").write_text(code)
    for name, text in files.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    return Chapter(folder / "chapter.py")


def hash_of(*arguments, **files):
    return sources.source_hash(chapter_of(*arguments, **files))


def test_a_module_beside_the_chapter_counts(tmp_path):
    first = hash_of(tmp_path, helper="def f():\n    return 1\n")
    assert hash_of(tmp_path, helper='def f():\n    """One."""\n    return 1  # so\n') == first
    assert hash_of(tmp_path, helper="def f():\n    return 2\n") != first
    assert hash_of(tmp_path, other="x = 1\n", helper="def f():\n    return 1\n") == first


@pytest.mark.parametrize(
    "how",
    [
        "import other",
        "import other as o",
        "from other import x",
        "def f():\n    from other import x\n    return x",
        "try:\n    import other\nexcept ImportError:\n    pass",
        "from importlib import import_module\nimport_module('other')",
        "import importlib\nALL = ['other']\nmodules = [importlib.import_module(n) for n in ALL]",
        "ALL = {'mine': 'other:Mine'}",
        "from importlib import import_module as load\nload('other')",
        "import importlib\nimportlib.import_module(name='other')",
        "import runpy\nrunpy.run_module('other')",
        "import os, sys\nos.system(sys.executable + ' -m other')",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'other'])",
        "from mdlib.registry import Registry\nNETS = Registry('net', {'mine': 'other:Mine'})",
        "__import__('other')",
        "exec(open('other.py').read())",
    ],
)
def test_what_a_helper_imports_counts(tmp_path, how):
    first = hash_of(tmp_path, helper=how + "\n", other="x = 1\n")
    assert hash_of(tmp_path, helper=how + "\n", other="x = 2\n") != first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from torch.nn.functional import relu as act",
            "from torch.nn.functional import elu as act",
        ),
        ("from numpy.linalg import norm", "from torch.linalg import norm"),
        ("from numpy import *", "from torch import *"),
    ],
)
def test_what_a_helper_imports_for_others_counts(tmp_path, old, new):
    assert hash_of(tmp_path, helper=old + "\n") != hash_of(tmp_path, helper=new + "\n")


def test_a_module_of_mdlib_that_a_sweep_has_imported_counts(package, tmp_path):
    code = CODE.replace("import helper\n", "import mdlib\n")
    code = code.replace("helper.f()", "mdlib.losses.info_nce; mdlib.data.load('celeba')")
    hashes = [hash_of(tmp_path, code)]
    for file in ("losses/__init__.py", "data/__init__.py", "data/celeba.py"):
        edit(package / file, "return ", "return 2 * ")
        hashes.append(hash_of(tmp_path, code))
    assert len(set(hashes)) == 4


def test_a_package_may_begin_as_mdlib_does(tmp_path):
    code = CODE.replace("import helper\n", "import mdlib_more.a\n")
    files = {"mdlib_more__in____init__": "", "mdlib_more__in__a": "import other\n"}
    first = hash_of(tmp_path, code, **files, other="x = 1\n")
    assert hash_of(tmp_path, code, **files, other="x = 2\n") != first
    code = CODE.replace("import helper\n", "from mdlib_more.a import x\n")
    first = hash_of(tmp_path, code, **files)
    assert hash_of(tmp_path, code, **files | {"mdlib_more__in____init__": "x = 1\n"}) != first


@pytest.mark.parametrize(
    "how", ["from . import b", "from .b import x", "from .. import pack", "from ..pack.b import x"]
)
def test_packages_and_relative_imports_count(tmp_path, how):
    code = CODE.replace("import helper", "import pack.sub.a").replace("helper.f()", "")
    level = "pack__in__sub__in__b" if "from ." in how and ".." not in how else "pack__in__b"
    (tmp_path / "pack/sub").mkdir(parents=True)
    files = {
        "pack__in____init__": "from pack import b\n" if how == "from .. import pack" else "",
        "pack__in__sub__in____init__": "",
        "pack__in__sub__in__a": how.replace("..pack", "...pack").replace(".. ", "... ") + "\n",
    }
    first = hash_of(tmp_path, code, **files, **{level: "x = 1\n"})
    assert hash_of(tmp_path, code, **files, **{level: "x = 2\n"}) != first
    changed = files | {"pack__in__sub__in____init__": "y = 1\n"}
    assert hash_of(tmp_path, code, **changed, **{level: "x = 1\n"}) != first, "it is run, too"


def test_a_text_as_long_as_a_picture_ends(tmp_path):
    for word in ("ab12", "a/b", "./"):  # an hour, if each place in it begins a search to its end
        assert hash_of(tmp_path, helper=f"x = {word * 10**5!r}\n")


def test_what_is_installed_below_the_chapters_folder_is_not_its_own(tmp_path, monkeypatch):
    """As of a chapter in a home folder, where Pythons and environments lie, too."""
    chapter = chapter_of(tmp_path, helper="")
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    paths = ["python/lib/calendar.py", "env/lib/a.py", ".local/lib/site-packages/b.py"]
    paths += ["helper.py", "chapter.py", "src/own.py", "src/c.so", "../other.py"]
    modules = [SimpleNamespace(__file__=str(tmp_path / path)) for path in paths]
    modules.append(SimpleNamespace(__file__=None))
    assert sources.left_out(chapter, modules) == ["src.own"]


def test_modules_that_import_each_other_end(tmp_path):
    assert hash_of(tmp_path, helper="import other\n", other="import helper\n")


def test_of_a_chapter_code_counts_and_prose_does_not(tmp_path):
    first = hash_of(tmp_path)
    assert hash_of(tmp_path, CODE + "\n# %% [markdown]\n# Prose.\n") == first
    assert hash_of(tmp_path, CODE.replace("antigravity", "this")) == first, "it fetches the book"
    assert hash_of(tmp_path, CODE.replace("# of all", "# 0 … 9")) == first
    assert hash_of(tmp_path, CODE.replace("helper.f()", "helper.f(1)")) != first
    assert hash_of(tmp_path, CODE.replace("seed = 0", "seed = 1")) != first
    assert hash_of(tmp_path, CODE.replace("seed = 0", "seed = 0.0")) != first


def test_cells_in_ipythons_own_syntax_count(tmp_path):
    for command in ("%run helper.py --fast", "%run helper --fast", "!python -m helper --fast"):
        script = CODE.replace("import helper\n", f"{command}\n")
        first = hash_of(tmp_path, script, helper="x = 1\n")
        assert hash_of(tmp_path, script, helper="x = 2\n") != first, command
    magic = CODE.replace("import helper\n", "%matplotlib inline\nimport helper\nx = !ls\n")
    first = hash_of(tmp_path, magic, helper="x = 1\n")
    assert hash_of(tmp_path, magic, helper="x = 2\n") != first
    assert hash_of(tmp_path, magic.replace("inline", "agg"), helper="x = 1\n") != first


@pytest.mark.parametrize(
    "cell",
    [
        "%%html\n<b>it's</b>",
        "%%bash\nif true; then echo; fi",
        "%%javascript\nlet x = 3;",
        "%%writefile cfg.txt\nlr: 3 yes",
        "%%time\n%timeit x",
        "a cell that fails",
    ],
)
def test_a_cell_in_another_language_hides_no_import(tmp_path, cell):
    first = notebook_hash(tmp_path, "import helper", cell, helper="x = 1\n")
    assert sources.imported(Chapter(tmp_path / "own.ipynb")) == ("helper",)
    assert notebook_hash(tmp_path, "import helper", cell, helper="x = 2\n") != first
    assert notebook_hash(tmp_path, "import helper", f"{cell}2", helper="x = 1\n") != first


def test_below_a_magic_code_counts_and_so_does_the_magic(tmp_path):
    for cell in ("%%time\nimport helper", "%%time\n%run ./helper"):
        first = notebook_hash(tmp_path, cell, helper="x = 1\n")
        assert notebook_hash(tmp_path, cell, helper="x = 2\n") != first
        assert notebook_hash(tmp_path, cell.replace("%%time", "%%prun"), helper="x = 1\n") != first


def notebook_hash(folder, *cells, **files):
    chapter_of(folder, **files)
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    (folder / "own.ipynb").write_text(v4.writes(notebook))
    return sources.source_hash(Chapter(folder / "own.ipynb"))


def test_an_edit_between_two_looks_is_seen(tmp_path):
    chapter = chapter_of(tmp_path, helper="x = 1\n")
    first = sources.source_hash(chapter)
    (tmp_path / "helper.py").write_text("x = 2\n")
    assert sources.source_hash(chapter) != first


@pytest.mark.parametrize(
    ("how", "file"),
    [
        ("import runpy\nrunpy.run_path('my-losses.py')", "my-losses"),
        ("%run my-losses.py --fast", "my-losses"),
        ("!python sub-folder/my-losses.py", "sub-folder__in__my-losses"),
        (
            "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'pkg'])",
            "pkg__in____main__",
        ),
        ("!python -m pkg", "pkg__in____main__"),
        ("%run ./helper", "helper"),
        ("%run -i -t helper --fast", "helper"),
        ("%run ../h2/helper.py", "../h2/helper"),
        ("%run -i ../h2/helper", "../h2/helper"),
        ("import runpy\nrunpy.run_path(str(Path('scripts') / 'two.py'))", "scripts__in__two"),
        ("exec(open(os.path.join('a', 'b', 'two.py')).read())", "a/b/two"),
    ],
)
def test_a_script_counts_by_its_name(tmp_path, how, file):
    first, again, other = (hash_of(tmp_path, how, **{file: f"x = {n}\n"}) for n in (1, 1, 2))
    assert first == again != other

"""The book's build names every notebook that was not run to its end, or with other parameters."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from mdlib.notebook.chapters import Chapter

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
outputs, build = import_module("outputs"), import_module("build")

SOURCE = """# %% [markdown]
# # A chapter

# %% tags=["parameters"]
steps = 3  # training steps [1 or more]

# %%
steps + 1
"""


@pytest.fixture
def chapter(tmp_path):
    """A chapter whose notebook was run."""
    (tmp_path / "a.py").write_text(SOURCE)
    found = Chapter(tmp_path / "a.py")
    notebook = found.notebook()
    for n, cell in enumerate([c for c in notebook.cells if c.cell_type == "code"], 1):
        cell.execution_count = n
    nbformat.write(notebook, tmp_path / "a.ipynb")
    return found


def change(chapter, of):
    """Write the notebook anew after `of` has changed its cells."""
    path = chapter.path.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    of(notebook.cells)
    nbformat.write(notebook, path)


def parameters(cells):
    cells[1].source = "steps = 4"


def injected(cells):
    tags = {"tags": ["injected-parameters"]}
    new = nbformat.v4.new_code_cell("steps = 4", metadata=tags, execution_count=2)
    cells.insert(2, new)
    cells[3].execution_count = 3


def failed(cells):
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    cells[2].outputs = [error]


def backwards(cells):
    cells[1].execution_count, cells[2].execution_count = 2, 1


def not_run(cells):
    cells[2].execution_count = None


def test_a_whole_run_has_no_fault(chapter):
    assert outputs.fault(chapter) == ""


@pytest.mark.parametrize(
    ("of", "what"),
    [
        (not_run, "was saved before it had run to its end: 1 of 2 cells did not run"),
        (backwards, "was run in another order"),
        (failed, "holds an error, ValueError: no"),
        (parameters, "was run with other parameters than a.py has"),
        (injected, "was run with other parameters than a.py has"),
    ],
)
def test_what_is_wrong_is_said(chapter, of, what):
    change(chapter, of)
    assert outputs.fault(chapter).startswith(what)


def test_a_damaged_notebook_is_a_fault_too(chapter):
    chapter.path.with_suffix(".ipynb").write_text("{")
    assert outputs.fault(chapter).startswith("cannot be read")


def test_the_build_names_all_and_builds_nothing(chapter, monkeypatch, capsys):
    change(chapter, not_run)
    monkeypatch.setattr(outputs, "names", lambda: ["theory/a", "theory/b"])
    monkeypatch.setattr(outputs, "find", lambda name: chapter)
    monkeypatch.setattr(build, "write_pages", lambda: pytest.fail("it began to build"))
    monkeypatch.setattr(build, "sources", lambda with_solutions: "")
    assert build.main() == 1
    said = capsys.readouterr().err
    for name in ("theory/a", "theory/b"):
        assert f"notebooks/{name}.ipynb was saved before it had run to its end" in said
        assert f"python tools/pairs.py {name}" in said
    assert "Traceback" not in said


def test_a_book_of_the_same_files_is_not_built_again(tmp_path, monkeypatch, capsys):
    for command in (["init", "-q"], ["add", "."]):
        (tmp_path / "a.md").write_text("one")
        subprocess.run(["git", "-C", tmp_path, *command], check=True)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build, "write_pages", lambda: pytest.fail("it began to build"))
    monkeypatch.setattr(build.outputs, "faults", list)
    now = build.sources(with_solutions=True)
    assert now not in ("", build.sources(with_solutions=False))
    with pytest.raises(pytest.fail.Exception, match="began to build"):
        build.main()
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "of").write_text(now)
    (tmp_path / ".gitignore").write_text("_build/")  # a new file that git would take
    with pytest.raises(pytest.fail.Exception, match="began to build"):
        build.main()
    (tmp_path / "_build" / "of").write_text(build.sources(with_solutions=True))
    with pytest.raises(pytest.fail.Exception, match="began to build"):
        build.main()  # there is no page
    (tmp_path / "_build" / "html").mkdir()
    (tmp_path / "_build" / "html" / "index.html").touch()
    assert build.main() == 0
    assert "already" in capsys.readouterr().out
    (tmp_path / "a.md").write_text("two")
    with pytest.raises(pytest.fail.Exception, match="began to build"):
        build.main()
    monkeypatch.setattr(build, "ROOT", tmp_path / "no git here")
    assert build.sources(with_solutions=True) == ""

"""Chapters are found and read, and values for their parameters parsed or refused."""

import json
import re
import textwrap
from pathlib import Path

import jupytext
import nbformat
import pytest

from mdlib.notebook import chapters

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
BOOK = chapters.names()


def chapter_of(folder, parameters):
    path = folder / "chapter.py"
    cell = '# %% tags=["parameters"]\n' + textwrap.dedent(parameters)
    path.write_text("# %% [markdown]\n# # Title\n\n" + cell)
    return chapters.Chapter(path)


# find


def test_find_by_name_relative_name_and_path(book):
    (book / "sweeps").mkdir()
    (book / "sweeps/tiny.py").touch()
    (book / ".ipynb_checkpoints").mkdir()
    (book / ".ipynb_checkpoints/tiny.py").touch()
    assert chapters.names() == ["theory/latent_model", "tiny"]
    assert chapters.find("latent_model").name == "theory/latent_model"
    assert chapters.find("theory/latent_model").path == book / "theory/latent_model.py"
    assert chapters.find(book / "tiny.py").name == "tiny"


def test_unknown_and_ambiguous_names(book):
    with pytest.raises(ValueError, match=r"unknown chapter 'tini': did you mean 'tiny'\?"):
        chapters.find("tini")
    with pytest.raises(ValueError, match="no such file"):
        chapters.find("tini.ipynb")
    (book / "methods").mkdir()
    (book / "methods/latent_model.py").touch()
    with pytest.raises(ValueError, match="methods/latent_model or theory/latent_model"):
        chapters.find("latent_model")


def test_root_is_searched_upward(tmp_path, monkeypatch):
    monkeypatch.setattr(chapters, "__file__", str(tmp_path / "site-packages/mdlib/chapters.py"))
    (tmp_path / "book/notebooks/theory").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "book/notebooks/theory")
    assert chapters.root() == tmp_path / "book"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no notebooks/ folder"):
        chapters.root()


# read


def test_what_a_chapter_says(book):
    tiny = chapters.find("tiny")
    assert tiny.title == "A tiny chapter"
    assert tiny.question == "What is one and one?"
    assert tiny.time == "2 s on one core"
    assert [(p.name, p.default, p.help) for p in tiny.parameters.values()] == [
        ("seed", 0, "of every generator"),
        ("rate", 0.5, "step size"),
        ("device", "auto", "where"),
        ("dataset", "digits", "what"),
        ("fail", False, "on purpose"),
        ("sizes", "1,2", "of the layers"),
        ("out", "", "where to"),
    ]


def test_notebook_and_source_say_the_same(book):
    tiny = chapters.find("tiny")
    node = tiny.notebook()
    assert node.metadata.kernelspec.name == "python3"
    nbformat.write(node, book / "tiny.ipynb")
    twin = chapters.find(book / "tiny.ipynb")
    assert [cell.source for cell in node.cells] == [cell.source for cell in twin.cells]
    assert (twin.cells, twin.parameters) == (tiny.cells, tiny.parameters)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a = 1 + b", "'a = 1 + b' is no plain literal"),
        ("a = f()", "no plain literal"),
        ("a, b = 1, 2", "not of the form"),
        ("a: int", "not of the form"),
        ("import os", "not of the form"),
        ("a = 1\na = 2", "'a' is set twice"),
        ("a = ", "invalid syntax"),
        ("a = (", "was never closed"),
        ('a = 1\n\n# %% tags=["parameters"]\nb = 1', "2 cells tagged"),
    ],
)
def test_bad_parameters_cell(tmp_path, line, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        _ = chapter_of(tmp_path, line).parameters
    assert "chapter.py" in str(error.value)


# files that are damaged, or of other tools


def written(folder, content, name="chapter.py"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return chapters.Chapter(path)


def notebook_of(**changes):
    cell = {"cell_type": "code", "source": ["a = 1\n", "b = 2"], "outputs": []}
    cell |= {"metadata": {"tags": ["parameters"]}, "execution_count": None}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}
    book["cells"][0] |= changes
    return book


V3 = {
    "nbformat": 3,
    "nbformat_minor": 0,
    "metadata": {"name": "old"},
    "worksheets": [
        {
            "metadata": {},
            "cells": [
                {"cell_type": "code", "language": "python", "metadata": {}, "outputs": []}
                | {"input": ["a = 1"], "collapsed": False, "prompt_number": 1},
                {"cell_type": "heading", "level": 1, "source": "A title", "metadata": {}},
            ],
        }
    ],
}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("# %%\n# é\n".encode("latin-1"), "a.py", "a.py:2: byte 0xe9 is not UTF-8"),
        ("# %%\na = 1\n".encode("utf-16"), "a.py", "a.py:1: byte 0xff is not UTF-8"),
        (b"", "a.py", "a.py holds no cells"),
        (b"\n \n", "a.py", "a.py holds no cells"),
        (b"# %%\n<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> b\n", "a.py", "a.py:2: Git left"),
        (b"", "a.ipynb", "a.ipynb is damaged, or no notebook"),
        (b'{"cells": [{"cell_', "a.ipynb", "a.ipynb is damaged, or no notebook"),
        (b"[1, 2]", "a.ipynb", "a.ipynb is damaged, or no notebook"),
        (b"{}", "a.ipynb", "a.ipynb is damaged, or no notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5}', "a.ipynb", "a.ipynb is damaged"),
        (b'{"nbformat": 4, "cells": 3, "metadata": {}}', "a.ipynb", "a.ipynb is damaged"),
        (b'{"nbformat": 3, "metadata": {}}', "a.ipynb", "a.ipynb is damaged"),
        (b"{\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> b\n}", "a.ipynb", "a.ipynb:2: Git left"),
        ('{"cells": "é"}'.encode("latin-1"), "a.ipynb", "a.ipynb:1: byte 0xe9 is not UTF-8"),
        (json.dumps(notebook_of(cell_type="cell")).encode(), "a.ipynb", "a.ipynb is damaged"),
        (json.dumps(notebook_of(source=3)).encode(), "a.ipynb", "a.ipynb is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, content, name, message):
    chapter = written(tmp_path, content, name)
    reads = [lambda: chapter.cells, lambda: chapter.parameters, chapter.notebook]
    for read in reads[: 2 if "no cells" in message else 3]:
        with pytest.raises(ValueError, match=re.escape(message)):
            read()


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"language_info": {"name": "R"}}, "R"),
        ({"kernelspec": {"name": "julia-1.10", "language": "julia", "display_name": "J"}}, "julia"),
        ({"language_info": {"name": "python"}}, None),
        ({"kernelspec": {"name": "python3", "display_name": "Python"}}, None),
        ({"kernelspec": {"name": "x", "language": "Python", "display_name": "P"}}, None),
    ],
)
def test_notebooks_of_other_languages_are_refused(tmp_path, metadata, language):
    chapter = written(tmp_path, json.dumps(notebook_of() | {"metadata": metadata}), "a.ipynb")
    if language is None:
        assert list(chapter.parameters) == ["a", "b"]
        return
    for read in (lambda: chapter.parameters, chapter.notebook):
        with pytest.raises(ValueError, match=rf"a\.ipynb is written in {language}, expected"):
            read()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"metadata": {"tags": ["parameters"], "vscode": {"languageId": "python"}}},
        {"source": "a = 1\nb = 2"},
        {"id": "one"},
        {"outputs": None},
    ],
)
def test_notebooks_of_other_tools_are_read(tmp_path, changes):
    book = notebook_of(**changes)
    if changes.get("outputs", 1) is None:
        del book["cells"][0]["outputs"]
    chapter = written(tmp_path, json.dumps(book), "a.ipynb")
    assert list(chapter.parameters) == ["a", "b"]
    nbformat.validate(chapter.notebook())


@pytest.mark.parametrize("metadata", [None, {}, {"tags": None}, {"tags": []}])
def test_a_cell_without_tags(tmp_path, metadata):
    book = notebook_of(metadata=metadata)
    if metadata is None:
        del book["cells"][0]["metadata"]
    chapter = written(tmp_path, json.dumps(book), "a.ipynb")
    assert [(cell.tags, cell.source) for cell in chapter.cells] == [((), "a = 1\nb = 2")]
    nbformat.validate(chapter.notebook())


def test_an_old_notebook_is_brought_up_to_date(tmp_path):
    chapter = written(tmp_path, json.dumps(V3), "a.ipynb")
    assert [(cell.kind, cell.source) for cell in chapter.cells] == [
        ("code", "a = 1"),
        ("markdown", "# A title"),
    ]
    assert chapter.notebook().nbformat == 4


@pytest.mark.parametrize(
    "text",
    [
        '# %%\na = """\n# %% no cell\n"""\n# %%\nb = 1\n',
        "# %%\na = '''\n# %%\n'''\n",
        '# %% [md]\n# text\n\n# %% A title {"tags": ["x"]}\na = 1\n',
        '# %% [markdown] tags=["x"]\n# text\n#\n# more\n\n#%%\na = 1\n',
        "# ---\n# jupyter:\n#   jupytext:\n#     main_language: python\n# ---\n\n# %%\na = 1\n",
        "import os\n\n# %%\na = 1\n",
        "# %%\n# %time a = 1\n# !ls\n",
        '# %% [markdown]\n"""\ntext\n"""\n# %%\na = 1\n',
        "# %% [raw]\n# raw\n# %%\n\n\n",
        "# Text first.\n\na = 1\n\nb = 2\n",
        '\ufeff# %% tags=["parameters"]\r\na = 1\r\n\r\n# %%\r\nb = 2\r\n',
    ],
)
def test_sources_are_read_as_jupytext_reads_them(tmp_path, text):
    chapter = written(tmp_path, text)
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    fmt = "py:percent" if "%%" in text else "py:light"
    expected = jupytext.reads(plain, fmt).cells
    assert [(c.kind, list(c.tags), c.source) for c in chapter.cells] == [
        (c.cell_type, c.metadata.get("tags", []), c.source) for c in expected
    ]


@pytest.mark.parametrize("name", BOOK)
def test_all_chapters_are_read_without_jupytext_and_as_by_it(name):
    path = NOTEBOOKS / f"{name}.py"
    cells = chapters._plain_cells(path.read_text(encoding="utf-8"))
    expected = jupytext.read(path).cells
    assert [(c.kind, list(c.tags), c.source) for c in cells] == [
        (c.cell_type, c.metadata.get("tags", []), c.source) for c in expected
    ]


# values


def test_all_values_are_checked_together(tmp_path):
    chapter = chapter_of(tmp_path, "a = 1  # [1 or more]\nb = 8.0  # [above a, below 9]\n")
    assert chapter.check({"b": 3}) == {"a": 1, "b": 3.0}
    with pytest.raises(ValueError, match=r"'b' is 8.0, expected float, above a, below 9, .*a is 9"):
        chapter.check({"a": 9})
    with pytest.raises(ValueError, match=r"'b' is 9\.0"):
        chapter.check({"b": 9})
    with pytest.raises(ValueError, match="unknown parameter 'c'"):
        chapter.check({"c": 9})


def test_words_of_the_command_line(tmp_path):
    chapter = chapter_of(tmp_path, 'a = 1\nb = 0.5\nc = False\nd = ""\n')
    pairs = [("a", "-3"), ("b", "1e-3"), ("c", "True"), ("d", "")]
    assert chapter.parse(pairs) == {"a": -3, "b": 0.001, "c": True, "d": ""}
    with pytest.raises(ValueError, match="'a' is given twice"):
        chapter.parse([("a", "1"), ("a", "1")])

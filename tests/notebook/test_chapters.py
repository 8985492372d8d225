"""Chapters are found and read, and values for their parameters parsed or refused."""

import re
import textwrap

import nbformat
import pytest

from mdlib.notebook import chapters


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
        ("sizes", [1, 2], "of the layers"),
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


# values


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        (1, "3", 3),
        (1.0, "3", 3.0),
        (1.0, "1e-3", 0.001),
        (False, "True", True),
        ("a", "3", "3"),
        ([1], "[2, 3]", [2, 3]),
        ((1,), "[2, 3]", (2, 3)),
        ((1,), "(2,)", (2,)),
        ({}, '{"a": 1}', {"a": 1}),
        (None, "3", 3),
        (None, "fast", "fast"),
    ],
)
def test_parse(default, text, value):
    parsed = chapters.parse(chapters.Parameter("p", default), text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("default", "text"),
    [(1, "3.5"), (1, "x"), (1.0, ""), (True, "1"), ([1], "3"), ([1], "[1"), ({}, "[]")],
)
def test_parse_refuses(default, text):
    wanted = f"expected {type(default).__name__}"
    with pytest.raises(ValueError, match=rf"parameter 'p' is .*{wanted}.*default"):
        chapters.parse(chapters.Parameter("p", default), text)

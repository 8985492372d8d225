"""Chapters are found, read, checked and run; what is wrong is refused before a kernel starts."""

import json
import re
import textwrap

import nbformat
import pytest

from mdlib import chapters, data, methods, records

TINY = r"""# %% [markdown]
# # A tiny chapter
#
# *What is one
# and one?*
#
# You need *nothing, do you?* **Time**: 2 s on one core
#
# The bound of equation (1) holds for $x \in \mathbb{R}$:
#
# $$ \log p(x) \ge 0 \tag{1} $$
#
# ![a remote image](https://example.org/x.png) and [a link](https://example.org/).

# %% tags=["parameters"]
seed = 0  # of every generator
rate: float = 0.5  # step size
device = "auto"  # where
dataset = "digits"  # what
fail = False  # on purpose
sizes = [
    1,
    2,
]  # of the layers
out = ""  # where to

# %%
import mdlib

if fail:
    raise ValueError("as you wished")
mdlib.record(out, seed=seed, rate=rate, sizes=str(sizes))

# %%
from IPython.display import HTML, Latex

display(HTML('<img src="https://example.org/y.png">'))
Latex(r"$\frac{1}{2}$")
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with two chapters, and data whose check is recorded instead of done."""
    for name in ("tiny", "theory/latent_model"):
        path = tmp_path / "book/notebooks" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TINY)
    monkeypatch.setattr(chapters, "root", lambda: tmp_path / "book")
    monkeypatch.setattr(data, "check", lambda name, root=None: None)
    return tmp_path / "book/notebooks"


@pytest.fixture
def no_kernel(monkeypatch):
    def started(*args, **kwargs):
        raise AssertionError("a kernel was started")

    monkeypatch.setattr("papermill.execute_notebook", started)


def chapter_of(folder, parameters):
    path = folder / "chapter.py"
    cell = '# %% tags=["parameters"]\n' + textwrap.dedent(parameters)
    path.write_text("# %% [markdown]\n# # Title\n\n" + cell)
    return chapters.Chapter(path)


# find


def test_find_by_name_relative_name_and_path(book):
    (book / "sweeps").mkdir()
    (book / "sweeps/tiny.py").write_text(TINY)
    (book / ".ipynb_checkpoints").mkdir()
    (book / ".ipynb_checkpoints/tiny.py").write_text(TINY)
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
    (book / "methods/latent_model.py").write_text(TINY)
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


# check


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


def test_check_returns_all_parameters(book):
    tiny = chapters.find("tiny")
    checked = chapters.check(tiny, {"rate": 2})
    assert checked == {name: p.default for name, p in tiny.parameters.items()} | {"rate": 2.0}
    assert type(checked["rate"]) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 1}, "tiny: unknown parameter 'sed': did you mean 'seed'?"),
        ({"seed": "1"}, "'seed' is '1', expected int, such as its default 0 (it is of type str)"),
        ({"seed": True}, "'seed' is True, expected int"),
        ({"seed": 1.0}, "'seed' is 1.0, expected int"),
        ({"fail": 1}, "'fail' is 1, expected bool (true or false)"),
        ({"rate": float("nan")}, "'rate' is nan, expected a finite number"),
        ({"rate": None}, "'rate' is None, expected float"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": "cuda:x"}, "unknown device"),
    ],
)
def test_check_refuses(book, values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        chapters.check(chapters.find("tiny"), values)


def test_check_asks_data_and_methods(tmp_path, book, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "check", lambda name, root=None: asked.append((name, root)))
    monkeypatch.setattr(methods, "names", lambda: ["byol", "vae"])
    monkeypatch.chdir(tmp_path)
    chapters.check(chapters.find("tiny"), {"dataset": "images:mine"}, "root")
    assert asked == [(f"images:{tmp_path}/mine", "root")]

    chapter = chapter_of(tmp_path, 'methods = "all"')
    assert chapters.check(chapter, {"methods": "vae, byol"}) == {"methods": "vae, byol"}
    with pytest.raises(ValueError, match="unknown method 'vea': did you mean 'vae'"):
        chapters.check(chapter, {"methods": "byol,vea"})
    with pytest.raises(ValueError, match="unknown method ''"):
        chapters.check(chapter, {"methods": ""})


# run


def test_nothing_starts_for_bad_input(book, tmp_path, no_kernel, monkeypatch):
    tiny, out = chapters.find("tiny"), tmp_path / "out"
    for values in ({"sed": 1}, {"seed": "x"}, {"device": "gpu"}, {"out": "x"}):
        with pytest.raises(ValueError):
            chapters.run(tiny, values, out)

    def missing(name, root=None):
        raise FileNotFoundError(f"no {name} here")

    monkeypatch.setattr(data, "check", missing)
    with pytest.raises(FileNotFoundError, match="no digits here"):
        chapters.run(tiny, {}, out)
    assert not out.exists()


def test_a_used_folder_is_left_alone(book, tmp_path, no_kernel):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("precious")
    for out in (tmp_path / "out", tmp_path / "out/mine.txt"):
        with pytest.raises(FileExistsError, match="not an empty folder: choose another --out"):
            chapters.run(chapters.find("tiny"), {}, out)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_leaves_all_its_files(book, tmp_path, capfd):
    out = tmp_path / "out"
    done = chapters.run(chapters.find("tiny"), {"seed": 3, "rate": 2}, out, progress=False)
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in out.iterdir()} == {
        "params.json",
        "executed.ipynb",
        "executed.html",
        "metrics.json",
        "environment.json",
    }
    assert done.metrics == [{"seed": 3, "rate": 2.0, "sizes": "[1, 2]"}]
    assert records.read_json(out / "params.json") == done.parameters
    assert done.parameters["out"] == str(out)
    assert done.parameters["device"] == "auto"
    assert records.read_json(out / "environment.json")["seconds"] > 0
    executed = nbformat.read(done.notebook, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")

    page = done.page.read_text()
    assert "<title>A tiny chapter</title>" in page
    assert page.count("<math") == 3  # inline, display, and the output
    assert "\\mathbb" not in page
    assert 'href="https://example.org/"' in page  # an ordinary link may stay
    loaded = r"<(?:script|link|img|iframe|source)\b[^>]*\s(?:src|href)\s*=\s*[\"']?(?!data:)"
    assert not re.search(loaded, page)
    assert not re.search(r"url\(\s*[\"']?https?:|@import", page)


def test_a_failing_cell_is_named_and_its_notebook_kept(book, tmp_path):
    out = tmp_path / "out"
    message = "tiny failed: ValueError: as you wished"
    with pytest.raises(chapters.ChapterFailed, match=message) as error:
        chapters.run(chapters.find("tiny"), {"fail": True}, out, progress=False)
    assert str(out / "executed.ipynb") in str(error.value)
    assert error.value.notebook == out / "executed.ipynb"
    assert "as you wished" in error.value.notebook.read_text()
    assert "as you wished" in (out / "executed.html").read_text()
    assert json.loads((out / "environment.json").read_text())

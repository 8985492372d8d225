"""A site without solutions shows what students get, in its pages and its downloads."""

import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import course
import nbformat
import pytest

from mdlib.notebook import chapters

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
blanks = import_module("blanks")


@pytest.mark.parametrize(
    ("said", "wanted"), [(None, True), ("", True), ("yes", True), ("no", False)]
)
def test_the_environment_says_whether(said, wanted, monkeypatch):
    monkeypatch.delenv("SOLUTIONS", raising=False)
    if said is not None:
        monkeypatch.setenv("SOLUTIONS", said)
    assert blanks.wanted() == wanted


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("SOLUTIONS", "maybe")
    with pytest.raises(ValueError, match="SOLUTIONS=maybe: expected yes or no"):
        blanks.wanted()


@pytest.mark.parametrize("name", chapters.names())
def test_no_solution_and_no_hidden_test_is_left(name):
    whole = chapters.find(name).notebook()
    shown = [c.source for c in nbformat.reads(blanks.blanked(nbformat.writes(whole)), 4).cells]
    for exercise in course.exercises(whole):
        blank, _ = course.blank(exercise.solution.source, exercise.check.source)
        assert blank in shown and exercise.check.source in shown
        assert exercise.solution.source not in shown
        assert exercise.hidden is None or exercise.hidden.source not in shown


def test_pages_and_downloads_are_changed_only_where_asked(tmp_path, monkeypatch):
    whole = nbformat.writes(chapters.find("theory/latent_model").notebook())
    listeners = []
    app = SimpleNamespace(
        connect=lambda event, listener: listeners.append((event, listener)),
        env=SimpleNamespace(doc2path=lambda page: page),
    )
    monkeypatch.setenv("SOLUTIONS", "yes")
    blanks.setup(app)
    assert not listeners
    monkeypatch.setenv("SOLUTIONS", "no")
    blanks.setup(app)
    ((event, listener),) = listeners
    assert event == "source-read"
    page, other = [whole], ["# A page"]
    listener(app, "a.ipynb", page)
    listener(app, "b.md", other)
    assert page == [blanks.blanked(whole)] and other == ["# A page"]

    path = tmp_path / "_sources" / "notebooks" / "a.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(whole, encoding="utf-8")
    blanks.downloads(tmp_path)
    assert "def cost(delta, J, variance)" in path.read_text(encoding="utf-8")
    assert "1 - 1 / J" not in path.read_text(encoding="utf-8").partition("cost(delta")[2][:300]

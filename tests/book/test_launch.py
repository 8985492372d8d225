"""The launch cell and the launch buttons, of a book with a made-up address."""

import json
import subprocess
import sys
import types
from pathlib import Path

import jupytext
import launch
import nbformat
import pytest
import yaml

from mdlib.notebook import chapters
from mdlib.sweep import sources

ADDRESS = "https://github.com/somebody/a-book"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pairs(book):
    """Both chapters of a small book as pairs, and its _config.yml."""
    for path in book.rglob("*.py"):
        nbformat.write(jupytext.read(path), path.with_suffix(".ipynb"))
    config = book.parent / "book" / "_config.yml"
    config.parent.mkdir()
    config.write_text((ROOT / "book" / "_config.yml").read_text())
    return book


def test_both_halves_get_the_same_cell_after_the_parameters(pairs):
    hashes = {name: sources.code_hash(chapters.find(name)) for name in chapters.names()}
    launch.stamp(ADDRESS)
    for name, before in hashes.items():
        chapter = chapters.find(name)
        source, notebook = (
            jupytext.read(chapter.path),
            jupytext.read(chapter.path.with_suffix(".ipynb")),
        )
        assert [c.source for c in source.cells] == [c.source for c in notebook.cells]
        tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
        assert tags[1:3] == [["parameters"], launch.TAGS] and tags.count(launch.TAGS) == 1
        assert ADDRESS in notebook.cells[2].source
        assert sources.code_hash(chapter) == before, "outputs stay as fresh as they were"


def test_a_second_run_replaces_the_first(pairs):
    launch.stamp(ADDRESS)
    first = {path: path.read_text() for path in pairs.parent.rglob("*.*")}
    launch.stamp(ADDRESS)
    assert {path: path.read_text() for path in pairs.parent.rglob("*.*")} == first
    launch.stamp("https://github.com/else/where", "v1")
    for path, text in first.items():
        now = path.read_text()
        assert now == text.replace(ADDRESS, "https://github.com/else/where").replace(
            "branch: main", "branch: v1"
        ).replace("--branch=main", "--branch=v1")


def test_pages_get_their_buttons_and_keep_their_settings(pairs):
    launch.stamp(ADDRESS)
    path = pairs.parent / "book" / "_config.yml"
    before = yaml.safe_load((ROOT / "book" / "_config.yml").read_text())
    after = yaml.safe_load(path.read_text())
    assert after["repository"]["url"] == ADDRESS and "binderhub_url" in after["launch_buttons"]
    new = {"repository", "launch_buttons"}
    assert {k: v for k, v in after.items() if k not in new} == {
        k: v for k, v in before.items() if k not in new
    }


@pytest.mark.parametrize("address", ["", "github.com/a/b", "https://github.com/a", "/work/main",
                                     'https://github.com/a/b"; import os'])  # fmt: skip
def test_what_is_no_address_is_refused_before_anything_is_written(pairs, address):
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
        launch.stamp(address)
    assert "launch" not in (pairs / "tiny.ipynb").read_text()


def test_the_cell_does_nothing_where_the_book_is(pairs, monkeypatch):
    def never(*args, **options):
        raise AssertionError(args)

    monkeypatch.setattr(subprocess, "run", never)
    before = list(sys.path), Path.cwd()
    cell = launch.CELL.format(address=ADDRESS, branch="main", folder="notebooks")
    exec(cell, {})
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(cell, {})  # on Colab, the second time: mdlib is there
    assert (list(sys.path), Path.cwd()) == before


FAKE_COLAB = """
import json, os, subprocess, sys, types
sys.modules["google.colab"] = types.ModuleType("google.colab")
real, asked = subprocess.run, []

def run(command, check):
    asked.append(command)
    return real(command, check=check) if command[0] == "git" else None

subprocess.run = run
exec(open("cell.py").read())
import mdlib
from mdlib.notebook import chapters
print(json.dumps([asked, os.getcwd(), str(chapters.root())]))
"""


def test_on_colab_the_cell_fetches_the_book_and_goes_to_its_folder(tmp_path):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    origin = tmp_path / "origin"
    for folder in ("mdlib/notebook", "notebooks/theory"):
        (origin / folder).mkdir(parents=True)
        (origin / folder / "some.txt").write_text("")
    (origin / "mdlib" / "__init__.py").write_text("")
    (origin / "mdlib" / "notebook" / "__init__.py").write_text("")
    for name in ("checks.py", "io.py", "notebook/chapters.py", "notebook/parameters.py"):
        (origin / "mdlib" / name).write_text((ROOT / "mdlib" / name).read_text())
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=origin, check=True)
    colab = tmp_path / "content"
    colab.mkdir()
    cell = launch.CELL.format(address=origin.as_uri(), branch="main", folder="notebooks/theory")
    (colab / "cell.py").write_text(cell)
    # -S -I: without the packages of this environment, and so without its mdlib
    done = subprocess.run([sys.executable, "-S", "-I", "-c", FAKE_COLAB], cwd=colab,
                          capture_output=True, text=True, check=True)  # fmt: skip
    asked, folder, root = json.loads(done.stdout.splitlines()[-1])
    assert [command[0] for command in asked] == ["git", asked[1][0]]
    assert asked[1][1:4] == ["-m", "pip", "install"] and asked[1][-1] == "./book[notebooks]"
    assert Path(folder) == colab / "book/notebooks/theory" and Path(root) == colab / "book"


def test_the_committed_chapters_and_the_config_agree():
    text = (ROOT / "book" / "_config.yml").read_text()
    address = yaml.safe_load(text).get("repository", {}).get("url")
    for name in chapters.names():
        tagged = [c for c in chapters.find(name).cells if "launch" in c.tags]
        assert len(tagged) == (address is not None), f"{name}: python tools/launch.py ADDRESS"
        assert all(address in cell.source for cell in tagged)

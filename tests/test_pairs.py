"""tools/pairs.py: a chapter's notebook is its source, executed, with nothing else in it."""

import json

import nbformat
import pairs
import pytest

from mdlib.notebook.chapters import Chapter
from mdlib.sweep import sources

pytestmark = pytest.mark.slow  # processes of their own

SOURCE = """\
# %% [markdown]
# # A title

# %% tags=["parameters"]
seed = 0  # of nothing
out = ""  # where to

# %%
from IPython.display import display

bar = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "50 %"}
display(bar, raw=True)
while __import__("time").process_time() < 3:  # of CPU
    pass
seed
"""


@pytest.fixture
def chapter(tmp_path):
    (tmp_path / "tiny.py").write_text(SOURCE)
    return Chapter(tmp_path / "tiny.py")


def test_a_notebook_is_its_source_with_outputs_and_nothing_else(chapter):
    path = chapter.path.with_suffix(".ipynb")
    pairs.refresh(chapter, path)
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert Chapter(path).cells == chapter.cells
    assert [cell.id for cell in notebook.cells] == ["cell-0", "cell-1", "cell-2"]
    assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["parameters"]}, {}]
    assert [cell.get("execution_count") for cell in notebook.cells] == [None, 1, 2]
    [output] = notebook.cells[2].outputs  # the bar is gone
    assert output.data["text/plain"] == "0"
    assert set(notebook.metadata) == {"kernelspec", "mdlib"}
    assert notebook.metadata.mdlib["code"] == sources.code_hash(chapter)
    assert 3 <= notebook.metadata.mdlib["cpu_seconds"] < 30
    assert {each.name for each in path.parent.iterdir()} == {"tiny.py", "tiny.ipynb"}


def test_a_chapter_that_fails_leaves_the_old_notebook(chapter):
    path = chapter.path.with_suffix(".ipynb")
    path.write_text(json.dumps({"old": 1}))
    chapter.path.write_text(SOURCE + "\nraise ValueError('as you wished')\n")
    with pytest.raises(Exception, match="as you wished"):
        pairs.refresh(Chapter(chapter.path), path)
    assert json.loads(path.read_text()) == {"old": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--jobs", "0"], "--jobs 0: expected 1 or more"),
        (["start_her"], "did you mean 'start_here'"),
        (["--jobs", "two"], "invalid int value"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(pairs, "refresh", lambda *_: pytest.fail("it was run"))
    with pytest.raises(SystemExit):
        pairs.main(arguments)
    assert message in capsys.readouterr().err


def test_several_at_a_time_are_several_processes(monkeypatch):
    ran = []

    def alone(command):
        ran.append(command[-1])
        return type("Done", (), {"returncode": int(command[-1] == "methods/simve")})

    monkeypatch.setattr(pairs.subprocess, "run", alone)
    assert pairs.main(["--jobs", "2", "start_here"]) == 0
    assert pairs.main(["--jobs", "2", "start_here", "methods/simve"]) == 1
    assert sorted(ran) == ["methods/simve", "start_here", "start_here"]


def test_nothing_is_put_in_its_place_before_the_last_has_run(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "ROOT", tmp_path)
    seen = []

    def alone(command):
        into, name = command[-2:]
        path = pairs.Path(into, "notebooks", f"{name}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        seen.append([*tmp_path.rglob("*")])
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(pairs.subprocess, "run", alone)
    assert pairs.main(["start_here", "methods/simve"]) == 0
    assert seen == [[], []]
    assert (tmp_path / "notebooks/methods/simve.ipynb").read_text() == "methods/simve"
    assert (tmp_path / "notebooks/start_here.ipynb").read_text() == "start_here"

"""Every chapter is a pair whose halves agree, with flat parameters and clean stored outputs."""

import ast
import json
import re
import sys
from importlib import import_module
from pathlib import Path

import jupytext
import nbformat
import pytest
from jupytext.compare import compare_notebooks

from mdlib.notebook.chapters import Chapter
from mdlib.sweep import sources

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
pages = import_module("pages")

NOTEBOOKS = ROOT / "notebooks"
HIDDEN = {"sweeps", ".ipynb_checkpoints"}
# notebooks/NAME without its suffix; either half is enough to be found
STEMS = sorted(
    {
        path.with_suffix("")
        for pattern in ("*.py", "*.ipynb")
        for path in NOTEBOOKS.rglob(pattern)
        if not HIDDEN & set(path.relative_to(NOTEBOOKS).parts)
    }
)
LONGEST_CELL = 40  # lines
LONGER_CELLS = {"byol_in_one_page": 60}  # chapters of which a long cell is the point
TIME = re.compile(
    r"(\d+) minutes to read; about (\d+) (second|minute)s? to run on one CPU core(\.$|; \w.+\.$)"
)
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:work|home|root|tmp|Users|mnt)/[\w.]")


@pytest.fixture(
    params=STEMS or [pytest.param(None, marks=pytest.mark.skip("there are no chapters yet"))],
    ids=lambda stem: stem.relative_to(NOTEBOOKS).as_posix() if stem else "none",
)
def pair(request):
    source, notebook = request.param.with_suffix(".py"), request.param.with_suffix(".ipynb")
    assert source.exists(), f"{source.name} is missing: jupytext --to py:percent {notebook}"
    assert notebook.exists(), f"{notebook.name} is missing: jupytext --to ipynb {source}"
    return source, notebook


@pytest.fixture
def code_cells(pair):
    cells = nbformat.read(pair[1], as_version=4).cells
    return [(n, cell) for n, cell in enumerate(cells) if cell.cell_type == "code" and cell.source]


def test_both_halves_have_one_content(pair):
    source, notebook = (jupytext.read(path) for path in pair)
    # cells, tags and kernelspec; not outputs, cell ids or what papermill leaves behind
    compare_notebooks(notebook, source, fmt="py:percent")
    assert [cell.source for cell in source.cells] == [cell.source for cell in notebook.cells]
    tags = [[cell.metadata.get("tags", []) for cell in half.cells] for half in (source, notebook)]
    assert tags[0] == tags[1]


def test_notebook_is_valid_and_has_no_papermill_remains(pair):
    notebook = nbformat.read(pair[1], as_version=4)
    nbformat.validate(notebook)
    assert "papermill" not in notebook.metadata
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    assert "injected-parameters" not in tags


def test_parameters_are_flat_and_explained(pair):
    parameters = Chapter(pair[0]).parameters
    assert {"seed", "device", "out"} <= parameters.keys()
    assert parameters["device"].default == "auto"
    assert parameters["out"].default == ""
    assert not [p.name for p in parameters.values() if not p.help], "each needs a comment"


def test_chapter_opens_with_title_question_and_time(pair):
    chapter = Chapter(pair[0])
    assert chapter.title != chapter.name
    assert chapter.question
    assert TIME.match(chapter.time), TIME.pattern


def test_a_chapter_runs_as_long_as_it_says(pair):
    """Within a factor of two of what its notebook took of the CPU.

    One that was run before pairs.py noted that says how long it took by the clock, which is longer
    where others ran beside it: of these the Time is only known to be too long.
    """
    _, said, unit, _ = TIME.match(Chapter(pair[0]).time).groups()
    said = float(said) * {"second": 1, "minute": 60}[unit]
    notebook = nbformat.read(pair[1], as_version=4)
    took = notebook.metadata.get("mdlib", {}).get("cpu_seconds")
    if took is None:
        assert said < 2 * pages.provenance(notebook, str(pair[0]))["seconds"]
    else:
        assert took / 2 < said < 2 * took


def test_cells_are_short(pair):
    chapter = Chapter(pair[0])
    code = [cell.source for cell in chapter.cells if cell.kind == "code"]
    longest = LONGER_CELLS.get(chapter.name, LONGEST_CELL)
    assert max(len(source.splitlines()) for source in code) <= longest


def test_what_does_not_teach_is_folded(pair):
    cells = [cell for cell in Chapter(pair[0]).cells if cell.kind == "code"]
    setup = next(cell for cell in cells if re.search(r"^(import|from) ", cell.source, re.MULTILINE))
    wanted = [cell for cell in cells if {"parameters", "provenance"} & set(cell.tags)]
    for cell in [setup, *wanted]:
        assert "hide-input" in cell.tags, cell.source.splitlines()[0]


def test_tables_of_a_sweeps_rows_mark_the_best(pair):
    """Methods side by side over seeds, in cells that no row's hash has in it."""
    for cell in Chapter(pair[0]).cells:
        if cell.kind == "code" and "reads-rows" in cell.tags:
            calls = [node for node in ast.walk(ast.parse(cell.source)) if type(node) is ast.Call]
            for call in calls:
                if ast.unparse(call.func) == "tables.mean_std":
                    assert "best" in [word.arg for word in call.keywords], ast.unparse(call)


def test_every_code_cell_was_executed(code_cells):
    ours = [cell for _, cell in code_cells if "launch" not in cell.metadata.get("tags", [])]
    counts = [cell.execution_count for cell in ours]
    launched = len(ours) < len(code_cells) and counts[1] == 3  # or it was put there afterwards
    later = range(2, len(counts) + 1)
    assert counts == [1, *(n + launched for n in later)], "run it afresh, from the top"


def test_stored_outputs_are_clean(code_cells):
    for number, cell in code_cells:
        for output in cell.outputs:
            where = f"cell {number}: {cell.source.splitlines()[0]}"
            assert output.output_type != "error", where
            assert output.get("name") != "stderr", where
            # base64 may hold anything
            data = {kind: v for kind, v in output.get("data", {}).items() if "image" not in kind}
            text = output.get("text", "") + json.dumps(data)
            assert not MACHINE_PATH.search(text), f"{where}: {MACHINE_PATH.search(text)}"


def test_outputs_belong_to_the_present_code(pair):
    made_with = nbformat.read(pair[1], as_version=4).metadata.get("mdlib")
    if made_with is None:
        pytest.skip("written before notebooks kept a hash of their code")
    present = sources.code_hash(Chapter(pair[0]))
    assert made_with["code"] == present, "its code has changed since: make pairs"


def test_machine_paths_are_recognised():
    for text in ("saved /home/me/x", '"/tmp/a"', "('/work/main')", "/root/.cache", ">/Users/me<"):
        assert MACHINE_PATH.search(text), text
    for text in ("https://a.org/home/b", "runs/tmp/x", "a/root/b", "\\u2014/ tmp", "n/work/"):
        assert not MACHINE_PATH.search(text), text

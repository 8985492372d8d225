"""What nbgrader and otter-grader make of a chapter: the commands of the teacher's guide are typed.

Two submissions, one solved and one blank, of a cheap chapter. `make test-grading` (GRADE=…,
a list of chapters, or all) does the same for others: a chapter runs four times.
"""

import ast
import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import course
import grading
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mdlib.notebook.chapters import find

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
GUIDE = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
asked = os.environ.get("GRADE", "theory/style_identifiability")
GRADED = course.names() if asked == "all" else asked.split(",")

needs = {
    tool: pytest.mark.skipif(
        not (BIN / tool).exists(), reason=f"{tool} is not installed: pip install -e '.[course]'"
    )
    for tool in ("nbgrader", "otter")
}


def cell(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


@pytest.fixture
def mini():
    """Two exercises: one with hidden tests, and a research question."""
    return new_notebook(
        cells=[
            new_markdown_cell("**1 (easy, 3 points, 10 minutes).** Write `f(x)`."),
            cell('def f(x):\n    """x → x + 1."""\n    return x + 1', "solution"),
            cell('assert f(1) == 2, "f(1)"\n7.5', "check"),
            cell('assert f(2) == 3, "f(2)"', "hidden", "remove-cell"),
            new_markdown_cell("**2 (a research question, 6 points, 60 minutes).** Find `y`."),
            cell("y = 5", "solution"),
            cell('assert y == 5, "y"\n{\n    "y": y}', "check"),
        ]
    )


def test_a_heading_says_who_gives_which_points(mini):
    easy, research = course.exercises(mini)
    assert (easy.points, easy.minutes, easy.by_check) == (3, 10, 3)
    assert grading.by_visible(easy) == 2, "one is for the hidden tests"
    assert (research.points, research.by_check, grading.by_visible(research)) == (6, 2, 2)


def test_source_of_nbgrader_marks_what_is_graded(mini):
    source = grading.nbgrader(mini, "x")
    nbformat.validate(source)
    marks = {
        c.metadata.nbgrader.grade_id: c for c in source.cells if c.metadata.get("nbgrader", {})
    }
    points = {name: c.metadata.nbgrader.get("points") for name, c in marks.items()}
    assert points == {
        **{"exercise-1": None, "check-1": 2, "hidden-1": 1},
        **{"exercise-2": None, "check-2": 2, "paragraph-2": 4},
    }
    for name, c in marks.items():
        own = name.startswith(("exercise", "paragraph"))
        assert c.metadata.nbgrader.solution == own and c.metadata.nbgrader.locked != own
    assert "BEGIN HIDDEN TESTS" in marks["hidden-1"].source
    # nbgrader would take a number that a check shows for points
    assert "_ = 7.5" in marks["check-1"].source
    # what is left without what stands between the marks is the student's blank
    begin, _, end = marks["exercise-1"].source.partition("### BEGIN SOLUTION")
    assert begin.strip() == course.blank(mini.cells[1].source, mini.cells[2].source)[0]
    assert "return x + 1" in end


def test_notebook_of_otter_has_a_question_for_each_exercise(mini):
    raw = [c.source for c in grading.otter(mini, "x").cells if c.cell_type == "raw"]
    questions = [source.splitlines()[1:] for source in raw if "BEGIN QUESTION" in source]
    assert questions == [
        ["name: exercise_1", "points: 3"],
        ["name: exercise_2", "points: 2"],
        ["name: paragraph_2", "points: 4", "manual: true"],
    ]
    for mark in ("QUESTION", "SOLUTION", "TESTS"):
        begins = [source for source in raw if source.startswith(f"# BEGIN {mark}")]
        assert len(begins) == raw.count(f"# END {mark}") > 1


def test_a_test_of_otter_says_nothing(mini, capsys):
    mini.cells[2].source = 'if f(1) == 2:\n    print("Not all was checked")\n7.5'
    (tests,) = [c.source for c in grading.otter(mini, "x").cells if "Not all" in c.source]
    exec(compile(tests, "test", "exec"), {"f": lambda x: x + 1})
    assert capsys.readouterr().out == ""


def test_hidden_tests_of_otter_run_by_themselves(mini):
    mini.cells[2].source = "a, b = 1, 2\nassert f(a) == b\n7.5"
    hidden = mini.cells[3]
    for source, needs_check in (("assert f(b) == 3", True), ("b = 5\nassert f(b) == 6", False)):
        hidden.source = source
        made = grading.otter(mini, "x").cells
        (tests,) = [c.source for c in made if source in c.source]
        assert ("a, b = 1, 2" in tests) == needs_check
        exec(tests, {"f": lambda x: x + 1})


@pytest.mark.parametrize(
    ("source", "quiet"),
    [
        ("x = 1\nx", "x = 1\n_ = x"),
        ("assert x", "assert x"),
        ("y = 2\nprint(\n    y)", "y = 2\n_ = print(\n    y)"),
        ("%time y = 2\ny", "%time y = 2\n_ = y"),
    ],
)
def test_a_check_shows_nothing_to_a_grader(source, quiet):
    assert grading.quiet(source) == quiet


def typed(heading, chapter, folder):
    """Type the commands below a heading of the teacher's guide, for another chapter."""
    ((commands,),) = [
        re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        for section in GUIDE.split("\n### ")
        if section.startswith(f"{heading}\n")
    ]
    assert commands.count("chapter=start_here\n") == 1
    name = chapter.replace("/", "-")
    script = commands.replace("chapter=start_here\n", f"chapter={name}\n")
    done = subprocess.run(
        ["bash", "-euxc", script], cwd=folder, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def checkout(tmp_path, request):
    """A folder as a checkout is after `make course`, with a chapter's assignment in it."""
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    files = course.assignments(request.node.callspec.params["chapter"])
    course.write(tmp_path / "build" / "course", files)
    return tmp_path


def filled_in(path, chapter):
    """A released notebook with the chapter's solutions written into its blanks, as text."""
    notebook = nbformat.read(path, as_version=4)
    for exercise in course.exercises(find(chapter).notebook()):
        blank, _ = course.blank(exercise.solution.source, exercise.check.source)
        (one,) = [c for c in notebook.cells if c.source.strip() == blank.strip()]
        one.source = exercise.solution.source
    return nbformat.writes(notebook)


@pytest.fixture(scope="module")
def release():
    """What nbgrader makes of a source, without its data base and without a process of its own."""
    from nbgrader import preprocessors
    from traitlets.config import Config

    config = Config()
    exec(grading.CONFIG, {"get_config": lambda: config})
    steps = [
        getattr(preprocessors, name)(config=config)
        for name in (
            *("LockCells", "ClearSolutions", "ClearOutput", "CheckCellMetadata"),
            *("ComputeChecksums", "ClearHiddenTests", "ClearMarkScheme", "CheckCellMetadata"),
        )
    ]

    def made(notebook):
        for step in steps:
            notebook, _ = step.preprocess(notebook, {})
        return notebook

    return made


@needs["nbgrader"]
@pytest.mark.parametrize("chapter", course.names())
def test_nbgrader_releases_every_chapter(chapter, release):
    """Blanks alone, no hidden test, and the points of the headings."""
    whole = find(chapter).notebook()
    notebook = release(grading.nbgrader(whole, chapter))
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text
    marks = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}
    exercises = course.exercises(whole)
    for one in exercises:
        blank, _ = course.blank(one.solution.source, one.check.source)
        assert marks[f"exercise-{one.number}"].source.strip() == blank.strip()
        assert one.hidden is None or one.hidden.source not in text
    given = [cell.metadata.nbgrader.get("points", 0) for cell in marks.values()]
    assert sum(given) == sum(one.points for one in exercises)


@needs["nbgrader"]
@pytest.mark.parametrize("chapter", GRADED)
def test_nbgrader_gives_full_marks_and_none(chapter, checkout):
    typed("Once a week: release", chapter, checkout)
    name = chapter.replace("/", "-")
    stem = chapter.rpartition("/")[2]
    folder = checkout / "build" / "course" / "nbgrader"
    released = folder / "release" / name / f"{stem}.ipynb"
    text = released.read_text(encoding="utf-8")
    assert "BEGIN SOLUTION" not in text and "HIDDEN TESTS" not in text and "your turn" in text
    for student, content in {"ada": filled_in(released, chapter), "bob": text}.items():
        handed_in = folder / "submitted" / student / name / released.name
        handed_in.parent.mkdir(parents=True)
        handed_in.write_text(content, encoding="utf-8")
    typed("Once a week: grade", chapter, checkout)
    with (folder / "grades.csv").open(encoding="utf-8") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    exercises = course.exercises(find(chapter).notebook())
    assert float(rows["ada"]["score"]) == sum(exercise.by_check for exercise in exercises)
    assert float(rows["bob"]["score"]) == 0
    for row in rows.values():
        assert float(row["max_score"]) == sum(exercise.points for exercise in exercises)
    for student in rows:
        assert (folder / "feedback" / student / name / f"{stem}.html").is_file()


@needs["otter"]
@pytest.mark.skipif("GRADE" not in os.environ, reason="two minutes: make test-grading has it")
@pytest.mark.parametrize("chapter", GRADED[:1])
def test_otter_gives_full_marks_and_none(chapter, checkout):
    name, stem = chapter.replace("/", "-"), chapter.rpartition("/")[2]
    folder = checkout / "build" / "course" / "otter" / name
    handed_in = checkout / "handed_in.ipynb"
    shutil.copy(folder / f"{stem}.ipynb", handed_in)  # only so that it is there
    typed("Otter-grader instead", chapter, checkout)
    student = folder / "dist" / "student" / f"{stem}.ipynb"
    text = student.read_text(encoding="utf-8")
    hidden = [e.hidden.source for e in course.exercises(find(chapter).notebook()) if e.hidden]
    assert hidden and not any(ast.unparse(ast.parse(tests)) in text for tests in hidden)
    exercises = course.exercises(find(chapter).notebook())
    full = sum(exercise.by_check for exercise in exercises)
    for content, score in ((filled_in(student, chapter), full), (text, 0)):
        handed_in.write_text(content, encoding="utf-8")
        (archive,) = (folder / "dist" / "autograder").glob("*.zip")
        out = checkout / f"score-{score}"
        out.mkdir()
        command = [BIN / "otter", "run", "-a", archive, "-o", out, handed_in]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=checkout)
        assert done.returncode == 0, done.stderr
        results = json.loads((out / "results.json").read_text(encoding="utf-8"))
        given = {test["name"]: test.get("score", 0) for test in results["tests"]}
        assert sum(given.values()) == score, given

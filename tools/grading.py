"""Chapters as assignments of nbgrader and of otter-grader.

Both strip an instructor's notebook of what stands between two marks. So a solution's cell has the
student's blank first, and then the whole solution between the marks: what is stripped is exactly
what the blank already has in its place.
"""

from __future__ import annotations

import ast
import symtable
from typing import TYPE_CHECKING, Any

import course
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_raw_cell

if TYPE_CHECKING:
    from course import Exercise

CONFIG = """\
# Of nbgrader, for all its commands that are run in this folder.
c = get_config()
c.CourseDirectory.course_id = "representations"
c.ClearSolutions.code_stub = {"python": ""}  # the blank above it says what to do
c.ClearSolutions.text_stub = "Your paragraph:"
c.ExecutePreprocessor.timeout = 900  # seconds a cell; the first to train takes a minute
"""

PARAGRAPH = """\
**Exercise {number}, the paragraph ({points} points).** What did you find? What else could explain
it? Which control would tell, and what did it say?"""

RUBRIC = """\
*For the reader.* A quarter each: what was found, as a number with its spread and n; another
explanation that is not a straw man; a control that could have refuted the finding; what it said. A
negative result counts in full."""

UNSEEN = "# 1 point more: tests that you do not see here."


def path(system: str, chapter: str) -> str:
    """Where an assignment's notebook belongs, below the folder of its system."""
    assignment, name = chapter.replace("/", "-"), chapter.rpartition("/")[2]
    return f"{'source/' if system == 'nbgrader' else ''}{assignment}/{name}.ipynb"


def answered(exercise: Exercise, begin: str, end: str) -> str:
    """The blank, and between two marks the solution."""
    blank, _ = course.blank(exercise.solution.source, exercise.check.source)
    return f"{blank}\n\n{begin}\n{exercise.solution.source}\n{end}"


def by_visible(exercise: Exercise) -> int:
    """The points of the visible check; a hidden one is worth one of what checks give."""
    return exercise.by_check - (exercise.hidden is not None)


def nbgrader(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """A chapter as nbgrader's source: solutions, checks with points, hidden tests, paragraphs.

    Raises ValueError, as `course.exercises` does, if one of its exercises is broken.
    """
    notebook = course.stripped(notebook)
    for exercise in course.exercises(notebook):
        number, solution, check = exercise.number, exercise.solution, exercise.check
        solution.source = answered(exercise, "### BEGIN SOLUTION", "### END SOLUTION")
        solution.metadata.nbgrader = marked(f"exercise-{number}", solution=True)
        check.source = quiet(check.source)
        check.metadata.nbgrader = marked(f"check-{number}", by_visible(exercise))
        last = check
        if exercise.hidden:
            last = exercise.hidden
            tests = quiet(last.source)
            last.source = f"{UNSEEN}\n### BEGIN HIDDEN TESTS\n{tests}\n### END HIDDEN TESTS"
            last.metadata.nbgrader = marked(f"hidden-{number}", 1)
        if reading := exercise.points - exercise.by_check:
            asked = new_markdown_cell(PARAGRAPH.format(number=number, points=reading))
            answer = new_markdown_cell(RUBRIC)
            answer.metadata.nbgrader = marked(f"paragraph-{number}", reading, solution=True)
            after(notebook, last, asked, answer)
    return notebook


def marked(grade_id: str, points: int | None = None, solution: bool = False) -> dict[str, Any]:
    """nbgrader's metadata of a cell: one to fill in, one that gives points, or one that is both."""
    graded = {"grade": points is not None, "solution": solution}
    marks = {"schema_version": 3, "grade_id": grade_id, "locked": not solution, "task": False}
    return marks | graded | ({"points": points} if points is not None else {})


def otter(notebook: NotebookNode, chapter: str) -> NotebookNode:
    """A chapter as `otter assign` reads it, with raw cells as marks.

    Raises ValueError, as `course.exercises` does, if one of its exercises is broken.
    """
    notebook = course.stripped(notebook)
    name = chapter.replace("/", "-")
    for exercise in course.exercises(notebook):
        solution, check, hidden = exercise.solution, exercise.check, exercise.hidden
        solution.source = answered(exercise, "# BEGIN SOLUTION NO PROMPT", "# END SOLUTION")
        question = f"# BEGIN QUESTION\nname: exercise_{exercise.number}"
        before(notebook, solution, f"{question}\npoints: {exercise.by_check}", "# BEGIN SOLUTION")
        after(notebook, solution, new_raw_cell("# END SOLUTION"), new_raw_cell("# BEGIN TESTS"))
        if hidden:
            hidden.source = configured(alone(hidden.source, check.source), 1, hidden=True)
        check.source = configured(check.source, by_visible(exercise))
        ends = [new_raw_cell("# END TESTS"), new_raw_cell("# END QUESTION")]
        if reading := exercise.points - exercise.by_check:
            asked = PARAGRAPH.format(number=exercise.number, points=reading)
            question = f"# BEGIN QUESTION\nname: paragraph_{exercise.number}"
            ends += [
                new_raw_cell(f"{question}\npoints: {reading}\nmanual: true"),
                new_markdown_cell(asked),
                new_raw_cell("# BEGIN SOLUTION"),
                new_markdown_cell(RUBRIC),
                new_raw_cell("# END SOLUTION"),
                new_raw_cell("# END QUESTION"),
            ]
        after(notebook, hidden or check, *ends)
    settings = f"# ASSIGNMENT CONFIG\nname: {name}\ninit_cell: true\nexport_cell: false"
    notebook.cells.insert(0, new_raw_cell(settings))
    for n, cell in enumerate(notebook.cells):
        cell.id = f"cell-{n}"  # not at random
    return notebook


def configured(source: str, points: int, hidden: bool = False) -> str:
    """A test of otter's, with its points; it compares what a cell shows, so this shows nothing."""
    unseen = "\nhidden: true" if hidden else ""
    head = f'""" # BEGIN TEST CONFIG\npoints: {points}{unseen}\n""" # END TEST CONFIG'
    silent = "print = lambda *words, **more: None\n" if "print(" in source else ""
    return f"{head}\n{silent}{quiet(source)}"


def alone(hidden: str, check: str) -> str:
    """Hidden tests that run by themselves: otter runs each test without what another has set."""
    used = {n.id for n in ast.walk(course.parsed("hidden", hidden)) if isinstance(n, ast.Name)}
    needed = used & set_by(check) - set_by(hidden)
    return f"{quiet(check)}\n{hidden}" if needed else hidden


def set_by(source: str) -> set[str]:
    """The names that a cell leaves behind."""
    names = symtable.symtable(ast.unparse(course.parsed("cell", source)), "cell", "exec")
    return {one.get_name() for one in names.get_symbols() if one.is_assigned() or one.is_imported()}


def quiet(source: str) -> str:
    """A check whose last line shows nothing: graders take a number that it shows as points."""
    body = course.parsed("check", source).body
    last = body[-1]
    if not isinstance(last, ast.Expr):
        return source
    lines = source.splitlines()
    lines[last.lineno - 1] = f"_ = {lines[last.lineno - 1]}"
    return "\n".join(lines)


def before(notebook: NotebookNode, cell: NotebookNode, *marks: str) -> None:
    """Put raw cells before a cell."""
    at = place(notebook, cell)
    notebook.cells[at:at] = [new_raw_cell(mark) for mark in marks]


def after(notebook: NotebookNode, cell: NotebookNode, *cells: NotebookNode) -> None:
    """Put cells after a cell."""
    at = place(notebook, cell) + 1
    notebook.cells[at:at] = cells


def place(notebook: NotebookNode, cell: NotebookNode) -> int:
    return next(n for n, one in enumerate(notebook.cells) if one is cell)

"""A course made of the chapters, whose notebooks are the only source of it.

python tools/course.py          build/course/: student/, and course.zip of it; instructor/; and what
                                nbgrader and otter-grader make an assignment of: nbgrader/, otter/
python tools/course.py proof    build/proof/: the chapters, with cells for each exercise at their
                                end that fail unless the exercise's checks refuse its blank

An exercise is a heading in Markdown, `**1 (easy, 2 points, 10 minutes).** …`, a code cell tagged
"solution", the next one, tagged "check", and after it, if there is one, a cell tagged "hidden":
tests that students never see. Of the solution a student gets the imports and, of what the check
uses, each function's signature and docstring (of a class, its methods') and each variable's name.
Bodies, comments and all else give it away.
"""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from symtable import symtable
from typing import NamedTuple

import grading
import jupytext
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from mdlib.io import atomic_write
from mdlib.notebook import chapters

ROOT = chapters.root()
COURSE, PROOF = ROOT / "build" / "course", ROOT / "build" / "proof"
# What a student's folder holds beside the notebooks, so that they run with nothing else at hand.
SHIPPED = (
    *("pyproject.toml", "constraints.txt", "environment.yml", "LICENSE", "mdlib/**"),
    *("notebooks/sweeps/*.yaml", "notebooks/sweeps/*.csv"),
)
PAIR = {
    **{"extension": ".py", "format_name": "percent"},
    **{"notebook_metadata_filter": "kernelspec,-all", "cell_metadata_filter": "tags,-all"},
}
ELLIPSIS = ast.parse("...").body
TURN = ast.parse('raise NotImplementedError("exercise: your turn")').body

REFUSES = """\
# With the blank instead of {names}, the check must fail, and for this reason alone.
try:
    exec({blanked!r}, dict(globals()))
except {refusal}:
    pass
else:
    raise AssertionError("the check of {names} passes on the blank that students get")
"""


HEADING = re.compile(
    r"^\*\*(\d+) \(([^,()]+), (\d+) points, (\d+) minutes\)\.\*\*", flags=re.MULTILINE
)


class Exercise(NamedTuple):
    """One exercise: what its heading says of it, and its cells."""

    number: int
    level: str  # easy, medium, …; one that speaks of research ends on a paragraph to be read
    points: int
    minutes: int
    solution: NotebookNode
    check: NotebookNode
    hidden: NotebookNode | None

    @property
    def by_check(self) -> int:
        """The points that a machine gives: of a research question a third, the rest is reading."""
        return self.points // 3 if "research" in self.level else self.points


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """The notebook's exercises; ValueError if a cell or a heading is not where it should be."""
    found, heading, before = [], None, new_code_cell()
    for cell in [*notebook.cells, new_code_cell()]:
        if cell.cell_type == "markdown":
            heading = next(reversed([*HEADING.finditer(cell.source)]), heading)
        if cell.cell_type != "code":
            continue
        for kind, first in (("check", "solution"), ("hidden", "check")):
            if kind in tags(cell) and first not in tags(before):
                raise ValueError(
                    f"a cell tagged {kind!r} must come right after one tagged {first!r}, but this "
                    f"does not:\n\n{cell.source}"
                )
        if "solution" in tags(before) and "check" not in tags(cell):
            raise ValueError(
                "a cell tagged 'solution' must come right before one tagged 'check', but this does "
                f"not:\n\n{before.source}"
            )
        if "solution" in tags(cell):
            if heading is None:
                raise ValueError(
                    "a solution needs a heading above it with points and time, such as "
                    f"**1 (easy, 2 points, 10 minutes).**, but this has none:\n\n{cell.source}"
                )
            number, level, points, minutes = heading.groups()
            found.append(Exercise(int(number), level, int(points), int(minutes), cell, cell, None))
            heading = None
        elif "check" in tags(cell):
            found[-1] = found[-1]._replace(check=cell)
        elif "hidden" in tags(cell):
            found[-1] = found[-1]._replace(hidden=cell)
        before = cell
    return found


def blank(solution: str, check: str) -> tuple[str, list[str]]:
    """A solution's source without the solution, and the names that it leaves to the student.

    Raises ValueError if the check uses nothing that the solution defines, or one of both cannot be
    parsed.
    """
    used = {node.id for node in ast.walk(parsed("check", check)) if isinstance(node, ast.Name)}
    lines, left = [], []
    for statement in parsed("solution", solution).body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                lines.append(ast.unparse(statement))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name in used:
                statement.body = [*docstring(statement), *TURN]
                lines.append(ast.unparse(statement))
                left.append(name)
            case ast.ClassDef(name=name, body=body) if name in used:
                functions = ast.FunctionDef | ast.AsyncFunctionDef
                statement.body = [part for part in body if isinstance(part, functions)]
                for method in statement.body:
                    method.body = [*docstring(method), *TURN]
                statement.body = statement.body or ELLIPSIS  # of a class of values alone
                lines.append(ast.unparse(statement))
                left.append(name)
            case _:
                names = [n for n in assigned(statement) if n in used and n not in left]
                lines += [f"{name} = ...  # your turn" for name in names]
                left += names
    if not left:
        raise ValueError(
            "the check uses no function or variable that the solution defines, so it cannot fail "
            f"without it:\n\n{solution}\n\n{check}"
        )
    return "\n\n".join(lines), left


def docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """A function's docstring as its first statement, if it has one: it says the shapes."""
    return function.body[:1] if ast.get_docstring(function) else []


def parsed(kind: str, source: str) -> ast.Module:
    """A cell's statements, without IPython's magics; ValueError with its source if it has none."""
    cell_magic = re.match(r"\s*%%(\w+).*\n?", source)
    python = source[cell_magic.end() :] if cell_magic else source
    python = TransformerManager().transform_cell(python)  # %magics become calls
    if cell_magic and cell_magic[1] not in ("time", "timeit", "capture", "prun"):
        raise ValueError(f"the {kind} is no Python, but %%{cell_magic[1]}:\n\n{source}")
    try:
        return ast.parse(python)
    except SyntaxError as error:
        raise ValueError(f"the {kind} is no Python ({error}):\n\n{source}") from None


def assigned(statement: ast.stmt) -> list[str]:
    """The variables that a statement sets, in a loop, `with`, `match` or by `:=` too."""
    if isinstance(statement, ast.Assign | ast.AugAssign):  # also a part of one, x[0] = 1
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        parts = [node for target in targets for node in ast.walk(target)]
        return [node.id for node in parts if isinstance(node, ast.Name)]
    names = symtable(ast.unparse(statement), "solution", "exec").get_symbols()
    return [name.get_name() for name in names if name.is_assigned()]


def for_students(notebook: NotebookNode) -> NotebookNode:
    """The notebook with blanks instead of solutions, without hidden tests and outputs."""
    return stripped(with_blanks(notebook))


def with_blanks(notebook: NotebookNode) -> NotebookNode:
    """A copy with blanks instead of solutions, and without hidden tests and what checks show."""
    notebook = deepcopy(notebook)
    for exercise in exercises(notebook):
        exercise.solution.source, _ = blank(exercise.solution.source, exercise.check.source)
        exercise.solution.metadata.tags = ["exercise"]
        exercise.check.outputs = []
    notebook.cells = [cell for cell in notebook.cells if "hidden" not in tags(cell)]
    return notebook


def stripped(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs."""
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def with_proof(notebook: NotebookNode) -> NotebookNode:
    """The notebook and, at its end, cells for each exercise that its checks must refuse the blank.

    They stand at the end because a failing check may leave traces, in a generator for example, and
    there they reach nobody. A blank function fails where it is called, so that is the only error
    that counts; a blank variable fails where it is used, or is found wrong.
    """
    notebook = deepcopy(notebook)
    for exercise in exercises(notebook):
        for check in filter(None, (exercise.check, exercise.hidden)):
            blanked, names = blank(exercise.solution.source, exercise.check.source)
            refusal = "NotImplementedError" if "raise" in blanked else "(AssertionError, TypeError)"
            source = REFUSES.format(
                names=", ".join(names), blanked=f"{blanked}\n{check.source}", refusal=refusal
            )
            notebook.cells.append(new_code_cell(source, id=f"proof-{check.id}"))
    return notebook


def names() -> list[str]:
    """The chapters of the book, in its order."""
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    return re.findall(r"file: notebooks/(\S+)", toc)


def course() -> dict[str, bytes]:
    """All files of the course, by path below build/course."""
    files, readme = {}, (ROOT / "tools" / "course.md").read_text(encoding="utf-8")
    for name in names():
        chapter = chapters.find(name)
        with naming(name):
            blanks = for_students(chapter.notebook())
            files |= assignments(name)
        with_outputs = chapter.path.with_suffix(".ipynb")
        files[f"instructor/notebooks/{name}.ipynb"] = with_outputs.read_bytes()
        files[f"student/notebooks/{name}.ipynb"] = nbformat.writes(blanks).encode()
        files[f"student/notebooks/{name}.py"] = jupytext.writes(blanks, fmt=PAIR).encode()
        readme += f"- [{chapter.title}](notebooks/{name}.ipynb): {chapter.time}\n"
    files["student/README.md"] = readme.encode()
    for name in tracked(SHIPPED):
        files[f"student/{name}"] = (ROOT / name).read_bytes()
    return files


def assignments(chapter: str) -> dict[str, bytes]:
    """A chapter as assignments of nbgrader and otter-grader, by path below build/course."""
    whole, files = chapters.find(chapter).notebook(), {}
    for system, assignment in (("nbgrader", grading.nbgrader), ("otter", grading.otter)):
        text = nbformat.writes(assignment(whole, chapter))
        files[f"{system}/{grading.path(system, chapter)}"] = text.encode()
    return files | {"nbgrader/nbgrader_config.py": grading.CONFIG.encode()}


def tracked(patterns: Iterable[str]) -> list[str]:
    """The files of those patterns that Git keeps: data files too, and nothing that a run left."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", *(f":(glob){p}" for p in patterns)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"a course is made in a checkout, where Git says what belongs to it: {done.stderr}"
        )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


@contextmanager
def naming(chapter: str) -> Iterator[None]:
    """Errors within say which chapter they are about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{chapter}: {error}") from None


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)  # a chapter that is gone would stay
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def archive(path: Path, files: dict[str, bytes]) -> None:
    """Write a zip of the files: the same files, the same bytes, on every machine.

    Stored, not compressed, since versions of zlib differ in what they make of the same bytes.
    """
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as book:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # else the platform's own
            book.writestr(entry, content)


def main(command: str = "course") -> None:
    if command == "proof":
        files = {}
        for name in names():
            with naming(name):
                proved = with_proof(chapters.find(name).notebook())
            files[f"{name}.ipynb"] = nbformat.writes(proved).encode()
        write(PROOF, files)
        return
    files = course()
    write(COURSE, files)
    student = {name.removeprefix("student/"): c for name, c in files.items() if "student/" in name}
    archive(COURSE / "course.zip", {f"course/{name}": c for name, c in student.items()})
    print(f"{COURSE}: course.zip, which holds student/; instructor/, nbgrader/ and otter/")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Students' notebooks come from the chapters: blanks fail their checks, and nothing else is new.

That every blank fails its check, and every solution passes it, is proved where chapters run anyway:
`make test-notebooks` runs each with its proof cells. What is tested here is that these cells are
there, that they hold what students get, and that such a cell fails when it should.
"""

import ast
import os
import re
import subprocess
import sys
import zipfile

import course
import imports
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mdlib.notebook.chapters import Chapter, find
from mdlib.notebook.chapters import root as chapters_root

CHAPTERS = course.names()


def cell(source, *tags):
    return new_code_cell(source, metadata={"tags": list(tags)})


HEADING = new_markdown_cell("**1 (easy, 2 points, 10 minutes).** Write it.")


def chapter(solution, check, *hidden):
    cells = [HEADING, cell(solution, "solution", "hide-input"), cell(check, "check")]
    return new_notebook(cells=[*cells, *(cell(tests, "hidden", "remove-cell") for tests in hidden)])


def run(notebook):
    namespace = {}
    for c in notebook.cells:
        if c.cell_type == "code":
            exec(c.source, namespace)
    return namespace


@pytest.fixture(scope="module", params=CHAPTERS)
def pair(request):
    """A chapter's notebook and what students get of it."""
    notebook = find(request.param).notebook()
    return notebook, course.for_students(notebook)


@pytest.fixture(scope="module")
def files():
    return course.course()


def test_exercises_from_easy_to_research(pair, request):
    found = course.exercises(pair[0])
    prose = "\n".join(c.source for c in pair[0].cells if c.cell_type == "markdown")
    assert len(re.findall(r"^\*\*\d+ \(", prose, re.MULTILINE)) == len(found), "headings alone"
    assert [exercise.number for exercise in found] == list(range(1, len(found) + 1))
    name = request.node.callspec.params["pair"]
    assert len(found) >= (2 if name.startswith("gallery/") else 3)  # a gallery chapter is short
    assert found[0].level == "easy" and "research" in found[-1].level
    for exercise in found:
        assert "hide-input" in exercise.solution.metadata.tags, "a solution folds out"
        assert exercise.by_check > (exercise.hidden is not None), "the visible check has a point"
        if "research" not in exercise.level:
            assert exercise.hidden, f"exercise {exercise.number} has no hidden tests"
        if exercise.hidden:
            assert "remove-cell" in exercise.hidden.metadata.tags, "the site would show it"
    assert prose.count("<summary>Hint</summary>") == len(found)


def test_blanks_say_shapes_and_checks_say_what_is_wrong(pair):
    """What a student sees has a docstring for each function, and each assert a message."""
    for exercise in course.exercises(pair[0]):
        shown, _ = course.blank(exercise.solution.source, exercise.check.source)
        for node in ast.parse(shown).body:
            if isinstance(node, ast.FunctionDef):
                assert ast.get_docstring(node), f"{node.name}: its blank says no shapes"
        asserts = [a for a in ast.walk(ast.parse(exercise.check.source)) if type(a) is ast.Assert]
        mute = [ast.unparse(a) for a in asserts if a.msg is None]
        assert not mute, f"exercise {exercise.number}: {mute}"


def test_a_check_says_so_where_it_does_not_bite(pair):
    """Where part of a check is for one data set or budget only, others are told."""
    for exercise in course.exercises(pair[0]):
        for node in ast.parse(exercise.check.source).body:
            if isinstance(node, ast.If):
                assert "Not all was checked" in ast.unparse(node.orelse), ast.unparse(node.test)


def test_students_get_all_but_solutions_hidden_tests_and_outputs(pair):
    whole, blanks = pair
    exercises = course.exercises(whole)
    solutions = [exercise.solution for exercise in exercises]
    kept = [c for c in whole.cells if c not in [exercise.hidden for exercise in exercises]]
    assert len(kept) == len(blanks.cells)
    for mine, theirs in zip(kept, blanks.cells, strict=True):
        if mine in solutions:
            assert theirs.metadata.tags == ["exercise"]
            assert "your turn" in theirs.source
        else:
            assert theirs.source == mine.source
        assert not theirs.get("outputs")
    nbformat.validate(blanks)


def test_proofs_hold_the_students_blank_and_its_check(pair):
    whole, blanks = pair
    proved = course.with_proof(whole)
    assert proved.cells[: len(whole.cells)] == whole.cells
    proofs = [c.source for c in proved.cells[len(whole.cells) :]]
    students = [c for c in blanks.cells if c.cell_type == "code"]
    exercises = [n for n, c in enumerate(students) if c.metadata.get("tags") == ["exercise"]]
    for n, exercise in zip(exercises, course.exercises(whole), strict=True):
        checks = [students[n + 1].source]
        checks += [exercise.hidden.source] if exercise.hidden else []
        for check in checks:
            assert repr(f"{students[n].source}\n{check}") in proofs.pop(0)
    assert not proofs


@pytest.mark.parametrize(
    ("solution", "check"),
    [
        ("def f(x):\n    return x + 1", "assert f(1) == 2"),
        ("import math\nx, y = math.e, 2\nz = [x]", "assert len(z) == 1 and x > y"),
        ("def f(x):\n    return x\n\n\na = f(1)", "for n in range(3):\n    assert f(a) == 1"),
        ("y: int = 5", "assert y == 5"),
        ("y = 4\ny += 1", "assert y == 5"),
        ("for y in range(6):\n    pass", "assert y == 5"),
        ("if True:\n    y = 5\nelse:\n    y = 6", "assert y == 5"),
        ("try:\n    y, z = 5, 6\nexcept ValueError:\n    y = 7", "assert y < z"),
        ("import io\nwith io.StringIO('5') as y:\n    text = y.read()", "assert text == '5'"),
        ("match [4, 5]:\n    case [_, y]:\n        pass", "assert y == 5"),
        ("print(y := 5)", "assert y == 5"),
        ("if True:\n    def f(x):\n        return x + 1", "assert f(1) == 2"),
        ("class A:\n    def f(self):\n        return 1", "assert A().f() == 1"),
    ],
)
def test_solution_passes_and_blank_fails(solution, check):
    notebook = chapter(solution, check)
    run(course.with_proof(notebook))
    with pytest.raises((NotImplementedError, AssertionError, TypeError)):
        run(course.for_students(notebook))


def test_proof_fails_where_hidden_tests_let_the_blank_pass():
    with pytest.raises(AssertionError, match="the check of f passes on the blank"):
        run(course.with_proof(chapter("def f(x):\n    return x", "assert f(1) == 1", "f")))


@pytest.mark.parametrize(
    "check",
    [
        "f",  # it is never called
        "if False:\n    assert f(1)",
        "try:\n    assert f(1) == 2\nexcept NotImplementedError:\n    pass",
    ],
)
def test_proof_fails_where_a_check_lets_the_blank_pass(check):
    notebook = chapter("def f(x):\n    return x + 1", check)
    run(notebook)
    with pytest.raises(AssertionError, match="the check of f passes on the blank"):
        run(course.with_proof(notebook))


def test_proof_fails_where_the_check_fails_for_another_reason():
    check = "once = globals().get('once', 0) + 1\nassert once == 1\nassert f(1) == 2"
    with pytest.raises(AssertionError, match=r"^$"):
        run(course.with_proof(chapter("def f(x):\n    return x + 1", check)))


def test_a_blank_gives_nothing_away():
    solution = (
        "import math\n# the secret\n@cache\ndef f(x, n=2):\n    '''[N] → [N].'''\n"
        "    # secret\n    return 1"
        "\n\n\ndef secret(): ...\n\n\nhidden = secret()\nfor a in f(1):\n    print('secret')"
    )
    source, names = course.blank(solution, "assert f(3) > 0")
    assert names == ["f"]
    assert source == (
        'import math\n\n@cache\ndef f(x, n=2):\n    """[N] → [N]."""\n'
        "    raise NotImplementedError('exercise: your turn')"
    )


@pytest.mark.parametrize(
    ("solution", "check", "source"),
    [
        ("y: int = 5", "assert y == 5", "y = ...  # your turn"),
        ("%%time\ny = 5", "assert y == 5", "y = ...  # your turn"),
        ("%matplotlib inline\n!ls\ny = 5\nfiles = !ls", "assert y == 5", "y = ...  # your turn"),
        ("y = 5", "%time assert y == 5\nassert y", "y = ...  # your turn"),
        (
            "async def f(x):\n    return x",
            "assert f(1)",
            "async def f(x):\n    raise NotImplementedError('exercise: your turn')",
        ),
        ("class A:\n    x: int = 3", "assert A().x == 3", "class A:\n    ..."),
        ("y: int\ny = 1\ny = 2", "assert y == 2", "y = ...  # your turn"),
    ],
)
def test_blanks_of_all_kinds(solution, check, source):
    assert course.blank(solution, check)[0] == source


@pytest.mark.parametrize(
    ("solution", "message"),
    [
        ("y = (", r"the solution is no Python \('\(' was never closed.*\n\ny = \("),
        ("%%bash\nls", r"the solution is no Python, but %%bash"),
    ],
)
def test_what_is_no_python_is_named(solution, message):
    with pytest.raises(ValueError, match=message), course.naming("theory/x"):
        course.blank(solution, "assert y")
    with pytest.raises(ValueError, match=r"^theory/x: the solution"), course.naming("theory/x"):
        course.blank(solution, "assert y")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([HEADING, cell("a = 1", "solution"), cell("1"), cell("a", "check")], "right before"),
        ([HEADING, cell("a = 1", "solution")], "must come right before"),
        ([cell("assert a == 1", "check")], "'check' must come right after one tagged 'solution'"),
        ([cell("assert a == 1", "hidden")], "'hidden' must come right after one tagged 'check'"),
        ([HEADING, cell("a = 1", "solution"), cell("True", "check")], "no function or variable"),
        ([cell("a = 1", "solution"), cell("a", "check")], "needs a heading above it"),
        (
            [HEADING, cell("a", "solution"), cell("a", "check"), cell("a = 2", "solution")],
            "needs a heading above it",
        ),
    ],
)
def test_a_broken_exercise_is_refused(cells, message):
    with pytest.raises(ValueError, match=message):
        course.for_students(new_notebook(cells=cells))


def test_the_course_is_whole(files, tmp_path):
    student = {name.partition("/")[2] for name in files if name.startswith("student/")}
    assert {"README.md", "pyproject.toml", "constraints.txt", "environment.yml"} <= student
    assert {
        "mdlib/__init__.py",
        "mdlib/sweep/table.py",
        "notebooks/sweeps/start_here.csv",
    } <= student
    for name in CHAPTERS:
        path = find(name).path.with_suffix(".ipynb")
        assert files[f"instructor/notebooks/{name}.ipynb"] == path.read_bytes()
        text = files[f"student/notebooks/{name}.ipynb"].decode()
        assert nbformat.writes(course.for_students(find(name).notebook())) == text
        (tmp_path / "pair.py").write_bytes(files[f"student/notebooks/{name}.py"])
        assert [c.source for c in Chapter(tmp_path / "pair.py").cells if c.kind == "code"] == [
            c.source for c in nbformat.reads(text, 4).cells if c.cell_type == "code"
        ]
    assert not re.search(r"://|index-url", files["student/README.md"].decode())


def test_every_module_can_be_imported_from_the_zip(files, tmp_path):
    """Data files that a module reads at its import are there, too."""
    student = {name.removeprefix("student/"): c for name, c in files.items() if "student/" in name}
    course.archive(tmp_path / "course.zip", student)
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        archive.extractall(tmp_path / "student")
    shipped = {path.relative_to(tmp_path / "student") for path in tmp_path.rglob("mdlib/**/*.*")}
    assert {path.suffix for path in shipped} >= {".py", ".css", ".js"}
    imports.check_all_modules(tmp_path / "student")


def test_a_students_notebook_runs_from_the_zip(files, tmp_path):
    """With the packages of this environment, but none of this checkout: only the blanks fail."""
    name = "theory/style_identifiability"
    student = {file.removeprefix("student/"): c for file, c in files.items() if "student/" in file}
    course.archive(tmp_path / "course.zip", student)
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        archive.extractall(tmp_path / "course")
    notebook = tmp_path / "course" / "notebooks" / f"{name}.ipynb"
    asks = new_code_cell("import mdlib\nprint(mdlib.__file__)", id="where")
    content = nbformat.read(notebook, as_version=4)
    content.cells.append(asks)
    nbformat.write(content, notebook)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MDLIB_DATA", "PYTHONPATH")
    }
    done = subprocess.run(
        [*command, "--allow-errors", "--ExecutePreprocessor.timeout=300", notebook],
        env=environment | {"PYTHONPATH": str(tmp_path / "course"), "HOME": str(tmp_path)},
        cwd=tmp_path / "course",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(notebook, as_version=4).cells
    where = "".join(output.get("text", "") for output in cells[-1].outputs)
    assert where.strip() == str(tmp_path / "course/mdlib/__init__.py")
    failed = {
        tuple(cell.metadata.get("tags", [])): [o.ename for o in cell.outputs]
        for cell in cells
        if cell.cell_type == "code" and any(o.output_type == "error" for o in cell.outputs)
    }
    assert failed == {("check",): ["NotImplementedError"]}
    checks = sum("check" in cell.metadata.get("tags", []) for cell in cells)
    errors = sum(o.output_type == "error" for cell in cells for o in cell.get("outputs", []))
    assert errors == checks == len(course.exercises(find(name).notebook()))


def test_the_students_readme_installs_no_cuda(files):
    """By one command a system, and by options that the installer has."""
    text = files["student/README.md"].decode()
    commands = re.findall(r"```(?:sh|bat)\n(.+)\n```", text)
    linux, macos, windows = (line for line in commands if "venv .venv" in line)
    assert "--torch-backend cpu" in linux
    for line in (linux, macos, windows):
        assert '-c constraints.txt -e ".[notebooks]"' in line and "\n" not in line
    uv = [sys.executable, "-m", "uv", "pip", "install", "--help"]
    done = subprocess.run(uv, capture_output=True, text=True)
    if done.returncode == 0:  # conda's environment has no uv
        assert re.search(r"--torch-backend .*", done.stdout)
    assert "MDLIB_DATA=" in text and "mdlib doctor" in text


GUIDE = (chapters_root() / "book" / "teaching.md").read_text(encoding="utf-8")


def test_plans_name_chapters_that_are_there_and_ten_weeks_all():
    for weeks in ("Four", "Ten"):
        plan = GUIDE.partition(f"## {weeks} weeks")[2].partition("\n## ")[0]
        named = re.findall(r"\]\(\.\./notebooks/([\w/]+)\)", plan)
        assert set(named) <= set(CHAPTERS)
        assert any(name.startswith("gallery/") for name in named)
        assert weeks == "Four" or sorted(set(named)) == sorted(CHAPTERS), "ten weeks have room"


def test_points_of_the_ten_weeks_are_a_hundred():
    plan = GUIDE.partition("## Ten weeks")[2].partition("The project's points")[0]
    assert sum(int(points) for points in re.findall(r"\| (\d+) \|$", plan, re.MULTILINE)) == 100
    project = GUIDE.partition("The project's points")[2]
    of_project = sum(int(points) for points in re.findall(r"\| (\d+) \|$", project, re.MULTILINE))
    rows = re.findall(r"^\| (?:8–9|10) \|.*\| (\d+) \|$", plan, re.MULTILINE)
    assert of_project == sum(map(int, rows))


def test_zip_is_the_same_bytes_again_and_whole_or_not_at_all(tmp_path):
    files = {"b/two.txt": b"2", "one.txt": b"1"}
    course.archive(tmp_path / "a.zip", files)
    first = (tmp_path / "a.zip").read_bytes()
    course.archive(tmp_path / "a.zip", dict(reversed(files.items())))
    assert (tmp_path / "a.zip").read_bytes() == first
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
    with pytest.raises(TypeError):
        course.archive(tmp_path / "a.zip", {"one.txt": b"1", "two.txt": None})
    assert (tmp_path / "a.zip").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]

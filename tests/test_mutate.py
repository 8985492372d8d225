"""The tool that asks whether tests notice: what it changes, and that it tells who notices."""

import ast
import subprocess
import sys
from pathlib import Path

import mutate
import pytest

pytestmark = pytest.mark.slow  # processes of their own

SOURCE = '''
def f(x: int = 3) -> float:
    """Of 4 words."""
    if not x < 5:
        raise ValueError(f"{x + 1}")
    return x.detach().mean(dim=2)
'''


def test_each_change_is_one_place_of_the_code_and_of_nothing_else():
    count = len(list(mutate.changes(ast.parse(SOURCE))))
    whats, trees = zip(*(mutate.mutant(SOURCE, i) for i in range(count)), strict=True)
    assert [what.removeprefix("line ") for what in whats] == [
        "2: def f(x: int=3) -> float:  →  def f(x: int=4) -> float:",
        "4: if not x < 5:  →  if not not x < 5:",
        "4: if not x < 5:  →  if x < 5:",
        "4: if not x < 5:  →  if not x <= 5:",
        "4: if not x < 5:  →  if not x < 6:",
        "5: raise ValueError(f'{x + 1}')  →  pass",
        "6: return x.detach().mean(dim=2)  →  return",
        "6: return x.detach().mean(dim=2)  →  return x.detach().sum(dim=2)",
        "6: return x.detach().mean(dim=2)  →  return x.detach().mean()",
        "6: return x.detach().mean(dim=2)  →  return x.mean(dim=2)",
        "6: return x.detach().mean(dim=2)  →  return x.detach().mean(dim=3)",
    ]
    assert len({ast.dump(tree) for tree in trees} | {ast.dump(ast.parse(SOURCE))}) == 12


def test_who_is_not_tested_is_named_and_the_file_stays(tmp_path, monkeypatch):
    module, tests = tmp_path / "toy.py", tmp_path / "test_toy.py"
    module.write_text("def f(x):\n    return x + 1\n")
    tests.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport toy\n\n\n"
        "def test_f():\n    assert toy.f(0) in (1, -1)\n"
    )
    short = "import mutate; mutate.PRELOADED = (); mutate.main()"
    monkeypatch.setenv("PYTHONPATH", str(Path(mutate.__file__).parent))
    done = subprocess.run(
        [sys.executable, "-c", short, module, tests], capture_output=True, text=True, check=True
    )
    assert "3 of 3 changes tried, 2 noticed (66.7%)" in done.stdout
    assert "toy.py, line 2: return x + 1  →  return x - 1" in done.stdout
    assert module.read_text() == "def f(x):\n    return x + 1\n"


def test_of_a_folder_all_modules_count_each_with_the_tests_that_name_it_first(tmp_path):
    folder, tests = tmp_path / "toys", [tmp_path / "test_a.py", tmp_path / "test_b.py"]
    folder.mkdir()
    (folder / "one.py").write_text("def f(x):\n    return x + 1\n")
    (folder / "two.py").write_text("def g(x):\n    return x + 1\n")
    tests[0].write_text("import one\n")
    tests[1].write_text("import two\ntwo.g(two.h)\n")
    assert [f.name for f in mutate.files_of([folder])] == ["one.py", "two.py"]
    assert mutate.nearest_first(tests, folder / "one.py") == [str(t) for t in tests]
    assert mutate.nearest_first(tests, folder / "two.py") == [str(t) for t in reversed(tests)]

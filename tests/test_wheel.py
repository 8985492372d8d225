"""The wheel: what installs `mdlib` without its checkout has all of it, and says what it lacks."""

import subprocess
import sys
import zipfile
from pathlib import Path

import imports
import pytest

pytestmark = pytest.mark.slow  # a wheel is built and installed

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's content, in a folder where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "uv", "build", "--wheel", "-o", str(folder / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    if done.returncode and "hatchling" in done.stderr and "Failed to" in done.stderr:
        pytest.skip("uv cannot fetch hatchling, which builds the wheel")  # no network
    assert done.returncode == 0, done.stderr
    [wheel] = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_has_every_file_of_the_package(installed):
    def files(root):
        paths = (path for path in (root / "mdlib").rglob("*") if path.is_file())
        return {str(p.relative_to(root)) for p in paths if "__pycache__" not in p.parts}

    assert files(installed) == files(ROOT)


def test_every_module_can_be_imported_from_the_wheel(installed):
    imports.check_all_modules(installed)


@pytest.mark.parametrize("command", [["list"], ["run", "start_here"], ["sweep", "start_here"]])
def test_what_needs_the_book_says_so(installed, command):
    done = imports.python_in(installed, "-m", "mdlib.cli", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mdlib: no notebooks/ folder in")
    assert done.stderr.strip().endswith("go to the book's checkout")

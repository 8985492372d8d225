"""Binder and Colab: needed once, when the repository has got its public address.

python tools/launch.py https://github.com/OWNER/NAME [BRANCH]

Writes the address into book/_config.yml, so that pages have launch buttons, and a cell tagged
"launch" into both halves of every chapter, right after its parameters. Colab opens a notebook
without the files around it, and there the cell fetches them; elsewhere it does nothing, and the
site does not show it. It is no part of what a chapter's outputs are made with, so they stay as they
are. A second run replaces what the first one wrote.
"""

import json
import re
import sys
from pathlib import Path

import nbformat

from mdlib.io import atomic_write
from mdlib.notebook import chapters

ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]*\w")
BRANCH = re.compile(r"\w[\w./-]*")

MARK = "# Written by tools/launch.py, as are the chapters' launch cells.\n"
BUTTONS = """\
repository:
  url: {address}
  branch: {branch}
  path_to_book: ""
launch_buttons:
  notebook_interface: jupyterlab
  binderhub_url: https://mybinder.org
  colab_url: https://colab.research.google.com
"""

TAGS = ["launch", "remove-cell"]
CELL = """\
import importlib.util
import sys

if "google.colab" in sys.modules and not importlib.util.find_spec("mdlib"):
    import os
    import subprocess

    print("Colab has this notebook alone: fetching the rest (a minute)")
    address = "{address}"
    clone = ["git", "clone", "-q", "--depth=1", "--branch={branch}"]
    subprocess.run([*clone, address, "book"], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-e", "./book[notebooks]"], check=True)
    sys.path.insert(0, os.path.abspath("book"))
    os.chdir("book/{folder}")
"""


def stamp_config(path: Path, address: str, branch: str) -> None:
    """Put the block of BUTTONS at the end of _config.yml."""
    text = path.read_text(encoding="utf-8").partition(MARK)[0].rstrip("\n")
    _write(path, f"{text}\n\n{MARK}{BUTTONS.format(address=address, branch=branch)}")


def stamp_chapter(path: Path, cell: str) -> None:
    """Put the launch cell after the parameters of NAME.py and of the NAME.ipynb beside it."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'# %% tags=\["launch".*?(?=^# %%)', "", text, flags=re.DOTALL | re.MULTILINE)
    parameters = re.search(
        r'^# %% tags=\["parameters"[^\n]*\]\n.*?(?=^# %%)', text, re.DOTALL | re.M
    )
    if parameters is None:
        raise ValueError(
            f"{path} has no cell tagged 'parameters', after which the cell is to stand"
        )
    end = parameters.end()
    _write(path, f"{text[:end]}# %% tags={json.dumps(TAGS)}\n{cell}\n{text[end:]}")

    notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    tags = [each.metadata.get("tags", []) for each in notebook.cells]
    here = next(n for n, each in enumerate(tags) if "parameters" in each) + 1
    if here < len(tags) and "launch" in tags[here]:
        notebook.cells[here].source = cell.rstrip("\n")
    else:
        new = nbformat.v4.new_code_cell(cell.rstrip("\n"), id="launch", metadata={"tags": TAGS})
        notebook.cells.insert(here, new)
    with atomic_write(path.with_suffix(".ipynb")) as temporary:
        nbformat.write(notebook, temporary)


def stamp(address: str, branch: str = "main") -> None:
    """All of it. ValueError for what is no address or branch, before anything is written."""
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"address {address!r}: expected https://github.com/OWNER/NAME")
    if not BRANCH.fullmatch(branch):
        raise ValueError(f"branch {branch!r}: expected a name such as main")
    root = chapters.root()
    for path in (chapters.find(name).path for name in chapters.names()):
        folder = path.parent.relative_to(root).as_posix()
        stamp_chapter(path, CELL.format(address=address, branch=branch, folder=folder))
    stamp_config(root / "book" / "_config.yml", address, branch)


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    stamp(*sys.argv[1:])

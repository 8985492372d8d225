"""Write chapters' notebooks (.ipynb) anew from their .py, executed, with clean outputs.

The figure of a cell tagged "picture" goes to book/_static/NAME.png too. Nothing is put in its place
before the last chapter has run: each says in its provenance whether the tree was as committed.

python tools/pairs.py [--jobs N] [CHAPTER …]      without a name: all chapters; N at a time
"""

import argparse
import resource
import shutil
import subprocess
import sys
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat

from mdlib.io import atomic_write
from mdlib.notebook import chapters, execution, html
from mdlib.sweep import sources

ROOT = chapters.root()
PICTURES = Path("book", "_static")


def refresh(chapter: chapters.Chapter, notebook_path: Path, root: Path = ROOT) -> None:
    """Run the chapter with its defaults; store its notebook, and its picture under `root`."""
    made_with = {"code": sources.code_hash(chapter), "source": sources.source_hash(chapter)}
    before = spent()
    with TemporaryDirectory() as folder:
        execution.execute(chapter, {}, Path(folder), progress=False, timeout=600)
        notebook = nbformat.read(Path(folder, execution.NOTEBOOK), as_version=4)
    clean(notebook)
    # tells whether the outputs belong to the present source, and whether its Time is true
    notebook.metadata["mdlib"] = made_with | {"cpu_seconds": round(spent() - before, 1)}
    for cell in notebook.cells:
        if "picture" in cell.metadata.get("tags", []):  # README and the site show it
            png, *_ = [o.data["image/png"] for o in cell.outputs if "image/png" in o.data]
            with atomic_write(root / PICTURES / f"{chapter.path.stem}.png") as temporary:
                temporary.write_bytes(b64decode(png))
    with atomic_write(notebook_path) as temporary:
        nbformat.write(notebook, temporary)


def spent() -> float:
    """Seconds of CPU that kernels have used so far, which other work beside them does not change.

    Of kernels that have ended, with all that they have started and waited for.
    """
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave the cells and what they show: no progress bars, times or traces of the tools."""
    html.drop_widgets(notebook)
    # the version of Python is among language_info; the provenance has it
    for name in ("widgets", "language_info", "jupytext", "papermill"):
        notebook.metadata.pop(name, None)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="chapters at a time")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        found = [chapters.find(name) for name in given.chapters or chapters.names()]
    except ValueError as error:
        parser.error(str(error))
    if given.jobs < 1:
        parser.error(f"--jobs {given.jobs}: expected 1 or more")
    if given.into:  # one of several at a time
        for chapter in found:
            print(chapter.name, flush=True)
            path = given.into / chapter.path.relative_to(ROOT)
            refresh(chapter, path.with_suffix(".ipynb"), given.into)
        return 0

    with TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:

        def alone(chapter: chapters.Chapter) -> int:
            command = [sys.executable, __file__, "--into", folder, chapter.name]
            return subprocess.run(command).returncode

        worst = max(pool.map(alone, found))
        for path in [path for path in Path(folder).rglob("*") if path.is_file()]:
            with atomic_write(ROOT / path.relative_to(folder)) as temporary:
                shutil.copyfile(path, temporary)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""JupyterLab on a copy of the chapters, so that running them leaves the checkout as it is.

python tools/lab.py          opens runs/lab, made at the first time; what is changed there stays
python tools/lab.py fresh    puts the present copy away as runs/lab-1, -2, …, and opens a new one
"""

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

from mdlib.notebook import chapters

ROOT = chapters.root()
LAB = ROOT / "runs" / "lab"


def working_copy(fresh: bool = False) -> Path:
    """The folder with the copies of all notebooks; `fresh` puts the one that is there away.

    The .ipynb alone, not the .py beside it: jupytext would write each change into both, and a
    change to the one that is kept would not be seen in the other.
    """
    if fresh and LAB.exists():
        names = (LAB.with_name(f"{LAB.name}-{n}") for n in itertools.count(1))
        LAB.rename(next(name for name in names if not name.exists()))
    for path in (chapters.find(name).path for name in chapters.names()):
        copy = LAB / path.relative_to(ROOT / "notebooks").with_suffix(".ipynb")
        if path.with_suffix(".ipynb").is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.with_suffix(".ipynb"), copy)
            unpaired(copy)
    return LAB


def unpaired(notebook: Path) -> None:
    """Tell jupytext to leave the notebook alone, whatever the checkout's configuration says."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"]["jupytext"] = {"formats": "ipynb"}
    content["metadata"].pop("mdlib", None)  # whose outputs they are is no longer known
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(command: str = "") -> int:
    if command not in ("", "fresh"):
        print(f"LAB={command}: expected nothing, or fresh", file=sys.stderr)
        return 2
    folder = working_copy(command == "fresh")
    print(f"A copy of the chapters: {folder}. For a fresh one: make lab LAB=fresh", flush=True)
    return subprocess.run(server(folder)).returncode


def server(folder: Path) -> list[str]:
    """The command that serves a folder."""
    return [str(Path(sys.executable).with_name("jupyter")), "lab", f"--notebook-dir={folder}"]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

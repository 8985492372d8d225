"""Write chapters' notebooks (.ipynb) anew from their .py, executed, with clean outputs.

The figure of a cell tagged "picture" goes to book/_static/NAME.png too.

python tools/pairs.py [CHAPTER …]      without a name: all chapters
"""

import sys
from base64 import b64decode

import nbformat
from nbclient import NotebookClient

from mdlib.io import atomic_write
from mdlib.notebook import chapters
from mdlib.sweep import plan

PICTURES = chapters.root() / "book" / "_static"
WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(chapter: chapters.Chapter) -> None:
    """Run the chapter with its default parameters and store it beside its .py."""
    notebook = chapter.notebook()
    made_with = {"code": plan.code_hash(chapter), "source": plan.source_hash(chapter)}
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # not at random, so that a diff shows what changed
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,
        record_timing=False,
        extra_arguments=["--log-level=CRITICAL"],  # the kernel's own remarks, not the chapter's
        resources={"metadata": {"path": chapter.path.parent}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # progress bars are alive only while somebody watches
            cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("language_info", None)  # the version of Python: the provenance has it
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["mdlib"] = made_with  # tells whether the outputs belong to the present source
    for cell in notebook.cells:
        if "picture" in cell.metadata.get("tags", []):  # the README and the site show it
            (png,) = [o.data["image/png"] for o in cell.outputs if "image/png" in o.data]
            with atomic_write(PICTURES / f"{chapter.path.stem}.png") as temporary:
                temporary.write_bytes(b64decode(png))
    with atomic_write(chapter.path.with_suffix(".ipynb")) as temporary:
        nbformat.write(notebook, temporary)


if __name__ == "__main__":
    for name in sys.argv[1:] or chapters.names():
        print(name, flush=True)
        refresh(chapters.find(name))

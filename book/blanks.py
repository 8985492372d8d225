"""A Sphinx extension: with SOLUTIONS=no, pages have the student's blanks instead of solutions.

So have the notebooks that the site offers to download, of which `downloads` makes students' ones.
"""

import os
import sys
from pathlib import Path

import nbformat
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tools"))
import course  # noqa: E402


def wanted() -> bool:
    """Are pages to have solutions? ValueError if SOLUTIONS says neither yes nor no."""
    said = os.environ.get("SOLUTIONS") or "yes"
    if said not in ("yes", "no"):
        raise ValueError(f"SOLUTIONS={said}: expected yes or no")
    return said == "yes"


def blanked(text: str) -> str:
    """A notebook's text with blanks, and with what its other cells show."""
    return nbformat.writes(course.with_blanks(nbformat.reads(text, as_version=4)))


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Change a chapter's text after it was read."""
    if app.env.doc2path(page).endswith(".ipynb"):
        source[0] = blanked(source[0])


def downloads(html: Path) -> None:
    """Put blanks into the notebooks that a finished site has for download."""
    for path in (html / "_sources").rglob("*.ipynb"):
        path.write_text(blanked(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    if not wanted():
        app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

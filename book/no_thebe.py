"""A Sphinx extension: pages come without the script of Thebe, which runs cells on a server.

Jupyter Book adds it to every page, and twice: the second is an error in the browser's console.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def drop(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Take the script, and the constants that are set for it, from the page's list."""
    scripts = context["script_files"]
    texts = [f"{script.filename} {script.attributes.get('body')}" for script in scripts]
    scripts[:] = [s for s, text in zip(scripts, texts, strict=True) if "thebe" not in text]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", drop)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

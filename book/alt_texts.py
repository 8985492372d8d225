"""A Sphinx extension: a figure among a cell's outputs gets its caption as alternative text.

The caption is the emphasised "Figure 1. …" that follows. Figures without one make the build fail.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)


def describe(app: Sphinx, page: nodes.document, name: str) -> None:
    """Give each picture of the page that has no text the caption that comes next."""
    waiting: list[nodes.image] = []
    for node in page.findall(lambda n: isinstance(n, nodes.image | nodes.emphasis)):
        if isinstance(node, nodes.image):
            waiting += [] if node.get("alt") else [node]
        elif re.match(r"Figure \d", text := " ".join(node.astext().replace("\\", "").split())):
            for image in waiting:
                image["alt"] = text
            waiting.clear()
    for image in waiting:
        log.warning("no caption *Figure …* follows %s", image["uri"], location=name)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

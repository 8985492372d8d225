"""A Sphinx extension: the table beside a figure is folded, for the figure says the same faster.

What a chapter shows is its rows; what a reader of the site sees first is the picture of them. It
folds a table of FEW rows or more that has a figure before or after it and nothing but captions and
other tables between, and each of a screen's length. Its caption stays, and a link to it opens it. A
cell tagged "open" keeps its tables: those that the figure beside them does not show.
"""

import re
from itertools import groupby, takewhile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

FEW, SCREEN = 5, 20  # rows: what is below the one stays open, what reaches the other does not

CAPTION = re.compile(r"table-\d+")


def fold(app: Sphinx, page: nodes.document, name: str) -> None:
    """Fold the page's tables; after captions.py, whose anchors name them."""
    shown = list(contents(page))
    named = anchors(shown)
    for at, (kind, node) in enumerate(shown):
        if kind == "table" and (rows := length(node)) >= FEW:
            beside = (neighbour(shown[:at][::-1]), neighbour(shown[at + 1 :]))
            if rows >= SCREEN or "figure" in beside:
                wrap(node, rows, named.get(at, ""))


def contents(page: nodes.document) -> list[tuple[str, Any]]:
    """What a reader sees one after the other: figures, tables, captions by their anchors, prose."""
    found: list[tuple[str, Any]] = []
    for node in page.findall():
        match node:
            case nodes.image():
                found.append(("figure", node))
            case nodes.raw() if "data-explorable=" in node.astext():
                found.append(("figure", node))
            case nodes.raw() if "<table" in node.astext():
                found.append(("open" if is_open(node) else "table", node))
            case nodes.paragraph() if "caption-of" in node["classes"]:
                tables = [anchor for anchor in node["ids"] if CAPTION.fullmatch(anchor)]
                found.append(("caption", tables))
            case nodes.paragraph() | nodes.title():
                found.append(("prose", node))
    return found


def anchors(shown: list[tuple[str, Any]]) -> dict[int, str]:
    """The anchors of the captions of tables, by the tables' places.

    Between two pieces of prose the tables and what captions name come in one order, if they are as
    many. Else a table has what the next caption names first, if no other table is before that.
    """
    found: dict[int, str] = {}
    for prose, group in groupby(enumerate(shown), key=lambda one: one[1][0] == "prose"):
        together = [] if prose else list(group)
        tables = [at for at, (kind, _) in together if kind in ("table", "open")]
        said = [anchor for _, (kind, own) in together if kind == "caption" for anchor in own]
        if len(tables) == len(said):
            found |= dict(zip(tables, said, strict=True))
            continue
        for at in tables:
            own = takewhile(lambda one: one[0] in ("caption", "figure"), shown[at + 1 :])
            named = [anchor for kind, some in own if kind == "caption" for anchor in some]
            if named:
                found[at] = named[0]
    return found


def neighbour(others: list[tuple[str, Any]]) -> str:
    """The first that is neither caption nor table."""
    return next((kind for kind, _ in others if kind in ("figure", "prose")), "")


def is_open(node: nodes.Node | None) -> bool:
    """Is it in a cell that is tagged so?"""
    while node is not None:
        if isinstance(node, nodes.container) and "tag_open" in node["classes"]:
            return True
        node = node.parent
    return False


def length(table: nodes.raw) -> int:
    """The rows of a table's body."""
    return table.astext().partition("<tbody>")[2].count("<tr")


def wrap(table: nodes.raw, rows: int, anchor: str) -> None:
    """Put a table into what folds out."""
    title = anchor.replace("-", " ").capitalize() or "The numbers"
    head = f'<details class="numbers" data-of="{anchor}"><summary>{title}: {rows} rows</summary>'
    table.replace_self(nodes.raw("", f"{head}{table.astext()}</details>", format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", fold, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

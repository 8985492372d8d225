"""book/folds.py: a table beside a figure folds; one whose numbers no figure has stays open."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils import new_document

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book"))
folds = import_module("folds")


def page(*parts):
    """A page: a number is a table of so many rows, "*x" a caption x, "figure" one, else prose."""
    made = new_document("page")
    for part in parts:
        cell = nodes.container(classes=["cell"])
        if isinstance(part, int):
            rows = "<tr><td>1</td></tr>" * part
            table = f"<table><thead><tr></tr></thead><tbody>{rows}</tbody></table>"
            cell += nodes.raw("", table, format="html")
        elif part == "figure":
            cell += nodes.image(uri="a.png")
        elif part == "explorable":
            cell += nodes.raw("", '<figure data-explorable="a"></figure>', format="html")
        elif part.startswith("*"):
            caption = nodes.paragraph("", part, classes=["caption-of"], ids=part[1:].split())
            cell = caption
        else:
            cell = nodes.paragraph("", part)
        made += cell
    return made


def folded(made):
    """What the summaries of a page say, and that each fold has its table whole."""
    folds.fold(None, made, "page")
    texts = [node.astext() for node in made.findall(nodes.raw)]
    found = [re.search(r'data-of="(.*)"><summary>(.*)</summary><table', text) for text in texts]
    assert all(text.endswith("</table></details>") for text in texts if "<details" in text)
    return [(one[1], one[2]) for one in found if one]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("figure", "*figure-1", 6, "*table-2"), [("table-2", "Table 2: 6 rows")]),
        ((6, "*table-2", "figure", "*figure-1"), [("table-2", "Table 2: 6 rows")]),
        (("explorable", 6, "text"), [("", "The numbers: 6 rows")]),
        ((6, "figure", "*figure-2 table-3"), [("table-3", "Table 3: 6 rows")]),
        (("figure", 6, 7, "text"), [("", "The numbers: 6 rows"), ("", "The numbers: 7 rows")]),
        (
            (6, "figure", 7, "figure", "*figure-3 table-3 figure-4 table-4"),
            [("table-3", "Table 3: 6 rows"), ("table-4", "Table 4: 7 rows")],
        ),
        (("text", 20, "text", "*table-2"), [("", "The numbers: 20 rows")]),
    ],
)
def test_a_table_beside_a_figure_and_a_long_one_fold(parts, expected):
    assert folded(page(*parts)) == expected


@pytest.mark.parametrize(
    "parts",
    [
        ("figure", 4, "*table-1"),
        ("figure", "text", 6, "*table-1", "text", "figure"),
        ("text", 19, "text"),
    ],
)
def test_a_short_one_and_one_without_a_figure_stay(parts):
    assert folded(page(*parts)) == []


def test_a_cell_can_keep_its_table_open():
    made = page("figure", 30, "*table-1", 30)
    made.children[1]["classes"].append("tag_open")
    assert folded(made) == [("", "The numbers: 30 rows")]

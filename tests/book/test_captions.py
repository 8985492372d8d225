"""book/captions.py: captions of chapters get anchors, mentions become links, mistakes are told."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from docutils.utils import new_document
from myst_parser.parsers.docutils_ import Parser
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book"))
captions = import_module("captions")

from mdlib.notebook import chapters  # noqa: E402


class Log:
    def __init__(self):
        self.said = []

    def warning(self, text, *args, location=None):
        self.said.append(text % args)


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(captions, "log", Log())
    return captions.log


def page(*parts):
    """A page: "*x*" is an emphasised paragraph, a path an image, else a paragraph."""
    made = new_document("page")
    for part in parts:
        if isinstance(part, Path):
            made += nodes.image(uri=str(part))
        elif part.startswith("*"):
            made += nodes.paragraph("", "", nodes.emphasis("", part.strip("*")))
        else:
            made += nodes.paragraph("", part)
    return made


def links(node):
    return [(link["refid"], link.astext()) for link in node.findall(nodes.reference)]


@pytest.fixture
def plot(tmp_path):
    path = tmp_path / "plot.png"
    picture = Image.new("RGBA", (100, 100), "white")
    ImageDraw.Draw(picture).line((0, 0, 99, 99), fill="black")
    picture.save(path)
    return path


def test_a_caption_has_an_anchor_and_mentions_lead_to_it(log, plot):
    made = page("See Figure 1, and Tables 1 and 2.", plot, "*Figure 1. A line.*",
                "*Table 1. Numbers, beside Figure 1.*", "*Table 2. More.*")  # fmt: skip
    captions.number(None, made, "page")
    assert log.said == []
    assert [node["ids"] for node in made[2:]] == [["figure-1"], ["table-1"], ["table-2"]]
    assert links(made[0]) == [
        ("figure-1", "Figure 1"),
        ("table-1", "Tables 1"),
        ("table-2", "2"),
    ]
    assert links(made[3]) == [("table-1", "Table 1"), ("figure-1", "Figure 1")]
    assert made[1]["alt"] == "Figure 1. A line."


def test_one_caption_may_be_of_two_figures(log, plot):
    made = page(plot, plot, "*Figure 2 and Figure 3. Two.*", "Figures 2, 3")
    captions.number(None, made, "page")
    assert log.said == [] and made[2]["ids"] == ["figure-2", "figure-3"]
    assert made[0]["alt"] == made[1]["alt"] == "Figure 2 and Figure 3. Two."
    assert [to for to, _ in links(made[3])] == ["figure-2", "figure-3"]
    both = page(plot, plot, "*Figures 2 and 3, Tables 1 and 2. All.*", "Table 2")
    captions.number(None, both, "page")
    assert log.said == [] and both[2]["ids"] == ["figure-2", "figure-3", "table-1", "table-2"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["Figure 4 says it."], "there is no figure-4 on this page"),
        (["*Table 1. A.*", "*Table 1. B.*"], "table-1 is there twice"),
        ([Path("a.png")], "no caption *Figure …* follows a.png"),
    ],
)
def test_what_cannot_be_right_is_told(log, parts, message):
    captions.number(None, page(*parts), "page")
    assert log.said == [message]


def test_code_and_titles_are_left_alone(log):
    made = new_document("page")
    made += nodes.paragraph("", "", nodes.literal("", "Figure 9"))
    made += nodes.section("", nodes.title("", "Figure 9"))
    captions.number(None, made, "page")
    assert log.said == [] and not links(made)


def test_a_figure_turns_dark_but_for_its_pictures(log, tmp_path, plot):
    photo, both = tmp_path / "photo.png", tmp_path / "both.png"
    noise = Image.effect_noise((100, 100), 80).convert("RGBA")
    noise.save(photo)
    figure = Image.new("RGBA", (300, 160), "white")
    for left in (20, 180):
        figure.paste(noise, (left, 30))
    figure.save(both)
    made = page(plot, photo, both, "*Figure 1. What it shows.*")
    captions.number(None, made, "page")
    assert log.said == []
    kinds = [(image["classes"], image["alt"][:8]) for image in made.findall(nodes.image)]
    of_both = [(["drawn"], "Figure 1"), (["kept"], "")]
    assert kinds == [(["drawn"], "Figure 1"), (["shown"], "Figure 1"), *of_both]
    (mixed,) = made.findall(nodes.container)
    assert "clip-path: polygon(0 0, 6.667% 18.75%, 40% 18.75%, 40% 81.25%," in mixed.astext()


@pytest.mark.parametrize("chapter", chapters.names())
def test_each_figure_that_a_chapter_names_has_its_caption(log, chapter):
    """As the site's build would find, a minute and a half earlier."""
    parts = []
    page = chapters.find(chapter).path.with_suffix(".ipynb")
    for cell in json.loads(page.read_text())["cells"]:
        said = [out.get("data", {}).get("text/markdown", []) for out in cell.get("outputs", [])]
        for lines in [cell["source"]] if cell["cell_type"] == "markdown" else said:
            parts.append("".join(lines))
    settings = {"myst_enable_extensions": ["dollarmath"], "report_level": 5}
    captions.number(
        None, publish_doctree("\n\n".join(parts), parser=Parser(), settings_overrides=settings), ""
    )
    assert [said for said in log.said if "*Figure …*" not in said] == []

"""Lectures as slides (reveal.js), cut from the chapters' text and stored outputs by lectures.yaml.

python tools/slides.py          build/slides/LECTURE.html, each one file that needs no network
"""

import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import nbformat
import yaml
from jinja2 import DictLoader
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mdlib.checks import unknown
from mdlib.io import atomic_write
from mdlib.notebook import chapters
from mdlib.notebook.html import typeset_here

ROOT = chapters.root()
LECTURES = yaml.safe_load((ROOT / "tools" / "lectures.yaml").read_text(encoding="utf-8"))
REVEAL = Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
CAPTION = re.compile(r"\*(Figure|Table) \d")
STATEMENT = re.compile(r"```\{prf:(\w+)\} ?(.*)\n(?::.*\n)*\n?((?s:.*?))\n```$", re.MULTILINE)
ROLE = re.compile(r"\{prf:ref\}`[^`]*`")
FULL = 750  # characters of text on a slide

TEMPLATE = """{% extends 'reveal/index.html.j2' %}
{% block html_head_js %}<meta http-equiv="Content-Security-Policy" content="default-src 'none';
img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_css %}<style>
.jp-InputPrompt, .jp-OutputPrompt { display: none; }
.reveal h1 { font-size: 1.5em; } .reveal h2 { font-size: 1.1em; }
.reveal .slides section:not(.stack) { font-size: 26px; text-align: left; max-height: 700px;
overflow-y: auto; }
.reveal .slides section img { max-height: 560px; margin: 0 auto; display: block; }
.reveal .slides section table { font-size: 0.75em; }
</style>{% endblock %}
{% block footer_js %}<script src="reveal/dist/reveal.js"></script>
<script>Reveal.initialize({hash: true, slideNumber: "c/t", transition: "none"});</script>
{% endblock %}"""


def sections(notebook: NotebookNode) -> dict[str, list[str | NotebookNode]]:
    """What stands below each heading, in order: blocks of text, and outputs as cells."""
    found: dict[str, list[str | NotebookNode]] = {}
    heading = ""
    for cell in notebook.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts = [ROLE.sub("the statement above", STATEMENT.sub(stated, t)) for t in texts]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                texts.append(data["text/markdown"])
            elif {"image/png", "text/html"} & data.keys():
                found[heading].append(new_code_cell(outputs=[output]))
        for block in re.split(r"\n\s*\n", "\n\n".join(texts).strip()):
            if title := re.fullmatch(r"#+ (.+)", block):
                heading = title[1]
                found[heading] = []
            elif block:
                found[heading].append(block)
    return found


def stated(directive: re.Match) -> str:
    """A theorem, its proof and their kin as plain text: slides know no directives."""
    kind, title, body = directive.groups()
    return f"**{kind.capitalize()}{f' ({title})' if title else ''}.** {body}"


def pages(blocks: list[str]) -> list[str]:
    """The blocks, as many on a page as fit; formulas and tables stay with what leads to them."""
    units: list[str] = []
    for block in blocks:
        if units and block.startswith(("$$", r"\begin", "|")):
            units[-1] += f"\n\n{block}"
        else:
            units.append(block)
    full = units[:1]
    for unit in units[1:]:
        if len(full[-1]) + len(unit) > FULL:
            full.append(unit)
        else:
            full[-1] += f"\n\n{unit}"
    return full


def column(heading: str, items: list, blocks: int) -> list[list[NotebookNode]]:
    """A column of slides: the first blocks of a section's text, then its figures and tables."""
    text = [item for item in items if isinstance(item, str) and not CAPTION.match(item)]
    slides = [[new_markdown_cell(f"## {heading}\n\n{page}")] for page in pages(text[:blocks])]
    for item, caption in pairwise(items):
        if not isinstance(item, str) and isinstance(caption, str) and CAPTION.match(caption):
            slides.append([item, new_markdown_cell(caption)])
    return slides


def lecture(name: str) -> NotebookNode:
    """The slides of a lecture as a notebook: a column for each section."""
    cells = []
    for chapter, chosen in LECTURES[name].items():
        found = sections(nbformat.read(chapters.find(chapter).path.with_suffix(".ipynb"), 4))
        title = chapters.find(chapter).title
        for heading, blocks in {title: 2, **chosen}.items():
            if heading not in found:
                raise ValueError(f"{name}: {unknown('heading', heading, found)}")
            for n, slide in enumerate(column(heading, found[heading], blocks)):
                for m, cell in enumerate(slide):
                    kind = "-" if m else "subslide" if n else "slide"
                    cell.metadata["slideshow"] = {"slide_type": kind}
                    cells.append(cell)
    for n, cell in enumerate(cells):
        cell.id = f"cell-{n}"  # neither at random nor twice
    return new_notebook(cells=cells, metadata={"title": name})


def page(name: str) -> str:
    """The slides of a lecture as HTML that needs no other file and no network."""
    exporter = SlidesExporter(
        extra_loaders=[DictLoader({"slides.html.j2": TEMPLATE})],
        template_file="slides.html.j2",
        reveal_url_prefix="reveal",
        exclude_input=True,
        exclude_output_prompt=True,
    )
    typeset_here(exporter, ROOT / "notebooks")
    html, _ = exporter.from_notebook_node(lecture(name))

    def inside(found: re.Match) -> str:
        text = (REVEAL / found[1]).read_text(encoding="utf-8")
        if found[1].endswith(".js"):
            return f"<script>{text}</script>"
        return f"<style>{re.sub(r'@import [^;]+;', '', text)}</style>"  # fonts from a network

    html = re.sub(r'<link [^>]*href="reveal/([^"]+)"[^>]*>', inside, html)
    return re.sub(r'<script src="reveal/([^"]+)"></script>', inside, html)


if __name__ == "__main__":
    for name in LECTURES:
        with atomic_write(ROOT / "build" / "slides" / f"{name}.html") as temporary:
            temporary.write_text(page(name), encoding="utf-8")
        print(f"build/slides/{name}.html")

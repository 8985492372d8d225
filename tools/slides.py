"""Lectures as slides (reveal.js), by lectures.yaml, from the chapters' text and stored outputs.

python tools/slides.py          build/slides/LECTURE.html, each one file that needs no network

Points come one by one; `n` shows the notes, which are the chapter's prose on what the slide shows;
`?print-pdf` after the address prints them, and with `&showNotes=separate-page` the notes, too.
"""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

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
STATEMENT = re.compile(r"```\{prf:(\w+)\} ?(.*)\n(?::.*\n)*\n?((?s:.*?))\n```$", re.MULTILINE)
ROLE = re.compile(r"\{prf:ref\}`[^`]*`")
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{.*?\}.*?^\1$", re.MULTILINE | re.DOTALL)
TAG = re.compile(r" *\\tag\{(\d+)\}")
SPOKEN = 1800  # characters of notes: about two minutes

TEMPLATE = """{% extends 'reveal/index.html.j2' %}
{% block html_head_js %}<meta http-equiv="Content-Security-Policy" content="default-src 'none';
img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_css %}<style>
.jp-InputPrompt, .jp-OutputPrompt { display: none; }
.reveal h1 { font-size: 1.7em; } .reveal h2 { font-size: 1.2em; }
.reveal .slides section { font-size: 28px; text-align: left; }
.reveal .slides section img { max-height: 430px; max-width: 920px; margin: 0 auto; display: block; }
.reveal .slides section .jp-OutputArea-output { max-height: 440px; overflow: hidden; }
.reveal .slides section math[display=block] { width: fit-content; margin: 0.6em auto; }
</style>{% endblock %}
{% block footer_js %}<script src="reveal/dist/reveal.js"></script>
<script>Reveal.initialize({hash: true, slideNumber: "c/t", transition: "none"});
Reveal.addKeyBinding({keyCode: 78, key: "N", description: "Show the notes"},
    () => Reveal.configure({showNotes: !Reveal.getConfig().showNotes}));
function fill() {  // a formula as large as the slide's width allows
    for (const math of Reveal.getCurrentSlide().querySelectorAll(":scope math[display=block]")) {
        for (let size = 1.6; size > 0.6; size -= 0.1) {
            math.style.fontSize = size + "em";
            if (math.getBoundingClientRect().width < 900 * Reveal.getScale()) break;
        }
    }
}
Reveal.on("ready", fill);
Reveal.on("slidechanged", fill);</script>
{% endblock %}"""


class Section(NamedTuple):
    """What stands below one heading of a chapter."""

    prose: list[str]  # blocks of text, formulas among them
    pictures: list[NotebookNode]  # figures and explorables, each as a cell; no tables


def sections(notebook: NotebookNode) -> dict[str, Section]:
    """What stands below each heading, in order."""
    found: dict[str, Section] = {}
    heading = ""
    for cell in notebook.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data:
                texts.append(data["text/markdown"])
            elif "image/png" in data or "<table" not in data.get("text/html", "<table"):
                found[heading].pictures.append(new_code_cell(outputs=[output]))
        for block in re.split(r"\n\s*\n", "\n\n".join(map(plain, texts)).strip()):
            if title := re.fullmatch(r"#+ (.+)", block):
                heading = title[1]
                found[heading] = Section([], [])
            elif block:
                found[heading].prose.append(block)
    return found


def plain(text: str) -> str:
    """Text without the book's directives and roles, which slides don't know."""
    text = ROLE.sub("the statement above", STATEMENT.sub(stated, text))
    return DIRECTIVE.sub("", text)


def stated(directive: re.Match) -> str:
    """A theorem, its proof and their kin as plain text."""
    kind, title, body = directive.groups()
    return f"**{kind.capitalize()}{f' ({title})' if title else ''}.** {body}"


def slide(shown: dict, where: str) -> list[NotebookNode]:
    """The cells of one slide: title, formula or figure, points one by one, notes.

    Raises ValueError if the chapter does not have what lectures.yaml asks for.
    """
    chapter, heading = shown["from"]
    notebook = nbformat.read(chapters.find(chapter).path.with_suffix(".ipynb"), 4)
    found = sections(notebook)
    if heading not in found:
        raise ValueError(f"{where}: {chapter}: {unknown('heading', heading, found)}")
    of = found[heading]
    cells = [kind(new_markdown_cell(f"## {shown['title']}"), "slide")]
    if "formula" in shown:
        cells.append(kind(new_markdown_cell(formula(of, shown["formula"], where)), "-"))
    if "figure" in shown:
        if shown["figure"] > len(of.pictures):
            raise ValueError(
                f"{where}: {chapter}, {heading!r} has {len(of.pictures)} figures, and no "
                f"{shown['figure']}"
            )
        cells.append(kind(of.pictures[shown["figure"] - 1], "-"))
    points = [new_markdown_cell(f"- {point}") for point in shown["points"]]
    cells += [kind(point, "fragment") for point in points]
    return [*cells, kind(new_markdown_cell(notes(of, chapter, heading)), "notes")]


def kind(cell: NotebookNode, slide_type: str) -> NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": slide_type}
    return cell


def formula(section: Section, number: int, where: str) -> str:
    """The formula of that number, without it: on a slide there are no others."""
    for block in section.prose:
        if (tag := TAG.search(block)) and int(tag[1]) == number:
            start = max(block.find("$$"), block.find(r"\begin"), 0)
            return TAG.sub("", block[start:]).strip()
    raise ValueError(f"{where}: no formula ({number}) there")


def notes(section: Section, chapter: str, heading: str) -> str:
    """The section's prose, as much as can be said, and where it stands."""
    spoken, length = [], 0
    for block in section.prose:
        length += len(block)
        if spoken and length > SPOKEN:
            break
        if not re.match(r"\*(Figure|Table) \d", block):
            spoken.append(TAG.sub("", block))
    return "\n\n".join([*spoken, f"*{chapter}: {heading}*"])


def lecture(name: str) -> NotebookNode:
    """The slides of a lecture as a notebook."""
    title, slides = LECTURES[name]["title"], LECTURES[name]["slides"]
    opening = f"# {title}\n\n{book('title')}\n\n{book('author')} · {date()}"
    used = dict.fromkeys(chapters.find(shown["from"][0]).title for shown in slides)
    about = "From the chapters:\n\n" + "\n".join(f"- {chapter}" for chapter in used)
    cells = [kind(new_markdown_cell(opening), "slide"), kind(new_markdown_cell(about), "notes")]
    for n, shown in enumerate(slides, 1):
        cells += slide(shown, f"lectures.yaml, {name}, slide {n}")
    for n, cell in enumerate(cells):
        cell.id = f"cell-{n}"  # neither at random nor twice
    return new_notebook(cells=cells, metadata={"title": title})


def book(key: str) -> str:
    return yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))[key]


def date() -> str:
    """The day of the checkout's commit; nothing where there is none."""
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%cs"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


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

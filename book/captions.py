"""A Sphinx extension: figures and tables of chapters with number, caption, anchor and references.

A chapter writes "*Figure 3. What it shows.*" below the cell that draws, so that it can be read in
JupyterLab too. On the site that line becomes the caption: it has the anchor figure-3, the picture
above it takes its text as its description, and "Figure 3" elsewhere on the page leads to it. A
picture without a caption, a number that is there twice and one that is nowhere fail the build.

A figure on paper is *drawn*: dark pages show its negative, and above it, once more, the pictures
that are in it, as they are (panels.py). A picture without paper around is *shown*.
"""

import re
from pathlib import Path

import panels
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)

MENTION = re.compile(r"\b(Figure|Table)(s?) (\d+)\b")
MORE = re.compile(r"(?:, | and |, and |–)(\d+)\b")
HEAD = re.compile(r"(Figure|Table)s? \d+((, | and )((Figure|Table)s? )?\d+)*(?=[.:,]| )")
INSIDE = re.compile(r"(?<=[.)] )(Figure|Table) \d+(?=\. [A-Z])")  # of what comes next, too


def captions(page: nodes.document) -> dict[str, nodes.emphasis]:
    """The emphasised "Figure 1. …" and "Table 1. …" of a page, by their anchors."""
    found: dict[str, nodes.emphasis] = {}
    for node in page.findall(nodes.emphasis):
        opens = isinstance(node.parent, nodes.paragraph) and node.parent[0] is node
        if opens and (head := HEAD.match(words(node))):
            heads = [head[0], *(m[0] for m in INSIDE.finditer(words(node)))]
            for anchor, _, _ in mentions("; ".join(heads)):
                if anchor in found:
                    log.warning("%s is there twice", anchor, location=node)
                found[anchor] = node
    return found


def mentions(said: str) -> list[tuple[str, int, int]]:
    """The anchors of the figures and tables that a text names, each with its place in it."""
    found = []
    for match in MENTION.finditer(said):
        kind, at = match[1].lower(), match.end()
        found.append((f"{kind}-{match[3]}", match.start(), at))
        while match[2] and (more := MORE.match(said, at)):
            at = more.end()
            found.append((f"{kind}-{more[1]}", more.start(1), at))
    return found


def words(node: nodes.Node) -> str:
    return " ".join(node.astext().replace("\\", "").split())


def number(app: Sphinx, page: nodes.document, name: str) -> None:
    """Give captions their anchors, pictures their descriptions, mentions their links."""
    found = captions(page)
    describe(page, name, found)
    for anchor, node in found.items():
        node.parent["ids"].append(anchor)
        node.parent["classes"].append("caption-of")
    for text in [node for node in page.findall(nodes.Text) if is_prose(node)]:
        link(text, found, name)
    for node in dict.fromkeys(found.values()):
        first, anchor = node[0], node.parent["ids"][0]
        if isinstance(first, nodes.Text) and (head := HEAD.match(first.astext())):
            rest = nodes.Text(first.astext()[head.end() :])
            node.replace(first, [to(anchor, head[0]), rest])


def describe(page: nodes.document, name: str, found: dict[str, nodes.emphasis]) -> None:
    """Give each picture of the page that has no text the caption that comes next."""
    heads = {id(node) for anchor, node in found.items() if anchor.startswith("figure")}
    waiting: list[nodes.image] = []
    for node in list(page.findall(lambda n: isinstance(n, nodes.image | nodes.emphasis))):
        if isinstance(node, nodes.image):
            waiting += [] if node.get("alt") else [node]
        elif id(node) in heads:
            for image in waiting:
                image["alt"] = words(node)
                dress(image)
            waiting.clear()
    for image in waiting:
        log.warning("no caption *Figure …* follows %s", image["uri"], location=name)


def dress(image: nodes.image) -> None:
    """Say of a picture what a dark page does with it."""
    path = Path(image["uri"])
    grey = panels.greys(path) if path.suffix == ".png" else None
    drawn = grey is not None and panels.on_paper(grey)
    image["classes"].append("drawn" if drawn else "shown")
    if not drawn or not (boxes := panels.pictures(grey)):
        return
    above = image.deepcopy()
    above["alt"], above["classes"] = "", ["kept"]
    style = f'style="clip-path: {panels.clip(grey, boxes)}"'
    opens = nodes.raw("", f'<div class="kept-of" aria-hidden="true" {style}>', format="html")
    both = nodes.container(
        "", image.deepcopy(), opens, above, nodes.raw("", "</div>", format="html")
    )
    both["classes"] = ["mixed"]
    image.replace_self(both)


def is_prose(text: nodes.Text) -> bool:
    node = text.parent
    while node is not None:
        if isinstance(node, nodes.literal | nodes.literal_block | nodes.reference | nodes.title
                      | nodes.math | nodes.math_block | nodes.raw):  # fmt: skip
            return False
        node = node.parent
    return bool(MENTION.search(text.astext()))


def link(text: nodes.Text, found: dict[str, nodes.emphasis], name: str) -> None:
    """Make the figures and tables that a text names links to them; a caption's own head is not."""
    said, parts, end = text.astext(), [], 0
    head = HEAD.match(said) if text.parent in found.values() and text.parent[0] is text else None
    for anchor, start, stop in mentions(said):
        if head and start < head.end():
            continue
        if anchor not in found:
            log.warning("there is no %s on this page", anchor, location=name)
            continue
        parts += [nodes.Text(said[end:start]), to(anchor, said[start:stop])]
        end = stop
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(said[end:])])


def to(anchor: str, said: str) -> nodes.reference:
    return nodes.reference(said, said, internal=True, refid=anchor)


class Picture(Directive):
    """A figure of a file of HTML that the build wrote: its path, and the caption as content."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        source, _ = self.state_machine.get_source_and_line(self.lineno)
        path = Path(source).parent / self.arguments[0]
        figure = nodes.figure("", nodes.raw("", path.read_text(encoding="utf-8"), format="html"))
        holder = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, holder)
        (paragraph,) = holder
        figure += nodes.caption("", "", *paragraph.children)
        figure["classes"].append("picture-of-rows")
        return [figure]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("picture", Picture)
    app.connect("doctree-resolved", number)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""One page to read: an executed notebook as HTML that needs no other file and no network.

Nothing heavy is imported before a page is made.
"""

from __future__ import annotations

import os
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

from mdlib.io import atomic_write

# The page: nbconvert's own, less everything that it would fetch from a network.

_TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}<meta http-equiv="Content-Security-Policy" content="default-src
'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline';
script-src 'unsafe-inline'">{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>
math[display=block] { overflow-x: auto; overflow-y: hidden; padding: 0.2em 0; }
</style>{% endblock %}"""
_WIDGET = "application/vnd.jupyter.widget-view+json"
_REMOTE = re.compile(
    r"(<(?:script|link|img|iframe|embed|object|source|video|audio)\b[^>]*?\s)"
    r"(src|href|data|srcset)(\s*=\s*[\"']?(?:https?:)?//)",
    re.IGNORECASE,
)


def page(notebook: str | os.PathLike, path: str | os.PathLike, title: str, images: Path) -> None:
    """Write an executed notebook as one HTML page that needs no other file and no network.

    Formulas become MathML; images are embedded (those of the prose are looked up in the folder
    `images`); widgets, which are alive only in a notebook, are left out.

    Args:
        notebook: the executed .ipynb.
        path: the HTML file to write.
        title: the page's title.
        images: the folder against which the prose's image paths are meant.

    Raises:
        OSError, ValueError: the notebook cannot be read.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert.exporters import HTMLExporter

    book = nbformat.read(notebook, as_version=4)
    book.metadata["title"] = title  # the template escapes it
    drop_widgets(book)
    for cell in book.cells:
        if cell.cell_type == "code":
            for data in (output.get("data", {}) for output in cell.outputs):
                if "text/latex" in data:  # so that it meets the same renderer as the prose
                    data.setdefault("text/markdown", data["text/latex"])
    loader = DictLoader({"page.html.j2": _TEMPLATE})
    exporter = HTMLExporter(extra_loaders=[loader], template_file="page.html.j2")
    typeset_here(exporter, images)
    html, _ = exporter.from_notebook_node(book)
    with atomic_write(path) as temporary:
        temporary.write_text(_REMOTE.sub(r"\1data-remote-\2\3", html), encoding="utf-8")


def drop_widgets(notebook: Any) -> None:
    """Take out outputs that are alive only while somebody watches, as progress bars are."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if _WIDGET not in o.get("data", {})]


def typeset_here(exporter: Any, images: Path) -> None:
    """Have an exporter of nbconvert write formulas as MathML, and embed images of that folder."""
    from jinja2 import pass_context
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body):
            return mathml(body, display=True)

        def inline_math(self, body):
            return mathml(body)

        def latex_environment(self, name, body):
            return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display=True)

    @pass_context
    def markdown2html(context, source):
        renderer = Renderer(
            escape=False,
            attachments=context.get("cell", {}).get("attachments", {}),
            embed_images=True,
            path=str(images),
            exclude_anchor_links=True,
        )
        return MarkdownWithMath(renderer=renderer).render(source)

    exporter.log.setLevel("ERROR")  # it remarks on images without a text in their stead
    exporter.register_filter("markdown2html", markdown2html)


def mathml(tex: str, display: bool = False) -> str:
    """A TeX formula as MathML, which browsers typeset by themselves; as code if it is beyond us."""
    from xml.etree.ElementTree import Element, tostring

    from latex2mathml.converter import convert_to_element

    # the converter knows neither labels, nor large brackets of some kinds, nor the environments
    # that stand inside a formula
    tex = re.sub(r"\\(label\{[^}]*\}|nonumber|notag)", "", tex)
    tex = re.sub(r"\\tag\*?\{([^}]*)\}", r"\\qquad\\text{(\1)}", tex)
    tex = re.sub(r"\\[Bb]igg?l?(?=\\l(?:floor|ceil))", r"\\left", tex)
    tex = re.sub(r"\\[Bb]igg?r?(?=\\r(?:floor|ceil))", r"\\right", tex)
    tex = re.sub(r"\\(begin|end)\{(align|aligned|split|gather\*?|gathered)\}", r"\\\1{align*}", tex)
    try:
        math = convert_to_element(tex.strip(), display="block" if display else "inline")
    except Exception:  # its errors have no common class, and none may cost the reader the page
        return f"<code>{escape(tex.strip())}</code>"
    for element in list(math.iter()):
        element.text = unescape(element.text or "")
        if element.tag == "mo" and len(element.text) > 1 and element.text.isalpha():
            element.tag = "mi"  # \operatorname: a name, not a relation with wide space around it
        if side := element.attrib.pop("columnalign", None):  # browsers only heed the style
            element.set("style", f"text-align: {side}; padding-left: 0; padding-right: 0")
        _embolden(element)
    for row in [e for e in math.iter() if e.tag in ("math", "mrow", "mtd", "mstyle")]:
        for left, right in list(zip(row, list(row)[1:], strict=False)):
            if (_is_name(left) or _is_name(right)) and "mo" not in (left.tag, right.tag):
                row.insert(list(row).index(right), Element("mspace", width="0.167em"))
    return tostring(math, encoding="unicode")


def _is_name(element: Any) -> bool:
    """Is it a function's name such as log, with or without an index?"""
    if element.tag in ("msub", "munder", "msup"):
        element = element[0]
    return element.tag == "mi" and len(element.text) > 1 and element.text.isalpha()


def _embolden(element: Any) -> None:
    """Replace a `mathvariant`, which browsers ignore, by the character of that shape."""
    import unicodedata

    variant = element.get("mathvariant", "normal")
    if variant == "normal" or len(element.text) != 1:
        return
    name = unicodedata.name(element.text, "")
    name = re.sub(r"^(LATIN|GREEK) (SMALL|CAPITAL) LETTER", r"\2", name)
    try:
        shape = f"MATHEMATICAL {variant.replace('-', ' ').upper()} {name}"
        element.text = unicodedata.lookup(shape.replace("DOUBLE STRUCK", "DOUBLE-STRUCK"))
    except KeyError:  # there is no such character: better the plain one
        return
    del element.attrib["mathvariant"]

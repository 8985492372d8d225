"""A Sphinx extension, and what the build does last: the site without what no page asks for.

The theme and MathJax bring every icon, font and output format that anyone may want: some 40 MB, and
2 MB a page. What a page of this book does not load, is not there. Pictures come as matplotlib wrote
them; here they get no more colours than can be seen.
"""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image
from sphinx.application import Sphinx

# MathJax in pieces, for its combined files all have its menu: the input, one output, and MathML for
# screen readers. Its loader makes their addresses, and those of input/tex/extensions, when it runs.
MATHJAX = ("startup.js", "core.js", "input/tex.js", "output/chtml.js", "a11y/assistive-mml.js")
MATHJAX_FOLDERS = ("output/chtml/fonts", "input/tex/extensions")
LOADED = ["input/tex", "output/chtml", "a11y/assistive-mml"]

ICON = re.compile(
    r'(?P<name>"[\w-]+"|[\w$]+):'
    r'\[\d+,\d+,(?P<aliases>\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)
COARSE = 3.0  # of 255: the mean error that fewer colours may make in a picture


def slim(site: Path) -> None:
    """Take from a built site what no page of it needs."""
    no_index_but_for_search(site)
    fewer_icons(site)
    fewer_rules(site)
    only_what_mathjax_loads(site / "_static" / "mathjax")
    only_what_is_named(site)
    for path in (site / "_sources").rglob("*.ipynb"):
        without_outputs(path)
    smaller_pictures(site)


def fewer_icons(site: Path) -> None:
    """Leave in the theme's script only those icons that a page or another script names."""
    script = site / "_static" / "scripts" / "fontawesome.js"
    texts = [*site.rglob("*.html"), *(p for p in script.parent.glob("*.js") if p != script)]
    texts += [site / "_static" / "book.js"]
    used = {n for p in texts for n in re.findall(r"\bfa-([a-z0-9-]+)", p.read_text("utf-8"))}

    def keep(match: re.Match[str]) -> str:
        names = {match["name"].strip('"'), *re.findall(r'"([\w-]+)"', match["aliases"])}
        return match[0] if names & used else ""

    text, count = ICON.subn(keep, script.read_text("utf-8"))
    if count < 1000:
        raise ValueError(f"{script}: {count} icons found, expected 1000 and more: look at ICON")
    script.write_text(text, "utf-8")


def only_what_mathjax_loads(folder: Path) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = path.relative_to(folder).as_posix()
        if name not in MATHJAX and not name.startswith(MATHJAX_FOLDERS):
            path.unlink()


def only_what_is_named(site: Path) -> None:
    """Delete files below _static that no page, style or script of the site names."""
    static = site / "_static"
    files = {p for p in static.rglob("*") if p.is_file() and static / "mathjax" not in p.parents}
    texts = list(site.rglob("*.html"))
    named: set[str] = set()
    while texts:  # what a named file names, is needed too
        found = {word for path in texts for word in mentioned(path)} - named
        named |= found
        texts = [p for p in files if p.name in found and p.suffix in (".css", ".js")]
    for path in files:
        if path.name not in named or path.suffix == ".map":
            path.unlink()


def mentioned(path: Path) -> set[str]:
    return set(re.findall(r"[\w.-]+\.[a-z0-9]{2,5}\b", path.read_text("utf-8")))


def without_outputs(path: Path) -> None:
    """The chapter to download: its cells; the page has what they show."""
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), "utf-8")


def smaller_pictures(site: Path) -> None:
    """Write each picture in the smallest of three ways, and have the pages name it so."""
    renamed = {}
    for path in (site / "_images").glob("*.png"):
        suffix, content = smallest(path)
        path.unlink()
        path.with_suffix(suffix).write_bytes(content)
        renamed[path.name] = path.with_suffix(suffix).name
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        text = _PICTURE.sub(lambda m: m[1] + renamed.get(m[2], m[2]), text)
        page.write_text(_EMBEDDED.sub(smaller_embedded, text), "utf-8")


_PICTURE = re.compile(r"(_images/)([\w-]+\.png)\b")
_EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/]+=*)")


def smaller_embedded(match: re.Match[str]) -> str:
    """A picture in a page, as explorables have them: as WebP, with 256 colours if they do.

    Its pixels are large on the page, so none is blurred.
    """
    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as picture:
        full = picture.convert("RGB")
    few = with_few_colours(full)
    ways = [full, few.convert("RGB")] if error(few, full) < COARSE else [full]
    content = min((saved(way, ".webp", lossless=True) for way in ways), key=len)
    return min(match[0], f"data:image/webp;base64,{base64.b64encode(content).decode()}", key=len)


def with_few_colours(picture: Image.Image) -> Image.Image:
    return picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def smallest(path: Path) -> tuple[str, bytes]:
    """A picture's suffix and content: with 256 colours as PNG or WebP if they do, or lossy WebP."""
    with Image.open(path) as picture:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        full = Image.alpha_composite(paper, picture).convert("RGB")
    few = with_few_colours(full)
    ways: list[tuple[str, Image.Image, dict[str, object]]] = []
    if error(few, full) < COARSE:
        ways = [
            (".png", few, {"optimize": True}),
            (".webp", few.convert("RGB"), {"lossless": True}),
        ]
    ways.append((".webp", full, {"quality": 74, "method": 4}))
    found = [(suffix, saved(image, suffix, **options)) for suffix, image, options in ways]
    return min(found, key=lambda way: len(way[1]))


def saved(image: Image.Image, suffix: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix[1:].upper(), **options)
    return file.getvalue()


def error(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures' values, of 255."""
    values = [np.asarray(image.convert("RGB"), float) for image in (one, other)]
    return float(np.abs(values[0] - values[1]).mean())


def no_index_but_for_search(site: Path) -> None:
    """Take search's index from pages that do not search: the theme has each load all of it."""
    loads = re.compile(
        r'\s*<script src="[^"]*(searchtools|language_data|searchindex)\.js[^>]*></script>'
    )
    for page in site.rglob("*.html"):
        if page.name != "search.html":
            page.write_text(loads.sub("", page.read_text("utf-8")), "utf-8")


def fewer_rules(site: Path) -> None:
    """Drop those rules of the theme's styles that are about classes which no page or script has."""
    pages = [path.read_text("utf-8") for path in site.rglob("*.html")]
    used = {
        name for text in pages for c in re.findall(r'class="([^"]*)"', text) for name in c.split()
    }
    for script in site.rglob("_static/**/*.js"):
        if "mathjax" not in script.parts:
            used |= set(re.findall(r"[\w-]+", script.read_text("utf-8")))
    styles = site / "_static" / "styles"
    for path in [
        *styles.glob("*.css"),
        *styles.parent.glob("sphinx-design*.css"),
        *styles.parent.glob("mystnb*.css"),
    ]:
        path.write_text(rules_about(path.read_text("utf-8"), used), "utf-8")


_RULE = re.compile(r"(?P<head>[^{};]+)\{(?P<body>(?:[^{}]|\{[^{}]*\})*)\}")


def rules_about(style: str, used: set[str]) -> str:
    """Those rules of a minified style sheet that are about no classes, or about used ones."""

    def wanted(selector: str) -> bool:
        return set(re.findall(r"\.(-?[A-Za-z_][\w-]*)", _INNER.sub("", selector))) <= used

    def keep(match: re.Match[str]) -> str:
        head, body = match["head"], match["body"]
        if head.lstrip().startswith("@"):
            inside = head.lstrip().startswith(("@media", "@supports"))
            return f"{head}{{{_RULE.sub(keep, body)}}}" if inside else match[0]
        kept = [one for one in _COMMA.split(head) if wanted(one)]
        return f"{','.join(kept)}{{{body}}}" if kept else ""

    return _RULE.sub(keep, style)


_INNER = re.compile(r"\((?:[^()]|\([^()]*\))*\)")  # of :not(…), whose classes may well be missing
_COMMA = re.compile(r",(?![^()]*\))")


def in_pieces(app: Sphinx, config: object) -> None:
    """Have pages load MathJax's pieces, instead of one of its combined files."""
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = (app.config.mathjax3_config or {}) | {"loader": {"load": LOADED}}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", in_pieces, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

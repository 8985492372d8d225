"""A Sphinx extension, and what the build does last: the site without what no page asks for.

The theme and MathJax bring every icon, font and output format that anyone may want: some 40 MB, and
2 MB a page. What a page of this book does not load, is not there. Pictures come as matplotlib wrote
them; here they get no more colours than can be seen.
"""

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
    fewer_icons(site)
    only_what_mathjax_loads(site / "_static" / "mathjax")
    only_what_is_named(site)
    for path in (site / "_sources").rglob("*.ipynb"):
        without_outputs(path)
    for path in (site / "_images").glob("*.png"):
        fewer_colours(path)


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


def fewer_colours(path: Path) -> None:
    """Write a picture with a palette of 256 colours if they are enough, else as well as can be."""
    with Image.open(path) as picture:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        full = Image.alpha_composite(paper, picture).convert("RGB")
    few = full.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    error = np.abs(np.asarray(few.convert("RGB"), float) - np.asarray(full, float)).mean()
    smallest = path.read_bytes()
    for candidate in [few] if error < COARSE else [full]:
        file = io.BytesIO()
        candidate.save(file, "PNG", optimize=True)
        smallest = min(smallest, file.getvalue(), key=len)
    path.write_bytes(smallest)


def in_pieces(app: Sphinx, config: object) -> None:
    """Have pages load MathJax's pieces, instead of one of its combined files."""
    app.config.mathjax_path = "mathjax/startup.js"
    app.config.mathjax3_config = (app.config.mathjax3_config or {}) | {"loader": {"load": LOADED}}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", in_pieces, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

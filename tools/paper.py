"""A PDF of each part of the built site: build/paper/PART.pdf. Chromium prints; no network is used.

python tools/paper.py [PART …]      after `make book`; without a name, all parts
"""

import argparse
import re
import sys
from pathlib import Path

from browser import browser_path, opened, served

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
from landing import parts  # noqa: E402

SITE, PAPER = ROOT / "book" / "_build" / "html", ROOT / "build" / "paper"

# Puts other pages' articles below that of this page; their anchors get the page's number, for ids
# must be unique. Then formulas are set, and what prints folded is opened.
JOIN = """async (addresses) => {
    const last = () => [...document.querySelectorAll("article.bd-article")].at(-1);
    for (const [number, address] of addresses.entries()) {
        const text = await (await fetch(address)).text();
        const other = new DOMParser().parseFromString(text, "text/html");
        const article = other.querySelector("article.bd-article");
        for (const node of article.querySelectorAll("[src]"))
            node.src = new URL(node.getAttribute("src"), address).href;
        for (const link of article.querySelectorAll("a[href]")) {
            const to = link.getAttribute("href");
            const here = to.startsWith("#");
            link.href = here ? `#${number}-${to.slice(1)}` : new URL(to, address).href;
        }
        for (const node of article.querySelectorAll("[id]")) node.id = `${number}-${node.id}`;
        article.style.breakBefore = "page";
        last().after(article);
    }
    await window.MathJax?.startup.promise;
    await window.MathJax?.typesetPromise?.();
    await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
    dispatchEvent(new Event("beforeprint"));
}"""


def print_parts(wanted: dict[str, list[str]], chromium: str) -> list[Path]:
    """Print each part, caption → names of chapters, and return the files."""
    made = []
    PAPER.mkdir(parents=True, exist_ok=True)
    with served(SITE) as address, opened(chromium) as browser:
        for caption, names in wanted.items():
            first, *others = [f"{address}/notebooks/{name}.html" for name in names]
            page = browser.new_page(viewport={"width": 794, "height": 1123}, color_scheme="light")
            page.goto(first)
            page.evaluate(JOIN, others)
            path = PAPER / f"{re.sub(r'[^a-z]+', '-', caption.lower())}.pdf"
            margin = dict.fromkeys(("top", "bottom", "left", "right"), "16mm")
            page.pdf(
                path=path,
                format="A4",
                margin=margin,
                print_background=True,
                outline=True,
                tagged=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template='<p style="font-size:8px;margin:auto" class="pageNumber"></p>',
            )
            page.close()
            made.append(path)
    return made


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    there = {caption or "Start here": names for caption, names in parts().items()}
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(there)}")
    given = parser.parse_args(arguments).parts or list(there)
    for caption in given:
        if caption not in there:
            parser.error(f"{caption!r} is no part: expected one of {', '.join(there)}")
    if not (SITE / "index.html").is_file():
        parser.error(f"there is no site in {SITE}: make book")
    if (chromium := browser_path()) is None:
        parser.error("no Chromium: install it, or set CHROMIUM to its path")
    for path in print_parts({caption: there[caption] for caption in given}, chromium):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A PDF of each part of the built site: build/paper/PART.pdf. Chromium prints; no network is used.

python tools/paper.py [PART …]      after `make book`; without a name, all parts
"""

import argparse
import os
import re
import shutil
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
from landing import parts  # noqa: E402

SITE, PAPER = ROOT / "book" / "_build" / "html", ROOT / "build" / "paper"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def print_parts(wanted: dict[str, list[str]], browser_path: str) -> list[Path]:
    """Print each part, caption → names of chapters, and return the files."""
    from playwright.sync_api import sync_playwright

    made = []
    PAPER.mkdir(parents=True, exist_ok=True)
    handler = partial(Quiet, directory=SITE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=browser_path, args=OPTIONS)
        for caption, names in wanted.items():
            at = f"http://127.0.0.1:{server.server_port}/notebooks"
            first, *others = [f"{at}/{name}.html" for name in names]
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
        browser.close()
        server.shutdown()
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
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error("no Chromium: install it, or set CHROMIUM to its path")
    for path in print_parts({caption: there[caption] for caption in given}, browser):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

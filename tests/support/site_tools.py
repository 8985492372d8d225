"""What the tests of the site share: its pages as files, a browser, a look at a page."""

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from browser import browser_path, opened

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}

# WCAG's levels A and AA, which contrast and names belong to; and the landmarks, a good practice.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "rules": {
        name: {"enabled": True}
        for name in (
            "landmark-banner-is-top-level",
            "landmark-complementary-is-top-level",
            "landmark-contentinfo-is-top-level",
            "landmark-main-is-top-level",
            "landmark-no-duplicate-banner",
            "landmark-no-duplicate-contentinfo",
            "landmark-no-duplicate-main",
            "landmark-one-main",
            "landmark-unique",
            "page-has-heading-one",
            "region",
        )
    },
    "resultTypes": ["violations"],
    "selectors": False,
    "preload": False,  # of style sheets, which it looks for in the wrong folder
}

# Thousands of letters in formulas, words in code, rows in tables and links in menus have the same
# few colours. Some of each say the same, in a tenth of the time.
THIN = """() => {
    for (const formula of document.querySelectorAll("mjx-container")) formula.textContent = "x";
    const same = ["tbody tr", ".bd-toc li", ".bd-docs-nav li:not(.current, .has-children)"];
    for (const node of document.querySelectorAll(same.map((name) => name + ":nth-child(n+4)")))
        node.remove();
    const seen = new Set();
    for (const word of document.querySelectorAll("pre span")) {
        if (word.className && !seen.has(word.className)) seen.add(word.className);
        else word.replaceWith(...word.childNodes);
    }
    for (const code of document.querySelectorAll("pre")) code.normalize();
}"""

FORMULAS_DONE = """async () => {
    if (!document.querySelector(".math")) return;
    while (!window.MathJax?.startup?.promise) await new Promise((done) => setTimeout(done, 20));
    await MathJax.startup.promise;
}"""

# The theme's sidebars slide when the width changes.
SETTLED = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
    await frame();
}"""

# Formulas that are not set, have an error, or were not found to be formulas.
BAD_FORMULAS = r"""() => {
    const bad = [...document.querySelectorAll(".math:not(:has(mjx-container)), mjx-merror")];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (/\\[([]|\$\$|\\begin\{/.test(text.data)
            && !text.parentElement.closest("script, style, pre, code, mjx-container"))
            bad.push(text);
    }
    return bad.map((node) => node.textContent.trim().slice(0, 80));
}"""

# What ends beyond the screen's edge, out of everything that scrolls by itself.
TOO_WIDE = """() => {
    if (document.scrollingElement.scrollWidth <= innerWidth) return [];
    const wide = [...document.querySelectorAll("main *")].filter(
        (node) => node.getBoundingClientRect().right > innerWidth);
    const outer = wide.filter((node) => !wide.includes(node.parentElement));
    return ["the page", ...outer.map((node) => node.outerHTML.slice(0, 80))];
}"""


UNFOLD = """async () => {
    for (const fold of document.querySelectorAll(".bd-article details")) fold.open = true;
    for (let n = 0; n < 3; n += 1) await new Promise(requestAnimationFrame);
}"""

# What scrolls sideways, and neither takes the focus nor holds anything that does.
OUT_OF_REACH = """() => [...document.querySelectorAll(".bd-article *")].filter((node) =>
    ["auto", "scroll"].includes(getComputedStyle(node).overflowX)
    && node.clientWidth && node.scrollWidth > node.clientWidth + 1
    && node.tabIndex < 0 && !node.querySelector("a[href], button, input, [tabindex='0']")
).map((node) => node.outerHTML.slice(0, 80))"""


class Parsed(HTMLParser):
    """A page's links, what it loads, its anchors and its images' attributes."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors, self.images = [], [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if "href" in given:
            (self.loads if tag == "link" else self.links).append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])
        if tag == "img":
            self.images.append(given)


def leads_on(path):
    """Where a page sends its readers, or None."""
    refresh = re.search(r'http-equiv="refresh" content="0; ?url=([^"]+)"', path.read_text())
    return refresh and refresh[1]


def pages(site):
    """The paths of all pages, without the theme's snippets and those that only lead on."""
    found = (path for path in site.glob("*/**/*.html") if not leads_on(path))
    found = (path.relative_to(site) for path in found)
    found = [path.as_posix() for path in found if path.parts[0] != "_static"]
    return sorted([*found, *(path.name for path in site.glob("*.html") if path.stem != "index")])


@contextmanager
def chromium():
    """A headless browser; the test is skipped where there is none."""
    pytest.importorskip("playwright.sync_api")
    if (path := browser_path()) is None:
        pytest.skip("no Chromium: `apt-get install chromium`, or set CHROMIUM to its path")
    with opened(path) as browser:
        yield browser


@dataclass
class Visit:
    """What was wrong with a page."""

    errors: list[str] = field(default_factory=list)  # on the console, and failed requests
    outside: list[str] = field(default_factory=list)  # addresses asked for beyond the site
    formulas: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)  # by keyboard, on a phone
    barriers: list[str] = field(default_factory=list)  # axe-core's violations


def watch(page, own, visit):
    """Note in `visit()` what the page says on its console and what it asks for beyond `own`."""

    def request(event):
        if not event.url.startswith((own, "data:", "blob:")):
            visit().outside.append(event.url)

    def console(event):
        if event.type in ("error", "warning"):
            visit().errors.append(f"{event.text} ({event.location['url']})")

    page.on("request", request)
    page.on("console", console)
    page.on("requestfailed", lambda event: visit().errors.append(f"{event.failure}: {event.url}"))
    page.on("pageerror", lambda event: visit().errors.append(str(event)))


def barriers(page):
    """What axe-core finds on a page, thinned out before: rule, element, reason."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=RULES).response["violations"]
    summaries = Counter()
    for violation in found:
        for node in violation["nodes"]:
            reasons = [check["message"] for check in node["any"] + node["all"] + node["none"]]
            summaries[f"{violation['id']}: {node['html'][:100]}: {' '.join(reasons)[:200]}"] += 1
    return [f"{text} (× {count})" for text, count in summaries.items()]


def drag(page, slider):
    """Take the thumb with the mouse to the other half of the track."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    low, high, value = slider.evaluate("s => [s.min || 0, s.max || 100, s.value].map(Number)")
    thumb = 20  # pixels, about
    start = (value - low) / (high - low)
    goal = 0.9 if start < 0.5 else 0.1
    xs = [box["x"] + thumb / 2 + part * (box["width"] - thumb) for part in (start, goal)]
    y = box["y"] + box["height"] / 2
    page.mouse.move(xs[0], y)
    page.mouse.down()
    page.mouse.move(xs[1], y, steps=5)
    page.mouse.up()

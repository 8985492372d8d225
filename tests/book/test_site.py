"""The site as a reader meets it: stored outputs, links, and every page in a browser.

It builds without a warning, once: all its tests are in one file, and so in one process. Without
Chromium, the tests with a browser are skipped.
"""

import html
import inspect
import io
import re
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import yaml
from browser import browser_path, served
from PIL import Image
from site_tools import (
    BAD_FORMULAS,
    DESKTOP,
    FORMULAS_DONE,
    OUT_OF_REACH,
    PHONE,
    SETTLED,
    THIN,
    TOO_WIDE,
    UNFOLD,
    Parsed,
    Visit,
    barriers,
    chromium,
    drag,
    leads_on,
    pages,
    watch,
)

from mdlib.notebook import chapters
from mdlib.sweep import ledger

ROOT = Path(__file__).resolve().parents[2]

# Pages of all kinds: these are looked at in dark colours too.
DARK = ("book/intro", "book/results", "book/references", "book/api/mdlib/losses/index", "search",
        "notebooks/start_here", "notebooks/theory/disentanglement")  # fmt: skip

# What is folded, but for code; and blocks that scroll, formulas' own boxes apart.
CUT = """() => [...document.querySelectorAll(".bd-article *")].filter((node) => {
    if (node.closest(".math")) return false;
    const style = getComputedStyle(node);
    const scrolls = ["auto", "scroll"].includes(style.overflowY) && style.display !== "inline";
    return scrolls && node.clientHeight && node.scrollHeight > node.clientHeight + 2
        || node.matches("details:not([open], .hide)");
}).map((node) => node.outerHTML.slice(0, 80))"""

ONLY_HTTP = {"yann.lecun.com", "mmlab.ie.cuhk.edu.hk", "www.scottreed.info"}


@pytest.fixture(scope="module")
def site():
    """The folder of the site, built once."""
    pytest.importorskip("jupyter_book")
    folder = ROOT / "book"
    command = [sys.executable, folder / "build.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def address(site):
    with served(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def visits(site, address, browser):
    """Each page seen once: narrow, then wide and light; some in dark colours."""
    found = {}
    page = browser.new_page()
    watch(page, address, lambda: found[name])
    for name in pages(site):
        found[name] = visit = Visit()
        page.set_viewport_size(PHONE)
        page.goto(f"{address}/{name}")
        page.evaluate(FORMULAS_DONE)
        visit.formulas = page.evaluate(BAD_FORMULAS)
        page.evaluate(UNFOLD)
        visit.wide = page.evaluate(TOO_WIDE)
        visit.unreachable = page.evaluate(OUT_OF_REACH)
        page.evaluate(THIN)
        page.set_viewport_size(DESKTOP)
        page.evaluate(SETTLED)
        visit.barriers = barriers(page)
        if name.removesuffix(".html") in DARK:
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            page.evaluate(SETTLED)
            visit.barriers += [f"dark: {text}" for text in barriers(page)]
    page.close()
    return found


@pytest.fixture(scope="module")
def parsed(site):
    """Each page's links, loads, anchors and images."""
    return {name: Parsed(site / name) for name in pages(site)}


def inside(address):
    return not re.match(r"[a-z]+:|//", address)


# --- what the pages hold


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    pages = set(re.findall(r"'file': '([^']+)'", str(toc)))
    assert {f"notebooks/{name}" for name in chapters.names()} <= pages


@pytest.mark.parametrize(
    "old",
    [
        "theory/mutual_information_bounds",
        "theory/rigorous_mutual_information",
        "theory/partitioned_loss",
    ],
)
def test_old_addresses_lead_to_a_chapter(site, old):
    page = site / "notebooks" / f"{old}.html"
    assert (page.parent / leads_on(page)).exists()


def test_pages_show_prose_outputs_and_formulas(site):
    page = (site / "notebooks" / "start_here.html").read_text()
    assert "What we read from it" in page
    assert page.count("<img alt=") >= 5
    assert 'class="math notranslate nohighlight"' in page
    assert "mathjax/startup.js" in page
    assert (site / "_static" / "mathjax" / "startup.js").is_file()


def test_formulas_have_no_number_where_mathjax_refuses_one(site):
    # Sphinx wraps $$…$$ with a line break in it in {split}, and there \\tag is an error.
    for page in site.glob("notebooks/**/*.html"):
        splits = re.findall(r"\\begin\{split\}(.*?)\\end\{split\}", page.read_text(), re.DOTALL)
        assert not [formula for formula in splits if "\\tag" in formula], page.name


def test_every_figure_is_described_in_words(site):
    for name in pages(site):
        for before, image in pairwise([{}, *Parsed(site / name).images]):
            if image.get("class") == "kept":  # once more what stands before, for dark pages alone
                assert image["src"] == before["src"] and image["alt"] == "", f"{name}: {image}"
                continue
            text = image.get("alt", "")
            assert len(text) > 10 and not re.search(r"\.(png|svg|jpe?g)$", text), f"{name}: {image}"


def test_pages_and_the_site_are_light(site, parsed):
    mathjax = site / "_static" / "mathjax"
    pieces = sum(file.stat().st_size for file in mathjax.rglob("*.js") if "extensions" not in
                 file.parts)  # fmt: skip
    for name, page in parsed.items():
        loads = {
            site / normpath(join(dirname(name), urlsplit(to).path))
            for to in page.loads
            if inside(to) and not urlsplit(to).path.endswith(".html")  # what a link leads to
        }
        weight = sum(file.stat().st_size for file in [site / name, *loads])
        formulas = mathjax / "startup.js" in loads
        plain = not (formulas or page.images or name == "search.html")
        weight += pieces if formulas else 0
        assert weight < (0.8e6 if plain else 2e6), f"{name} weighs {weight / 1e6:.2f} MB"
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) < 40e6


def test_figures_have_captions_with_anchors(site, parsed):
    for name, page in parsed.items():
        numbered = [i for i in page.images if re.match(r"(Figure) \d", i.get("alt", ""))]
        for image in numbered:
            number = re.match(r"Figure (\d+)", image["alt"])[1]
            assert f"figure-{number}" in page.anchors, f"{name}: {image['alt'][:40]}"
            assert {"drawn", "shown"} & set(image["class"].split()), f"{name}: {image}"


def test_the_ledger_and_all_rows_reach_the_page(site):
    text = (site / "book" / "results.html").read_text()
    shown = html.unescape(re.sub(r"<[^>]+>", "", text))
    for entry in ledger.read().values():
        assert entry.says.replace("'", "’") in shown.replace("'", "’")
    for path in (ROOT / "notebooks" / "sweeps").glob("*.csv"):
        assert list((site / "_downloads").glob(f"*/{path.name}"))


@pytest.mark.parametrize("name", ["data", "methods", "metrics", "mi", "sweep", "training", "views"])
def test_reference_has_what_packages_export(site, name):
    module = import_module(f"mdlib.{name}")
    page = (site / "book" / "api" / "mdlib" / name / "index.html").read_text()
    for thing in module.__all__:
        if inspect.isroutine(getattr(module, thing)) or inspect.isclass(getattr(module, thing)):
            assert f'id="mdlib.{name}.{thing}"' in page, thing


def test_reference_has_signatures_fields_and_links(site):
    pages = site / "book" / "api" / "mdlib"
    text = re.sub(r"<[^>]+>", "", (pages / "data" / "index.html").read_text())
    assert "mdlib.data.check(name: str, root: str | os.PathLike | None = None, split" in text
    assert "factor_names: tuple[str, ...] = ()" in text and "-&gt; base" not in text
    methods = (pages / "methods" / "index.html").read_text()
    assert 'id="mdlib.methods.byol.BYOL"' in methods
    assert 'href="#mdlib.methods.base.Method' in methods
    assert not (ROOT / "book" / "api").exists()


def test_search_and_the_choice_of_dark_or_light_are_there(site):
    page = (site / "notebooks" / "start_here.html").read_text()
    assert "search-button" in page and "theme-switch" in page
    assert (site / "searchindex.js").stat().st_size > 10_000


# --- links, without a browser


def test_links_inside_the_site_lead_somewhere(site, parsed):
    broken = []
    for name, page in parsed.items():
        for link in filter(inside, page.links + page.loads):
            parts = urlsplit(link)
            path = normpath(join(dirname(name), unquote(parts.path))) if parts.path else name
            there = (site / path).is_file()
            if there and parts.fragment and path in parsed:
                there = unquote(parts.fragment) in parsed[path].anchors
            if not there:
                broken.append(f"{name} → {link}")
    assert not broken


def test_links_to_the_outside_are_well_formed(parsed):
    doubtful = set()
    for name, page in parsed.items():
        for link in page.links:
            if inside(link):
                continue
            parts = urlsplit(link)
            secure = parts.scheme == "https" or parts.hostname in ONLY_HTTP
            named = re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc)
            complete = {
                "doi.org": r"/10\.\d{4,9}/\S+",
                "arxiv.org": r"/(abs|pdf)/(\d{4}\.\d{4,5}|[a-z-]+/\d{7})(v\d+)?",
            }.get(parts.netloc, r"\S*")
            if not (secure and named and re.fullmatch(complete, parts.path)):
                doubtful.add(f"{name} → {link}")
    assert not doubtful


def test_pages_load_nothing_from_elsewhere(parsed):
    loads = {name: [to for to in page.loads if not inside(to)] for name, page in parsed.items()}
    assert not {name: to for name, to in loads.items() if any(t[:5] != "data:" for t in to)}


# --- each page in a browser


def problems(visits, kind):
    return {name: getattr(visit, kind) for name, visit in visits.items() if getattr(visit, kind)}


def test_the_console_is_silent(visits):
    assert problems(visits, "errors") == {}


def test_pages_ask_nothing_of_the_network(visits):
    assert problems(visits, "outside") == {}


def test_all_formulas_are_set(visits):
    assert problems(visits, "formulas") == {}


def test_pages_fit_on_a_phone(visits):
    assert problems(visits, "wide") == {}


def test_what_scrolls_on_a_phone_can_be_scrolled_by_keyboard(visits):
    assert problems(visits, "unreachable") == {}


def test_pages_have_contrast_landmarks_and_names(visits):
    assert problems(visits, "barriers") == {}


# --- what a reader does


def test_search_by_keyboard_finds_a_chapter(address, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(address)
    page.wait_for_url("**/book/intro.html")  # where index.html sends us
    page.keyboard.press("Control+K")
    page.keyboard.type("InfoNCE")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=InfoNCE*")
    page.wait_for_selector("#search-results a[href*='notebooks/start_here.html']")
    page.close()


def test_all_of_a_page_can_be_reached_by_keyboard(address, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{address}/notebooks/start_here.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to main content"
    reached = []
    for _ in range(page.locator("a, button, input, summary").count()):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className"))
    wanted = "navbar-brand", "search-button", "reference internal", "theme-switch"
    assert not [name for name in wanted if not any(name in names for names in reached)]
    page.close()


def test_dark_follows_the_system_and_the_button(address, browser):
    page = browser.new_page(viewport=DESKTOP, color_scheme="dark")
    page.goto(f"{address}/notebooks/start_here.html")

    def brightness():
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3

    assert brightness() < 50
    page.locator(".theme-switch-button:visible").click()  # the system's choice → light
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert brightness() > 200
    page.reload()
    assert brightness() > 200, "the choice is forgotten"
    page.close()


@pytest.mark.parametrize("screen", [PHONE, DESKTOP])
def test_a_heading_is_larger_than_those_below_it(address, browser, screen):
    page = browser.new_page(viewport=screen)
    page.goto(f"{address}/book/intro.html")
    sizes = page.evaluate("""['h1', 'h2', 'h3'].map((kind) =>
        parseFloat(getComputedStyle(document.querySelector(`article ${kind}`)).fontSize))""")
    assert sizes == sorted(sizes, reverse=True) and len({*sizes}) == 3
    page.close()


def test_words_of_a_wide_figure_can_be_read_on_a_phone(address, browser):
    """It is not drawn smaller than half of its size on a page, and its box scrolls by keyboard."""
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{address}/notebooks/gallery/deep_infomax.html")
    figure = page.locator(".cell_output > img.drawn").first
    figure.scroll_into_view_if_needed()
    page.wait_for_function("(img) => img.complete", arg=figure.element_handle())
    natural, shown = figure.evaluate("(img) => [img.naturalWidth, img.clientWidth]")
    assert natural > 1000 and shown > natural / 2
    box = figure.locator("..")
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(box) => box.scrollLeft > 0", arg=box.element_handle())
    page.close()


def test_a_formula_that_is_wider_than_a_phone_fades_out_and_scrolls(address, browser):
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{address}/notebooks/theory/latent_model.html")
    formula = page.locator("p span.math.goes-on").first.element_handle()
    formula.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(it) => it.scrollLeft > 0", arg=formula)
    formula.evaluate("(it) => it.scrollTo(it.scrollWidth, 0)")
    page.wait_for_function("(it) => !it.classList.contains('goes-on')", arg=formula)
    page.close()


def test_on_a_dark_page_a_figure_turns_dark_but_for_its_pictures(address, browser):
    """Its paper has the page's shade, a digit's ground is as black as in the light."""
    page = browser.new_page(viewport=DESKTOP, color_scheme="dark")
    page.goto(f"{address}/notebooks/start_here.html")
    figure = page.locator(".mixed").first
    figure.scroll_into_view_if_needed()
    page.wait_for_function("(box) => [...box.querySelectorAll('img')].every((i) => i.complete)",
                           arg=figure.element_handle())  # fmt: skip
    with Image.open(io.BytesIO(figure.screenshot())) as shot:
        light = np.asarray(shot.convert("L"))
    assert (light > 240).mean() < 0.1 and (light < 40).mean() > 0.3
    page.close()


def test_a_table_beside_its_figure_is_folded_and_a_link_opens_it(address, browser):
    page = browser.new_page(viewport=PHONE)
    page.goto(f"{address}/notebooks/start_here.html")
    fold = page.locator("details.numbers[data-of=table-1]")
    assert not fold.locator("table").is_visible()
    fold.locator("summary").press("Enter")
    assert fold.locator("table").is_visible()
    page.goto(f"{address}/book/intro.html")
    page.goto(f"{address}/notebooks/start_here.html#table-1")
    fold.locator("table").wait_for()
    page.close()


def test_a_forest_shows_what_is_chosen(address, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{address}/book/results.html")
    forest = page.locator("figure.forest")
    every = forest.locator("li").count()
    forest.locator("select[name=verdict]").select_option("holds")
    words = forest.locator("li > b").all_text_contents()
    assert 0 < len(words) < every and set(words) == {"holds"}
    assert f"{len(words)} of {every} claims" in forest.locator(".said").text_content()
    page.close()


def test_a_sweeps_rows_can_be_looked_at_and_sorted(address, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"{address}/book/results.html")
    page.locator("button.look").first.click()
    table = page.locator("table.rows").first
    table.wait_for()
    column = table.locator("th").all_text_contents().index("seed")
    seeds = table.locator(f"tbody tr td:nth-child({column + 1})")
    for order in (sorted, lambda found: sorted(found, reverse=True)):
        table.locator("th button").nth(column).click()
        found = [int(text) for text in seeds.all_text_contents()]
        assert found == order(found) and len(set(found)) > 1
    page.close()


def test_a_part_becomes_one_pdf(site):
    pytest.importorskip("playwright.sync_api")
    if browser_path() is None:
        pytest.skip("no Chromium")
    command = [sys.executable, ROOT / "tools" / "paper.py", "Disentanglement"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = (ROOT / "build" / "paper" / "disentanglement.pdf").read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type */Page\b", content)) > 20


@pytest.mark.parametrize("name", ["book/results", "notebooks/experiments/simve"])
def test_print_shows_all(address, browser, name):
    page = browser.new_page(viewport={"width": 794, "height": 1123})  # A4
    page.goto(f"{address}/{name}.html")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut = page.evaluate(CUT)
    assert cut == []
    page.close()


# --- explorables


def explorables(site):
    """The pages that have one."""
    return [name for name in pages(site) if "data-explorable=" in (site / name).read_text()]


def test_explorables_of_chapters_are_on_their_pages(site):
    cells = {name: chapters.find(name).cells for name in chapters.names()}
    written = {
        f"notebooks/{name}.html"
        for name, found in cells.items()
        if any(cell.kind == "code" and re.search(r"\bexplorable\b", cell.source) for cell in found)
    }
    assert written <= set(explorables(site))


@pytest.mark.parametrize("way", ["http", "file"])
def test_explorables_move(site, address, browser, way):
    names = explorables(site)
    if not names:
        pytest.skip("no page has an explorable yet")
    own = address if way == "http" else site.as_uri()
    seen = Visit()
    page = browser.new_page(viewport=DESKTOP)
    watch(page, own, lambda: seen)
    for name in names if way == "http" else names[:1]:
        page.goto(f"{own}/{name}")
        page.evaluate(FORMULAS_DONE)
        for figure in page.locator("figure.explorable").all():
            sliders = figure.locator("input[type=range]").all()
            assert sliders, f"{name}: an explorable without a slider"
            for slider in sliders:
                for move in (drag, press):
                    before = slider.input_value(), picture(figure)
                    move(page, slider)
                    after = slider.input_value(), picture(figure)
                    what = f"{name}, {slider.get_attribute('aria-label')}, {move.__name__}"
                    assert after[0] != before[0], f"{what}: the slider stands still"
                    assert after[1] != before[1], f"{what}: the picture stands still"
    assert seen == Visit()
    page.close()


def picture(figure):
    """What the reader sees of an explorable, as a number that tells pictures apart."""
    return hash(figure.locator(".explorable-picture").screenshot())


def press(page, slider):
    """One step with an arrow key, away from the end."""
    at_end = slider.evaluate("s => Number(s.value) >= Number(s.max)")
    slider.press("ArrowLeft" if at_end else "ArrowRight")

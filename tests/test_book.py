"""The site builds without a warning and shows the chapters' stored outputs."""

import re
from pathlib import Path

import yaml
from site_tools import Parsed, pages

from mdlib import chapters

ROOT = Path(__file__).resolve().parents[1]


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    pages = set(re.findall(r"'file': '([^']+)'", str(toc)))
    assert {f"notebooks/{name}" for name in chapters.names()} <= pages


def test_pages_show_prose_outputs_and_formulas(site):
    page = (site / "notebooks" / "start_here.html").read_text()
    assert "What we read from it" in page
    assert page.count("<img alt=") >= 5
    assert 'class="math notranslate nohighlight"' in page
    assert "mathjax/tex-chtml.js" in page
    assert (site / "_static" / "mathjax" / "tex-chtml.js").is_file()


def test_formulas_have_no_number_where_mathjax_refuses_one(site):
    # Sphinx wraps $$…$$ with a line break in it in {split}, and there \\tag is an error.
    for page in site.glob("notebooks/**/*.html"):
        splits = re.findall(r"\\begin\{split\}(.*?)\\end\{split\}", page.read_text(), re.DOTALL)
        assert not [formula for formula in splits if "\\tag" in formula], page.name


def test_every_figure_is_described_in_words(site):
    for name in pages(site):
        for image in Parsed(site / name).images:
            text = image.get("alt", "")
            assert len(text) > 10 and not re.search(r"\.(png|svg|jpe?g)$", text), f"{name}: {image}"


def test_pages_are_light(site):
    for page in site.glob("**/*.html"):
        text = page.read_text()
        images = {page.parent / src for src in re.findall(r'<img[^>]*\bsrc="([^":]+)"', text)}
        weight = page.stat().st_size + sum(image.stat().st_size for image in images)
        assert weight < 2e6, f"{page} weighs {weight / 1e6:.1f} MB"


def test_numbers_of_results_reach_the_page(site):
    text = (site / "book" / "results.html").read_text()
    for path in (ROOT / "notebooks" / "sweeps").glob("*.csv"):
        assert f'aria-label="{path.stem}"' in text
        assert list((site / "_downloads").glob(f"*/{path.name}"))


def test_search_and_the_choice_of_dark_or_light_are_there(site):
    page = (site / "notebooks" / "start_here.html").read_text()
    assert "search-button" in page and "theme-switch" in page
    assert (site / "searchindex.js").stat().st_size > 10_000

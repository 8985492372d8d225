"""Lectures: a slide has a title, one thing to see, points one by one, notes; nothing overflows."""

import re
from itertools import pairwise

import pytest
import slides
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from site_tools import chromium

NAMES = list(slides.LECTURES)


def kinds(cells):
    return [cell.metadata.slideshow.slide_type for cell in cells]


@pytest.fixture(scope="module", params=NAMES)
def lecture(request):
    return request.param, slides.lecture(request.param).cells


def test_four_lectures():
    assert len(NAMES) == 4
    assert all(10 <= len(one["slides"]) <= 16 for one in slides.LECTURES.values()), "45 minutes"


def test_a_title_slide_comes_first(lecture):
    name, cells = lecture
    opening = cells[0].source
    assert opening.startswith(f"# {slides.LECTURES[name]['title']}\n")
    assert slides.book("title") in opening and slides.book("author") in opening
    assert re.search(r"\d{4}-\d\d-\d\d", opening)


def test_one_idea_a_slide_with_what_shows_it(lecture):
    name, cells = lecture
    starts = [n for n, kind in enumerate(kinds(cells)) if kind == "slide"] + [len(cells)]
    assert len(starts) - 2 == len(slides.LECTURES[name]["slides"])
    seen = 0
    for start, end in list(pairwise(starts))[1:]:
        own = kinds(cells[start:end])
        assert own.count("-") <= 1, "one formula or one figure"
        assert 1 <= own.count("fragment") <= 3 and own[-1] == "notes"
        seen += own.count("-")
        for cell in cells[start + 1 : end - 1]:
            assert len(cell.get("source", "")) < 450, cell.source
    assert seen >= len(starts) - 4, "nearly every slide shows something"


def test_slides_have_no_table_and_refer_to_nothing_that_is_not_there(lecture):
    for cell in lecture[1]:
        if cell.metadata.slideshow.slide_type == "notes":
            continue
        text = cell.source + "".join(
            output.data.get("text/html", "") for output in cell.get("outputs", [])
        )
        assert "<table" not in text and "| ---" not in text
        source = cell.source
        assert not re.search(r"```|\{[a-z:]+\}`|\\tag|(Figure|Table|Theorem|Section) \d", source)
        assert not re.search(r"(?<![\w$)])\(\d+\)", source), "a formula's number"


def test_notes_are_the_chapters_prose(lecture):
    spoken = [c.source for c in lecture[1] if c.metadata.slideshow.slide_type == "notes"]
    assert all(len(text) < slides.SPOKEN + 1500 for text in spoken)
    assert sum(len(text) > 150 for text in spoken) > 0.8 * len(spoken)
    assert not any(re.search(r"```|\{prf:", text) for text in spoken)


def test_a_page_needs_no_network():
    html = slides.page(NAMES[0])
    assert ".reveal .slides" in html and "Reveal.initialize" in html
    html = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", html, flags=re.DOTALL)
    assert html.count('<aside class="notes">') == 1 + len(slides.LECTURES[NAMES[0]]["slides"])
    assert html.count("fragment") >= len(slides.LECTURES[NAMES[0]]["slides"])
    assert html.count("<img ") == html.count('src="data:image/') > 3
    assert "default-src 'none'" in html
    assert not re.search(r"<(?:link|script|img|iframe)\b[^>]*(?:href|src)=\"(?!data:)", html)
    assert "assert " not in html, "no code"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_its_slide(name, tmp_path):
    """In a browser: each slide's content within the frame, points one by one, notes by a key."""
    path = tmp_path / f"{name}.html"
    path.write_text(slides.page(name), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_function("Reveal.isReady()")
        count = page.evaluate("Reveal.getTotalSlides()")
        assert count == 1 + len(slides.LECTURES[name]["slides"])
        too_large = """() => {
            const slide = Reveal.getCurrentSlide(), scale = Reveal.getScale();
            const {width, height} = Reveal.getConfig();
            const inside = [...slide.querySelectorAll("h1, h2, p, li, img, math, svg, input")];
            const frame = document.querySelector(".reveal .slides").getBoundingClientRect();
            return inside.filter((node) => !node.closest("aside")).map((node) => {
                const box = node.getBoundingClientRect();
                return [node.tagName, box.right - frame.right, box.bottom - frame.bottom];
            }).filter(([, right, bottom]) => right > 1 || bottom > 1);
        }"""
        for number in range(count):
            page.evaluate(f"Reveal.slide({number}, 0, 99)")
            assert not page.evaluate(too_large), f"slide {number + 1}"
        page.evaluate("Reveal.slide(1, 0, -1)")
        hidden = "() => Reveal.getCurrentSlide().querySelectorAll('.fragment:not(.visible)').length"
        before = page.evaluate(hidden)
        page.keyboard.press("Space")
        assert page.evaluate(hidden) == before - 1
        page.keyboard.press("n")
        assert page.locator(".speaker-notes").is_visible()
        assert not errors


def chapter(*cells):
    return slides.sections(new_notebook(cells=list(cells)))


def test_sections_have_prose_and_pictures_but_no_tables():
    png = new_code_cell(outputs=[new_output("display_data", {"image/png": "AA=="})])
    table = new_code_cell(outputs=[new_output("display_data", {"text/html": "<table></table>"})])
    drag = new_code_cell(outputs=[new_output("display_data", {"text/html": "<svg></svg>"})])
    found = chapter(new_markdown_cell("# A\n\none\n\n$$ 3 \\tag{7} $$"), png, table, drag)
    assert found["A"].prose == ["one", "$$ 3 \\tag{7} $$"]
    kinds_of = [set(cell.outputs[0].data) for cell in found["A"].pictures]
    assert kinds_of == [{"image/png"}, {"text/html"}]
    assert slides.formula(found["A"], 7, "here") == "$$ 3 $$"
    with pytest.raises(ValueError, match=r"here: no formula \(8\) there"):
        slides.formula(found["A"], 8, "here")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"from": ["start_here", "Trains"]}, "unknown heading 'Trains': did you mean 'Train'"),
        ({"from": ["start_here", "Train"], "figure": 9}, "has 1 figures, and no 9"),
        ({"from": ["start_here", "Train"], "formula": 9}, r"no formula \(9\) there"),
    ],
)
def test_what_a_chapter_does_not_have_is_named(asked, message):
    with pytest.raises(ValueError, match=message):
        slides.slide({"title": "A", "points": []} | asked, "here")


def test_directives_are_no_text_of_slides():
    text = (
        "a\n\n```{prf:theorem} T\n:label: x\n\nbody\n```\n\n:::{figure} b\nc\n:::\n\n{prf:ref}`x`"
    )
    assert slides.plain(text).split() == [
        "a",
        "**Theorem",
        "(T).**",
        "body",
        "the",
        "statement",
        "above",
    ]

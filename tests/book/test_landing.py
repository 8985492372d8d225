"""The first page: parts by subject, three ways through, pictures from rows; README has the same."""

import re
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mdlib.notebook import chapters
from mdlib.notebook.chapters import find
from mdlib.sweep import ledger

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
landing, pictures, pages = map(import_module, ("landing", "pictures", "pages"))


def test_every_chapter_stands_in_one_part():
    names = [name for part in landing.parts().values() for name in part]
    assert sorted(names) == sorted(chapters.names())


def test_each_subject_has_something_to_drag():
    def draggable(name):
        code = "".join(cell.source for cell in find(name).cells if cell.kind == "code")
        return "explorable.film(" in code or "explorable.curves(" in code

    subjects = {part: names for part, names in landing.parts().items() if len(names) > 1}
    assert len(subjects) >= 5
    assert not [part for part, names in subjects.items() if not any(map(draggable, names))]


def test_the_readme_has_the_chapters_in_the_order_of_the_book():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    there = re.findall(r"^\| \[(\S+)\]\(notebooks/\1\.ipynb\) \| (.+) \|$", text, re.MULTILINE)
    parts = landing.parts()
    last = parts.pop("Gallery")
    assert [name for name, _ in there] == [name for part in parts.values() for name in part] + last
    for name, question in there:
        assert question == find(name).question
    for caption in filter(None, parts):
        assert f"| **{caption}** | |" in text


def test_three_readers_have_their_paths_and_times():
    text = landing.paths()
    for who, (_, names, _) in landing.READERS.items():
        minutes = sum(landing.minutes(find(name)) for name in names)
        assert f"{who} · {landing.hours(minutes)}" in text
        for name in names:
            assert f"(../notebooks/{name})" in text


def test_times_are_said_as_people_do():
    assert landing.hours(45) == "45 minutes"
    assert landing.hours(120) == "2 hours"
    assert landing.hours(135) == "2.2 hours"


@pytest.mark.parametrize("name", chapters.names())
def test_a_chapter_takes_as_long_to_read_as_it_says(name):
    """Within a factor of two of 150 words, 20 formulas or 20 lines of open code a minute."""
    cells = find(name).cells
    prose = " ".join(cell.source for cell in cells if cell.kind == "markdown")
    formulas = re.findall(r"\$\$?[^$]+\$", prose)
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\$[^$]*\$|\]\([^)]*\)", " ", prose))
    code = [c.source for c in cells if c.kind == "code" and "hide-input" not in c.tags]
    lines = sum(len(source.splitlines()) for source in code)
    about = len(words) / 150 + len(formulas) / 20 + lines / 20
    assert about / 2 < landing.minutes(find(name)) < 2 * about


def test_a_chapter_that_does_not_say_its_time_is_named(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("# %% [markdown]\n# **Time:** soon\n")
    with pytest.raises(ValueError, match=r"a\.py: .*'soon': expected N minutes to read"):
        landing.minutes(chapters.Chapter(path))


def parsed(text):
    return ElementTree.fromstring(re.sub(r"<(rect|circle|path)([^>]*[^/])></\1>", r"<\1\2/>", text))


def test_pictures_are_well_formed_and_stay_within_themselves():
    for text in (pictures.content_style(), pictures.ledger(pages.counts(ledger.table()))):
        root = parsed(text)
        assert "\n" not in text and len(root.get("aria-label")) > 40
        _, _, width, height = map(float, root.get("viewBox").split())
        for node in root.iter():
            if node.tag in ("circle", "rect"):
                x = float(node.get("cx", node.get("x")))
                y = float(node.get("cy", node.get("y")))
                assert 0 <= x + float(node.get("width", 0)) <= width and 0 <= y <= height


def test_the_picture_of_the_ledger_counts_every_claim():
    found = ledger.table()
    titles = [n.text for n in parsed(pictures.ledger(pages.counts(found))).iter("title")]
    assert sum(int(re.search(r": (\d+) ", title)[1]) for title in titles) == len(found)

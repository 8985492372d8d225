"""book/slim.py: a site loses what no page names, and nothing else."""

import base64
import io
import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book"))
slim = import_module("slim")


@pytest.fixture
def site(tmp_path):
    static = tmp_path / "_static"
    for folder in ("scripts", "mathjax/output/chtml/fonts/woff-v2", "mathjax/sre"):
        (static / folder).mkdir(parents=True)
    (tmp_path / "index.html").write_text(
        '<link href="_static/a.css?v=1"><i class="fa-solid fa-sun"></i>'
        '<script src="_static/scripts/fontawesome.js"></script><script src="_static/book.js">'
    )
    (static / "a.css").write_text("@import url(b.css)")
    (static / "b.css").write_text("body { background: url('c.svg') }")
    for name in ("c.svg", "unused.png", "a.css.map", "book.js"):
        (static / name).write_text("")
    for name in (
        "startup.js",
        "tex-svg-full.js",
        "sre/hi.json",
        "output/chtml/fonts/woff-v2/f.woff",
    ):
        (static / "mathjax" / name).write_text("")
    return tmp_path


def test_only_what_pages_name_is_kept(site):
    slim.only_what_is_named(site)
    kept = {path.name for path in (site / "_static").glob("*") if path.is_file()}
    assert kept == {"a.css", "b.css", "c.svg", "book.js"}


def test_of_mathjax_one_output_is_kept(site):
    slim.only_what_mathjax_loads(site / "_static" / "mathjax")
    kept = {path.name for path in (site / "_static" / "mathjax").rglob("*") if path.is_file()}
    assert kept == {"startup.js", "f.woff"}


def test_icons_that_a_page_names_stay(site):
    script = site / "_static" / "scripts" / "fontawesome.js"
    icons = [f'icon{i}:[1,1,[],"f{i:03x}","M0"],' for i in range(1200)]
    icons += ['sun:[1,1,[9728],"f185","M1"],', '"old-sun":[1,1,["sun"],"f185",["M2","M3"]]']
    script.write_text("{" + "".join(icons) + "}")
    slim.fewer_icons(site)
    assert script.read_text() == "{" + "".join(icons[-2:]) + "}"
    with pytest.raises(ValueError, match="look at ICON"):
        slim.fewer_icons(site)


def test_a_notebook_to_download_has_its_cells_and_no_outputs(tmp_path):
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "code", "source": "1", "outputs": [{"x": 1}], "execution_count": 3}]
    path.write_text(json.dumps({"cells": [*cells, {"cell_type": "markdown", "source": "b"}]}))
    slim.without_outputs(path)
    code, text = json.loads(path.read_text())["cells"]
    assert code == {"cell_type": "code", "source": "1", "outputs": [], "execution_count": None}
    assert text == {"cell_type": "markdown", "source": "b"}


@pytest.mark.parametrize("colours", [4, 100_000])
def test_a_picture_stays_what_it_is(tmp_path, colours):
    draw = np.random.default_rng(0)
    few = draw.integers(0, 256, (4, 3))[draw.integers(0, 4, (200, 300))]
    smooth = np.stack(np.meshgrid(*[np.linspace(0, 255, n) for n in (300, 200)]), -1)[
        ..., [0, 1, 0]
    ]
    pixels = (few if colours == 4 else smooth).astype(np.uint8)
    (tmp_path / "_images").mkdir()
    path = tmp_path / "_images" / "a1-b.png"
    Image.fromarray(pixels).convert("RGBA").save(path, compress_level=0)
    before = path.stat().st_size
    (tmp_path / "page.html").write_text('<img src="_images/a1-b.png"><a href="b.png">')
    slim.smaller_pictures(tmp_path)
    (path,) = (tmp_path / "_images").iterdir()
    with Image.open(path) as picture:
        assert slim.error(picture, Image.fromarray(pixels)) < slim.COARSE
    assert path.stat().st_size < before / 4
    assert f'src="_images/{path.name}"><a href="b.png">' in (tmp_path / "page.html").read_text()


def embedded(pixels):
    """The page's picture of such pixels, before and after; and its pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    before = f'"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"'
    after = slim._EMBEDDED.sub(slim.smaller_embedded, before)
    with Image.open(io.BytesIO(base64.b64decode(after[:-1].partition(",")[2]))) as picture:
        return before, after, np.asarray(picture.convert("RGB")).astype(int)


def test_an_embedded_picture_of_few_colours_keeps_its_pixels():
    pixels = np.add.outer(np.arange(60), np.arange(80)).astype(np.uint8)
    before, after, found = embedded(pixels)
    assert len(after) < len(before) / 4 and (found == pixels[..., None]).all()


def test_an_embedded_picture_of_many_colours_has_fewer_that_look_the_same():
    draw = np.random.default_rng(0)
    many = draw.integers(100, 108, (60, 80, 3), dtype=np.uint8)  # 512 colours
    before, after, found = embedded(many)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) <= 256 and len(after) < len(before) / 2
    assert 0 < np.abs(found - many).mean() < slim.COARSE
    noise = draw.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert (embedded(noise)[2] == noise).all(), "what 256 colours would spoil keeps its own"


def test_rules_about_classes_that_nobody_has_go():
    style = (
        '@charset "utf-8";:root{--a:1}.used,.unused>p{x:1}.unused{y:2}p:not(.unused,.b){z:3}'
        "@media print{.unused{a:b}.used{c:d}}@font-face{font:x}@keyframes k{0%{a:b}to{c:d}}"
    )
    assert slim.rules_about(style, {"used"}) == (
        '@charset "utf-8";:root{--a:1}.used{x:1}p:not(.unused,.b){z:3}'
        "@media print{.used{c:d}}@font-face{font:x}@keyframes k{0%{a:b}to{c:d}}"
    )


def test_only_the_page_of_search_loads_the_index(tmp_path):
    text = '<script src="../a.js"></script>\n <script src="../searchindex.js"></script>'
    for name in ("a.html", "search.html"):
        (tmp_path / name).write_text(text)
    slim.no_index_but_for_search(tmp_path)
    assert (tmp_path / "a.html").read_text() == '<script src="../a.js"></script>'
    assert (tmp_path / "search.html").read_text() == text

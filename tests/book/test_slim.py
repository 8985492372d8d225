"""book/slim.py: a site loses what no page names, and nothing else."""

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
    path = tmp_path / "a.png"
    draw = np.random.default_rng(0)
    values = draw.integers(0, 256, (colours, 3)) if colours < 256 else None
    shape = (200, 300)
    pixels = values[draw.integers(0, colours, shape)] if values is not None else draw.integers(
        0, 256, (*shape, 3)
    )  # fmt: skip
    Image.fromarray(pixels.astype(np.uint8)).convert("RGBA").save(path, compress_level=0)
    before = path.stat().st_size
    slim.fewer_colours(path)
    error = np.abs(np.asarray(Image.open(path).convert("RGB"), float) - pixels).mean()
    assert error < slim.COARSE and path.stat().st_size < before

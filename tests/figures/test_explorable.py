import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mdlib.figures import explorable

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


class Page(HTMLParser):
    """The elements of a page with their attributes, and the text of each script."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.scripts = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def pixels(uri: str) -> np.ndarray:
    head, data = uri.split(",")
    assert head == "data:image/png;base64"
    return np.array(Image.open(io.BytesIO(base64.b64decode(data))))


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.fixture
def film():
    sliders = {"axis": ["a", "b"], "step": [-1, 0, 1.5]}
    labels = ["x < y", "</script>"]
    return explorable.film("walk-1", images(2, 3, 2, 4, 3, 5, 6), sliders, labels, {"step": 0})


@pytest.fixture
def chart():
    rising = torch.arange(4.0).expand(3, 4)
    return explorable.curves(
        "chart", {"rising": rising, "K": np.array([[1.0], [2], [3]])},
        {"K": [1, 2, 3], "x": range(4)}, along="x", start={"K": 2},
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_of_a_film_holds_its_images_unchanged(channels):
    given = images(2, 3, 2, 4, channels, 5, 6)
    film = explorable.film("walk", given, {"axis": "ab", "step": range(3)})
    for axis, step in product(range(2), range(3)):
        sheet = pixels(film.pictures[3 * axis + step]).reshape(2 * 7, 4 * 8, channels)
        for row, column in product(range(2), range(4)):
            tile = sheet[7 * row + 1 : 7 * row + 6, 8 * column + 1 : 8 * column + 7]
            expected = given[axis, step, row, column].movedim(0, 2).numpy()
            np.testing.assert_array_equal(tile, expected)


def test_floats_are_rounded_to_eight_bits():
    given = torch.tensor([0.0, 0.2, 0.4999, 1.0]).view(2, 1, 1, 1, 1, 2)
    film = explorable.film("walk", given, {"step": "ab"})
    assert [pixels(p)[1, 1:3].tolist() for p in film.pictures] == [[0, 51], [127, 255]]


def test_a_page_shows_the_start_and_hides_the_sliders_until_the_script_runs(film):
    page = Page(film._repr_html_())
    (figure,) = page.all("figure")
    assert figure == {"class": "explorable", "data-explorable": "walk-1"}
    (image,) = page.all("img")
    assert image["src"] == film.pictures[1] and "axis" in image["alt"]
    axis, step = page.all("input")
    assert (axis["min"], axis["max"], axis["value"], axis["aria-label"]) == ("0", "1", "0", "axis")
    assert (step["max"], step["value"], step["aria-valuetext"]) == ("2", "1", "0")
    assert len(page.all("label")) == len(page.all("output")) == 2
    (hidden,) = (div for div in page.all("div") if "hidden" in div)
    assert hidden["class"] == "explorable-controls"


def test_what_the_script_reads_is_whole_whatever_the_labels_say(film, chart):
    for one in (film, chart):
        data, script = Page(one._repr_html_()).scripts
        data = json.loads(data)
        assert data["pictures"] == one.pictures
        assert data["positions"] == list(one.sliders.values())
        assert script.strip() == explorable.SCRIPT.strip()
    assert film.sliders["step"] == ["−1", "0", "1.5"]
    assert film._repr_html_().count("</script>") == 2


HOSTILE = [
    "<!--<script>",
    "--></script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
]


@pytest.mark.parametrize("kind", ["film", "curves"])
def test_labels_stay_text_and_never_swallow_the_page(kind):
    def html(*texts):
        sliders = {texts[0]: texts[:2], texts[1]: list(texts)}
        if kind == "film":
            return explorable.film("walk", images(2, 3, 2, 1, 1, 2, 2), sliders, texts[:2])
        values = torch.zeros(2, 3)
        lines = {text: values for text in texts}
        return explorable.curves("walk", lines, sliders, along=texts[1], unit=texts[2])

    plain, hostile = (Page(html(*texts)._repr_html_()) for texts in ("abc", HOSTILE))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    source, script = hostile.scripts
    assert "<" not in source  # nothing in it can open or end a script or a comment
    assert json.loads(source)["positions"] == [HOSTILE[:2], HOSTILE]
    assert script.strip() == explorable.SCRIPT.strip()
    frame = Page("".join(json.loads(source)["frame"]) + json.loads(source)["pictures"][0])
    assert not [tag for tag, _ in frame.elements if tag in ("script", "b")]
    assert not [a for _, a in hostile.elements + frame.elements if "onerror" in a]
    assert [i["aria-label"] for i in hostile.all("input")] == HOSTILE[:2]


def test_a_page_loads_nothing(film, chart):
    for html in (film._repr_html_(), chart._repr_html_()):
        assert not re.search(r"http|url\(|@import", html)
        assert all(i["src"].startswith("data:image/") for i in Page(html).all("img"))
        assert not [a for _, a in Page(html).elements if {"href", "onclick", "id"} & set(a)]


def test_a_chart_draws_its_values_and_says_them(chart):
    for k, x in product(range(3), range(4)):
        page = Page(chart.picture([k, x]))
        flat, rising = (
            np.array([point.split(",") for point in line["points"].split()], dtype=float)
            for line in page.all("polyline")
        )
        heights = explorable.BOTTOM - rising[:, 1]
        assert (flat[:, 1] == flat[0, 1]).all()
        # in one unit of length: 0 1 2 3, and k + 1 throughout
        np.testing.assert_allclose(heights / heights[-1] * 3, range(4), atol=0.01)
        np.testing.assert_allclose((explorable.BOTTOM - flat[0, 1]) / heights[1], k + 1, atol=0.02)
        assert float(page.all("circle")[-1]["cy"]) == rising[x, 1]
        assert f">rising {x:.2f}<" in chart.picture([k, x])
        assert f">K {k + 1:.2f}<" in chart.picture([k, x])


def test_a_chart_without_script_is_an_image_of_its_start(chart):
    (image,) = Page(chart._repr_html_()).all("img")
    alone = base64.b64decode(image["src"].split(",")[1]).decode()
    assert ">K 2.00<" in alone and "currentColor" not in alone
    assert [line["points"] for line in Page(alone).all("polyline")] == [
        line["points"] for line in Page(chart.picture([1, 0])).all("polyline")
    ]


def test_tiny_negative_values_do_not_lower_the_axis():
    chart = explorable.curves("c", {"a": [-1e-7, 4]}, {"x": "pq"}, along="x")
    assert ">a 0.00<" in chart.pictures[0]
    assert ">-" not in chart.frame[0]


def test_no_two_explorables_of_the_book_have_one_name():
    text = "".join(path.read_text(encoding="utf-8") for path in NOTEBOOKS.rglob("*.py"))
    names = re.findall(r"explorable\.(?:film|curves)\(\s*\"([^\"]+)\"", text)
    assert {"infonce-ceiling", "latent-walk"} <= set(names)
    assert len(names) == len(set(names)), names


def test_text_is_short_and_stable(film):
    assert repr(film) == "Explorable('walk-1', axis × step: 6 states)"


def test_live_shows_the_picture_of_its_sliders(film):
    pytest.importorskip("ipywidgets")
    picture, axis, step = film.live().children
    assert (axis.description, axis.value, step.label) == ("axis", 0, "0")
    assert film.pictures[1] in picture.value
    step.label = "1.5"
    assert film.pictures[2] in picture.value
    axis.value = 1
    assert film.pictures[5] in picture.value and film.pictures[2] not in picture.value


def test_live_says_what_to_install(film, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"pip install 'mdlib\[notebooks\]'"):
        film.live()


GOOD = {"name": "walk", "images": images(2, 1, 1, 1, 2, 2), "sliders": {"step": "ab"}}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "Walk 1"}, "name='Walk 1'"),
        ({"sliders": {}}, "one or more"),
        ({"sliders": {"step": "a"}}, "two positions or more"),
        ({"sliders": {"step": "abc"}}, r"\[3, R, N, 1 or 3, H, W\]"),
        ({"sliders": {"step": "ab", "axis": "cd"}}, r"\[2, 2, R, N, 1 or 3, H, W\]"),
        ({"images": images(2, 1, 1, 2, 2, 2)}, "1 or 3"),
        ({"images": torch.full((2, 1, 1, 1, 2, 2), 1.5)}, "clamp"),
        ({"images": torch.full((2, 1, 1, 1, 2, 2), float("nan"))}, "clamp"),
        ({"row_labels": ["a", "b"]}, "2 row labels for 1 rows"),
        ({"start": {"step": "c"}}, "start="),
        ({"start": {"pace": "a"}}, "start="),
        ({"images": images(2, 1, 1, 3, 500, 500)}, "expected 1 MB at most"),
    ],
)
def test_bad_films_are_refused(change, message):
    explorable.film(**GOOD)
    with pytest.raises(ValueError, match=message):
        explorable.film(**GOOD | change)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"along": "y"}, "along='y'"),
        ({"lines": {}}, "0 lines"),
        ({"lines": {name: [0, 1] for name in "abcd"}}, "4 lines"),
        ({"lines": {"a": [0, 1, 2]}}, r"line 'a': expected an array \[2\]"),
        ({"lines": {"a": [0, float("inf")]}}, "not finite"),
    ],
)
def test_bad_charts_are_refused(change, message):
    good = {"name": "c", "lines": {"a": [0, 1]}, "sliders": {"x": "pq"}, "along": "x"}
    explorable.curves(**good)
    with pytest.raises(ValueError, match=message):
        explorable.curves(**good | change)

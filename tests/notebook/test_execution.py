"""Chapters are checked and run; what is wrong is refused before a kernel starts."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from mdlib import data, methods
from mdlib.io import read_json
from mdlib.notebook import chapters, execution, html


@pytest.fixture
def no_kernel(monkeypatch):
    def started(*args, **kwargs):
        raise AssertionError("a kernel was started")

    monkeypatch.setattr("papermill.execute_notebook", started)


# check


def test_check_returns_all_parameters(book):
    tiny = chapters.find("tiny")
    checked = execution.check(tiny, {"rate": 2})
    assert checked == {name: p.default for name, p in tiny.parameters.items()} | {"rate": 2.0}
    assert type(checked["rate"]) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sed": 1}, "tiny: unknown parameter 'sed': did you mean 'seed'?"),
        (
            {"seed": "1"},
            "'seed' is '1', expected int, 0 to 4294967295, such as its default 0 (it is",
        ),
        ({"seed": True}, "'seed' is True, expected int"),
        ({"seed": 1.0}, "'seed' is 1.0, expected int"),
        ({"fail": 1}, "'fail' is 1, expected bool (true or false)"),
        ({"rate": float("nan")}, "'rate' is nan, expected a finite number"),
        ({"rate": None}, "'rate' is None, expected float"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": "cuda:x"}, "unknown device"),
    ],
)
def test_check_refuses(book, values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        execution.check(chapters.find("tiny"), values)


def test_check_asks_data_and_methods(tmp_path, book, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "check", lambda name, root, **_: asked.append((name, root)))
    monkeypatch.setattr(methods, "names", lambda: ["byol", "vae"])
    monkeypatch.chdir(tmp_path)
    execution.check(chapters.find("tiny"), {"dataset": "images:mine"}, "root")
    assert asked == [(f"images:{tmp_path}/mine", "root")]

    path = tmp_path / "several.py"
    path.write_text('# %% tags=["parameters"]\nsets = "sprites"  # [some data sets]\n')
    several = execution.check(chapters.Chapter(path), {"sets": "images:mine, scenes"}, "root")
    assert several == {"sets": f"images:{tmp_path}/mine,scenes"}
    path.write_text(path.read_text().replace("sets]", "sets with factors]"))
    with pytest.raises(ValueError, match="images:mine: nobody knows the factors"):
        execution.check(chapters.Chapter(path), {"sets": "sprites,images:mine"}, "root")

    path = tmp_path / "chapter.py"
    path.write_text('# %% tags=["parameters"]\nmethods = "all"\n')
    chapter = chapters.Chapter(path)
    assert execution.check(chapter, {"methods": "vae, byol"}) == {"methods": "vae,byol"}
    with pytest.raises(ValueError, match="unknown method 'vea': did you mean 'vae'"):
        execution.check(chapter, {"methods": "byol,vea"})
    with pytest.raises(ValueError, match="unknown method ''"):
        execution.check(chapter, {"methods": ""})


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """images:PATH of two classes, and a chapter that has all the parameters that it may need."""
    (tmp_path / "chapter.py").write_text(
        '# %% tags=["parameters"]\ndataset = "digits"\nsize = 0  # [0 or more]\n'
        "batch_size = 4  # [2 or more]\nmax_images = 100  # [2 or more]\narch = 'mlp'\n"
        "probe_views = 500  # [2 or more]\nfew = 1  # [1 or more]\n"
    )

    def folder(files):
        for name, shape in files.items():
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", shape).save(path)
        return {"dataset": f"images:{tmp_path / 'photos'}"}

    return chapters.Chapter(tmp_path / "chapter.py"), folder


def of_class(name, count, shape=(8, 8)):
    return {f"{name}/{n}.png": shape for n in range(count)}


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        (of_class("a", 9), {}, "expected 2 classes"),
        (of_class("a", 9) | of_class("b", 1), {}, "train has one image of"),
        (of_class("a", 1) | of_class("b", 1), {}, "too few images for a test split"),
        (
            of_class("train/a", 5) | of_class("train/b", 5) | of_class("test/c", 2),
            {},
            "of which train has none",
        ),
        (of_class("a", 9) | of_class("b", 9, (8, 9)), {}, "images of different sizes"),
        (of_class("a", 5) | of_class("b", 5), {"batch_size": 9}, "more than the 8 images that"),
        (
            of_class("a", 9) | of_class("b", 9),
            {"max_images": 3},
            "'batch_size' is 4, more than the 3",
        ),
        (of_class("a", 9, (3, 30)) | of_class("b", 9, (3, 30)), {}, "images of 3×30 are more than"),
        (of_class("a", 9, (31, 10)) | of_class("b", 9, (31, 10)), {}, "pass size=64, say"),
        (
            of_class("train/a", 90)
            | of_class("train/b", 2)
            | of_class("test/a", 9)
            | of_class("test/b", 9),
            {"max_images": 20},
            "all of ['a'], expected 2 classes: add images, or take that class out; or give a "
            "larger max_images, of 20 this is so",
        ),
        (of_class("a", 9, (9, 9)) | of_class("b", 9, (9, 9)), {"arch": "conv"}, "not 9×9"),
        (of_class("a", 9) | of_class("b", 9), {"arch": "resnet", "size": 24}, "not 24×24"),
        ({}, {"dataset": "digits", "max_images": 20}, "test has images of ["),
        (
            of_class("a", 60) | of_class("b", 60) | of_class("c", 5),
            {"max_images": 200, "probe_views": 20},
            "test has images of ['c'], of which train has none: add images, or take that class "
            "out; or give a larger probe_views, of 20 this is so",
        ),
        (of_class("a", 9) | of_class("b", 7), {"few": 7}, "'few' is 7, more than the 6 training"),
        (
            of_class("a", 90) | of_class("b", 90),
            {"max_images": 20, "few": 13},
            "more than the 9 training images that one of the classes",
        ),
        ({}, {"dataset": "digits", "max_images": 2000, "probe_views": 10}, "larger probe_views"),
        ({}, {"dataset": "digits", "max_images": 2000, "few": 131}, "than the 130 training images"),
        (
            {},
            {"dataset": "digits", "max_images": 1000, "few": 100},
            "'few' is 100, more than the 87",
        ),
        ({}, {"dataset": "digits", "arch": "resnet", "size": 30}, "not 30×30"),
        ({}, {"dataset": "digits", "size": 10**6}, "GB of memory, of which"),
        ({}, {"dataset": "scenes", "size": 10**5}, "GB of memory, of which"),
        ({}, {"dataset": "images:"}, "images: needs a path, as in images:photos"),
    ],
)
def test_what_a_probe_or_training_would_refuse_is_refused_before(photos, files, values, message):
    chapter, folder = photos
    with pytest.raises(ValueError, match=re.escape(message)):
        execution.check(chapter, folder(files) | values)


@pytest.mark.parametrize(
    ("files", "values"),
    [
        (of_class("a", 9, (30, 10)) | of_class("b", 9, (30, 10)), {}),
        (of_class("a", 9, (3, 30)) | of_class("b", 9, (3, 30)), {"size": 8}),
        (of_class("a", 90) | of_class("b", 90) | of_class("c", 4), {"max_images": 200}),
        (of_class("a", 90) | of_class("b", 90), {"max_images": 20, "arch": "conv"}),
        (
            of_class("a", 60) | of_class("b", 60) | of_class("c", 60),
            {"max_images": 1000, "probe_views": 50, "few": 48},
        ),
        ({}, {"dataset": "digits", "max_images": 2000, "probe_views": 60, "few": 130}),
        ({}, {"dataset": "digits", "max_images": 200, "arch": "conv", "size": 12}),
    ],
)
def test_what_training_and_a_probe_take_is_taken(photos, files, values):
    chapter, folder = photos
    values = folder(files) | values
    assert execution.check(chapter, values).items() >= values.items()


@pytest.mark.parametrize("where", ["data set", "data root", "environment"])
def test_the_home_of_an_unknown_user_is_named(where, photos, no_kernel, monkeypatch, tmp_path):
    chapter, _ = photos
    path = "~nobody-of-that-name/x"
    values = {"dataset": f"images:{path}" if where == "data set" else "mnist"}
    if where == "environment":
        monkeypatch.setenv("MDLIB_DATA", path)
    root = path if where == "data root" else None
    with pytest.raises(ValueError, match=re.escape(path)):
        execution.check(chapter, values, root)
    with pytest.raises(ValueError, match=re.escape(path)):
        execution.run(chapter, values, tmp_path / "out", data_root=root)


def test_a_device_that_is_not_here_is_refused_before(tmp_path, no_kernel):
    path = tmp_path / "chapter.py"
    path.write_text('# %% tags=["parameters"]\ndevice = "auto"\nother = "cpu"  # [device]\n')
    for name in ("device", "other"):
        with pytest.raises(ValueError, match="device='cuda:99' is not on this machine"):
            execution.run(chapters.Chapter(path), {name: "cuda:99"}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # a sweep may be for other machines
    assert execution.check(chapters.Chapter(path), {"device": "cuda:99"})["device"] == "cuda:99"


def test_photos_of_many_sizes_are_taken_at_one_size(photos):
    chapter, folder = photos
    values = folder(of_class("a", 9) | of_class("b", 9, (8, 9))) | {"size": 8}
    assert execution.check(chapter, values)["size"] == 8


OF_DATA = [
    name
    for name in chapters.names()
    if any(p.domain.startswith("data set") for p in chapters.find(name).parameters.values())
]


@pytest.mark.parametrize("name", OF_DATA)
def test_every_chapter_takes_photographs_by_the_line_of_the_readme(name, photos):
    """Colour, of many sizes, 500 of each class; a chapter that measures factors says why not."""
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`(-p dataset images:PATH -p size \d+)`", readme)
    _, folder = photos
    shapes = ((40, 30), (33, 64), (80, 72), (31, 31))
    files = {f"{c}/{n}.png": shapes[n % 4] for c in "ab" for n in range(500)}
    path = folder(files)["dataset"]
    chapter = chapters.find(name)
    pairs = [pair.split() for pair in line.replace("images:PATH", path).split("-p ")[1:]]
    if "factors" in chapter.parameters["dataset"].domain:
        with pytest.raises(ValueError, match="nobody knows the factors of these images"):
            chapter.parse(pairs[:1])
    else:
        checked = execution.check(chapter, chapter.parse(pairs))
        assert (checked["dataset"], checked["size"]) == (path, 64)


@pytest.mark.parametrize("name", OF_DATA)
def test_a_batch_can_be_made_to_fit_photographs(name):
    """Where a chapter trains by `fit`, whose batch must not be larger than what there is."""
    chapter = chapters.find(name)
    code = "\n".join(cell.source for cell in chapter.cells if cell.kind == "code")
    assert "batch_size" in chapter.parameters or not re.search(r"\bfit\(", code)


# run


def test_nothing_starts_for_bad_input(book, tmp_path, no_kernel, monkeypatch):
    tiny, out = chapters.find("tiny"), tmp_path / "out"
    for values in ({"sed": 1}, {"seed": "x"}, {"device": "gpu"}, {"out": "x"}):
        with pytest.raises(ValueError):
            execution.run(tiny, values, out)

    def missing(name, **options):
        raise FileNotFoundError(f"no {name} here")

    monkeypatch.setattr(data, "check", missing)
    with pytest.raises(FileNotFoundError, match="no digits here"):
        execution.run(tiny, {}, out)
    assert not out.exists()


def test_a_used_folder_is_left_alone(book, tmp_path, no_kernel):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("precious")
    for out in (tmp_path / "out", tmp_path / "out/mine.txt"):
        with pytest.raises(FileExistsError, match="not an empty folder: choose another --out"):
            execution.run(chapters.find("tiny"), {}, out)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_leaves_all_its_files(book, tmp_path, capfd):
    out = tmp_path / "out"
    done = execution.run(chapters.find("tiny"), {"seed": 3, "rate": 2}, out, progress=False)
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in out.iterdir()} == {
        "params.json",
        "executed.ipynb",
        "executed.html",
        "metrics.json",
        "environment.json",
    }
    assert done.metrics == [{"seed": 3, "rate": 2.0, "sizes": "1,2"}]
    assert read_json(out / "params.json") == done.parameters
    assert done.parameters["out"] == str(out)
    assert done.parameters["device"] == "auto"
    assert read_json(out / "environment.json")["seconds"] > 0
    executed = nbformat.read(done.notebook, as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")

    page = done.page.read_text()
    assert "<title>A tiny chapter</title>" in page
    assert page.count("<math") == 3  # inline, display, and the output
    assert "\\mathbb" not in page
    assert 'href="https://example.org/"' in page  # an ordinary link may stay
    loaded = r"<(?:script|link|img|iframe|source)\b[^>]*\s(?:src|href)\s*=\s*[\"']?(?!data:)"
    assert not re.search(loaded, page)
    assert not re.search(r"url\(\s*[\"']?https?:|@import", page)


def test_a_failing_cell_is_named_and_its_notebook_kept(book, tmp_path):
    out = tmp_path / "out"
    message = "tiny failed: ValueError: as you wished"
    with pytest.raises(execution.ChapterFailed, match=message) as error:
        execution.run(chapters.find("tiny"), {"fail": True}, out, progress=False)
    assert str(out / "executed.failed.ipynb") in str(error.value)
    assert error.value.notebook == out / "executed.failed.ipynb"
    assert "as you wished" in error.value.notebook.read_text()
    assert "as you wished" in (out / "executed.failed.html").read_text()
    assert not (out / "executed.ipynb").exists() and not (out / "executed.html").exists()
    assert json.loads((out / "environment.json").read_text())


def test_a_run_that_is_interrupted_is_not_called_like_a_success(book, tmp_path, monkeypatch):
    def execute(chapter, parameters, out, progress, timeout):
        (out / "executed.ipynb").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(execution, "execute", execute)
    with pytest.raises(KeyboardInterrupt):
        execution.run(chapters.find("tiny"), {}, tmp_path / "out")
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"params.json", "executed.failed.ipynb"}


# where runs go if nobody says


@pytest.fixture
def quick(monkeypatch):
    def execute(chapter, parameters, out, progress, timeout):
        nbformat.write(chapter.notebook(), out / "executed.ipynb")

    monkeypatch.setattr(execution, "execute", execute)
    monkeypatch.setattr(execution.html, "page", lambda *arguments: None)


def test_runs_are_numbered_and_the_newest_linked(book, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    latent, folder = chapters.find("latent_model"), tmp_path / "runs/theory/latent_model"
    for number in ("001", "002"):
        assert execution.run(latent, {}).out == folder / number
        assert (folder / "latest").resolve() == folder / number
    (folder / "1041").mkdir()
    (folder / "notes").mkdir()
    assert execution.run(latent, {}).out == folder / "1042"
    assert (folder / "latest").readlink().name == "1042"
    assert {path.name for path in folder.iterdir()} == {
        *("001", "002", "1041", "1042", "latest", "notes")
    }


def test_somebodys_own_latest_is_left_alone(book, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "runs/tiny/latest/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("precious")
    assert execution.run(chapters.find("tiny"), {}).out == tmp_path / "runs/tiny/001"
    assert mine.read_text() == "precious"
    assert {path.name for path in (tmp_path / "runs/tiny").iterdir()} == {"001", "latest"}


def test_runs_of_one_moment_do_not_meet(book, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    tiny = chapters.find("tiny")
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: execution._numbered(tmp_path / "runs/tiny"), range(40)))
    assert sorted(path.name for path in folders) == [f"{n:03d}" for n in range(1, 41)]
    assert execution.run(tiny, {}).out.name == "041"


def test_nothing_is_made_for_bad_input(book, tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError):
        execution.run(chapters.find("tiny"), {"seed": -1})
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("title", ["A & B", "<script>alert(1)</script>", "</title><b>"])
def test_a_title_is_text_on_the_page(tmp_path, title):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Title")])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    html.page(tmp_path / "a.ipynb", tmp_path / "a.html", title, tmp_path)
    assert f"<title>{escape(title)}</title>" in (tmp_path / "a.html").read_text()

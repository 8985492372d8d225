"""mdlib.data: RSSCN7, on a small tar in the format of ours."""

import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mdlib import data
from mdlib.data import rsscn7
from mdlib.data.rsscn7 import RSSCN7

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")
FOLDERS = ("aGrass", "bField", "cIndustry", "dRiverLake", "eForest", "fResident", "gParking")
EACH = 8  # images a class, where the real file has 400


def jpeg(colour, side=96):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def colour(klass, number):
    """Of class 0 … 6 and number 1 … EACH, so that a picture says whose it is."""
    return (30 * klass, 30 * number, 7)


@pytest.fixture
def write(monkeypatch, tmp_path):
    """`write(change)` puts a small file in place: its root. `change` edits {name: content}."""

    def write(change=lambda members: None):
        members = {
            f"{folder}/{folder[0]}{number:03d}.jpg": jpeg(colour(klass, number))
            for klass, folder in enumerate(FOLDERS)
            for number in range(EACH, 0, -1)  # not in the order of rows
        }
        change(members)
        path = tmp_path / RSSCN7.file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        file = replace(RSSCN7.file, digest=digest, size=path.stat().st_size)
        monkeypatch.setattr(RSSCN7, "file", file)
        monkeypatch.setattr(RSSCN7, "per_class", EACH)
        return tmp_path

    return write


def seen(images):
    """(class, number) of each picture, by its colour."""
    mean = images.float().mean((2, 3))
    return [tuple(row) for row in (mean[:, :2] / 30).round().int().tolist()]


def test_rows_are_sorted_by_class_then_number(write):
    root = write()
    whole = data.load("rsscn7", "all", root)
    assert whole.images.shape == (7 * EACH, 3, 96, 96) and whole.class_names[3] == "river or lake"
    expected = [(klass, number) for klass in range(7) for number in range(1, EACH + 1)]
    assert seen(whole.images) == expected
    assert whole.labels.tolist() == [klass for klass, _ in expected]


def test_half_of_each_class_and_of_each_quarter_of_its_numbers_is_test(write):
    root = write()
    train, test = (data.load("rsscn7", split, root) for split in ("train", "test"))
    rows = {split.split: seen(split.images) for split in (train, test)}
    assert not set(rows["train"]) & set(rows["test"])
    for split in (train, test):
        assert [klass for klass, _ in rows[split.split]] == split.labels.tolist()
        blocks = [(klass, 4 * (number - 1) // EACH) for klass, number in rows[split.split]]
        assert sorted(blocks) == [(klass, block) for klass in range(7) for block in range(4)]
    facts = data.describe("rsscn7", root)
    assert facts.train == facts.test == (EACH // 2,) * 7 and facts.image_shape == (3, 96, 96)


def test_pictures_are_resized_and_nothing_is_kept(write, cache):
    root = write()
    small = data.load("rsscn7", "test", root, size=32)
    assert small.images.shape == (7 * EACH // 2, 3, 32, 32)
    assert data.describe("rsscn7", root, size=32).image_shape == (3, 32, 32)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m.pop("aGrass/a003.jpg"),
            "lacks aGrass/3, expected 8 in each of aGrass",
        ),
        (lambda m: m.update({"aGrass/a009.jpg": jpeg((0, 0, 0))}), "holds 57 images, expected 8"),
        (lambda m: m.update({"gParking/g001.jpg": b"no"}), r"cannot read the image gParking/g001"),
        (
            lambda m: m.update({"gParking/g001.jpg": jpeg((0, 0, 0), 90)}),
            r"\(90, 90, 3\), exp",
        ),
    ],
)
def test_another_content_is_named(write, change, message):
    root = write(change)
    with pytest.raises(data.CorruptData, match=message):
        data.load("rsscn7", "all", root)


def test_what_else_is_in_the_tar_is_passed_over(write):
    root = write(lambda m: m.update({"README.md": b"x", "other/a001.jpg": b"x"}))
    assert len(data.load("rsscn7", "all", root)) == 7 * EACH


def test_a_missing_file_says_where_it_goes_and_is_not_fetched(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"rsscn7\S*\.tar is missing.*: put rss") as told:
        data.load("rsscn7", root=tmp_path)
    assert "download=True" not in str(told.value), "it would not help"
    with pytest.raises(OSError, match=r"failed: .*nobody publishes this file.* By hand: put"):
        data.load("rsscn7", root=tmp_path, download=True)


@pytest.mark.slow
def test_the_real_file_where_it_is_there():
    if not (REAL / RSSCN7.file.path).is_file():
        pytest.skip(f"no {RSSCN7.file.path} in {REAL}: set MDLIB_DATA")
    train, test = (data.load("rsscn7", split, REAL, size=16) for split in ("train", "test"))
    assert train.labels.bincount().tolist() == test.labels.bincount().tolist() == [200] * 7
    together = {bytes(image.numpy()) for split in (train, test) for image in split.images}
    assert len(together) == 2800


def test_the_module_names_its_classes_in_the_order_of_folders():
    assert tuple(rsscn7._FOLDERS) == FOLDERS

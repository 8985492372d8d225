"""ETH-80: its files' format, on a small one written in it, and the split by object."""

import copy
import hashlib
import io
import os
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mdlib import data
from mdlib.data import eth80, files, grid, tars

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")
SIZES = (2, 4, 3)  # categories, objects, views


def colour(category, number, view):
    """Of a whole picture, so that JPEG keeps it."""
    return (100 * category + 20, 60 * number + 10, 80 * view + 10)


def members():
    """Names and pictures, in an order that is not the grid's."""
    for number in reversed(range(SIZES[1])):
        for category in range(SIZES[0]):
            for view in range(SIZES[2]):
                polar, azimuth = tars.ETH80_VIEWS[view]
                folder = f"{category + 1}/{number + 1}"
                name = f"thing{number + 3}-{polar:03}-{azimuth:03}"
                photograph = Image.new("RGB", (8, 8), colour(category, number, view))
                yield f"{folder}/{name}.jpg", photograph, "JPEG"
                mask = np.zeros((8, 8), bool)
                mask[: 1 + view, : 1 + number] = True
                yield f"{folder}/maps/{name}-map.png", Image.fromarray(mask), "PNG"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """`write(change)` puts a small file in place: the root. `change` renames or drops members."""

    def write(change=lambda name: name):
        sources = {}
        path = tmp_path / "small.tar"
        with tarfile.open(path, "w") as tar:
            for name, picture, kind in members():
                content = io.BytesIO()
                picture.save(content, kind)
                info = tarfile.TarInfo(change(name))
                info.size = len(content.getvalue())
                content.seek(0)
                if info.name:
                    tar.addfile(info, content)
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        for name in ("eth80", "eth80-masks"):
            source = copy.copy(data.SOURCES[name])
            source.grid = grid.Grid(name, source.grid.factor_names, SIZES)
            source.class_names = source.class_names[: SIZES[0]]
            source.image_shape = (source.image_shape[0], 8, 8)
            source.file = files.File("small.tar", md5, None, "md5", "")
            source.pieces = partial(source.pieces.func, source)
            monkeypatch.setitem(data.SOURCES, name, source)
            sources[name] = source
        monkeypatch.setattr(eth80, "GRIDS", sources)
        return tmp_path

    return write


def test_photographs_and_masks_are_read_by_their_names(write):
    root = write()
    photographs, masks = (data.load(name, "all", root) for name in ("eth80", "eth80-masks"))
    assert photographs.factor_names == ("category", "object", "view")
    assert torch.equal(photographs.factors, masks.factors)
    assert torch.equal(photographs.labels, photographs.factors[:, 0])
    for image, mask, factors in zip(
        photographs.images, masks.images, photographs.factors.tolist(), strict=True
    ):
        known = torch.tensor(colour(*factors)).view(3, 1, 1)
        assert (image.int() - known).abs().max() <= 3, factors  # JPEG
        assert mask.unique().tolist() == [0, 255]
        assert (mask == 255).sum() == (1 + factors[1]) * (1 + factors[2]), factors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name: name.replace("022-090", "022-091"), "is not of the 8 categories"),
        (lambda name: name.replace("2/4/", "2/11/"), "is not of the 8 categories"),
        (lambda name: "" if name.startswith("2/4/") else name, "holds 21 images, expected 24"),
    ],
)
def test_another_archive_is_refused(write, change, message):
    root = write(change)
    for name in ("eth80", "eth80-masks"):
        with pytest.raises(data.CorruptData, match=message):
            data.load(name, "all", root)


def test_a_missing_file_is_refused_with_where_to_put_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"eth80: .*eth80_128px.tar is missing") as told:
        eth80.halves(0, root=tmp_path)
    assert "download=True" not in str(told.value), "it would not help"
    with pytest.raises(OSError, match=r"nobody publishes this file.*github.com/chenchkx/ETH-80"):
        data.load("eth80", root=tmp_path, download=True)
    with pytest.raises(ValueError, match="size"):
        eth80.halves(0, size=0, root=tmp_path)


def test_halves_hold_whole_objects_in_order(write):
    root = write()
    everything = data.load("eth80", "all", root)
    train, test = eth80.halves(3, 8, root=root)
    assert (train.split, test.split) == ("train", "test")
    assert train.image_shape == test.image_shape == (4, 8, 8)
    objects = []
    for part in (train, test):
        dealt = part.factors.view(SIZES[0], SIZES[1] // 2, SIZES[2], 3)
        assert (dealt[..., 0] == torch.arange(2).view(2, 1, 1)).all(), "by category"
        assert (dealt[..., 1] == dealt[:, :, :1, 1]).all(), "an object's views are together"
        assert (dealt[..., 2] == torch.arange(3)).all(), "views in order"
        objects.append(dealt[:, :, 0, 1])
        rows = data.SOURCES["eth80"].grid.index_of(part.factors)
        assert torch.equal(part.images[:, :3], everything.images[rows])
        assert torch.equal(part.images[:, 3] == 255, mask_of(part.factors))
    both = torch.cat(objects, 1).sort(1).values
    assert torch.equal(both, torch.arange(4).expand(2, 4)), "each object in one half"
    other, _ = eth80.halves(4, 8, root=root)
    assert not torch.equal(other.factors, train.factors)
    some, _ = eth80.halves(3, 4, slice(1, None), root)
    assert torch.equal(some.factors, train.factors[train.factors[:, 2] > 0])
    assert some.image_shape == (4, 4, 4)


def mask_of(factors):
    y = torch.arange(8).view(1, 8, 1)
    _, number, view = factors.T.view(3, -1, 1, 1)
    return (y <= view) & (y.transpose(1, 2) <= number)


def test_the_views_are_a_hemispheres():
    assert len(set(tars.ETH80_VIEWS)) == 41
    polar = [p for p, _ in tars.ETH80_VIEWS]
    assert [polar.count(p) for p in (0, 22, 35, 45, 66, 68, 90)] == [1, 4, 4, 4, 8, 4, 16]
    rounds = tars.ETH80_VIEWS[eth80.ROUND]
    assert {p for p, _ in rounds} == {90}
    steps = np.diff([azimuth for _, azimuth in rounds])
    assert set(steps) == {22, 23}


def test_the_real_set():
    if not (REAL / data.SOURCES["eth80"].file.path).is_file():
        pytest.skip(f"no ETH-80 in {REAL}: set MDLIB_DATA")
    data.check("eth80", REAL)
    facts = data.describe("eth80-masks", REAL)
    assert facts.image_shape == (1, 128, 128) and facts.n_train + facts.n_test == 3280

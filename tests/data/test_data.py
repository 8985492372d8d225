"""mdlib.data: the data set itself, generated data, and the four functions by name."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch

from mdlib import data
from mdlib.data import base, sprites

GRID = data.SOURCES["sprites"].grid


@pytest.fixture(scope="module")
def grid():
    return data.load("sprites", "all")


@pytest.fixture(scope="module")
def digits():
    return {split: data.load("digits", split) for split in ("train", "test", "all")}


@pytest.mark.slow
def test_import_is_light():
    heavy = "{'torchvision', 'sklearn', 'PIL', 'pandas', 'matplotlib', 'scipy', 'h5py'}"
    code = f"import sys, mdlib.data; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# Dataset


def small(**changes):
    fields = dict(
        name="tiny",
        title="Tiny",
        split="all",
        images=torch.arange(5 * 12, dtype=torch.uint8).view(5, 1, 3, 4),
        labels=torch.tensor([0, 1, 0, 1, 1]),
        class_names=("a", "b"),
        factors=torch.arange(10).view(5, 2),
        factor_names=("f", "g"),
        factor_sizes=(9, 10),
    )
    return data.Dataset(**(fields | changes))


def test_dataset_describes_itself():
    tiny = small()
    assert len(tiny) == 5
    assert tiny.image_shape == (1, 3, 4)
    assert repr(tiny) == "Tiny, all: 5 images [1, 3, 4], 2 classes, 2 factors"
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny.labels = None


@pytest.mark.parametrize(
    ("indices", "rows"),
    [
        ([3, 0], [3, 0]),
        (torch.tensor([3, 0]), [3, 0]),
        (np.array([3, 0], dtype=np.int32), [3, 0]),
        (np.broadcast_to(2, 2), [2, 2]),  # an array that may not be written to
        (slice(3, None), [3, 4]),
        ([False, True, False, False, True], [1, 4]),
        (torch.tensor([False, True, False, False, True]), [1, 4]),
        (range(2), [0, 1]),
        ([], []),
    ],
    ids=repr,
)
def test_subset_takes_the_same_rows_of_everything(indices, rows):
    part = small().subset(indices)
    assert part.factors[:, 0].tolist() == [2 * row for row in rows]
    assert part.labels.tolist() == [[0, 1, 0, 1, 1][row] for row in rows]
    assert part.images[:, 0, 0, 0].tolist() == [12 * row for row in rows]
    assert (part.name, part.class_names, part.image_shape) == ("tiny", ("a", "b"), (1, 3, 4))


def test_painted_images_are_red_on_black_and_all_else_stays():
    tiny = small()
    red = tiny.painted()
    assert red.image_shape == (3, 3, 4) and red.images.dtype == torch.uint8
    assert torch.equal(red.images[:, 0], tiny.images[:, 0]) and not red.images[:, 1:].any()
    assert repr(red).startswith("Tiny, painted, all: 5 images [3, 3, 4]")
    assert red.labels is tiny.labels and red.factors is tiny.factors and red.name == "tiny"
    with pytest.raises(ValueError, match="tiny: expected grey images"):
        red.painted()


def test_subset_refuses_rows_that_do_not_exist():
    with pytest.raises(IndexError):
        small().subset([5])


def test_to_moves_every_tensor():
    moved = small().to("meta")
    assert {moved.images.device.type, moved.labels.device.type, moved.factors.device.type} == {
        "meta"
    }
    assert small(factors=None, factor_names=(), factor_sizes=()).to("cpu").factors is None


@pytest.mark.parametrize(
    "changes",
    [
        {"images": torch.zeros(5, 1, 3, 4)},
        {"images": torch.zeros(5, 3, 4, dtype=torch.uint8)},
        {"labels": torch.zeros(5)},
        {"labels": torch.zeros(4, dtype=torch.int64)},
        {"factors": None},
        {"factors": torch.zeros(5, 2)},
        {"factors": torch.zeros(5, 3, dtype=torch.int64)},
        {"factor_sizes": (9,)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_dataset_refuses_wrong_types_and_shapes(changes):
    with pytest.raises(ValueError, match=r"^tiny: .*" + next(iter(changes))):
        small(**changes)


def test_stratified_keeps_proportions_and_never_changes():
    labels = np.repeat([0, 1, 2], [8, 4, 1])
    train, test = base.stratified(labels, 0.25)
    assert np.bincount(labels[test], minlength=3).tolist() == [2, 1, 0]
    assert sorted([*train, *test]) == list(range(13))
    assert test.tolist() == [2, 6, 11]  # pinned: a published split must stay the same


# digits


def test_digits_splits(digits):
    assert [len(digits[split]) for split in ("train", "test", "all")] == [1347, 450, 1797]
    for part in digits.values():
        assert part.image_shape == (1, 32, 32)
        assert (part.name, part.class_names) == ("digits", tuple("0123456789"))
        assert part.factors is None
    share = digits["test"].labels.bincount() / digits["all"].labels.bincount()
    assert ((share - 0.25).abs() < 0.005).all()
    rows = [{i.numpy().tobytes() for i in digits[s].images} for s in ("train", "test", "all")]
    assert rows[0] | rows[1] == rows[2]
    assert not rows[0] & rows[1]
    assert digits["test"].labels[:12].tolist() == [3, 7, 3, 6, 9, 2, 6, 0, 8, 7, 1, 0]  # pinned


def test_digits_are_enlarged_bilinearly(digits):
    from sklearn.datasets import load_digits

    # Pixel centres of the large image in the small one's coordinates, held at the border.
    at = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))  # hat functions [32, 8]
    expected = np.einsum("ia,jb,nab->nij", weights, weights, load_digits().images) * 255 / 16
    difference = digits["all"].images[:, 0].numpy() - expected
    assert np.abs(difference).max() < 0.51
    assert digits["all"].images.max() == 255
    assert digits["all"].labels.tolist() == load_digits().target.tolist()


# sprites


def test_sprites_grid_is_in_index_order(grid):
    assert len(grid) == len(GRID) == 24_576
    expected = np.array(np.unravel_index(np.arange(len(GRID)), grid.factor_sizes)).T
    assert grid.factors.dtype == torch.int64
    assert (grid.factors.numpy() == expected).all()
    assert (grid.labels == grid.factors[:, 0]).all()
    assert grid.class_names == ("square", "ellipse", "triangle")
    assert grid.factor_names == ("shape", "scale", "orientation", "x", "y")
    assert grid.factor_sizes == (3, 4, 8, 16, 16)


def test_sprites_are_all_distinct(grid):
    assert len({image.tobytes() for image in grid.images.numpy()}) == len(grid)


def test_sprites_split_is_a_fixed_partition(grid):
    rows = {s: GRID.index_of(data.load("sprites", s).factors) for s in ("train", "test")}
    assert len(rows["train"]) == 19_661
    assert sorted([*rows["train"].tolist(), *rows["test"].tolist()]) == list(range(len(grid)))
    assert rows["test"][:8].tolist() == [10, 13, 19, 28, 40, 43, 52, 53]  # pinned
    test = data.load("sprites", "test")
    assert (test.images == grid.images[rows["test"]]).all()


def test_sprites_index_and_factors_are_inverse():
    index = torch.arange(len(GRID))
    assert (GRID.index_of(GRID.factors_of(index)) == index).all()
    assert GRID.factors_of(0).tolist() == [0, 0, 0, 0, 0]
    assert GRID.factors_of(len(GRID) - 1).tolist() == [2, 3, 7, 15, 15]
    assert GRID.index_of([[0, 0, 0, 1, 2], [1, 0, 0, 0, 0]]).tolist() == [18, 8192]


def coverage(factors, size=32, samples=16):
    """The share of each pixel inside the shape, by counting samples: [size, size] in 0..1."""
    shape, scale, turn, x, y = factors
    unit = size / 32
    radius = (3 + scale) * unit
    centre = (8 + np.array([x, y]) * 16 / 15) * unit
    points = (np.arange(size * samples) + 0.5) / samples
    dx, dy = np.meshgrid(points - centre[0], points - centre[1])
    theta = np.deg2rad(turn * 90 / 8)
    along = dx * np.cos(theta) + dy * np.sin(theta)
    across = dy * np.cos(theta) - dx * np.sin(theta)
    if shape == 1:
        inside = (along / radius) ** 2 + (across / (radius / 2)) ** 2 <= 1
    else:  # a regular polygon: left of all its edges
        n = 4 if shape == 0 else 3
        corners = np.pi * (2 * np.arange(n + 1) / n + (0.25 if n == 4 else -0.5))
        px, py = radius * np.cos(corners), radius * np.sin(corners)
        inside = np.ones_like(along, dtype=bool)
        for k in range(n):
            edge = px[k + 1] - px[k], py[k + 1] - py[k]
            inside &= edge[0] * (across - py[k]) - edge[1] * (along - px[k]) >= 0
    return inside.reshape(size, samples, size, samples).mean((1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 48])
def test_sprites_agree_with_supersampling(size):
    rng = np.random.RandomState(3)
    factors = np.array([[s, r, *rng.randint((8, 16, 16))] for s in range(3) for r in range(4)] * 4)
    factors[:, 2:] = rng.randint((8, 16, 16), size=(len(factors), 3))
    images = sprites.render(torch.tensor(factors), size)
    assert images.shape == (48, 1, size, size)
    for row, image in zip(factors, images[:, 0].numpy() / 255, strict=True):
        expected = coverage(row, size)
        error = np.abs(image - expected)
        assert error.sum() < 0.03 * expected.sum(), row  # of the shape, not of all the black
        assert error.max() < 0.13, row
        assert abs(image.sum() / expected.sum() - 1) < 0.03, row


def test_sprites_edges_are_soft_and_insides_are_white(grid):
    assert ((grid.images == 255).flatten(1).any(1)).all()
    assert ((grid.images > 0) & (grid.images < 255)).flatten(1).any(1).all()
    border = torch.cat([grid.images[..., 0, :], grid.images[..., -1, :]], -1)
    assert (border == 0).all()


def test_sprites_at_another_size():
    assert data.load("sprites", "test", size=16).image_shape == (1, 16, 16)
    tiny = sprites.render([[0, 3, 0, 0, 15], [1, 0, 0, 15, 0]], size=4)
    assert tiny.shape == (2, 1, 4, 4)
    assert (tiny.flatten(1).max(1).values > 0).all()
    assert sprites.render(torch.empty(0, 5, dtype=torch.int64)).shape == (0, 1, 32, 32)


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ([[3, 0, 0, 0, 0]], "'shape' must lie in 0..2"),
        ([[0, 0, 0, 0, -1]], "'y' must lie in 0..15"),
        ([[0, 0, 0, 0]], r"5 values a row .* got shape \(1, 4\)"),
        ([0, 0, 0, 0, 0], r"must be \[N, 5\]"),
        ([[0.0, 0, 0, 0, 0]], "must be integers"),
    ],
)
def test_sprites_refuse_factors_outside_the_grid(factors, match):
    with pytest.raises(ValueError, match=match):
        sprites.render(factors)


@pytest.mark.parametrize("index", [-1, len(GRID), 0.5])
def test_sprites_refuse_an_index_outside_the_grid(index):
    with pytest.raises(ValueError, match="index"):
        GRID.factors_of(index)


# by name


# nobody publishes the files of these as they are read
BY_HAND = ("coil20", "pendulum-causalvae", "eth80", "eth80-masks", "rsscn7")


def test_names_load_check_and_status_agree(tmp_path):
    assert data.names() == (
        *("digits", "sprites", "scenes", "pendulum", "pong"),
        *("mnist", "fashion-mnist", "cifar10", "celeba"),
        *("dsprites", "shapes3d", "cars3d", "smallnorb"),
        *("mpi3d-toy", "mpi3d-realistic", "mpi3d-real"),
        *("coil20", "pendulum-causalvae"),
        *("eth80", "eth80-masks", "rsscn7"),
    )
    for name in data.names():
        status = data.status(name, tmp_path)
        assert status.name == name
        assert "\n" not in status.hint
        if name in ("digits", "sprites", "scenes", "pendulum", "pong"):
            assert (status.state, status.hint) == ("ok", "built in, nothing to fetch")
            data.check(name)
        else:
            assert status.state == "missing"
            assert str(tmp_path) in status.hint
            with pytest.raises(FileNotFoundError) as from_check:
                data.check(name, tmp_path)
            with pytest.raises(FileNotFoundError) as from_load:
                data.load(name, root=tmp_path)
            message = str(from_load.value)
            assert str(from_check.value) == message
            assert message.startswith(
                f"{name}: {'neither ' if name == 'cifar10' else ''}{tmp_path}"
            )
            for way in ("MDLIB_DATA", "--data-root", "root="):
                assert way in message
            assert ("download=True" in message) == (name not in BY_HAND)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "sprites", "scenes", "pendulum", "pong"])
def test_facts_are_those_of_the_loaded_data(name):
    facts = data.describe(name, size=16)
    for split in ("train", "test"):
        part = data.load(name, split, size=16)
        assert getattr(facts, split) == tuple(part.labels.bincount().tolist())
        assert getattr(facts, f"n_{split}") == len(part)
        assert facts.image_shape == part.image_shape
        assert (facts.title, facts.class_names) == (part.title, part.class_names)
    assert data.describe(name).image_shape == data.load(name, "test").image_shape


@pytest.mark.parametrize("function", [data.load, data.check, data.status, data.describe])
def test_unknown_name(function):
    with pytest.raises(
        ValueError, match=r"images:PATH 'fashion_mnist': did you mean 'fashion-mnist'"
    ):
        function("fashion_mnist")


def test_unknown_split():
    for function in (data.load, data.check):
        with pytest.raises(ValueError, match="split of mnist 'tests': did you mean 'test'"):
            function("mnist", split="tests")  # told even before the missing files
    with pytest.raises(ValueError, match=r"Valid: all, test, train$"):
        data.load("sprites", "valid")


@pytest.mark.parametrize("size", [0, -3, 2.5, "32"])
def test_senseless_size(size):
    with pytest.raises(ValueError, match="size must be an integer"):
        data.load("digits", size=size)


def test_size_resizes(digits):
    half = data.load("digits", "test", size=16)
    assert half.image_shape == (1, 16, 16)
    means = [part.images.float().mean((1, 2, 3)) for part in (half, digits["test"])]
    assert (means[0] - means[1]).abs().max() < 1


def test_root_is_argument_then_environment_then_cache(monkeypatch, tmp_path):
    assert data.data_root() == tmp_path / "cache" / "data"
    monkeypatch.setenv("MDLIB_DATA", str(tmp_path / "env"))
    assert data.data_root() == tmp_path / "env"
    assert data.data_root(tmp_path / "arg") == tmp_path / "arg"
    with pytest.raises(FileNotFoundError, match="env/MNIST"):
        data.load("mnist")


def test_a_new_data_set_is_one_entry(monkeypatch):
    class Dots(data.Source):
        name, title = "dots", "Dots"

        def read(self, split, root, size):
            images = torch.full((3, 1, 4, 4), 100, dtype=torch.uint8)
            labels = torch.zeros(3, dtype=torch.int64)
            return data.Dataset(self.name, self.title, split, images, labels, ("dot",))

    monkeypatch.setitem(data.SOURCES, "dots", Dots())
    assert "dots" in data.names()
    assert data.status("dots").state == "ok"
    assert data.load("dots").image_shape == (1, 4, 4)
    assert data.describe("dots") == data.Facts("dots", "Dots", (1, 4, 4), ("dot",), (3,), (3,))
    resized = data.load("dots", size=8, download=True)
    assert resized.image_shape == (1, 8, 8)
    assert (resized.images == 100).all()


@pytest.mark.slow
def test_sample_is_random_without_repetition_and_all_where_there_are_no_more():
    whole = data.load("sprites", "all")
    some = whole.sample(300, seed=1)
    assert len(some) == 300
    assert len(set(GRID.index_of(some.factors).tolist())) == 300
    assert set(some.labels.tolist()) == {0, 1, 2}  # the set itself is sorted by shape
    assert torch.equal(some.images, whole.sample(300, seed=1).images)
    assert not torch.equal(some.labels, whole.sample(300, seed=2).labels)
    assert whole.sample(len(whole)) is whole
    with pytest.raises(ValueError, match="sample of 0 rows"):
        whole.sample(0)

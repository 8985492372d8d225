"""mdlib.data.scenes: the drawn rooms, against a renderer of another kind."""

import colorsys

import numpy as np
import pytest
import torch

from mdlib import data
from mdlib.data import scenes

GRID = data.SOURCES["scenes"].grid


@pytest.fixture(scope="module")
def grid():
    return data.load("scenes", "all")


@pytest.mark.slow
def test_grid_is_in_index_order(grid):
    assert len(grid) == len(GRID) == 27_648
    expected = np.array(np.unravel_index(np.arange(len(GRID)), grid.factor_sizes)).T
    assert (grid.factors.numpy() == expected).all()
    assert grid.image_shape == (3, 32, 32)
    assert (grid.labels == grid.factors[:, 4]).all()
    assert grid.class_names == ("cube", "cylinder", "sphere", "capsule")
    assert grid.factor_names == (
        *("floor_hue", "wall_hue", "object_hue"),
        *("scale", "shape", "orientation"),
    )
    assert grid.factor_sizes == (6, 6, 6, 4, 4, 8)
    assert (GRID.index_of(GRID.factors_of(torch.arange(len(GRID)))).diff() == 1).all()


@pytest.mark.slow
def test_split_is_a_fixed_partition(grid):
    rows = {s: GRID.index_of(data.load("scenes", s).factors) for s in ("train", "test")}
    assert len(rows["train"]) == 22_118
    assert sorted([*rows["train"].tolist(), *rows["test"].tolist()]) == list(range(len(grid)))
    assert rows["test"][:8].tolist() == [10, 13, 19, 28, 40, 43, 52, 53]  # pinned
    assert (data.load("scenes", "test").images == grid.images[rows["test"]]).all()


def test_all_images_are_distinct(grid):
    assert len({image.tobytes() for image in grid.images.numpy()}) == len(grid)


@pytest.mark.slow
@pytest.mark.parametrize("factor", range(6))
def test_one_step_of_a_factor_is_always_seen(grid, factor):
    fro = grid.factors[grid.factors[:, factor] < grid.factor_sizes[factor] - 1]
    to = fro + torch.eye(6, dtype=torch.int64)[factor]
    pairs = zip(*(GRID.index_of(f).split(4096) for f in (fro, to)), strict=True)
    changed = [
        ((grid.images[a].int() - grid.images[b].int()).abs() > 16).any(1).flatten(1).sum(1)
        for a, b in pairs
    ]
    assert torch.cat(changed).min() >= 20  # of 1024 pixels, even of the smallest object


def test_a_hue_is_the_hue_of_its_surface(grid):
    places = {0: (31, 1), 1: (0, 16), 2: (18, 16)}  # row, column: floor, wall, middle of the object
    rng = np.random.RandomState(0)
    for row in rng.choice(len(grid), 200, replace=False):
        for surface, (i, j) in places.items():
            red, green, blue = grid.images[row, :, i, j].tolist()
            hue = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)[0]
            difference = (hue - int(grid.factors[row, surface]) / 6 + 0.5) % 1 - 0.5
            assert abs(difference) < 0.01, (row, surface)


# The same scene, drawn by sphere tracing: steps as long as the distance to the nearest surface.


def distance(points, shape):
    """To a body of scale 1 about the origin, at points [..., 3]."""
    x, y, z = np.moveaxis(points, -1, 0)
    if shape == 0:
        q = np.abs(points) - 0.82
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
    if shape == 1:
        q = np.stack([np.hypot(x, z) - 0.8, np.abs(y) - 0.9], -1)
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
    if shape == 3:
        y = np.sign(y) * np.maximum(np.abs(y) - 0.7, 0)
    return np.sqrt(x**2 + y**2 + z**2) - (1 if shape == 2 else 0.55)


def traced(factors, size=32, samples=4):
    """The image [size, size, 3] in 0..255 of one row of factors."""
    *hues, scale, shape, turn = factors
    scale, theta = 0.7 + 0.15 * scale, np.deg2rad(-30 + 60 * turn / 7)
    light = np.array([-0.6, 1, 0.45]) / np.linalg.norm([-0.6, 1, 0.45])
    middle = np.array([0, scale * (0.82, 0.9, 1, 1.25)[shape], 0])

    def body(points):
        return scale * distance((points - middle) / scale, shape)

    eye = np.array([4.4 * np.sin(theta), 3.1, 4.4 * np.cos(theta)])
    forward = np.array([0, 0.95, 0]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    at = 0.52 * ((np.arange(size * samples) + 0.5) * 2 / (size * samples) - 1)
    ray = forward + at[None, :, None] * right - at[:, None, None] * up
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)

    # The room: floor, right, left and back wall, as planes of points p with normal · p = offset.
    normals = np.array([[0, 1, 0], [-1, 0, 0], [1, 0, 0], [0, 0, 1]])
    slope = ray @ normals.T
    depths = np.where(slope < 0, (np.array([0, -3, -3, -3]) - normals @ eye) / slope, np.inf)
    plane = depths.argmin(-1)
    room = depths.min(-1)

    depth = np.zeros(room.shape)
    for _ in range(90):
        depth = np.minimum(depth + body(eye + depth[..., None] * ray), room)
    is_object = depth < room - 1e-3
    points = eye + depth[..., None] * ray
    step = 1e-4
    gradient = [body(points + step * e) - body(points - step * e) for e in np.eye(3)]
    normal = np.stack(gradient, -1) / (2 * step)
    cosine = np.where(is_object, normal @ light, (normals @ light)[plane])

    towards, nearest = np.full(room.shape, 0.01), np.full(room.shape, np.inf)
    for _ in range(60):
        gap = body(points + towards[..., None] * light)
        nearest, towards = np.minimum(nearest, gap), towards + np.maximum(gap, 0.01)
    shadow = ~is_object & (nearest < 1e-3)

    strength = 0.4 + 0.6 * np.where(shadow, 0, np.maximum(cosine, 0))
    paint = [(0.5, 0.85), (0.4, 1.0), (0.9, 1.0)]
    colours = np.array([colorsys.hsv_to_rgb(h / 6, *p) for h, p in zip(hues, paint, strict=True)])
    surface = np.where(is_object, 2, np.where(plane == 0, 0, 1))
    pixels = 255 * strength[..., None] * colours[surface]
    return pixels.reshape(size, samples, size, samples, 3).mean((1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("shape", range(4))
def test_agrees_with_sphere_tracing(shape):
    rows = [[2, 0, 4, 0, shape, 0], [5, 3, 1, 3, shape, 5]]
    for row, image in zip(rows, scenes.render(rows).numpy(), strict=True):
        error = np.abs(image.transpose(1, 2, 0) - traced(row))
        assert error.mean() < 1, row
        # Where an edge crosses a pixel, 9 and 16 samples may differ by a few.
        assert (error > 12).mean() < 0.02, row
        assert error.max() < 60, row


# The face of every grid


def test_rows_are_drawn_each_for_itself(grid):
    rows = torch.tensor([27_647, 3, 3, 12_345, 0])
    assert torch.equal(scenes.render(grid.factors[rows]), grid.images[rows])
    assert scenes.render(torch.empty(0, 6, dtype=torch.int64)).shape == (0, 3, 32, 32)


def test_another_size_shows_the_same(grid):
    rows = torch.arange(0, len(GRID), 1009)
    large = scenes.render(grid.factors[rows], 64)
    assert large.shape == (len(rows), 3, 64, 64)
    halved = large.float().unflatten(3, (32, 2)).unflatten(2, (32, 2)).mean((3, 5))
    assert (halved - grid.images[rows]).abs().mean() < 1
    assert data.load("scenes", "test", size=8).image_shape == (3, 8, 8)


@pytest.mark.parametrize(
    ("factors", "match"),
    [
        ([[0, 0, 0, 0, 4, 0]], "scenes: factor 'shape' must lie in 0..3"),
        ([[0, 0, -1, 0, 0, 0]], "'object_hue' must lie in 0..5"),
        ([[0, 0, 0, 0, 0]], r"6 values a row .* got shape \(1, 5\)"),
        ([0, 0, 0, 0, 0, 0], r"must be \[N, 6\]"),
        ([[0.0] * 6], "must be integers"),
    ],
)
def test_factors_outside_the_grid_are_refused(factors, match):
    with pytest.raises(ValueError, match=match):
        scenes.render(factors)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_the_same(grid):
    images = scenes.render(grid.factors.cuda())
    assert images.device.type == "cuda"
    assert (images.cpu().int() - grid.images).abs().float().mean() < 0.01

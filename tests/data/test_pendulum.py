"""mdlib.data.pendulum: the drawn scene, by closed forms and against the published program's."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mdlib import data
from mdlib.data import files, pendulum, tars

REAL = Path(os.environ.get("MDLIB_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(scope="module")
def published():
    """The 840 pictures, split all."""
    if not (REAL / data.SOURCES["pendulum-causalvae"].file.path).is_file():
        pytest.skip(f"no pictures of CausalVAE's pendulum in {REAL}: set MDLIB_DATA")
    return data.SOURCES["pendulum-causalvae"]


def test_shadows_follow_from_similar_triangles():
    causes = torch.tensor([[0.0, 45.0], [30.0, 60.0], [0.0, 89.0], [40.5, 48.0]])
    found = pendulum.shadow(causes)
    for (angle, light), (length, position) in zip(causes.tolist(), found.tolist(), strict=True):
        slope = math.tan(math.radians(light))
        end_x = 10 + 9.5 * math.sin(math.radians(angle))
        end_y = 10.5 - 9.5 * math.cos(math.radians(angle))
        on_ground = [10 - 11 / slope, end_x - (end_y + 0.5) / slope]
        assert length == pytest.approx(max(3, abs(on_ground[1] - on_ground[0])), rel=1e-4)
        assert position == pytest.approx(sum(on_ground) / 2, rel=1e-4)


def test_effects_are_nearly_linear_on_these_ranges_and_not_on_causalvaes():
    def linear(angles, lights):
        t = torch.linspace(0, 1, 40)
        causes = torch.cartesian_prod(*(low + (high - low) * t for low, high in (angles, lights)))
        shadows = pendulum.shadow(causes)
        basis = torch.cat([causes, torch.ones(len(causes), 1)], 1)
        rest = shadows - basis @ torch.linalg.lstsq(basis, shadows).solution
        return (1 - rest.var(0) / shadows.var(0)).tolist()

    t = torch.linspace(0, 1, 200)
    (low, high) = torch.tensor([pendulum.ANGLES, pendulum.LIGHTS]).T
    shadows = pendulum.shadow(low + (high - low) * torch.cartesian_prod(t, t))
    for column, known in zip(shadows.T, (pendulum.LENGTHS, pendulum.POSITIONS), strict=True):
        assert column.min() >= known[0] - 1e-3 and column.max() <= known[1]
        assert (column.min() - known[0]).abs() < 0.01 and (column.max() - known[1]).abs() < 0.01
    assert min(linear(pendulum.ANGLES, pendulum.LIGHTS)) > 0.95
    assert linear((-36, 36.9), (54, 132.3))[0] < 0.1


def test_the_set_is_a_grid_of_two_causes():
    train, test = (data.load("pendulum", split, size=16) for split in ("train", "test"))
    assert len(train) + len(test) == 4096
    assert train.factor_names == ("angle", "light") and train.factor_sizes == (64, 64)
    assert train.image_shape == (3, 16, 16) and torch.equal(train.labels, train.factors[:, 0])
    assert (train.class_names[0], train.class_names[-1]) == ("0.0°", "40.5°")
    drawn = pendulum.render(pendulum.causes_of(test.factors), 16)
    assert torch.equal(drawn, test.images)
    ends = pendulum.causes_of([[0, 0], [63, 63]])
    torch.testing.assert_close(ends, torch.tensor([[0.0, 48.0], [40.5, 88.5]]))


def test_no_two_pictures_are_equal_and_each_step_is_seen():
    factors = torch.cartesian_prod(torch.arange(0, 64, 7), torch.arange(0, 64, 7))
    images = pendulum.render(pendulum.causes_of(factors), 32).flatten(1).int()
    different = (images[:, None] - images).abs().amax(2) > 32
    assert (different | torch.eye(len(images), dtype=torch.bool)).all()


@pytest.mark.parametrize("size", [32, 96])
def test_the_shadow_is_where_it_is_said_to_be(size):
    causes = torch.tensor([[0.0, 60.0], [20.0, 70.0], [40.0, 80.0]])
    row = round((1 - (0.11 + 0.5 * 0.77 / 22)) * size - 0.5)  # of the ground
    dark = 1 - pendulum.render(causes, size)[:, 0, row].float() / 255
    x = ((torch.arange(size) + 0.5) / size - 0.125) / (0.775 / 20)
    length, position = pendulum.shadow(causes).T
    seen = dark.sum(1) / dark.amax(1) / size * 20 / 0.775
    assert (seen - length).abs().max() < 0.6 / size * 20 / 0.775  # 0.6 pixels
    torch.testing.assert_close((dark * x).sum(1) / dark.sum(1), position, atol=0.05, rtol=0)


def test_a_shadow_can_be_set_and_nothing_else_moves():
    causes = torch.tensor([[0.0, 60.0], [40.0, 80.0]])
    thrown = pendulum.shadow(causes)
    plain = pendulum.render(causes, 48)
    assert torch.equal(pendulum.render(causes, 48, shadows=thrown), plain)
    moved = pendulum.render(causes, 48, shadows=thrown + torch.tensor([0.0, 3.0]))
    changed = (moved != plain).any(1).any(2)  # rows of pixels
    ground = round((1 - (0.11 + 0.5 * 0.77 / 22)) * 48 - 0.5)
    assert changed[:, ground].all() and not changed[:, : ground - 3].any()


@pytest.mark.parametrize("variable", range(4))
def test_setting_seeing_and_changing_alone_are_three_answers(variable):
    causes = torch.tensor([[6.0, 54.0], [34.0, 78.0]])
    first = torch.cat([causes, pendulum.shadow(causes)], 1)
    done, seen, alone = pendulum.answers(causes, variable, 0.3)
    ranges = (pendulum.ANGLES, pendulum.LIGHTS, pendulum.LENGTHS, pendulum.POSITIONS)
    low, high = ranges[variable]
    others = [k for k in range(4) if k != variable]
    for answer, within in ((done, 1e-5), (alone, 1e-5), (seen, 0.01)):
        assert (answer[:, variable] - low - 0.3 * (high - low)).abs().max() <= within * (high - low)
    assert torch.equal(alone[:, others], first[:, others])
    torch.testing.assert_close(seen[:, 2:], pendulum.shadow(seen[:, :2]))  # the world has made it
    if variable < 2:
        torch.testing.assert_close(done[:, 2:], pendulum.shadow(done[:, :2]))
        assert torch.equal(done[:, 1 - variable], causes[:, 1 - variable])
        step = torch.tensor([high - low for low, high in ranges]) / 128
        assert ((seen - done).abs() < 3 * step).all(), "a cause: to see it is to set it"
    else:
        assert torch.equal(done, alone), "nothing follows an effect"
        assert (seen[:, :2] - causes).abs().amax(1).min() > 1, "its causes are other ones"


def test_the_film_has_all_three_answers_for_each_variable_and_value():
    images, sliders = pendulum.film(24)
    assert images.shape == (4, 9, 3, 4, 3, 24, 24)
    assert sliders["variable"] == (*pendulum.CAUSES, *pendulum.EFFECTS)
    assert sliders["value"][7] == 0.8
    scenes = [[6, 54], [20, 54], [20, 78], [34, 78]]
    for k in range(4):
        for n, answer in enumerate(pendulum.answers(scenes, k, 0.8)):
            drawn = pendulum.render(answer[:, :2], 24, shadows=answer[:, 2:])
            assert torch.equal(images[k, 7, n], drawn)


@pytest.mark.parametrize(
    ("variable", "share"), [(4, 0.5), (-1, 0.5), (1.0, 0.5), (True, 0.5), (0, 1.5)]
)
def test_no_variable_and_no_value_are_refused(variable, share):
    with pytest.raises(ValueError, match=r"expected a (whole )?number from 0 to [13]"):
        pendulum.answers([[0.0, 60.0]], variable, share)


@pytest.mark.parametrize("size", [2.5, -3, 0])
def test_no_size_is_refused(size):
    with pytest.raises(ValueError, match=f"size={size}: expected a whole number"):
        pendulum.render([[0.0, 60.0]], size)


@pytest.mark.parametrize("shadows", [[[5.0, 9.0]] * 2, [[0.0, 9.0]], [[5.0, math.nan]], [5.0, 9.0]])
def test_bad_shadows_are_refused(shadows):
    with pytest.raises(ValueError, match=r"shadows must be \[1, 2\] finite numbers"):
        pendulum.render([[0.0, 60.0]], shadows=shadows)


def test_shades_are_mixtures_of_white_and_the_four_shapes_colours():
    image = pendulum.render([[20.0, 60.0]], 96)[0].permute(1, 2, 0).flatten(0, 1)
    common = {tuple(colour) for colour in image.tolist()}
    assert {(255, 255, 255), (0, 0, 0), (178, 34, 34), (255, 165, 0)} <= common


@pytest.mark.parametrize(
    ("causes", "message"),
    [
        ([[0.0, 0.0]], "light of .* throws no shadow"),
        ([[0.0, 180.0]], "light of .* throws no shadow"),
        ([0.0, 60.0], r"must be \[N, 2\]"),
        ([[0.0, 60.0, 1.0]], r"must be \[N, 2\]"),
        ([[math.nan, 60.0]], "finite"),
    ],
)
def test_causes_without_a_picture_are_refused(causes, message):
    for function in (pendulum.render, pendulum.shadow):
        with pytest.raises(ValueError, match=message):
            function(causes)


@pytest.mark.slow
def test_ours_are_the_published_programs_pictures(published):
    """At its settings: 96 pixels, its angles. It rounds the shadow to pixels, and we do not."""
    drawn = data.load("pendulum-causalvae", "all", REAL)
    assert len(drawn) == 840
    angles, lights = (torch.tensor(list(grid)) * 0.9 for grid in (tars.ANGLES, tars.LIGHTS))
    causes = torch.stack([angles[drawn.factors[:, 0]], lights[drawn.factors[:, 1]]], 1)
    ours = pendulum.render(causes, 96)
    away = (ours.int() - drawn.images.int()).abs()
    upper = away[..., :78, :].float()  # all but the shadow
    assert upper.mean() < 0.3
    edges = (upper > 64).any(1).flatten(1).sum(1)
    assert edges.float().mean() < 25, "pixels that differ by a quarter, of 7 488"
    dark = [(255 - im[:, 0, 80:88].float()).sum(1) for im in (ours, drawn.images)]
    x = torch.arange(96.0)
    middles = [(d * x).sum(1) / d.sum(1) for d in dark]
    assert (middles[0] - middles[1]).abs().max() < 1, "pixels"
    ends = [[(row > 2 * 255).nonzero()[[0, -1], 0] for row in d] for d in dark]
    apart = torch.stack([(a - b).abs().max() for a, b in zip(*ends, strict=True)])
    assert apart.max() <= 1, "pixels"


def test_published_factors_are_those_of_the_closed_form(published):
    """factors.csv beside the pictures: angles in units of 0.9°, length and position."""
    table = np.genfromtxt(
        REAL / "gallery/pendulum_causalvae/factors.csv", delimiter=",", names=True,
        dtype=None, encoding="utf-8",
    )  # fmt: skip
    causes = 0.9 * torch.tensor(np.stack([table["i_pendulum"], table["j_light"]], 1))
    found = pendulum.shadow(causes)
    np.testing.assert_allclose(found[:, 0], table["shadow_length"], atol=2e-3)
    np.testing.assert_allclose(found[:, 1], table["shadow_position"], atol=2e-3)


def test_nobody_offers_the_published_pictures(tmp_path):
    with pytest.raises(OSError, match=r"nobody publishes this file.*By hand: put"):
        data.load("pendulum-causalvae", root=tmp_path, download=True)


def test_an_archive_that_is_not_whole_is_refused(tmp_path, monkeypatch):
    import io
    import tarfile

    from PIL import Image

    path = tmp_path / "some.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("train/a_-40_60_3_2.png", "train/other.txt"):
            picture = io.BytesIO()
            Image.new("RGB", (96, 96)).save(picture, "PNG")
            info = tarfile.TarInfo(name)
            info.size = len(picture.getvalue())
            picture.seek(0)
            tar.addfile(info, picture)
    source = data.SOURCES["pendulum-causalvae"]
    monkeypatch.setattr(source, "file", files.File("some.tar", "", url=""))
    with pytest.raises(data.CorruptData, match="holds 1 images, expected 840"):
        source.images("all", tmp_path, None)

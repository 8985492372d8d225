"""mdlib.data.pong: what is drawn, and the process behind it with its interventions."""

import pytest
import torch

from mdlib import data
from mdlib.data import pong

GRID = data.SOURCES["pong"].grid


@pytest.fixture(scope="module")
def moving():
    return pong.sequences(4000, 3, seed=1)


def middle(mask):
    """Centre of mass (x, y) of each image [n, height, width], in pixels."""
    x, y = (torch.arange(side) + 0.5 for side in (mask.shape[2], mask.shape[1]))
    total = mask.sum((1, 2))
    return (mask.sum(1) * x).sum(1) / total, (mask.sum(2) * y).sum(1) / total


@pytest.mark.parametrize("size", [16, 32])
def test_ball_and_paddle_are_where_the_causes_say(size):
    causes = 2 * torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) - 1
    causes[:, 0] = causes[:, 0].clamp(max=0)  # the ball does not touch the paddle
    images, side = pong.render(causes, size).float(), 11 * size // 16
    x, y = middle(images[:, 1, :, :side])
    torch.testing.assert_close(x * 16 / size, 6.75 + 2.75 * causes[:, 0], atol=0.03, rtol=0)
    torch.testing.assert_close(y * 16 / size, 8 + 4 * causes[:, 1], atol=0.03, rtol=0)
    _, y = middle(images[:, 1, :, side:])
    torch.testing.assert_close(y * 16 / size, 8 + 4 * causes[:, 2], atol=0.03, rtol=0)


def test_the_hue_is_the_balls_and_goes_from_blue_to_red():
    causes = torch.zeros(5, 4)
    causes[:, 3] = torch.linspace(-1, 1, 5)
    ball, paddle = (pong.render(causes)[..., 7, column].float() for column in (6, 13))
    share = torch.linspace(0, 255, 5).round()
    torch.testing.assert_close(
        ball, torch.stack([share, torch.full((5,), 89.0), 255 - share], 1), atol=1, rtol=0
    )
    assert (paddle == 204).all()  # white; but its edges, three pixels wide, meet in the middle


def test_drawing_in_pieces_and_of_nothing():
    causes = torch.linspace(-1, 1, 3000)[:, None].expand(-1, 4)
    images = pong.render(causes)
    assert images.dtype == torch.uint8 and images.shape == (3000, 3, 16, 16)
    assert torch.equal(images[1020:1030], pong.render(causes[1020:1030]))
    assert pong.render(torch.zeros(0, 4)).shape == (0, 3, 16, 16)


def test_a_step_without_interventions_follows_the_rule():
    _, causes, targets = pong.sequences(5000, 2, seed=0, intervened=0)
    assert not targets.any()
    rule = pong.step(causes[:, 0])
    noise = (causes[:, 1] - rule)[rule.abs() < 0.5]  # 3 deviations from where it would be held
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.15, rel=0.03)


def test_each_variable_is_driven_by_itself_and_by_its_parent_alone():
    at = torch.rand(20, 4) - 0.5
    slopes = torch.func.vmap(torch.func.jacrev(lambda c: pong.step(c[None])[0]))(at)
    driven = (slopes.abs() > 1e-6).all(0)
    names = pong.FACTOR_NAMES
    expected = torch.tensor([[c in (v, pong.PARENTS[v]) for c in names] for v in names])
    assert torch.equal(driven, expected)


def test_an_intervention_sets_one_variable_to_a_number_without_a_past(moving):
    _, causes, targets = moving
    assert targets.shape == (4000, 2, 4) and targets.sum(2).max() == 1
    share = targets.float().mean((0, 1))
    assert share.tolist() == pytest.approx([0.2] * 4, abs=0.02)
    for k in range(4):
        touched = targets[:, 0, k]
        old, new = causes[:, 0][touched], causes[:, 1, k][touched]
        both = torch.cat([old, new[:, None]], 1)
        assert torch.corrcoef(both.T)[-1, :-1].abs().max() < 0.13  # of 800 pairs, 3.6 deviations
        assert new.var().item() == pytest.approx(1 / 3, rel=0.12)
        rest = causes[:, 1, k][~touched]
        both = torch.stack([pong.step(causes[:, 0][~touched])[:, k], rest])
        assert torch.corrcoef(both)[0, 1] > 0.9


def test_sequences_are_the_causes_drawn_and_hang_on_the_seed(moving):
    images, causes, _ = moving
    assert causes.abs().max() <= 1
    assert torch.equal(images[7], pong.render(causes[7]))
    again, other = pong.sequences(50, 3, seed=1), pong.sequences(50, 3, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(again, pong.sequences(50, 3, seed=1), strict=True))
    assert not torch.equal(again[1], other[1])


def test_the_grid_by_name():
    every, test = data.load("pong", "all"), data.load("pong", "test")
    assert repr(test) == "Pong, test: 2000 images [3, 16, 16], 10 classes, 4 factors"
    assert len({image.tobytes() for image in every.images.numpy()}) == len(every) == len(GRID)
    assert torch.equal(test.images, every.images[GRID.index_of(test.factors)])
    assert torch.equal(every.images[-1:], pong.render(torch.ones(1, 4)))
    assert torch.equal(every.images[:1], pong.render(-torch.ones(1, 4)))
    assert (every.labels == every.factors[:, 3]).all()
    assert data.load("pong", "test", size=24).image_shape == (3, 24, 24)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: pong.render([[0.0, 0, 0]]), r"must be \[N, 4\] .*got \(1, 3\)"),
        (lambda: pong.render([[0.0, 0, 0, 1.2]]), r"must lie in -1..1, got \[1.2"),
        (lambda: pong.render([[0.0, 0, 0, float("nan")]]), r"must lie in -1..1, got \[nan"),
        (lambda: pong.render(torch.zeros(1, 4), size=0), "size=0: expected a whole"),
        (lambda: pong.render(torch.zeros(1, 4), size=2.5), "size=2.5: expected a whole"),
        (lambda: pong.sequences(0, 3), "n=0: expected a whole"),
        (lambda: pong.sequences(3, 1), "length=1: expected a whole"),
        (lambda: pong.process(2.5, 4), "n=2.5: expected a whole"),
        (lambda: pong.process(3, 2.5), "length=2.5: expected a whole"),
        (
            lambda: pong.sequences(3, 3, intervened=1.5),
            "intervened=1.5: expected a number from",
        ),
    ],
)
def test_what_cannot_be_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()

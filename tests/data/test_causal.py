"""Worlds of causes and effects: what they say of themselves, do(), and the closed form."""

import math

import pytest
import torch

from mdlib.data import causal, pendulum
from mdlib.registry import random_stream

WORLDS = [causal.Simulation(), causal.Pendulum(size=8)]


@pytest.fixture(params=WORLDS, ids=lambda world: type(world).__name__)
def world(request):
    return request.param


def test_factors_are_in_range_and_effects_move_as_the_signs_say(world):
    x, y, noise = world.draw(500, random_stream(0))
    assert y.min() >= 0 and y.max() <= 1 and len(x) == 500 and y.shape == noise.shape == (500, 4)
    assert len(world.names) == 4 and torch.equal(world.factors(noise), y)
    for k in range(2):
        low, high = (world.factors(noise, {k: v}) for v in (0.4, torch.full((500,), 0.6)))
        assert torch.equal(low[:, 1 - k], y[:, 1 - k]) and (low[:, k] == 0.4).all()
        assert torch.equal((high - low)[:, 2:].mean(0).sign(), world.A[k].sign().float())


def test_confounding_ties_causes_and_leaves_each_as_it_is(world):
    tied, free = (world.draw(2000, random_stream(0), c)[1] for c in (0.8, 0.0))
    assert torch.corrcoef(tied[:, :2].T)[0, 1] > 0.7
    assert torch.corrcoef(free[:, :2].T)[0, 1].abs() < 0.07
    torch.testing.assert_close(tied[:, 1].mean(), free[:, 1].mean(), atol=0.03, rtol=0)
    torch.testing.assert_close(tied[:, 1].std(), free[:, 1].std(), atol=0.03, rtol=0)


def test_the_simulations_covariance_is_that_of_its_logits():
    world = causal.Simulation()
    _, y, _ = world.draw(200_000, random_stream(1))
    torch.testing.assert_close(
        torch.cov(y.logit().T).double(), world.covariance(), atol=0.02, rtol=0
    )


def test_the_pendulums_factors_are_those_of_its_pictures():
    y = torch.tensor([[0.0, 0.0, 0, 0], [1.0, 1.0, 0, 0], [0.2, 0.7, 0, 0]])
    ends = torch.tensor([[0.0, 48.0], [40.5, 88.5], [8.1, 76.35]])
    torch.testing.assert_close(pendulum.degrees(y[:, :2]), ends)
    low, high = torch.tensor([pendulum.LENGTHS, pendulum.POSITIONS]).T
    shadow = low + (high - low) * pendulum.effects(y[:, :2])
    torch.testing.assert_close(shadow, pendulum.shadow(ends))
    seen = causal.Pendulum(size=8).observe(y).view(3, 8, 8)
    grey = pendulum.render(ends, 8).float().mean(1)
    torch.testing.assert_close((seen + 1) * 127.5, grey, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: WORLDS[0].factors(torch.zeros(2, 4), {2: 0.5}),
            "cause=2: expected a whole number from 0",
        ),
        (lambda: WORLDS[0].factors(torch.zeros(2, 4), {True: 0.5}), "cause=True: expected a whole"),
        (lambda: WORLDS[0].factors(torch.zeros(2, 4), {1.0: 0.5}), r"cause=1\.0: expected a whole"),
        (lambda: WORLDS[0].factors(torch.zeros(2, 4), {0: 1.5}), r"factor 0 is set to \[1.5\]"),
        (
            lambda: WORLDS[1].factors(torch.zeros(2, 4), {1: torch.tensor([0.5, math.nan])}),
            r"factor 1 is set to \[nan\]",
        ),
        (lambda: WORLDS[0].draw(5, random_stream(0), 1.0), "confounding=1.0"),
        (lambda: WORLDS[0].draw(0, random_stream(0)), "n=0"),
        (lambda: causal.Pendulum(size=4), "size=4"),
    ],
)
def test_wrong_numbers_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()

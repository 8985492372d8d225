"""Pong: a ball and a paddle with known causes, as pictures and as sequences with interventions.

In the manner of Interventional Pong (P. Lippe et al., CITRIS, 2022, github.com/phlippe/CITRIS), but
with rules of our own, of four variables in [-1, 1]: the ball's place, the paddle's height, the
ball's hue. Nothing is played: each variable follows its own last value and one other variable.

    pong.render(causes)                                     # uint8 [N, 3, 16, 16]
    images, causes, targets = pong.sequences(8000, 4, seed=0)
    data.load("pong")                                       # a grid of the causes, without time
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from mdlib.checks import check_share, check_whole, need
from mdlib.data.grid import DrawnGrid, Grid
from mdlib.registry import random_stream

FACTOR_NAMES = ("ball_x", "ball_y", "paddle", "hue")
# What each variable follows beside its own last value: ball_x the hue, ball_y ball_x, and so on.
PARENTS = {"ball_x": "hue", "ball_y": "ball_x", "paddle": "ball_y", "hue": "paddle"}

_GRID = Grid("pong", FACTOR_NAMES, (10, 10, 10, 10))  # 10 000 images

# Geometry in the pixels of a 16×16 image; other sizes scale it. x grows to the right, y downwards.
_SIDE = 16
_RADIUS, _BALL_X = 2.5, (4.0, 9.5)  # of the ball; its middle's x for causes of -1 and of 1
_PADDLE, _HALF_WIDTH, _HALF_HEIGHT = 13.4, 1.0, 2.5  # its middle's x; it reaches so far from there
_HEIGHTS = (4.0, 12.0)  # of the middle of either
_EDGE = 3.0  # wide are edges: soft ones are what small networks learn in a minute
_CHUNK = 1024  # images at once

_NOISE = 0.15  # of a step; what would leave [-1, 1] stays at its end
_BURN_IN = 25  # steps before the first frame: nothing is left of where they started


def render(
    causes: Sequence[Sequence[float]] | Tensor, size: int = _SIDE
) -> UInt8[Tensor, "images 3 size size"]:
    """Draw ball and paddle with soft edges.

    Args:
        causes: real numbers [N, 4] in the order of FACTOR_NAMES, each in -1..1.
        size: side of the images in pixels; everything scales with it.
    Returns:
        uint8 [N, 3, size, size], RGB: black, a white paddle, and before it a ball whose colour goes
        from blue (hue -1) to red (hue 1).
    Raises:
        ValueError: wrong shape of `causes`, or a value that is out of range or no number.
    """
    check_whole(1, size=size)
    causes = torch.as_tensor(causes, dtype=torch.float32)
    need(
        causes.ndim == 2 and causes.shape[1] == len(FACTOR_NAMES),
        f"pong: causes must be [N, 4] ({', '.join(FACTOR_NAMES)}), got {tuple(causes.shape)}",
    )
    outside = causes[~(causes.abs() <= 1)]
    need(not len(outside), f"pong: causes must lie in -1..1, got {outside[:3].tolist()}")
    images = torch.empty(len(causes), 3, size, size, dtype=torch.uint8, device=causes.device)
    for start in range(0, len(causes), _CHUNK):
        images[start : start + _CHUNK] = _draw(causes[start : start + _CHUNK], size)
    return images


def _draw(causes: Tensor, size: int) -> Tensor:
    centres = (torch.arange(size, device=causes.device) + 0.5) * (_SIDE / size)
    x, y, paddle, hue = ((c + 1)[:, None, None] / 2 for c in causes.T)  # 0..1
    x, y, paddle = (
        low + t * (high - low)
        for t, (low, high) in zip((x, y, paddle), (_BALL_X, _HEIGHTS, _HEIGHTS), strict=True)
    )
    dx, dy = centres[None, None, :], centres[None, :, None]

    def inside(distance: Tensor) -> Tensor:
        return (0.5 - distance / _EDGE).clamp(0, 1)

    ball = inside(torch.hypot(dx - x, dy - y) - _RADIUS)[:, None]
    across, along = (dx - _PADDLE).abs() - _HALF_WIDTH, (dy - paddle).abs() - _HALF_HEIGHT
    white = (inside(across) * inside(along))[:, None]
    colour = torch.stack([hue, torch.full_like(hue, 0.35), 1 - hue], 1)
    return ((ball * colour + (1 - ball) * white) * 255).round_().to(torch.uint8)


def sequences(
    n: int, length: int, seed: int = 0, intervened: float = 0.8, size: int = _SIDE
) -> tuple[
    UInt8[Tensor, "n length 3 size size"],
    Float32[Tensor, "n length 4"],
    Bool[Tensor, "n steps 4"],
]:
    """Frames [n, length, 3, size, size] of `process`, and what that gives: causes and targets."""
    causes, targets = process(n, length, seed, intervened)
    images = render(causes.flatten(0, 1), size).unflatten(0, (n, length))
    return images, causes, targets


def process(
    n: int, length: int, seed: int = 0, intervened: float = 0.8
) -> tuple[Float32[Tensor, "n length 4"], Bool[Tensor, "n steps 4"]]:
    """Causes over time, one of which is now and then set from outside.

    A step is C' = step(C) + normal noise, and what would leave [-1, 1] stays at its end. With
    probability `intervened` one of the four variables, each as often as the others, is then set to
    a number that is uniform in [-1, 1] and knows nothing of the past.

    Args:
        n, length: so many sequences of so many frames; they start where the process has settled.
        seed: of all that is random.
        intervened: probability that a step sets one of the variables, 0 to 1.
    Returns:
        Causes, in the order of FACTOR_NAMES; and targets [n, length - 1, 4]: whether the variable's
        value in frame t + 1 was set from outside.
    Raises:
        ValueError: a number out of its range.
    """
    check_whole(1, n=n)
    check_whole(2, length=length)
    check_share(intervened=intervened)
    g, k = random_stream(seed), len(FACTOR_NAMES)

    def uniform() -> Tensor:
        return 2 * torch.rand(n, k, generator=g) - 1

    causes, targets = [uniform()], []
    for _ in range(_BURN_IN + length - 1):
        free = step(causes[-1]) + _NOISE * torch.randn(n, k, generator=g)
        chosen = torch.rand(n, 1, generator=g) < intervened
        which = torch.randint(k, (n, 1), generator=g) == torch.arange(k)
        targets.append(chosen & which)
        causes.append(torch.where(targets[-1], uniform(), free.clamp(-1, 1)))
    return torch.stack(causes[-length:], 1), torch.stack(targets[1 - length :], 1)


def step(causes: Float32[Tensor, "n 4"]) -> Float32[Tensor, "n 4"]:
    """Where the causes [N, 4] go next, without noise: the edges are PARENTS."""
    x, y, paddle, hue = causes.T
    return torch.stack(
        [
            0.75 * x + 0.3 * (2 * hue).tanh(),
            0.75 * y + 0.3 * (2 * x).sin(),
            0.7 * paddle + 0.35 * y,
            0.75 * hue + 0.3 * (2 * paddle).tanh(),
        ],
        1,
    )


class Pong(DrawnGrid):
    """All combinations of ten values of each cause, from -1 to 1; labels are the hues."""

    name = "pong"
    title = "Pong"
    grid = _GRID
    label, class_names = "hue", tuple(f"hue {k}" for k in range(10))
    image_shape = (3, _SIDE, _SIDE)

    def draw(self, factors: Tensor, size: int) -> Tensor:
        return render(factors * (2 / 9) - 1, size)

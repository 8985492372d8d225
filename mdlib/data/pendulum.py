"""Pendulum: a ball on a rod, a sun, and the shadow of both on the ground, which they cause.

Two causes, the pendulum's angle and the light's, and two effects that follow from them, the length
of the shadow and its position. The scene is that of CausalVAE (M. Yang et al., CVPR 2021), on the
ranges of DEAR (X. Shen et al., arXiv:2010.02637): there the effects are nearly linear in the
causes, where on CausalVAE's the length is V-shaped and often at its least. It is drawn here, by
tensors, and no file is needed; `pendulum-causalvae` reads pictures of the published program.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mdlib.checks import as_tensor, check_share, check_whole, need
from mdlib.data.grid import DrawnGrid, Grid

CAUSES, EFFECTS = ("angle", "light"), ("length", "position")
ANGLES, LIGHTS = (0.0, 40.5), (48.0, 88.5)  # degrees: DEAR's ranges
LENGTHS, POSITIONS = (3.0, 12.68), (4.37, 12.90)  # which shadows have on these

_STEPS = 64
_GRID = Grid("pendulum", CAUSES, (_STEPS, _STEPS))  # 4096 images

# The scene, in its own units: x from 0 to 20, y from -1 to 21, upwards.
_PIVOT = (10.0, 10.5)
_ROD, _BALL, _SUN = 8.0, 1.5, 3.0  # a length, two radii
_SUN_Y, _GROUND = 20.5, -0.5
_SHORTEST = 3.0  # length of a shadow
# Where it is in a picture of side 1: its lower left corner, and a unit of x and y. Matplotlib's
# margins; a unit of x is longer than one of y, so circles are drawn as ellipses.
_LEFT, _BOTTOM, _UNIT = 0.125, 0.11, (0.775 / 20, 0.77 / 22)
_LINE = 3 / 72  # width of rod and shadow
_EDGE = 0.5 / 72  # round ball and sun
_RED, _ORANGE, _BLACK = (178, 34, 34), (255, 165, 0), (0, 0, 0)

_SIDE = 64
_CHUNK = 256  # images at once: the working set stays small


def shadow(causes: Sequence[Sequence[float]] | Tensor) -> Float[Tensor, "images 2"]:
    """Length and position (of the middle) of the shadow, in units of the scene.

    Args:
        causes: [N, 2], angle of the pendulum and of the light, in degrees.
    Returns:
        float32 [N, 2]. The shadow is that of pivot and ball, and never shorter than 3.
    Raises:
        ValueError: as `render`.
    """
    angle, light = _checked(causes).deg2rad().T
    ends = torch.stack([_falls(light, *_along(angle, far)) for far in (0.0, _ROD + _BALL)])
    return torch.stack([(ends[1] - ends[0]).abs().clamp(min=_SHORTEST), ends.mean(0)], 1)


def render(
    causes: Sequence[Sequence[float]] | Tensor,
    size: int = _SIDE,
    shadows: Sequence[Sequence[float]] | Tensor | None = None,
) -> UInt8[Tensor, "images 3 size size"]:
    """Draw pendulums, anti-aliased, by the signed distance of each pixel to four shapes' edges.

    Args:
        causes: [N, 2], angle of the pendulum and of the light, in degrees.
        size: side of the images in pixels; the scene scales with it.
        shadows: [N, 2], length and position, in the place of those that the causes throw: what no
            light does, an intervention on an effect does.
    Returns:
        uint8 [N, 3, size, size], RGB on white.
    Raises:
        ValueError: `causes` are not [N, 2] finite numbers, or a light is not above 0° and below
            180°, where it would throw no shadow on the ground; `shadows` are not as many, finite,
            and of positive length; `size` is no whole number above 0.
    """
    check_whole(1, size=size)
    causes = _checked(causes)
    thrown = shadow(causes) if shadows is None else as_tensor(shadows, "shadows").float()
    need(
        thrown.shape == causes.shape and bool(thrown.isfinite().all() & (thrown[:, 0] > 0).all()),
        f"pendulum: shadows must be [{len(causes)}, 2] finite numbers (length, position), lengths"
        f" above 0, got {thrown[:2].tolist()} … of shape {tuple(thrown.shape)}",
    )
    thrown = thrown.to(causes)
    images = torch.empty(len(causes), 3, size, size, dtype=torch.uint8, device=causes.device)
    for start in range(0, len(causes), _CHUNK):
        rows = slice(start, start + _CHUNK)
        images[rows] = (_draw(causes[rows], thrown[rows], size) * 255).round_().to(torch.uint8)
    return images


def degrees(causes: Float[Tensor, "images 2"]) -> Float[Tensor, "images 2"]:
    """Angles of pendulum and light for causes [N, 2] from 0 to 1, the ends of ANGLES and LIGHTS."""
    low, high = torch.tensor([ANGLES, LIGHTS], device=causes.device).T
    return low + (high - low) * causes


def effects(causes: Float[Tensor, "images 2"]) -> Float[Tensor, "images 2"]:
    """Length and position of the shadow for causes [N, 2] from 0 to 1, on LENGTHS and POSITIONS as
    0 to 1."""
    low, high = torch.tensor([LENGTHS, POSITIONS], device=causes.device).T
    return (shadow(degrees(causes)) - low) / (high - low)


def answers(
    causes: Sequence[Sequence[float]] | Tensor, variable: int, share: float
) -> Float[Tensor, "3 images 4"]:
    """What becomes of scenes when one of their variables gets another value, in three ways.

    First by an intervention: effects follow a cause that is set, and nothing follows an effect.
    Then by looking for it: of all scenes with this value (within a hundredth of its range, from a
    grid of 129 × 129) the one whose causes are nearest to each, in units of their ranges. Last the
    value alone, all else as it was.

    Args:
        causes: [N, 2], of the scenes, in degrees.
        variable: 0 to 3, of CAUSES and EFFECTS.
        share: where on the variable's range the value is, 0 to 1.
    Returns:
        [3, N, 4]: causes in degrees; length and position of the shadow, for `render`'s shadows.
    Raises:
        ValueError: a number out of its range, a variable that is no whole number; causes as in
            `render`.
    """
    check_whole(0, 3, variable=variable)
    check_share(share=share)
    causes = _checked(causes)
    first = torch.cat([causes, shadow(causes)], 1)
    low, high = torch.tensor([ANGLES, LIGHTS, LENGTHS, POSITIONS]).T
    alone = first.clone()
    alone[:, variable] = torch.lerp(low, high, share)[variable]
    done = alone.clone()
    if variable < 2:
        done[:, 2:] = shadow(done[:, :2])
    every = degrees(torch.cartesian_prod(*[torch.linspace(0, 1, 129)] * 2))
    every = torch.cat([every, shadow(every)], 1)
    off = (every - alone[0]).abs()[:, variable] / (high - low)[variable]
    every = every[off <= max(0.01, off.min().item())]
    ranges = (high - low)[:2]
    seen = every[torch.cdist(causes / ranges, every[:, :2] / ranges).argmin(1)]
    return torch.stack([done, seen, alone])


def film(
    size: int = _SIDE,
) -> tuple[UInt8[Tensor, "4 9 3 4 3 size size"], dict[str, Sequence]]:
    """The three `answers` for each variable at nine places on its range, in four scenes, as
    pictures; and what the first two dimensions are: `mdlib.figures.explorable.film` takes both."""
    scenes = [[6, 54], [20, 54], [20, 78], [34, 78]]  # degrees
    variables, shares = (*CAUSES, *EFFECTS), [n / 10 for n in range(1, 10)]
    found = torch.stack([answers(scenes, k, s) for k in range(len(variables)) for s in shares])
    images = render(found[..., :2].flatten(0, 2), size, shadows=found[..., 2:].flatten(0, 2))
    shape = (len(variables), len(shares), *found.shape[1:3])
    return images.unflatten(0, shape), {"variable": variables, "value": shares}


def _checked(causes: Sequence[Sequence[float]] | Tensor) -> Tensor:
    causes = as_tensor(causes, "causes").float()
    need(
        causes.ndim == 2 and causes.shape[1] == 2 and bool(causes.isfinite().all()),
        f"pendulum: causes must be [N, 2] finite angles in degrees (angle, light), got shape"
        f" {tuple(causes.shape)}",
    )
    light = causes[:, 1]
    bad = light[(light <= 0) | (light >= 180)]
    need(
        not len(bad),
        f"pendulum: a light of {bad[:1].tolist()} degrees throws no shadow on the ground, expected"
        " one above 0 and below 180",
    )
    return causes


def _along(angle: Tensor, far: float) -> tuple[Tensor, Tensor]:
    """The point of the pendulum at a distance from its pivot, for angles [N]: x and y, [N] each."""
    return _PIVOT[0] + far * angle.sin(), _PIVOT[1] - far * angle.cos()


def _falls(light: Tensor, x: Tensor, y: Tensor, onto: float = _GROUND) -> Tensor:
    """Where the ray of light through a point meets the height `onto`: x, [N]."""
    return x + (onto - y) / light.tan()


def _draw(causes: Tensor, shadows: Tensor, size: int) -> Tensor:
    """Values 0..1, [n, 3, size, size], for causes [n, 2] and shadows [n, 2]."""
    angle, light = causes.deg2rad().T
    length, middle = shadows.T
    pixels = (torch.arange(size, device=causes.device) + 0.5) / size
    at = (pixels, (1 - pixels)[:, None])
    ground, pivot = torch.full_like(middle, _GROUND), [torch.full_like(angle, p) for p in _PIVOT]
    centre = _along(angle, _ROD)
    sun = _falls(light, *pivot, onto=_SUN_Y), torch.full_like(light, _SUN_Y)
    ends = [(middle - length / 2, ground), (middle + length / 2, ground)]
    layers = [  # from the back to the front
        (_BLACK, _line(at, pivot, centre)),
        (_RED, _disc(at, centre, _BALL)),
        (_ORANGE, _disc(at, sun, _SUN)),
        (_BLACK, _line(at, *ends)),
    ]
    window = _window(at)
    image = torch.ones(len(causes), 3, size, size, device=causes.device)
    for colour, distance in layers:
        inside = (0.5 - torch.maximum(distance, window) * size).clamp_(0, 1)
        for channel, value in enumerate(colour):
            image[:, channel].lerp_(torch.full_like(inside, value / 255), inside)
    return image


# Signed distances [n, h, w], negative inside, of pixels at (x [w], y [h, 1]) in a picture of side
# 1; points are (x [n], y [n]) in units of the scene.


def _placed(point: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    x, y = (part[:, None, None] for part in point)
    return _LEFT + x * _UNIT[0], _BOTTOM + (y + 1) * _UNIT[1]


def _disc(at: tuple[Tensor, Tensor], centre: Sequence[Tensor], radius: float) -> Tensor:
    """To first order f/|∇f| of f = |(u/a, v/b)| - 1, exact on the edge itself."""
    x, y = _placed(centre)
    a, b = radius * _UNIT[0] + _EDGE, radius * _UNIT[1] + _EDGE
    u, v = (at[0] - x) / a, (at[1] - y) / b
    f = torch.hypot(u, v)
    return f * (f - 1) / torch.hypot(u / a, v / b).clamp(min=1e-6)


def _line(at: tuple[Tensor, Tensor], fro: Sequence[Tensor], to: Sequence[Tensor]) -> Tensor:
    """A rectangle that ends where the line does, of width _LINE."""
    (x, y), (x1, y1) = _placed(fro), _placed(to)
    length = torch.hypot(x1 - x, y1 - y)
    cos, sin = (x1 - x) / length, (y1 - y) / length
    u, v = at[0] - (x + x1) / 2, at[1] - (y + y1) / 2
    return torch.maximum(
        (cos * u + sin * v).abs() - length / 2, (cos * v - sin * u).abs() - _LINE / 2
    )


def _window(at: tuple[Tensor, Tensor]) -> Tensor:
    """What lies outside of the scene is not drawn. [h, w]."""
    half_x, half_y = 10 * _UNIT[0], 11 * _UNIT[1]
    x, y = at[0] - (_LEFT + half_x), at[1] - (_BOTTOM + half_y)
    return torch.maximum(x.abs() - half_x, y.abs() - half_y)


def causes_of(factors: Sequence[Sequence[int]] | Tensor) -> Float[Tensor, "images 2"]:
    """Degrees [N, 2] for factors [N, 2] of the data set; ValueError as in `Grid.checked`."""
    return degrees(_GRID.checked_rows(factors) / (_STEPS - 1))


class Pendulum(DrawnGrid):
    """64×64 angles of pendulum and light; labels are the pendulum's.

    The effects are not among the factors: they are no free choice, and `shadow(causes_of(factors))`
    has them.
    """

    name = "pendulum"
    title = "Pendulum"
    grid = _GRID
    label = "angle"
    class_names = tuple(
        f"{ANGLES[0] + (ANGLES[1] - ANGLES[0]) * k / (_STEPS - 1):.1f}°" for k in range(_STEPS)
    )
    image_shape = (3, _SIDE, _SIDE)

    def draw(self, factors: Tensor, size: int) -> Tensor:
        return render(causes_of(factors), size)

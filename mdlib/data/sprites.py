"""Sprites: one white shape on black, made from five known factors, every combination once.

In the manner of dSprites (L. Matthey et al., 2017, github.com/google-deepmind/dsprites-dataset),
but generated, small enough to render in seconds, with soft edges, and without its ambiguities: all
orientations lie in [0°, 90°), less than the period of every shape, so no two images are equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from mdlib.data.grid import DrawnGrid, Grid

FACTOR_NAMES = ("shape", "scale", "orientation", "x", "y")
_GRID = Grid("sprites", FACTOR_NAMES, (3, 4, 8, 16, 16))  # 24 576 images

# Geometry in the pixels of a 32×32 image; other sizes scale it. x grows to the right, y downwards.
_SIDE = 32
_RADII = torch.linspace(3, 6, 4)  # of the circumscribed circle
_ANGLES = torch.arange(8) * (math.pi / 2 / 8)  # from 0° in steps of 11.25°
_CENTRES = torch.linspace(8, 24, 16)
_SAMPLES = 2  # a pixel is the mean of 2×2 samples, each with a ramp of its own (half a pixel) width
_CHUNK = 256  # images at once: the working set stays in the processor's cache


def render(
    factors: Sequence[Sequence[int]] | Tensor,
    size: int = _SIDE,
) -> UInt8[Tensor, "images 1 size size"]:
    """Draw sprites, anti-aliased, by the signed distance of each sample to the shape's edge.

    Args:
        factors: integers [N, 5] in the order of FACTOR_NAMES.
        size: side of the images in pixels; the shapes scale with it.
    Returns:
        uint8 [N, 1, size, size]: 255 inside, 0 outside, linear across the edge.
    Raises:
        ValueError: wrong shape or type of `factors`, or a value outside its factor's range.
    """
    factors = _GRID.checked_rows(factors)
    images = torch.empty(len(factors), 1, size, size, dtype=torch.uint8, device=factors.device)
    for start in range(0, len(factors), _CHUNK):
        images[start : start + _CHUNK, 0] = _draw(factors[start : start + _CHUNK], size)
    return images


def _draw(factors: Tensor, size: int) -> Tensor:
    """uint8 [n, size, size] for factors [n, 5]."""
    n, device, scale = len(factors), factors.device, size / _SIDE
    shape, radius, angle, x, y = factors.T
    radius = (_RADII.to(device) * scale)[radius][:, None, None]
    cos, sin = (t.to(device)[angle][:, None, None] for t in (_ANGLES.cos(), _ANGLES.sin()))
    x, y = (_CENTRES.to(device) * scale)[torch.stack([x, y])]

    # Only a window around each shape is computed; `left` and `top` are its first pixels.
    half = math.ceil(float(_RADII.max()) * scale + 0.5) + 1
    left, top = x.floor().long() - half, y.floor().long() - half
    samples = (torch.arange(2 * half * _SAMPLES, device=device) + 0.5) / _SAMPLES
    dx = (samples + (left - x)[:, None])[:, None, :]
    dy = (samples + (top - y)[:, None])[:, :, None]
    u, v = cos * dx + sin * dy, cos * dy - sin * dx  # the sample in the shape's own axes

    distance = torch.empty_like(u)
    for number, signed_distance in enumerate((_square, _ellipse, _triangle)):
        rows = shape == number
        if rows.any():
            distance[rows] = signed_distance(u[rows], v[rows], radius[rows])
    inside = (0.5 - distance * _SAMPLES).clamp_(0, 1)
    pixels = inside.view(n, 2 * half, _SAMPLES, 2 * half, _SAMPLES).mean((2, 4))

    # A margin of `half` pixels lets every window lie inside, however small the image.
    image = torch.zeros(n, size + 2 * half, size + 2 * half, dtype=torch.uint8, device=device)
    span = torch.arange(2 * half, device=device) + half
    which = torch.arange(n, device=device)[:, None, None]
    rows, columns = (top[:, None] + span)[:, :, None], (left[:, None] + span)[:, None, :]
    image[which, rows, columns] = (pixels * 255).round_().to(torch.uint8)
    return image[:, half : half + size, half : half + size]


# Signed distances: negative inside, in pixels; u, v [n, h, w], circumscribed radius r [n, 1, 1].


def _square(u: Tensor, v: Tensor, r: Tensor) -> Tensor:
    a, b = u.abs() - r / math.sqrt(2), v.abs() - r / math.sqrt(2)
    outside = torch.hypot(a.clamp(min=0), b.clamp(min=0))
    return outside + torch.maximum(a, b).clamp(max=0)


def _ellipse(u: Tensor, v: Tensor, r: Tensor) -> Tensor:
    """Axes r and r/2. To first order f/|∇f| of f = |(u/a, v/b)| - 1, exact on the edge itself."""
    a, b = 1 / r, 2 / r
    f = torch.hypot(u * a, v * b)
    slope = torch.hypot(u * a**2, v * b**2)  # f · |∇f|
    return f * (f - 1) / slope.clamp(min=1e-12) - (f == 0) * r / 2


def _triangle(u: Tensor, v: Tensor, r: Tensor) -> Tensor:
    """One corner at (0, -r). The distance to the nearest side's line: straight at the corners."""
    u = u.abs() * (math.sqrt(3) / 2)  # mirrored, so that two slanted sides are one
    return torch.maximum(v, u - v / 2) - r / 2


class Sprites(DrawnGrid):
    """The full grid; labels are the shapes."""

    name = "sprites"
    title = "Sprites"
    grid = _GRID
    label, class_names = "shape", ("square", "ellipse", "triangle")
    image_shape = (1, _SIDE, _SIDE)

    draw = staticmethod(render)

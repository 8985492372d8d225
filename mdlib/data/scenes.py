"""Scenes: one object in a room, made from six known factors, every combination once.

In the manner of 3D Shapes (C. Burgess and H. Kim, 2018, github.com/google-deepmind/3d-shapes), but
drawn here, by ray casting: hues of the floor, the wall and the object (6 each), scale (4), shape
(4) and orientation (8). That makes 27 648 images, 85 MB at 32×32: about as many as `sprites` has,
so whatever two CPU cores can train on the one they can train on the other.

The orientation is the camera's, which moves round the object as in 3D Shapes: the corners of the
room move, the shadow turns, and another side of the object is lit. So it is seen for every shape.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mdlib.data.grid import DrawnGrid, Grid

FACTOR_NAMES = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
_GRID = Grid("scenes", FACTOR_NAMES, (6, 6, 6, 4, 4, 8))  # 27 648 images

# The room: x to the right, y up, z to the front. The object stands at x = z = 0 on the floor y = 0,
# the walls are at x = ±_WALL and z = -_WALL, and there is no front wall: the camera stands there.
_WALL = 3.0
_SCALES = torch.linspace(0.7, 1.15, 4)
_ANGLES = torch.linspace(-30, 30, 8).deg2rad()
_EYE_HEIGHT, _EYE_DISTANCE, _TARGET_HEIGHT = 3.1, 4.4, 0.95  # where from and where to it looks
_FIELD = 0.52  # tangent of half the angle of view
_LIGHT = F.normalize(torch.tensor([-0.6, 1.0, 0.45]), dim=0)  # towards it: three walls, three greys
_AMBIENT = 0.4  # the light of what is in shadow; full light is 1
# Saturation and value. They differ, so the object is seen even before a wall of its own hue.
_FLOOR, _WALLS, _OBJECT = (0.5, 0.85), (0.4, 1.0), (0.9, 1.0)

# Shapes at scale 1: half an edge; radius and half the height; radius and half the straight part.
_CUBE, _CYLINDER, _CAPSULE = 0.82, (0.8, 0.9), (0.55, 0.7)
_HALF_HEIGHTS = torch.tensor([_CUBE, _CYLINDER[1], 1.0, sum(_CAPSULE)])

_SIDE = 32
_SAMPLES = 3  # a pixel is the mean of 3×3 rays
_ROOMS, _IMAGES = 16, 256  # at once: the working set stays small
_FAR = 1e9  # beyond everything


def render(
    factors: Sequence[Sequence[int]] | Tensor,
    size: int = _SIDE,
) -> UInt8[Tensor, "images 3 size size"]:
    """Draw scenes, anti-aliased, by the exact meeting points of rays with the room and the object.

    The hues change no ray. So each room that occurs (scale, shape, orientation) is cast once, into
    three maps that say how much light comes from its floor, its walls and its object, and an image
    is the sum of the three colours weighted by the maps.

    Args:
        factors: integers [N, 6] in the order of FACTOR_NAMES.
        size: side of the images in pixels; the view stays the same.
    Returns:
        uint8 [N, 3, size, size], RGB.
    Raises:
        ValueError: wrong shape or type of `factors`, or a value outside its factor's range.
    """
    factors = _GRID.checked_rows(factors)
    rooms, room = factors[:, 3:].unique(dim=0, return_inverse=True)
    maps = torch.cat([_light(part, size) for part in rooms.split(_ROOMS)])
    palette = _palette().to(factors.device)
    surface = torch.arange(3, device=factors.device)
    images = torch.empty(len(factors), 3, size, size, dtype=torch.uint8, device=factors.device)
    for start in range(0, len(factors), _IMAGES):
        rows = slice(start, start + _IMAGES)
        colours = palette[surface, factors[rows, :3]]  # [n, surface, rgb]
        pixels = torch.einsum("nsc,nshw->nchw", colours, maps[room[rows]])
        images[rows] = (pixels * 255).round_().to(torch.uint8)
    return images


def _palette() -> Tensor:
    """RGB in 0..1 of each hue of floor, walls and object: [3, 6, 3]."""
    hues = [k / 6 for k in range(6)]
    return torch.tensor(
        [[colorsys.hsv_to_rgb(h, *surface) for h in hues] for surface in (_FLOOR, _WALLS, _OBJECT)]
    )


def _light(rooms: Tensor, size: int) -> Tensor:
    """Light from floor, walls and object, float32 [G, 3, size, size], for [G, 3] factors."""
    scale, shape, angle = rooms.T
    scale = _SCALES.to(rooms.device)[scale][:, None, None]
    towards_light = _LIGHT.to(rooms.device)
    eye, rays = _rays(_ANGLES.to(rooms.device)[angle], size)

    room_depth, room_light, is_floor = _meet_room(eye, rays, towards_light)
    points = eye + room_depth[..., None] * rays

    # A body is met in its own coordinates: its middle is the origin, its scale is 1.
    middle = scale * _HALF_HEIGHTS.to(rooms.device)[shape][:, None, None]
    eye, points = (
        torch.stack([p[..., 0], p[..., 1] - middle[..., 0], p[..., 2]], -1) / scale
        for p in (eye, points)
    )
    rays, shadow_rays = rays / scale, (towards_light / scale).expand_as(rays)
    depth, object_light, shadow = (torch.empty_like(room_depth) for _ in range(3))
    for number, (meet, normal) in enumerate(_BODIES):
        g = shape == number
        if g.any():
            depth[g], _ = meet(eye[g], rays[g])
            at = eye[g] + depth[g][..., None] * rays[g]
            object_light[g] = F.normalize(normal(at), dim=-1) @ towards_light
            enter, leave = meet(points[g], shadow_rays[g])
            shadow[g] = ((enter < leave) & (leave > 0)).float()

    is_object = depth < room_depth
    light = torch.where(is_object, object_light, room_light * (1 - shadow)).clamp_(min=0)
    light = _AMBIENT + (1 - _AMBIENT) * light
    seen = torch.stack([is_floor & ~is_object, ~is_floor & ~is_object, is_object], 1)
    maps = (seen * light[:, None]).view(len(rooms), 3, size, _SAMPLES, size, _SAMPLES)
    return maps.mean((3, 5))


def _rays(angle: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Where the camera is [G, 1, 3], and the directions of its P rays [G, P, 3], row by row."""
    down = math.atan2(_EYE_HEIGHT - _TARGET_HEIGHT, _EYE_DISTANCE)
    n = size * _SAMPLES
    steps = ((torch.arange(n, device=angle.device) + 0.5) * (2 / n) - 1) * _FIELD
    up, right = torch.meshgrid(-steps, steps, indexing="ij")
    y = up * math.cos(down) - math.sin(down)
    z = -up * math.sin(down) - math.cos(down)
    eye = torch.tensor([0.0, _EYE_HEIGHT, _EYE_DISTANCE], device=angle.device)
    rays = torch.stack([right, y, z], -1).flatten(0, 1)

    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    turn = torch.stack([cos, zero, -sin, zero, zero + 1, zero, sin, zero, cos], -1).view(-1, 3, 3)
    return eye @ turn[:, None, :], rays @ turn


def _meet_room(eye: Tensor, rays: Tensor, towards_light: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each ray: depth of floor or wall, cosine of the light there, whether it is the floor."""
    x, y, z = rays.unbind(-1)
    side, back = (x.sign() * _WALL - eye[..., 0]) / x, (-_WALL - eye[..., 2]) / z
    floor = torch.where(y < 0, -eye[..., 1] / y, _FAR)
    depth = torch.minimum(torch.minimum(side, back), floor)
    light = torch.where(side < back, -x.sign() * towards_light[0], towards_light[2])
    is_floor = depth == floor
    return depth, torch.where(is_floor, towards_light[1], light), is_floor


# Where a ray enters and leaves a convex body, in multiples of the ray; _FAR and -_FAR where it
# doesn't meet it. Origin o [..., 3], ray d [..., 3] → [...] and [...].


def _slab(o: Tensor, d: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """Between -half and half along one axis: o, d [...]."""
    a, b = (-half - o) / d, (half - o) / d
    return torch.minimum(a, b), torch.maximum(a, b)


def _ball(o: Tensor, d: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """A sphere about the origin; with two coordinates instead of three, an endless cylinder."""
    a, b, c = (d * d).sum(-1), (o * d).sum(-1), (o * o).sum(-1) - radius**2
    square = b * b - a * c
    root, miss = square.clamp(min=0).sqrt(), square < 0
    return ((-b - root) / a).masked_fill(miss, _FAR), ((root - b) / a).masked_fill(miss, -_FAR)


def _intersection(*bodies: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    enter, leave = (torch.stack(depths) for depths in zip(*bodies, strict=True))
    enter, leave = enter.amax(0), leave.amin(0)
    miss = enter > leave
    return enter.masked_fill(miss, _FAR), leave.masked_fill(miss, -_FAR)


def _union(*bodies: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Of bodies that are convex together, too."""
    enter, leave = (torch.stack(depths) for depths in zip(*bodies, strict=True))
    return enter.amin(0), leave.amax(0)


def _cube(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _intersection(*(_slab(o[..., k], d[..., k], _CUBE) for k in range(3)))


def _cylinder(
    o: Tensor, d: Tensor, radius: float = _CYLINDER[0], half: float = _CYLINDER[1]
) -> tuple[Tensor, Tensor]:
    return _intersection(_slab(o[..., 1], d[..., 1], half), _ball(o[..., ::2], d[..., ::2], radius))


def _sphere(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _ball(o, d, 1.0)


def _capsule(o: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    radius, half = _CAPSULE
    end = torch.tensor([0.0, half, 0.0], device=o.device)
    ends = (_ball(o - end, d, radius), _ball(o + end, d, radius))
    return _union(_cylinder(o, d, radius, half), *ends)


# Outward normals [..., 3] at points [..., 3] of the surface; not of length 1.


def _cube_normal(p: Tensor) -> Tensor:
    return p * (p.abs() == p.abs().amax(-1, keepdim=True))


def _cylinder_normal(p: Tensor) -> Tensor:
    radius, half = _CYLINDER
    on_end = p[..., 1].abs() / half > p[..., ::2].norm(dim=-1) / radius
    axis = torch.tensor([0.0, 1.0, 0.0], device=p.device)
    return p * torch.where(on_end[..., None], axis, 1 - axis)


def _sphere_normal(p: Tensor) -> Tensor:
    return p


def _capsule_normal(p: Tensor) -> Tensor:
    half = torch.tensor([0.0, _CAPSULE[1], 0.0], device=p.device)
    return p - p.clamp(-half, half)


_BODIES = (  # in the order of the shapes
    (_cube, _cube_normal),
    (_cylinder, _cylinder_normal),
    (_sphere, _sphere_normal),
    (_capsule, _capsule_normal),
)


class Scenes(DrawnGrid):
    """The full grid; labels are the shapes."""

    name = "scenes"
    title = "Scenes"
    grid = _GRID
    label, class_names = "shape", ("cube", "cylinder", "sphere", "capsule")
    image_shape = (3, _SIDE, _SIDE)

    draw = staticmethod(render)

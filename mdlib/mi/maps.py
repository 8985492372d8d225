"""Invertible maps: they change how data look, and no mutual information.

Each is injective on [..., D], continuous, and knows its inverse; arithmetic in float64. By the
data-processing inequality, there and back, that is enough. Not all are smooth: y³ has an inverse
with no slope at 0, and t·√|t| has no second derivative there. They are those of the benchmark
"Beyond Normal" (Czyż et al. 2023, arXiv 2306.11078), re-derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Map:
    """An injective map of [..., D] and its inverse; float64."""

    forward: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]

    def then(self, other: Map) -> Map:
        return Map(
            lambda x: other.forward(self.forward(x)), lambda y: self.inverse(other.inverse(y))
        )


def _signed_power(exponent: float) -> Map:
    """t ↦ sign(t) |t|^exponent."""
    return Map(
        lambda t: t.sign() * t.abs() ** exponent, lambda t: t.sign() * t.abs() ** (1 / exponent)
    )


def _quantile(u: Tensor) -> Tensor:
    # In float32 everything above 1 − 2⁻²⁵ is 1, whose quantile would be ∞: tails end at 5.4σ.
    return torch.special.ndtri(u.clamp(2**-26, 1 - 2**-26))


def _solve(increasing: Callable[[Tensor], Tensor], value: Tensor, low: Tensor, high: Tensor):
    """The t in [low, high] where increasing(t) = value, elementwise, by bisection."""
    for _ in range(55):  # halvings to the last digit of float64
        middle = (low + high) / 2
        below = increasing(middle) < value
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def wiggly(*waves: tuple[float, float, float]) -> Map:
    """t ↦ t + Σ a·sin(b·t + c), increasing where Σ |a·b| < 1; waves are (a, b, c)."""
    reach = sum(abs(a) for a, _, _ in waves)

    def forward(t: Tensor) -> Tensor:
        return t + sum(a * (b * t + c).sin() for a, b, c in waves)

    return Map(forward, lambda y: _solve(forward, y, y - reach, y + reach))


def two_modes(weight: float, first: float, second: float) -> Map:
    """Turns N(0, 1) into weight·N(first, 1) + (1 − weight)·N(second, 1), matching quantiles."""
    cdf = torch.special.ndtr
    lowest, highest = min(first, second), max(first, second)

    def mixture_cdf(t: Tensor) -> Tensor:
        return weight * cdf(t - first) + (1 - weight) * cdf(t - second)

    return Map(
        lambda t: _solve(mixture_cdf, cdf(t), t + lowest, t + highest),
        lambda y: _quantile(mixture_cdf(y)),
    )


def spiral(i: int, j: int) -> Map:
    """Rotates x [..., D] in the plane of coordinates i and j by the angle ‖x‖²/D.

    A rotation keeps the norm, so the inverse rotates back by the same angle.
    """

    def rotate(x: Tensor, sign: int) -> Tensor:
        angle = sign * x.square().mean(-1)
        cos, sin = angle.cos(), angle.sin()
        turned = x.clone()
        turned[..., i] = cos * x[..., i] - sin * x[..., j]
        turned[..., j] = sin * x[..., i] + cos * x[..., j]
        return turned

    return Map(lambda x: rotate(x, 1), lambda x: rotate(x, -1))


def _roll(u: Tensor) -> Tensor:
    angle = 1.5 * math.pi * (1 + 2 * u)
    return torch.cat([angle * angle.cos(), angle * angle.sin()], -1) / 21


def _unroll(x: Tensor) -> Tensor:
    angle = 21 * x.norm(dim=-1, keepdim=True)  # on this spiral the radius is the angle
    return (angle / (1.5 * math.pi) - 1) / 2


IDENTITY = Map(lambda t: t, lambda t: t)
NORMAL_CDF = Map(torch.special.ndtr, _quantile)  # → uniform margins
ASINH = Map(torch.asinh, torch.sinh)
CUBE = _signed_power(3)
HALF_CUBE = _signed_power(1.5)
# [0, 1] → one and a half turns in the plane, of the angles and the size that the benchmark uses.
SWISS_ROLL = Map(_roll, _unroll)
WIGGLY_X = wiggly((0.4, 1, 0), (0.2, 1.7, 1), (0.03, 3.3, -2.5))
WIGGLY_Y = wiggly((-0.4, 0.4, 0), (0.17, 1.3, 3.5), (0.02, 4.3, -2.5))

"""Vector tasks: pairs (x, y) of vectors whose mutual information is known, in nats.

    task = create("spiral-multinormal-sparse-3-3-2-2.0")    # or gaussian(4.0)
    x, y = task.sample(1000, generator)                     # [1000, 3] each
    infonce(task.scores(x, y)), task.information            # the best possible critic, the truth

A task is a *base* distribution with known densities, seen through one invertible map of x and one
of y. Such maps make estimation harder and leave both the mutual information and the pointwise one,
log p(x, y) / (p(x) p(y)), as they were: the Jacobians cancel in the ratio. So the truth is that of
the base, and the log ratio at (x, y) is the base's at (f⁻¹(x), g⁻¹(y)).

The named tasks are those of the benchmark "Beyond Normal" (Czyż et al. 2023, arXiv 2306.11078),
re-derived from their definitions under the names that the benchmark gives them, and the mixture
"x" of PMI profiles (Czyż et al. 2025, arXiv 2310.10240). Arithmetic is in float64 (for MPS, which
lacks it: sample on the CPU); samples are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from mdlib.checks import check_whole
from mdlib.mi.maps import (
    ASINH,
    CUBE,
    HALF_CUBE,
    IDENTITY,
    NORMAL_CDF,
    SWISS_ROLL,
    WIGGLY_X,
    WIGGLY_Y,
    Map,
    spiral,
    two_modes,
)
from mdlib.registry import Registry

LOG_2 = math.log(2)

# --- the face of everything that makes pairs ------------------------------------------------------


class Task:
    """A source of pairs whose true mutual information is known.

    `name` is an identifier, `title` is for people, and `information` is I(X; Y) in nats.
    """

    name: str
    title: str
    information: float

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """n independent pairs, float32 x [n, Dx] and y [n, Dy].

        They are on the generator's device; None stands for torch's own generator on the CPU.
        Raises ValueError if n < 1.
        """
        raise NotImplementedError

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x, y) / (p(x) p(y)) in nats, [..., Dx] and [..., Dy] → [...], with broadcasting.

        It's −∞ where a pair cannot occur. Raises NotImplementedError if no density is known.
        """
        raise NotImplementedError(f"{self.title}: no density is known, so there is no log ratio")

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """The optimal critic: scores[i, j] = log_ratio(x_i, y_j), [..., n, Dx] → [..., n, n]."""
        return self.log_ratio(x[..., :, None, :], y[..., None, :, :])


def checked_device(n: int, generator: Generator | None) -> torch.device:
    """Where n samples are drawn; ValueError if n is not positive."""
    check_whole(1, n=n)
    return generator.device if generator is not None else torch.device("cpu")


# --- base distributions: each has `information`, and `draw` and `log_ratio` in float64 ------------


def _draw(kind: Callable, n: int, dim: int, generator: Generator | None) -> Tensor:
    """[n, dim] numbers of `torch.randn` or `torch.rand`."""
    device = checked_device(n, generator)
    return kind(n, dim, generator=generator, device=device, dtype=torch.float64)


class Gaussian:
    """(x, y) ~ N(0, covariance), of which the first `dim_x` coordinates are x.

    I = ½ log(det Σx · det Σy / det Σ).
    """

    def __init__(self, covariance: Tensor, dim_x: int):
        self.dim_x = dim_x
        x, y = covariance[:dim_x, :dim_x], covariance[dim_x:, dim_x:]
        self.information = 0.5 * (x.logdet() + y.logdet() - covariance.logdet()).item()
        self._root = torch.linalg.cholesky(covariance)
        self._precision = covariance.inverse() - torch.block_diag(x.inverse(), y.inverse())

    def draw(self, n: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
        z = _draw(torch.randn, n, len(self._root), generator)
        z = z @ self._root.T.to(z)
        return z[:, : self.dim_x], z[:, self.dim_x :]

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        of_x, of_y = self._precision.to(x).split([self.dim_x, y.shape[-1]])
        # einsum turns a broadcast product into a matrix product: no [n, n, D] is ever held.
        both = torch.einsum("...d,...d->...", x @ of_x[:, self.dim_x :], y)
        squares = _dot(x @ of_x[:, : self.dim_x], x) + _dot(y @ of_y[:, self.dim_x :], y)
        return self.information - 0.5 * squares - both


def paired(dim: int, correlation: float, pairs: int) -> Gaussian:
    """dim × dim standard normals; xᵢ and yᵢ are correlated for the first `pairs` coordinates."""
    covariance = torch.eye(2 * dim, dtype=torch.float64)
    i = torch.arange(pairs)
    covariance[i, dim + i] = covariance[dim + i, i] = correlation
    return Gaussian(covariance, dim)


def dense(dim: int, correlation: float) -> Gaussian:
    """dim × dim standard normals, every two of the 2·dim coordinates equally correlated."""
    identity = torch.eye(2 * dim, dtype=torch.float64)
    return Gaussian(correlation + (1 - correlation) * identity, dim)


class Student:
    """A multivariate Student t in dim + dim dimensions, unit dispersion, `dof` degrees of freedom.

    x and y are uncorrelated and still dependent: they share the χ² that scales them both. With
    h(d) the differential entropy in d dimensions, I = 2 h(dim) − h(2 dim).
    """

    def __init__(self, dim: int, dof: int):
        self.dim, self.dof = dim, dof
        self.information = 2 * self._entropy(dim) - self._entropy(2 * dim)

    def _log_scale(self, d: int) -> float:
        """log of the density at 0 in d dimensions."""
        half = self.dof / 2
        return math.lgamma(half + d / 2) - math.lgamma(half) - d / 2 * math.log(self.dof * math.pi)

    def _entropy(self, d: int) -> float:
        half = torch.tensor(self.dof / 2, dtype=torch.float64)
        mean_log = (half + d / 2).digamma() - half.digamma()  # E[log(1 + ‖t‖²/dof)]
        return (self.dof + d) / 2 * mean_log.item() - self._log_scale(d)

    def draw(self, n: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
        z = _draw(torch.randn, n, 2 * self.dim, generator)
        chi_square = _draw(torch.randn, n, self.dof, generator).square().sum(-1, keepdim=True)
        return (z / (chi_square / self.dof).sqrt()).split(self.dim, -1)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        def log_density(square: Tensor, d: int) -> Tensor:
            return self._log_scale(d) - (self.dof + d) / 2 * (square / self.dof).log1p()

        x, y, d = _dot(x, x), _dot(y, y), self.dim
        return log_density(x + y, 2 * d) - log_density(x, d) - log_density(y, d)


@dataclass(frozen=True)
class Additive:
    """x ~ U(0, 1) and y = x + U(−ε, ε), 1×1.

    Given y, x is uniform on an interval whose length ℓ(y) depends on how near y is to an end, so
    the ratio is 1/ℓ(y) where |y − x| ≤ ε and 0 elsewhere.
    """

    epsilon: float

    @property
    def information(self) -> float:
        e = self.epsilon
        return e - math.log(2 * e) if e <= 0.5 else 1 / (4 * e)

    def draw(self, n: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
        x, u = _draw(torch.rand, n, 2, generator).split(1, -1)
        return x, x + self.epsilon * (2 * u - 1)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = x[..., 0], y[..., 0]
        length = (y + self.epsilon).clamp(max=1) - (y - self.epsilon).clamp(min=0)
        # Rounded to float32, a pair may lie beyond the edge by its last digit.
        possible = ((y - x).abs() <= self.epsilon + 1e-6) & (x >= 0) & (x <= 1)
        return torch.where(possible, -length.clamp(min=1e-12).log(), -math.inf)


class Crossed:
    """Two bivariate normals laid across each other: correlation ρ or −ρ, half and half; 1×1.

    Both margins are standard normal and uncorrelated. No closed form: I is a quadrature.
    """

    def __init__(self, correlation: float):
        self._rising = paired(1, correlation, pairs=1)

    def draw(self, n: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
        x, y = self._rising.draw(n, generator)
        return x, torch.where(_draw(torch.rand, n, 1, generator) < 0.5, y, -y)

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        rising, falling = self._rising.log_ratio(x, y), self._rising.log_ratio(x, -y)
        return torch.logaddexp(rising, falling) - LOG_2

    @cached_property
    def information(self) -> float:
        t = torch.linspace(-9, 9, 1201, dtype=torch.float64)[:, None]
        step = (t[1] - t[0]).item()  # for smooth tails a plain sum is exact to all digits
        log_ratio = self.log_ratio(t[:, None], t[None])
        log_margins = -0.5 * (t.square() + t.square().T) - math.log(2 * math.pi)
        return step**2 * (log_ratio * (log_ratio + log_margins).exp()).sum().item()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


# --- tasks ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class VectorTask(Task):
    """x = of_x(x′), y = of_y(y′) for (x′, y′) of the base, whose information is the task's."""

    name: str
    title: str
    base: Gaussian | Student | Additive | Crossed
    of_x: Map = IDENTITY
    of_y: Map = IDENTITY

    @property
    def information(self) -> float:
        return self.base.information

    def sample(self, n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        x, y = self.base.draw(n, generator)
        return self.of_x.forward(x).float(), self.of_y.forward(y).float()

    def log_ratio(self, x: Tensor, y: Tensor) -> Tensor:
        ratio = self.base.log_ratio(self.of_x.inverse(x.double()), self.of_y.inverse(y.double()))
        return ratio.to(x.dtype)


def gaussian(information: float, dim: int = 20, cubic: bool = False) -> VectorTask:
    """dim pairs of standard normals with one correlation ρ; I = −(dim/2) log(1 − ρ²) nats.

    The usual benchmark of estimators, with 20 dimensions as in Poole et al. 2019. `cubic` shows y³,
    elementwise, in place of y. Raises ValueError if dim < 1 or `information` isn't in [0, 8·dim]:
    with more, y − ρx would drown in the rounding of float32 samples.
    """
    check_whole(1, dim=dim)
    if not 0 <= information <= 8 * dim:
        raise ValueError(
            f"information is {information} nats, expected 0 to {8 * dim} for dim = {dim}: "
            "use more dimensions for more information"
        )
    correlation = math.sqrt(-math.expm1(-2 * information / dim))
    return VectorTask(
        name=f"gaussian-{dim}-{information:g}" + "-cubic" * cubic,
        title=f"Gaussian{', cubic' * cubic}, {dim}×{dim}, {information:g} nats",
        base=paired(dim, correlation, pairs=dim),
        of_y=CUBE if cubic else IDENTITY,
    )


def staircase(steps: int, levels: Sequence[float] = (2, 4, 6, 8, 10)) -> list[float]:
    """The true information, in nats, at each of `steps` training steps: `levels` in equal shares.

    The schedule in common use, 2·round(linspace(0.5, 5.5 − 10⁻⁹, steps)), rounds half to even, so
    its very first step is at 0 nats instead of 2; this one starts at the first level.
    Raises ValueError if there are no levels, or fewer steps than levels.
    """
    if not 1 <= len(levels) <= steps:
        raise ValueError(
            f"{steps} steps for {len(levels)} levels, expected at least one level and at least "
            "one step for each"
        )
    return [float(levels[step * len(levels) // steps]) for step in range(steps)]


def _benchmark() -> list[VectorTask]:
    normal = paired(1, 0.75, pairs=1)
    name, roll = "1v1-normal-0.75", NORMAL_CDF.then(SWISS_ROLL)
    tasks = [
        VectorTask(name, "Normal 1×1", normal),
        VectorTask(f"normal_cdf-{name}", "Uniform margins 1×1", normal, NORMAL_CDF, NORMAL_CDF),
        VectorTask(f"wiggly-{name}", "Wiggly 1×1", normal, WIGGLY_X, WIGGLY_Y),
        VectorTask(f"half_cube-{name}", "Half-cube 1×1", normal, HALF_CUBE, HALF_CUBE),
        VectorTask(f"swissroll_x-normal_cdf-{name}", "Swiss roll 2×1", normal, roll, NORMAL_CDF),
        VectorTask(
            "1v1-bimodal-0.75", "Bimodal 1×1", normal, two_modes(0.3, 0, 5), two_modes(0.5, -1, 3)
        ),
        VectorTask("x", "X 1×1", Crossed(0.9)),
    ]
    for epsilon in (0.1, 0.75):
        tasks.append(
            VectorTask(f"1v1-additive-{epsilon}", f"Additive {epsilon} 1×1", Additive(epsilon))
        )
    for dim, dof in ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3)):
        name, title = f"student-identity-{dim}-{dim}-{dof}", f"Student {dim}×{dim}, {dof} dof"
        base = Student(dim, dof)
        tasks.append(VectorTask(name, title, base))
        if (dim, dof) in ((1, 1), (2, 1), (3, 2), (5, 2)):
            tasks.append(VectorTask(f"asinh-{name}", f"asinh of {title}", base, ASINH, ASINH))
    for dim in (2, 3, 5, 25, 50):
        name, title = f"multinormal-dense-{dim}-{dim}-0.5", f"Dense normal {dim}×{dim}"
        tasks.append(VectorTask(name, title, dense(dim, 0.5)))
    for dim in (2, 3, 5, 25):
        tasks += _sparse(dim)
    return tasks


def _sparse(dim: int) -> list[VectorTask]:
    """Two informative pairs of coordinates among noise, and what hides them."""
    strength = 2.0  # xᵢ and yᵢ are strength·(a common normal) + a normal each, standardised
    base = paired(dim, strength**2 / (1 + strength**2), pairs=2)
    name = f"multinormal-sparse-{dim}-{dim}-2-{strength}"
    maps = {"": ("Two-pair normal", IDENTITY, IDENTITY)}
    if dim > 2:  # y turns in a third coordinate
        cdf, turn_x, turn_y = NORMAL_CDF, spiral(0, 1), spiral(1, 2)
        maps |= {
            "normal_cdf-": ("Uniform margins", cdf, cdf),
            "half_cube-": ("Half-cube", HALF_CUBE, HALF_CUBE),
            "spiral-": ("Spiral", turn_x, turn_y),
            "spiral-normal_cdf-": ("Spiral of uniform margins", cdf.then(turn_x), cdf.then(turn_y)),
        }
    return [
        VectorTask(prefix + name, f"{title} {dim}×{dim}", base, of_x, of_y)
        for prefix, (title, of_x, of_y) in maps.items()
    ]


TASKS = Registry("task", {task.name: task for task in _benchmark()})


def names() -> tuple[str, ...]:
    """The tasks known by name."""
    return tuple(TASKS)


def create(name: str) -> VectorTask:
    """The task of that name; ValueError for an unknown one, with those that come near."""
    return TASKS[name]

"""Mutual information of two arrays: one function, every method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature

import torch
from torch import Tensor, nn

from mdlib.checks import unknown
from mdlib.mi import classical, critics
from mdlib.mi.inputs import checked_pair
from mdlib.mi.training import ESTIMATORS, Ascent

CLASSICAL: dict[str, Callable[[Tensor, Tensor], float]] = {
    "gaussian": classical.gaussian,
    "ksg": classical.ksg,
    "histogram": classical.histogram,
}
METHODS = (*ESTIMATORS, *CLASSICAL)
NEAR_CEILING = 1.0  # nats. At 4 nats and K = 64, InfoNCE's best is 3.07, so 1.09 below log K
SHAPES = {  # small: a few thousand rows do not feed more, and the dear one has B² pairs to see
    "separable": {"hidden": 64, "layers": 2},
    "concatenated": {"hidden": 16, "layers": 2},
}
BLOCKS = 10  # of the jackknife
CHECK_EVERY = 50  # steps between two looks at the pairs that choose when to stop …
CHECK_ROWS = 512  # … of which so many are enough: a look costs the square of them


class CeilingWarning(UserWarning):
    """An estimate stands so near the largest value it can take that it may be far too low."""


@dataclass(frozen=True)
class Estimate:
    """What `estimate` found; `float()` gives the value.

    `value` and `spread` in nats: neural methods give mean and standard deviation over `repeats`
    splits and initial weights, the others the value on all rows and its jackknife standard error.
    No value of the method exceeds `ceiling`, and `at_ceiling` says that this one is within one
    nat of it. `kind` is the side of the true value on which the method's expectation is, were its
    critic trained for ever: "lower", "upper" or "neither". `n` rows were given; `n_test` of them
    made the value.
    """

    method: str
    value: float
    spread: float
    ceiling: float
    at_ceiling: bool
    kind: str
    n: int
    n_test: int

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        ceiling = "" if self.ceiling == math.inf else f", ceiling {self.ceiling:.2f}"
        return f"{self.value:.3f} ± {self.spread:.3f} nats ({self.method}, N = {self.n}{ceiling})"


def estimate(
    x, y, method: str = "infonce", *, seed: int = 0, device: str | torch.device = "cpu", **options
) -> Estimate:
    """I(X; Y) in nats from N pairs: x [N, Dx] and y [N, Dy], torch or NumPy ([N] means [N, 1]).

    Args:
        method: one of METHODS. The bounds of `training.ESTIMATORS` train a critic; "gaussian",
            "ksg" and "histogram" do not, see `mdlib.mi.classical`.
        seed: of splits, initial weights and batches.
        device: where critics train.
        options: of the method. Neural ones take `critic` ("concatenated", "separable", "bilinear"),
            `critic_options`, `steps`, `batch_size`, `lr`, `repeats`; "ksg" takes `k`, "histogram"
            `bins`, and so on.

    A neural method standardises the columns and, `repeats` times, splits the rows: half of them
    train, a quarter says which step's critic to keep, the last quarter gives the value, all its
    rows in one score matrix. So the value is an honest one, on rows that nothing was chosen by, and
    InfoNCE's ceiling is log(N/4).

    Raises:
        ValueError: before any work, for an unknown method or option; arrays of other shapes or of
            different lengths; NaN, infinities, constant columns; fewer rows than the method needs.
    Warns:
        CeilingWarning: the value is within a nat of the method's ceiling.
    """
    if method in CLASSICAL:
        _check_options(method, CLASSICAL[method], options)
        return _jackknife(method, x, y, options)
    (result,) = climb(x, y, [method], seed=seed, device=device, **options).values()
    if result.at_ceiling:
        warnings.warn(
            f"{result}: within {NEAR_CEILING:g} nat of the largest value that {method} can give "
            f"here, so the truth may be far above. More rows raise the ceiling; dv or smile-5 have "
            f"none, but a large variance or no guarantee.",
            CeilingWarning,
            stacklevel=2,
        )
    return result


def climb(
    x, y, methods: Sequence[str], *, seed: int = 0, device: str | torch.device = "cpu", **options
) -> dict[str, Estimate]:
    """Several neural methods on the same splits, their critics trained in one pass.

    What `estimate` does for one of them, in much less time than one after the other, without its
    warning. "club" needs another kind of critic and goes alone. Raises ValueError as `estimate`.
    """
    for method in methods:
        if method not in ESTIMATORS:
            raise ValueError(unknown("method", method, METHODS))
        _check_options(method, _climb, options)
    return _climb(list(methods), x, y, seed, torch.device(device), **options)


def _check_options(method: str, function: Callable, options: dict) -> None:
    valid = [p.name for p in signature(function).parameters.values() if p.default is not p.empty]
    for option, given in options.items():
        if option not in valid:
            raise ValueError(f"{option}={given!r}: {unknown(f'option of {method}', option, valid)}")


def _jackknife(method: str, x, y, options: dict) -> Estimate:
    """A classical estimator on all rows; its standard error by leaving out a tenth at a time."""
    x, y = checked_pair(x, y, 2 * BLOCKS, method)
    estimator = partial(CLASSICAL[method], **options)
    n = len(x)
    value = estimator(x, y)
    block = torch.arange(n) * BLOCKS // n
    block = block[torch.randperm(n, generator=torch.Generator().manual_seed(0))]
    without = torch.tensor([estimator(x[block != b], y[block != b]) for b in range(BLOCKS)])
    spread = ((BLOCKS - 1) * without.var(correction=0)).sqrt().item()
    return Estimate(method, value, spread, math.inf, False, "neither", n, n)


def _climb(
    methods: list[str], x, y, seed: int, device: torch.device, *,
    critic: str | None = None, critic_options: dict | None = None,
    steps: int = 600, batch_size: int = 64, lr: float = 1e-2, repeats: int = 3,
) -> dict[str, Estimate]:  # fmt: skip
    """`repeats` critics a method, each on a split that it shares with the other methods'."""
    x, y = checked_pair(x, y, 40, ", ".join(methods))
    for name, number, least in [
        ("steps", steps, 1), ("repeats", repeats, 1), ("batch_size", batch_size, 2)
    ]:  # fmt: skip
        if number < least:
            raise ValueError(f"{name}={number}: expected at least {least}")
    critic, members = _suitable(critic, methods), len(methods) * repeats
    shape = SHAPES.get(critic, {}) | (critic_options or {})
    network = critics.create(critic, x.shape[1], y.shape[1], members, seed, **shape).to(device)
    x, y = (_standardised(v.float().to(device)) for v in (x, y))

    n, draw = len(x), torch.Generator().manual_seed(seed)
    rows = torch.stack([torch.randperm(n, generator=draw) for _ in range(repeats)]).to(device)
    train, check, test = rows.split([n // 2, n - n // 2 - n // 4, n // 4], 1)
    check = check[:, :CHECK_ROWS]
    ascent, best = Ascent(network, methods, repeats, lr), _Best(network, members)
    for step in range(1, steps + 1):
        drawn = torch.randint(n // 2, (repeats, min(batch_size, n // 2)), generator=draw)
        batch = train.gather(1, drawn.to(device))
        ascent.step(x[batch], y[batch])
        if step % CHECK_EVERY == 0 or step == steps:
            best.offer(ascent.values(x[check], y[check], objective=True).flatten())
    best.restore()
    values = ascent.values(x[test], y[test]).double().cpu()
    return {method: _result(method, v, n) for method, v in zip(methods, values, strict=True)}


def _result(method: str, values: Tensor, n: int) -> Estimate:
    value, spread = values.mean().item(), values.std(correction=min(1, len(values) - 1)).item()
    estimator = ESTIMATORS[method]
    ceiling = estimator.ceiling(n // 4)
    near = value > ceiling - NEAR_CEILING
    return Estimate(method, value, spread, ceiling, near, estimator.kind, n, n // 4)


class _Best:
    """The weights of each member at the step where its score was highest."""

    def __init__(self, network: nn.Module, members: int):
        self.weights = list(network.parameters())
        self.kept = [weight.detach().clone() for weight in self.weights]
        self.scores = torch.full((members,), -math.inf, device=self.weights[0].device)

    @torch.no_grad()
    def offer(self, scores: Tensor) -> None:
        better = scores > self.scores
        self.scores = torch.where(better, scores, self.scores)
        for kept, weight in zip(self.kept, self.weights, strict=True):
            kept[better] = weight[better]

    @torch.no_grad()
    def restore(self) -> None:
        for kept, weight in zip(self.kept, self.weights, strict=True):
            weight.copy_(kept)


def _suitable(critic: str | None, methods: list[str]) -> str:
    """The critic to train: a density for CLUB, a score for every other method."""
    density, club = "gaussian-conditional", methods == ["club"]
    critic = critic or (density if club else "concatenated")
    if (critic == density) != club or "club" in methods[1:]:
        expected = density if "club" in methods else "separable, concatenated or bilinear"
        raise ValueError(
            f"critic={critic!r}: {', '.join(methods)} needs {expected}"
            + (" and to be alone" if "club" in methods and not club else "")
        )
    return critic


def _standardised(x: Tensor) -> Tensor:
    """Columns of mean 0 and deviation 1: mutual information does not change, training does."""
    return (x - x.mean(0)) / x.std(0, correction=0)

"""Mutual information of two arrays: one function, every method."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from mdlib.checks import (
    check_known,
    check_one_of,
    check_options,
    check_seed,
    check_whole,
    defaults,
    need,
)
from mdlib.devices import as_outside, pick_device
from mdlib.evaluation.inputs import standardise
from mdlib.mi import classical, critics
from mdlib.mi.inputs import checked_pair, heavy_columns, normal_scores, squashed_columns
from mdlib.mi.training import ESTIMATORS, Ascent
from mdlib.registry import random_stream
from mdlib.types import Count, Positive

CLASSICAL: dict[str, Callable[[Tensor, Tensor], float]] = {
    "gaussian": classical.gaussian,
    "ksg": classical.ksg,
    "histogram": classical.histogram,
}
METHODS = (*ESTIMATORS, *CLASSICAL)
_TRANSFORMS = ("none", "normal-scores")
_NEAR_CEILING = 1.5  # nats. At 4 nats and K = 64, InfoNCE's best is 3.07, and 1.09 below log K
_STAYS = 0.05, 0.1  # what half the rows or steps may change: nats, or a part of the value
_SHAPES = {  # small: a few thousand rows do not feed more, and the dear one has B² pairs to see
    "separable": {"hidden": 64, "layers": 2},
    "concatenated": {"hidden": 16, "layers": 2},
}
_BLOCKS = 10  # of the jackknife
_CHECK_EVERY = 50  # steps between two looks at the pairs that choose when to stop …
_CHECK_ROWS = 512  # … of which so many are enough: a look costs the square of them


class ReliabilityWarning(UserWarning):
    """An estimate that may be far off: its data or its training are not enough, or not fit."""


class CeilingWarning(ReliabilityWarning):
    """An estimate stands so near the largest value it can take that it may be far too low."""


@dataclass(frozen=True)
class Estimate:
    """What `estimate` found; `float()` gives the value.

    `value` and `spread` in nats: neural methods give mean and standard deviation over `repeats`
    splits and initial weights, the others the value on all rows and its jackknife standard error.
    `spread` is None where there is none: for one repeat, where values are infinite, and where the
    method has none without a tenth of the rows. It is a spread, not an error: a method that is too
    low is so each time.
    No value of the method exceeds `ceiling`. `kind` is the side of the true value on which the
    method's expectation is, were its critic trained for ever: "lower" or "neither". `n` rows were
    given; `n_test` of them made the value. `half_rows` and `half_steps` are the values with half
    the rows (to train on) and half the steps (of 100 or more), None where there are none.
    """

    method: str
    value: float
    spread: float | None
    ceiling: float
    kind: str
    n: int
    n_test: int
    half_rows: float | None = None
    half_steps: float | None = None

    @property
    def at_ceiling(self) -> bool:
        """In the upper half of what the ceiling allows, and within 1.5 nats of it."""
        near = self.ceiling - min(_NEAR_CEILING, self.ceiling / 2)
        return self.ceiling < math.inf and self.value > near

    @property
    def reliable(self) -> bool:
        """Away from the ceiling, and neither half the rows nor half the steps change the value.

        By more than 0.05 nats and a tenth of it. The protocol of Abdelaleem, Martini & Nemenman
        (2025, arXiv 2506.00330) in its cheapest form: an estimate that still moves with N, or
        with training, is not the truth. One that doesn't need not be the truth either. False where
        `half_rows` was not asked for.
        """
        halves = [half for half in (self.half_rows, self.half_steps) if half is not None]
        within = max(_STAYS[0], _STAYS[1] * abs(self.value))
        stays = [half == self.value or abs(half - self.value) <= within for half in halves]
        return not self.at_ceiling and bool(halves) and all(stays)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        ceiling = "" if self.ceiling == math.inf else f", ceiling {self.ceiling:.2f}"
        spread = "" if self.spread is None else f" ± {_digits(self.spread)}"
        return f"{_digits(self.value)}{spread} nats ({self.method}, N = {self.n}{ceiling})"


def _digits(nats: float) -> str:
    """Three after the point; where these would be 0 and the number isn't, its first one."""
    return f"{nats:.0e}" if 0 < abs(nats) < 5e-4 else f"{nats:.3f}"


def estimate(
    x, y, method: str = "infonce", *, transform: str = "none", check: bool = True,
    seed: int = 0, device: str | torch.device = "cpu", **options,
) -> Estimate:  # fmt: skip
    """I(X; Y) in nats from N pairs: x [N, Dx] and y [N, Dy], torch or NumPy ([N] means [N, 1]).

    Args:
        method: one of METHODS. The bounds of `training.ESTIMATORS` train a critic; "gaussian",
            "ksg" and "histogram" do not, see `mdlib.mi.classical`.
        transform: "normal-scores" replaces each column by the normal quantiles of its ranks first,
            which leaves the information of continuous columns as it is and takes their tails away.
        check: also estimate with half the rows and half the steps, for `Estimate.reliable` and its
            warning; about twice the time.
        seed: of splits, initial weights and batches.
        device: where critics train.
        options: of the method. Neural ones take `critic` ("concatenated", "separable", "bilinear"),
            `critic_options`, `steps`, `batch_size`, `lr`, `repeats`; "ksg" takes `k`, "histogram"
            `bins`, and so on.

    A neural method splits the rows `repeats` times: half of them train, a quarter says which step's
    critic to keep, the last quarter gives the value, all its rows in one score matrix. Columns are
    standardised by the rows that train. So the value is an honest one, on rows that nothing was
    chosen by, and InfoNCE's ceiling is log(N/4).

    Raises:
        ValueError: before any work, for an unknown method or option; arrays of other shapes or of
            different lengths; NaN, infinities, constant columns; fewer rows than the method needs.
            After it, where a critic has diverged before any step gave a value to keep.
    Warns:
        CeilingWarning: the value is near the method's ceiling (`Estimate.at_ceiling`).
        ReliabilityWarning: half the rows or half the steps change the value (`Estimate.reliable`),
            or a column has heavy tails or an outlier: scaled by its deviation the rest of it is
            nearly constant, so that most methods see little of it.
    """
    check_one_of(_TRANSFORMS, transform=transform)
    check_known("method", method, METHODS)
    check_options(f"option of {method}", defaults(CLASSICAL.get(method, _climb)), options)
    x, y = checked_pair(x, y, 2 * _BLOCKS if method in CLASSICAL else 40, method)
    if transform == "none":
        _warn_of_tails(x, y)
    if method in CLASSICAL:
        result = _jackknife(method, *_transformed(x, y, transform), check, options)
    else:
        given = {"transform": transform, "check": check, "seed": seed, "device": device}
        (result,) = climb(x, y, [method], **given, **options).values()
    if result.at_ceiling:
        _warn(
            CeilingWarning,
            f"{result}: near the largest value that {method} can give here, so the truth may be "
            "far above. More rows raise the ceiling; dv or smile-5 have none, but a large variance "
            "or no guarantee.",
        )
    elif result.half_rows is not None and not result.reliable:
        steps = (
            "" if result.half_steps is None else f", with half the steps {result.half_steps:.3f}"
        )
        _warn(
            ReliabilityWarning,
            f"{result}: with half the rows it is {result.half_rows:.3f}{steps}. A value that still "
            "moves is not the truth: give more rows or steps, or fewer dimensions.",
        )
    return result


def climb(
    x, y, methods: Sequence[str], *, transform: str = "none", check: bool = False,
    seed: int = 0, device: str | torch.device = "cpu", **options,
) -> dict[str, Estimate]:  # fmt: skip
    """Several neural methods on the same splits, their critics trained in one pass.

    What `estimate` does for one of them, in much less time than one after the other, without its
    warnings. "club" needs another kind of critic and goes alone. Raises ValueError as `estimate`.
    """
    check_one_of(_TRANSFORMS, transform=transform)
    need(not isinstance(methods, str), f"methods={methods!r}: expected a list of names")
    need(len(set(methods)) == len(methods), f"methods={list(methods)}: one is there twice")
    for method in methods:
        check_known("neural method", method, ESTIMATORS)
        check_options(f"option of {method}", defaults(_climb), options)
    x, y = _transformed(*checked_pair(x, y, 40, ", ".join(methods)), transform)
    return _climb(list(methods), x, y, check, seed, pick_device(str(device)), **options)


def _warn(kind: type[Warning], message: str) -> None:
    warnings.warn(message, kind, stacklevel=3)


def _warn_of_tails(x: Tensor, y: Tensor) -> None:
    for name, values in (("x", x), ("y", y)):
        heavy = heavy_columns(values)
        if heavy:
            column, share = max(heavy, key=lambda pair: pair[1])
            warnings.warn(
                f"{name}: one value makes up {share:.0%} of the variance of column {column} "
                f"({len(heavy)} of {values.shape[1]} columns are so), and the estimate may be far "
                "too low: take transform='normal-scores', or leave outliers out",
                ReliabilityWarning,
                stacklevel=3,
            )
        elif squashed := squashed_columns(values):
            column, reach = min(squashed, key=lambda pair: pair[1])
            warnings.warn(
                f"{name}: half of column {column} lies within {reach:.1g} standard deviations of "
                f"its median ({len(squashed)} of {values.shape[1]} columns are so): far values, "
                "such as -999 for a missing one, squash the rest, and the estimate may be far too "
                "low: leave them out, or take transform='normal-scores'",
                ReliabilityWarning,
                stacklevel=3,
            )


def _transformed(x: Tensor, y: Tensor, transform: str) -> tuple[Tensor, Tensor]:
    return (x, y) if transform == "none" else (normal_scores(x), normal_scores(y))


def _jackknife(method: str, x: Tensor, y: Tensor, check: bool, options: dict) -> Estimate:
    """A classical estimator on all rows; its standard error by leaving out a tenth at a time."""
    estimator = partial(CLASSICAL[method], **options)
    n = len(x)
    value = estimator(x, y)
    block = torch.arange(n) * _BLOCKS // n
    block = block[torch.randperm(n, generator=random_stream(0))]
    try:
        without = torch.tensor([estimator(x[block != b], y[block != b]) for b in range(_BLOCKS)])
        spread = ((_BLOCKS - 1) * without.var(correction=0)).sqrt().item()
    except ValueError:  # so few rows are none for the method, or a column varies in one block alone
        spread = math.nan
    half = None
    if check:
        parts = [block < _BLOCKS // 2, block >= _BLOCKS // 2]
        with suppress(ValueError):  # so few rows are none for the method
            half = sum(estimator(x[part], y[part]) for part in parts) / len(parts)
    ceiling = _classical_ceiling(method, n, x.shape[1], y.shape[1], options)
    return Estimate(method, value, _finite(spread), ceiling, "neither", n, n, half)


def _finite(spread: float) -> float | None:
    return spread if math.isfinite(spread) else None


def _classical_ceiling(method: str, n: int, dx: int, dy: int, options: dict) -> float:
    if method == "ksg":
        return classical.ksg_ceiling(n, options.get("k", 10))
    if method == "histogram":
        return classical.histogram_ceiling(n, dx, dy, **options)
    return math.inf  # of "gaussian", as of x with itself


@as_outside
def _climb(
    methods: list[str], x: Tensor, y: Tensor, check: bool, seed: int, device: torch.device, *,
    critic: str | None = None, critic_options: dict | None = None,
    steps: Count = 600, batch_size: Count = 64, lr: Positive = 1e-2, repeats: Count = 3,
) -> dict[str, Estimate]:  # fmt: skip
    """`repeats` critics a method, each on a split that it shares with the other methods'."""
    check_whole(2, batch_size=batch_size)
    check_seed(seed)
    critic, members = _suitable(critic, methods), len(methods) * repeats
    shape = _SHAPES.get(critic, {}) | dict(critic_options or {})

    n, draw = len(x), random_stream(seed)
    rows = torch.stack([torch.randperm(n, generator=draw) for _ in range(repeats)])
    train, held, test = rows.split([n // 2, n - n // 2 - n // 4, n // 4], 1)
    x, y = (
        torch.stack([standardise(v[some], v)[1] for some in train.to(v.device)]).float().to(device)
        for v in (x, y)
    )  # [repeats, N, D]: each split by its own training rows
    state, split = draw.get_state(), torch.arange(repeats, device=device)[:, None]
    train, held, test = train.to(device), held[:, :_CHECK_ROWS].to(device), test.to(device)

    def climbed(train: Tensor) -> tuple[Tensor, Tensor | None]:
        """Test values [methods, repeats] of critics trained on these rows; at half the steps.

        NaN for a critic that had no value at any step: what was kept are its first weights.
        """
        network = critics.create(critic, x.shape[-1], y.shape[-1], members, seed, **shape)
        network = network.to(device)
        ascent, best = Ascent(network, methods, repeats, lr), _Best(network, members)
        batches, size = torch.Generator(), min(batch_size, train.shape[1])
        batches.set_state(state)  # every pass sees the same draws
        halfway, middle = None, steps // 2 // _CHECK_EVERY * _CHECK_EVERY
        for step in range(1, steps + 1):
            drawn = torch.randint(train.shape[1], (repeats, size), generator=batches)
            batch = train.gather(1, drawn.to(device))
            ascent.step(x[split, batch], y[split, batch])
            if step % _CHECK_EVERY == 0 or step == steps:
                best.offer(ascent.values(x[split, held], y[split, held], objective=True).flatten())
            if check and step == middle:
                halfway = [weight.clone() for weight in best.kept]
        values = []
        for kept in (best.kept, halfway):
            if kept is not None:
                best.load(kept)
                values.append(ascent.values(x[split, test], y[split, test]).double().cpu())
        lost = best.scores.cpu().reshape(values[0].shape) == -math.inf
        values[0][lost] = math.nan
        return values[0], values[1].mean(1) if len(values) > 1 else None

    values, half_steps = climbed(train)
    lost = [name for name, value in zip(methods, values, strict=True) if value.isnan().any()]
    need(
        not lost,
        f"{', '.join(lost)}: a critic diverged, and its value of held-out pairs was NaN or infinite"
        f" at every step that was looked at: lower lr={lr:g}",
    )
    half_rows = climbed(train[:, : n // 4])[0].mean(1) if check else None
    halves = [[None] * len(methods) if h is None else h.tolist() for h in (half_rows, half_steps)]
    found = {}
    for method, value, *half in zip(methods, values, *halves, strict=True):
        spread = _finite(value.std().item()) if repeats > 1 else None
        kind, ceiling = ESTIMATORS[method].kind, ESTIMATORS[method].ceiling(n // 4)
        found[method] = Estimate(
            method, value.mean().item(), spread, ceiling, kind, n, n // 4, *half
        )
    return found


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
    def load(self, weights: list[Tensor]) -> None:
        for weight, value in zip(self.weights, weights, strict=True):
            weight.copy_(value)


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

"""BetaVAE and FactorVAE scores: fix one factor, vary the rest, and tell which it was.

Both need samples that agree in a factor, so they take a sampler instead of arrays: `Rows` draws
from the codes of a finite set; one that renders new observations is a class with one method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.evaluation.inputs import unit_of
from mdlib.evaluation.logistic import logistic_regression
from mdlib.metrics.inputs import Score, checked_codes, checked_labels
from mdlib.registry import random_stream
from mdlib.types import Values

_CALL = 2**14  # samples asked of a sampler at once, and so images that one may have to encode


class Sampler(Protocol):
    """Draws codes. `factors` is their number, K; `rows` that of the rows drawn from, if finite."""

    factors: int
    rows: int | None

    def __call__(self, factor: int | None, groups: int, size: int, draw: torch.Generator) -> Tensor:
        """Codes [groups, size, D] whose samples agree in `factor` within a group, in all else not.

        A group's value is drawn anew for each; with None nothing is fixed. `draw` is on the CPU.
        """


class Rows:
    """Sampler from codes [N, D] with discrete factors [N, K]: rows are drawn with replacement.

    A group takes the factor's value from a random row, and its rows from those of that value. With
    few rows the points for fitting and for testing share them: use at least some thousands.
    ValueError as in `mutual_information_matrix`.
    """

    def __init__(self, codes: Values, factors: Values):
        self._codes = checked_codes(codes)
        self._labels = checked_labels(self._codes, factors).cpu()
        self.rows: int | None
        self.rows, self.factors = self._labels.shape
        self._order = self._labels.argsort(0)  # rows of equal value side by side

    def __call__(self, factor: int | None, groups: int, size: int, draw: torch.Generator) -> Tensor:
        rows = torch.randint(len(self._codes), (groups, size), generator=draw)
        if factor is not None:
            labels = self._labels[:, factor]
            counts = labels.bincount()
            starts = counts.cumsum(0) - counts
            value = labels[torch.randint(len(self._codes), (groups, 1), generator=draw)]
            part = torch.rand(groups, size, generator=draw, dtype=torch.float64)
            rows = self._order[:, factor][starts[value] + (part * counts[value]).long()]
        return self._codes[rows.to(self._codes.device)]


@dataclass(frozen=True, eq=False, kw_only=True)
class BetaVAEScore(Score):
    """`score` is the accuracy on `n_test` new points, `train_score` that on the `n` fitted on.

    All were drawn from `rows` rows, None where each is a new observation.
    """

    rows: int | None
    n_test: int
    batch: int
    train_score: float


def beta_vae(
    sampler: Sampler, *, points: int = 10_000, test_points: int = 5_000, batch: int = 64,
    seed: int = 0,
) -> BetaVAEScore:  # fmt: skip
    """BetaVAE score (Higgins et al. 2017), in [0, 1], chance 1/K, as in disentanglement_lib.

    A point is the mean of |z − z'| over `batch` pairs of samples that agree in one factor; which
    factor that was is told from it by logistic regression, scikit-learn's with its defaults (L2,
    C = 1, unscaled features), but minimised to convergence. The score is the accuracy on new
    points. It saturates: an entangled code of 50 or more dimensions scores 1, and so does one that
    ignores a factor. ValueError for a single factor.
    """
    check_whole(1, points=points, test_points=test_points, batch=batch)
    _several_factors(sampler)
    draw = random_stream(seed)

    def sample(count: int) -> tuple[Tensor, Tensor]:
        def differences(factor: int, count: int) -> Tensor:
            pairs = sampler(factor, count * batch, 2, draw)
            return (pairs[:, 0] - pairs[:, 1]).abs_().reshape(count, batch, -1).mean(1)

        return _by_factor(differences, sampler.factors, count, max(1, _CALL // (2 * batch)), draw)

    x, y = sample(points)
    new, truth = sample(test_points)
    need(len(y.unique()) == sampler.factors, f"{points} points miss a factor: draw more")
    weight, bias = logistic_regression(x, y, l2=1 / points)

    def accuracy(x: Tensor, y: Tensor) -> float:
        return float(((x @ weight + bias).argmax(1) == y).double().mean())

    return BetaVAEScore(
        score=accuracy(new, truth),
        n=points,
        seed=seed,
        rows=sampler.rows,
        n_test=test_points,
        batch=batch,
        train_score=accuracy(x, y),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class FactorVAEScore(Score):
    """`score` is the accuracy of `n_test` votes, `train_score` that of the `n` which set the rule.

    `votes` int64 [K, A] counts the latter, for the A codes of `active`, int64 [A]. All were drawn
    from `rows` rows, None where each is a new observation.
    """

    rows: int | None
    n_test: int
    batch: int
    threshold: float
    train_score: float
    active: Tensor = field(repr=False)
    votes: Tensor = field(repr=False)


def factor_vae(
    sampler: Sampler, *, votes: int = 10_000, test_votes: int = 5_000, batch: int = 64,
    variance_samples: int = 10_000, threshold: float = 0.05, seed: int = 0,
) -> FactorVAEScore:  # fmt: skip
    """FactorVAE score (Kim & Mnih 2018), in [0, 1], chance 1/K, as in disentanglement_lib.

    In `batch` samples that agree in one factor, the code whose variance is least, relative to that
    over `variance_samples` random ones, votes for the factor; each code then stands for the factor
    that it got most of `votes` for (the first if none), and the score is the share of new votes
    that this gets right. Codes of a deviation below `threshold`, or of none, take no part: .05 is
    the study's value, meant for codes of a scale near 1; the score is 0 if no code is left. It
    saturates like `beta_vae`. ValueError for a single factor.
    """
    check_whole(1, votes=votes, test_votes=test_votes)
    check_whole(2, batch=batch, variance_samples=variance_samples)
    _several_factors(sampler)
    draw = random_stream(seed)
    calls = [_CALL] * (variance_samples // _CALL) + [variance_samples % _CALL]
    samples = torch.cat([sampler(None, 1, size, draw) for size in calls if size], 1)
    unit = unit_of(samples.abs().amax((0, 1)))
    variance = _variance(samples * unit)[0]
    active = ((variance.sqrt() / unit >= threshold) & (variance > 0)).nonzero()[:, 0]
    k, a = sampler.factors, len(active)

    def count(number: int) -> Tensor:
        if a == 0:
            return torch.zeros(k, 0, dtype=torch.int64)

        def steadiest(factor: int, count: int) -> Tensor:
            within = _variance(sampler(factor, count, batch, draw) * unit)
            return (within[:, active] / variance[active]).argmin(1)

        code, factor = _by_factor(steadiest, k, number, max(1, _CALL // batch), draw)
        return (factor * a + code).bincount(minlength=k * a).reshape(k, a).cpu()

    counted, tested = count(votes), count(test_votes)
    rule = counted.argmax(0)

    def accuracy(counts: Tensor, number: int) -> float:
        return int(counts.gather(0, rule[None]).sum()) / number

    return FactorVAEScore(
        score=accuracy(tested, test_votes),
        n=votes,
        seed=seed,
        rows=sampler.rows,
        n_test=test_votes,
        batch=batch,
        threshold=threshold,
        train_score=accuracy(counted, votes),
        active=active.cpu(),
        votes=counted,
    )


def _several_factors(sampler: Sampler) -> None:
    need(
        sampler.factors > 1,
        f"the sampler has {sampler.factors} factor, expected at least 2: there is none to tell "
        "apart",
    )


def _by_factor(
    ask: Callable[[int, int], Tensor], factors: int, count: int, at_once: int, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`count` answers of ask(factor, how many) for random factors, and those factors; by factor."""
    drawn = torch.randint(factors, (count,), generator=draw).bincount(minlength=factors).tolist()
    answers = []
    for factor, number in enumerate(drawn):
        for start in range(0, number, at_once):
            answers.append(ask(factor, min(at_once, number - start)))
    labels = torch.arange(factors).repeat_interleave(torch.tensor(drawn))
    return torch.cat(answers), labels.to(answers[0].device)


def _variance(groups: Tensor) -> Tensor:
    """Unbiased variance within groups [G, size, D] → [G, D], exactly 0 for a constant code.

    From sums of squares about the first sample: some three times faster than Tensor.var here.
    """
    size = groups.shape[1]
    apart = groups - groups[:, :1]
    return (apart.square().mean(1) - apart.mean(1).square()) * (size / (size - 1))

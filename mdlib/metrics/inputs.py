"""What every metric is given, as tensors it can rely on, and what every metric gives back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdlib.checks import as_tensor, check_each, check_exact, check_finite, need
from mdlib.evaluation.inputs import as_codes
from mdlib.registry import random_stream
from mdlib.types import Values


@dataclass(frozen=True, eq=False, kw_only=True)  # == on tensors has no single truth value
class Score:
    """One number and what it depends on: scores of another `n` or `bins` don't compare.

    `score` is the headline number, `n` the samples it rests on (those it was fitted on, where
    something is fitted), `bins` those of each code's histogram, `seed` that of its random choices;
    None where there are none. Subclasses add the parts, as tensors on the CPU.
    """

    score: float
    n: int
    bins: int | None = None
    seed: int | None = None


def checked_codes(codes: Values, name: str = "codes", least: int = 1) -> Tensor:
    """Codes as finite floats [N, D ≥ least] on their device, float64 if they are, else float32."""
    codes = as_codes(codes, name)
    need(len(codes) > 1, f"{name} hold 1 sample, expected at least 2")
    need(
        codes.shape[1] >= least,
        f"{name} have {codes.shape[1]} dimensions, expected at least {least}: the score compares "
        "dimensions",
    )
    return codes


def checked_factors(
    codes: Tensor, factors: Values, name: str = "factors", least: int = 1
) -> Tensor:
    """Factors [N, K ≥ least] as finite float64 beside checked `codes`, each of several values."""
    factors, n = as_tensor(factors, name).to(codes.device), len(codes)
    need(
        factors.ndim == 2 and len(factors) == n and factors.shape[1] > 0,
        f"{name} have shape {list(factors.shape)}, expected [{n}, K], one row for each code: "
        "write a single factor as factors[:, None]",
    )
    need(
        factors.shape[1] >= least,
        f"{name} have {factors.shape[1]} column, expected at least {least}: a code can't mix up "
        "a single factor",
    )
    check_finite(name, factors)
    check_exact(name, factors)
    constant = (factors == factors[:1]).all(0).nonzero()[:, 0].tolist()
    need(
        not constant,
        f"{name} of column {constant} have one value, expected at least 2: nothing can be said of "
        "a factor that never varies, leave it out",
    )
    return factors.double()


def checked_labels(codes: Tensor, factors: Values, least: int = 1) -> Tensor:
    """Discrete factors as int64 [N, K]: the values of column j, in order, become 0 … V_j − 1."""
    return _as_labels(checked_factors(codes, factors, least=least))


def checked_split(
    codes: Values,
    factors: Values,
    test: tuple[Values, Values] | None,
    seed: int,
    *,
    least_codes: int = 1,
    least_factors: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(codes, labels) to fit on and (codes, labels) to test on.

    `test` is a second sample as (codes, factors); without one a third of the rows, drawn by `seed`,
    is held out: the 10 000 and 5 000 samples of the literature, if there are 15 000.
    """
    codes = checked_codes(codes, least=least_codes)
    if test is None:
        labels = checked_labels(codes, factors, least_factors)
        need(len(codes) > 2, f"{len(codes)} samples, expected at least 3, one of them to hold out")
        rows = torch.randperm(len(codes), generator=random_stream(seed))
        held, rest = rows.to(codes.device).tensor_split([len(rows) // 3])
        parts = codes[rest], labels[rest], codes[held], labels[held]
    else:
        new, truth = test
        new = checked_codes(new, "test codes").to(codes)
        check_finite("test codes", new)  # in the precision of the others, too
        factors = checked_factors(codes, factors, least=least_factors)
        truth = checked_factors(new, truth, "test factors")
        need(
            new.shape[1] == codes.shape[1] and truth.shape[1] == factors.shape[1],
            f"the test sample has {new.shape[1]} dimensions and {truth.shape[1]} factors, expected "
            f"{codes.shape[1]} and {factors.shape[1]} as in the first",
        )
        labels = _as_labels(torch.cat([factors, truth]))  # one numbering for both
        parts = codes, labels[: len(codes)], new, labels[len(codes) :]
    for j, (fitted, tested) in enumerate(zip(parts[1].T, parts[3].T, strict=True)):
        unseen = tested[~torch.isin(tested, fitted)]
        need(
            len(unseen) == 0,
            f"factor {j}: {len(unseen.unique())} of its values occur in the test sample only, "
            "expected all of them in the sample to fit on: add samples, or leave rare values out",
        )
    return parts


def _as_labels(factors: Tensor) -> Tensor:
    cure = "number them with numpy.unique(column, return_inverse=True), or bin them first"
    check_each("factors", factors, factors == factors.round(), f"discrete values: {cure}")
    columns = [column.unique(return_inverse=True)[1] for column in factors.T]
    return torch.stack(columns, 1)

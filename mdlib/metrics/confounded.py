"""UC and CG: does each factor own its part of a code, even where a common cause ties their values?

Both are of Reddy, Benin and Balasubramanian (2022), arXiv:2112.05746, and stand on the matrix of
`irs`: the part S_j of a code that factor j owns are the `owned` dimensions that stay most put while
everything but factor j changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import torch
from jaxtyping import Int
from torch import Tensor

from mdlib.checks import check_each, check_whole, need
from mdlib.metrics.inputs import Score, checked_codes, checked_factors
from mdlib.metrics.robustness import irs
from mdlib.types import Values

_ROUNDING = 1e-3  # by which a probability may leave [0, 1], in half precision


@dataclass(frozen=True, eq=False, kw_only=True)
class UCScore(Score):
    """`sets`, int64 [K, owned], has the dimensions that each factor owns, the best first; `matrix`
    [D, K] is what they were chosen by.
    """

    owned: int
    sets: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)


def uc(
    codes: Values, factors: Values, owned: int = 1, *, bins: int = 20, quantile: float = 0.99
) -> UCScore:
    """Unconfoundedness, in [0, 1]: 1 − the mean over pairs of factors of |S_i ∩ S_j| / |S_i ∪ S_j|.

    Codes [N, D], factors [N, K], K ≥ 2; `bins` and `quantile` are those of `irs`, whose matrix
    ranks dimensions. It is 1 where no two factors share a dimension, whatever their values have to
    do with each other, and 0 where all own the same. If K · `owned` > D, sets must overlap. A
    factor that no dimension tells owns what varies by the rarest extremes (the matrix divides by a
    largest deviation): several such factors own the same, and UC is low though nothing is mixed.

    The released code (causal-disentanglement/disentanglement_lib at 64e7871) takes every ρ-th of
    half-sorted dimensions instead of the ρ best: of 10 dimensions and ρ = 7 the best one and one at
    random. Both agree for ρ = 1. It drops dimensions that don't vary; here they come last.
    ValueError as in `irs`, for a single factor, and for `owned` above D.
    """
    found = irs(codes, factors, bins, quantile)
    d, k = found.matrix.shape
    need(
        k > 1, f"factors have {k} column, expected at least 2: a factor shares nothing with itself"
    )
    check_whole(1, owned=owned)
    need(owned <= d, f"owned={owned}: codes have {d} dimensions, expected at most as many")
    sets = found.matrix.argsort(dim=0, descending=True, stable=True)[:owned].T
    own = torch.zeros(k, d, dtype=torch.float64).scatter(1, sets, 1.0)
    shared = [own[i] @ own[j] for i, j in combinations(range(k), 2)]
    overlap = torch.stack([m / (2 * owned - m) for m in shared]).mean()
    return UCScore(
        score=1 - float(overlap),
        n=found.n,
        bins=bins,
        owned=owned,
        sets=sets,
        matrix=found.matrix,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class CGScore(Score):
    """`own` and `rest` [K] say how far the probability of a factor's true value moves, on average,
    when the dimensions it owns go to the far end, and when all others do. `signed` is the mean of
    own − rest, in [−1, 1]. `read` [K] is the mean probability of the true value before; `sets`,
    int64 [K, owned], are those of `uc`.
    """

    owned: int
    signed: float
    own: Tensor = field(repr=False)
    rest: Tensor = field(repr=False)
    read: Tensor = field(repr=False)
    sets: Tensor = field(repr=False)


def cg(
    codes: Values,
    factors: Values,
    read: Callable[[Tensor], Sequence[Tensor]],
    owned: int = 1,
    *,
    bins: int = 20,
    quantile: float = 0.99,
) -> CGScore:
    """Counterfactual generativeness, in [0, 1]: do the dimensions that a factor owns, and only
    those, change it in what is generated?

    `read` decodes codes [N, D] and asks a classifier, trained on real images, for the factors of
    what comes out: K tensors of probabilities [N, V_j] for the values 0 … V_j − 1 of factor j.
    With p₀ the probability of the true value in the reconstruction, p₁ after each dimension of S_j
    has gone to the farthest value it has in the data, and p₂ after all dimensions outside S_j have,

        CG = mean over factors and rows of | |p₀ − p₁| − |p₀ − p₂| |

    as published and released. The outer bars are a trap: a factor that its own dimensions don't
    move, but others do, counts in full. `signed` is the mean without them, and falls to −1 there.
    CG sees no dimension that two factors own together (`uc` does). A decoder that blurs a factor
    away has p₀ near chance and CG near 0.

    Codes [N, D], factors [N, K], K ≥ 2, whole numbers from 0; other settings as in `uc`. ValueError
    as there, and where `read` gives other shapes, too few values or no probabilities.
    """
    given = checked_codes(codes)
    values = checked_factors(given, factors)
    why = "they say which of a classifier's probabilities is that of the true value"
    whole = (values == values.round()) & (values >= 0)
    check_each("factors", values, whole, f"whole numbers from 0: {why}")
    labels = values.long()
    parts = uc(given, factors, owned, bins=bins, quantile=quantile)
    low, high = given.amin(0), given.amax(0)
    far = torch.where(given - low > high - given, low, high)
    before = _truth(read(given), labels)
    own, rest = torch.empty_like(before), torch.empty_like(before)
    for j, members in enumerate(parts.sets):
        inside = torch.zeros(given.shape[1], dtype=torch.bool, device=given.device)
        inside[members.to(given.device)] = True
        for moved, change in ((inside, own), (~inside, rest)):
            after = _truth(read(torch.where(moved, far, given)), labels)
            change[:, j] = (before[:, j] - after[:, j]).abs()
    return CGScore(
        score=float((own - rest).abs().mean()),
        n=parts.n,
        bins=bins,
        owned=owned,
        signed=float((own - rest).mean()),
        own=own.mean(0).cpu(),
        rest=rest.mean(0).cpu(),
        read=before.mean(0).cpu(),
        sets=parts.sets,
    )


def _truth(probabilities: Sequence[Tensor], labels: Int[Tensor, "n k"]) -> Tensor:
    """The probability of each row's true values, float64 [N, K]."""
    n, k = labels.shape
    need(len(probabilities) == k, f"read gave {len(probabilities)} tensors, expected {k}, one each")
    columns = []
    for j, (p, label) in enumerate(zip(probabilities, labels.T, strict=True)):
        least = int(label.max()) + 1
        need(
            p.ndim == 2 and len(p) == n and p.shape[1] >= least,
            f"read gave {list(p.shape)} for factor {j}, expected [{n}, V] with V at least {least}",
        )
        chance = (p >= -_ROUNDING) & (p <= 1 + _ROUNDING)  # of NaN, neither
        check_each(f"probabilities for factor {j}, as read gives them,", p, chance, "0 to 1")
        columns.append(p.double().gather(1, label[:, None])[:, 0])
    return torch.stack(columns, 1)

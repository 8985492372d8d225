"""Is the truth recovered? MCC for single codes, R² for blocks, each beside the null it needs.

Both take factors that are numbers, continuous or not: classes without an order have no correlation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mdlib.checks import check_one_of, check_whole, need
from mdlib.evaluation.inputs import standardise, unit_of
from mdlib.evaluation.probes import TARGET_PROBES
from mdlib.metrics.alignment import random_rotation
from mdlib.metrics.inputs import Score, checked_codes, checked_factors
from mdlib.registry import random_stream
from mdlib.types import Values


@dataclass(frozen=True, eq=False, kw_only=True)
class MCCScore(Score):
    """`per_factor` [K] has the correlations that `score` is the mean of, and `matched`, int64 [K],
    the code of each factor, −1 for none. `null` is the mean score of as many codes whose axes mean
    nothing, and `null_std` its deviation over rotations. `matrix` [D, K] has all correlations.
    """

    null: float
    null_std: float
    per_factor: Tensor = field(repr=False)
    matched: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)


def mcc(
    codes: Values, factors: Values, *, kind: str = "pearson", rotations: int = 5, seed: int = 0
) -> MCCScore:
    """Mean correlation coefficient (Hyvärinen & Morioka 2016), in [0, 1]: |corr| of each factor and
    a code of its own, by the matching that makes the sum greatest; the mean over factors.

    Codes [N, D] and factors [N, K]. Where D < K some factors have no code, and count 0. "pearson"
    asks for the factor up to a linear map, "spearman" up to a monotone one. 1 means that each
    factor is a code, and says nothing of what else the codes hold.

    `null` is the score of z·Q, with z the codes without correlation and of one variance (as far as
    they have any), and Q a random rotation, the mean over `rotations`: what codes of the same span
    reach by the choice of the best. It falls slowly with D, is not 0 for any, and is high where
    factors depend on each other: one code that is a factor correlates ρ with another of correlation
    ρ, so that K copies of it score near 1 for factors that are nearly equal. Compare with the null,
    never with 0. ValueError for NaN, a factor with one value, fewer than 2 rotations.
    """
    check_one_of(("pearson", "spearman"), kind=kind)
    check_whole(2, rotations=rotations)
    codes = checked_codes(codes).double().cpu()
    factors = checked_factors(codes, factors)
    matrix = _correlations(codes, factors, kind)
    per_factor, matched = _best_matching(matrix)
    white, draw = _whitened(codes), random_stream(seed)
    turned = [white @ random_rotation(white.shape[1], draw) for _ in range(rotations)]
    nulls = torch.stack([_best_matching(_correlations(z, factors, kind))[0].mean() for z in turned])
    return MCCScore(
        score=float(per_factor.mean()),
        n=len(codes),
        seed=seed,
        null=float(nulls.mean()),
        null_std=float(nulls.std()),
        per_factor=per_factor,
        matched=matched,
        matrix=matrix,
    )


def _correlations(
    codes: Float[Tensor, "n d"], factors: Float[Tensor, "n k"], kind: str
) -> Float[Tensor, "d k"]:
    """|corr| of each code and factor, 0 for a code that doesn't vary."""
    if kind == "spearman":
        from scipy.stats import rankdata

        codes, factors = (torch.from_numpy(rankdata(v.numpy(), axis=0)) for v in (codes, factors))
    (codes,), (factors,) = standardise(codes), standardise(factors)
    return (codes.T @ factors / len(codes)).abs().clamp(max=1)


def _best_matching(
    matrix: Float[Tensor, "d k"],
) -> tuple[Float[Tensor, " k"], Tensor]:
    from scipy.optimize import linear_sum_assignment

    code, factor = map(torch.from_numpy, linear_sum_assignment(matrix.numpy(), maximize=True))
    per_factor, matched = matrix.new_zeros(matrix.shape[1]), torch.full((matrix.shape[1],), -1)
    per_factor[factor], matched[factor] = matrix[code, factor], code
    return per_factor, matched


def _whitened(codes: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Uncorrelated codes of variance 1 with the same span; dimensions that it lacks are 0."""
    (codes,) = standardise(codes)
    left, lengths, right = torch.linalg.svd(codes, full_matrices=False)
    alive = lengths > max(codes.shape) * torch.finfo(codes.dtype).eps * lengths[0]
    return (left * alive) @ right * len(codes) ** 0.5


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockScore(Score):
    """`score` is the mean of `per_factor` [K], R² on the test sample; `n` were fitted on. `null`
    and `null_per_factor` are the same from the `others` alone, None without them.
    """

    probe: str
    null: float | None
    per_factor: Tensor = field(repr=False)
    null_per_factor: Tensor | None = field(repr=False)


def block_r2(
    codes: Values, factors: Values, *,
    others: Values | None = None, probe: str = "ridge", seed: int = 0,
) -> BlockScore:  # fmt: skip
    """R² of the factors [N, K] of one block from a block of codes [N, D], at most 1; the mean over
    factors, as von Kügelgen et al. (2021) measure what content and style codes know.

    `probe` is "ridge" (linear identifiability) or "knn_regression" (any map), fitted on two thirds
    of the rows, drawn by `seed`, and scored on the others. Below 0 it predicts worse than the mean
    does.

    A block of codes that holds another block only still scores above 0 where the two depend on each
    other. `others` [N, M] are the true factors that the codes are meant to hold: `null` is the R²
    from these, which a perfect code of them can't fall below. What exceeds it has leaked.
    ValueError for NaN, a factor with one value in some part, fewer than 12 rows.
    """
    check_one_of(tuple(TARGET_PROBES), probe=probe)
    codes = checked_codes(codes)
    factors = checked_factors(codes, factors)
    n = len(codes)
    need(n >= 12, f"{n} samples, expected at least 12: a third of them tests")
    rows = torch.randperm(n, generator=random_stream(seed)).to(codes.device)
    test, train = rows.tensor_split([n // 3])

    def found(given: Tensor) -> Tensor:
        result = TARGET_PROBES[probe](given[train], factors[train], given[test], factors[test])
        return result.per_target.cpu()

    null = None
    if others is not None:
        others = checked_factors(codes, others, "others")
        others = others * unit_of(others.abs().amax(0))  # or float32 might have no such numbers
        null = found(others.to(codes.dtype))
    per_factor = found(codes)
    return BlockScore(
        score=float(per_factor.mean()),
        n=len(train),
        seed=seed,
        probe=probe,
        null=None if null is None else float(null.mean()),
        per_factor=per_factor,
        null_per_factor=null,
    )

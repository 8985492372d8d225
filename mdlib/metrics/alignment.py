"""MED, MIG and modularity: does each axis of a code carry one factor? From mutual information."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlib.checks import check_whole
from mdlib.evaluation.inputs import standardise
from mdlib.metrics.aggregate import completeness, disentanglement, gap, modular, per_factor
from mdlib.metrics.information import information
from mdlib.metrics.inputs import Score, checked_codes
from mdlib.registry import random_stream
from mdlib.types import Values


@dataclass(frozen=True, eq=False, kw_only=True)
class MEDScore(Score):
    """`score`, `completeness` and `per_factor` [K] are those of the `selected` codes.

    With `top_k` these are the top-k codes, in ascending order, else all; `full` is MED of all codes
    in any case. `per_code` [D] and `importance` [D, K] belong to all codes, as does `information`,
    the mutual information in nats, [D, K]. `bias_corrected` is a variant of the score, with a
    selection of its own where there is a `top_k`.
    """

    top_k: int | None
    full: float
    completeness: float
    bias_corrected: float
    selected: Tensor = field(repr=False)
    per_code: Tensor = field(repr=False)
    per_factor: Tensor = field(repr=False)
    importance: Tensor = field(repr=False)
    information: Tensor = field(repr=False)


def med(codes: Values, factors: Values, bins: int = 20, top_k: int | None = None) -> MEDScore:
    """Mutual-information-based entropy disentanglement (Cao et al. 2022), in [0, 1].

    The importance of code i for factor j is R_ij = I(z_i; v_j)/Σ_i' I(z_i'; v_j), with codes
    [N, D] in `bins` bins (see `mutual_information_matrix`) and discrete factors [N, K], K ≥ 2;
    MED is the `disentanglement` of R. A factor that no code informs has an empty column, R_·j = 0,
    and no weight (the released code gives NaN); if none is informed the score is 0.

    With `top_k` only the k most disentangled codes of each factor are scored, where a code belongs
    to the factor that it is most important for, by the released rule: R keeps its normalisation
    over all codes. The best of many codes look good by chance: beside every top-k value report
    `rotation_null`, which scores an equal selection from randomly rotated codes.

    A variant is in the result: `bias_corrected` takes the first-order bias off each I_ij before; it
    isn't in the paper, and it matters: a perfect code of dSprites' factors scores .93 at N = 10 000
    and .63 at N = 1000, corrected .99 and .91. But where codes know nothing of any factor, what
    little noise is left is normalised as if it were knowledge, and scores about .3. Never compare
    scores of different N or bins. For how well all codes together predict the factors, a costly
    part of the released metric, see `informativeness`. MED needs independent factors: where two of
    three agree in 70 % of the rows, a perfect code scores .61. ValueError for lengths that differ,
    NaN, continuous factors, a factor with one value, a single factor.
    """
    if top_k is not None:
        check_whole(1, top_k=top_k)
    given = information(codes, factors, bins, least_factors=2)
    importance = _share(given.matrix)
    full, per_code = disentanglement(importance)
    kept, score = _scored(importance, top_k)
    return MEDScore(
        score=score,
        n=given.n,
        bins=bins,
        top_k=top_k,
        full=full,
        completeness=completeness(importance[kept])[0],
        bias_corrected=_scored(_share(given.corrected()), top_k)[1],
        selected=kept,
        per_code=per_code,
        per_factor=per_factor(importance[kept], per_code[kept]),
        importance=importance,
        information=given.matrix,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class NullScore(Score):
    """`score` is the mean of `scores`, one a rotation, and `std` their deviation (n − 1).

    `full_scores` are MED of all rotated codes; both are [rotations].
    """

    top_k: int | None
    std: float
    scores: Tensor
    full_scores: Tensor


def rotation_null(
    codes: Values, factors: Values, top_k: int | None = 1, *,
    bins: int = 20, rotations: int = 5, seed: int = 0,
) -> NullScore:  # fmt: skip
    """Top-k MED of codes whose axes mean nothing: z·Q with random orthogonal Q, z standardised.

    Q is uniform (QR of a Gaussian matrix with the signs made unique). Each code that varies has
    mean 0 and deviation 1 before: `med` doesn't see the scale of a code, so its null must not
    either, or every rotated code would be little else than the largest ones. Dead codes are 0, and
    take part in the rotation. What `med` finds beyond this is owed to the codes' own axes; what it
    doesn't, to the selection. ValueError as in `med`, and for fewer than 2 rotations.
    """
    check_whole(2, rotations=rotations)
    codes = checked_codes(codes)
    (standard,) = standardise(codes.double())
    draw = random_stream(seed)
    results = [
        med(standard @ random_rotation(codes.shape[1], draw).to(standard), factors, bins, top_k)
        for _ in range(rotations)
    ]
    scores = torch.tensor([result.score for result in results], dtype=torch.float64)
    return NullScore(
        score=float(scores.mean()),
        n=len(codes),
        bins=bins,
        seed=seed,
        top_k=top_k,
        std=float(scores.std()),
        scores=scores,
        full_scores=torch.tensor([result.full for result in results], dtype=torch.float64),
    )


def random_rotation(d: int, draw: torch.Generator) -> Float[Tensor, "{d} {d}"]:
    """An orthogonal matrix [d, d], float64, uniform over all of them (reflections included)."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=draw, dtype=torch.float64))
    return q * torch.where(r.diagonal() < 0, -1.0, 1.0)


def select(
    importance: Float[Tensor, "d k"], per_code: Float[Tensor, " d"], k: int
) -> Int[Tensor, " kept"]:
    """The k codes of highest `per_code` [D] among those that belong to each factor, ascending.

    A code belongs to the factor of the greatest entry in its row of `importance` [D, K], the first
    of equals. Factors may own fewer than k codes, or none.
    """
    owner = importance.argmax(1)
    best_first = per_code.argsort(descending=True, stable=True)
    owners = owner[best_first]
    kept = [best_first[owners == j][:k] for j in range(importance.shape[1])]
    return torch.cat(kept).sort().values


@dataclass(frozen=True, eq=False, kw_only=True)
class GapScore(Score):
    """`per_factor` [K] has the gaps, `matrix` [D, K] what they are gaps of."""

    per_factor: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)


def mig(codes: Values, factors: Values, bins: int = 20) -> GapScore:
    """Mutual information gap (Chen et al. 2018), in [0, 1]: the mean over factors of
    (I_best − I_second)/H(v_j), the two codes that know most of factor j.

    Codes [N, D], D ≥ 2, in `bins` bins, discrete factors [N, K]. A factor of V > bins values can't
    reach more than about log(bins)/log(V). The result's `matrix` is I in nats. ValueError as in
    `mutual_information_matrix`, and for a single code.
    """
    given = information(codes, factors, bins, least_codes=2)
    gaps = gap(given.matrix) / given.entropies
    return GapScore(
        score=float(gaps.mean()), n=given.n, bins=bins, per_factor=gaps, matrix=given.matrix
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class ModularityScore(Score):
    """`per_code` [D] has the modularity of each, `information` [D, K] is in nats."""

    per_code: Tensor = field(repr=False)
    information: Tensor = field(repr=False)


def modularity(codes: Values, factors: Values, bins: int = 20) -> ModularityScore:
    """Modularity (Ridgeway & Mozer 2018), in [0, 1]: the unweighted mean of `modular` over codes.

    Codes [N, D] in `bins` bins, discrete factors [N, K], K ≥ 2. Dead codes count as 0, and codes of
    pure noise score high (about .65 of sprites' factors), for the bias of their mutual information
    is greatest for the factor with most values: never read modularity alone. ValueError as in
    `med`.
    """
    given = information(codes, factors, bins, least_factors=2)
    per_code = modular(given.matrix)
    return ModularityScore(
        score=float(per_code.mean()),
        n=given.n,
        bins=bins,
        per_code=per_code,
        information=given.matrix,
    )


def _share(matrix: Tensor) -> Tensor:
    """Columns divided by their sums; an empty column stays empty."""
    total = matrix.sum(0)
    return matrix / torch.where(total > 0, total, 1)


def _scored(importance: Tensor, top_k: int | None) -> tuple[Tensor, float]:
    """The codes that are kept, and their disentanglement."""
    kept = torch.arange(len(importance))
    if top_k is not None:
        kept = select(importance, disentanglement(importance)[1], top_k)
    return kept, disentanglement(importance[kept])[0]

"""InfoMEC: modularity, compactness and explicitness, all three from normalised information."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mdlib.evaluation.inputs import standardise, unit_of
from mdlib.metrics.aggregate import peak
from mdlib.metrics.information import information
from mdlib.metrics.inputs import Score, checked_codes, checked_labels
from mdlib.types import Values

_ACTIVE = 1 / 20  # of the widest code's range: what spans no more is pruned


@dataclass(frozen=True, eq=False, kw_only=True)
class InfoMECScore(Score):
    """`score` is InfoM, `compactness` InfoC, `explicitness` InfoE; each is a mean of its parts.

    These are `per_code` [active codes], and `compact_per_factor` and `explicit_per_factor` [K].
    `active`, bool [D], are the codes that weren't pruned; `matrix` [D, K] is I(z_i; v_j)/H(v_j).
    """

    compactness: float
    explicitness: float
    active: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)
    per_code: Tensor = field(repr=False)
    compact_per_factor: Tensor = field(repr=False)
    explicit_per_factor: Tensor = field(repr=False)


def infomec(codes: Values, factors: Values, bins: int = 20) -> InfoMECScore:
    """InfoM, InfoC and InfoE (Hsu et al. 2023, arXiv:2305.18378), each in [0, 1].

    Codes [N, D], discrete factors [N, K], K ≥ 2. Codes that span at most 1/20 of the widest one's
    range are pruned: multiply one code by 100, and it is the only one left. In the others' matrix
    NMI_ij = I(z_i; v_j)/H(v_j), InfoM is the mean of `peak` over rows (codes), InfoC over columns
    (factors). InfoE is the mean over factors of 1 − L_j/H(v_j), where L_j is the cross-entropy, in
    nats, of a logistic regression on all codes, standardised, without a penalty, on the rows that
    it was fitted on. Values that a line can separate leave it without an optimum; it ends, as in
    the released code, after at most 100 iterations of scikit-learn's L-BFGS.

    What is ours: I is that of `mutual_information_matrix` (the released code has the plug-in for
    quantised codes only, else 10 nearest neighbours); the regression's classes aren't weighted, so
    that the best constant guess has L_j = H(v_j); a code that knows nothing at all has peak 0.

    Null: of noise InfoM is what the bias (bins − 1)(V_j − 1)/2N nats makes of it, about .15 for the
    factors of dSprites, and InfoE about the mean of D(V_j − 1)/(2N·H(v_j)), by Wilks' theorem: it
    is no score for D near N/V. InfoM and InfoC need independent factors: where two of K have
    entropy H and mutual information I, both are 1 − 2I/((K − 1)(H + I)) for the perfect code, and
    InfoE is 1. ValueError as in `med`.
    """
    given = information(codes, factors, bins, least_factors=2)
    codes = checked_codes(codes)
    unit = unit_of(codes.abs().max())
    reach = codes.amax(0) * unit - codes.amin(0) * unit
    active = ((reach > _ACTIVE * reach.max()) | (reach.max() == 0)).cpu()
    matrix = given.matrix / given.entropies
    per_code, per_factor = peak(matrix[active]), peak(matrix[active].T)
    (standard,) = standardise(codes.double())
    labels = checked_labels(codes, factors).T
    explicit = torch.tensor(
        [_told(standard, v, float(h)) for v, h in zip(labels, given.entropies, strict=True)]
    ).double()
    return InfoMECScore(
        score=float(per_code.mean()),
        n=given.n,
        bins=bins,
        compactness=float(per_factor.mean()),
        explicitness=float(explicit.mean()),
        active=active,
        matrix=matrix,
        per_code=per_code,
        compact_per_factor=per_factor,
        explicit_per_factor=explicit,
    )


def _told(codes: Tensor, labels: Tensor, entropy: float) -> float:
    """The share of a factor's entropy that a linear classifier of codes [N, D] takes away."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    x, y = codes.cpu().numpy(), labels.cpu().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=float("inf"), max_iter=100).fit(x, y)
    return 1 - float(log_loss(y, model.predict_proba(x))) / entropy

"""Scores that need no factors: Gaussian dependence between codes, and agreement between models."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

import torch
from torch import Tensor

from mdlib.checks import as_tensor, check_above_zero, check_one_of, need
from mdlib.evaluation.inputs import standardise, unit_of
from mdlib.metrics.inputs import Score, checked_codes
from mdlib.types import Values

# ---------------------------------------------------------------------------- one model's codes


@dataclass(frozen=True, eq=False, kw_only=True)
class WassersteinScore(Score):
    """`normalised` is the score divided by the codes' total variance; it may exceed 1."""

    normalised: float


def gaussian_total_correlation(codes: Values) -> Score:
    """½(Σ log C_ii − log det C) in nats, with C the covariance of codes [N, D]: the total
    correlation of Gaussian codes, 0 if uncorrelated (as in disentanglement_lib).

    Infinite where C is singular, as for codes that are duplicated or dead, or more than samples.
    ValueError for NaN.
    """
    codes = checked_codes(codes).double()
    covariance, n = _covariance(codes * unit_of(codes.abs().amax(0))), len(codes)
    scale = covariance.diagonal().sqrt()
    total = float("inf")
    if scale.min() > 0:
        eigenvalues = torch.linalg.eigvalsh(covariance / scale / scale[:, None])
        if eigenvalues[0] > len(scale) * torch.finfo(torch.float64).eps * eigenvalues[-1]:
            total = max(0.0, -0.5 * float(eigenvalues.log().sum()))
    return Score(score=total, n=n)


def wasserstein(codes: Values) -> WassersteinScore:
    """2 tr C − 2 tr (Λ^½ C Λ^½)^½ with Λ = diag C: the squared 2-Wasserstein distance between
    Gaussians of covariances C and Λ, 0 if codes [N, D] are uncorrelated (as in
    disentanglement_lib). Codes that are all dead score 0. ValueError for NaN.
    """
    codes = checked_codes(codes).double()
    largest = codes.abs().max()
    unit = unit_of(largest)
    covariance = _covariance(codes * unit)
    variance = covariance.diagonal()
    scale = variance.sqrt()
    eigenvalues = torch.linalg.eigvalsh(covariance * scale * scale[:, None]).clamp(min=0)
    total = float(variance.sum())
    score = max(0.0, 2 * total - 2 * float(eigenvalues.sqrt().sum()))
    normalised = score / total if total > 0 else 0.0
    score = score / float(unit) / float(unit)
    need(
        score < float("inf"),
        f"codes reach {float(largest):.3g}, and their variance no number: divide them by their "
        "range",
    )
    return WassersteinScore(score=score, n=len(codes), normalised=normalised)


def _covariance(codes: Tensor) -> Tensor:
    """Of codes [N, D], with N − 1, [D, D]; exactly 0 for constant codes."""
    centred = codes - codes[:1]
    centred = centred - centred.mean(0)
    return centred.T @ centred / (len(codes) - 1)


# ---------------------------------------------------------------------------- several models


@dataclass(frozen=True, eq=False, kw_only=True)
class UDRScore(Score):
    """`score` is the mean of `per_model` [M]; `pairwise` [M, M] has the pairs' scores, where the
    codes of row a predict those of column b. Its diagonal is 0 and counts nowhere.
    """

    per_model: Tensor
    pairwise: Tensor = field(repr=False)


def udr(
    models: Sequence[Values], kl: Values | None = None, *,
    kind: str = "lasso", alpha: float = 0.1, threshold: float = 0.01,
) -> UDRScore:  # fmt: skip
    """Unsupervised disentanglement ranking (Duan et al. 2020), in [0, 1]: do models that were
    trained alike, from other seeds, agree on their axes? As in disentanglement_lib.

    `models` are M ≥ 2 codes [N, D] of the same N inputs (1000 in the literature); codes are
    standardised. Between models a and b, A_ij is the size of the coefficient of a's code i in a
    lasso regression (penalty `alpha`) of b's code j, or of their rank correlation with
    ``kind="spearman"``. `relative_strength` of A is the pair's score; the median over all a ≠ b is
    that of model b, and `score` the mean over models, which is ours. With `kl` [M, D], each model's
    mean KL divergence per dimension in nats, dimensions at or below `threshold` are left out;
    without it all count. Lasso is iterated to convergence. ValueError for a single model, shapes
    that differ, NaN; RuntimeError if a lasso doesn't converge.
    """
    from scipy.stats import rankdata

    check_one_of(("lasso", "spearman"), kind=kind)
    check_above_zero(alpha=alpha)
    codes = [checked_codes(z, f"codes of model {a}").double() for a, z in enumerate(models)]
    need(len(codes) > 1, f"there is {len(codes)} model, expected at least 2 to compare")
    shapes = {tuple(z.shape) for z in codes}
    need(len(shapes) == 1, f"codes have shapes {sorted(shapes)}, expected the same for all models")
    active = torch.ones(len(codes), codes[0].shape[1], dtype=torch.bool)
    if kl is not None:
        kl = as_tensor(kl, "kl").cpu()
        need(
            kl.shape == active.shape and bool(torch.isfinite(kl).all()),
            f"kl has shape {list(kl.shape)}, expected finite values {list(active.shape)}",
        )
        active = kl > threshold
    codes = [z.cpu() for z in codes]  # coordinate descent is a loop of small steps
    if kind == "spearman":
        codes = [torch.from_numpy(rankdata(z.numpy(), axis=0)) for z in codes]
    codes = [standardise(z)[0] * alive for z, alive in zip(codes, active, strict=True)]

    pairwise = torch.zeros(len(codes), len(codes), dtype=torch.float64)
    for a, b in permutations(range(len(codes)), 2):
        if kind == "lasso":
            relation = _lasso(codes[a], codes[b], alpha).abs()
        else:
            relation = (codes[a].T @ codes[b] / len(codes[a])).abs()
        pairwise[a, b] = relative_strength(relation[active[a]][:, active[b]])
    others = [torch.cat([column[:b], column[b + 1 :]]) for b, column in enumerate(pairwise.T)]
    per_model = torch.stack(others).quantile(0.5, dim=1)  # the mean of the middle two, if even
    return UDRScore(
        score=float(per_model.mean()),
        n=len(codes[0]),
        per_model=per_model,
        pairwise=pairwise,
    )


def relative_strength(relation: Tensor) -> float:
    """½(mean over columns + mean over rows) of max²/sum of a matrix that is not negative.

    1 for a permutation matrix, 0 for an empty one.
    """

    def strength(dim: int) -> Tensor:
        total = relation.sum(dim)
        peak = relation.amax(dim).square()
        return torch.where(total > 0, peak / total, 0.0).mean()

    return float((strength(0) + strength(1)) / 2) if relation.numel() else 0.0


def _lasso(codes: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Weights [D, T] of scikit-learn's Lasso(alpha) of each column of target [N, T] on codes.

    Both are centred. RuntimeError where coordinate descent doesn't converge; codes that all say the
    same one thing, but for a hundredth, take some hundred thousand sweeps, a tenth of a second.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    model = Lasso(alpha, fit_intercept=False, precompute=True, tol=1e-7, max_iter=10_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(codes.numpy(), target.numpy())
        except ConvergenceWarning as warning:
            raise RuntimeError(
                f"lasso did not converge in {model.max_iter} sweeps: raise alpha, or drop codes"
            ) from warning
    return torch.from_numpy(model.coef_.reshape(target.shape[1], -1).T)

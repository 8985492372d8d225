"""IRS: how far a code stays put while everything but one factor changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.evaluation.inputs import unit_of
from mdlib.metrics.information import MOST_BINS, binned
from mdlib.metrics.inputs import Score, checked_codes, checked_factors
from mdlib.types import Values


@dataclass(frozen=True, eq=False, kw_only=True)
class IRSScore(Score):
    """`matrix` [D, K] has the robustness of each code to all but one factor, `per_code` [D] the
    best of each row, `reach` [D] the largest deviation of a code from its mean, its weight.
    """

    quantile: float
    per_code: Tensor = field(repr=False)
    matrix: Tensor = field(repr=False)
    reach: Tensor = field(repr=False)


def irs(codes: Values, factors: Values, bins: int = 20, quantile: float = 0.99) -> IRSScore:
    """Interventional robustness score (Suter et al. 2019), in [0, 1], as in disentanglement_lib.

    Where factor j has one value, code i deviates from its mean there by at most q (up to
    `quantile`); IRS_ij = 1 − mean over values of q / d_i, with d_i its largest deviation overall.
    The score is the mean over codes of the best IRS_ij, weighted by d_i. Codes [N, D]; factors
    [N, K], discrete or not, are cut into `bins` bins each. The paper has quantile 1. Codes that do
    not vary count nothing; if none varies the score is 0. Its floor is high (about .4 for noise at
    quantile .99, for d_i is a maximum over more samples than q). It is observational: the rows are
    taken for samples of independent factors. ValueError for NaN, a factor with one value, a
    quantile outside (0, 1].
    """
    codes = checked_codes(codes).double()
    factors = checked_factors(codes, factors)
    check_whole(2, MOST_BINS, bins=bins)
    need(0 < quantile <= 1, f"quantile is {quantile}, expected one in (0, 1]")
    unit = unit_of(codes.abs().max())  # or their sums might be no numbers
    codes = codes * unit
    constant = (codes == codes[:1]).all(0)
    reach = torch.where(constant, 0.0, (codes - codes.mean(0)).abs().amax(0))
    groups = binned(factors.T, bins)
    deviation = torch.stack([_deviation(codes, row, quantile) for row in groups], 1)
    spread = torch.where(constant, 1, reach)[:, None]
    matrix = torch.where(constant[:, None], 0.0, 1 - deviation / spread)
    per_code, total = matrix.amax(1), reach.sum()
    return IRSScore(
        score=float(per_code @ reach / total) if total > 0 else 0.0,
        n=len(codes),
        bins=bins,
        quantile=quantile,
        per_code=per_code.cpu(),
        matrix=matrix.cpu(),
        reach=(reach / unit).cpu(),
    )


def _deviation(codes: Tensor, groups: Tensor, quantile: float) -> Tensor:
    """Mean over groups [N] of the quantile of |z − the group's mean|, [N, D] → [D]."""
    values = groups.unique()
    within = codes.new_zeros(codes.shape[1])
    for value in values:
        members = codes[groups == value]
        within += _quantile((members - members.mean(0)).abs(), quantile)
    return within / len(values)


def _quantile(columns: Tensor, quantile: float) -> Tensor:
    """Quantile of each column [N, D], linear between neighbours: only the top is sorted."""
    position = quantile * (len(columns) - 1)
    low = int(position)
    top = columns.topk(len(columns) - low, dim=0).values
    if len(top) == 1:
        return top[0]
    return torch.lerp(top[-1], top[-2], position - low)

"""Mutual information, in nats, between every binned code and every factor, in one pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from mdlib.checks import check_whole
from mdlib.metrics.inputs import checked_codes, checked_labels
from mdlib.types import Values

CELLS = 2**19  # counted at once: small enough for a processor's cache
MOST_BINS = 2**16
_ROUNDING = 1e-12  # what dead codes leave in nats, of either sign


@dataclass(frozen=True, eq=False)
class Information:
    """What N samples say of D binned codes and K factors, float64 on the CPU, in nats.

    `matrix` is the plug-in I(z_i; v_j), [D, K]; `entropies` are H(v_j), [K]; `occupied` counts the
    bins that code i uses, [D], and `values` those that factor j takes, [K].
    """

    matrix: Tensor
    entropies: Tensor
    occupied: Tensor
    values: Tensor
    n: int

    def corrected(self) -> Tensor:
        """The matrix less its first-order bias (B_i − 1)(V_j − 1)/2N (Miller 1955), at least 0."""
        cells = (self.occupied[:, None] - 1) * (self.values - 1)
        bias = cells.double() / (2 * self.n)
        return (self.matrix - bias).clamp(min=0)


def mutual_information_matrix(
    codes: Values, factors: Values, bins: int = 20
) -> Float[Tensor, "d k"]:
    """Plug-in mutual information of every code and factor, in nats: float64 [D, K], on the CPU.

    Each column of `codes` [N, D] is cut into `bins` bins of equal width between its least and its
    greatest value (the last bin holds both its ends; a constant code has one bin); `factors` [N, K]
    are discrete. Values below 1e-12 are rounding and become 0. The estimate is too high by about
    (bins − 1)(V_j − 1)/2N; compare only equal N and bins. With more bins than samples most stay
    empty and the value tends to its useless limit H(v_j): every sample alone in its bin. Memory is
    bounded whatever D is. ValueError for NaN, for factors that are continuous or have one value,
    for more than 65 536 bins.
    """
    return information(codes, factors, bins).matrix


def information(
    codes: Values, factors: Values, bins: int, least_codes: int = 1, least_factors: int = 1
) -> Information:
    """All that scores take from binned codes; ValueError for fewer codes or factors than needed."""
    codes = checked_codes(codes, least=least_codes)
    labels = checked_labels(codes, factors, least=least_factors).T.to(torch.int32).contiguous()
    check_whole(2, MOST_BINS, bins=bins)
    n, values = len(codes), int(labels.max()) + 1
    tables = len(labels) * max(n, bins * values)  # cells a code, whichever is more
    at_once = max(1, CELLS // tables)
    matrix, occupied = [], []
    for columns in codes.split(at_once, dim=1):
        counts = _joint_counts(binned(columns.T.contiguous(), bins), labels, bins, values)
        matrix.append(plug_in(counts, n).cpu())
        occupied.append((counts[:, 0].sum(2) > 0).sum(1).cpu())
    by_value = torch.stack([row.bincount(minlength=values) for row in labels]).cpu()
    share = by_value.double() / n
    return Information(
        matrix=torch.cat(matrix),
        entropies=-torch.xlogy(share, share).sum(1),
        occupied=torch.cat(occupied),
        values=(by_value > 0).sum(1),
        n=n,
    )


def binned(rows: Float[Tensor, "d n"], bins: int) -> Int[Tensor, "d n"]:
    """Bin numbers 0 … bins − 1, int32, of each row's values [D, N] between its own extremes.

    Bins are closed on the left. A value that is below an edge by rounding alone counts as on it,
    or scaling a code that takes few values could move them from bin to bin; in double precision so
    could shifting it.
    """
    slack, double = 4 * bins * torch.finfo(rows.dtype).eps, rows.dtype == torch.float64
    rows = rows.double()
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    width = torch.where(high > low, high - low, 1)
    if double:  # of single precision so much slack would be wide enough to meet other values
        slack = slack * (torch.maximum(high.abs(), low.abs()) / width).clamp(1, 2**40)
    return ((rows - low) / width * bins + slack).to(torch.int32).clamp_(max=bins - 1)


def _joint_counts(
    bin_of: Int[Tensor, "d n"], labels: Int[Tensor, "k n"], bins: int, values: int
) -> Int[Tensor, "d k {bins} {values}"]:
    """How often code i is in bin b while factor j has value v: int64 [D, K, bins, values].

    `bin_of` [D, N] and `labels` [K, N], both integers; all tables are one bincount.
    """
    d, k = len(bin_of), len(labels)
    table = torch.arange(d * k, dtype=labels.dtype, device=labels.device).reshape(d, k, 1) * bins
    cells = (table + bin_of[:, None]) * values + labels
    counts = torch.bincount(cells.flatten(), minlength=d * k * bins * values)
    return counts.reshape(d, k, bins, values)


def plug_in(counts: Num[Tensor, "*tables rows columns"], n: int) -> Float[Tensor, "*tables"]:
    """H(row) + H(column) − H(row, column) in nats, of tables of counts of n samples each.

    What is below 1e-12 is rounding, and 0.
    """

    def entropy(counts: Tensor) -> Tensor:
        share = counts.double() / n
        return -torch.xlogy(share, share).sum(-1)

    joint = entropy(counts.flatten(-2))
    found = entropy(counts.sum(-1)) + entropy(counts.sum(-2)) - joint
    return torch.where(found < _ROUNDING, 0.0, found)

"""From a matrix [D, K], how much code i has to do with factor j, to one number.

Any matrix goes with any of these: mutual information, importance for a classifier, accuracy of a
classifier. What the literature calls MED, MIG, DCI, SAP and modularity are five of the pairs
(Locatello et al. 2020, "A Sober Look at the Unsupervised Learning of Disentangled
Representations"); InfoMEC's first two letters are two more.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_SMOOTH = 1e-11  # keeps log 0 away; the value of the released code


def disentanglement(importance: Float[Tensor, "d k"]) -> tuple[float, Float[Tensor, " d"]]:
    """How far each code keeps to one factor: the score in [0, 1] and its parts [D].

    D_i = 1 − H(P_i)/log K, where P_i is row i of `importance` [D, K] (not negative) as a
    distribution over factors; the score is the mean of D_i weighted by the rows' sums (Eastwood &
    Williams 2018). An empty row has D_i = 0; an empty matrix scores 0.
    """
    columns = importance.shape[1]
    mass = importance.sum(1)
    if columns == 1:  # the limit: whatever there is goes to the only column
        per_row = (mass > 0).double()
    else:
        smooth = importance + _SMOOTH
        share = smooth / smooth.sum(1, keepdim=True)
        per_row = (1 + torch.xlogy(share, share).sum(1) / math.log(columns)).clamp(0, 1)
    weight = mass / mass.sum() if mass.sum() > 0 else torch.full_like(mass, 1 / len(mass))
    return float(weight @ per_row), per_row


def completeness(importance: Float[Tensor, "d k"]) -> tuple[float, Float[Tensor, " k"]]:
    """How far each factor keeps to one code: the score in [0, 1] and its parts [K].

    `disentanglement` of the transposed matrix; with a single code it is 1, unless that is empty.
    """
    return disentanglement(importance.T)


def per_factor(
    importance: Float[Tensor, "d k"], per_code: Float[Tensor, " d"]
) -> Float[Tensor, " k"]:
    """The disentanglement of what each factor is found in, [K]: Σ_i R_ij·D_i / Σ_i R_ij.

    The score is their mean weighted by the columns' sums. An empty column has 0.
    """
    mass = importance.sum(0)
    return torch.where(mass > 0, per_code @ importance / mass, 0.0)


def gap(matrix: Float[Tensor, "d k"]) -> Float[Tensor, " k"]:
    """The lead of each factor's best code over the second best, [D, K] → [K], D ≥ 2."""
    best, second = matrix.topk(2, dim=0).values
    return best - second


def modular(matrix: Float[Tensor, "d k"]) -> Float[Tensor, " d"]:
    """1 − (Σ_j M_ij² − m²)/(m²·(K − 1)) with m = max_j M_ij, [D, K] → [D] (Ridgeway & Mozer 2018).

    0 for an empty row.
    """
    squares = matrix.square()
    top = squares.amax(1)
    rest = (squares.sum(1) - top) / (matrix.shape[1] - 1)
    return torch.where(top > 0, 1 - rest / top, 0.0)


def peak(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, " rows"]:
    """How much of each row is in its greatest entry, [R, M] → [R]: (max/sum − 1/M)/(1 − 1/M).

    1 for a row of one entry, 0 for one of equal entries and for an empty one (Hsu et al. 2023).
    With a single column it is 1, unless that is empty.
    """
    total, columns = matrix.sum(1), matrix.shape[1]
    if columns == 1:
        return (total > 0).double()
    share = torch.where(total > 0, matrix.amax(1) / total, 1 / columns)
    return (share * columns - 1) / (columns - 1)

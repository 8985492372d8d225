"""Paired samples as tensors that an estimator can rely on; ValueError for anything else."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mdlib.checks import as_tensor, check_exact, check_finite, need

_LARGEST = 1e100  # of a column's spread: sums of squares must stay numbers, and not become 0


def checked_pair(x, y, at_least: int, what: str) -> tuple[Tensor, Tensor]:
    """Both arrays as [N, Dx] and [N, Dy], of one floating dtype, detached, on x's device.

    [N] becomes [N, 1]. Integers become float64, half precision float32; if the two differ, both
    take the wider. `what` names the estimator in messages and `at_least` is the N that it needs.
    ValueError for fewer pairs, lengths that differ, another shape, NaN or infinity, and a constant
    column: it carries no information, and no method can put it on the scale of the others.
    """
    x, y = as_tensor(x, f"{what}: x"), as_tensor(y, f"{what}: y")
    check_exact(f"{what}: x", x)
    check_exact(f"{what}: y", y)
    dtype = torch.promote_types(_floating(x), _floating(y))
    x, y = (values.to(x.device, dtype) for values in (x, y))
    for name, values in (("x", x), ("y", y)):
        need(
            values.ndim in (1, 2) and 0 not in values.shape[1:],
            f"{what}: {name} has shape {list(values.shape)}, expected [N] or [N, D]: flatten maps "
            f"with {name}.flatten(1)",
        )
    need(
        len(x) == len(y),
        f"{what}: x has {len(x)} samples and y {len(y)}, expected as many: row i of both is a pair",
    )
    need(
        len(x) >= at_least,
        f"{what} is given {len(x)} pairs and needs at least {at_least}: add samples",
    )
    x, y = (values[:, None] if values.ndim == 1 else values for values in (x, y))
    for name, values in (("x", x), ("y", y)):
        _check_values(f"{what}: {name}", values)
    return x, y


def _floating(values: Tensor) -> torch.dtype:
    if not values.is_floating_point():
        return torch.float64
    return torch.promote_types(values.dtype, torch.float32)


def _check_values(name: str, values: Tensor) -> None:
    check_finite(name, values, "leave that pair out of both arrays")
    spread = (values.double() - values[0].double()).abs().amax(0)
    far = ((spread > 0) & ((spread < 1 / _LARGEST) | (spread > _LARGEST))).nonzero()
    if len(far):
        column = int(far[0])
        raise ValueError(
            f"{name} spreads over {spread[column].item():.3g} in column {column}, expected "
            f"{1 / _LARGEST:g} to {_LARGEST:g}, whose squares are numbers, too: divide the column "
            "by its range (that changes no information), or leave outliers out"
        )
    constant = (values == values[0]).all(0).nonzero()
    if len(constant):
        column = int(constant[0])
        raise ValueError(
            f"{name} is {values[0, column].item()} in every row of column {column}, expected a "
            "column that varies: leave it out, it carries no information"
        )


def normal_scores(values: Tensor) -> Tensor:
    """Each column by ranks: the i-th smallest of N becomes the (i − ½)/N quantile of N(0, 1).

    Equal values stay equal. Mutual information between continuous columns doesn't change, for it
    doesn't under increasing functions of single columns; tails and outliers do. (The function is
    made from all N rows, but from one side at a time: it knows of no pair.)
    """
    from scipy.stats import rankdata

    ranks = torch.from_numpy(rankdata(values.cpu().numpy(), axis=0)).to(values)
    return torch.special.ndtri((ranks - 0.5) / len(values))


def squashed_columns(values: Tensor) -> list[tuple[int, float]]:
    """Columns of [N, D] whose rest far values squash: (column, how far half of it reaches).

    Half of the values lie within that many standard deviations of the median: 0.67 of normal
    ones, 0.34 of exponential ones. Squashed is below 0.1, as by a few per cent of -999 among
    values around 0. Columns of which half the values are equal are left alone: they are sparse.
    """
    values = values.double()
    reach = (values - values.median(0).values).abs().median(0).values / values.std(0)
    return [(int(c), float(reach[c])) for c in ((reach > 0) & (reach < 0.1)).nonzero()[:, 0]]


def heavy_columns(values: Tensor) -> list[tuple[int, float]]:
    """Columns of [N, D] in which one value makes up much of the variance: (column, its share).

    Much is above 5 %, and above what the largest of N exponential values makes up, log(10 N)²/N.
    So hardly a normal, exponential or Laplace column is called heavy, and from some hundred rows
    most of log-normal ones and of Student's with two degrees of freedom are.
    """
    squares = (values.double() - values.double().mean(0)).square()
    share = squares.amax(0) / squares.sum(0)
    n = len(values)
    heavy = share > max(0.05, math.log(10 * n) ** 2 / n)
    return [(int(column), float(share[column])) for column in heavy.nonzero()[:, 0]]

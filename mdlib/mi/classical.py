"""Mutual information without a network: three classical estimators, each one function.

    estimate(x [N, Dx], y [N, Dy], ...) -> float, in nats

Row i of `x` and of `y` is one pair (x_i, y_i) drawn from p(x, y); [N] counts as [N, 1]. Tensors and
NumPy arrays alike are computed with in float64, on x's device.

- `gaussian` knows correlations and nothing else: exact for jointly normal variables, and blind to
  every other dependence.
- `ksg` asks nearest neighbours: no assumption but a density, excellent in one or two dimensions,
  and too low the more dimensions there are and the more information.
- `histogram` counts in cells: simple, and either too coarse or too empty beyond two dimensions.

None is a bound: an estimate can lie on either side of the truth. Nothing is clipped: with a truth
near 0, `ksg` and a corrected `histogram` can be negative. Bad input raises ValueError, see
`checked_pair`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mdlib.checks import check_whole, need
from mdlib.metrics.information import binned, plug_in
from mdlib.mi.inputs import checked_pair
from mdlib.registry import Registry
from mdlib.types import Values

_PERFECT = 1e-12  # 1 − ρ² below this is rounding error of float64, not information
BLOCK_BYTES = 8 * 2**20  # one block of distances; larger ones leave the CPU's cache and are slower
_TIED = 0.01  # the share of tied pairs that `ksg` lets pass; it costs thousandths of a nat
_NORMS = Registry("norm", {"max": math.inf, "euclidean": 2.0})


def gaussian(x: Values, y: Values, *, unbiased: bool = False) -> float:
    """−½ Σᵢ log(1 − ρᵢ²) over the canonical correlations ρᵢ (Gelfand & Yaglom 1957).

    Unchanged by invertible linear maps of either side; columns that others determine linearly add
    nothing. The bias is about +Dx·Dy / 2N, and for normal variables known exactly, whatever their
    correlations: `unbiased` subtracts `gaussian_bias`. A direction that is determined perfectly,
    1 − ρ² < 1e-12, makes the result inf. ValueError unless N > Dx + Dy + 1: with fewer pairs some ρ
    is 1 whatever the truth.
    """
    x, y = _float64_pair(x, y, 4, "gaussian")
    (n, dx), dy = x.shape, y.shape[1]
    need(
        n > dx + dy + 1,
        f"gaussian is given {n} pairs in {dx} + {dy} dimensions and needs at least {dx + dy + 2}: "
        "add samples, or reduce the dimension first",
    )
    of_x, of_y = _whitened(x), _whitened(y)
    unexplained = 1 - torch.linalg.svdvals(of_x.T @ of_y).square()
    if (unexplained < _PERFECT).any():
        return math.inf
    bias = gaussian_bias(n, of_x.shape[1], of_y.shape[1]) if unbiased else 0.0
    return -0.5 * float(unexplained.log().sum()) - bias


def gaussian_bias(n: int, dx: int, dy: int) -> float:
    """E of `gaussian` less the truth, in nats, for n jointly normal pairs of rank dx and dy.

    ½ (S(dx) + S(dy) − S(dx + dy)) with S(d) = Σ_{i ≤ d} ψ((n − i)/2): the expectations of the log
    determinants of Wishart matrices with n − 1 degrees of freedom (Muirhead 1982, section 3.2).
    """
    terms = ((n - torch.arange(1, dx + dy + 1).double()) / 2).digamma()
    return 0.5 * float(terms[:dx].sum() + terms[:dy].sum() - terms.sum())


def _whitened(values: Tensor) -> Tensor:
    """An orthonormal basis of the centred columns' span: [N, D] → [N, rank]."""
    values = (values - values.mean(0)) / values.std(0)  # the rank must not depend on the units
    basis, lengths, _ = torch.linalg.svd(values, full_matrices=False)
    noise = max(values.shape) * torch.finfo(values.dtype).eps * lengths[0]
    return basis[:, lengths > noise]


def ksg(x: Values, y: Values, k: int = 10, *, standardise: bool = True, norm: str = "max") -> float:
    """ψ(k) + ψ(N) − E[ψ(n_x + 1) + ψ(n_y + 1)] (Kraskov, Stögbauer & Grassberger 2004, eq. 8).

    Around each pair, ε is the distance to its k-th nearest neighbour, where the distance of two
    pairs is the larger of their distances in x and in y; n_x and n_y count the other samples that
    are strictly closer than ε in x alone and in y alone, and E is the mean over the pairs. `norm`
    measures within x and within y: "max" (the paper, scikit-learn) or "euclidean" (the bmi
    package). `standardise` divides every column by its standard deviation. A larger k has less
    variance and more bias. No value exceeds `ksg_ceiling`, which x with itself attains. O(N² (Dx +
    Dy)) time, blocks of 8 MiB. ValueError unless N > k + 1.

    Ties. The method assumes a density, under which no two distances are equal. Rounded or discrete
    values break that and push the estimate up, silently, so this refuses them with a ValueError:
    where a pair has k exact copies (ε = 0), or where more than 1% of the pairs have their k-th and
    their next neighbour equally far. Noise of 1e-10 standard deviations, added to a float64 copy,
    cures it; scikit-learn adds it unasked, here you do.

    Class labels can be y, if they stand further apart than any two x, and a class has more than k
    members: say y = 1e6·label, with a standardised x and `standardise=False`. Then n_y counts the
    class, and this is the estimator of Ross (2014).
    """
    check_whole(1, k=k)
    p, k = _NORMS[norm], int(k)
    x, y = _float64_pair(x, y, k + 2, f"ksg with k={k}")
    if standardise:
        x, y = x / x.std(0), y / y.std(0)
    n = len(x)
    total, edges = 0.0, []
    for rows in torch.arange(n, device=x.device).split(max(1, BLOCK_BYTES // (8 * n))):
        # Never by |a|² + |b|² − 2ab: its rounding would hide ties and move samples across ε.
        exact = {"p": p, "compute_mode": "donot_use_mm_for_euclid_dist"}
        in_x, in_y = (torch.cdist(values[rows], values, **exact) for values in (x, y))
        # The nearest of all is the pair itself, at 0: the k-th neighbour stands at index k here,
        # and the counts below are n_x + 1 and n_y + 1.
        nearest = torch.maximum(in_x, in_y).topk(k + 2, largest=False).values
        epsilon = nearest[:, k, None]
        for distances in (in_x, in_y):
            total += (distances < epsilon).sum(1).double().digamma().sum()
        edges.append(nearest[:, k:])
    _check_ties(torch.cat(edges), k)
    return float(torch.tensor([k, n]).double().digamma().sum() - total / n)


def ksg_ceiling(n: int, k: int = 10) -> float:
    """ψ(n) − ψ(k): the largest value of `ksg`, for ε has at least k − 1 samples within it."""
    return float(torch.tensor(n).double().digamma() - torch.tensor(k).double().digamma())


def _check_ties(edges: Tensor, k: int) -> None:
    """ValueError where `edges`, [N, 2], the k-th and the next distance of each pair, are tied."""
    cure = (
        "values from a continuous distribution: break ties by noise of 1e-10 standard deviations, "
        "added to a float64 copy (for class labels see the docstring)"
    )
    epsilon, beyond = edges.unbind(1)
    copied = (epsilon == 0).nonzero()
    if len(copied):
        raise ValueError(
            f"ksg with k={k}: the pair in row {int(copied[0])} has {k} or more exact copies, "
            f"expected {cure}"
        )
    tied = float((epsilon == beyond).double().mean())
    need(
        tied <= _TIED,
        f"ksg with k={k}: neighbours {k} and {k + 1} are equally far from {tied:.1%} of the pairs, "
        f"as with rounded values or copies, expected {cure}",
    )


def histogram(x: Values, y: Values, bins: int = 10, *, miller_madow: bool = False) -> float:
    """H(x) + H(y) − H(x, y) of counts in `bins` equal cells a column, from least to largest value.

    The plug-in estimate: cutting into cells loses information, and finite counts add about
    (K_xy − K_x − K_y + 1) / 2N, with K the number of cells occupied. `miller_madow` subtracts that
    term (Miller 1955). No value exceeds `histogram_ceiling`. ValueError where the grid has more
    cells than there are pairs, bins^(Dx + Dy) > N: the bias could then pass half a nat.
    """
    check_whole(2, bins=bins)
    x, y = _float64_pair(x, y, 2, "histogram")
    bins, n, dims = int(bins), len(x), x.shape[1] + y.shape[1]
    need(
        bins**dims <= n,
        f"histogram with bins={bins} in {dims} dimensions has {bins}^{dims} cells for {n} pairs, "
        f"expected at most one cell a pair: take at most {n ** (1 / dims):.1f} bins, fewer "
        "dimensions, or ksg",
    )
    of_x, of_y = bins ** x.shape[1], bins ** y.shape[1]
    counts = (_cells(x, bins) * of_y + _cells(y, bins)).bincount(minlength=of_x * of_y)
    counts = counts.reshape(of_x, of_y)
    occupied = [(c > 0).sum().item() for c in (counts, counts.sum(1), counts.sum(0))]
    bias = (occupied[0] - occupied[1] - occupied[2] + 1) / (2 * n) if miller_madow else 0.0
    return float(plug_in(counts, n)) - bias


def histogram_ceiling(
    n: int, dx: int, dy: int, bins: int = 10, *, miller_madow: bool = False
) -> float:
    """The largest value of `histogram`: the log of the cells of the side that has fewer.

    Miller and Madow's term can add (cells − 1) / 2n to it.
    """
    cells = bins ** min(dx, dy)
    return math.log(cells) + (cells - 1) / (2 * n) * miller_madow


def _cells(values: Tensor, bins: int) -> Tensor:
    """The number of the grid cell that holds each row: [N, D] → [N], below bins^D."""
    places = bins ** torch.arange(values.shape[1], device=values.device)
    return (binned(values.T, bins).T * places).sum(1)


def _float64_pair(x: Values, y: Values, at_least: int, what: str) -> tuple[Tensor, Tensor]:
    x, y = checked_pair(x, y, at_least, what)
    device = "cpu" if x.device.type == "mps" else x.device  # MPS lacks float64
    return x.to(device).double(), y.to(device).double()

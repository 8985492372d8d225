"""Classical estimators against closed forms, slow re-derivations, scikit-learn and the bmi package.

The reference numbers of bmi were measured with that package at N = 5000, seeds 0-2 (its estimators:
CCA; KSG, k = 10, Euclidean, standardised; histogram, 10 bins).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma
from scipy.stats import norm as standard_normal
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.metrics import mutual_info_score

from mdlib.mi import classical
from mdlib.mi.classical import gaussian, histogram, ksg
from mdlib.mi.inputs import checked_pair

ESTIMATORS = pytest.mark.parametrize("estimate", [gaussian, ksg, histogram])


def normal_pairs(rhos, dx: int, dy: int, n: int, seed: int = 0):
    """Standard normal x [n, dx], y [n, dy] of which columns i are correlated by rhos[i]."""
    draw = np.random.default_rng(seed)
    x, y = draw.standard_normal((n, dx)), draw.standard_normal((n, dy))
    for i, rho in enumerate(rhos):
        y[:, i] = rho * x[:, i] + math.sqrt(1 - rho**2) * y[:, i]
    return x, y


def normal_information(rhos) -> float:
    return sum(-0.5 * math.log(1 - rho**2) for rho in rhos)


# ---------------------------------------------------------------------------- gaussian


@pytest.mark.parametrize(
    "rhos, dx, dy", [([0.75], 1, 1), ([0.9, 0.5], 2, 3), ([], 4, 2), ([0.99, 0.6, 0.1], 10, 8)]
)
def test_gaussian_meets_the_closed_form(rhos, dx, dy):
    n = 20_000
    x, y = normal_pairs(rhos, dx, dy, n)
    draw = np.random.default_rng(1)
    x, y = x @ draw.standard_normal((dx, dx)), y @ draw.standard_normal((dy, dy)) + 3
    # The delta method: a canonical correlation has variance (1 − ρ²)²/n, and dI/dρ = ρ/(1 − ρ²).
    # Where ρ = 0, 2nI follows χ² instead, with a degree of freedom for each remaining product.
    bias, sd = dx * dy / (2 * n), math.sqrt(sum(r**2 for r in rhos) / n + dx * dy / (2 * n**2))
    assert gaussian(x, y) == pytest.approx(normal_information(rhos) + bias, abs=4 * sd)


def test_gaussian_is_the_variance_that_regression_explains():
    """By the chain rule, I = ½ Σⱼ log of residual variance of yⱼ given y_<j, without x and with."""
    x, y = normal_pairs([0.8, 0.3], 3, 2, 30)

    def residual(target, *known):
        design = np.column_stack([np.ones(len(x)), *known])
        return np.linalg.lstsq(design, target)[1].item()

    expected = sum(
        0.5 * math.log(residual(y[:, j], y[:, :j]) / residual(y[:, j], y[:, :j], x))
        for j in range(2)
    )
    assert gaussian(x, y) == pytest.approx(expected, rel=1e-10)


def test_gaussian_ignores_invertible_maps_units_and_redundant_columns():
    x, y = normal_pairs([0.8, 0.3], 3, 2, 200)
    expected = gaussian(x, y)
    mixed = x @ np.array([[1.0, 2, 0], [0, 1, -1], [3, 0, 1]]) - 5
    assert gaussian(mixed, y) == pytest.approx(expected, rel=1e-10)
    assert gaussian(x * [1e-8, 1, 1e8], y) == pytest.approx(expected, rel=1e-10)
    assert gaussian(np.c_[x, x[:, 0] - 2 * x[:, 1]], y) == pytest.approx(expected, rel=1e-10)
    assert gaussian(y, x) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "dx", "dy", "rho"), [(200, 25, 25, 0.0), (60, 3, 8, 0.7)])
def test_gaussian_bias_is_exact_and_independent_of_the_correlation(n, dx, dy, rho):
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(dx, dy)) * rho
    values, fewest = [], min(dx, dy)
    covariance = np.eye(dx + dy)
    u, s, v = np.linalg.svd(mixed, full_matrices=False)
    s = np.full(fewest, rho)
    covariance[:dx, dx:] = u * s @ v
    covariance[dx:, :dx] = covariance[:dx, dx:].T
    root = np.linalg.cholesky(covariance)
    truth = -0.5 * fewest * math.log(1 - rho**2)
    for _ in range(150):
        z = rng.normal(size=(n, dx + dy)) @ root.T
        values.append(gaussian(z[:, :dx], z[:, dx:], unbiased=True) - truth)
    assert abs(np.mean(values)) < 4 * np.std(values) / 150**0.5 < 0.1
    z[:, dx - 1] = z[:, 0]  # a column that another determines adds no rank
    redundant = gaussian(z[:, :dx], z[:, dx:], unbiased=True)
    assert redundant == pytest.approx(gaussian(z[:, : dx - 1], z[:, dx:], unbiased=True), rel=1e-9)


def test_gaussian_of_a_linear_function_is_infinite_and_of_a_near_one_is_not():
    for seed in range(10):  # rounding puts ρ on either side of 1
        x, noise = normal_pairs([], 2, 1, 500, seed)
        line = x @ [[2.0], [-0.3]]
        assert gaussian(x, line + 1) == math.inf
    near = gaussian(x, line + 1e-4 * noise)
    assert near == pytest.approx(math.log(math.hypot(2, 0.3) / 1e-4), abs=0.2)  # −½ log(1 − ρ²)


# ---------------------------------------------------------------------------- KSG


@pytest.mark.parametrize("k", [3, 10])
def test_ksg_in_one_dimension_is_scikits(k):
    # scikit-learn also scales by the standard deviation and counts strictly. Its noise of 1e-10
    # cannot reorder neighbours of these 800 samples; it also clips at 0, which is far here.
    x, y = normal_pairs([0.75], 1, 1, 800)
    x = np.exp(x)
    (expected,) = mutual_info_regression(x, y[:, 0], n_neighbors=k, random_state=0)
    assert ksg(x, y, k) == pytest.approx(expected, abs=1e-12)
    assert ksg(x[:, 0], torch.from_numpy(y), k) == pytest.approx(expected, abs=1e-12)


def slow_ksg(x, y, k, distance):
    """Equation (8), read aloud."""
    n, total = len(x), 0.0
    for i in range(n):
        in_x = [distance(x[i] - x[j]) for j in range(n) if j != i]
        in_y = [distance(y[i] - y[j]) for j in range(n) if j != i]
        epsilon = sorted(map(max, in_x, in_y))[k - 1]
        n_x, n_y = (sum(d < epsilon for d in side) for side in (in_x, in_y))
        total += digamma(n_x + 1) + digamma(n_y + 1)
    return digamma(k) + digamma(n) - total / n


@pytest.mark.parametrize("norm", ["max", "euclidean"])
@pytest.mark.parametrize("standardise", [True, False])
def test_ksg_of_vectors_is_the_formula(norm, standardise, monkeypatch):
    monkeypatch.setattr(classical, "BLOCK_BYTES", 8 * 80 * 7)  # seven rows a block, and a rest of 3
    x, y = normal_pairs([0.9, 0.5], 2, 3, 80)
    x, y = x * [1, 5], y * [0.1, 1, 2] + 1e7  # far from 0, where |a|² − 2ab + |b|² would fail
    distance = {"max": lambda d: abs(d).max(), "euclidean": np.linalg.norm}[norm]
    scaled = (x / x.std(0), y / y.std(0)) if standardise else (x, y)
    expected = slow_ksg(*scaled, 4, distance)
    found = ksg(x, y, 4, standardise=standardise, norm=norm)
    assert found == pytest.approx(expected, abs=1e-12)


def test_ksg_of_independent_variables_scatters_around_zero():
    values = [ksg(*normal_pairs([], 2, 2, 500, seed)) for seed in range(10)]
    assert abs(np.mean(values)) < 0.02
    assert min(values) < 0 < max(values)  # nothing is clipped


def test_ksg_with_classes_far_apart_is_ross():
    labels = np.random.default_rng(0).integers(0, 4, 600)
    x = labels + 0.7 * np.random.default_rng(1).standard_normal(600)
    (expected,) = mutual_info_classif(x[:, None], labels, n_neighbors=5, random_state=0)
    found = ksg(x / x.std(), 1e6 * labels, 5, standardise=False)
    assert found == pytest.approx(expected, abs=1e-12)


def test_ksg_refuses_what_ties_would_bias():
    x, y = normal_pairs([0.75], 1, 1, 1000)
    expected = ksg(x, y)
    with pytest.raises(ValueError, match=r"10 and 11 are equally far from \d.*noise of 1e-10"):
        ksg(x.round(2), y.round(2))
    with pytest.raises(ValueError, match=r"row 0 has 10 or more exact copies.*noise of 1e-10"):
        ksg(np.repeat(x[:50], 11), np.repeat(y[:50], 11))
    noise = 1e-10 * np.random.default_rng(0).standard_normal((2, 1000, 1))
    assert ksg(x.round(2) + noise[0], y.round(2) + noise[1]) == pytest.approx(expected, abs=0.02)
    x[:10], y[:10] = x[10], y[10]  # eleven equal pairs are ten copies; ten are still too few
    with pytest.raises(ValueError, match="row 0 has 10"):
        ksg(x, y)
    x[0] += 0.1
    assert ksg(x, y) == pytest.approx(expected, abs=0.05)


# ---------------------------------------------------------------------------- the bmi package


def one_on_one(seed):
    return normal_pairs([0.75], 1, 1, 5000, seed)


def additive(seed):
    draw = np.random.default_rng(seed)
    x = draw.uniform(size=5000)
    return x, x + draw.uniform(-0.75, 0.75, size=5000)


def swiss_roll(seed):
    x, y = one_on_one(seed)
    angle = 1.5 * np.pi * (1 + 2 * standard_normal.cdf(x))
    return np.hstack([angle * np.cos(angle), angle * np.sin(angle)]), standard_normal.cdf(y)


def dense_2_2(seed):
    draw = np.random.default_rng(seed)
    z = math.sqrt(0.5) * (draw.standard_normal((5000, 4)) + draw.standard_normal((5000, 1)))
    return z[:, :2], z[:, 2:]


def sparse_3_3(seed):
    return normal_pairs([0.8, 0.8], 3, 3, 5000, seed)


def sparse_5_5(seed):
    return normal_pairs([0.8, 0.8], 5, 5, 5000, seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task, by_cca, by_ksg, by_histogram",
    [
        (one_on_one, 0.407, None, 0.354),
        (additive, 0.182, None, 0.261),
        (swiss_roll, 0.021, 0.415, 0.419),
        (dense_2_2, 0.288, 0.288, None),
        (sparse_3_3, 1.020, 0.912, None),
        (sparse_5_5, 1.026, 0.692, None),
    ],
)
def test_estimates_are_those_of_the_bmi_package(task, by_cca, by_ksg, by_histogram):
    # A single sample has a standard deviation up to .02: means are compared. KSG is slow, and in
    # one dimension it is scikit-learn's already, so it has fewer samples and tasks.
    samples = [task(seed) for seed in range(6)]

    def mean(estimate, of, **options):
        return np.mean([estimate(x, y, **options) for x, y in of])

    assert mean(gaussian, samples) == pytest.approx(by_cca, abs=0.03)
    if by_ksg is not None:  # only the Euclidean norm meets the last: the max norm gives .63 there
        assert mean(ksg, samples[:2], norm="euclidean") == pytest.approx(by_ksg, abs=0.03)
    if by_histogram is not None:
        assert mean(histogram, samples) == pytest.approx(by_histogram, abs=0.03)


# ---------------------------------------------------------------------------- histogram


def test_histogram_is_numpys():
    x, y = normal_pairs([0.75], 1, 1, 700)
    joint = np.histogram2d(x[:, 0], y[:, 0], bins=12)[0] / 700
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    plug_in = (joint[some] * np.log(joint[some] / independent[some])).sum()
    assert histogram(x, y, 12) == pytest.approx(plug_in, abs=1e-12)
    cells = some.sum() - (joint.sum(1) > 0).sum() - (joint.sum(0) > 0).sum() + 1
    corrected = histogram(x, y, 12, miller_madow=True)
    assert corrected == pytest.approx(plug_in - cells / 1400, abs=1e-12)


@pytest.mark.parametrize(
    ("scale", "shift"), [(0.1, 0), (0.1, 0.3), (1 / 3, 0), (0.7, -5), (1e-3, 1), (1e-3, 1000)]
)
def test_an_affine_map_moves_no_value_to_another_cell(scale, shift):
    draw = np.random.default_rng(0)
    x = draw.integers(0, 11, 2000).astype(float)
    y = x + draw.integers(0, 4, 2000)
    assert histogram(x * scale + shift, y) == histogram(x, y)
    assert histogram(y, x * scale + shift) == histogram(y, x)


def test_histogram_of_vectors_is_the_information_of_their_cells():
    x, y = normal_pairs([0.9, 0.7], 2, 2, 400)

    def cells(values):
        edges = np.linspace(values.min(0), values.max(0), 5)[1:-1].T  # the inner ones
        first, second = map(np.digitize, values.T, edges)
        return 4 * first + second

    assert histogram(x, y, bins=4) == pytest.approx(mutual_info_score(cells(x), cells(y)))


def test_miller_madow_takes_the_bias_of_independent_variables_away():
    x, y = np.random.default_rng(0).uniform(size=(2, 1000))
    plug_in = histogram(x, y)
    assert plug_in == pytest.approx(9 * 9 / 2000, abs=4 * math.sqrt(2 * 81) / 2000)  # 2nI ~ χ²(81)
    assert abs(histogram(x, y, miller_madow=True)) < 0.02 < plug_in


# ---------------------------------------------------------------------------- input


@ESTIMATORS
def test_all_kinds_of_arrays_give_one_value(estimate):
    x, y = normal_pairs([0.8], 1, 1, 400)
    x, y = x.astype(np.float32), y.astype(np.float32)
    expected = estimate(x, y)
    assert isinstance(expected, float)
    assert estimate(x[:, 0], torch.tensor(y, requires_grad=True)) == expected
    assert estimate(x.astype(np.float64), torch.from_numpy(y).double()) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@ESTIMATORS
def test_a_cuda_device_gives_the_same(estimate):
    x, y = map(torch.from_numpy, normal_pairs([0.8], 2, 1, 3000))
    assert estimate(x.cuda(), y.cuda()) == pytest.approx(estimate(x, y), abs=1e-9)


def test_checked_pair_returns_columns_of_one_precision():
    integers, half = np.arange(5), torch.arange(15.0).half().reshape(5, 3)
    x, y = checked_pair(integers, half, 5, "it")
    assert (x.shape, y.shape) == ((5, 1), (5, 3))
    assert x.dtype == y.dtype == torch.float64
    x, y = checked_pair(half, half.clone().requires_grad_(), 5, "it")
    assert x.dtype == y.dtype == torch.float32
    assert not y.requires_grad


def broken(row, column, value):
    values = np.random.default_rng(0).standard_normal((300, 2))
    values[row, column] = value
    return values


GOOD = broken(0, 0, 0.5)


@ESTIMATORS
@pytest.mark.parametrize(
    "x, y, message",
    [
        (GOOD, GOOD[:-1], "x has 300 samples and y 299, expected as many"),
        (GOOD[:, :, None], GOOD, r"x has shape \[300, 2, 1\], expected \[N\] or \[N, D\]"),
        (GOOD, np.array(1.0), r"y has shape \[\], expected"),
        (GOOD, GOOD[:, :0], r"y has shape \[300, 0\], expected"),
        (GOOD, broken(7, 1, math.nan), r"y hold nan at \[7, 1\], expected finite"),
        (broken(3, 0, -math.inf), GOOD, r"x hold -inf at \[3, 0\], expected finite"),
        (
            GOOD,
            broken(slice(None), 1, 4.0),
            "y is 4.0 in every row of column 1, expected .* varies",
        ),
        (GOOD[:1], GOOD[:1], "given 1 pairs and needs at least"),
        (GOOD[:0], GOOD[:0], "given 0 pairs and needs at least"),
    ],
)
def test_bad_samples_are_refused(estimate, x, y, message):
    with pytest.raises(ValueError, match=f"{estimate.__name__}.* {message}"):
        estimate(x, y)


@pytest.mark.parametrize(
    "estimate, message",
    [
        (lambda: gaussian(GOOD[:5], GOOD[:5]), r"5 pairs in 2 \+ 2 dim.* at least 6: add samples"),
        (lambda: ksg(GOOD[:11], GOOD[:11]), "k=10 is given 11 pairs and needs at least 12"),
        (lambda: ksg(GOOD, GOOD, 0), "k=0: expected a whole number of at least 1"),
        (lambda: ksg(GOOD, GOOD, 2.5), "k=2.5: expected"),
        (lambda: ksg(GOOD, GOOD, norm="euclid"), "unknown norm 'euclid': did you mean 'euclidean'"),
        (lambda: histogram(GOOD, GOOD, 1), "bins=1: expected a whole number of at least 2"),
        (
            lambda: histogram(GOOD, GOOD, 5),
            r"bins=5 in 4 dimensions has 5\^4 cells.* 300 pairs.* at most 4.2 bins",
        ),
    ],
)
def test_what_an_estimator_cannot_do_is_refused(estimate, message):
    with pytest.raises(ValueError, match=message):
        estimate()


def test_the_smallest_samples_are_accepted():
    x, y = normal_pairs([0.5], 2, 2, 30)
    assert 0 < gaussian(x[:6], y[:6]) < math.inf
    assert math.isfinite(ksg(x[:12], y[:12]))
    assert histogram(x[:16], y[:16], 2) >= 0

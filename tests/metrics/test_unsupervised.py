"""IRS, HFS, UDR, total correlation and Wasserstein against loops, scikit-learn and SciPy."""

from __future__ import annotations

from itertools import combinations, permutations

import metrics_recipe as recipe
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from sklearn.linear_model import Lasso, LassoLars
from sklearn.preprocessing import StandardScaler

from mdlib.metrics import gaussian_total_correlation, hfs, irs, udr, wasserstein
from mdlib.metrics.unsupervised import relative_strength

FACTORS = recipe.factors(0, 10_000)

# IRS (quantile .99), total correlation, Wasserstein; None where the sheet has no number
TABLE = {
    "perfect": (0.98558, 0.00096, 0.00096),
    "permuted": (0.98590, 0.00096, 0.0036),
    "rotated": (0.45079, 0.00089, 0.00089),
    "noise": (0.38495, 0.00252, 0.00252),
    "perfect+noise": (0.55714, 0.00273, 0.00273),
    "duplicated": (0.98558, float("inf"), 5.8587),
    "merged": (0.82479, float("inf"), None),
    "tanh": (0.27985, 80.335, 25.926),
    "planted": (0.53370, 94.563, 55.725),
    "missing": (0.39840, 0.05996, 0.05980),
}


@pytest.mark.parametrize("name", TABLE)
def test_seeded_table(name):
    codes = recipe.codes(name, FACTORS)
    robust, correlation, distance = TABLE[name]
    assert irs(codes, FACTORS).score == pytest.approx(robust, abs=1e-4)
    got = gaussian_total_correlation(codes)
    assert got.score == pytest.approx(correlation, abs=1e-4, rel=1e-5) and got.n == 10_000
    if distance is not None:
        assert wasserstein(codes).score == pytest.approx(distance, abs=1e-4, rel=2e-5)


# ---------------------------------------------------------------------------- IRS


def loop_irs(codes: np.ndarray, factors: np.ndarray, bins: int, quantile: float) -> float:
    codes = codes[:, codes.var(0) > 0]
    reach = np.abs(codes - codes.mean(0)).max(0)
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    for j, factor in enumerate(factors.T):
        labels = np.digitize(factor, np.histogram(factor, bins)[1][:-1])
        within = []
        for value in np.unique(labels):
            group = codes[labels == value]
            within.append(np.quantile(np.abs(group - group.mean(0)), quantile, axis=0))
        matrix[:, j] = 1 - np.mean(within, 0) / reach
    return np.average(matrix.max(1), weights=reach)


@pytest.mark.parametrize("quantile", [0.5, 0.99, 1.0])
def test_irs_is_the_loop(quantile):
    draw = np.random.RandomState(0)
    codes = np.hstack([recipe.codes("rotated", FACTORS[:700]), np.ones((700, 1))])
    for factors in (FACTORS[:700], draw.randn(700, 3)):  # continuous ones are binned
        result = irs(codes, factors, bins=7, quantile=quantile)
        assert result.score == pytest.approx(loop_irs(codes, factors, 7, quantile), abs=1e-12)
        assert (result.matrix[5] == 0).all() and result.reach[5] == 0
        assert (result.n, result.bins, result.quantile) == (700, 7, quantile)


def test_irs_vector():
    grid = np.stack(np.meshgrid(range(2), range(3), indexing="ij"), -1).reshape(-1, 2)
    result = irs(np.hstack([grid, grid.sum(1, keepdims=True)]), grid, quantile=1)
    assert np.allclose(result.matrix, [[1, 0], [0, 1], [1 / 3, 2 / 3]])
    assert np.allclose(result.reach, [0.5, 1, 1.5])
    assert result.score == pytest.approx(0.833333, abs=1e-5)
    assert irs(0 * grid, grid).score == 0
    for quantile in (0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="quantile is"):
            irs(grid, grid, quantile=quantile)


# ---------------------------------------------------------------------------- HFS


def loop_hfs(codes: np.ndarray) -> float:
    total = 0.0
    for i, j in combinations(range(codes.shape[1]), 2):
        farthest = 0.0
        for a in codes[:, i]:
            for b in codes[:, j]:
                farthest = max(farthest, min((a - z[i]) ** 2 + (b - z[j]) ** 2 for z in codes))
        total += farthest
    return total


def test_hfs_vectors():
    diagonal = np.array([[0.0, 0], [1, 1]])
    assert hfs(diagonal).score == pytest.approx(1, abs=1e-6)
    assert hfs(np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).score == 0
    assert hfs(np.array([[0, 0], [0.5, 0.5], [1, 1]])).score == pytest.approx(0.5, abs=1e-6)
    assert hfs(np.ones((5, 3))).score == 0


def test_hfs_is_the_loop():
    codes = np.random.RandomState(0).randn(25, 4)
    codes[:, 1] += 2 * codes[:, 0]
    expected = loop_hfs(codes)
    result = hfs(codes)
    assert result.score == pytest.approx(expected, abs=1e-9)
    assert result.per_pair == pytest.approx(expected / 6)
    assert (result.n, result.batch, result.pairs) == (25, 25, 6)


def test_hfs_deals_batches():
    codes = np.random.RandomState(0).randn(50, 3)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    batches = [loop_hfs(codes[order[start : start + 16]]) for start in (0, 16, 32)]
    result = hfs(codes, batch=16, seed=2)  # two rows are left over
    assert result.score == pytest.approx(np.mean(batches)) and result.n == 48
    result = hfs(codes, batch=16, batches=2, seed=2)
    assert result.score == pytest.approx(np.mean(batches[:2])) and result.n == 32
    some = [hfs(codes, batch=16, pairs=2, seed=seed).score for seed in range(60)]
    every = [hfs(codes, batch=16, seed=seed).score for seed in range(60)]
    assert np.mean(some) == pytest.approx(np.mean(every), rel=0.1) and len(set(some)) > 50


def test_hfs_tells_a_curve_from_a_square():
    draw = np.random.RandomState(0)
    angle, square = draw.rand(512) * 2 * np.pi, draw.rand(512, 2) * 2 - 1
    curve = np.stack([np.sin(angle), np.sin(2 * angle)], 1)
    assert hfs(curve).score > 3 * hfs(square).score


# ---------------------------------------------------------------------------- Gaussian scores

COVARIANCES = {  # total correlation, Wasserstein, normalised
    ((1, 0.9), (0.9, 1)): (0.830366, 0.610735, 0.610735 / 2),
    ((2, 0.5, 0), (0.5, 1, 0.3), (0, 0.3, 0.5)): (0.181922, 0.158209, 0.045203),
}


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_gaussian_vectors(covariance):
    covariance = np.array(covariance)
    draw = np.random.RandomState(0).randn(200, len(covariance))
    draw = draw - draw.mean(0)
    white = draw @ np.linalg.inv(np.linalg.cholesky(np.cov(draw.T))).T
    codes = white @ np.linalg.cholesky(covariance).T + 7  # has exactly this covariance
    correlation, distance, normalised = COVARIANCES[tuple(map(tuple, covariance))]
    assert gaussian_total_correlation(codes).score == pytest.approx(correlation, abs=1e-5)
    assert wasserstein(codes).score == pytest.approx(distance, abs=1e-5)
    assert wasserstein(codes).normalised == pytest.approx(normalised, abs=1e-5)


def test_gaussian_scores_are_scipys():
    codes = recipe.codes("tanh", FACTORS)[:500]
    covariance = np.cov(codes.T)
    variance = np.diag(covariance)
    expected = 0.5 * (np.log(variance).sum() - np.linalg.slogdet(covariance)[1])
    assert gaussian_total_correlation(codes).score == pytest.approx(expected, abs=1e-8)
    root = scipy.linalg.sqrtm(np.diag(variance) @ covariance)
    expected = 2 * variance.sum() - 2 * np.trace(root).real
    assert wasserstein(codes).score == pytest.approx(expected, abs=1e-6)


def test_singular_covariances():
    codes = np.random.RandomState(0).randn(50, 3)
    dead = np.hstack([codes, np.full((50, 1), 0.1)])
    for singular in (dead, np.hstack([codes, codes[:, :1]]), codes[:3]):
        assert gaussian_total_correlation(singular).score == float("inf")
        assert np.isfinite(wasserstein(singular).score)
    assert wasserstein(dead).score == pytest.approx(wasserstein(codes).score, abs=1e-12)
    nothing = wasserstein(np.ones((5, 2)))
    assert nothing.score == nothing.normalised == 0
    for score in (gaussian_total_correlation, wasserstein):
        with pytest.raises(ValueError, match="codes hold inf"):
            score(np.full((5, 2), np.inf))


# ---------------------------------------------------------------------------- UDR


@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        (np.eye(3), 1),
        ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], 2 / 3),
        (np.ones((3, 3)), 1 / 3),
        (np.zeros((3, 3)), 0),
        ([[0.8, 0.1, 0.1], [0.2, 0.5, 0], [0, 0.3, 0.9]], 0.566653),
        (np.zeros((0, 3)), 0),
    ],
)
def test_relative_strength(relation, expected):
    relation = torch.tensor(np.asarray(relation, float))
    assert relative_strength(relation) == pytest.approx(expected, abs=1e-5)


def models() -> list[np.ndarray]:
    """Three codes of the same inputs."""
    c = recipe.standard(FACTORS)[:400]
    noise = np.random.RandomState(1).randn(400, 5)
    return [c + 0.3 * noise, c[:, ::-1] * [2, -1, 3, 1, 1], c @ recipe.rotation(3, 5) - 4]


@pytest.mark.parametrize("kind", ["lasso", "spearman"])
def test_udr_is_scikits(kind):
    kl = np.array([[1, 1, 1, 1, 1], [1, 0.01, 1, 1, 1], [0, 1, 1, 1, 0.02]])
    pairs = zip(models(), kl, strict=True)
    codes = [StandardScaler().fit_transform(z) * (k > 0.01) for z, k in pairs]
    pairwise = np.zeros((3, 3))
    for a, b in permutations(range(3), 2):
        if kind == "lasso":
            relation = np.abs(Lasso(alpha=0.1, tol=1e-10).fit(codes[a], codes[b]).coef_.T)
        else:
            relation = scipy.stats.spearmanr(models()[a], models()[b]).statistic[:5, 5:]
            relation = np.abs(relation)
        relation = relation[kl[a] > 0.01][:, kl[b] > 0.01]
        for i in (0, 1):
            total, peak = relation.sum(i), relation.max(i) ** 2
            strength = np.divide(peak, total, out=0 * total, where=total > 0)
            pairwise[a, b] += strength.mean() / 2
    result = udr(models(), kl, kind=kind)
    assert np.allclose(result.pairwise, pairwise, rtol=0, atol=1e-6)
    expected = [np.median(np.delete(pairwise[:, b], b)) for b in range(3)]
    assert np.allclose(result.per_model, expected, rtol=0, atol=1e-6)
    assert result.score == pytest.approx(np.mean(expected), abs=1e-6) and result.n == 400


def test_udr_of_codes_that_all_say_one_thing():
    """Coordinate descent is slow there; the path of least angles is exact."""
    draw = np.random.default_rng(0)
    one = draw.normal(size=(300, 1))
    codes = [StandardScaler().fit_transform(one + 0.01 * draw.normal(size=(300, 4))) for _ in "ab"]
    relation = [
        np.abs([LassoLars(0.1, fit_intercept=False).fit(codes[a], y).coef_ for y in codes[1 - a].T])
        for a in (0, 1)
    ]
    found = udr([torch.from_numpy(z) for z in codes]).pairwise
    for a in (0, 1):
        expected = relative_strength(torch.from_numpy(relation[a].T))
        assert found[a, 1 - a] == pytest.approx(expected, abs=2e-3)


def test_udr_of_equal_and_of_rotated_models():
    c = recipe.standard(FACTORS)[:1000]
    white = np.linalg.qr(c - c.mean(0))[0] * 1000**0.5  # uncorrelated in the sample, too
    flipped = white[:, [4, 2, 0, 1, 3]] * [1, -1, 2, 3, -4]
    assert udr([white, flipped]).score == pytest.approx(0.9, abs=1e-6)  # lasso shrinks by alpha
    assert udr([white, flipped], kind="spearman").score > 0.9
    rotated = [white @ recipe.rotation(seed, 5) for seed in range(4)]
    assert udr([*rotated]).score < 0.5
    dead = udr([np.hstack([z, 0 * z[:, :1]]) for z in (white, flipped)])
    assert dead.score == pytest.approx(0.9 * 5 / 6)  # a dead dimension agrees with none


def test_udr_errors():
    a, b, c = models()
    with pytest.raises(ValueError, match="expected at least 2 to compare"):
        udr([a])
    with pytest.raises(ValueError, match="expected the same for all models"):
        udr([a, b[:, :3]])
    with pytest.raises(ValueError, match="codes of model 1 hold nan"):
        udr([a, b * np.nan])
    with pytest.raises(ValueError, match="kind='pearson'"):
        udr([a, b], kind="pearson")
    with pytest.raises(ValueError, match=r"kl has shape \[5\], expected finite values \[3, 5\]"):
        udr([a, b, c], np.ones(5))
    with pytest.raises(ValueError, match="alpha=0"):
        udr([a, b], alpha=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_agrees():
    codes, factors = torch.tensor(recipe.codes("tanh", FACTORS)), torch.tensor(FACTORS)
    scores = (
        lambda z: irs(z, factors),
        lambda z: hfs(z, batches=2),
        gaussian_total_correlation,
        wasserstein,
        lambda z: udr([z[:500, :5], z[:500, 5:10]]),
        lambda z: udr([z[:500, :5], z[:500, 5:10]], kind="spearman"),
    )
    for score in scores:
        assert score(codes.cuda()).score == pytest.approx(score(codes).score, abs=1e-6)

"""MCC and block R² against all permutations and least squares, their nulls, and where they fail."""

from itertools import permutations

import numpy as np
import pytest
import scipy.stats
import torch

from mdlib.metrics import block_r2, mcc, random_rotation

N = 600


def correlated(rho: float, k: int = 2, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    common = draw.standard_normal((N, 1))
    return rho**0.5 * common + (1 - rho) ** 0.5 * draw.standard_normal((N, k))


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_mcc_is_the_best_of_all_permutations(kind):
    draw = np.random.default_rng(0)
    factors = draw.standard_normal((N, 3))
    codes = np.hstack([np.exp(factors @ draw.standard_normal((3, 4))), np.ones((N, 1))])
    matrix = np.zeros((5, 3))
    for i, j in np.ndindex(4, 3):
        measure = {"pearson": scipy.stats.pearsonr, "spearman": scipy.stats.spearmanr}[kind]
        matrix[i, j] = abs(measure(codes[:, i], factors[:, j]).statistic)
    best = max(permutations(range(5), 3), key=lambda p: sum(matrix[i, j] for j, i in enumerate(p)))
    result = mcc(codes, factors, kind=kind)
    assert np.allclose(result.matrix, matrix, rtol=0, atol=1e-9)
    assert result.matched.tolist() == list(best)
    expected = [matrix[i, j] for j, i in enumerate(best)]
    assert np.allclose(result.per_factor, expected) and result.n == N
    assert result.score == pytest.approx(np.mean(expected))


def test_mcc_of_the_truth_is_1_up_to_what_it_ignores():
    factors = correlated(0.0, 3)
    changed = factors[:, [2, 0, 1]] * [-3, 1, 0.1] + 7
    result = mcc(changed, factors)
    assert result.score == pytest.approx(1) and result.matched.tolist() == [1, 2, 0]
    assert mcc(factors**3, factors).score == pytest.approx(3 / 15**0.5, abs=0.05)
    assert mcc(factors**3, factors, kind="spearman").score == pytest.approx(1)
    few = mcc(factors[:, :2], factors)  # a factor without a code counts 0
    assert few.score == pytest.approx(2 / 3) and few.matched.tolist() == [0, 1, -1]


def test_codes_without_axes_are_their_own_null():
    gaps = []
    for seed in range(12):
        factors = correlated(0.0, 3, seed)
        turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
        result = mcc(factors @ turn * [1, 1e3, 1e-3], factors, rotations=8, seed=seed)
        gaps.append(result.score - result.null)
        assert 0.5 < result.null < 0.95 and 0 < result.null_std < 0.2
    assert abs(np.mean(gaps)) < 3 * np.std(gaps, ddof=1) / 12**0.5
    truth = mcc(factors, factors)
    assert truth.score > truth.null + 2 * truth.null_std


def test_mcc_fails_on_dependent_factors_and_its_null_says_so():
    factors = correlated(0.9)
    noise = 0.01 * np.random.default_rng(1).standard_normal((N, 2))
    copies = factors[:, :1] + noise  # knows nothing of what is the second factor's own
    result = mcc(copies, factors)
    assert result.score == pytest.approx((1 + 0.9) / 2, abs=0.02)
    independent = mcc(correlated(0.0)[:, :1] + noise, correlated(0.0))
    assert independent.score == pytest.approx(0.5, abs=0.05)


def test_block_r2_is_least_squares():
    draw = np.random.default_rng(0)
    codes = draw.standard_normal((N, 4))
    factors = codes @ draw.standard_normal((4, 2)) + draw.standard_normal((N, 2))
    result = block_r2(codes, factors, seed=3)
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(3)).numpy()
    test, train = rows[: N // 3], rows[N // 3 :]
    design = np.hstack([codes, np.ones((N, 1))])
    weight = np.linalg.lstsq(design[train], factors[train], rcond=None)[0]
    left = ((factors[test] - design[test] @ weight) ** 2).sum(0)
    total = ((factors[test] - factors[test].mean(0)) ** 2).sum(0)
    assert np.allclose(result.per_factor, 1 - left / total, rtol=0, atol=0.01)
    assert result.score == pytest.approx(result.per_factor.mean()) and result.n == N - N // 3
    assert result.null is None and result.null_per_factor is None


def test_a_curved_code_needs_a_curved_probe():
    factors = correlated(0.0, 1)
    codes = factors**2 * np.sign(factors) * [[1, 0]] + factors**2 * [[0, 1]]
    bent = block_r2(codes[:, 1:], factors)
    assert bent.score < 0.1  # z², blind to the sign
    assert block_r2(codes, factors, probe="knn_regression").score > 0.9


def test_a_dependent_block_is_no_leak():
    both = correlated(0.8, 2)
    content, style = both[:, :1], both[:, 1:]
    clean, mixed = block_r2(content, style, others=content), block_r2(both, style, others=content)
    assert clean.score > 0.5  # as if content codes knew style …
    assert clean.score == pytest.approx(clean.null, abs=1e-3)  # … and all of it is dependence
    assert mixed.score > 0.99 > mixed.null + 0.2
    free = correlated(0.0, 2)
    assert abs(block_r2(free[:, :1], free[:, 1:], others=free[:, :1]).score) < 0.05


def test_errors():
    z = correlated(0.0, 3)
    with pytest.raises(ValueError, match="kind='kendall'"):
        mcc(z, z, kind="kendall")
    with pytest.raises(ValueError, match="rotations=1"):
        mcc(z, z, rotations=1)
    with pytest.raises(ValueError, match="codes hold nan"):
        mcc(z * np.nan, z)
    with pytest.raises(ValueError, match=r"column \[0, 1, 2\] have one value"):
        mcc(z, 0 * z)
    with pytest.raises(ValueError, match="probe='mlp'"):
        block_r2(z, z, probe="mlp")
    with pytest.raises(ValueError, match=r"others have shape \[5, 3\]"):
        block_r2(z, z, others=z[:5])
    with pytest.raises(ValueError, match="11 samples"):
        block_r2(z[:11], z[:11])


def test_the_null_of_ranks_is_of_ranks():
    factors = correlated(0.0, 3)
    codes = np.exp(2 * factors)  # what a rotation of them holds, ranks tell better than lines
    white = codes - codes.mean(0)
    u, _, v = np.linalg.svd(white / white.std(0), full_matrices=False)
    draw, nulls = torch.Generator().manual_seed(4), []
    for _ in range(3):
        z = u @ v @ random_rotation(3, draw).numpy()
        matrix = np.abs(scipy.stats.spearmanr(z, factors).statistic[:3, 3:])
        nulls.append(
            max(np.mean([matrix[p[j], j] for j in range(3)]) for p in permutations(range(3)))
        )
    result = mcc(codes, factors, kind="spearman", rotations=3, seed=4)
    assert result.null == pytest.approx(np.mean(nulls), abs=1e-9)
    assert result.null_std == pytest.approx(np.std(nulls, ddof=1), abs=1e-9)

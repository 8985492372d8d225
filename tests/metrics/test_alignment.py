"""MED, MIG, modularity and mutual information against known vectors, loops, and what they claim."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import metrics_recipe as recipe
import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from mdlib.metrics import information as information_module
from mdlib.metrics import (
    med,
    mig,
    modularity,
    mutual_information_matrix,
    random_rotation,
    rotation_null,
)
from mdlib.metrics.aggregate import completeness, disentanglement, modular
from mdlib.metrics.alignment import select
from mdlib.metrics.information import information

N = 10_000
FACTORS = recipe.factors(0, N)


def loop_matrix(codes: np.ndarray, factors: np.ndarray, bins: int) -> np.ndarray:
    """NumPy's histogram and scikit-learn, a pair at a time."""
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    for i, code in enumerate(codes.T):
        labels = np.digitize(code, np.histogram(code, bins)[1][:-1])
        for j, factor in enumerate(factors.T):
            matrix[i, j] = mutual_info_score(labels, factor)
    return matrix


def loop_med(matrix: np.ndarray) -> tuple[float, list[float]]:
    """MED of a matrix of mutual information, by the definition, in plain Python."""
    d, k = matrix.shape
    importance = [[matrix[i][j] / sum(matrix[:, j]) for j in range(k)] for i in range(d)]
    each, score = [], 0.0
    for row in importance:
        smooth = [r + 1e-11 for r in row]
        share = [r / sum(smooth) for r in smooth]
        each.append(1 + sum(p * math.log(p) for p in share) / math.log(k))
        score += sum(row) / k * each[-1]
    return score, each


# ---------------------------------------------------------------------------- mutual information


@pytest.mark.parametrize("bins", [2, 7, 20])
def test_matrix_is_scikits(bins):
    draw = np.random.RandomState(bins)
    factors = np.stack([draw.randint(v, size=500) for v in (2, 3, 11)], 1)
    codes = np.hstack([draw.randn(500, 6) + factors[:, :1], np.exp(draw.randn(500, 3))])
    expected = loop_matrix(codes, factors, bins)
    assert np.allclose(
        mutual_information_matrix(codes, factors, bins), expected, rtol=0, atol=1e-12
    )
    # Any numbering of the values will do, in any order, in any type.
    other = np.array([70.0, -3, 5, 2, 9, 11, 100, 101, -50, 0, 1])[factors]
    assert np.allclose(mutual_information_matrix(codes, other, bins), expected, rtol=0, atol=1e-12)
    # float32 codes move no sample between bins here
    narrow = mutual_information_matrix(torch.from_numpy(codes).float(), torch.tensor(factors), bins)
    assert np.allclose(narrow, expected, rtol=0, atol=1e-12) and narrow.dtype == torch.float64


def test_chunks_change_nothing(monkeypatch):
    codes = recipe.codes("tanh", FACTORS)[:2000]
    whole = mutual_information_matrix(codes, FACTORS[:2000])
    monkeypatch.setattr(information_module, "CELLS", 30_000)  # three codes at a time
    assert torch.equal(mutual_information_matrix(codes, FACTORS[:2000]), whole)


def test_independence_is_zero_and_identity_is_entropy():
    grid = np.stack(np.meshgrid(range(4), range(5), indexing="ij"), -1).reshape(-1, 2)
    matrix = mutual_information_matrix(np.hstack([grid, 0 * grid[:, :1] + 3.7]), grid)
    expected = [[math.log(4), 0], [0, math.log(5)], [0, 0]]
    assert np.allclose(matrix, expected, rtol=0, atol=1e-12)
    assert matrix[0, 1] == 0 and (matrix[2] == 0).all()  # no rounding is left


@pytest.mark.parametrize(("scale", "shift"), [(0.1, 0.3), (0.7, -5), (1e-3, 1), (1e-3, 1000)])
def test_shifting_moves_nothing_in_double_precision(scale, shift):
    codes = np.random.default_rng(0).integers(0, 11, (2000, 1))
    expected = mutual_information_matrix(codes, codes, 10)
    found = mutual_information_matrix(codes * scale + shift, codes, 10)
    assert torch.equal(found, expected)


def test_bins_are_closed_on_the_left_and_scaling_moves_nothing():
    codes = np.array([0.0, 1, 1, 2, 3, 4, 4])[:, None]
    factors = np.arange(7)[:, None]
    # [0, 2) and [2, 4]: three and four samples
    expected = math.log(7) - (3 * math.log(3) + 4 * math.log(4)) / 7
    for scale in (1, 0.1, 1 / 3, 1e-5, 12345.6):
        for shift in (0, 0.7, -3):
            for dtype in (np.float32, np.float64):
                given = (codes * scale + shift * scale).astype(dtype)
                assert float(mutual_information_matrix(given, factors, 2)) == pytest.approx(
                    expected, abs=1e-12
                )


def test_bias_correction():
    draw = np.random.RandomState(0)
    factors = draw.randint(8, size=(2000, 3))
    given = information(draw.randn(2000, 50), factors, 10)
    # Independent codes: the plug-in estimate is all bias, and that is known to first order.
    assert given.occupied.float().mean() < 10.01
    expected = ((given.occupied - 1) * 7 / (2 * 2000)).double().mean()
    assert given.matrix.mean() == pytest.approx(float(expected), rel=0.05)
    assert (given.corrected() >= 0).all() and given.corrected().mean() < 0.3 * expected
    assert np.allclose(
        given.entropies, [mutual_info_score(f, f) for f in factors.T], rtol=0, atol=1e-12
    )


# ---------------------------------------------------------------------------- vectors by hand


def test_vector_a():
    importance = torch.tensor([[0.5, 0], [0.5, 0.25], [0, 0.75]], dtype=torch.float64)
    score, each = disentanglement(importance)
    assert score == pytest.approx(0.655639, abs=1e-5)
    assert np.allclose(each, [1, 0.081704, 1], rtol=0, atol=1e-5)
    assert completeness(importance)[0] == pytest.approx(0.428605, abs=1e-5)
    kept = select(importance, each, 1)
    assert kept.tolist() == [0, 2]
    assert disentanglement(importance[kept])[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("bins", [20, 4])
def test_vector_b(bins):
    v1, v2 = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    codes, factors = np.stack([v1, v1 + v2, 0 * v1], 1), np.stack([v1, v2], 1)
    result = med(codes, factors, bins)
    assert np.allclose(result.information, np.log(2) * np.array([[1, 0], [0.5, 0.5], [0, 0]]))
    assert np.allclose(result.importance, [[2 / 3, 0], [1 / 3, 1], [0, 0]])
    assert np.allclose(result.per_code, [1, 0.188722, 0], rtol=0, atol=1e-5)
    assert result.score == pytest.approx(0.459148, abs=1e-5)
    assert result.completeness == pytest.approx(0.710310, abs=1e-5)
    assert mig(codes, factors, bins).score == pytest.approx(0.5, abs=1e-5)
    assert modularity(codes, factors, bins).score == pytest.approx(1 / 3, abs=1e-5)


def test_vector_c():
    importance = torch.tensor(
        [
            [0.40, 0.02, 0.02], [0.30, 0.10, 0.02], [0.10, 0.40, 0.05],
            [0.05, 0.38, 0.05], [0.10, 0.05, 0.80], [0.05, 0.05, 0.06],
        ],
        dtype=torch.float64,
    )  # fmt: skip
    score, each = disentanglement(importance)
    expected = [0.665351, 0.338255, 0.308630, 0.402750, 0.511507, 0.003488]
    assert np.allclose(each, expected, rtol=0, atol=1e-5) and score == pytest.approx(
        0.428126, abs=1e-5
    )
    whole, of_factors = completeness(importance)
    assert whole == pytest.approx(0.324046, abs=1e-5)
    assert np.allclose(of_factors, [0.169644, 0.250865, 0.551629], rtol=0, atol=1e-5)
    kept = select(importance, each, 1)
    assert kept.tolist() == [0, 3, 4]
    assert disentanglement(importance[kept])[0] == pytest.approx(0.519789, abs=1e-5)
    assert completeness(importance[kept])[0] == pytest.approx(0.542682, abs=1e-5)
    assert select(importance, each, 2).tolist() == [0, 1, 2, 3, 4, 5]
    assert float(modular(importance).mean()) == pytest.approx(0.863189, abs=1e-5)


def test_vector_d():
    importance = torch.eye(5, dtype=torch.float64).repeat(1, 2)  # code i serves i and i + 5
    closed = 1 - math.log(2) / math.log(10)
    assert disentanglement(importance)[0] == pytest.approx(closed, abs=1e-5)
    assert completeness(importance)[0] == pytest.approx(1, abs=1e-5)
    assert float(modular(importance).mean()) == pytest.approx(8 / 9, abs=1e-5)
    assert disentanglement(importance.T)[0] == pytest.approx(1, abs=1e-5)
    assert completeness(importance.T)[0] == pytest.approx(closed, abs=1e-5)
    assert float(modular(importance.T).mean()) == pytest.approx(1, abs=1e-5)


# ---------------------------------------------------------------------------- seeded tables

# MED, completeness, top-1, top-2, top-5, MIG, modularity
TABLE = {
    "perfect": (0.93108, 0.93108, 0.93108, 0.93108, 0.93108, 0.89553, 0.99996),
    "permuted": (0.93108, 0.93108, 0.93108, 0.93108, 0.93108, 0.89553, 0.99996),
    "rotated": (0.27379, 0.27688, 0.29330, 0.27379, 0.27379, 0.05540, 0.82784),
    "noise": (0.00349, 0.00400, 0.00430, 0.00418, 0.00349, 0.00025, 0.69144),
    "perfect+noise": (0.90482, 0.87169, 0.93159, 0.92666, 0.91004, 0.89540, 0.81972),
    "duplicated": (0.93108, 0.65080, 0.93108, 0.93108, 0.93108, 0.00000, 0.99996),
    "merged": (0.75200, 0.92385, 0.75200, 0.75200, 0.75200, 0.75841, 0.78857),
    "tanh": (0.35309, 0.14105, 0.64813, 0.59637, 0.50761, 0.11385, 0.88972),
    "planted": (0.50591, 0.23137, 0.87367, 0.87258, 0.67448, 0.00177, 0.89608),
    "missing": (0.67669, 0.54428, 0.90795, 0.90109, 0.87925, 0.73489, 0.69264),
}


def test_the_recipe_is_the_recipe():
    assert FACTORS.sum(0).tolist() == [9893, 25125, 195011, 153452, 155892]


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_seeded_table(name):
    codes = recipe.codes(name, FACTORS)
    result = med(codes, FACTORS)
    got = [result.score, result.completeness]
    got += [med(codes, FACTORS, top_k=k).score for k in (1, 2, 5)]
    got += [mig(codes, FACTORS).score, modularity(codes, FACTORS).score]
    assert np.allclose(got, TABLE[name], rtol=0, atol=1e-4), np.round(got, 5)


@pytest.mark.parametrize("name", ["merged", "tanh"])
def test_med_is_the_loop(name):
    codes = recipe.codes(name, FACTORS[:3000])
    matrix = loop_matrix(codes, FACTORS[:3000], 20)
    score, each = loop_med(matrix)
    result = med(codes, FACTORS[:3000])
    assert np.allclose(result.information, matrix, rtol=0, atol=1e-10)
    assert result.score == pytest.approx(score, abs=1e-9) == result.full
    assert np.allclose(result.per_code, each, rtol=0, atol=1e-9)
    assert float(result.per_factor.mean()) == pytest.approx(score, abs=1e-9)
    assert (result.n, result.bins, result.top_k) == (3000, 20, None)
    best = np.sort(matrix, 0)
    entropy = [mutual_info_score(f, f) for f in FACTORS[:3000].T]
    gaps = (best[-1] - best[-2]) / entropy
    assert np.allclose(mig(codes, FACTORS[:3000]).per_factor, gaps, rtol=0, atol=1e-9)
    top = matrix.max(1)
    rest = ((matrix**2).sum(1) - top**2) / 4
    modular = [1 - r / t**2 if t > 1e-10 else 0 for r, t in zip(rest, top, strict=True)]
    assert np.allclose(modularity(codes, FACTORS[:3000]).per_code, modular, rtol=0, atol=1e-9)


def test_top_k_is_the_loop():
    codes = recipe.codes("tanh", FACTORS)
    full = med(codes, FACTORS)
    owner, each = full.importance.argmax(1).tolist(), full.per_code.tolist()
    for k in (1, 3):
        kept, room = [], [k] * 5
        for i in sorted(range(64), key=lambda i: -each[i]):
            if room[owner[i]]:
                room[owner[i]] -= 1
                kept.append(i)
        result = med(codes, FACTORS, top_k=k)
        assert result.selected.tolist() == sorted(kept)
        rows = full.importance[sorted(kept)]  # not normalised anew
        weight = rows.sum(1) / rows.sum()
        assert result.score == pytest.approx(float(weight @ full.per_code[sorted(kept)]))
        assert result.full == full.score and result.top_k == k
        # Completeness is that of the kept codes: of all 64 it is .141.
        share = rows / rows.sum(0)
        entropy = -(share * (share + 1e-11).log()).sum(0) / math.log(len(rows))
        columns = rows.sum(0) / rows.sum()
        assert result.completeness == pytest.approx(float(columns @ (1 - entropy)), abs=1e-6)
        assert result.completeness > full.completeness + 0.1


# ---------------------------------------------------------------------------- what they claim


@pytest.mark.parametrize("name", ["planted", "rotated"])
def test_permutation_sign_and_scale_change_nothing(name):
    codes = recipe.codes(name, FACTORS)
    draw = np.random.RandomState(0)
    order = draw.permutation(codes.shape[1])
    factor_order = draw.permutation(5)
    scale = np.exp(draw.randn(codes.shape[1])) * draw.choice([-1, 1], codes.shape[1])
    changed = codes[:, order] * scale + draw.randn(codes.shape[1])
    for score in (med, mig, modularity):
        before, after = score(codes, FACTORS), score(changed, FACTORS[:, factor_order])
        assert after.score == pytest.approx(before.score, abs=1e-6)
    first, second = (med(z, FACTORS, top_k=2) for z in (codes, changed))
    assert second.score == pytest.approx(first.score, abs=1e-6)
    assert sorted(order[second.selected]) == first.selected.tolist()


def test_dependent_factors_cost_a_perfect_code_its_med():
    draw = np.random.RandomState(0)
    factors = draw.randint(10, size=(10_000, 3))
    assert med(factors, factors).score > 0.97
    tied = factors.copy()
    tied[:, 1] = np.where(draw.rand(10_000) < 0.7, tied[:, 0], tied[:, 1])
    assert med(tied, tied).score == pytest.approx(0.61, abs=0.04)
    assert mig(tied, tied).score < 0.75 < 0.85 < modularity(tied, tied).score < 0.95


def test_duplicates_change_completeness_only():
    codes = recipe.codes("rotated", FACTORS)
    one, two = med(codes, FACTORS), med(np.hstack([codes, codes]), FACTORS)
    assert two.score == pytest.approx(one.score, abs=1e-6)
    assert two.completeness < one.completeness
    assert mig(np.hstack([codes, codes]), FACTORS).score == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("d", "full", "top_1", "top_2", "top_5", "gap", "modular"),
    [
        (5, 0.294, 0.326, 0.294, 0.294, 0.132, 0.892),
        (10, 0.290, 0.351, 0.311, 0.290, 0.099, 0.901),
        (50, 0.304, 0.545, 0.491, 0.404, 0.074, 0.880),
        (200, 0.289, 0.637, 0.599, 0.527, 0.058, 0.865),
        (1000, 0.303, 0.699, 0.685, 0.655, 0.081, 0.879),
    ],
)
def test_entangled_codes_of_any_width(d, full, top_1, top_2, top_5, gap, modular):
    codes = recipe.entangled(FACTORS, d)
    results = [med(codes, FACTORS, top_k=k) for k in (1, 2, 5)]
    got = [results[0].full, *(result.score for result in results)]
    assert np.allclose(got, [full, top_1, top_2, top_5], rtol=0, atol=1e-3)
    assert abs(got[0] - 0.29) < 0.04  # flat in D
    assert mig(codes, FACTORS).score == pytest.approx(gap, abs=1e-3)
    assert modularity(codes, FACTORS).score == pytest.approx(modular, abs=1e-3)


def test_a_planted_subset_is_found_and_a_rotation_hides_it():
    codes = recipe.codes("planted", FACTORS)
    found = med(codes, FACTORS, top_k=2)
    assert found.selected.tolist() == list(range(40, 50))
    for seed, expected in {
        99: (0.263, 0.481, 0.426, 0.346),
        98: (0.308, 0.569, 0.498, 0.404),
    }.items():
        hidden = codes @ recipe.rotation(seed, 50)
        got = [med(hidden, FACTORS, top_k=k).score for k in (None, 1, 2, 5)]
        assert np.allclose(got, expected, rtol=0, atol=1e-3)
        assert got[2] < found.score - 0.3


@pytest.mark.slow
def test_rotation_null_is_that_of_rotated_codes():
    codes = recipe.codes("planted", FACTORS)
    null = rotation_null(codes, FACTORS, 2, rotations=3, seed=4)
    draw = torch.Generator().manual_seed(4)
    scores = []
    for _ in range(3):
        q = random_rotation(50, draw)
        assert torch.allclose(q.T @ q, torch.eye(50, dtype=q.dtype), rtol=0, atol=1e-12)
        standard = (codes - codes.mean(0)) / codes.std(0)
        scores.append(med(standard @ q.numpy(), FACTORS, top_k=2).score)
    assert np.allclose(null.scores, scores, rtol=0, atol=1e-9)
    assert null.score == pytest.approx(np.mean(scores)) and null.std == pytest.approx(
        np.std(scores, ddof=1)
    )
    assert (null.n, null.bins, null.seed, null.top_k) == (N, 20, 4, 2)
    assert abs(null.score - 0.46) < 0.08 and abs(null.full_scores.mean() - 0.28) < 0.05
    # An entangled code has nothing to lose: it is its own null, whatever its width.
    mixed = recipe.entangled(FACTORS, 200)
    null = rotation_null(mixed, FACTORS, 1)
    assert abs(null.score - med(mixed, FACTORS, top_k=1).score) < 0.05


def test_the_null_does_not_see_the_scale_of_a_code():
    # med doesn't, so its null must not: a code of one large column is no other code.
    factors = FACTORS[:2000]
    codes = recipe.codes("planted", factors)
    scale = np.exp(1.5 * np.random.RandomState(0).randn(50))
    scale[3] = 1e4
    one, two = (rotation_null(z, factors, 2) for z in (codes, codes * scale - 7))
    assert np.allclose(one.scores, two.scores, rtol=0, atol=2e-3)  # bins' edges, by rounding
    assert np.allclose(one.full_scores, two.full_scores, rtol=0, atol=2e-3)


def test_codes_without_structure_are_their_own_null():
    # Mixes of the factors whose columns have random sizes: MED / null is 1 up to what the draws of
    # codes and rotations make of it. (Without standardising it is 1.17.)
    factors, logs = FACTORS[:2000], []
    for seed in range(12):
        scale = np.exp(1.5 * np.random.RandomState(100 + seed).randn(50))
        codes = recipe.standard(factors) @ np.random.RandomState(seed).randn(5, 50) * scale
        null = rotation_null(codes, factors, None, rotations=4, seed=seed)
        logs.append(math.log(med(codes, factors).score / null.score))
    error = np.std(logs, ddof=1) / len(logs) ** 0.5
    assert abs(np.mean(logs)) < 3 * error and error < 0.05, (np.mean(logs), error)


def test_dead_codes_take_part_in_the_null():
    codes = recipe.codes("planted", FACTORS[:1000])[:, :10]
    dead = np.hstack([codes, np.full((1000, 3), 0.1)])
    null = rotation_null(dead, FACTORS[:1000], 1)
    assert all(0 < score < 1 for score in null.scores.tolist())


def test_random_rotations_are_uniform():
    draw = torch.Generator().manual_seed(0)
    many = torch.stack([random_rotation(3, draw) for _ in range(4000)])
    assert many.mean(0).abs().max() < 4 / (3 * 4000) ** 0.5
    assert abs(float(torch.linalg.det(many).mean())) < 4 / 4000**0.5  # reflections, too


def test_small_samples_score_low_and_the_correction_helps():
    for n, plain, corrected in ((1000, 0.628, 0.908), (10_000, 0.931, 0.994)):
        factors = recipe.factors(1, n)
        result = med(recipe.standard(factors), factors)
        assert result.score == pytest.approx(plain, abs=0.01)
        assert result.bias_corrected == pytest.approx(corrected, abs=0.01)
    scores = [med(recipe.standard(FACTORS), FACTORS, bins).score for bins in (5, 10, 20, 40)]
    assert np.allclose(scores, [0.957, 0.949, 0.931, 0.909], rtol=0, atol=0.003)


# ---------------------------------------------------------------------------- limits and errors


def test_a_factor_that_no_code_informs_has_an_empty_column():
    grid = np.stack(np.meshgrid(range(4), range(5), indexing="ij"), -1).reshape(-1, 2)
    result = med(grid[:, :1], grid)
    assert result.score == pytest.approx(1) and result.importance.tolist() == [[1, 0]]
    assert np.allclose(result.per_factor, [1, 0])
    result = med(0 * grid + 2.5, grid, top_k=1)
    assert result.score == result.completeness == result.bias_corrected == 0
    assert (result.importance == 0).all() and torch.isfinite(result.per_factor).all()
    assert mig(0 * grid, grid).score == modularity(0 * grid, grid).score == 0


def test_more_bins_than_samples_tend_to_the_entropy():
    draw = np.random.RandomState(0)
    codes, factors = draw.randn(10, 3), np.arange(10)[:, None] % [2, 5]
    matrix = mutual_information_matrix(codes, factors, 5000)
    assert np.allclose(matrix, [[math.log(2), math.log(5)]] * 3)


def test_errors():
    z, v = np.random.RandomState(0).randn(30, 3), np.arange(30)[:, None] % [2, 3]
    broken, continuous, constant = z.copy(), v + 0.25, v.copy()
    broken[4, 2], constant[:, 1] = np.nan, 1
    cases = {
        r"codes hold nan at \[4, 2\]": (broken, v),
        r"factors have shape \[29, 2\]": (z, v[1:]),
        r"factors\[:, None\]": (z, v[:, 0]),
        "expected discrete values": (z, continuous),
        r"column \[1\] have one value": (z, constant),
        r"codes have shape \[30, 3, 1\]": (z[:, :, None], v),
        "factors hold inf": (z, np.where(v, np.inf, 0)),
        "1 sample": (z[:1], v[:1]),
    }
    for message, given in cases.items():
        for score in (med, mig, modularity, mutual_information_matrix):
            with pytest.raises(ValueError, match=message):
                score(*given)
    for bins in (1, 2.5, True, 70_000):
        with pytest.raises(ValueError, match="bins="):
            med(z, v, bins)
    with pytest.raises(ValueError, match="top_k=0"):
        med(z, v, top_k=0)
    with pytest.raises(ValueError, match="rotations=1"):
        rotation_null(z, v, rotations=1)
    for score in (med, modularity, rotation_null):
        with pytest.raises(ValueError, match="expected at least 2: a code can't mix up"):
            score(z, v[:, :1])
    with pytest.raises(ValueError, match="1 dimensions, expected at least 2"):
        mig(z[:, :1], v)


WIDE = """
import re, time
import numpy as np, torch
from mdlib.metrics import med

draw = np.random.RandomState(0)
codes, factors = draw.randn(10_000, 1000), draw.randint(30, size=(10_000, 5))
start = time.process_time()
med(codes, factors)
seconds = time.process_time() - start
print(seconds, re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_wide_codes_are_fast_and_small():
    # In a process of its own, for the peak is that of all that ever ran in it.
    done = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, check=True)
    seconds, kibibytes = map(float, done.stdout.split())
    assert seconds < 5 and kibibytes < 2**20, done.stdout


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_agrees():
    codes, factors = torch.tensor(recipe.codes("tanh", FACTORS)), torch.tensor(FACTORS)
    for given in (codes, codes.float()):
        here, there = med(given, factors, top_k=2), med(given.cuda(), factors.cuda(), top_k=2)
        assert there.score == pytest.approx(here.score, abs=1e-9)
        assert torch.equal(here.selected, there.selected)
        assert mutual_information_matrix(given.cuda(), factors).device.type == "cpu"
    null = rotation_null(codes.cuda(), factors.cuda())
    assert null.score == pytest.approx(rotation_null(codes, factors).score, abs=1e-6)


def test_the_parts_of_a_selection_are_those_of_what_was_kept():
    factors = FACTORS[:2000]
    codes = recipe.codes("tanh", factors)
    result = med(codes, factors, top_k=2)
    kept = result.importance[result.selected]
    expected = result.per_code[result.selected] @ kept / kept.sum(0)
    assert np.allclose(result.per_factor, expected, rtol=0, atol=1e-12)
    assert float(kept.sum(0) / kept.sum() @ result.per_factor) == pytest.approx(result.score)
    share = information(codes, factors, 20).corrected()
    share = share / share.sum(0)
    best = select(share, disentanglement(share)[1], 2)  # its own
    assert result.bias_corrected == pytest.approx(disentanglement(share[best])[0])
    assert abs(result.bias_corrected - med(codes, factors).bias_corrected) > 0.05

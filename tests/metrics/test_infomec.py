"""InfoMEC against closed forms, scikit-learn and its null, and where it fails."""

from __future__ import annotations

import math

import metrics_recipe as recipe
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from mdlib.evaluation.logistic import logistic_regression
from mdlib.metrics import infomec
from mdlib.metrics.aggregate import peak


def every_combination(counts: np.ndarray) -> np.ndarray:
    """Rows [N, K] in which each combination of values occurs counts[…] times."""
    axes = np.meshgrid(*map(np.arange, counts.shape), indexing="ij")
    return np.repeat(np.stack(axes, -1).reshape(-1, counts.ndim), counts.flatten(), 0)


GRID = every_combination(np.full((4, 4, 4), 2))  # two factors, and chance that neither knows
V, CHANCE = GRID[:, :2], GRID[:, 2:]
TURN = np.array([[1, -1], [1, 1]]) / 2**0.5

# codes → InfoM, InfoC, InfoE
KNOWN = {
    "perfect": (V, 1, 1, 1),
    "permuted, flipped": (V[:, ::-1] * [3, -2], 1, 1, 1),
    "twice": (np.hstack([V, V]), 1, (1 / 2 - 1 / 4) / (1 - 1 / 4), 1),
    "rotated": (V @ TURN, 0, 0, 1),
    "noise": (np.hstack([CHANCE, CHANCE**2]), 0, 0, 0),
    "perfect and noise": (np.hstack([V, CHANCE]), 2 / 3, 1, 1),
    "both in one": (V[:, :1] + 4 * V[:, 1:], 0, 1, None),
    "one is missing": (np.hstack([V[:, :1], CHANCE]), 1 / 2, 1 / 2, 1 / 2),
    "constant": (0 * V, 0, 0, 0),
}


@pytest.mark.parametrize("name", KNOWN)
def test_closed_forms(name):
    codes, modular, compact, explicit = KNOWN[name]
    result = infomec(codes, V)
    assert result.score == pytest.approx(modular, abs=1e-9)
    assert result.compactness == pytest.approx(compact, abs=1e-9)
    if explicit is not None:
        assert result.explicitness == pytest.approx(explicit, abs=2e-3)
    assert (result.n, result.bins, result.seed) == (len(V), 20, None)
    assert torch.equal(result.per_code, peak(result.matrix[result.active]))


def test_the_parts_of_a_row():
    rows = torch.tensor([[3.0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 5, 0]]).double()
    assert peak(rows).tolist() == pytest.approx([(0.75 - 0.25) / 0.75, 0, 0, 1])
    assert peak(torch.tensor([[2.0], [0.0]])).tolist() == [1, 0]


def noisy(n: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Codes [n, 4] of three factors, one of them mixed, none of them separable."""
    draw = np.random.RandomState(0)
    v = np.stack([draw.randint(s, size=n) for s in (2, 3, 5)], 1)
    weights = np.array([[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0.5]])
    return v @ weights + draw.randn(n, 4), v


def test_another_rendering():
    codes, v = noisy()
    span = codes.max(0) - codes.min(0)
    cells = np.floor((codes - codes.min(0)) / span * 20).clip(max=19)
    matrix = np.array(
        [[mutual_info_score(b, w) / mutual_info_score(w, w) for w in v.T] for b in cells.T]
    )
    modular = ((matrix.max(1) / matrix.sum(1)).mean() - 1 / 3) / (2 / 3)
    compact = ((matrix.max(0) / matrix.sum(0)).mean() - 1 / 4) / (3 / 4)
    z = torch.tensor((codes - codes.mean(0)) / codes.std(0))
    told = []
    for w in torch.tensor(v).T:
        weight, bias = logistic_regression(z, w, l2=1e-7, tol=1e-6)
        loss = torch.nn.functional.cross_entropy(z @ weight + bias, w).item()
        told.append(1 - loss / mutual_info_score(w, w))
    result = infomec(codes, v)
    assert np.allclose(result.matrix, matrix, rtol=0, atol=1e-9)
    assert result.score == pytest.approx(modular)
    assert result.compactness == pytest.approx(compact)
    assert np.allclose(result.explicit_per_factor, told, rtol=0, atol=1e-4)
    near = [mutual_info_classif(codes, w, n_neighbors=10, random_state=0) for w in v.T]
    near = np.stack(near, 1) / [mutual_info_score(w, w) for w in v.T]  # the released estimate
    assert np.allclose(result.matrix, near, rtol=0, atol=0.03)


def test_explicitness_of_two_normals_is_their_mutual_information():
    draw, n = np.random.RandomState(1), 20_000
    v = np.stack([np.arange(n) % 2, draw.randint(2, size=n)], 1)
    result = infomec(2 * v + draw.randn(n, 2), v)  # log odds are linear in z: the model is true
    z = np.linspace(-9, 9, 20_001)
    density = (stats.norm.pdf(z, -1) + stats.norm.pdf(z, 1)) / 2
    entropy = -np.trapezoid(density * np.log(density), z)
    known = entropy - 0.5 * math.log(2 * math.pi * math.e)
    assert np.allclose(result.explicit_per_factor, known / math.log(2), rtol=0, atol=0.01)


def test_noise_scores_what_its_bias_makes_of_it():
    n, sizes = 2000, np.array(recipe.DSPRITES)
    v = recipe.factors(0, n)
    result = infomec(np.random.RandomState(5).rand(n, 60), v)
    share = (sizes - 1) / np.log(sizes)  # all that is left of (B − 1)(V − 1)/2N over log V
    null = (share.max() / share.sum() - 1 / 5) / (1 - 1 / 5)
    error = float(result.per_code.std()) / 60**0.5
    assert null < result.score < null + 4 * error + 0.02  # a maximum is above that of the means
    few = infomec(np.random.RandomState(6).randn(n, 10), v)
    wilks = 10 * (sizes - 1) / (2 * n * np.log(sizes))
    spread = np.sqrt(2 * 10 * (sizes - 1)) / (2 * n * np.log(sizes))
    assert (np.abs(few.explicit_per_factor.numpy() - wilks) < 4 * spread).all()


def test_it_falls_with_dependent_factors():
    counts = np.stack(3 * [12 + 140 * np.eye(5, dtype=int)], -1)
    pairs = counts[..., 0] / counts[..., 0].sum()
    entropy = stats.entropy(pairs.sum(0))
    shared = 2 * entropy - stats.entropy(pairs.flatten())
    v = every_combination(counts)
    result = infomec(v, v)
    expected = 1 - 2 * shared / (2 * (entropy + shared))
    assert result.score == pytest.approx(expected, abs=1e-6) and expected < 0.8
    assert result.compactness == pytest.approx(expected, abs=1e-6)
    assert result.explicitness > 0.99


def test_a_wide_code_prunes_the_others():
    codes = np.hstack([V, CHANCE]).astype(float)
    assert infomec(codes * [1, 1, 0.01], V).score == pytest.approx(1)  # the noise is not counted
    one = infomec(codes * [100, 1, 1], V)
    assert one.active.tolist() == [True, False, False]
    assert one.compactness == pytest.approx(1 / 2) and one.explicitness > 0.99


def test_errors():
    with pytest.raises(ValueError, match="expected at least 2"):
        infomec(V, V[:, :1])
    with pytest.raises(ValueError, match="expected discrete values"):
        infomec(V, V + 0.5)
    with pytest.raises(ValueError, match="codes hold nan"):
        infomec(V * np.nan, V)
    with pytest.raises(ValueError, match="bins=1"):
        infomec(V, V, bins=1)


def test_what_spans_a_twentieth_of_the_widest_is_pruned():
    codes = np.hstack([V, CHANCE]).astype(float)  # all of one range
    for share, kept in ((0.049, False), (0.051, True)):
        assert infomec(codes * [1, 1, share], V).active.tolist() == [True, True, kept]

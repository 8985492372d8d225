"""SAP, DCI, DCI-ES, explicitness and informativeness against scikit-learn and the known scores."""

from __future__ import annotations

import warnings

import metrics_recipe as recipe
import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mdlib.metrics import dci, dci_es, explicitness, informativeness, med, sap
from mdlib.metrics.aggregate import completeness, disentanglement
from mdlib.metrics.fitted import auc, ease
from mdlib.metrics.trees import boost

TRAIN, TEST = recipe.factors(2, 2000, recipe.SMALL), recipe.factors(3, 2000, recipe.SMALL)


def pair(name: str) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Codes of TRAIN, and the test sample."""
    train = recipe.codes(name, TRAIN, recipe.SMALL, weights=30, noises=40)
    return train, (recipe.codes(name, TEST, recipe.SMALL, weights=30, noises=60), TEST)


def clouds(n: int, classes: int, seed: int = 0):
    """Codes [n, 4] that know something of labels [n], of unequal frequency."""
    draw = np.random.RandomState(seed)
    labels = draw.randint(classes, size=n)
    labels[: n // 4] = 0
    return labels[:, None] * [1, 0.5, -2, 0] + draw.randn(n, 4), labels


# ---------------------------------------------------------------------------- seeded table

# SAP, SAP continuous, explicitness, informativeness, MED
TABLE = {
    "perfect": (0.408, 0.9989, 1.000, 1.000, 0.95917),
    "permuted": (0.448, 0.9989, 1.000, 1.000, 0.95917),
    "rotated": (0.064, 0.1932, 1.000, 1.000, 0.21633),
    "noise": (0.004, 0.0002, 0.497, 0.217, 0.00639),
    "perfect+noise": (0.408, 0.9979, 1.000, 1.000, 0.90208),
    "duplicated": (0.000, 0.0000, 1.000, 1.000, 0.95917),
    "merged": (0.181, 0.8008, None, 0.835, 0.77922),
    "tanh": (0.014, 0.0481, 0.9996, 0.988, 0.34479),
    "planted": (0.012, 0.0004, 1.000, 1.000, 0.45894),
    "missing": (0.327, 0.7984, 0.900, 0.830, 0.52578),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_seeded_table(name):
    codes, test = pair(name)
    expected = TABLE[name]
    assert sap(codes, TRAIN, test=test).score == pytest.approx(expected[0], abs=0.005)
    assert sap(codes, TRAIN, continuous=True).score == pytest.approx(expected[1], abs=1e-4)
    if expected[2] is not None:
        got = explicitness(codes, TRAIN, test=test)
        assert got.score == pytest.approx(expected[2], abs=0.002)
    assert informativeness(codes, TRAIN, test=test).score == pytest.approx(expected[3], abs=0.005)
    assert med(codes, TRAIN).score == pytest.approx(expected[4], abs=1e-4)


# DCI: rows, disentanglement, completeness, informativeness. Codes of few values reach theirs with
# fewer rows than the others.
TREES = {
    "perfect": (500, 1.000, 1.000, 1.000),
    "permuted": (500, 1.000, 1.000, 1.000),
    "rotated": (2000, 0.239, 0.244, 0.910),
    "noise": (2000, 0.003, 0.003, 0.211),
    "duplicated": (500, 1.000, 0.708, 1.000),
    "merged": (500, 0.828, 1.000, 1.000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_seeded_trees(name):
    codes, (new, truth) = pair(name)
    n, *expected = TREES[name]
    result = dci(codes[:n], TRAIN[:n], test=(new[:n], truth[:n]), trees="binned")
    got = (result.score, result.completeness, result.informativeness)
    assert np.allclose(got, expected, rtol=0, atol=0.02), got
    if name == "perfect":
        assert result.score == pytest.approx(1, abs=1e-8)


@pytest.mark.slow
def test_exact_trees_are_scikits():
    codes, _ = pair("merged")  # few values: the cheapest trees
    codes, factors = codes[:600], TRAIN[:600, :2]
    train, test = (codes[:400], factors[:400]), (codes[400:], factors[400:])
    result = dci(*train, test=test, seed=3)
    models = [GradientBoostingClassifier(random_state=3).fit(train[0], v) for v in train[1].T]
    importance = torch.tensor(np.stack([model.feature_importances_ for model in models], 1))
    assert np.allclose(result.importance, importance)
    assert result.score == pytest.approx(disentanglement(importance)[0])
    assert result.completeness == pytest.approx(completeness(importance)[0])
    accuracies = [model.score(test[0], v) for model, v in zip(models, test[1].T, strict=True)]
    assert result.informativeness == pytest.approx(np.mean(accuracies))
    assert (result.trees, result.n, result.seed) == ("exact", 400, 3)
    # The binned ones find the same trees here.
    binned = dci(*train, test=test, trees="binned")
    assert np.allclose(binned.importance, importance, rtol=0, atol=1e-6)
    assert binned.informativeness == pytest.approx(result.informativeness)
    assert binned.train_accuracy == pytest.approx(result.train_accuracy)


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "values"), [(2, 60), (4, 60), (3, None)])
def test_binned_trees_are_scikits(classes, values):
    """Up to ties where a code has at most 1024 values; nearly so where it has more."""
    codes, labels = clouds(1500, classes)
    if values:
        codes = np.round(codes * values / 8)
    model = GradientBoostingClassifier(random_state=0).fit(codes[:1000], labels[:1000])
    tensors = map(torch.tensor, (codes[:1000], labels[:1000], codes[1000:], labels[1000:]))
    result = boost(*tensors, 0)
    assert np.allclose(result.importance, model.feature_importances_, atol=2e-3 if values else 0.02)
    assert result.train == pytest.approx(model.score(codes[:1000], labels[:1000]), abs=0.01)
    assert result.test == pytest.approx(model.score(codes[1000:], labels[1000:]), abs=0.02)
    assert float(result.importance.sum()) == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "seeds"), [(4, (0.5787, 0.5789, 0.5825)), (40, (0.0303, 0.0316, 0.0308))]
)
def test_binned_trees_agree_where_factors_have_many_values(values, seeds):
    """`seeds` are D by scikit-learn's exact trees, which take a minute: random_state 0, 1, 2."""
    draw = np.random.default_rng(0)
    factors = draw.integers(values, size=(900, 2))
    weights = np.random.default_rng(100).standard_normal((2, 5)) / 2**0.5
    codes = np.tanh((factors - factors.mean(0)) / factors.std(0) @ weights)
    codes = (codes + 0.1 * draw.standard_normal((900, 5))).astype(np.float32)
    test = codes[600:], factors[600:]
    result = dci(codes[:600], factors[:600], test=test, trees="binned")
    assert result.score == pytest.approx(np.mean(seeds), rel=0.03, abs=0.006)
    if values == 4:  # a cut stands in the middle between samples, or new ones are told apart worse
        assert result.informativeness > 0.992


def test_twins_share_the_importance():
    codes, labels = clouds(600, 3)
    codes = np.hstack([codes[:, :1], codes[:, :1]])
    tensors = tuple(map(torch.tensor, (codes, labels)))
    shares = boost(*tensors, *tensors, 0).importance
    assert 0.3 < float(shares[0]) < 0.7


def test_dead_codes_have_no_importance():
    _, labels = clouds(100, 3)
    labels = torch.tensor(labels)
    result = boost(torch.ones(100, 2), labels, torch.ones(100, 2), labels, 0)
    assert result.importance.tolist() == [0, 0]
    assert result.train == pytest.approx(float((labels == 0).double().mean()))  # the most frequent


# ---------------------------------------------------------------------------- DCI-ES


def test_ease_of_known_curves():
    steps = torch.arange(11).double() / 10
    flat, line = torch.full((11,), 0.3).double(), 0.8 * (1 - steps)
    last = torch.where(steps < 1, 0.8 + 0 * steps, 0.0)
    half = 0.8 - 0.4 * steps  # never gets there: the area is under what it reaches
    noise = line + torch.where(steps == 0.5, 0.3, 0.0)  # worse than a smaller reader
    curves = torch.stack([flat, line, last, half, noise])
    expected = [1, 0, -1 + 1 / 10, 1 / 2, 0 - 2 * 0.1 * 0.08 / 0.8]
    assert ease(curves, torch.full((5,), 0.8).double()).tolist() == pytest.approx(
        expected, abs=1e-6
    )


def test_two_bits_take_two_questions():
    bits = np.stack(np.meshgrid([0, 1], [0, 1]), -1).reshape(-1, 2).repeat(5, 0)
    factors = np.stack([2 * bits[:, 0] + bits[:, 1], bits[:, 1]], 1)
    result = dci_es(bits, factors, test=(bits, factors), deepest=5)
    assert np.allclose(result.losses, [[0.5, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert result.baseline.tolist() == [0.75, 0.5]
    assert result.per_factor.tolist() == pytest.approx([1 - 2 * (0.5 / 2 / 4) / 0.75, 1])
    assert result.informativeness == 1 and result.size == 1
    twice = dci_es(np.hstack([bits, bits]), factors, test=(np.hstack([bits, bits]), factors))
    assert twice.size == 0.5 and twice.informativeness == 1
    assert twice.per_factor[0] == pytest.approx(
        1 - 2 * (0.5 / 2 / 19) / 0.75
    )  # deeper, so nearer 1


def test_a_cut_tree_is_a_tree_fitted_so_deep():
    codes, labels = clouds(900, 4)
    labels = labels[:, None]
    train, test = (codes[:600], labels[:600]), (codes[600:], labels[600:])
    result = dci_es(*train, test=test, deepest=6, seed=1)
    again = [
        DecisionTreeClassifier(max_depth=depth, random_state=1)
        .fit(train[0], train[1][:, 0])
        .score(test[0], test[1][:, 0])
        for depth in range(1, 7)
    ]
    assert np.allclose(1 - result.losses[0], again, rtol=0, atol=0.01)  # ties fall elsewhere
    assert result.baseline[0] == pytest.approx(1 - np.bincount(train[1][:, 0]).max() / 600)
    least = np.minimum.accumulate(1 - np.array(again))
    area = np.trapezoid(least - least[-1], dx=1 / 5)
    assert result.score == pytest.approx(1 - 2 * area / float(result.baseline[0]), abs=0.03)


def test_explicitness_of_codes_that_know_little_is_high():
    codes = {name: pair(name) for name in ("perfect", "rotated", "noise")}
    found = {name: dci_es(z, TRAIN, test=test) for name, (z, test) in codes.items()}
    assert found["noise"].score > 0.95 and found["noise"].informativeness < 0.3
    assert found["perfect"].informativeness == 1 > found["rotated"].informativeness
    assert found["noise"].score > found["perfect"].score + 0.05


def test_informativeness_of_an_ignored_factor_rises_with_dependence():
    counts = (12 + 140 * np.eye(5, dtype=int)).flatten()
    both = np.stack(np.meshgrid(range(5), range(5)), -1).reshape(-1, 2)
    free, bound = both.repeat(40, 0), both.repeat(counts, 0)
    blind, tied = (dci_es(v[:, :1], v, test=(v[:, :1], v)) for v in (free, bound))
    assert blind.losses[1].min() == pytest.approx(0.8)  # a guess
    assert tied.losses[1].min() == pytest.approx(1 - 152 / 200)  # how often both agree
    perfect = dci_es(bound, bound, test=(bound, bound))
    assert perfect.informativeness == 1
    assert perfect.score == pytest.approx(dci_es(free, free, test=(free, free)).score, abs=0.05)


# ---------------------------------------------------------------------------- the learners


@pytest.mark.slow
def test_dci_blames_a_perfect_code_where_a_tree_splits_on_the_other():
    """Factor 2 is factor 1 with its values renamed, in nine of ten rows."""
    draw = torch.Generator().manual_seed(0)
    law, renamed = torch.tensor([0.1, 0.1, 0.7, 0.1]), torch.tensor([1, 3, 0, 2])
    first, other = torch.multinomial(law, 8000, True, generator=draw).split(4000)
    apart = torch.rand(4000, generator=draw) < 0.1
    in_order = torch.stack([first, torch.where(apart, other, first)], 1)
    mixed = torch.stack([first, renamed[in_order[:, 1]]], 1)
    assert dci(in_order.double(), in_order).score > 0.99
    assert dci(mixed.double(), mixed).score < 0.1


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_sap_is_scikits(classes):
    codes, labels = clouds(400, classes)
    factors = np.stack([labels, labels % 2], 1)
    train, test = (codes[:300], factors[:300]), (codes[300:], factors[300:])
    matrix = np.zeros((4, 2))
    for i, j in np.ndindex(4, 2):
        machine = LinearSVC(C=0.01, class_weight="balanced", tol=1e-9, max_iter=10**6)
        machine.fit(train[0][:, [i]], train[1][:, j])  # the dual: another solver, one optimum
        matrix[i, j] = machine.score(test[0][:, [i]], test[1][:, j])
    result = sap(*train, test=test)
    assert np.allclose(result.matrix, matrix, rtol=0, atol=0.01)  # of 100 samples, one on an edge
    best = np.sort(result.matrix.numpy(), 0)
    assert np.allclose(result.per_factor, best[-1] - best[-2])


def test_explicitness_and_informativeness_are_scikits():
    codes, labels = clouds(900, 4)
    factors = np.stack([labels, labels % 2, np.random.RandomState(1).randint(3, size=900)], 1)
    codes = np.hstack([codes * [1, 100, 0.01, 1], np.ones((900, 1))])  # scales; one is dead
    train, test = (codes[:600], factors[:600]), (codes[600:], factors[600:])
    scaler = StandardScaler().fit(train[0])
    areas, accuracies = [], []
    for j in range(3):
        model = LogisticRegression(tol=1e-8, max_iter=10_000)
        model.fit(scaler.transform(train[0]), train[1][:, j])
        probability = model.predict_proba(scaler.transform(test[0]))
        one_hot = np.eye(probability.shape[1])[test[1][:, j]]
        areas.append(roc_auc_score(one_hot, probability, average="macro"))
        accuracies.append((probability.argmax(1) == test[1][:, j]).mean())
    result = explicitness(*train, test=test)
    assert np.allclose(result.per_factor, areas, rtol=0, atol=1e-4)
    assert result.score == pytest.approx(np.mean(areas), abs=1e-4) and result.n == 600
    assert np.allclose(
        informativeness(*train, test=test).per_factor, accuracies, rtol=0, atol=0.005
    )


def test_ties_count_half():
    probability = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.5, 0.5], [0.9, 0.1]])
    assert auc(probability, torch.tensor([1, 1, 0, 0])) == pytest.approx(3.5 / 4)
    assert auc(torch.full((4, 2), 0.5), torch.tensor([0, 1, 1, 0])) == 0.5


def test_continuous_sap_takes_continuous_factors():
    draw = np.random.RandomState(0)
    factors = draw.randn(500, 2)
    codes = np.hstack([factors + 0.5 * draw.randn(500, 2), draw.randn(500, 2), np.ones((500, 1))])
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        expected = np.nan_to_num(np.corrcoef(codes.T, factors.T)[:5, 5:] ** 2)
    result = sap(codes, factors, continuous=True)
    assert np.allclose(result.matrix, expected, rtol=0, atol=1e-12)
    assert result.seed is None and result.n == 500
    scaled = sap(codes * [-1, 3, 5, 7, 9], factors, continuous=True)
    assert scaled.score == pytest.approx(result.score)


# ---------------------------------------------------------------------------- the split, errors


def test_a_third_is_held_out_by_seed():
    codes, _ = pair("rotated")
    first, again, other = (sap(codes, TRAIN, seed=s) for s in (0, 0, 1))
    assert first.n == 1334 and first.seed == 0
    assert torch.equal(first.matrix, again.matrix) and not torch.equal(first.matrix, other.matrix)
    assert first.score == pytest.approx(0.064, abs=0.03)


def test_values_of_both_samples_are_numbered_alike():
    codes, labels = clouds(600, 4)
    factors = np.array([-5, 10, 30, 31])[labels][:, None]
    late = labels[:300] != 0  # the test sample lacks the first value
    plain = informativeness(
        codes[300:], factors[300:], test=(codes[:300][late], factors[:300][late])
    )
    assert plain.score > 0.55


def test_errors():
    codes, labels = clouds(60, 3)
    factors = np.stack([labels, labels % 2], 1)
    rare, new = factors.copy(), factors.copy()
    rare[7, 0], new[7, 0] = 9, 9
    every = (
        sap,
        dci_es,
        explicitness,
        informativeness,
        lambda *a, **k: dci(*a, **k, trees="binned"),
    )
    for score in every:
        with pytest.raises(ValueError, match="factor 0: 1 of its values occur in the test sample"):
            score(codes, factors, test=(codes, new))
        with pytest.raises(ValueError, match="has 3 dimensions and 2 factors, expected 4 and 2"):
            score(codes, factors, test=(codes[:, :3], factors))
        with pytest.raises(ValueError, match="expected discrete values"):
            score(codes, factors + 0.5)
        with pytest.raises(ValueError, match="test codes hold nan"):
            score(codes, factors, test=(codes * np.nan, factors))
    with pytest.raises(ValueError, match="do not occur in the test sample"):
        explicitness(codes, rare, test=(codes, factors))
    with pytest.raises(ValueError, match="expected at least 2"):
        dci(codes, factors[:, :1])
    with pytest.raises(ValueError, match="expected at least 2"):
        sap(codes[:, :1], factors)
    with pytest.raises(ValueError, match="deepest=1"):
        dci_es(codes, factors, deepest=1)
    with pytest.raises(ValueError, match="trees='forest'"):
        dci(codes, factors, trees="forest")
    with pytest.raises(ValueError, match="no second sample"):
        sap(codes, factors, test=(codes, factors), continuous=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_agrees():
    codes, test = pair("tanh")
    there = [torch.tensor(t).cuda() for t in (codes, TRAIN, *test)]
    for score, tolerance in ((sap, 1e-9), (explicitness, 1e-3), (informativeness, 5e-3)):
        expected = score(codes, TRAIN, test=test).score
        got = score(*there[:2], test=there[2:]).score
        assert got == pytest.approx(expected, abs=tolerance)
    codes, test = pair("merged")
    there = [torch.tensor(t).cuda() for t in (codes, TRAIN, *test)]
    expected = dci(codes, TRAIN, test=test, trees="binned").score
    got = dci(*there[:2], test=there[2:], trees="binned").score
    assert got == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_train_scores_are_of_the_sample_fitted_on():
    codes, labels = clouds(300, 3)
    codes = np.hstack([codes, np.random.RandomState(1).randn(300, 40)])  # room to learn by heart
    train, test = (codes[:200], labels[:200, None]), (codes[200:], labels[200:, None])
    scaler = StandardScaler().fit(train[0])
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(
        scaler.transform(train[0]), labels[:200]
    )
    areas, right = [], []
    for x, y in ((train[0], labels[:200]), (test[0], labels[200:])):
        probability = model.predict_proba(scaler.transform(x))
        areas.append(roc_auc_score(np.eye(3)[y], probability, average="macro"))
        right.append((probability.argmax(1) == y).mean())
    for score, expected in ((explicitness, areas), (informativeness, right)):
        found = score(*train, test=test)
        assert (found.train_score, found.score) == pytest.approx(expected, abs=0.006)
        assert abs(expected[0] - expected[1]) > 0.02


def test_dcis_train_accuracy_is_of_the_sample_fitted_on():
    draw = np.random.RandomState(0)
    codes, factors = draw.randn(60, 3), draw.randint(2, size=(60, 2))  # nothing to be learnt
    result = dci(codes[:30], factors[:30], test=(codes[30:], factors[30:]), trees="binned")
    assert result.train_accuracy > 0.95 and result.informativeness < 0.7

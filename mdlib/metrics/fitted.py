"""SAP, DCI, DCI-ES, explicitness and informativeness: a classifier is fitted and questioned.

All take codes [N, D] and factors [N, K], and `test`, a second sample as (codes, factors); without
one a third of the rows, drawn by `seed`, is held out. The literature fits on 10 000 samples and
tests on 5 000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from mdlib.checks import check_one_of, check_whole, need
from mdlib.evaluation.inputs import standardise, unit_of
from mdlib.evaluation.logistic import logistic_regression
from mdlib.metrics.aggregate import completeness, disentanglement, gap
from mdlib.metrics.alignment import GapScore
from mdlib.metrics.inputs import Score, checked_codes, checked_factors, checked_split
from mdlib.metrics.trees import Boosted, boost
from mdlib.types import Values

Test = tuple[Values, Values]

# ---------------------------------------------------------------------------- one code at a time


def sap(
    codes: Values, factors: Values, *,
    test: Test | None = None, seed: int = 0, continuous: bool = False,
) -> GapScore:  # fmt: skip
    """Separated attribute predictability (Kumar et al. 2018), as in disentanglement_lib: the mean
    over factors of S_best − S_second, where S_ij tells how well code i alone predicts factor j.

    For discrete factors S_ij is the test accuracy of a linear support-vector machine (one against
    rest, squared hinge, C = 0.01, balanced classes) on the code as it is: the score depends on
    scale and origin, and even a perfect code stays below 1, for a threshold cannot cut out the
    middle of three values. The machines are scikit-learn's LinearSVC, the primal and to a tolerance
    of 1e-6, so nothing is random; a fit of some milliseconds for every code and factor. With
    `continuous` S_ij is the squared correlation over all rows, 0 for a code of variance below
    1e-12; factors may then be any numbers, and `test` must be None.
    ValueError for a single code, NaN, continuous factors, a factor with one value.
    """
    if continuous:
        need(test is None, "test is given, but squared correlations need no second sample")
        codes = checked_codes(codes, least=2)
        matrix, drawn = _squared_correlations(codes, checked_factors(codes, factors)), None
    else:
        codes, labels, new, truth = checked_split(codes, factors, test, seed, least_codes=2)
        matrix, drawn = _machine_accuracies(codes, labels, new, truth), seed
    matrix = matrix.cpu()
    gaps = gap(matrix)
    return GapScore(
        score=float(gaps.mean()), n=len(codes), seed=drawn, per_factor=gaps, matrix=matrix
    )


def _machine_accuracies(codes: Tensor, labels: Tensor, new: Tensor, truth: Tensor) -> Tensor:
    """Test accuracy of each single code [·, D] for each factor [·, K], float64 [D, K]."""
    from sklearn.svm import LinearSVC

    _check_reach(codes, 1e50)  # or the machines never end
    z, y, z_new, target = (t.cpu().numpy() for t in (codes, labels, new, truth))
    matrix = torch.empty(z.shape[1], y.shape[1], dtype=torch.float64)
    for i, j in product(*map(range, matrix.shape)):
        machine = LinearSVC(C=0.01, class_weight="balanced", dual=False, tol=1e-6)
        machine.fit(z[:, [i]], y[:, j])
        matrix[i, j] = machine.score(z_new[:, [i]], target[:, j])
    return matrix


def _check_reach(codes: Tensor, most: float) -> None:
    largest, column = codes.abs().amax(0).max(0)
    need(
        largest < most,
        f"codes reach {float(largest):.3g} in column {int(column)}, expected less than {most:.0e} "
        "for scikit-learn: divide that column by its range",
    )


def _squared_correlations(codes: Tensor, factors: Tensor) -> Tensor:
    z, v = codes.double(), factors.double()
    unit = unit_of(z.abs().amax(0))
    z, v = (t - t.mean(0) for t in (z * unit, v * unit_of(v.abs().amax(0))))
    covariance = z.T @ v / (len(z) - 1)
    variance, of_factors = (t.square().sum(0) / (len(z) - 1) for t in (z, v))
    dead = variance / unit / unit <= 1e-12
    scale = torch.where(dead, 1, variance)[:, None] * of_factors
    return torch.where(dead[:, None], 0.0, covariance.square() / scale)


# ---------------------------------------------------------------------------- all codes together


@dataclass(frozen=True, eq=False, kw_only=True)
class DCIScore(Score):
    """`score` is disentanglement D; C is `completeness` and I `informativeness`, the test accuracy.

    `train_accuracy` is that on the sample fitted on. `importance` [D, K] has columns of sum 1,
    `per_code` [D] and `per_factor` [K] are the parts of D and of C. `trees` tells which were used.
    """

    trees: str
    completeness: float
    informativeness: float
    train_accuracy: float
    per_code: Tensor = field(repr=False)
    per_factor: Tensor = field(repr=False)
    importance: Tensor = field(repr=False)


def dci(
    codes: Values, factors: Values, *,
    test: Test | None = None, seed: int = 0, trees: str = "exact",
) -> DCIScore:  # fmt: skip
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018), each in [0, 1],
    as in disentanglement_lib: R_ij is the importance of code i for boosted trees on factor j.

    The trees are scikit-learn's GradientBoostingClassifier with its defaults, one for each factor,
    and `seed` its random state. That is the literature's choice and slow: 100·V_j trees a factor,
    most of an hour for 64 codes and dSprites' factors at N = 10 000. `trees="binned"` is the same
    algorithm with splits at 1023 quantiles of each code, on the codes' device, and several times
    faster; where codes take at most 1024 values it finds the same trees, up to ties. For eight
    codes, three factors and N = 1000 scikit-learn's D is .725, .199 and .100 for factors of 4, 16
    and 40 values, and the binned trees' .726, .199 and .102; LightGBM's (gain, depth 3) is .715 for
    4 values and, on another sample of 40 values, .176 where scikit-learn has .138 and .140. Use one
    kind a table. (HistGradientBoostingClassifier won't do: it knows no importances.) scikit-learn's
    take values that differ by less than 1e-7 for equal: bring codes to a scale near 1.
    ValueError for a single factor, NaN, continuous factors, a factor with one value.
    """
    check_one_of(("exact", "binned"), trees=trees)
    codes, labels, new, truth = checked_split(codes, factors, test, seed, least_factors=2)
    fit = _exact if trees == "exact" else boost
    fitted = [fit(codes, v, new, w, seed) for v, w in zip(labels.T, truth.T, strict=True)]
    importance = torch.stack([one.importance for one in fitted], 1)
    score, per_code = disentanglement(importance)
    complete, per_factor = completeness(importance)
    return DCIScore(
        score=score,
        n=len(codes),
        seed=seed,
        trees=trees,
        completeness=complete,
        informativeness=sum(one.test for one in fitted) / len(fitted),
        train_accuracy=sum(one.train for one in fitted) / len(fitted),
        per_code=per_code,
        per_factor=per_factor,
        importance=importance,
    )


def _exact(codes: Tensor, labels: Tensor, new: Tensor, truth: Tensor, seed: int) -> Boosted:
    from sklearn.ensemble import GradientBoostingClassifier

    _check_reach(codes, 3e38)  # the trees' numbers are float32
    x, y, x_new, y_new = (t.cpu().numpy() for t in (codes, labels, new, truth))
    model = GradientBoostingClassifier(random_state=seed).fit(x, y)
    importance = torch.from_numpy(model.feature_importances_).abs()
    return Boosted(importance, float(model.score(x, y)), float(model.score(x_new, y_new)))


@dataclass(frozen=True, eq=False, kw_only=True)
class ExplicitnessScore(Score):
    """`score` is E, the mean of `per_factor` [K], `size` S, `informativeness` I.

    `losses` [K, deepest] are test error rates by depth, `baseline` [K] those of the best guess.
    """

    size: float
    informativeness: float
    per_factor: Tensor = field(repr=False)
    losses: Tensor = field(repr=False)
    baseline: Tensor = field(repr=False)


def dci_es(
    codes: Values, factors: Values, *,
    test: Test | None = None, seed: int = 0, deepest: int = 20,
) -> ExplicitnessScore:  # fmt: skip
    """Explicitness and size of DCI-ES (Eastwood et al. 2023, arXiv:2210.00364); D, C are `dci`'s.

    E asks how much capacity a reader needs before its loss is the least it will be: the mean over
    factors of `ease` of loss–capacity curves. Capacity is the depth, 1 … `deepest`, of one decision
    tree (scikit-learn's, cut at every depth), loss the error rate on the test sample. I is one less
    the least loss, the mean over factors, and S = K/D.

    What is ours: a single tree, in the place of random forests, MLPs or random Fourier features;
    the error rate also for factors with an order, where the released code has 1 − R². S is from the
    paper as we know it; the released code doesn't compute it.

    E is in (−1, 1]. It belongs to the kind of reader and to `deepest`: a tree reads axes, and since
    curves end flat, a larger `deepest` brings any code nearer to 1. **Its null is 1**: a code that
    knows nothing is at its best at once, and one that is half understood is soon (dSprites' factors
    and N = 10 000: perfect code .62 with I = 1, rotated .83 with .53, noise 1 with .13). Compare
    codes of equal I only. Where factors depend on each other I of the perfect code stays, E nearly,
    but I of a code that ignores a factor rises above that of a guess. The tree takes values that
    differ by less than 1e-7 for equal: bring codes to a scale near 1. ValueError for NaN,
    continuous factors, a factor with one value, `deepest` below 2.
    """
    check_whole(2, deepest=deepest)
    codes, labels, new, truth = checked_split(codes, factors, test, seed)
    rows = [
        _errors_by_depth(codes, v, new, w, seed, deepest)
        for v, w in zip(labels.T, truth.T, strict=True)
    ]
    losses = torch.tensor(rows, dtype=torch.float64)
    guess = [v.bincount().max() / len(v) for v in labels.T]
    baseline = 1 - torch.stack(guess).double().cpu()
    per_factor = ease(losses, baseline)
    return ExplicitnessScore(
        score=float(per_factor.mean()),
        n=len(codes),
        seed=seed,
        size=len(losses) / codes.shape[1],
        informativeness=1 - float(losses.amin(1).mean()),
        per_factor=per_factor,
        losses=losses,
        baseline=baseline,
    )


def _errors_by_depth(
    codes: Tensor, labels: Tensor, new: Tensor, truth: Tensor, seed: int, deepest: int
) -> list[float]:
    from sklearn.tree import DecisionTreeClassifier

    _check_reach(codes, 3e38)  # the tree's numbers are float32
    x, y, x_new, y_new = (t.cpu().numpy() for t in (codes, labels, new, truth))
    tree = DecisionTreeClassifier(max_depth=deepest, random_state=seed).fit(x, y)
    guess = tree.tree_.value[:, 0].argmax(1)  # of each node, as if it were a leaf
    path = tree.decision_path(x_new)  # of each row its nodes, from the root down
    start, end = path.indptr[:-1], path.indptr[1:] - 1
    at = (path.indices[(start + depth).clip(max=end)] for depth in range(1, deepest + 1))
    return [float((guess[nodes] != y_new).mean()) for nodes in at]


def ease(losses: Float[Tensor, "k depths"], baseline: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """E of loss–capacity curves [K, depths ≥ 2] at equal steps of capacity κ₁ … κ_T, above −1:

    1 − 2/((κ_T − κ₁)·ℓ_b)·∫ (ℓ(κ) − min ℓ) dκ, with ℓ the least loss so far and ℓ_b that of the
    best guess, `baseline` [K]: 1 if the first reader is as good as the last, 0 on a straight line
    from the guess to no loss at all, and near −1 if all but the last can only guess.
    """
    so_far = losses.cummin(1).values
    above = so_far - so_far[:, -1:]
    area = torch.trapezoid(above, dim=1) / (losses.shape[1] - 1)
    return 1 - 2 * area / baseline


@dataclass(frozen=True, eq=False, kw_only=True)
class PredictionScore(Score):
    """`score` is the mean of `per_factor` [K] on the test sample, `train_score` on the other."""

    train_score: float
    per_factor: Tensor


def explicitness(
    codes: Values, factors: Values, *, test: Test | None = None, seed: int = 0
) -> PredictionScore:
    """Explicitness (Ridgeway & Mozer 2018), in [0, 1], chance .5: the area under the ROC curve of
    each value of a factor against its others, by logistic regression on all codes; the mean over
    values, then over factors.

    The regression is scikit-learn's LogisticRegression with its defaults (L2, C = 1) on codes
    standardised by the sample fitted on (where dead codes become 0), but minimised to convergence
    rather than for 100 iterations. Every value of a factor must occur in both samples. ValueError
    if one does not, for NaN, continuous factors, a factor with one value.
    """
    return predictions((auc,), codes, factors, test, seed)[0]


def informativeness(
    codes: Values, factors: Values, *, test: Test | None = None, seed: int = 0
) -> PredictionScore:
    """The informativeness that the released MED returns: test accuracy of the logistic regression
    of `explicitness`, the mean over factors. (That of DCI is the accuracy of its trees.)
    """
    return predictions((accuracy,), codes, factors, test, seed)[0]


def predictions(
    qualities: Sequence[Callable[[Tensor, Tensor], float]],
    codes: Values,
    factors: Values,
    test: Test | None,
    seed: int,
) -> list[PredictionScore]:
    """One score for each of `qualities`, `auc` or `accuracy`, of the same regressions."""
    codes, labels, new, truth = checked_split(codes, factors, test, seed)
    if auc in qualities:
        for j, (one, other) in enumerate(zip(labels.T, truth.T, strict=True)):
            unseen = one[~torch.isin(one, other)].unique()
            need(
                len(unseen) == 0,
                f"factor {j}: {len(unseen)} of its values do not occur in the test sample, "
                "expected all of them: add samples, or leave rare values out",
            )
    codes, new = standardise(codes, new)
    scores = []
    for y, target in zip(labels.T, truth.T, strict=True):
        weight, bias = logistic_regression(codes, y, l2=1 / len(codes))  # scikit-learn's C = 1
        pairs = [((x @ weight + bias).softmax(1), v) for x, v in ((codes, y), (new, target))]
        scores.append([[quality(*pair) for pair in pairs] for quality in qualities])
    return [
        PredictionScore(
            score=float(per_factor.mean()),
            n=len(codes),
            seed=seed,
            train_score=float(fitted.mean()),
            per_factor=per_factor,
        )
        for fitted, per_factor in torch.tensor(scores, dtype=torch.float64).permute(1, 2, 0)
    ]


def accuracy(probability: Tensor, labels: Tensor) -> float:
    """Share of rows of [N, V] whose greatest probability is at the label."""
    return float((probability.argmax(1) == labels).double().mean())


def auc(probability: Tensor, labels: Tensor) -> float:
    """Mean over classes of the area under the ROC curve of [N, V], by ranks; ties count half."""
    from scipy.stats import rankdata

    ranks = torch.from_numpy(rankdata(probability.cpu().numpy(), axis=0))
    positive = torch.nn.functional.one_hot(labels.cpu(), probability.shape[1]).double()
    n = positive.sum(0)
    above_least = (ranks * positive).sum(0) - n * (n + 1) / 2
    return float((above_least / (n * (len(labels) - n))).mean())

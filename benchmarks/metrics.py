"""How fast are the measures of disentanglement? Beside plain scikit-learn and NumPy, in one run.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py
    OMP_NUM_THREADS=1 python benchmarks/metrics.py --samples 1000 --width 8 --wide 50 --trees

Two comparisons: MED of wide codes (--wide) with a loop over pairs of codes and factors, and every
score of codes of moderate width (--width), each with the same protocol written as one would with
scikit-learn and NumPy: loops over codes, factors, points and votes, but whole arrays within. Both
get the same float32 codes of dSprites' five factors (3, 6, 40, 32, 32 values), a dense mix of them,
and count CPU seconds, so that other work on the machine matters less. Ratios are plain over mdlib.

Boosted trees (--trees) take plain scikit-learn the better part of an hour at full size, and are
compared with mdlib's binned trees, which split at quantiles; their scores differ a little. The
total is given with and without them. Scores stand side by side to show that it is the same thing
that is timed; those that are sampled or split at random differ by their draws.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from itertools import combinations

import numpy as np
import sklearn
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mdlib import metrics

SIZES = (3, 6, 40, 32, 32)
BINS, PAIRS = 20, 64  # pairs or images a point


def mixed(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes [n, d], a noisy and squashed mix of factors [n, 5]."""
    draw = np.random.default_rng(seed)
    factors = np.stack([draw.integers(size, size=n) for size in SIZES], 1)
    scaled = (factors - factors.mean(0)) / factors.std(0)
    weights = np.random.default_rng(0).standard_normal((5, d)) / 5**0.5
    codes = np.tanh(scaled @ weights) + 0.1 * draw.standard_normal((n, d))
    return codes.astype(np.float32), factors


# ---------------------------------------------------------------------------- plain renderings


def plain_information(codes, factors):
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    for i, code in enumerate(codes.T):
        labels = np.digitize(code, np.histogram(code, BINS)[1][:-1])
        for j, factor in enumerate(factors.T):
            matrix[i, j] = mutual_info_score(factor, labels)
    return matrix


def plain_disentanglement(importance):
    share = importance + 1e-11
    share = share / share.sum(1, keepdims=True)
    each = 1 + (share * np.log(share)).sum(1) / np.log(importance.shape[1])
    return float(importance.sum(1) @ each / importance.sum())


def plain_from_information(codes, factors):
    """MED, MIG and modularity from one matrix."""
    matrix = plain_information(codes, factors)
    entropies = [mutual_info_score(factor, factor) for factor in factors.T]
    best = np.sort(matrix, 0)
    gap = float(((best[-1] - best[-2]) / entropies).mean())
    top = (matrix**2).max(1)
    modular = 1 - ((matrix**2).sum(1) - top) / top / (matrix.shape[1] - 1)
    return plain_disentanglement(matrix / matrix.sum(0)), gap, float(modular.mean())


def plain_sap(codes, factors, new, truth):
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    for i in range(codes.shape[1]):
        for j in range(factors.shape[1]):
            machine = LinearSVC(C=0.01, class_weight="balanced")
            machine.fit(codes[:, [i]], factors[:, j])
            matrix[i, j] = machine.score(new[:, [i]], truth[:, j])
    best = np.sort(matrix, 0)
    return float((best[-1] - best[-2]).mean())


def plain_regressions(codes, factors, new, truth):
    """Explicitness and informativeness, from one regression a factor."""
    scaler = StandardScaler().fit(codes)
    codes, new = scaler.transform(codes), scaler.transform(new)
    areas, accuracies = [], []
    for j, factor in enumerate(factors.T):
        probability = LogisticRegression().fit(codes, factor).predict_proba(new)
        areas.append(roc_auc_score(np.eye(probability.shape[1])[truth[:, j]], probability))
        accuracies.append((probability.argmax(1) == truth[:, j]).mean())
    return float(np.mean(areas)), float(np.mean(accuracies))


def plain_dci(codes, factors, new, truth):
    models = [GradientBoostingClassifier(random_state=0).fit(codes, v) for v in factors.T]
    importance = np.stack([model.feature_importances_ for model in models], 1)
    for j, model in enumerate(models):  # informativeness, a part of it
        model.score(new, truth[:, j])
    return plain_disentanglement(importance)


def plain_irs(codes, factors):
    codes = codes.astype(float)
    reach = np.abs(codes - codes.mean(0)).max(0)
    matrix = np.zeros((codes.shape[1], factors.shape[1]))
    for j, factor in enumerate(factors.T):
        labels = np.digitize(factor, np.histogram(factor, BINS)[1][:-1])
        groups = [codes[labels == value] for value in np.unique(labels)]
        within = [np.quantile(np.abs(z - z.mean(0)), 0.99, axis=0) for z in groups]
        matrix[:, j] = 1 - np.mean(within, 0) / reach
    return float(np.average(matrix.max(1), weights=reach))


def rows_by_value(factors):
    return [[np.flatnonzero(v == value) for value in np.unique(v)] for v in factors.T]


def plain_beta_vae(codes, factors, points, test_points):
    draw, rows = np.random.default_rng(0), rows_by_value(factors)

    def sample(count):
        features, labels = np.zeros((count, codes.shape[1])), draw.integers(len(rows), size=count)
        for point, j in enumerate(labels):
            first = draw.integers(len(codes), size=PAIRS)
            second = [draw.choice(rows[j][value]) for value in factors[first, j]]
            features[point] = np.abs(codes[first] - codes[second]).mean(0)
        return features, labels

    model = LogisticRegression().fit(*sample(points))
    return float(model.score(*sample(test_points)))


def plain_factor_vae(codes, factors, votes, test_votes):
    draw, rows = np.random.default_rng(0), rows_by_value(factors)
    variance = codes[draw.integers(len(codes), size=10_000)].var(0, ddof=1)

    def count(number):
        counts = np.zeros((len(rows), codes.shape[1]), int)
        for j in draw.integers(len(rows), size=number):
            group = rows[j][factors[draw.integers(len(codes)), j]]
            batch = codes[draw.choice(group, size=PAIRS)]
            counts[j, np.argmin(batch.var(0, ddof=1) / variance)] += 1
        return counts

    rule = count(votes).argmax(0)
    counts = count(test_votes)
    return counts[rule, np.arange(len(rule))].sum() / test_votes


def plain_hfs(codes, batches, batch=128):
    order, total = np.random.default_rng(0).permutation(len(codes)), 0.0
    for start in range(0, batches * batch, batch):
        z = codes[order[start : start + batch]].T
        squares = (z[:, :, None] - z[:, None]) ** 2
        for i, j in combinations(range(len(z)), 2):
            total += (squares[i][:, None] + squares[j][None]).min(2).max()
    return total / batches


def plain_gaussian(codes):
    """Total correlation and Wasserstein."""
    covariance = np.cov(codes.T)
    variance = np.diag(covariance)
    scaled = covariance * np.sqrt(variance) * np.sqrt(variance)[:, None]
    root = np.sqrt(np.linalg.eigvalsh(scaled).clip(0)).sum()
    correlation = 0.5 * (np.log(variance).sum() - np.linalg.slogdet(covariance)[1])
    return float(correlation), float(2 * variance.sum() - 2 * root)


# ---------------------------------------------------------------------------- side by side


def timed(action):
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def compare(name: str, ours, plain) -> tuple[float, float]:
    """One line of the table; the two times."""
    (mine, score), (other, plain_score) = timed(ours), timed(plain)
    pairs = [np.atleast_1d(scores) for scores in (score, plain_score)]
    values = "  ".join(f"{a:.3f} {b:.3f}" for a, b in zip(*pairs, strict=True))
    print(f"{name:>22}  {mine:8.2f}  {other:8.2f}  {other / mine:7.1f}   {values}", flush=True)
    return mine, other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000, help="to fit on; half to test")
    parser.add_argument("--wide", type=int, default=1000, help="codes, for MED alone")
    parser.add_argument("--width", type=int, default=64, help="codes, for all scores")
    parser.add_argument("--batches", type=int, default=1, help="of HFS, 128 samples each")
    parser.add_argument("--trees", action="store_true", help="DCI, too: slow")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the literature's 100 iterations

    n, points = args.samples, args.samples
    print(f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}")
    print(f"{torch.get_num_threads()} thread(s), {platform.machine()}, {n} samples, float32")
    warm, factors = mixed(600, 3, args.seed)  # lazy imports, thread pools
    metrics.explicitness(warm, factors)
    header = f"{'':>22}  {'mdlib s':>8}  {'plain s':>8}  {'ratio':>7}   scores, mdlib's and plain"

    print(f"\nMED, {args.wide} codes\n{header}")
    codes, factors = mixed(n, args.wide, args.seed)
    compare(
        "med",
        lambda: metrics.med(codes, factors).score,
        lambda: plain_from_information(codes, factors)[0],
    )

    print(f"\nall scores, {args.width} codes\n{header}")
    codes, factors = mixed(n, args.width, args.seed)
    test = mixed(n // 2, args.width, args.seed + 1)
    sampler = metrics.Rows(codes, factors)
    sampled = points, points // 2

    def from_information():
        scores = (metrics.med, metrics.mig, metrics.modularity)
        return [score(codes, factors).score for score in scores]

    def regressions():
        rows = ("explicitness", "informativeness")  # which share their fits in a table
        return metrics.evaluate(codes, factors, test=test, metrics=rows).score.to_numpy()

    def gaussian():
        scores = (metrics.gaussian_total_correlation, metrics.wasserstein)
        return [score(codes).score for score in scores]

    lines = {
        "med, mig, modularity": (from_information, lambda: plain_from_information(codes, factors)),
        "sap": (
            lambda: metrics.sap(codes, factors, test=test).score,
            lambda: plain_sap(codes, factors, *test),
        ),
        "explicitness, inform.": (regressions, lambda: plain_regressions(codes, factors, *test)),
        "irs": (lambda: metrics.irs(codes, factors).score, lambda: plain_irs(codes, factors)),
        "beta_vae": (
            lambda: metrics.beta_vae(sampler, points=points, test_points=points // 2).score,
            lambda: plain_beta_vae(codes, factors, *sampled),
        ),
        "factor_vae": (
            lambda: metrics.factor_vae(sampler, votes=points, test_votes=points // 2).score,
            lambda: plain_factor_vae(codes, factors, *sampled),
        ),
        "hfs": (
            lambda: metrics.hfs(codes, batches=args.batches).score,
            lambda: plain_hfs(codes, args.batches),
        ),
        "total corr., wasserst.": (gaussian, lambda: plain_gaussian(codes)),
    }
    times = np.array([compare(name, *pair) for name, pair in lines.items()])
    mine, other = times.sum(0)
    print(f"{'together':>22}  {mine:8.2f}  {other:8.2f}  {other / mine:7.1f}")
    if args.trees:
        trees = compare(
            "dci",
            lambda: metrics.dci(codes, factors, test=test, trees="binned").score,
            lambda: plain_dci(codes, factors, *test),
        )
        mine, other = times.sum(0) + trees
        print(f"{'together with dci':>22}  {mine:8.2f}  {other:8.2f}  {other / mine:7.1f}")


if __name__ == "__main__":
    main()

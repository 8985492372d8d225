"""Probes: what a frozen code knows, asked with a small learner on top of it.

Every probe is one function of tensors (or numpy arrays), and none of them sees a network::

    probe(train_codes [N, D], train_targets, test_codes [M, D], test_targets, *, seed=0, …)
        -> ProbeResult

Classes are integers [N] and are scored by accuracy; continuous targets are [N] or [N, T] and are
scored by R², the mean over the T columns. All probes follow one protocol, `_run`:

1. a part of the training set is held out by `seed` (a fifth; of every class, where there are any);
2. the probe is fitted on the rest for every value of one hyper-parameter, and the held-out part
   chooses (grids run from most to least regularised; a tie goes to the earlier value);
3. the probe is fitted again on the whole training set with the chosen value;
4. the test set is predicted, once.

`few_shot` has a protocol of its own: a few labels a class, drawn many times, and nothing chosen.

Codes are standardised each time by the statistics of what is fitted on, never by those of what is
predicted. Work is done on the codes' device and in their precision (float32; float64 if they are;
half precision is widened), apart from MPS, which lacks float64: its codes are moved to the CPU.
Bad input raises ValueError before anything is fitted: lengths that differ, NaN or infinity, class
targets that aren't integers, fewer than two classes or than two samples of one, a test class that
training never showed, a regression target without variance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mdlib.checks import (
    as_tensor,
    check_above_zero,
    check_not_negative,
    check_whole,
    checked_grid,
    need,
)
from mdlib.devices import as_outside
from mdlib.evaluation.few_shot import few_shot as few_shot  # public, and here
from mdlib.evaluation.inputs import (
    checked_classes,
    checked_codes,
    checked_targets,
    standardise,
    unit_of,
)
from mdlib.evaluation.logistic import logistic_path
from mdlib.registry import random_stream
from mdlib.types import Values

_HELD_OUT = 0.2  # the part of the training set that chooses the hyper-parameter
_BLOCK_BYTES = 64 * 2**20  # the largest block of distances that the neighbour searches hold

# A fit: (codes, targets, new codes, grid) -> predictions for the new codes, one for every value.
_Fit = Callable[[Tensor, Tensor, Tensor, Sequence], Sequence[Tensor]]


@dataclass(frozen=True, eq=False)  # == on tensors has no single truth value
class ProbeResult:
    """What a probe found.

    `score` is the test score: accuracy in [0, 1], or R² (at most 1) averaged over target columns.
    `chosen` is the chosen hyper-parameter, one a column where targets are [N, T], and `held_out`
    the score there, on the held-out part. `predictions` are labels, int64 [M], or values, float64
    [M] or [M, T]. Only `mixture` has `nmi` (normalised mutual information, in [0, 1]) and `ari`
    (adjusted Rand index, at most 1).
    """

    score: float
    chosen: float | tuple[float, ...]
    held_out: float
    predictions: Tensor
    nmi: float | None = None
    ari: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class R2Result(ProbeResult):
    """A `ProbeResult` with the R² of each target column, float64 [T]."""

    per_target: Tensor


# ---------------------------------------------------------------------------- classes


def linear(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0, tol: float = 3e-5,
    penalties: Sequence[float] = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5),
) -> ProbeResult:  # fmt: skip
    """Multinomial logistic regression, fitted to convergence; the L2 penalty is chosen.

    See `logistic_regression` for the objective and for `tol`. Penalties are tried in their order,
    each started from the solution before it, so list them from strong to weak.
    RuntimeError if a fit does not converge.
    """
    check_above_zero(tol=tol)

    def fit(x, y, new, grid):
        n_classes = int(y.max()) + 1
        return [(new @ w + b).argmax(1) for w, b in logistic_path(x, y, n_classes, grid, tol)]

    data = train_codes, train_targets, test_codes, test_targets
    return _classify(fit, *data, seed, checked_grid("penalties", penalties))


def mlp(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0, epochs: Sequence[int] = (1, 2, 4, 8, 16, 32), hidden: int = 256,
    lr: float = 1e-3, weight_decay: float = 1e-4, batch_size: int = 256,
) -> ProbeResult:  # fmt: skip
    """One hidden ReLU layer, trained by AdamW on minibatches; the number of epochs is chosen.

    That is early stopping with a refit: the held-out part picks one of `epochs`, and the network is
    trained anew for as long on the whole training set. `seed` sets the initial weights and the
    order of samples, through generators of its own.
    """
    check_whole(1, hidden=hidden, batch_size=batch_size)
    check_above_zero(lr=lr)
    check_not_negative(weight_decay=weight_decay)

    def fit(x, y, new, grid):
        draw = random_stream(seed)  # on the CPU: every device starts alike

        def uniform(fan_in, *shape):
            values = (2 * torch.rand(*shape, generator=draw) - 1) / fan_in**0.5
            return values.to(x).requires_grad_()

        d, n_classes = x.shape[1], int(y.max()) + 1
        parameters = w1, b1, w2, b2 = [
            uniform(d, d, hidden), uniform(d, hidden),
            uniform(hidden, hidden, n_classes), uniform(hidden, n_classes),
        ]  # fmt: skip
        optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
        after = {}
        for epoch in range(1, max(grid) + 1):
            for rows in torch.randperm(len(x), generator=draw).to(x.device).split(batch_size):
                with torch.enable_grad():
                    logits = torch.relu(x[rows] @ w1 + b1) @ w2 + b2
                    loss = F.cross_entropy(logits, y[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            if epoch in grid:
                with torch.no_grad():
                    after[epoch] = (torch.relu(new @ w1 + b1) @ w2 + b2).argmax(1)
        return [after[epoch] for epoch in grid]

    data = train_codes, train_targets, test_codes, test_targets
    return _classify(fit, *data, seed, checked_grid("epochs", epochs, whole=True))


def knn(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0, neighbours: Sequence[int] = (50, 15, 5, 1), block_bytes: int = _BLOCK_BYTES,
) -> ProbeResult:  # fmt: skip
    """Majority vote of the k nearest training codes (Euclidean); k is chosen.

    Equal votes go to the lowest label. A k beyond the number of training codes means all
    of them. A block of distances takes at most `block_bytes` (or one row, if that is more).
    """

    def fit(x, y, new, grid):
        n_classes = int(y.max()) + 1
        labels = y[_nearest(x, new, max(grid), block_bytes)]  # [M, k]
        one = torch.ones_like(labels)
        outputs = []
        for k in grid:
            votes = torch.zeros(len(new), n_classes).to(one)
            votes.scatter_add_(1, labels[:, :k], one[:, :k])
            outputs.append(votes.argmax(1))  # the first of equals
        return outputs

    data = train_codes, train_targets, test_codes, test_targets
    return _classify(fit, *data, seed, checked_grid("neighbours", neighbours, whole=True))


def mixture(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0, reg_covar: Sequence[float] = (1e-1, 1e-3), n_init: int = 5, max_iter: int = 500,
) -> ProbeResult:  # fmt: skip
    """Gaussian mixture with as many components as classes; the labels only name its components.

    scikit-learn's GaussianMixture (full covariances, float64, CPU) is fitted to the training codes
    without labels; the Hungarian method then pairs components with classes so that most *training*
    samples agree, and `score` is the accuracy of that naming on the test set. Clustering papers
    often pair on the test labels instead, which lets the test set choose the best of C! namings and
    is optimistic. The value added to the covariances' diagonals is chosen, like every
    hyper-parameter here, by held-out accuracy. `nmi` and `ari` compare test clusters with test
    classes and need no naming. Time grows as N·C·D² an iteration: reduce codes beyond ~100 columns
    first. scikit-learn's ConvergenceWarning passes through when EM stops at `max_iter`.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.mixture import GaussianMixture

    def fit(x, y, new, grid):
        n_classes = int(y.max()) + 1
        points, new_points = (codes.cpu().double().numpy() for codes in (x, new))
        outputs = []
        for floor in grid:
            model = GaussianMixture(
                n_classes, reg_covar=floor, n_init=n_init, max_iter=max_iter, random_state=seed
            )
            clusters = torch.from_numpy(model.fit_predict(points))
            together = torch.bincount(clusters * n_classes + y.cpu(), minlength=n_classes**2)
            together = together.reshape(n_classes, n_classes).numpy()  # [component, class]
            _, names = linear_sum_assignment(together, maximize=True)
            outputs.append(torch.from_numpy(names[model.predict(new_points)]).to(y))
        return outputs

    data = train_codes, train_targets, test_codes, test_targets
    result = _classify(fit, *data, seed, checked_grid("reg_covar", reg_covar))
    # The naming is one to one, so predicted classes and clusters are the same partition.
    pair = as_tensor(test_targets).cpu().numpy(), result.predictions.cpu().numpy()
    nmi, ari = normalized_mutual_info_score(*pair), adjusted_rand_score(*pair)
    return replace(result, nmi=float(nmi), ari=float(ari))


# ---------------------------------------------------------------------------- continuous targets


def ridge(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0,
    penalties: Sequence[float] = (1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
) -> R2Result:  # fmt: skip
    """Ridge regression in closed form; the penalty is chosen for each target column.

    Minimises ``(1/N)·‖y − X·w − b‖² + l2·‖w‖²``, which is scikit-learn's Ridge(alpha=N·l2). One
    eigendecomposition of the codes' covariance (float64) serves all penalties and all columns.
    """

    def fit(x, y, new, grid):
        x, new, centre = x.double(), new.double(), y.mean(0)
        eigenvalues, basis = torch.linalg.eigh(x.T @ x / len(x))
        eigenvalues = eigenvalues.clamp(min=0)[:, None]  # rounding may leave them below 0
        aligned, rotated = basis.T @ (x.T @ (y - centre)) / len(x), new @ basis
        return [rotated @ (aligned / (eigenvalues + l2)) + centre for l2 in grid]

    data = train_codes, train_targets, test_codes, test_targets
    return _regress(fit, *data, seed, checked_grid("penalties", penalties))


def knn_regression(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    seed: int = 0, neighbours: Sequence[int] = (50, 15, 5, 1), block_bytes: int = _BLOCK_BYTES,
) -> R2Result:  # fmt: skip
    """Mean target of the k nearest training codes; k is chosen for each column. See `knn`."""

    def fit(x, y, new, grid):
        nearest = _nearest(x, new, max(grid), block_bytes)
        sizes = [min(k, len(x)) for k in grid]
        total, outputs = torch.zeros(len(new), y.shape[1]).to(y), {}
        for i, rows in enumerate(nearest.unbind(1), start=1):  # no need to hold all targets at once
            total += y[rows]
            if i in sizes:
                outputs[i] = total / i
        return [outputs[k] for k in sizes]

    data = train_codes, train_targets, test_codes, test_targets
    return _regress(fit, *data, seed, checked_grid("neighbours", neighbours, whole=True))


CLASS_PROBES = {"linear": linear, "mlp": mlp, "knn": knn, "mixture": mixture}
TARGET_PROBES = {"ridge": ridge, "knn_regression": knn_regression}


# ---------------------------------------------------------------------------- parts in common


def _nearest(x: Tensor, new: Tensor, k: int, block_bytes: int) -> Tensor:
    """Rows [M, k] of `x` nearest to each row of `new`, nearest first; all, if `x` has fewer."""
    check_whole(1, block_bytes=block_bytes)
    k = min(k, len(x))
    half_norms = x.square().sum(1) / 2  # ‖a − b‖²/2 = ‖a‖²/2 − a·b + a term that ranks nothing
    rows = max(1, block_bytes // (len(x) * x.element_size()))
    blocks = (torch.addmm(half_norms, block, x.T, alpha=-1) for block in new.split(rows))
    return torch.cat([block.topk(k, dim=1, largest=False).indices for block in blocks])


@as_outside
def _run(fit: _Fit, score, x, y, new, held, grid) -> tuple[Tensor, list, Tensor]:
    """The protocol: predictions, chosen values and held-out scores, one a column of targets."""
    part, rest = standardise(x[~held], x[held])
    scores = torch.stack([score(p, y[held]) for p in fit(part, y[~held], rest, grid)])
    best = scores.argmax(0).tolist()  # of [values, columns]; the first of equals
    used = sorted(set(best))
    x, new = standardise(x, new)
    outputs = fit(x, y, new, [grid[i] for i in used])
    columns = [outputs[used.index(i)].reshape(len(new), -1)[:, c] for c, i in enumerate(best)]
    return torch.stack(columns, 1), [grid[i] for i in best], scores.amax(0)


def _classify(fit, train_codes, train_targets, test_codes, test_targets, seed, grid) -> ProbeResult:
    x, new = checked_codes(train_codes, test_codes)
    classes, y, counts, truth = checked_classes(
        train_targets, test_targets, x, new, least=2, why=", one of them to hold out"
    )
    held = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    draw = random_stream(seed)
    for c, count in enumerate(counts.tolist()):
        chosen = torch.randperm(count, generator=draw)[: max(1, round(_HELD_OUT * count))]
        held[(y == c).nonzero()[chosen.to(y.device), 0]] = True

    def accuracy(predicted: Tensor, y: Tensor) -> Tensor:
        return (predicted == y).double().mean().reshape(1)

    predictions, (chosen,), (held_out,) = _run(fit, accuracy, x, y, new, held, grid)
    predictions = classes[predictions[:, 0]]
    score = float(accuracy(predictions, truth))
    return ProbeResult(score, chosen, float(held_out), predictions)


def r2(
    predicted: Float[Tensor, "n columns"], truth: Float[Tensor, "n columns"]
) -> Float[Tensor, " columns"]:
    """R² [T] of predictions [N, T], column by column: 1 is perfect, 0 no better than the mean.

    It has no bound below, and for a column whose truth never varies it is not finite.
    """
    wrong, apart = truth - predicted, truth - truth.mean(0)
    unit = unit_of(torch.cat([wrong, apart]).abs().amax(0))
    return 1 - (wrong * unit).square().sum(0) / (apart * unit).square().sum(0)


def _regress(fit, train_codes, train_targets, test_codes, test_targets, seed, grid) -> R2Result:
    x, new = checked_codes(train_codes, test_codes)
    y = checked_targets("train", train_targets, x, torch.float64)
    truth = checked_targets("test", test_targets, new, torch.float64)
    need(
        y.shape[1:] == truth.shape[1:],
        f"targets are {list(y.shape)} and {list(truth.shape)}: expected as many columns in both",
    )
    need(len(y) > 3, f"{len(y)} training samples, expected at least 4, two of them to hold out")
    flat = y.ndim == 1
    y, truth = y.reshape(len(y), -1), truth.reshape(len(truth), -1)
    n_held, draw = max(2, round(_HELD_OUT * len(y))), random_stream(seed)
    held = torch.zeros(len(y), dtype=torch.bool)
    held[torch.randperm(len(y), generator=draw)[:n_held]] = True
    held = held.to(y.device)
    for name, part in {"train": y, "held-out": y[held], "test": truth}.items():
        constant = (part == part[:1]).all(0).nonzero()[:, 0].tolist()
        need(
            not constant,
            f"{name} targets of column {constant} never vary, so R² has no value: expected some "
            "variance, leave the column out or add samples",
        )

    predictions, chosen, held_out = _run(fit, r2, x, y, new, held, grid)
    per_target = r2(predictions, truth)
    return R2Result(
        score=float(per_target.mean()),
        chosen=chosen[0] if flat else tuple(chosen),
        held_out=float(held_out.mean()),
        predictions=predictions[:, 0] if flat else predictions,
        per_target=per_target,
    )

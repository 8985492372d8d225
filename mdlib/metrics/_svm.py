"""Linear support-vector machines on one feature, for all codes and classes of a factor at once.

The learner under `sap`: what scikit-learn's LinearSVC(C=…, class_weight="balanced") minimises, the
bias penalised like the weight and the hinge squared, but solved exactly. On a line the samples
within the margin are those on one side of a threshold, so sums over them are differences of running
sums over the sorted samples, and a Newton step in (w, b) needs a search, not a pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

CELLS = 2**21  # the largest block held at once: codes × classes × samples
STEPS = 100
ROUNDING = 1e-12  # of the objective, relative
GRADIENT = 1e-8  # at which it stops, as a part of the gradient at (0, 0)


def svm_accuracies(
    codes: Tensor, labels: Tensor, new: Tensor, truth: Tensor, cost: float
) -> Tensor:
    """Test accuracy of one-against-rest machines for each factor on each single code, [D, K].

    Fitted on codes [N, D] and labels [N, K] (column j in 0 … V_j − 1, each present), tested on
    `new` [M, D] and `truth` [M, K]. As in scikit-learn the samples of class c cost
    `cost`·N/(V·n_c) where c is the positive class and `cost` where it is the rest, and two classes
    take a single machine, whose two sides are both weighted.
    """
    counts = [column.bincount() for column in labels.T]
    widest = max(len(count) * max(int(count.max()), len(new)) for count in counts)
    accuracies = []
    for some in torch.arange(codes.shape[1], device=codes.device).split(max(1, CELLS // widest)):
        z, z_new = codes[:, some].T.double(), new[:, some].T.double()
        everyone = _Running(z.sort(1).values[:, None])
        columns = zip(labels.T, truth.T, counts, strict=True)
        predicted = [
            (_predict(everyone, z, y, count, z_new, cost) == target).double().mean(1)
            for y, target, count in columns
        ]
        accuracies.append(torch.stack(predicted, 1))
    return torch.cat(accuracies)


def _predict(
    everyone: _Running, z: Tensor, labels: Tensor, counts: Tensor, new: Tensor, cost: float
) -> Tensor:
    """Classes [D, M] of `new` [D, M], by machines fitted on z [D, N] and labels [N]."""
    weights = cost * len(labels) / (len(counts) * counts.double())
    if len(counts) == 2:
        w, b = _fit(everyone, z, labels, weights[1:], weights[:1])
        return (w * new + b > 0).long()
    w, b = _fit(everyone, z, labels, weights, torch.full_like(weights, cost))
    return (w[..., None] * new[:, None] + b[..., None]).max(1).indices  # faster than argmax


def _fit(
    everyone: _Running, z: Tensor, labels: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """(w, b), each [D, P], of machines on z [D, N]: the last P classes, each against the rest.

    They minimise ½(w² + b²) + positive·Σ max(0, 1 − wz − b)² + negative·Σ max(0, 1 + wz + b)².
    """
    by_class = _Running.of_classes(z, labels, len(positive))

    def moments(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of (1, z, z²) over the samples within the margin, positives and negatives."""
        slope = torch.where(w == 0, 1e-300, w)  # a threshold beyond all samples, on the right side
        rising = (slope > 0)[..., None]
        inside, outside = (1 - b) / slope, (-1 - b) / slope
        own = by_class.below(inside)
        rest = everyone.below(outside) - by_class.below(outside)
        all_rest = everyone.total - by_class.total
        return (
            torch.where(rising, own, by_class.total - own),
            torch.where(rising, all_rest - rest, rest),
        )

    def objective(w: Tensor, b: Tensor, own: Tensor, rest: Tensor) -> Tensor:
        n, s, q = own.unbind(-1)
        loss = positive * ((1 - b).square() * n - 2 * (1 - b) * w * s + w.square() * q)
        n, s, q = rest.unbind(-1)
        loss = loss + negative * ((1 + b).square() * n + 2 * (1 + b) * w * s + w.square() * q)
        return (w.square() + b.square()) / 2 + loss

    w = torch.zeros(len(z), len(positive)).to(z)
    b = torch.zeros_like(w)
    own, rest = moments(w, b)
    value, first = objective(w, b, own, rest), None
    for _ in range(STEPS):
        n, s, q = (2 * (positive[:, None] * own + negative[:, None] * rest)).unbind(-1)
        pull = 2 * (positive[:, None] * own - negative[:, None] * rest)
        slope_w = w + w * q + b * s - pull[..., 1]
        slope_b = b + w * s + b * n - pull[..., 0]
        steepest = slope_w.abs() + slope_b.abs()
        first = steepest if first is None else first
        if (steepest <= GRADIENT * first).all():
            break
        det = (1 + q) * (1 + n) - s.square()
        step_w = ((1 + n) * slope_w - s * slope_b) / det
        step_b = ((1 + q) * slope_b - s * slope_w) / det
        length = torch.ones_like(w)
        for _ in range(30):  # halve the steps that do not descend
            new_w, new_b = w - length * step_w, b - length * step_b
            new_own, new_rest = moments(new_w, new_b)
            new_value = objective(new_w, new_b, new_own, new_rest)
            uphill = new_value > value * (1 + ROUNDING)
            if not uphill.any():
                break
            length = torch.where(uphill, length / 2, length)
        w, b = torch.where(uphill, w, new_w), torch.where(uphill, b, new_b)
        own, rest = moments(w, b)
        value = objective(w, b, own, rest)
    else:
        raise RuntimeError(
            f"support-vector machines did not converge in {STEPS} steps: scale the codes to about 1"
        )
    return w, b


class _Running:
    """Running sums of (1, z, z²) over sorted samples z [D, rows, M], padded with infinity."""

    def __init__(self, z: Tensor):
        self.z = z.contiguous()
        real = z.isfinite()
        value = torch.where(real, z, 0.0)
        powers = torch.stack([real.to(z), value, value.square()], -1)
        self.sums = torch.nn.functional.pad(powers.cumsum(-2), (0, 0, 1, 0))  # none below the first
        self.total = self.sums[..., -1, :]

    @classmethod
    def of_classes(cls, z: Tensor, labels: Tensor, classes: int) -> _Running:
        """[D, classes, M], for the last `classes` classes; M is the size of the largest."""
        members = [z[:, labels == c] for c in range(int(labels.max()) + 1)][-classes:]
        widest = max(rows.shape[1] for rows in members)
        padded = [
            torch.nn.functional.pad(rows, (0, widest - rows.shape[1]), value=float("inf"))
            for rows in members
        ]
        return cls(torch.stack(padded, 1).sort(-1).values)

    def below(self, threshold: Tensor) -> Tensor:
        """The sums over samples below each threshold [D, P] of its own row, [D, P, 3]."""
        d, rows, _ = self.z.shape
        position = torch.searchsorted(self.z, threshold.reshape(d, rows, -1))
        sums = self.sums.gather(2, position[..., None].expand(-1, -1, -1, 3))
        return sums.reshape(*threshold.shape, 3)

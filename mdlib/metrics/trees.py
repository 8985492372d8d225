"""Gradient-boosted trees on binned features, all classes and features of a stage at once.

The fast learner under `dci`: what scikit-learn's GradientBoostingClassifier does by default (100
stages of one tree a class, of depth 3, rate 0.1), except that a feature of more than 1024 distinct
values is split at 1023 of its quantiles only. (With 256, as is usual, importances come out wrong
where classes have few samples each: factors of 40 values and 1000 samples lost half of DCI's
disentanglement.) Then the best split needs one histogram of the
residuals a node, and a histogram over all features is a sum over lists of samples
(`embedding_bag`), on any device, instead of a sort for every node.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, one_hot

from mdlib.registry import random_stream

_STAGES, _DEPTH, _RATE = 100, 3, 0.1
BINS = 1024
_CELLS = 2**22  # the largest histogram held at once: classes × nodes × features × bins
_PURE = 2.2e-16  # the variance below which scikit-learn splits no node


@dataclass(frozen=True, eq=False)
class Boosted:
    """Impurity-based importance of each feature, float64 [D], summing to 1; and two accuracies."""

    importance: Tensor
    train: float
    test: float


def boost(codes: Tensor, labels: Tensor, new: Tensor, truth: Tensor, seed: int) -> Boosted:
    """Fit on codes [N, D], labels [N] (0 … V − 1, each present); test on `new` [M, D], `truth` [M].

    `seed` breaks ties between features. If no tree finds a split the importance is 0.
    """
    cuts, draw = _cuts(codes), random_stream(seed)
    features = _Features(_bin(codes, cuts))
    new = _bin(new, cuts)
    n, classes = len(labels), int(labels.max()) + 1
    prior = labels.bincount().double() / n
    if classes == 2:  # one tree a stage, for class 1
        target = labels[:, None].double()
        raw = (prior[1] / prior[0]).log().expand(n, 1).clone()
    else:
        target = one_hot(labels, classes).double()
        raw = prior.log().expand(n, classes).clone()
    raw_new = raw[:1].expand(len(new), -1).clone()
    newton = (classes - 1) / classes if classes > 2 else 1.0  # Friedman's factor
    at_once = max(1, _CELLS // (2 ** (_DEPTH - 1) * features.cells))

    importance = torch.zeros(codes.shape[1]).to(raw)
    for _ in range(_STAGES):
        residual = target - (raw.sigmoid() if classes == 2 else raw.softmax(1))
        for trees in torch.arange(raw.shape[1], device=raw.device).split(at_once):
            part = residual[:, trees]
            leaf, leaf_new, gains = _grow(features, part, new, draw)
            importance += gains
            slope, curvature = _by_node(leaf, part), _by_node(leaf, part.abs() * (1 - part.abs()))
            value = newton * torch.where(curvature < 1e-150, 0.0, slope / curvature)
            raw[:, trees] += _RATE * value.gather(0, leaf)
            raw_new[:, trees] += _RATE * value.gather(0, leaf_new)

    def accuracy(raw: Tensor, labels: Tensor) -> float:
        predicted = (raw[:, 0] >= 0).long() if classes == 2 else raw.argmax(1)
        return float((predicted == labels).double().mean())

    total = importance.sum()
    importance = importance / total if total > 0 else importance
    return Boosted(importance.cpu(), accuracy(raw, labels), accuracy(raw_new, truth))


class _Features:
    """Binned features [N, D], and for each (feature, bin) the list of samples in it."""

    def __init__(self, bin_of: Tensor):
        self.bin_of = bin_of
        d, self.bins = bin_of.shape[1], max(2, int(bin_of.max()) + 1)  # 2: room for a cut
        self.cells = d * self.bins
        cell = (bin_of + torch.arange(d, device=bin_of.device) * self.bins).T.flatten()
        self._samples = cell.argsort() % len(bin_of)
        counts = cell.bincount(minlength=self.cells)
        self._starts = counts.cumsum(0) - counts

    def histograms(self, weights: Tensor) -> Tensor:
        """Sums of `weights` [N, T] over the samples in each bin, float32 [T, D, bins]."""
        sums = embedding_bag(self._samples, weights.float(), self._starts, mode="sum")
        return sums.T.reshape(weights.shape[1], -1, self.bins)


def _grow(
    features: _Features, residual: Tensor, new: Tensor, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One tree a column of `residual` [N, T]: leaves [N, T], leaves of `new`, gains [D].

    Leaves are numbered 0 … 2^_DEPTH − 1; gains are the decrease of the mean squared residual that
    each feature brought. A node without a good split hands all its samples to its left child.
    """
    n, trees = residual.shape
    node = torch.zeros(n, trees, dtype=torch.int64, device=residual.device)
    node_new = node.new_zeros(len(new), trees)
    gains = residual.new_zeros(features.bin_of.shape[1])
    for level in range(_DEPTH):
        nodes = 2**level
        inside = one_hot(node, nodes)  # [N, T, nodes]
        counts = features.histograms(inside.flatten(1))
        sums = features.histograms((inside * residual[..., None]).flatten(1))
        gain, feature, cut = _best_split(sums, counts, draw)

        size, total, squares = (
            _by_node(node, t, nodes).T.flatten()
            for t in (torch.ones_like(residual), residual, residual.square())
        )
        variance = squares / size.clamp(min=1) - (total / size.clamp(min=1)).square()
        split = (gain >= 0) & (variance > _PURE)
        gains.index_add_(0, feature[split], gain[split].double() / n)
        cut = torch.where(split, cut, features.bins)
        feature, cut = (t.reshape(trees, nodes).T for t in (feature, cut))
        node, node_new = (
            2 * at + (bin_of.gather(1, feature.gather(0, at)) > cut.gather(0, at)).long()
            for at, bin_of in ((node, features.bin_of), (node_new, new))
        )
    return node, node_new, gains


def _best_split(
    sums: Tensor, counts: Tensor, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """(gain, feature, last bin on the left) of each histogram [T, D, bins]; no split: gain −1.

    The gain is the decrease of the summed squared residual: with q = S_l − S·n_l/n, which is 0 to
    rounding where both sides have equal means, q²·n/(n_l·n_r). _Features of equal gain, as
    duplicates have, are drawn from at random.
    """
    total, size = (h[:, :1].sum(2, keepdim=True) for h in (sums, counts))  # [T, 1, 1]
    left, left_sum = counts.cumsum(2)[..., :-1], sums.cumsum(2)[..., :-1]
    product = (size - left).mul_(left)
    gain = left_sum.addcmul(total / size.clamp(min=1), left, value=-1).square_().div_(product)
    gain.masked_fill_(product == 0, -1.0)
    best, cut = gain.max(2)
    top = best.amax(1, keepdim=True)
    lot = torch.rand(best.shape, generator=draw).to(best.device)
    feature = torch.where(best == top, lot, -1.0).argmax(1)
    top = torch.where(top > 0, top * size[..., 0], top)[:, 0]
    # Of a run of bins that the node has no samples in, every cut has one gain: cut in the middle.
    cut = cut.gather(1, feature[:, None])
    row = left[torch.arange(len(left), device=left.device), feature]  # [T, bins − 1]
    last = (row <= row.gather(1, cut)).sum(1) - 1
    return top, feature, (cut[:, 0] + last) // 2


def _by_node(node: Tensor, values: Tensor, nodes: int = 2**_DEPTH) -> Tensor:
    """Sums of values [N, T] over the samples at each node [N, T], [nodes, T]."""
    return values.new_zeros(nodes, values.shape[1]).scatter_add_(0, node, values)


def _cuts(codes: Tensor) -> Tensor:
    """Where each feature may be split, ascending, padded with infinity: [D, at most BINS − 1].

    Halfway between neighbouring distinct values, or between the values at quantiles if they are
    more than BINS.
    """
    n, rows = len(codes), []
    for column in codes.T.double():
        values = column.unique()
        if len(values) > BINS:
            ranks = torch.arange(1, BINS, device=codes.device) * n // BINS
            ordered = column.sort().values
            rows.append(((ordered[ranks - 1] + ordered[ranks]) / 2).unique())
        else:
            rows.append((values[:-1] + values[1:]) / 2)
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=float("inf"))


def _bin(codes: Tensor, cuts: Tensor) -> Tensor:
    """Bin numbers, int64 [N, D]: how many cuts lie below each value."""
    return torch.searchsorted(cuts, codes.T.double().contiguous()).T.contiguous()

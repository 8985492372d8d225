"""Few-shot classification: what a code tells of classes from a handful of labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mdlib.checks import check_above_zero, check_one_of, check_whole
from mdlib.devices import as_outside
from mdlib.evaluation.inputs import checked_classes, checked_codes, standardise
from mdlib.evaluation.logistic import logistic_regression
from mdlib.registry import random_stream
from mdlib.types import Values

_CLASSIFIERS = ("centroid", "linear")


@dataclass(frozen=True, eq=False)
class FewShotResult:
    """Accuracy on the test set: `scores` of each draw, float64 [draws], and `score`, their mean."""

    score: float
    scores: Tensor


@as_outside
def few_shot(
    train_codes: Values, train_targets: Values, test_codes: Values, test_targets: Values, *,
    shots: int, draws: int = 20, seed: int = 0, classifier: str = "centroid", penalty: float = 1.0,
) -> FewShotResult:  # fmt: skip
    """Accuracy of a classifier fitted on `shots` labelled training codes a class, over `draws`.

    Codes are standardised by all training codes, which needs no label. `classifier` is "centroid",
    the nearest mean of a class, or "linear", logistic regression with scikit-learn's C = 1/penalty:
    so few labels leave none to choose a penalty by.

    Which samples are drawn depends on `seed` and the training labels alone, so two codes of the
    same images are compared on the same draws: take the difference of their `scores`.

    Raises ValueError for settings out of range, a class with fewer than `shots` samples, and, as
    all probes do, for codes and labels that don't fit.
    """
    check_one_of(_CLASSIFIERS, classifier=classifier)
    check_whole(1, shots=shots, draws=draws)
    check_above_zero(penalty=penalty)
    x, new = checked_codes(train_codes, test_codes)
    classes, y, _, truth = checked_classes(
        train_targets, test_targets, x, new, least=shots, why=", the shots"
    )

    generator = random_stream(seed)
    members = [(y == c).nonzero()[:, 0].cpu() for c in range(len(classes))]
    scores = []
    with torch.inference_mode(False):  # a fit needs gradients wherever it is called
        x, new = standardise(x, new)
        for _ in range(draws):
            rows = [m[torch.randperm(len(m), generator=generator)[:shots]] for m in members]
            support = x[torch.stack(rows).to(x.device)]  # [classes, shots, D]
            if classifier == "centroid":
                predicted = torch.cdist(new, support.mean(1)).argmin(1)
            else:
                predicted = _linear(support, new, penalty)
            scores.append((classes[predicted] == truth).double().mean())
    scores = torch.stack(scores)
    return FewShotResult(float(scores.mean()), scores)


def _linear(support: Tensor, new: Tensor, penalty: float) -> Tensor:
    """Classes [M] of `new` codes, by logistic regression on a support set [classes, shots, D]."""
    n_classes, shots, _ = support.shape
    y = torch.arange(n_classes, device=support.device).repeat_interleave(shots)
    weight, bias = logistic_regression(support.flatten(0, 1), y, penalty / len(y))
    return (new @ weight + bias).argmax(1)

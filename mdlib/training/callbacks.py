"""What is looked at while a method trains, each in one line::

    seen = Probe(probes.linear, train, test, every=200)  # or probes.knn
    width = Rank(test.images, every=200)
    fit(method, source, steps=2000, callbacks=[seen, width])
    seen.table()  # a row each 200 steps: step, score

A callback is anything that can be called with the number of steps done, the method, and the losses
so far; `every`, where it has one, is the number of steps between two calls. None of them may change
the method. A training that goes on from a checkpoint calls them from there on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mdlib.checks import check_whole
from mdlib.training.checkpoint import History
from mdlib.types import Learner


class Callback(Protocol):
    """What `fit` calls after a step; `history.table()` is what it would return by now."""

    def __call__(self, step: int, method: Learner, history: History) -> None: ...


class Watch:
    """A row of `measure(method)`, one number or several by name, each `every` steps."""

    def __init__(self, measure: Callable[[Any], float | Mapping[str, float]], every: int = 100):
        check_whole(1, every=every)
        self.measure, self.every = measure, every
        self.rows: list[dict[str, float]] = []

    def __call__(self, step: int, method: Learner, history: History) -> None:
        found = self.measure(method)
        found = found if isinstance(found, Mapping) else {"score": float(found)}
        self.rows.append({"step": step, **found})

    def table(self) -> pd.DataFrame:
        """The rows so far: a column "step", and "score" or the names that `measure` gave."""
        return pd.DataFrame(self.rows)


class Probe(Watch):
    """The score of a probe of `mdlib.evaluation.probes` on codes of two splits of a data set.

    `probe` is handed codes and labels of `train`, those of `test`, and `options`.
    """

    def __init__(self, probe: Callable, train: Any, test: Any, every: int = 100, **options):
        def score(method: Learner) -> float:
            codes = [
                x for split in (train, test) for x in (method.encode(split.images), split.labels)
            ]
            return probe(*codes, **options).score

        super().__init__(score, every)


class Rank(Watch):
    """The effective rank of the codes of `images`: how many directions they fill."""

    def __init__(self, images: Tensor, every: int = 100):
        super().__init__(lambda method: effective_rank(method.encode(images)), every)


def effective_rank(codes: Float[Tensor, "sample dim"]) -> float:
    """exp of the entropy of the singular values' shares, 1 to D (Roy & Vetterli 2007; RankMe).

    Codes are centred first, so that a code that is one point has rank 0.
    """
    values = torch.linalg.svdvals((codes - codes.mean(0)).double())
    total = values.sum()
    if total <= 1e-12 * codes.double().norm():
        return 0.0
    return float(torch.special.entr(values / total).sum().exp())

"""Estimators of mutual information — a bound and how it is climbed — and their training.

Many critics are trained in one pass where they share data: a member of the ensemble for every
estimator and seed, one batched matrix product a layer, one optimiser. Their losses are added up,
and since members share no weight, none feels another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from mdlib.checks import check_whole
from mdlib.mi import bounds
from mdlib.registry import Registry

Sample = Callable[[int, int], tuple[Tensor, Tensor]]  # (step, n) → n joint pairs x, y


@dataclass(frozen=True)
class Estimator:
    """A bound on I, to be climbed by a critic.

    `bound` maps scores [..., B, B] to values [...], in nats; `kind` says on which side of I its
    expectation is ("lower", "neither"); no value exceeds `ceiling(B)`. `objective` is what
    held-out data should judge the critic by, where that isn't the bound itself.
    """

    title: str
    bound: Callable[..., Tensor]
    kind: str = "lower"
    ceiling: Callable[[int], float] = lambda size: math.inf
    objective: Callable[[Tensor], Tensor] | None = None
    averaged: bool = False  # MINE's correction of the gradient


def _smile(clip: float) -> Estimator:
    name = "SMILE-∞" if clip == math.inf else f"SMILE-{clip:g}"
    bound = partial(bounds.smile, clip=clip)
    return Estimator(name, bound, "neither", objective=bounds.jensen_shannon)


def _interpolated(alpha: float) -> Estimator:
    return Estimator(
        f"$I_{{{alpha:g}}}$",
        partial(bounds.interpolated, alpha=alpha),
        ceiling=partial(bounds.interpolated_ceiling, alpha=alpha),
    )


ESTIMATORS: Registry[Estimator] = Registry(
    "estimator",
    {
        "infonce": Estimator("InfoNCE", bounds.infonce, ceiling=math.log),
        "nwj": Estimator("NWJ", bounds.nwj),
        "dv": Estimator("DV", bounds.dv, "neither"),
        "mine": Estimator("MINE", bounds.dv, "neither", averaged=True),
        "js": Estimator("JS", bounds.js, objective=bounds.jensen_shannon),
        "js-legacy": Estimator("JS, legacy", bounds.js_legacy, objective=bounds.jensen_shannon),
        "smile-1": _smile(1),
        "smile-5": _smile(5),
        "smile-inf": _smile(math.inf),
        "interpolated-0.01": _interpolated(0.01),
        "interpolated-0.5": _interpolated(0.5),
        "club": Estimator("CLUB", bounds.club, "neither", objective=bounds.joint_mean),
    },
)
CLIMBERS = tuple(name for name in ESTIMATORS if name != "club")  # they climb the same critics


class Ascent:
    """Critics climbing their bounds together.

    `critic` is an ensemble of len(estimators)·seeds members, in this order: all seeds of the first
    estimator, then of the next. Every step takes pairs x, y [B, D] that all members see, or
    [seeds, B, D], a batch for each seed.
    """

    def __init__(
        self, critic: nn.Module, estimators: Sequence[str], seeds: int = 1, lr: float = 5e-4
    ):
        check_whole(1, seeds=seeds)
        if not estimators:
            raise ValueError(f"no estimator given: expected some of {', '.join(ESTIMATORS)}")
        self.critic, self.seeds, self.lr = critic, seeds, lr
        self.estimators = {name: ESTIMATORS[name] for name in estimators}
        for weight in critic.parameters():
            if len(weight) != seeds * len(self.estimators):
                raise ValueError(
                    f"critic with {len(weight)} members: expected {len(self.estimators)} estimators"
                    f" × {seeds} seeds"
                )
        self.log_averages: dict[str, Tensor] = {}

    @cached_property
    def optimiser(self) -> torch.optim.Optimizer:
        """Adam over all members' weights, made at the first step."""
        weights = list(self.critic.parameters())
        fused = weights[0].device.type in ("cpu", "cuda")
        return torch.optim.Adam(weights, lr=self.lr, fused=fused)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step up for every member; the values before it, [estimators, seeds]."""
        scores = self.scores(x, y)
        values = []
        for (name, estimator), s in zip(self.estimators.items(), scores, strict=True):
            options = {}
            if estimator.averaged:
                old = self.log_averages.get(name)
                options["log_average"] = bounds.running_log_average(old, s.detach())
                self.log_averages[name] = options["log_average"]
            values.append(estimator.bound(s, **options))
        values = torch.stack(values)
        self.optimiser.zero_grad(set_to_none=True)
        (-values.sum()).backward()
        self.optimiser.step()
        return values.detach()

    @torch.no_grad()
    def values(self, x: Tensor, y: Tensor, objective: bool = False) -> Tensor:
        """The bounds on these pairs, [estimators, seeds]; or what to judge the critics by."""
        scores = self.scores(x, y)
        pairs = zip(self.estimators.values(), scores, strict=True)
        return torch.stack([((objective and e.objective) or e.bound)(s) for e, s in pairs])

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """Scores [estimators, seeds, B, B]; x in blocks, where the gradient is not needed."""
        if x.ndim == 3:
            x, y = (v.repeat(len(self.estimators), 1, 1) for v in (x, y))
        rows = x.shape[-2] if torch.is_grad_enabled() else 64
        scores = torch.cat([self.critic(block, y) for block in x.split(rows, -2)], -2)
        return scores.unflatten(0, (len(self.estimators), self.seeds))


def train(
    critic: nn.Module,
    estimators: Sequence[str],
    sample: Sample,
    *,
    steps: int,
    batch_size: int = 64,
    lr: float = 5e-4,
    seeds: int = 1,
    progress: bool = False,
) -> pd.DataFrame:
    """Train `critic`, an ensemble with a member for every estimator and seed, on fresh batches.

    `sample(step, n)` gives n joint pairs, with step from 0, on the critic's device. Returns the
    values in nats, each measured before its step: a row a step (from 1), columns (estimator, seed).
    A member that diverges stays NaN and disturbs no other.
    """
    check_whole(1, steps=steps)
    ascent = Ascent(critic, estimators, seeds, lr)
    values = []
    for step in tqdm(range(steps), disable=not progress, desc="critics"):
        values.append(ascent.step(*_batch(sample, step, batch_size, seeds)))
    return _table(torch.stack(values), ascent, pd.RangeIndex(1, steps + 1, name="step"))


def evaluate(
    critic: nn.Module,
    estimators: Sequence[str],
    sample: Sample,
    *,
    batches: int = 20,
    batch_size: int = 512,
    seeds: int = 1,
) -> pd.DataFrame:
    """The bounds of a trained `critic` on fresh batches: a row a batch, columns as `train`'s."""
    check_whole(1, batches=batches)
    ascent = Ascent(critic, estimators, seeds)
    values = [ascent.values(*_batch(sample, i, batch_size, seeds)) for i in range(batches)]
    return _table(torch.stack(values), ascent, pd.RangeIndex(batches, name="batch"))


def _batch(sample: Sample, step: int, size: int, seeds: int) -> tuple[Tensor, Tensor]:
    check_whole(2, batch_size=size)
    x, y = sample(step, size * seeds)
    return (x, y) if seeds == 1 else (x.unflatten(0, (seeds, size)), y.unflatten(0, (seeds, size)))


def _table(values: Tensor, ascent: Ascent, index: pd.Index) -> pd.DataFrame:
    columns = [(name, seed) for name in ascent.estimators for seed in range(ascent.seeds)]
    columns = pd.MultiIndex.from_tuples(columns, names=["estimator", "seed"])
    return pd.DataFrame(values.flatten(1).cpu().numpy(), index, columns)

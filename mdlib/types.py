"""The types that modules share, and what a method must have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
from torch import Generator, Tensor

from mdlib.checks import check_above_zero, check_not_negative, check_share, check_whole

ImageShape = tuple[int, int, int]  # channels, height, width
Terms = dict[str, Tensor]  # parts of a loss by name: scalars
Loss = tuple[Tensor, Terms]  # the total to minimise, and its terms
# Samples [N, …], members, generator → views [N, members, …], and what made them [N, members, k].
Law = Callable[[Tensor, int, Generator], tuple[Tensor, Mapping[str, Tensor]]]
Values = Tensor | np.ndarray  # what measures take: copied, never changed

# Numbers with their range, for `mdlib.checks.check_annotated`: a method's options are such.
Count = Annotated[int, partial(check_whole, 1)]
Several = Annotated[int, partial(check_whole, 2)]
CountOrZero = Annotated[int, partial(check_whole, 0)]
Positive = Annotated[float, check_above_zero]
NotNegative = Annotated[float, check_not_negative]
Share = Annotated[float, check_share]


@runtime_checkable
class Learner(Protocol):
    """What `fit` trains, and probes read: `mdlib.methods.base.Method` is one, as a torch module.

    uses: what `loss` is handed beside views, by name: see `mdlib.training.batches.Batch`.
    """

    uses: tuple[str, ...]

    def loss(self, *args: Any, **extras: Any) -> Loss:
        """Of J views of B samples, [B, J, …], and a generator: the total to minimise, its terms."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes [N, D] of samples [N, …]; changes nothing."""

    def after_step(self, step: int, steps: int) -> None:
        """What follows optimiser step number `step` (from 0) of `steps`."""

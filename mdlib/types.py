"""The types that modules share, and what a method must have."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

ImageShape = tuple[int, int, int]  # channels, height, width
Loss = tuple[Tensor, dict[str, Tensor]]  # the total to minimise, and its named terms: scalars
Values = Tensor | np.ndarray  # what measures take: copied, never changed


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

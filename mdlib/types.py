"""The types that modules share, and what a method must have."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

ImageShape = tuple[int, int, int]  # channels, height, width
Loss = tuple[Tensor, dict[str, Tensor]]  # the total to minimise, and its named terms: scalars
Values = Tensor | np.ndarray  # what measures take: copied, never changed


@runtime_checkable
class Learner(Protocol):
    """What `fit` trains, and probes read: `mdlib.methods.Method` is one, as a torch module.

    uses: what `loss` is handed beside views, by name: see `mdlib.training.batches.Batch`.
    """

    uses: tuple[str, ...]

    def loss(self, views: Tensor, generator, **extras) -> Loss:
        """The total to minimise and its terms, of J views of each of B samples, [B, J, …]."""

    def encode(self, images: Tensor) -> Tensor:
        """Codes [N, D] of samples [N, …]; changes nothing."""

    def after_step(self, step: int, steps: int) -> None:
        """What follows optimiser step number `step` (from 0) of `steps`."""

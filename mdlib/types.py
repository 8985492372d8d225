"""The types that modules share."""

from __future__ import annotations

from torch import Tensor

ImageShape = tuple[int, int, int]
Loss = tuple[Tensor, dict[str, Tensor]]

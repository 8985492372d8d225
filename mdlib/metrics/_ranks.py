"""Ranks with ties, on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def average_ranks(rows: Tensor) -> Tensor:
    """Ranks 1 … N within each row [.., N], float64; equal values share the mean of theirs."""
    ordered = rows.sort(-1).values
    below = torch.searchsorted(ordered, rows)
    not_above = torch.searchsorted(ordered, rows, right=True)
    return (below + not_above + 1).double() / 2

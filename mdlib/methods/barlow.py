"""Barlow Twins: views agree on each dimension, and no two dimensions say the same."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.methods.joint_embedding import JointEmbedding
from mdlib.types import Count, Loss, NotNegative


class BarlowTwins(JointEmbedding):
    """Zbontar et al. 2021 (arXiv:2103.03230).

    C is the correlation, over the batch, of each dimension of one view's projection with each of
    another's; the loss is Σᵢ (1 − Cᵢᵢ)² + redundancy_weight · Σᵢ≠ⱼ Cᵢⱼ², the mean over all pairs of
    views. The authors' projector has three layers of 8192 units, ours SimCLR's two of `head_hidden`
    and `head_dim`: with few outputs there is little redundancy to reduce.
    """

    title = "Barlow Twins"
    colour = "#ca9161"

    def __init__(
        self,
        *,
        redundancy_weight: NotNegative = 0.0051,
        head_hidden: Count = 256,
        head_dim: Count = 64,
        **common,
    ):
        super().__init__(head_hidden=head_hidden, head_dim=head_dim, **common)
        self.redundancy_weight = redundancy_weight

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        gaps = [
            torch.stack(losses.identity_gap(losses.cross_correlation(a, b)))
            for a, b in combinations(self.project(views), 2)  # Cᵇᵃ is Cᵃᵇ transposed
        ]
        invariance, redundancy = torch.stack(gaps).mean(0)
        total = invariance + self.redundancy_weight * redundancy
        return total, {"invariance": invariance, "redundancy": redundancy}

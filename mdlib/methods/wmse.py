"""W-MSE: agree after whitening, which no collapsed code survives."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.methods.joint_embedding import JointEmbedding, over_pairs
from mdlib.types import Count, Loss, Share


class WMSE(JointEmbedding):
    """Ermolov et al. 2021 (arXiv:2007.06346).

    The projections of each view are whitened within parts of the batch of `part` images or more (a
    batch of fewer is one part), then compared by 2 − 2 cos, the mean over all pairs of views. A
    part must have more images than `head_dim`: ValueError. `shrinkage` is that of `losses.whiten`.
    Theirs may deal the batch into parts several times a step, and average (`w_iter`); this does
    once.
    """

    title = "W-MSE"
    colour = "#7a3b10"

    def __init__(self, *, part: Count = 128, shrinkage: Share = 0.0, **common):
        super().__init__(**common)
        if part <= self.head_dim:
            raise ValueError(
                f"part={part}: whitening needs more images than head_dim={self.head_dim}"
            )
        self.part, self.shrinkage = part, shrinkage
        self.least_images = 2 if shrinkage else self.head_dim + 1

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        projections = [self.whiten(z) for z in self.project(views)]
        total = over_pairs(losses.cosine_regression, projections, projections)
        return total, {"regression": total}

    def whiten(self, z: Tensor) -> Tensor:
        """[B, head_dim], each part of the batch by itself: a fit's batch is in random order."""
        parts = z.tensor_split(max(1, len(z) // self.part))
        return torch.cat([losses.whiten(part, self.shrinkage) for part in parts])

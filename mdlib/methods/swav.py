"""SwAV: views of an image belong to the same prototypes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import losses
from mdlib.methods.joint_embedding import JointEmbedding
from mdlib.types import Count, Loss, Positive, Several


class SwAV(JointEmbedding):
    """Caron et al. 2020 (arXiv:2006.09882).

    Each view's projection is scored by `prototypes` directions, which are learnt. Over the batch,
    `losses.sinkhorn` makes of the scores an assignment that uses all prototypes alike, so that not
    everything can be one cluster; from the other views' scores a softmax must foretell it. The loss
    is `losses.swapped_prediction`.

    As in the authors' code, prototypes are brought back to length 1 after each step. Theirs has
    `prototypes=3000` for ImageNet, keeps them as they are for the first epoch, and can add a queue
    to small batches. It assigns two large crops, which small ones must foretell, too (multi-crop);
    here all views are of one size and each is assigned.
    """

    title = "SwAV"
    colour = "#8a4f6d"

    def __init__(
        self,
        *,
        prototypes: Several = 64,
        temperature: Positive = 0.1,
        epsilon: Positive = 0.05,
        iterations: Count = 3,
        **common,
    ):
        super().__init__(**common)
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.prototypes = nn.Parameter(F.normalize(torch.randn(prototypes, self.head_dim), dim=1))

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        z = torch.stack(self.project(views), dim=1)
        total = losses.swapped_prediction(
            z, self.prototypes, self.temperature, self.epsilon, self.iterations
        )
        return total, {"cross_entropy": total}

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        self.prototypes.copy_(F.normalize(self.prototypes, dim=1))

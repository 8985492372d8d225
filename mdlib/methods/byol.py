"""BYOL: predict a slow copy of oneself, with no negatives."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mdlib import losses, nets
from mdlib.methods.joint_embedding import JointEmbedding, follow, over_pairs
from mdlib.types import Loss, Share


class BYOL(JointEmbedding):
    """Grill et al. 2020 (arXiv:2006.07733).

    An online network (encoder, projector, predictor) regresses, for every ordered pair of views,
    the projection that a target network gives of the other view; the target is the exponential
    moving average of the online network. The loss is the mean over the pairs of 2 − 2 cos (the
    paper sums the two orders of a pair: twice this). `momentum` is τ at the first step; it rises to
    1 along a cosine. As in the authors' code, the target's batch norm normalises by its own batch.
    """

    title = "BYOL"
    colour = "#cc78bc"

    def __init__(self, *, momentum: Share = 0.99, **common):
        super().__init__(**common)
        self.predictor = nets.projection(self.head_dim, self.head_hidden, self.head_dim)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.momentum = momentum

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        total = self.regression(self.codes(views), self.target_codes(views))
        return total, {"regression": total}

    @torch.no_grad()
    def target_codes(self, views: Tensor) -> list[Tensor]:
        """What the target network makes of each view, [B, latent_dim] each."""
        return [self.target_encoder(view) for view in views.unbind(1)]

    def regression(self, codes: Sequence[Tensor], target_codes: Sequence[Tensor]) -> Tensor:
        """The loss, from what the heads are to read of each view's codes; a scalar."""
        predictions = self.predict([self.projector(code).float() for code in codes])
        with torch.no_grad():
            targets = [self.target_projector(code).float() for code in target_codes]
        return over_pairs(losses.cosine_regression, predictions, targets)

    def predict(self, projections: list[Tensor]) -> list[Tensor]:
        """The predictor's output for each view's projections, [B, head_dim] each."""
        return [self.predictor(z).float() for z in projections]

    def after_step(self, step: int, steps: int) -> None:
        tau = self.momentum_at(step, steps)
        for online, target in self.averaged():
            follow(target, online, tau)

    def averaged(self) -> list[tuple[nn.Module, nn.Module]]:
        """Each network that the target has, and the target's own."""
        return [(self.encoder, self.target_encoder), (self.projector, self.target_projector)]

    def momentum_at(self, step: int, steps: int) -> float:
        """τ after step number `step` of `steps`: 1 − (1 − τ₀)(1 + cos(π·step/steps))/2."""
        return 1 - (1 - self.momentum) * (1 + math.cos(math.pi * step / steps)) / 2

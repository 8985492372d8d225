"""BYOL: predict a slow copy of oneself, with no negatives."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from mdlib import losses, nets
from mdlib.methods.base import ImageShape, Loss
from mdlib.methods.joint_embedding import JointEmbedding, over_pairs


class BYOL(JointEmbedding):
    """Grill et al. 2020 (arXiv:2006.07733).

    An online network (encoder, projector, predictor) regresses, for every ordered pair of views,
    the projection that a target network gives of the other view; the target is the exponential
    moving average of the online network. The loss is the mean over the pairs of 2 − 2 cos (the
    paper sums the two orders of a pair: twice this). `momentum` is τ at the first step; it rises to
    1 along a cosine. As in the authors' code, the target's batch norm normalises by its own batch.
    """

    def __init__(self, image_shape: ImageShape, latent_dim: int, momentum: float = 0.99, **common):
        super().__init__(image_shape, latent_dim, **common)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum={momentum}: expected a number from 0 to 1")
        self.predictor = nets.projection(self.head_dim, self.head_hidden, self.head_dim)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.momentum = momentum

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        predictions = self.predict(self.project(views))
        with torch.no_grad():
            targets = [self.target_projector(self.target_encoder(v)) for v in views.unbind(1)]
        total = over_pairs(losses.cosine_regression, predictions, [t.float() for t in targets])
        return total, {"regression": total}

    def predict(self, projections: list[Tensor]) -> list[Tensor]:
        """The predictor's output for each view's projections, [B, head_dim] each."""
        return [self.predictor(z).float() for z in projections]

    @torch.no_grad()
    def after_step(self, step: int, steps: int) -> None:
        tau = self.momentum_at(step, steps)
        for online, target in [
            (self.encoder, self.target_encoder),
            (self.projector, self.target_projector),
        ]:
            for theta, xi in zip(online.parameters(), target.parameters(), strict=True):
                xi.lerp_(theta, 1 - tau)

    def momentum_at(self, step: int, steps: int) -> float:
        """τ after step number `step` of `steps`: 1 − (1 − τ₀)(1 + cos(π·step/steps))/2."""
        return 1 - (1 - self.momentum) * (1 + math.cos(math.pi * step / steps)) / 2

"""BYOL: predict a slow copy of oneself, with no negatives."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from mdlib import losses, nets
from mdlib.methods.base import ImageShape, Loss, Method


class BYOL(Method):
    """Grill et al. 2020 (arXiv:2006.07733).

    An online network (encoder, projector, predictor) regresses, for every ordered pair of views,
    the projection that a target network gives of the other view; the target is the exponential
    moving average of the online network. The loss is the mean over the pairs of 2 − 2 cos (the
    paper sums the two orders of a pair: twice this). `momentum` is τ at the first step; it rises to
    1 along a cosine. As in the authors' code, the target's batch norm normalises by its own batch.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        momentum: float = 0.99,
        head_hidden: int = 256,
        head_dim: int = 64,
    ):
        super().__init__(image_shape, latent_dim)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum={momentum}: expected a number from 0 to 1")
        self.encoder = nets.encoder(arch, image_shape, latent_dim)
        self.projector = nets.projection(latent_dim, head_hidden, head_dim)
        self.predictor = nets.projection(head_dim, head_hidden, head_dim)
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.momentum = momentum

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        members = views.shape[1]
        if members < 2:
            raise ValueError(f"BYOL compares views of an image: it needs 2 or more, not {members}")
        # One view at a time, as in the paper: batch norm must not mix the views of an image.
        predictions = [self.predictor(self.projector(self.encoder(v))) for v in views.unbind(1)]
        with torch.no_grad():
            targets = [self.target_projector(self.target_encoder(v)) for v in views.unbind(1)]
        pairs = [
            losses.cosine_regression(predictions[i].float(), targets[j].float()).mean()
            for i in range(members)
            for j in range(members)
            if i != j
        ]
        total = torch.stack(pairs).mean()
        return total, {"regression": total}

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

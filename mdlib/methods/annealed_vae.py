"""AnnealedVAE: a VAE whose code may hold more and more nats."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from mdlib.methods.vae import VAE, Posterior
from mdlib.types import NotNegative, Positive, Terms


class AnnealedVAE(VAE):
    """Burgess et al. 2018 (arXiv:1804.03599): reconstruction + gamma · |KL − C|.

    C grows linearly from 0 to `capacity` nats over the first share `ramp` of the steps, and stays
    there. The term "kl" is reported, and does not count by itself.

    Locatello et al. 2019 have gamma 1000, a ramp of a third, and 300 000 steps at a rate of 1e-4.
    In a short training such a gamma outweighs reconstruction: the encoder then meets C by an offset
    of its means that says nothing of the image.
    """

    title = "AnnealedVAE"
    colour = "#08306b"
    capacity_now: Tensor

    def __init__(
        self,
        *,
        gamma: NotNegative = 10.0,
        capacity: NotNegative = 25.0,
        ramp: Positive = 1 / 3,
        **common,
    ):
        super().__init__(**common)
        self.capacity, self.ramp = capacity, ramp
        self.term_weights = {"kl": 0.0, "capacity_gap": gamma}
        self.register_buffer("capacity_now", torch.zeros(()))  # C, saved with the weights

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        terms = super().regularisers(q, z, generator)
        return terms | {"capacity_gap": (terms["kl"] - self.capacity_now).abs()}

    def after_step(self, step: int, steps: int) -> None:
        self.capacity_now.fill_(self.capacity * min(1.0, (step + 1) / (self.ramp * steps)))

"""DIP-VAE: a VAE whose codes have the covariance of its prior."""

from __future__ import annotations

from typing import Literal

from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import NotNegative, Terms


class DIPVAE(VAE):
    """Kumar et al. 2018 (arXiv:1711.00848), as in Locatello et al. 2019.

    The VAE's loss + off_diagonal_weight · Σᵢ≠ⱼ Cᵢⱼ² + diagonal_weight · Σᵢ (Cᵢᵢ − 1)², where C is
    the covariance over the batch of the posteriors' means (kind "i"), or of draws from them ("ii":
    plus the mean of their variances). `diagonal_weight=None` is ten times the other for "i", and
    the same for "ii".
    """

    title = "DIP-VAE"
    colour = "#00524a"
    least_images = 2

    def __init__(
        self,
        *,
        kind: Literal["i", "ii"] = "ii",
        off_diagonal_weight: NotNegative = 5.0,
        diagonal_weight: NotNegative | None = None,
        **common,
    ):
        super().__init__(**common)
        if diagonal_weight is None:
            diagonal_weight = (10 if kind == "i" else 1) * off_diagonal_weight
        self.kind = kind
        self.term_weights = {"diagonal": diagonal_weight, "off_diagonal": off_diagonal_weight}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        covariance = losses.covariance(q.mean.flatten(0, 1), correction=0)
        if self.kind == "ii":
            covariance = covariance + q.log_variance.exp().mean((0, 1)).diag()
        diagonal, off_diagonal = losses.identity_gap(covariance)
        terms = super().regularisers(q, z, generator)
        return terms | {"diagonal": diagonal, "off_diagonal": off_diagonal}

"""FactorVAE: a discriminator tells how dependent a code's dimensions are."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mdlib import losses
from mdlib.checks import check_above_zero, check_not_negative
from mdlib.methods.vae import VAE
from mdlib.types import ImageShape


class FactorVAE(VAE):
    """Kim & Mnih 2018 (arXiv:1802.05983): the VAE's loss + gamma · total correlation.

    A discriminator learns to tell codes z ~ q(z) from codes whose dimensions were shuffled over the
    batch, each by itself. Its logit estimates log q(z)/Πₗ q(zₗ), and the mean of that over z the
    total correlation, KL(q(z) ‖ Πₗ q(zₗ)).

    Both learn in one step of one optimiser, because neither's term moves the other: the term
    "discriminator" sees codes without their gradient, and "total_correlation" uses the
    discriminator's weights as constants. A discriminator that is too weak sees no dependence, so it
    is the first thing to look at; its learning rate is `fit`'s. The discriminator of Locatello et
    al. 2019 has six hidden layers of 1000 units, and shuffles the same batch, as this does.
    """

    title = "FactorVAE"
    colour = "#17becf"
    least_images = 2

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        gamma: float = 10.0,
        discriminator_hidden: int = 256,
        discriminator_layers: int = 3,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        check_not_negative(gamma=gamma)
        check_above_zero(
            discriminator_hidden=discriminator_hidden, discriminator_layers=discriminator_layers
        )
        sizes = [latent_dim, *[discriminator_hidden] * discriminator_layers]
        layers = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.LeakyReLU(0.2))]
        self.discriminator = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        self.term_weights = {"total_correlation": gamma}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        terms = super().regularisers(mean, log_variance, z, generator)
        z = z.flatten(0, 1)
        constants = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        logit = torch.func.functional_call(self.discriminator, constants, z).float()
        joint = self.discriminator(z.detach()).float()
        product = self.discriminator(losses.shuffled(z.detach(), generator)).float()
        return terms | {
            "total_correlation": logit.mean(),
            # The mean of two cross-entropies: "joint" for the one, "not joint" for the other.
            "discriminator": 0.5 * (F.softplus(-joint).mean() + F.softplus(product).mean()),
        }

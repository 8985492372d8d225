"""FactorVAE: a discriminator tells how dependent a code's dimensions are."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mdlib import losses
from mdlib.checks import need
from mdlib.methods.base import with_own_group
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import Count, NotNegative, Positive, Terms


class FactorVAE(VAE):
    """Kim & Mnih 2018 (arXiv:1802.05983): the VAE's loss + gamma · total correlation.

    A discriminator learns to tell codes z ~ q(z) from codes whose dimensions were shuffled over the
    batch, each by itself. Its logit estimates log q(z)/Πₗ q(zₗ), and the mean of that over z the
    total correlation, KL(q(z) ‖ Πₗ q(zₗ)).

    Both learn in one step of one optimiser, because neither's term moves the other: the term
    "discriminator" sees codes without their gradient, and "total_correlation" uses the
    discriminator's weights as constants. A discriminator that is too weak sees no dependence, so it
    is the first thing to look at: its term is log 2 where it can tell nothing.

    The paper's has six hidden layers of 1000 units (`discriminator_layers`,
    `discriminator_hidden`), a learning rate of 1e-4 (`discriminator_lr`; None: that of all else)
    and Adam's betas of .5 and .9 (`discriminator_betas`); ours is smaller and has what the VAE has.
    It shuffles another batch, and Locatello et al. 2019 the same one, as this does.
    """

    title = "FactorVAE"
    colour = "#17becf"
    least_images = 2

    def __init__(
        self,
        *,
        gamma: NotNegative = 10.0,
        discriminator_hidden: Count = 256,
        discriminator_layers: Count = 3,
        discriminator_lr: Positive | None = None,
        discriminator_betas: tuple[float, float] = (0.9, 0.999),
        **common,
    ):
        super().__init__(**common)
        need(
            len(discriminator_betas) == 2 and all(0 <= beta < 1 for beta in discriminator_betas),
            f"discriminator_betas={discriminator_betas}: expected two numbers from 0 to below 1",
        )
        sizes = [self.latent_dim, *[discriminator_hidden] * discriminator_layers]
        layers = [m for i, o in pairwise(sizes) for m in (nn.Linear(i, o), nn.LeakyReLU(0.2))]
        self.discriminator = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))
        self.term_weights = {"total_correlation": gamma}
        self.discriminator_lr, self.discriminator_betas = discriminator_lr, discriminator_betas

    def parameter_groups(self) -> list[dict]:
        own = {"betas": tuple(self.discriminator_betas)}
        if self.discriminator_lr is not None:
            own["rate"] = self.discriminator_lr
        return with_own_group(self, [self.discriminator], **own)

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        terms = super().regularisers(q, z, generator)
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

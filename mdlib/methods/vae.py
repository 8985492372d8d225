"""The variational autoencoder, on views: each view is encoded, and reconstructed, by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from mdlib import losses, nets
from mdlib.methods.base import ImageShape, Loss, Method, check_above_zero, check_one_of

LIKELIHOODS = ("bernoulli", "gaussian")


class VAE(Method):
    """Kingma & Welling 2014 (arXiv:1312.6114), trained on augmented views.

    The loss, in nats a view: reconstruction_weight · E[−log p(x|z)] + KL(q(z|x) ‖ N(0, I)), with
    one sample of z for the first term and the closed form for the second. The code is the mean.
    `pixel_variance` is that of the "gaussian" likelihood; "bernoulli" has none.

    Its siblings override `regularisers`, and say in `term_weights` what each term counts in the
    total; a term that is not there counts as it is. Reported terms are without their weights.
    """

    term_weights: Mapping[str, float] = MappingProxyType({})

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        likelihood: str = "bernoulli",
        pixel_variance: float = 0.01,
        reconstruction_weight: float = 1.0,
    ):
        super().__init__(image_shape, latent_dim)
        check_one_of(LIKELIHOODS, likelihood=likelihood)
        check_above_zero(pixel_variance=pixel_variance, reconstruction_weight=reconstruction_weight)
        self.encoder = nets.encoder(arch, image_shape, 2 * latent_dim)
        self.decoder = nets.decoder(arch, image_shape, latent_dim)
        self.gaussian = nets.Gaussian()
        self.likelihood = likelihood
        self.pixel_variance = pixel_variance
        self.reconstruction_weight = reconstruction_weight

    def loss(self, views: Tensor, generator: torch.Generator | None = None) -> Loss:
        images = views.flatten(0, 1)
        mean, log_variance = self.posterior(images)
        noise = torch.empty_like(mean).normal_(generator=generator)
        z = mean + (0.5 * log_variance).exp() * noise
        reconstruction = self.reconstruction_nll(self.decoder(z).float(), images).mean()
        groups = (x.unflatten(0, views.shape[:2]) for x in (mean, log_variance, z))
        regularisers = self.regularisers(*groups, generator)
        weighted = (self.term_weights.get(name, 1) * term for name, term in regularisers.items())
        total = self.reconstruction_weight * reconstruction + sum(weighted)
        return total, {"reconstruction": reconstruction, **regularisers}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        """What the loss adds to reconstruction, in nats a view.

        `mean` and `log_variance` of the posteriors and `z`, a draw from each, are [B, J, D].
        """
        return {"kl": losses.gaussian_kl(mean, log_variance).mean()}

    def reconstruction_nll(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log p(x|z) in nats, [N], from the decoder's output [N, C, H, W]."""
        if self.likelihood == "bernoulli":
            return losses.bernoulli_nll(logits, images)
        return losses.gaussian_nll(logits.sigmoid(), images, self.pixel_variance)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), [N, D] each."""
        return self.gaussian(self.encoder(images))

    def represent(self, images: Tensor) -> Tensor:
        return self.posterior(images)[0]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The mean image of p(x|z): codes [N, D] → [N, C, H, W] in [0, 1]."""
        return self.decoder(z).sigmoid()

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] (uint8 or float) → their reconstructions in [0, 1], from the mean."""
        return self.decode(self.encode(images))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n images [n, C, H, W] in [0, 1], decoded from draws of the prior N(0, I)."""
        device = next(self.parameters()).device
        z = torch.empty(n, self.latent_dim, device=device).normal_(generator=generator)
        return self.decode(z)

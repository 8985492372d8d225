"""The variational autoencoder, on views: each view is encoded, and reconstructed, by itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from mdlib import losses, nets
from mdlib.checks import check_batch, check_whole
from mdlib.methods.base import Method
from mdlib.types import ImageShape, Loss, Positive, Terms


class Posterior(NamedTuple):
    """q(z|x), a Gaussian for each view: mean and log-variance, [B, J, D] each."""

    mean: Tensor
    log_variance: Tensor


class VAE(Method):
    """Kingma & Welling 2014 (arXiv:1312.6114), trained on augmented views.

    The loss, in nats a view: reconstruction_weight · E[−log p(x|z)] + KL(q(z|x) ‖ N(0, I)), with
    one sample of z for the first term and the closed form for the second. The code is the mean.
    `pixel_variance` is that of the "gaussian" likelihood; "bernoulli" has none.

    Its siblings override `regularisers`, and say in `term_weights` what each term counts in the
    total; a term that is not there counts as it is. Reported terms are without their weights. One
    that decodes more than each view's own z overrides `reconstructions`.
    """

    title = "VAE"
    colour = "#0173b2"
    term_weights: Mapping[str, float | Tensor] = MappingProxyType({})

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        arch: str = "mlp",
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        pixel_variance: Positive = 0.01,
        reconstruction_weight: Positive = 1.0,
    ):
        super().__init__(image_shape, latent_dim)
        self.encoder = nets.encoder(arch, image_shape, 2 * latent_dim)
        self.decoder = nets.decoder(arch, image_shape, latent_dim)
        self.gaussian = nets.Gaussian()
        self.likelihood = likelihood
        self.pixel_variance = pixel_variance
        self.reconstruction_weight = reconstruction_weight

    def loss(self, views: Tensor, generator: Generator | None = None) -> Loss:
        check_batch(self, *views.shape[:2])
        images = views.flatten(0, 1)
        q = Posterior(*(x.unflatten(0, views.shape[:2]) for x in self.posterior(images)))
        z = self.draw(*q, generator)
        reconstructions = self.reconstructions(z, views)
        regularisers = self.regularisers(q, z, generator)
        weighted = (self.term_weights.get(name, 1) * term for name, term in regularisers.items())
        total = self.reconstruction_weight * reconstructions["reconstruction"] + sum(weighted)
        return total, reconstructions | regularisers

    def reconstructions(self, z: Tensor, views: Tensor) -> Terms:
        """What z [B, J, D] says of the views, as −log p in nats a view: a term "reconstruction".

        That one counts in the loss; any other is only reported.
        """
        logits = self.decoder(z.flatten(0, 1)).float()
        return {"reconstruction": self.reconstruction_nll(logits, views.flatten(0, 1)).mean()}

    def draw(self, mean: Tensor, log_variance: Tensor, generator: Generator | None) -> Tensor:
        """z from the posteriors of groups of views, [B, J, D] each: here, each view by itself."""
        noise = torch.empty_like(mean).normal_(generator=generator)
        return mean + (0.5 * log_variance).exp() * noise

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        """What the loss adds to reconstruction, in nats a view; `z` [B, J, D] is a draw from q."""
        return {"kl": losses.gaussian_kl(*q).mean()}

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
        with self.evaluating():
            return self.decoder(z).sigmoid()

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] (uint8 or float) → their reconstructions in [0, 1], from the mean."""
        return self.decode(self.encode(images))

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) of an image's code by itself, in nats; [N, D] → [N]."""
        return losses.gaussian_log_density(z, torch.zeros_like(z), torch.zeros_like(z))

    @torch.no_grad()
    def elbo(
        self,
        images: Tensor,
        draws: int = 1,
        generator: Generator | None = None,
        batch_size: int = 2048,
    ) -> Tensor:
        """The evidence lower bound on log p(x) in nats, [N], of images (uint8 or float).

        E[log p(x|z) + log p(z) − log q(z|x)], the mean over `draws` of z ~ q(z|x), with the prior
        of one image by itself and no term weighted, however the method was trained. Raises
        ValueError for images of another shape, and where that prior is improper.
        """
        check_whole(1, draws=draws)
        with self.evaluating():
            batches = self.batches(images, batch_size)
            return torch.cat([self._elbo(batch, draws, generator) for batch in batches])

    def _elbo(self, images: Tensor, draws: int, generator: Generator | None) -> Tensor:
        mean, log_variance = self.posterior(images)
        total = torch.zeros_like(mean[:, 0])
        for _ in range(draws):
            z = self.draw(mean[:, None], log_variance[:, None], generator)[:, 0]
            # All three terms at the same z: were q exact, their sum would be log p(x) at every z.
            total += self.log_prior(z) - losses.gaussian_log_density(z, mean, log_variance)
            total -= self.reconstruction_nll(self.decoder(z).float(), images)
        return total / draws

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """n images [n, C, H, W] in [0, 1], decoded from draws of the prior N(0, I)."""
        device = next(self.parameters()).device
        z = torch.empty(n, self.latent_dim, device=device).normal_(generator=generator)
        return self.decode(z)

"""A VAE whose prior is a mixture of Gaussians, learnt with it: VaDE."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import Count, Terms


class MixtureVAE(VAE):
    """Jiang et al. 2017 (arXiv:1611.05148): the prior is Σ_c π_c N(m_c, diag s_c²).

        loss = reconstruction_weight · E[−log p(x|z)] + Σ_c γ_c KL(q(z|x) ‖ N(m_c, diag s_c²))
               + KL(γ ‖ π)

    in nats a view, with γ_c = p(c|z) at the drawn z in the place of q(c|x). With one component the
    last term is 0, and where that is N(0, I) this is the VAE.

    The paper trains an autoencoder first, and fits the mixture to its codes. Here nothing is
    trained before: means m_c start close together, as draws of N(0, 0.01·I), variances at 1,
    weights equal. Even so, some of the `components` may end without images.
    """

    title = "mixture VAE"
    colour = "#1c0a8a"

    def __init__(self, *, components: Count = 10, **common):
        super().__init__(**common)
        self.weight_logits = nn.Parameter(torch.zeros(components))
        # Far apart, the one that happens to be nearest to 0 would win all the first codes for good.
        self.means = nn.Parameter(0.1 * torch.randn(components, self.latent_dim))
        self.log_variances = nn.Parameter(torch.zeros(components, self.latent_dim))

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        log_joint = self.log_joint(z)
        log_gamma = log_joint.log_softmax(-1)
        gamma = log_gamma.exp()
        to_each = losses.gaussian_kl_between(
            q.mean[..., None, :], q.log_variance[..., None, :], self.means, self.log_variances
        )
        to_weights = log_gamma - self.weight_logits.log_softmax(0)
        return {
            "kl": (gamma * to_each).sum(-1).mean(),
            "component_kl": (gamma * to_weights).sum(-1).mean(),
        }

    def log_joint(self, z: Tensor) -> Tensor:
        """log π_c + log N(z; m_c, diag s_c²) in nats, of each component; [..., D] → [..., C]."""
        density = losses.gaussian_log_density(z[..., None, :], self.means, self.log_variances)
        return self.weight_logits.log_softmax(0) + density

    def log_prior(self, z: Tensor) -> Tensor:
        """log Σ_c π_c N(z; m_c, diag s_c²) in nats; [N, D] → [N]."""
        return self.log_joint(z).logsumexp(-1)

    @torch.no_grad()
    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """n images [n, C, H, W] in [0, 1], decoded from draws of the mixture."""
        weights = self.weight_logits.softmax(0)
        c = torch.multinomial(weights, n, replacement=True, generator=generator)
        noise = torch.empty_like(self.means[c]).normal_(generator=generator)
        return self.decode(self.means[c] + (0.5 * self.log_variances[c]).exp() * noise)

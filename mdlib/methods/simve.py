"""SimVE (SimVAE): the latent-variable model y → z → x of self-supervised learning."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import Positive, Terms


class SimVE(VAE):
    """Bizeul, Schölkopf & Allen 2024 (arXiv:2402.01399): a VAE whose prior ties views together.

    zʲ ~ N(y, variance·I) around the image's own centre y, which is integrated out exactly:

        loss = reconstruction_weight · E[−log p(xʲ|zʲ)] − (1/J) E[log p(z¹ … zᴶ)] − H[q(zʲ|xʲ)]

    in nats a view, the last two terms in closed form. `centres` is p(y): "flat", or "gaussian" with
    variance `centre_variance` (γ²; None means 1 − variance, so that every z is N(0, I) by itself,
    as a VAE's). With J = 1 and the latter this is the VAE, term by term.
    """

    title = "SimVE"
    colour = "#029e73"

    def __init__(
        self,
        *,
        variance: Positive = 0.15,
        centres: Literal["flat", "gaussian"] = "flat",
        centre_variance: Positive | None = None,
        **common,
    ):
        super().__init__(**common)
        if centres == "flat" and centre_variance is not None:
            raise ValueError(
                f"centre_variance={centre_variance}: a flat p(y) has none; use centres='gaussian'"
            )
        if centres == "gaussian":
            centre_variance = 1 - variance if centre_variance is None else centre_variance
            if not centre_variance > 0:
                raise ValueError(
                    f"centre_variance={centre_variance}: expected γ² above 0 "
                    f"(its default, 1 − variance, needs variance={variance} to be below 1)"
                )
        self.variance = variance
        self.centre_variance = centre_variance

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        prior = losses.expected_group_prior(*q, self.variance, self.centre_variance)
        return {
            "group_prior": -prior.mean() / q.mean.shape[1],
            "entropy": -losses.gaussian_entropy(q.log_variance).mean(),
        }

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z; 0, (γ² + variance)·I) in nats; [N, D] → [N]. ValueError for a flat p(y)."""
        if self.centre_variance is None:
            raise ValueError(
                "a flat p(y) leaves z without a normalised prior, so there is no ELBO in nats: "
                "train with centres='gaussian' to have one"
            )
        log_variance = torch.full_like(z, math.log(self.centre_variance + self.variance))
        return losses.gaussian_log_density(z, torch.zeros_like(z), log_variance)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        generator: Generator | None = None,
        centres: Tensor | None = None,
    ) -> Tensor:
        """n images [n, C, H, W] in [0, 1]: centres y, then z ~ N(y, variance·I), then the decoder.

        `centres` [M, D], codes of images, are drawn from at random in place of p(y). A flat p(y)
        can't be drawn from, so it needs them: ValueError without.
        """
        device = next(self.parameters()).device
        if centres is not None:
            y = centres[torch.randint(len(centres), (n,), generator=generator, device=device)]
        elif self.centre_variance is not None:
            y = torch.empty(n, self.latent_dim, device=device).normal_(generator=generator)
            y = y * self.centre_variance**0.5
        else:
            raise ValueError(
                "a flat p(y) can't be sampled: give centres=codes of images to draw around"
            )
        return self.decode(
            y + self.variance**0.5 * torch.empty_like(y).normal_(generator=generator)
        )

"""CR-VAE: a VAE that is to see the same in all views of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.methods.vae import VAE
from mdlib.types import ImageShape, NotNegative


class CRVAE(VAE):
    """Sinha & Dieng 2021 (arXiv:2105.14859): the VAE's loss + consistency_weight · consistency.

    Consistency is KL(q(z|xⁱ) ‖ q(z|xʲ)) in closed form, the mean over all ordered pairs of views of
    an image. Two things differ from the paper. There it is KL(q(z|augmented) ‖ q(z|clean)), with
    the image itself on one side; here views are on both. And there the VAE's losses of the two are
    added; here they are averaged, so that this weight w does what λ = 2w does there. The released
    code has 1e-3 times a KL summed over an image's dimensions beside a reconstruction averaged over
    its pixels: beside ours, a sum over pixels, that is 1e-3 times the number of pixels, or near 1.
    (It also takes the exponential of the log-variance for a standard deviation; this does not.)
    """

    title = "CR-VAE"
    colour = "#2a22f0"
    least_views = 2

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        consistency_weight: NotNegative = 1.0,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        self.term_weights = {"consistency": consistency_weight}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        batch, members, _ = mean.shape
        divergence = losses.gaussian_kl_between(
            mean[:, :, None], log_variance[:, :, None], mean[:, None], log_variance[:, None]
        )  # [B, J, J], 0 for i = j
        consistency = divergence.sum() / (batch * members * (members - 1))
        return super().regularisers(mean, log_variance, z, generator) | {"consistency": consistency}

"""CR-VAE: a VAE that is to see the same in all views of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.checks import check_not_negative
from mdlib.methods.base import check_several
from mdlib.methods.vae import VAE
from mdlib.types import ImageShape


class CRVAE(VAE):
    """Sinha & Dieng 2021 (arXiv:2105.14859): the VAE's loss + consistency_weight · consistency.

    Consistency is KL(q(z|xⁱ) ‖ q(z|xʲ)) in closed form, the mean over all ordered pairs of views of
    an image. Two things differ from the paper. There it is KL(q(z|augmented) ‖ q(z|clean)), with
    the image itself on one side; here views are on both. And there the VAE's losses of the two are
    added; here they are averaged, so that this weight w does what λ = 2w does there. The default
    has the digits of the released code's λ and is far weaker: there the likelihood is a mean over
    pixels, here a sum, so that theirs is about 1e-3 · C · H · W in our nats an image (0.8 at
    28 × 28, grey). Tuning took 1 (`experiments/simve`).
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        consistency_weight: float = 1e-3,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        check_not_negative(consistency_weight=consistency_weight)
        self.term_weights = {"consistency": consistency_weight}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        check_several(self, mean)
        batch, members, _ = mean.shape
        divergence = losses.gaussian_kl_between(
            mean[:, :, None], log_variance[:, :, None], mean[:, None], log_variance[:, None]
        )  # [B, J, J], 0 for i = j
        consistency = divergence.sum() / (batch * members * (members - 1))
        return super().regularisers(mean, log_variance, z, generator) | {"consistency": consistency}

"""CR-VAE: a VAE that is to see the same in all views of an image."""

from __future__ import annotations

from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import NotNegative, Terms


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

    def __init__(self, *, consistency_weight: NotNegative = 1.0, **common):
        super().__init__(**common)
        self.term_weights = {"consistency": consistency_weight}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        batch, members, _ = q.mean.shape
        divergence = losses.gaussian_kl_between(
            q.mean[:, :, None], q.log_variance[:, :, None], q.mean[:, None], q.log_variance[:, None]
        )  # [B, J, J], 0 for i = j
        consistency = divergence.sum() / (batch * members * (members - 1))
        return super().regularisers(q, z, generator) | {"consistency": consistency}

"""β-TCVAE: a VAE that pays more for total correlation only."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mdlib import losses
from mdlib.methods.vae import VAE
from mdlib.types import Count, ImageShape, NotNegative


class BetaTCVAE(VAE):
    """Chen et al. 2018 (arXiv:1802.04942): the VAE's loss + (beta − 1) · total correlation.

    The KL of a VAE has three parts: what the code tells of which image it is, the total correlation
    of the code, and how far each dimension's marginal is from N(0, 1). Only the second is made
    dearer; with beta = 1, this is the VAE. `losses.total_correlation` has the two estimators, of
    which "stratified" needs `dataset_size`, the number of training images. Its batch is one view of
    each image, as if there were no other views, and the term is the mean over the views. (The
    released code's "stratified" fills a column of its weights where the diagonal is meant, as do
    its copies: its values differ from these.) At a batch of M it takes M² · latent_dim densities a
    view: slow for codes of hundreds of dimensions.
    """

    title = "β-TCVAE"
    colour = "#5a78e0"
    least_images = 2

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        beta: NotNegative = 6.0,
        estimator: Literal["weighted", "stratified"] = "weighted",
        dataset_size: Count | None = None,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        if estimator == "stratified" and dataset_size is None:
            raise ValueError(
                "estimator='stratified' weighs a batch against the data set: give "
                "dataset_size=the number of training images"
            )
        self.dataset_size = dataset_size if estimator == "stratified" else None
        self.term_weights = {"total_correlation": beta - 1}

    def regularisers(
        self, mean: Tensor, log_variance: Tensor, z: Tensor, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        views = zip(z.unbind(1), mean.unbind(1), log_variance.unbind(1), strict=True)
        estimates = [losses.total_correlation(*view, self.dataset_size) for view in views]
        terms = super().regularisers(mean, log_variance, z, generator)
        return terms | {"total_correlation": torch.stack(estimates).mean()}

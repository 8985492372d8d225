"""β-TCVAE: a VAE that pays more for total correlation only."""

from __future__ import annotations

import torch
from torch import Tensor

from mdlib import losses
from mdlib.checks import check_not_negative, check_one_of
from mdlib.methods.vae import VAE
from mdlib.types import ImageShape

ESTIMATORS = ("weighted", "stratified")


class BetaTCVAE(VAE):
    """Chen et al. 2018 (arXiv:1802.04942): the VAE's loss + (beta − 1) · total correlation.

    The KL of a VAE has three parts: what the code tells of which image it is, the total correlation
    of the code, and how far each dimension's marginal is from N(0, 1). Only the second is made
    dearer; with beta = 1, this is the VAE. `losses.total_correlation` has the two estimators, of
    which "stratified" needs `dataset_size`, the number of training images. Its batch is one view of
    each image, as if there were no other views, and the term is the mean over the views. At a batch
    of M it takes M² · latent_dim densities a view: slow for codes of hundreds of dimensions.

    "stratified" is the paper's formula. The released code and its copies fill column 0 of the
    weights, where the formula has the diagonal, and give another number.
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        beta: float = 6.0,
        estimator: str = "weighted",
        dataset_size: int | None = None,
        **common,
    ):
        super().__init__(image_shape, latent_dim, **common)
        check_not_negative(beta=beta)
        check_one_of(ESTIMATORS, estimator=estimator)
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

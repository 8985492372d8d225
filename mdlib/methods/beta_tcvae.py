"""β-TCVAE: a VAE that pays more for total correlation only."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from mdlib import losses
from mdlib.methods.vae import VAE, Posterior
from mdlib.types import Count, NotNegative, Terms


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
        *,
        beta: NotNegative = 6.0,
        estimator: Literal["weighted", "stratified"] = "weighted",
        dataset_size: Count | None = None,
        **common,
    ):
        super().__init__(**common)
        if estimator == "stratified" and dataset_size is None:
            raise ValueError(
                "estimator='stratified' weighs a batch against the data set: give "
                "dataset_size=the number of training images"
            )
        self.dataset_size = dataset_size if estimator == "stratified" else None
        self.term_weights = {"total_correlation": beta - 1}

    def regularisers(self, q: Posterior, z: Tensor, generator: Generator | None) -> Terms:
        views = zip(z.unbind(1), q.mean.unbind(1), q.log_variance.unbind(1), strict=True)
        estimates = [losses.total_correlation(*view, self.dataset_size) for view in views]
        terms = super().regularisers(q, z, generator)
        return terms | {"total_correlation": torch.stack(estimates).mean()}

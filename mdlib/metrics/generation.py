"""How near generated images are to real ones, by what a network makes of them."""

from __future__ import annotations

import torch

from mdlib.checks import need
from mdlib.metrics.inputs import checked_codes
from mdlib.types import Values


def frechet_distance(real: Values, fake: Values) -> float:
    """‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½) between features of real and of fake images.

    The squared 2-Wasserstein distance of the Gaussians that have the means μ and covariances Σ of
    `real` [N, D] and `fake` [M, D]: the FID (Heusel et al. 2017, arXiv:1706.08500), but of any
    network's features, such as `method.encode(images)`; in their units, squared, and computed in
    double precision. Only distances by the same network and with the same N and M compare: with few
    samples they come out too high.

    Raises ValueError for NaN, for features of different widths, and for N or M up to D, whose
    covariances have no full rank.
    """
    real, fake = checked_codes(real, "real features"), checked_codes(fake, "fake features")
    need(
        real.shape[1] == fake.shape[1],
        f"real features have {real.shape[1]} dimensions and fake ones {fake.shape[1]}, expected as "
        "many: use one network for both",
    )
    for name, features in (("real", real), ("fake", fake)):
        count, dim = features.shape
        need(
            count > dim,
            f"there are {count} {name} samples of {dim} dimensions, expected more than {dim}: give "
            "more images, or a network with fewer features",
        )
    real, fake = real.double(), fake.double().to(real.device)
    shift = (real.mean(0) - fake.mean(0)).square().sum()
    of_real, of_fake = torch.cov(real.T), torch.cov(fake.T)
    of_real, of_fake = (c.view(real.shape[1], -1) for c in (of_real, of_fake))  # for D = 1
    values, vectors = torch.linalg.eigh(of_real)
    root = vectors * values.clamp(min=0).sqrt()  # root rootᵀ = Σ₁, so the trace is the same
    cross = torch.linalg.eigvalsh(root.T @ of_fake @ root).clamp(min=0).sqrt().sum()
    return max(0.0, float(shift + of_real.trace() + of_fake.trace() - 2 * cross))

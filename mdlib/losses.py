"""Loss terms: one pure function each, on tensors, knowing no network and no optimiser.

Every likelihood, divergence and entropy is in **nats**. Groups of related samples have the shape
[B, J, D]: B groups (the views of one image), J members, D dimensions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)


# --- likelihoods: how well a decoder explains an image --------------------------------------------


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """−log p(x|z) of a Bernoulli per pixel, in nats an image.

    `logits` and `images` (in [0, 1]) are [..., C, H, W]; the result is [...], summed over pixels.
    For grey values strictly between 0 and 1 this is the usual cross-entropy, which is bounded below
    by the images' own entropy, not by zero.
    """
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((-3, -2, -1))


def gaussian_nll(mean: Tensor, images: Tensor, variance: float = 1.0) -> Tensor:
    """−log N(x; mean, variance·I) in nats an image, normaliser included; see `bernoulli_nll`."""
    squares = (images - mean).square().sum((-3, -2, -1))
    pixels = math.prod(images.shape[-3:])
    return 0.5 * squares / variance + 0.5 * pixels * (LOG_2PI + math.log(variance))


# --- diagonal Gaussian posteriors -----------------------------------------------------------------


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp log_variance) ‖ N(0, I)) in nats; [..., D] → [...] (Kingma & Welling)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)


def gaussian_entropy(log_variance: Tensor) -> Tensor:
    """Entropy of N(·, diag exp log_variance) in nats; [..., D] → [...]."""
    return 0.5 * (log_variance + LOG_2PI + 1).sum(-1)


# --- the group prior of SimVE ---------------------------------------------------------------------


def group_prior(z: Tensor, variance: float, centre_variance: float | None = None) -> Tensor:
    """log p(z¹ … zᴶ) = log ∫ p(y) Πⱼ N(zʲ; y, variance·I) dy, in nats a group; [B, J, D] → [B].

    `centre_variance` is γ² of the Gaussian p(y) = N(0, γ²I); None means the flat p(y) = 1, which is
    improper: the value then lacks a constant, log p(y). The centre y is integrated out in closed
    form (the model of Bizeul et al. 2024; the constants are derived in `theory/latent_model`).
    With J = 1 and γ² = 1 − variance this is log N(z; 0, I), the prior of a VAE.
    """
    centre = z.mean(1)
    spread = (z - centre[:, None]).square().sum((1, 2))
    return _group_prior(spread, centre.square().sum(1), z.shape, variance, centre_variance)


def expected_group_prior(
    mean: Tensor, log_variance: Tensor, variance: float, centre_variance: float | None = None
) -> Tensor:
    """E[log p(z¹ … zᴶ)] under independent zʲ ~ N(meanʲ, diag exp log_varianceʲ); [B, J, D] → [B].

    The exact expectation of `group_prior`, which a one-sample estimate reaches only on average.
    """
    members = mean.shape[1]
    centre = mean.mean(1)
    noise = log_variance.exp().sum((1, 2))
    spread = (mean - centre[:, None]).square().sum((1, 2)) + (1 - 1 / members) * noise
    centre_square = centre.square().sum(1) + noise / members**2
    return _group_prior(spread, centre_square, mean.shape, variance, centre_variance)


def _group_prior(
    spread: Tensor,
    centre_square: Tensor,
    shape: torch.Size,
    variance: float,
    centre_variance: float | None,
) -> Tensor:
    """The closed form from its two statistics: Σⱼ‖zʲ − z̄‖² and ‖z̄‖², each [B]."""
    _, members, dim = shape
    log_density = -spread / (2 * variance) - 0.5 * dim * (
        (members - 1) * (LOG_2PI + math.log(variance)) + math.log(members)
    )
    if centre_variance is None:
        return log_density
    total = centre_variance + variance / members  # the variance of z̄
    return log_density - centre_square / (2 * total) - 0.5 * dim * (LOG_2PI + math.log(total))


# --- discriminative losses ------------------------------------------------------------------------


def info_nce(z: Tensor, temperature: float = 0.5) -> Tensor:
    """NT-Xent over J views of B images, [B, J, D] → a scalar in nats (SimCLR, Chen et al. 2020).

    Each view must pick another view of its own image out of the B·J − 1 others, by cosine
    similarity divided by `temperature`; the loss is the mean cross-entropy over all ordered
    positive pairs. Uniform similarities give log(B·J − 1). For J > 2 the other positives stay in
    the denominator.
    """
    batch, members, _ = z.shape
    z = F.normalize(z.flatten(0, 1), dim=-1)
    with torch.autocast(z.device.type, enabled=False):  # bf16 scores would blur the ranking
        scores = (z.float() @ z.float().T) / temperature
    itself = torch.eye(batch * members, dtype=torch.bool, device=z.device)
    scores = scores.masked_fill(itself, float("-inf"))  # nobody is its own partner
    log_probability = scores.log_softmax(1)
    image = torch.arange(batch, device=z.device).repeat_interleave(members)
    positive = (image[:, None] == image) & ~itself
    return -log_probability[positive].mean()


def cosine_regression(prediction: Tensor, target: Tensor) -> Tensor:
    """BYOL's ‖p/|p| − t/|t|‖² = 2 − 2 cos(p, t), [..., D] → [...] in [0, 4] (Grill et al. 2020)."""
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=-1)

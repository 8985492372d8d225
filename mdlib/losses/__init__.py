"""Loss terms: one pure function each, on tensors, knowing no network and no optimiser.

Every likelihood, divergence and entropy is in **nats**. Groups of related samples have the shape
[B, J, D]: B groups (the views of one image), J members, D dimensions.

Numbers of half precision (bfloat16, float16) are taken as float32, and autocast is off inside: a
loss of bfloat16 networks is calculated, and returned, in float32. float64 stays float64.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mdlib.devices import full_precision
from mdlib.losses.clusters import sinkhorn, swapped_prediction
from mdlib.losses.factors import (
    LOG_2PI,
    factorised_support,
    shuffled,
    support_gaps,
    total_correlation,
)

__all__ = [
    "bernoulli_nll",
    "correlation",
    "cosine_regression",
    "covariance",
    "covariance_penalty",
    "cross_correlation",
    "direct_predictor",
    "exemplar_softmax",
    "expected_group_prior",
    "factorised_support",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_kl_between",
    "gaussian_log_density",
    "gaussian_nll",
    "group_prior",
    "identity_gap",
    "info_nce",
    "queue_info_nce",
    "shuffled",
    "sinkhorn",
    "support_gaps",
    "swapped_prediction",
    "total_correlation",
    "variance_hinge",
    "whiten",
]


# --- likelihoods: how well a decoder explains an image --------------------------------------------


@full_precision
def bernoulli_nll(
    logits: Float[Tensor, "*sample channels height width"],
    images: Float[Tensor, "*sample channels height width"],
) -> Float[Tensor, "*sample"]:
    """−log p(x|z) of a Bernoulli per pixel, in nats an image.

    `logits` and `images` (in [0, 1]) are [..., C, H, W]; the result is [...], summed over pixels.
    For grey values strictly between 0 and 1 this is the usual cross-entropy, which is bounded below
    by the images' own entropy, not by zero.
    """
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((-3, -2, -1))


@full_precision
def gaussian_nll(
    mean: Float[Tensor, "*sample channels height width"],
    images: Float[Tensor, "*sample channels height width"],
    variance: float = 1.0,
) -> Float[Tensor, "*sample"]:
    """−log N(x; mean, variance·I) in nats an image, normaliser included; see `bernoulli_nll`."""
    squares = (images - mean).square().sum((-3, -2, -1))
    pixels = math.prod(images.shape[-3:])
    return 0.5 * squares / variance + 0.5 * pixels * (LOG_2PI + math.log(variance))


# --- diagonal Gaussian posteriors -----------------------------------------------------------------


@full_precision
def gaussian_kl(
    mean: Float[Tensor, "*sample dim"], log_variance: Float[Tensor, "*sample dim"]
) -> Float[Tensor, "*sample"]:
    """KL(N(mean, diag exp log_variance) ‖ N(0, I)) in nats; [..., D] → [...] (Kingma & Welling)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)


@full_precision
def gaussian_kl_between(
    mean: Float[Tensor, "*#sample dim"],
    log_variance: Float[Tensor, "*#sample dim"],
    other_mean: Float[Tensor, "*#sample dim"],
    other_log_variance: Float[Tensor, "*#sample dim"],
) -> Float[Tensor, "*sample"]:
    """KL(N(mean, diag exp log_variance) ‖ N(other_mean, diag exp other_log_variance)) in nats.

    Shapes broadcast to [..., D]; the result is [...].
    """
    ratio = log_variance - other_log_variance
    distance = (mean - other_mean).square() * (-other_log_variance).exp()
    return 0.5 * (distance + ratio.exp() - ratio - 1).sum(-1)


@full_precision
def gaussian_log_density(
    z: Float[Tensor, "*#sample dim"],
    mean: Float[Tensor, "*#sample dim"],
    log_variance: Float[Tensor, "*#sample dim"],
) -> Float[Tensor, "*sample"]:
    """log N(z; mean, diag exp log_variance) in nats; shapes broadcast to [..., D] → [...]."""
    squares = (z - mean).square() * (-log_variance).exp()
    return -0.5 * (squares + log_variance + LOG_2PI).sum(-1)


@full_precision
def gaussian_entropy(log_variance: Float[Tensor, "*sample dim"]) -> Float[Tensor, "*sample"]:
    """Entropy of N(·, diag exp log_variance) in nats; [..., D] → [...]."""
    return 0.5 * (log_variance + LOG_2PI + 1).sum(-1)


# --- the group prior of SimVE ---------------------------------------------------------------------


@full_precision
def group_prior(
    z: Float[Tensor, "batch views dim"], variance: float, centre_variance: float | None = None
) -> Float[Tensor, " batch"]:
    """log p(z¹ … zᴶ) = log ∫ p(y) Πⱼ N(zʲ; y, variance·I) dy, in nats a group; [B, J, D] → [B].

    `centre_variance` is γ² of the Gaussian p(y) = N(0, γ²I); None means the flat p(y) = 1, which is
    improper: the value then lacks a constant, log p(y). The centre y is integrated out in closed
    form (the model of Bizeul et al. 2024; the constants are derived in `theory/latent_model`).
    With J = 1 and γ² = 1 − variance this is log N(z; 0, I), the prior of a VAE.
    """
    centre = z.mean(1)
    spread = (z - centre[:, None]).square().sum((1, 2))
    return _group_prior(spread, centre.square().sum(1), z.shape, variance, centre_variance)


@full_precision
def expected_group_prior(
    mean: Float[Tensor, "batch views dim"],
    log_variance: Float[Tensor, "batch views dim"],
    variance: float,
    centre_variance: float | None = None,
) -> Float[Tensor, " batch"]:
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


@full_precision
def info_nce(z: Float[Tensor, "batch views dim"], temperature: float = 0.5) -> Float[Tensor, ""]:
    """NT-Xent over J views of B images, [B, J, D] → a scalar in nats (SimCLR, Chen et al. 2020).

    Each view must pick another view of its own image out of the B·J − 1 others, by cosine
    similarity divided by `temperature`; the loss is the mean cross-entropy over all ordered
    positive pairs. Uniform similarities give log(B·J − 1). For J > 2 the other positives stay in
    the denominator.
    """
    batch, members, _ = z.shape
    z = F.normalize(z.flatten(0, 1), dim=-1)
    scores = (z @ z.T / temperature).unflatten(1, (batch, members))
    itself = torch.eye(batch * members, dtype=torch.bool, device=z.device)
    # Nobody is its own partner.
    normaliser = scores.flatten(1).masked_fill(itself, float("-inf")).logsumexp(1)
    own = scores.unflatten(0, (batch, members)).diagonal(dim1=0, dim2=2)  # [J, J, B]: of one image
    positive = own.sum((0, 1)) - own.diagonal().sum(1)
    return normaliser.mean() - positive.mean() / (members * (members - 1))


@full_precision
def queue_info_nce(
    query: Float[Tensor, "sample dim"],
    key: Float[Tensor, "sample dim"],
    queue: Float[Tensor, "entry dim"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of picking the own key before all K of a queue, in nats (MoCo, He et al. 2020).

    Scores are cosines divided by `temperature`: of query n with key n, both of [N, D], and with
    each row of `queue` [K, D]. The other keys of the batch are no candidates. Equal scores give
    log(K + 1).
    """
    query, key, queue = (F.normalize(x, dim=-1) for x in (query, key, queue))
    own = (query * key).sum(-1, keepdim=True)
    scores = torch.cat([own, query @ queue.T], dim=1) / temperature
    return (scores.logsumexp(1) - scores[:, 0]).mean()


@full_precision
def exemplar_softmax(
    z: Float[Tensor, "sample dim"],
    centres: Float[Tensor, "centre dim"],
    index: Int[Tensor, " sample"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of picking an image's own centre out of all M, in nats; [N, D] → a scalar.

    Row n of `z` is of image `index[n]`, int64 [N]; `centres` [M, D] has a row for each image.
    Scores are cosines divided by `temperature`; equal scores give log M (the "parametric" softmax
    of Wu et al. 2018).
    """
    z, centres = F.normalize(z, dim=-1), F.normalize(centres, dim=-1)
    return F.cross_entropy(z @ centres.T / temperature, index)


@full_precision
def cosine_regression(
    prediction: Float[Tensor, "*sample dim"], target: Float[Tensor, "*sample dim"]
) -> Float[Tensor, "*sample"]:
    """BYOL's ‖p/|p| − t/|t|‖² = 2 − 2 cos(p, t), [..., D] → [...] in [0, 4] (Grill et al. 2020)."""
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=-1)


# --- what keeps codes from collapsing, without negatives ------------------------------------------


@full_precision
def correlation(z: Float[Tensor, "sample dim"]) -> Float[Tensor, "dim dim"]:
    """The mean of z zᵀ over a batch, not centred; [N, D] → [D, D]."""
    return z.T @ z / len(z)


@full_precision
def cross_correlation(
    a: Float[Tensor, "sample dim"], b: Float[Tensor, "sample dim"]
) -> Float[Tensor, "dim dim"]:
    """Pearson's correlation of each dimension of a with each of b; two of [N, D] → [D, D].

    Standardised as a batch norm without weights does it: variances divide by N, and have 1e-5 added
    (Barlow Twins, Zbontar et al. 2021).
    """
    a, b = (F.batch_norm(x, None, None, training=True) for x in (a, b))
    return a.T @ b / len(a)


@full_precision
def covariance(z: Float[Tensor, "sample dim"], correction: int = 1) -> Float[Tensor, "dim dim"]:
    """The covariance of a batch; [N, D] → [D, D]. It divides by N − correction."""
    z = z - z.mean(0)  # not torch.cov, which waits for the device to look at its weights
    return z.T @ z / (len(z) - correction)


@full_precision
def identity_gap(matrix: Float[Tensor, "dim dim"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """How far a matrix is from I: (Σᵢ (Mᵢᵢ − 1)², Σᵢ≠ⱼ Mᵢⱼ²); [D, D] → two scalars."""
    diagonal = matrix.diagonal()
    return (diagonal - 1).square().sum(), (matrix - diagonal.diag()).square().sum()


@full_precision
def variance_hinge(z: Float[Tensor, "sample dim"]) -> Float[Tensor, ""]:
    """Mean of max(0, 1 − std) over dimensions; [N, D] → a scalar (VICReg, Bardes et al. 2022).

    The variance divides by N − 1, and has 1e-4 added: at 0 a square root has no gradient.
    """
    return F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()


@full_precision
def covariance_penalty(z: Float[Tensor, "sample dim"]) -> Float[Tensor, ""]:
    """Σᵢ≠ⱼ cov(z)ᵢⱼ² / D; [N, D] → a scalar (VICReg, Bardes et al. 2022)."""
    return identity_gap(covariance(z))[1] / z.shape[1]


@full_precision
def whiten(z: Float[Tensor, "sample dim"], shrinkage: float = 0.0) -> Float[Tensor, "sample dim"]:
    """Codes with mean 0 and, over the batch, covariance I; [N, D] → [N, D] (W-MSE).

    z − mean is multiplied by the inverse Cholesky factor of the covariance Σ (Ermolov et al. 2021).
    `shrinkage` s puts (1 − s) Σ + s I in Σ's place: then it also works where Σ has no inverse.
    Raises ValueError where it has none.
    """
    size, dim = z.shape
    if size <= dim and not shrinkage:
        raise ValueError(
            f"{size} codes of {dim} dimensions can't be whitened: use a batch_size above {dim}, "
            f"fewer dimensions (head_dim), or shrinkage"
        )
    identity = torch.eye(dim, dtype=z.dtype, device=z.device)
    target = (1 - shrinkage) * covariance(z) + shrinkage * identity
    try:
        factor = torch.linalg.cholesky(target)
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"the covariance of {size} codes of {dim} dimensions has no inverse, so they can't "
            f"be whitened: try fewer dimensions (head_dim), or shrinkage=0.01"
        ) from error
    return torch.linalg.solve_triangular(factor, (z - z.mean(0)).T, upper=False).T


@full_precision
def direct_predictor(
    correlation: Float[Tensor, "dim dim"], floor: float
) -> Float[Tensor, "dim dim"]:
    """U diag(√(s / max s) + floor) Uᵀ from a correlation matrix U diag(s) Uᵀ; [D, D] → [D, D].

    The linear predictor of DirectPred (Tian et al. 2021, equation 18): F's eigenvectors, and its
    eigenvalues brought nearer to each other.
    """
    values, vectors = torch.linalg.eigh(correlation)
    values = values.clamp(min=0)  # rounding may leave a small one below 0
    largest = values[-1].clamp(min=torch.finfo(values.dtype).tiny)  # of a matrix of zeros, too
    return (vectors * ((values / largest).sqrt() + floor)) @ vectors.T

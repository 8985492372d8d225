"""Dimensions of a VAE's code that are independent, or at least factorise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlib.devices import full_precision

LOG_2PI = math.log(2 * math.pi)


@full_precision
def total_correlation(
    z: Float[Tensor, "sample dim"],
    mean: Float[Tensor, "sample dim"],
    log_variance: Float[Tensor, "sample dim"],
    dataset_size: int | None = None,
) -> Float[Tensor, ""]:
    """KL(q(z) ‖ Πₗ q(zₗ)) of the aggregate posterior, in nats, estimated from a batch; a scalar.

    `z`, a draw from each of the posteriors N(mean, diag exp log_variance), all [M, D]. Estimators
    of Chen et al. 2018 (β-TCVAE), for a batch of M of the N = `dataset_size` images:

    - with `dataset_size`, minibatch-stratified: q(z) is the mixture of the batch's posteriors with
      the weights that make its expectation that of the whole data set;
    - without, minibatch-weighted: all weights are 1/M, not the paper's 1/(N M). That moves the
      value by the constant (D − 1) log N, which is most of the paper's estimate and none of its
      gradient.

    Raises ValueError where N is below M, or M below 2.
    """
    size = len(z)
    if size < 2:
        raise ValueError(f"a batch of {size}: total correlation needs 2 or more posteriors")
    difference = z[:, None] - mean
    each = -0.5 * (difference.square() * (-log_variance).exp() + log_variance + LOG_2PI)
    if dataset_size is None:
        log_weights = torch.full_like(each[..., 0], -math.log(size))
    else:
        log_weights = _stratified_weights(z, dataset_size).log()
    joint = (log_weights + each.sum(-1)).logsumexp(1)  # log q(zₐ), [M]
    product = (log_weights[..., None] + each).logsumexp(1).sum(-1)
    return (joint - product).mean()


def _stratified_weights(
    z: Float[Tensor, "sample dim"], dataset_size: int
) -> Float[Tensor, "sample sample"]:
    """Weights [M, M] of the batch's posteriors for each of its draws z [M, D]; rows sum to 1.

    A draw's own posterior is in the batch for certain, so it counts 1/N, as it does in the data
    set. The others share the rest: 1/M' each (M' = M − 1), but one of them 1/N less.
    """
    size = len(z)
    if dataset_size < size:
        raise ValueError(f"dataset_size={dataset_size} is less than the batch of {size}")
    own = torch.eye(size, dtype=z.dtype, device=z.device)
    rest = (1 - own) / (size - 1)
    return rest + (own - own.roll(1, dims=1)) / dataset_size


@full_precision
def shuffled(
    z: Float[Tensor, "sample dim"], generator: torch.Generator | None = None
) -> Float[Tensor, "sample dim"]:
    """Each dimension of a batch shuffled by itself, [N, D]: draws from the product of marginals."""
    order = torch.rand(z.shape, generator=generator, device=z.device).argsort(0)
    return z.gather(0, order)


@full_precision
def support_gaps(
    z: Float[Tensor, "sample dim"], pairs: Int[Tensor, "pair 2"]
) -> Float[Tensor, " pair"]:
    """For each of `pairs` (i, j): max over a, b of minₙ (z_ai − z_ni)² + (z_bj − z_nj)².

    How far the support of two dimensions of codes [N, D] is from a rectangle: of all combinations
    of a value of the one and a value of the other, the one that is farthest from any code, by its
    squared distance (Hausdorff factorised support, Roth et al. 2023). Gradients flow into that
    combination and into the code nearest to it. Looks at N³ distances a pair.
    """
    size, columns = len(z), z.T
    farthest = []
    with torch.no_grad():
        squares = (columns[:, None] - columns[:, :, None]).square()  # [D, n, a], symmetric
        block = 2**18 if z.device.type == "cpu" else 2**26  # numbers: a cache, or a GPU's memory
        for some in pairs.split(max(1, block // size**2)):
            across, along = squares[some[:, 0]], squares[some[:, 1]]
            nearest = torch.full_like(across, float("inf"))  # [P, a, b]
            distance = torch.empty_like(across)
            for n in range(size):
                torch.add(across[:, n, :, None], along[:, n, None, :], out=distance)
                torch.minimum(nearest, distance, out=nearest)
            corner = nearest.flatten(1).argmax(1, keepdim=True)
            a, b = corner // size, corner % size
            to_corner = torch.gather(across, 2, a[:, None].expand(-1, size, -1))
            to_corner = to_corner + torch.gather(along, 2, b[:, None].expand(-1, size, -1))
            farthest.append(torch.cat([a, b, to_corner[..., 0].argmin(1, keepdim=True)], 1))
    a, b, n = torch.cat(farthest).T[:, None]
    left, right = z[:, pairs[:, 0]], z[:, pairs[:, 1]]  # [N, P] each

    def gap(values: Tensor, row: Tensor) -> Tensor:
        return (values.gather(0, row) - values.gather(0, n)).square()[0]

    return gap(left, a) + gap(right, b)


@full_precision
def factorised_support(
    z: Float[Tensor, "sample dim"], pairs: Int[Tensor, "pair 2"]
) -> Float[Tensor, ""]:
    """The sum of `support_gaps` over `pairs` of dimensions, int64 [P, 2]; 0 without a pair."""
    return support_gaps(z, pairs).sum()

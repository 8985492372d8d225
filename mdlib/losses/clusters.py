"""Assignments to prototypes that are used alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mdlib.devices import full_precision


@full_precision
def sinkhorn(
    scores: Float[Tensor, "sample prototype"], epsilon: float = 0.05, iterations: int = 3
) -> Float[Tensor, "sample prototype"]:
    """Shares of K prototypes for each of N samples; [N, K] → [N, K], rows sum to 1 (SwAV).

    exp(scores / epsilon), scaled in turns so that each column, then each row has one sum. After
    many `iterations` that is the assignment of highest score plus `epsilon` times its entropy among
    those that use all prototypes alike (Cuturi 2013; Caron et al. 2020): each column sums to N/K.
    """
    log_shares = scores / epsilon  # logarithms, as a small epsilon is too much for exp
    for _ in range(iterations):
        log_shares = log_shares - log_shares.logsumexp(0, keepdim=True)
        log_shares = log_shares - log_shares.logsumexp(1, keepdim=True)
    return log_shares.exp()


@full_precision
def swapped_prediction(
    z: Float[Tensor, "batch views dim"],
    prototypes: Float[Tensor, "prototype dim"],
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
) -> Float[Tensor, ""]:
    """A view's softmax over prototypes against another view's assignment; [B, J, D] → a scalar.

    Scores are z/|z| times `prototypes` [K, D], which are taken as they are. The assignments of each
    view are `sinkhorn`'s over the batch, and constants; the loss is the cross-entropy in nats, the
    mean over ordered pairs of different views (SwAV, Caron et al. 2020). J is 2 or more.
    """
    scores = (F.normalize(z, dim=-1) @ prototypes.T).transpose(0, 1)  # [J, B, K]
    with torch.no_grad():
        shares = torch.stack([sinkhorn(view, epsilon, iterations) for view in scores])
    log_softmax = (scores / temperature).log_softmax(-1)
    others = shares.sum(0) - shares  # the assignments of all other views
    return -(others * log_softmax).sum(-1).mean() / (len(scores) - 1)

"""Bounds on mutual information, as functions of a score matrix; everything in nats.

    scores[i, j] = f(x_i, y_j),   [..., B, B]

for B pairs (x_i, y_i) drawn from the joint distribution P = p(x, y): the diagonal scores joint
pairs, and everything off it pairs of the product of marginals Q = p(x) p(y). Leading dimensions are
batches of matrices, and every bound returns one value for each. With r = p(x, y) / (p(x) p(y)), the
mutual information is I = E_P[log r].

Every bound can be climbed: its gradient is the one that its critic is trained with. For most that
is the gradient of the value; `dv` with a running average, `js`, `smile` and `club` report one thing
and learn from another, and their docstrings say what.

The inequality behind the lower bounds is log u ≤ u/a + log a − 1; the chapter
`theory/infonce_bound` derives each of them from it.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

# --- lower bounds ---------------------------------------------------------------------------------


def infonce(scores: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """InfoNCE (van den Oord et al. 2018): E[log softmax over j of the true pair] + log B.

    Optimal critic: log p(y|x)/p(y) + c(x), for any c. Ceiling: log B, on every batch and with every
    critic. A lower bound in expectation where the B pairs are independent; low variance.
    """
    _checked(scores)
    return scores.log_softmax(-1).diagonal(dim1=-2, dim2=-1).mean(-1) + math.log(scores.shape[-1])


def tuba(
    scores: Float[Tensor, "*batch b b"], log_baseline: Float[Tensor, "*#batch b"] | float = 0.0
) -> Float[Tensor, "*batch"]:
    """1 + E_P[f − log a(y)] − E_Q[exp f / a(y)] (Poole et al. 2019, after Barber & Agakov 2003).

    `log_baseline` is log a(y_j), [..., B] or a number. Optimal critic: log r + log a. No ceiling.
    Unbiased, a lower bound for every critic and baseline; at the optimum and near it the variance
    grows like exp I.
    """
    _checked(scores)
    if isinstance(log_baseline, Tensor):
        log_baseline = log_baseline[..., None, :]  # it belongs to y, which is the column
    scores = scores - log_baseline
    return 1 + joint_mean(scores) - _log_marginal_mean(scores).exp()


def nwj(scores: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """E_P[f] − E_Q[exp f]/e (Nguyen, Wainwright & Jordan 2010; also f-GAN-KL, MINE-f).

    Optimal critic: 1 + log r. No ceiling. Unbiased, a lower bound; with B(B−1) independent product
    samples its variance at the optimum is at least (exp I − 1) / (B(B−1)).
    """
    return tuba(scores, 1.0)


def dv(
    scores: Float[Tensor, "*batch b b"], log_average: Float[Tensor, "*batch"] | None = None
) -> Float[Tensor, "*batch"]:
    """E_P[f] − log E_Q[exp f] (Donsker & Varadhan 1983), the value of MINE (Belghazi et al. 2018).

    Optimal critic: log r + any constant. No ceiling; on a finite batch biased *upwards*, since −log
    of a mean is convex, and free to diverge. `log_average`, the logarithm of a running average of
    E_Q[exp f] (`running_log_average`), leaves the value and corrects the gradient as MINE does: the
    plain one divides by the same few samples that it differentiates.
    """
    _checked(scores)
    joint, log_marginal = joint_mean(scores), _log_marginal_mean(scores)
    value = joint - log_marginal
    if log_average is None:
        return value
    return _reporting(value, joint - (log_marginal - log_average.detach()).exp())


def running_log_average(
    log_average: Float[Tensor, "*batch"] | None,
    scores: Float[Tensor, "*batch b b"],
    momentum: float = 0.9,
) -> Float[Tensor, "*batch"]:
    """log of the moving average of E_Q[exp f] after one more batch; None starts it there."""
    new = _log_marginal_mean(scores).detach()
    if log_average is None:
        return new
    return torch.logaddexp(log_average + math.log(momentum), new + math.log1p(-momentum))


def interpolated(
    scores: Float[Tensor, "*batch b b"],
    alpha: float,
    log_baseline: Float[Tensor, "*#batch b"] | float = 0.0,
) -> Float[Tensor, "*batch"]:
    """I_α (Poole et al. 2019), between `tuba` (α = 0) and InfoNCE's bias (α = 1).

    TUBA whose baseline is α·m(y) + (1 − α)·a(y), where m(y) is the mean of exp f(x, y) over x's
    that are independent of the pair at hand. `log_baseline` is log a(y_j). A lower bound; bias
    falls and variance grows as α falls. For the pair (x_i, y_i), m averages over the x of the batch
    but one other, in turn each of them; for (x_i, y_j), over all but x_j. These are means of
    B − 1, so the ceiling on every batch (`interpolated_ceiling`) has B − 1 where InfoNCE's has B.
    """
    _checked(scores)
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha={alpha}: expected 0 < alpha ≤ 1 (alpha = 0 is tuba)")
    size = scores.shape[-1]
    # mixed[k, j]: the log-baseline of y_j, made without x_k.
    mixed = math.log(alpha) + _log_mean_without_one(scores)
    if alpha < 1:
        fixed = torch.as_tensor(log_baseline, dtype=scores.dtype, device=scores.device)
        fixed = fixed.expand(*fixed.shape[:-1], size)[..., None, :]
        mixed = torch.logaddexp(mixed, math.log1p(-alpha) + fixed)
    joint = scores.diagonal(dim1=-2, dim2=-1)[..., None, :] - mixed
    marginal = scores - mixed.diagonal(dim1=-2, dim2=-1)[..., None, :]
    joint_mean = (joint * _off_diagonal(scores)).sum((-2, -1)) / (size * (size - 1))
    return 1 + joint_mean - _log_marginal_mean(marginal).exp()


def interpolated_ceiling(size: int, alpha: float) -> float:
    """The largest value of `interpolated` for B = `size`, in nats, whatever the critic.

    log(B − 1) for α = 1, where the last term is exactly 1, and else the supremum
    1 + log((B − 1)/α): m is at least exp f/(B − 1) in a true pair's column, and E_Q vanishes where
    all other scores are far below the baseline.
    """
    return math.log(size - 1) if alpha == 1 else 1 + math.log((size - 1) / alpha)


def js(scores: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """Trained on the Jensen-Shannon objective, reported by `tuba` (Poole et al. 2019; Hjelm 2019).

    The objective, −E_P[softplus(−f)] − E_Q[softplus(f)], is stable, and its optimal critic is
    log r, which is tuba's. No ceiling; a lower bound, with tuba's variance. See `js_legacy`.
    """
    return _reporting(tuba(scores), jensen_shannon(scores))


def js_legacy(scores: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """The JS critic reported by `nwj`, as much public code does: a critic's offset left out.

    The JS critic learns log r, and nwj's optimal critic is 1 + log r. On every batch the value is
    below `js` by 1 − (1 − 1/e)·E_Q[exp f]. That is 1/e = 0.368 nats for the optimal critic, where
    E_Q[exp f] = 1; a trained critic's mean may be far above, and then the legacy value is the
    higher and the nearer one. Only for comparison with published curves.
    """
    return _reporting(nwj(scores), jensen_shannon(scores))


def smile(scores: Float[Tensor, "*batch b b"], clip: float) -> Float[Tensor, "*batch"]:
    """E_P[f] − log E_Q[clip(exp f, exp −clip, exp clip)] (Song & Ermon 2020), trained as `js`.

    Optimal critic: log r. **Neither a lower nor an upper bound**: clipping cuts E_Q[exp f], so the
    value may exceed I. It is at most E_P[f] + clip. The variance of the clipped mean is at most
    (exp clip − exp −clip)²/(4⌊B/2⌋): its B(B − 1) pairs are made of B independent ones, of which a
    pair takes two (Hoeffding 1963 on U-statistics). clip = ∞ is `dv` of the JS critic.
    """
    _checked(scores)
    if not clip > 0:
        raise ValueError(f"clip={clip}: expected a number above 0, or math.inf")
    value = joint_mean(scores) - _log_marginal_mean(scores.clamp(-clip, clip))
    return _reporting(value, jensen_shannon(scores))


def jensen_shannon(scores: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """−E_P[softplus(−f)] − E_Q[softplus(f)] ≤ 2·JSD(P‖Q) − 2 log 2 (Nowozin et al. 2016).

    What `js` and `smile` train on; no estimate of mutual information itself.
    """
    _checked(scores)
    size = scores.shape[-1]
    marginal = (softplus(scores) * _off_diagonal(scores)).sum((-2, -1)) / (size * (size - 1))
    return -softplus(-scores.diagonal(dim1=-2, dim2=-1)).mean(-1) - marginal


# --- where a conditional density takes the critic's place -----------------------------------------
# log_conditional[i, j] = log q(y_j | x_i), [..., B, B].


def known_conditional(log_conditional: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """E[log p(y_i|x_i) − log (1/B) Σ_j p(y_i|x_j)]: a lower bound where p(y|x) is known.

    InfoNCE with the roles of x and y exchanged (Poole et al. 2019). Ceiling: log B.
    """
    return infonce(log_conditional.mT)


def leave_one_out(log_conditional: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """E[log p(y_i|x_i) − log 1/(B−1) Σ_{j≠i} p(y_i|x_j)]: an upper bound where p(y|x) is known.

    Poole et al. 2019. With `known_conditional` it makes a sandwich from one matrix. With
    an approximate q(y|x) it bounds nothing.
    """
    size = _checked(log_conditional)
    diagonal = ~_off_diagonal(log_conditional)
    others = log_conditional.masked_fill(diagonal, -math.inf).logsumexp(-2) - math.log(size - 1)
    return (log_conditional.diagonal(dim1=-2, dim2=-1) - others).mean(-1)


def club(log_conditional: Float[Tensor, "*batch b b"]) -> Float[Tensor, "*batch"]:
    """E_P[log q(y|x)] − E_Q[log q(y|x)]: CLUB (Cheng et al. 2020), meant as an upper bound.

    Its gradient is the likelihood's: q learns by E_P[log q(y|x)]. The variational family is q's,
    `critics.GaussianConditional` here, as in the authors' code.
    Optimal q: p(y|x), where the value is KL(P‖Q) + KL(Q‖P) ≥ I, and far from it: for correlated
    Gaussians d·ρ²/(1−ρ²). For any q, CLUB − I = KL(Q ‖ q(y|x) p(x)) − KL(P ‖ q(y|x) p(x)): it is
    above I only where q(y|x) p(x) is at least as near to P as to Q, and a family that cannot
    describe p(y|x) may fail that, and give 0 for strongly dependent pairs. The mean over Q leaves
    out the diagonal, which the authors' code counts in.
    """
    size = _checked(log_conditional)
    joint = joint_mean(log_conditional)
    off = (log_conditional * _off_diagonal(log_conditional)).sum((-2, -1))
    return _reporting(joint - off / (size * (size - 1)), joint)


# --- the parts ------------------------------------------------------------------------------------


def joint_mean(scores: Tensor) -> Tensor:
    """E_P[f]: the mean of the diagonal."""
    return scores.diagonal(dim1=-2, dim2=-1).mean(-1)


def _off_diagonal(scores: Tensor) -> Tensor:
    """Boolean [B, B], false on the diagonal."""
    return ~torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)


def _log_marginal_mean(scores: Tensor) -> Tensor:
    """log E_Q[exp f]: over all pairs off the diagonal."""
    size = scores.shape[-1]
    off = scores.masked_fill(~_off_diagonal(scores), -math.inf)
    return off.logsumexp((-2, -1)) - math.log(size * (size - 1))


def _log_mean_without_one(scores: Tensor) -> Tensor:
    """[..., k, j] → log of the mean of exp scores[..., i, j] over all i but k.

    The total of a column less the k-th term. Where that one dominates, float32 would lose all the
    others in the difference, so without the largest the sum is taken anew.
    """
    is_top = torch.zeros_like(scores, dtype=torch.bool)
    is_top = is_top.scatter(-2, scores.argmax(-2, keepdim=True), True)
    peak = scores.detach().amax(-2, keepdim=True)
    terms = (scores - peak).exp()
    rest = (terms.sum(-2, keepdim=True) - terms).masked_fill(is_top, 1.0)  # at least the top: 1
    without_top = scores.masked_fill(is_top, -math.inf).logsumexp(-2, keepdim=True)
    logarithm = torch.where(is_top, without_top, peak + rest.log())
    return logarithm - math.log(scores.shape[-2] - 1)


def _reporting(value: Tensor, objective: Tensor) -> Tensor:
    """The value of the one with the gradient of the other."""
    return objective + (value - objective).detach()


def _checked(scores: Tensor) -> int:
    """B of scores [..., B, B]; ValueError for another shape, or B below 2."""
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2] or scores.shape[-1] < 2:
        raise ValueError(
            f"scores of shape {tuple(scores.shape)}: expected [..., B, B] with B of at least 2, "
            f"joint pairs on the diagonal"
        )
    return scores.shape[-1]

"""Contrastive encoders in stacks, and the information that their frozen codes keep; in nats.

What a contrastive loss reports is the value of *its* critic at *its* batch size. What an encoder
keeps is a property of the encoder. So it is frozen, and a fresh critic is trained on its codes, on
pairs whose information is known (`mdlib.mi.pairs`): measuring after training, after Lee et al.
2023, arXiv 2308.15704, as far as its abstract tells.

    stack = Encoders([64, 128, 32], temperatures=[0.2, 1.0], seed=0)   # two members
    contrast(stack, sample, steps=500, batch_size=128)                 # both climb InfoNCE
    z = stack.encode(images)                                           # [2, N, 32], unit vectors
    information(code_pairs(z, task, 1), code_pairs(z_test, held_out, 2), dim=32, members=2)

Members share no weight, and a member's values do not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from mdlib.checks import check_above_zero, check_not_negative, check_share, check_whole, need
from mdlib.evaluation.inputs import unit_of
from mdlib.evaluation.logistic import logistic_regression
from mdlib.mi import bounds, critics
from mdlib.mi.pairs import SameClass, score_matrix_from_posteriors
from mdlib.mi.training import Sample, evaluate, train
from mdlib.registry import random_stream, seeded
from mdlib.views import Views


class Encoders(nn.Module):
    """A stack of encoders h, each the critic f(x, y) = cos(h(x), h(y)) / τ.

    Args:
        sizes: units of the input, of each hidden layer (ReLU) and of the code.
        temperatures: τ of each member, above 0.
        seed: of the first weights; torch's own generator is left as it was.
    """

    tau: Tensor

    def __init__(self, sizes: Sequence[int], temperatures: Sequence[float], seed: int):
        super().__init__()
        need(len(sizes) >= 2, f"sizes={list(sizes)}: expected an input's and a code's at least")
        need(len(temperatures) > 0, "temperatures=[]: expected one for each member")
        for tau in temperatures:
            check_above_zero(temperature=tau)
        with seeded(seed):
            self.h = critics.mlp(len(temperatures), list(sizes))
        self.register_buffer("tau", torch.tensor(list(temperatures))[:, None, None])

    def encode(self, x: Float[Tensor, "*members n d_in"]) -> Float[Tensor, "members n d"]:
        """Unit vectors, from images that all members see or from a batch for each."""
        return F.normalize(self.h(x), dim=-1)

    def forward(
        self, x: Float[Tensor, "*members n d_in"], y: Float[Tensor, "*members m d_in"]
    ) -> Float[Tensor, "members n m"]:
        return self.encode(x) @ self.encode(y).mT / self.tau


def contrast(
    stack: Encoders, sample: Sample, *, steps: int, batch_size: int, lr: float = 1e-3
) -> pd.DataFrame:
    """Train a stack by InfoNCE; its value before each step, nats: [step, member].

    `sample(step, n)` gives n pairs in all, of which each member gets `batch_size`.
    """
    values = train(
        stack, ["infonce"], sample, steps=steps, batch_size=batch_size, lr=lr, seeds=len(stack.tau)
    )
    return values["infonce"]


def code_pairs(codes: Float[Tensor, "members N d"], task: SameClass, seed: int) -> Sample:
    """A sampler of same-class pairs of frozen codes: the same rows for all members."""
    draw = random_stream(seed, codes.device)

    def sample(step: int, n: int) -> tuple[Tensor, Tensor]:
        x, y = task.sample_rows(n // len(codes), draw)
        return codes[:, x].flatten(0, 1), codes[:, y].flatten(0, 1)

    return sample


def information(
    on_train: Sample,
    on_test: Sample,
    *,
    dim: int,
    members: int,
    seed: int,
    device: torch.device | str = "cpu",
    hidden: int = 64,
    steps: int = 400,
    batch_size: int = 256,
    evaluation_size: int = 512,
) -> pd.DataFrame:
    """InfoNCE of a fresh separable critic, nats: a row a member, "MI, train" and "MI, held-out".

    The critic (one hidden layer) learns on pairs of `on_train` at K = `batch_size`; both values are
    means over ten fresh batches of K = `evaluation_size`. Lower bounds on the information between
    the codes of a pair, at most log `evaluation_size`.
    """
    options = {"hidden": hidden, "layers": 1}
    critic = critics.create("separable", dim, dim, members, seed, **options).to(device)
    train(critic, ["infonce"], on_train, steps=steps, batch_size=batch_size, lr=2e-3, seeds=members)
    options = {"batches": 10, "batch_size": evaluation_size, "seeds": members}
    values = [evaluate(critic, ["infonce"], sample, **options) for sample in (on_train, on_test)]
    columns = ["MI, train", "MI, held-out"]
    return pd.DataFrame([v["infonce"].mean() for v in values], columns).T


def standardised(
    z: Float[Tensor, "members N d"], z_test: Float[Tensor, "members M d"]
) -> tuple[Float[Tensor, "members N d"], Float[Tensor, "members M d"]]:
    """Both by mean and deviation of the first: an injective map, which keeps all information."""
    size = z.abs().amax(1, keepdim=True)
    unit = unit_of(size)
    z, z_test, size = z * unit, z_test * unit, size * unit
    least = torch.where(size > 0, 0.01 * size, 1).clamp(max=1e-6)  # so that rounding stays small
    std = z.std(1, keepdim=True) + least
    mean = z.mean(1, keepdim=True)
    return (z - mean) / std, (z_test - mean) / std


# --- a classifier as a critic ---------------------------------------------------------------------


def posteriors(
    z: Float[Tensor, "N d"], labels: Int[Tensor, " N"], new: Float[Tensor, "M d"]
) -> Float[Tensor, "M classes"]:
    """p(c | new) of a logistic regression on codes z."""
    (z,), (new,) = standardised(z[None], new[None])
    weight, bias = logistic_regression(z, labels, 1e-3)
    return (new @ weight + bias).softmax(1)


def accuracy(
    z: Float[Tensor, "members N d"],
    labels: Int[Tensor, " N"],
    z_test: Float[Tensor, "members M d"],
    labels_test: Int[Tensor, " M"],
) -> list[float]:
    """Of a logistic regression on the codes of each member, test rows."""
    guesses = [posteriors(a, labels, b).argmax(1) for a, b in zip(z, z_test, strict=True)]
    return [(guess == labels_test).float().mean().item() for guess in guesses]


def plug_in(
    of_rows: Float[Tensor, "N classes"], task: SameClass, *, pairs: int, batches: int, seed: int
) -> float:
    """InfoNCE, nats, whose critic is a classifier: log Σ_c p(c|x) p(c|y) / p(c).

    `of_rows` are the posteriors of the task's rows. The mean over batches of `pairs` pairs.
    """
    draw = random_stream(seed, of_rows.device)
    prior = task.class_probabilities.to(of_rows)
    values = []
    for _ in range(batches):
        x, y = (of_rows[rows] for rows in task.sample_rows(pairs, draw))
        values.append(bounds.infonce(score_matrix_from_posteriors(x, y, prior)))
    return torch.stack(values).mean().item()


def fano(error: float, guess_entropy: float, classes: int) -> float:
    """What accuracy alone certifies of I(Z_x; Z_y), nats; 0 where it certifies nothing.

    H(Ĉ) − h(2 P_e) − 2 P_e log(M − 1) for a guess Ĉ with error P_e, where 2 P_e ≤ 1 − 1/M: two
    guesses of one class differ with probability at most 2 P_e, and Fano's inequality.
    """
    check_share(error=error)
    check_whole(2, classes=classes)
    q = 2 * error
    if q > 1 - 1 / classes:
        return 0.0
    binary = -sum(p * math.log(p) for p in (q, 1 - q) if p > 0)
    return max(0.0, guess_entropy - binary - q * math.log(classes - 1))


# --- views with a knob ----------------------------------------------------------------------------


def views_of_strength(strength: float | int) -> Views:
    """Random views: 0 is the image itself, 1 is usual, 3 leaves little."""
    check_not_negative(strength=strength)
    if strength == 0:
        return Views()
    return Views(
        crop=(max(0.1, 1 - 0.3 * strength), 1.0),
        rotation=20 * strength,
        brightness=0.3 * strength,
        noise=0.1 * strength,
    )

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Interventions in time
#
# *If we know when somebody reached into the world, and which variable was touched, can we find the variables in pictures?*
#
# CITRIS ([Lippe et al. 2022](https://arxiv.org/abs/2202.03169)) watches sequences. Now and then one variable is set from
# outside. We are told *which*, as a number; never what it is, where it is seen, or its value. A variable is then the part of
# the picture that forgets its past exactly when its number comes up.
#
# **You will learn**
# - why the target of an intervention is a label for a variable, and what it cannot say,
# - a prior that learns which latent belongs to which variable, and a game that keeps the blocks apart,
# - to read a partition off a matrix, and to test it by swapping blocks.
#
# **You need** what a VAE is (`start_here`), and the change of variables of a flow: a log-determinant.
#
# **Time:** 12 minutes to read; about 30 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
world = "mixed"  # how the variables are seen: through a matrix, or as pictures
# [one of mixed, pong]
variants = "known,shuffled"  # what is trained
# [some of known, shuffled, rare, vae, vae-late, vae-unmatched, vae-rare, ivae, plain]
steps = 1000  # steps of training [1 or more]
batch_size = 64  # windows of four frames a step [2 or more]
latent_dim = 6  # L, of pictures; of "mixed" it is 4 [4 or more]
seed = 0  # of sequences, weights and batches [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time
from functools import cache

import pandas as pd
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.func import functional_call

import mdlib
from mdlib import nets, sweep
from mdlib.data import pong
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.metrics.identifiability import block_r2
from mdlib.notebook import provenance
from mdlib.registry import random_stream

plots.theme()
started = time.time()
device = pick_device(device)
NAMES = pong.FACTOR_NAMES
K = len(NAMES)

# %% [markdown]
# ## The world
#
# `mdlib.data.pong`: a ball's place, a paddle's height, the ball's hue. Each follows its own last value and one other, with
# noise; and with probability .8 a step sets one of the four from outside, to a uniform number. We see either pictures of
# 16 × 16 pixels, or, by default, the four numbers *mixed*: each scaled, then all rotated. Test frames have *independent*
# variables, so that no block scores by correlation alone.


# %% tags=["hide-input"]
@cache
def windows(intervened=0.8):
    """Frames [N, 4, P], and the targets [N, 3, K] of the last three."""
    C, targets = pong.process(8000, 4, seed, intervened)
    x = frames_of(C.flatten(0, 1)).unflatten(0, (-1, 4))
    return x, targets.float().to(device)


def frames_of(C):
    """Frames [n, P] of causes [n, K]."""
    if world == "pong":
        return pong.render(C).flatten(1).to(device) / 255
    Q = torch.linalg.qr(torch.randn(K, K, generator=random_stream(0)))[0]
    return (C @ (Q * torch.tensor([1.3, 0.7, 1.0, 1.0])).T).to(device)


plots.causal_graph([(cause, name) for name, cause in pong.PARENTS.items()])
images, _, targets = pong.sequences(1, 4, seed=3)
set_from_outside = ["".join(NAMES[k] for k in t.nonzero()) for t in targets[0]]
plots.image_grid(images, column_labels=["start", *set_from_outside])

# %% [markdown]
# *Figure 1. Above: who drives whom (each variable also drives itself). Below: four frames; above each, what was set from
# outside since the one before.*
#
# ## The equation
#
# Latents $z \in \mathbb{R}^L$ are shared out among the variables $k = 1 … K$ by $\psi$; $k = 0$ takes what no
# intervention changes. With targets $I^{t+1} \in \{0, 1\}^K$ and $I_0 = 0$, CITRIS-VAE minimises
#
# $$ -\mathbb E \log p(x^{t+1} \mid z^{t+1}) + \mathrm{KL}\Big( q(z^{t+1} \mid x^{t+1}) \,\Big\|\,
#    \prod_{k=0}^{K} p\big(z^{t+1}_{\psi_k} \mid z^t, I_k^{t+1}\big) \Big). \tag{1} $$
#
# $\psi$ is a softmax for each latent, and the KL is averaged over it. Where $I_k = 0$, a network says from $z^t$ what to
# expect. Where $I_k = 1$, the past does not matter, and a learned normal takes its place. Block 0 costs 1 % less.


# %% tags=["method"]
def mlp(*sizes):
    return nets.mlp(sizes, activation=nn.SiLU)


def cross_entropy(mean, std, mu, log_sigma):
    """−E log N(z; mu, sigma²) for z ~ N(mean, std²), in nats."""
    square = ((mean - mu) ** 2 + std**2) * (-2 * log_sigma).exp()
    return log_sigma + (math.log(2 * math.pi) + square) / 2


class Prior(nn.Module):
    """p(z' | z, I) of (1) with its ψ: z, z' [B, L], targets [B, K]."""

    def __init__(self, L, matched=True, favour=0.01):
        super().__init__()
        self.free = mlp(L, 64, 64, 2 * L)
        self.set = nn.Parameter(torch.zeros(2, L, K + 1))  # mean and log σ
        self.psi = nn.Parameter(F.pad(2.0 * matched * torch.eye(L, K), (1, 0)))
        self.register_buffer("price", torch.tensor([1 - favour] + K * [1.0]))

    def table(self, z, targets, mean, std):
        """[B, L, K + 1]: what latent i of z' ~ N(mean, std²) costs as a part of k."""
        is_set = F.pad(targets, (1, 0))[:, None, None] == 1
        free = self.free(z).unflatten(1, (2, -1))[..., None]
        prior = torch.where(is_set, self.set, free)
        return cross_entropy(mean[..., None], std[..., None], *prior.unbind(1))

    def forward(self, *given):
        shares = self.psi.softmax(1) * self.price
        return (shares * self.table(*given)).sum((1, 2))


# %% [markdown]
# (1) alone does not keep two variables from sharing a block. So there is a **target classifier**: from $z^t$ and one block
# of $z^{t+1}$ it guesses all targets. The code is paid if a block tells its own target, and only the base rate of the
# others. Blocks are drawn from $\psi$ by Gumbel-softmax. The classifier learns at the same time, from its own loss.


# %% tags=["method"]
class Classifier(nn.Module):
    """Targets [B, M, K] from z, from what masks [B, M, L] leave of z', and the masks."""

    def __init__(self, L):
        super().__init__()
        last = nn.Linear(128, K)
        nn.init.zeros_(last.weight)
        hidden = nn.Linear(3 * L, 128), nn.LayerNorm(128), nn.SiLU()
        self.net = nn.Sequential(*hidden, last)

    def forward(self, z, z_next, masks):
        z, z_next = (v[:, None].expand_as(masks) for v in (z, z_next))
        return self.net(torch.cat([z, z_next * masks, masks], 2))


def classify(classifier, psi, z, z_next, targets, weight=4.0):
    """The classifier's loss, and what the code and ψ pay while it is held still."""
    drawn = F.gumbel_softmax(psi.expand(len(z), -1, -1), hard=True)
    masks = F.pad(drawn, (0, 1), value=1.0).mT  # blocks 0, 1 … K, all latents
    own = F.pad(torch.eye(K), (0, 0, 1, 1)).to(z)  # block 0 tells no target
    own[-1] = 1  # and all latents tell every target
    loss = F.binary_cross_entropy_with_logits
    true = targets[:, None].expand(-1, K + 2, -1)
    given = (z.detach(), z_next.detach(), masks.detach())
    of_classifier = loss(classifier(*given), true)
    still = {name: p.detach() for name, p in classifier.named_parameters()}
    logits = functional_call(classifier, still, (z, z_next, masks))
    wanted = torch.where(own == 1, true, targets.mean(0))
    often = 1 + (K - 1) * own  # an own target is one of K
    return (K + 2) * (of_classifier + weight * loss(logits, wanted, often))


# %% [markdown]
# What reads the frames is a VAE; or a flow on the codes of one that has been trained before and stands still: **CITRIS-NF**.
# A flow needs no decoder in training, and its log-determinant takes the place of the entropy of $q$.
#
# Two baselines keep the VAE and change its prior. In the manner of an **iVAE**, each latent is normal given $z^t$ and *all*
# targets, without blocks. The **plain** VAE has $N(0, 1)$, and is the first stage of CITRIS-NF.


# %% tags=["method"]
class Flow(nets.CouplingFlow):
    """[B, L] → z and spread 0 [B, L], and the log-determinant [B]."""

    def forward(self, x):
        z, log_det = super().forward(x)
        return z, torch.zeros_like(z), log_det

    def error(self, x, z):
        return 0.0  # nothing is lost


class VAE(nn.Module):
    """[B, P] → mean and spread of z [B, L], and, but for a constant, the entropy of q."""

    def __init__(self, P, L):
        super().__init__()
        self.encoder = mlp(P, 128, 128, 2 * L)
        self.inverse = mlp(L, 128, 128, P)

    def forward(self, x):
        mean, log_std = self.encoder(x).chunk(2, 1)
        return mean, log_std.exp(), log_std.sum(1)

    def error(self, x, z):
        return 50 * (self.inverse(z) - x).square().sum(1)  # a σ of 0.1


class Conditional(nn.Module):
    """N(z'; given z and all targets), or N(0, 1); no ψ."""

    psi = None

    def __init__(self, L, plain):
        super().__init__()
        self.plain, self.net = plain, mlp(L + K, 64, 64, 2 * L)

    def forward(self, z, targets, mean, std):
        prior = self.net(torch.cat([z, targets], 1)) * (not self.plain)
        return cross_entropy(mean, std, *prior.chunk(2, 1)).sum(1)


# %% [markdown]
# ## Training
#
# All learn from windows of four frames. A flow learns from the codes of the plain VAE, with a little noise.


# %%
def fit(model, prior, x, targets, late=0.0, noise=0.0):
    """On windows x [N, 4, P]; ψ and classifier wait for a share `late` of steps."""
    groups = [{"params": [*model.parameters(), *prior.parameters()]}]
    if prior.psi is not None:
        classifier = Classifier(len(prior.psi)).to(x.device)
        groups.append({"params": classifier.parameters(), "lr": 4e-3})
    adam = torch.optim.Adam(groups, lr=3e-3, fused=True)
    rate = lambda n: min(1, n / 100) * math.cos(math.pi * n / steps / 2) ** 2  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate)
    for n in range(steps):
        rows = torch.randint(len(x), (batch_size,), device=x.device)
        batch = x[rows] + noise * torch.randn_like(x[rows])
        told = targets[rows].flatten(0, 1)
        mean, std, gain = model(batch.flatten(0, 1))
        z = mean + std * torch.randn_like(mean)
        seen = [v.unflatten(0, (-1, 4)) for v in (z, mean, std, gain)]
        old = seen[0][:, :-1].flatten(0, 1)
        new, *q, gain, frames = (v[:, 1:].flatten(0, 1) for v in (*seen, batch))
        loss = (prior(old, told, *q) - gain + model.error(frames, new)).mean()
        waits = n < late * steps
        if prior.psi is not None and not waits:
            loss = loss + classify(classifier, prior.psi, old, new, told)
        adam.zero_grad()
        loss.backward()
        if waits:
            prior.psi.grad = None  # then Adam leaves it alone
        adam.step()
        schedule.step()


# %%
VARIANTS = {
    "known": {},
    "shuffled": {"shuffled": True},
    "rare": {"intervened": 0.3},
    "vae": {"flow": False},
    "vae-late": {"flow": False, "late": 0.4},
    "vae-unmatched": {"flow": False, "matched": False},
    "vae-rare": {"flow": False, "intervened": 0.3},
    "ivae": {"flow": False, "plain": False},
    "plain": {"flow": False, "plain": True},
}


@cache
def learn(flow=True, intervened=0.8, shuffled=False, late=0.0, **of_prior):
    """Frames to latents, latents to frames, and the prior."""
    x, targets = windows(intervened)
    enc, dec, second = nn.Identity(), nn.Identity(), False
    if flow and world == "pong":
        enc, dec, _ = learn(**VARIANTS["plain"])
        x, second = enc(x.flatten(0, 1)).unflatten(0, (-1, 4)).detach(), True
    torch.manual_seed(seed)
    if shuffled:
        order = torch.randperm(targets[..., 0].numel(), device=device)
        targets = targets.flatten(0, 1)[order].view_as(targets)
    L = latent_dim if world == "pong" else K
    prior = (Conditional if "plain" in of_prior else Prior)(L, **of_prior)
    model = Flow(L, 4 * second) if flow else VAE(x.shape[2], L)
    fit(model.to(device), prior.to(device), x, targets, late, 0.05 * second)
    return lambda x: model(enc(x))[0], lambda z: dec(model.inverse(z)), prior


# %% [markdown]
# ## Measuring a partition
#
# A regressor (nearest neighbours) guesses each variable from each block: a matrix of $R^2$, whose diagonal should be 1, all
# else 0. For a **swap**, block $k$ of another frame is put in, and what is decoded is held against the true frame, drawn
# with variable $k$ of the other; 1 is the error of no swap at all. Where there is no $\psi$, the truth assigns: first a
# latent to each variable, so that the sum of their $R^2$ is the largest; the others go where each tells most.


# %%
def partition(prior, z, C):
    """The variable of each latent, 0 for none."""
    if prior.psi is not None:
        return prior.psi.argmax(1).cpu()
    told = matrix(z, 1 + torch.arange(z.shape[1]), C)[1:]  # by single latents
    own = 1 + told.argmax(1)
    latent, variable = linear_sum_assignment(told, maximize=True)
    own[latent] = 1 + torch.from_numpy(variable)
    return own


def matrix(z, own, C):
    """R² [blocks, K] of each variable from block 0, 1 …; 0 from an empty one."""
    found = torch.zeros(max(K, own.max()) + 1, K)
    for k in own.unique():
        read = block_r2(z[:, own == k], C, probe="knn_regression")
        found[k] = read.per_factor.clamp(min=0)
    return found


def swap_error(decode, own, z, C):
    """Squared error of frames with swapped blocks, as a share of that without a swap."""
    swapped, kept = 0.0, 0.0
    for k in range(K):
        mixed = torch.where((own == k + 1).to(z.device), z.roll(1, 0), z)
        true = frames_of(torch.where(torch.arange(K) == k, C.roll(1, 0), C))
        swapped += (decode(mixed) - true).square().mean().item()
        kept += (decode(z) - true).square().mean().item()
    return swapped / kept


# %%
C = 2 * torch.rand(3000, K, generator=random_stream(seed + 1)) - 1
READINGS = ["diagonal", "worst", "beside", "swap", "from all", "in block 0"]
CELLS = [f"{block}: {name}" for block in ("none", *NAMES) for name in NAMES]
rows = []
for name in variants.split(","):
    encode, decode, prior = learn(**VARIANTS[name])
    with torch.no_grad():
        z = encode(frames_of(C))
        own = partition(prior, z.cpu(), C)
        swap = swap_error(decode, own, z, C)
    found = matrix(z.cpu(), own, C)
    right, beside = found[1:].diagonal(), found[1:] * (1 - torch.eye(K))
    every = block_r2(z.cpu(), C, probe="knn_regression").per_factor.min()
    row = [right.mean(), right.min(), beside.amax(1).mean(), swap, every]
    row = [float(v) for v in (*row, (own == 0).sum(), *found.flatten())]
    rows.append([world, name, seed, *row])
columns = ["world", "variant", "seed", *READINGS, *CELLS]
results = pd.DataFrame(rows, columns=columns)
mdlib.record(out, results)
results.set_index("variant")[READINGS].round(3)

# %% tags=["hide-input", "reads-rows"]
sweeps = "in_time", "assigned", "decides"
swept = [sweep.read_csv(f"gallery_interventions_{s}") for s in sweeps[1::-1]]
source = pd.concat([*swept, results]).groupby("variant").head(5)
means = source.groupby("variant", sort=False)[CELLS].mean()
found = {name: row.to_numpy().reshape(-1, K) for name, row in means.iterrows()}
plots.matrices(found, ["none", *NAMES], NAMES, ylabel="block")
plots.dots(source, READINGS[:5], list(found), by="variant")

# %% [markdown]
# *Table 1. This run, one seed. "diagonal": mean $R^2$ of each variable from its own block, "worst" the smallest of them;
# "beside": the largest $R^2$ of another variable, averaged over blocks; "from all": the smallest $R^2$ of a variable from
# all latents together (neighbours in more dimensions are farther: a block alone may tell more).*
#
# *Figure 2. The figure to remember. $R^2$ of each variable (columns) from each block (rows), mean over five seeds on
# pictures, of *assigned* where it has the variant (without a sweep: this run). Yellow is 1. A partition is right if the
# diagonal is bright and all else dark. Below, the readings of Table 1: mean ± one standard deviation over seeds.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_interventions_*.yaml` before each ran, with fresh seeds (*decides* has those of
# *in_time*, and its `vae` runs): *in_time*, then *assigned*, with a fairer rule for baselines, and *decides*: what
# decides whether one stage ends in the right partition?

# %% tags=["hide-input", "reads-rows"]
pd.concat(sweep.show_claims(f"gallery_interventions_{s}") for s in sweeps)

# %% [markdown]
# *Figures 3, 4 and 5, Table 2. Each claim, its interval (95 %, Student's, by seed), and its verdict after Holm's adjustment.*
#
# With targets **shuffled** in time, the same frames and the same network put all latents into block 0: what is no better as a
# part of another block loses by the 1 %.
#
# **What five seeds say.** In two stages each block holds its own variable ($R^2$ .99, on every seed and for every variable) and
# next to nothing of the others (.02). A swap leaves 4 % of the error of no swap.
#
# **Is that better than the baselines?** It depends on who gets which latent. In the first sweep each latent went to the
# variable it correlates with most. The iVAE-style prior's then held .69 of their own and .39 of another, and all claims
# against baselines held; but on three of five seeds none was hue's, which counts 0. With the rule above they hold .92 and .28,
# against .99 and .04. That CITRIS-NF is ahead by the same margins is now undecided: in its own by .08 [.02, .13], where .05
# was claimed, and in another by .25 [.14, .36], where it was .1 ($p = .06$ after Holm's adjustment). Against the plain VAE (.30
# of another) it is undecided, too ($p = .06$). What holds is that swaps are better: 5 % of the error against 41 %.
#
# **One stage** holds .89 on average (the iVAE-style prior .92, on other seeds), .98 on the best seed and .75 on the worst, and
# .25 of another variable: a right partition on some seeds only. That two stages are better by more than .05 is undecided, and they have 3 000
# steps, one stage 1 500. What decides? $\psi$ begins to move before the code holds anything, so holding it back should help. It
# does not: *vae-late*, in which $\psi$ and classifier wait for 40 % of the steps, holds .55, less on all five seeds, though
# after Holm's adjustment this, too, is undecided ($p = .06$). Perhaps a code that has formed under a fixed $\psi$, without the
# classifier, is hard to take apart.
#
# The sweep *decides* changes one thing at a time. **How often one intervenes decides**: with a probability of .3 in place of .8,
# blocks hold .60 (difference .29 [.09, .50]). **So does the width**: four latents for four variables hold .57
# (.32 [.14, .49]). In both, some variable has nothing of its own on every seed. What $\psi$'s *start* does is
# undecided (.90 without a preference: −.02 [−.14, .11]), the poorest seed as poor (.74).
#
# ## What this does not show
#
# - **The theorem.** That minimal causal variables are identified is proved in the paper for the best solution of (1). Tested
#   here is where training ends.
# - **Variables of several dimensions**, and interventions that leave a part of the past, for which the paper is made. Ours
#   are single numbers, set anew.
# - **Instances never seen in training**, the second claim of the abstract: the autoencoder has seen every kind of frame.
# - **The paper's other readings**: Spearman's correlation beside $R^2$, and a causal encoder, a regressor that reads swapped
#   frames. Ours are held against the true frame, which only a world that one draws oneself can give.
# - **The authors' networks and pictures.** Both are larger; our VAE's failures are ours first.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Two variables are always set together: $I_1 = I_2$. Then no target tells them apart,
# and the best tables of costs have two columns that are the same. Write `shared(table)`, a table [B, L, K + 1] in which
# columns 1 and 2 are both their mean. To exchange the two in $\psi$ is then free: what interventions do not tell apart,
# CITRIS cannot.
#
# <details><summary>Hint</summary>
#
# Three pieces, put together along the last axis: column 0, the mean twice, and the others as they are.
#
# </details>


# %% tags=["solution", "hide-input"]
def shared(table):
    """[B, L, K + 1] → the same, with columns 1 and 2 alike."""
    both = table[..., 1:3].mean(2, keepdim=True)
    return torch.cat([table[..., :1], both, both, table[..., 3:]], 2)


# %% tags=["check"]
table, psi = torch.rand(5, 4, K + 1), torch.rand(4, K + 1)
turned = psi[:, [0, 2, 1, *range(3, K + 1)]]
costs = [(p.softmax(1) * shared(table)).sum() for p in (psi, turned)]
torch.testing.assert_close(*costs)

# %% tags=["hidden", "remove-cell"]
found = shared(torch.tensor([[[7.0, 1, 3, 5]]]))
torch.testing.assert_close(found, torch.tensor([[[7.0, 2, 2, 5]]]))

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** How often must one intervene? Write `expected(n, p)`: the number of
# steps out of `n` in which a given one of the $K$ variables is set. Then train `known` and `rare` with as many
# *interventions*, by `steps`: is it their number that counts, or their share?
#
# <details><summary>Hint</summary>
#
# A step sets one of the $K$ variables with probability $p$, each as often as the others.
#
# </details>


# %% tags=["solution", "hide-input"]
def expected(n, p):
    """Steps n and probability p → a number."""
    return n * p / K


# %% tags=["check"]
for p in (0.3, 0.8):
    count, known = windows(p)[1].sum((0, 1)).cpu(), 240 * expected(100, p)
    assert ((count / known - 1).abs() < 0.1).all(), f"{count} were counted"

# %% [markdown]
# ## References
#
# - P. Lippe, S. Magliacane, S. Löwe, Y. M. Asano, T. Cohen, E. Gavves. *CITRIS: Causal Identifiability from Temporal
#   Intervened Sequences.* ICML 2022. [arXiv:2202.03169](https://arxiv.org/abs/2202.03169)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

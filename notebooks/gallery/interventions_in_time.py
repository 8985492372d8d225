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
# outside. We are told *which*, as a number; never what it is, where it is seen, or what value it got. A variable is then the
# part of the picture that forgets its past exactly when its number comes up.
#
# **You will learn**
# - why the target of an intervention is a label for a variable, and what it cannot say,
# - a prior that learns which latent belongs to which variable, and a game that keeps the blocks apart,
# - to read a partition off a matrix, and to test it by swapping blocks.
#
# **You need** what a VAE is (`start_here`), and the change of variables of a flow: a log-determinant.
#
# **Time:** 12 minutes to read; about 20 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
world = "mixed"  # how the variables are seen: through a matrix, or as pictures
# [one of mixed, pong]
variants = "known,shuffled"  # what is trained
# [some of known, shuffled, rare, unmatched, vae, vae-late, vae-free, ivae, plain]
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
from itertools import pairwise

import matplotlib.pyplot as plt
import networkx as nx
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

import mdlib
from mdlib import sweep
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
# 16 × 16 pixels, or, by default, the four numbers *mixed* by an oblique matrix. Test frames have *independent* variables,
# so that no block scores by correlation alone.


# %%
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


# %% tags=["hide-input"]
_, axes = plt.subplots(1, 5, figsize=(7, 1.7), width_ratios=[1.8, 1, 1, 1, 1])
graph = nx.DiGraph([(cause, name) for name, cause in pong.PARENTS.items()])
places = nx.circular_layout(graph)
drawn = {"font_size": 7, "node_size": 900, "node_color": "0.9"}
nx.draw_networkx(graph, places, ax=axes[0], **drawn)
axes[0].margins(0.4)
images, _, targets = pong.sequences(1, 4, seed=3)
touched = [["start"], *([NAMES[k] for k in t.nonzero()] for t in targets[0])]
for axis, image, names in zip(axes[1:], images[0], touched, strict=True):
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(names[0] if names else "nothing", fontsize=8)
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# *Figure 1. Left: who drives whom (each variable also drives itself). Right: four frames; above each, what was set from
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
# expect. Where $I_k = 1$, the past does not matter, and a learned normal takes its place. Block 0 is made cheaper by 1 %.


# %% tags=["method"]
def mlp(*sizes):
    layers = [
        m for pair in pairwise(sizes) for m in (nn.Linear(*pair), nn.SiLU())
    ]
    return nn.Sequential(*layers[:-1])


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
        start = 2.0 * matched * torch.eye(L, K)
        self.psi = nn.Parameter(F.pad(start, (1, 0)))
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
    every = torch.ones_like(drawn[..., :1])
    masks = torch.cat([drawn, every], 2).mT  # blocks 0, 1 … K, and all latents
    own = F.pad(torch.eye(K), (0, 0, 1, 1)).to(z)  # block 0 tells no target
    own[-1] = 1  # and all latents tell every target
    loss = F.binary_cross_entropy_with_logits
    true = targets[:, None].expand(-1, K + 2, -1)
    given = (z.detach(), z_next.detach(), masks.detach())
    of_classifier = loss(classifier(*given), true)
    still = {name: p.detach() for name, p in classifier.named_parameters()}
    logits = functional_call(classifier, still, (z, z_next, masks))
    wanted = torch.where(own == 1, true, targets.mean(0))
    of_code = loss(
        logits, wanted, 1 + (K - 1) * own
    )  # an own target is one of K
    return (K + 2) * (of_classifier + weight * of_code)


# %% [markdown]
# What reads the frames is a VAE; or a flow on the codes of one that has been trained before and stands still: **CITRIS-NF**.
# A flow needs no decoder in training, and its log-determinant takes the place of the entropy of $q$.


# %% tags=["method"]
class Flow(nn.Module):
    """Affine couplings and linear maps: [B, L] → z, spread 0, log-determinant [B]."""

    def __init__(self, L, couplings):
        super().__init__()
        self.half = L // 2
        maps = torch.linalg.qr(torch.randn(couplings + 1, L, L))[0]
        self.maps = nn.Parameter(maps)
        sizes = [self.half, 64, 64, 2 * (L - self.half)]
        self.nets = nn.ModuleList(mlp(*sizes) for _ in range(couplings))

    def forward(self, z):
        log_det = self.maps.slogdet()[1].sum().expand(len(z))
        z = z @ self.maps[0].T
        for W, net in zip(self.maps[1:], self.nets, strict=True):
            a, b = z.tensor_split([self.half], 1)
            log_s, t = net(a).chunk(2, 1)
            log_det = log_det + log_s.tanh().sum(1)
            z = torch.cat([a, b * log_s.tanh().exp() + t], 1) @ W.T
        return z, torch.zeros_like(z), log_det

    def inverse(self, z):
        for n in reversed(range(len(self.nets))):
            z = z @ self.maps[n + 1].inverse().T
            a, b = z.tensor_split([self.half], 1)
            log_s, t = self.nets[n](a).chunk(2, 1)
            z = torch.cat([a, (b - t) * (-log_s.tanh()).exp()], 1)
        return z @ self.maps[0].inverse().T

    def error(self, x, z):
        return 0.0  # nothing is lost


# %% tags=["method"]
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


# %% [markdown]
# Two baselines keep the VAE and change its prior. In the manner of an **iVAE**, each latent is normal given $z^t$ and *all*
# targets, without blocks. The **plain** VAE has $N(0, 1)$, and is the first stage of CITRIS-NF.


# %%
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


# %%
def fit(model, prior, x, targets, late=0.0, noise=0.0):
    """On windows x [N, 4, P]; ψ and classifier join in after the share `late` of the steps."""
    psi = prior.psi
    rest = [p for m in (model, prior) for p in m.parameters() if p is not psi]
    groups = [{"params": rest, "lr": 3e-3}]
    if psi is not None:
        classifier = Classifier(len(psi)).to(x.device)
        groups.append({"params": classifier.parameters(), "lr": 4e-3})
        groups.append({"params": [psi], "lr": 3e-3})
    adam = torch.optim.Adam(groups, fused=True)
    rate = lambda n: min(1, n / 100) * math.cos(math.pi * n / steps / 2) ** 2  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, rate)
    for n in range(steps):
        rows = torch.randint(len(x), (batch_size,), device=x.device)
        batch, told = x[rows], targets[rows].flatten(0, 1)
        batch = batch + noise * torch.randn_like(batch)
        mean, std, gain = model(batch.flatten(0, 1))
        z = mean + std * torch.randn_like(mean)
        seen = [v.unflatten(0, (-1, 4)) for v in (z, mean, std, gain)]
        old = seen[0][:, :-1].flatten(0, 1)
        new, *q, gain, frames = (v[:, 1:].flatten(0, 1) for v in (*seen, batch))
        loss = (prior(old, told, *q) - gain + model.error(frames, new)).mean()
        if psi is not None and n >= late * steps:
            loss = loss + classify(classifier, psi, old, new, told)
        adam.zero_grad()
        loss.backward()
        if psi is not None and n < late * steps:
            psi.grad = None  # then Adam leaves it alone
        adam.step()
        schedule.step()


# %%
VARIANTS = {
    "known": {},
    "shuffled": {"shuffled": True},
    "rare": {"intervened": 0.3},
    "unmatched": {"matched": False},
    "vae": {"flow": False},
    "vae-late": {"flow": False, "late": 0.4},
    "vae-free": {"flow": False, "favour": 0.0},
    "ivae": {"flow": False, "plain": False},
    "plain": {"flow": False, "plain": True},
}


@cache
def learn(flow=True, intervened=0.8, shuffled=False, late=0.0, **of_prior):
    """Frames to latents, latents to frames, and the prior."""
    x, targets = windows(intervened)
    torch.manual_seed(seed)
    if shuffled:
        order = torch.randperm(targets[..., 0].numel(), device=device)
        targets = targets.flatten(0, 1)[order].view_as(targets)
    L = latent_dim if world == "pong" else K
    kind = Conditional if "plain" in of_prior else Prior
    prior = kind(L, **of_prior).to(device)
    if not flow or world == "mixed":
        model = Flow(L, 0) if flow else VAE(x.shape[2], L)
        fit(model.to(device), prior, x, targets, late)
        return (lambda x: model(x)[0]), model.inverse, prior
    encode, decode, _ = learn(**VARIANTS["plain"])
    flow = Flow(L, 4).to(device)
    with torch.no_grad():
        h = torch.stack([encode(frames) for frames in x.unbind(1)], 1)
    fit(flow, prior, h, targets, noise=0.05)
    return (
        lambda x: flow(encode(x))[0],
        lambda z: decode(flow.inverse(z)),
        prior,
    )


# %% [markdown]
# ## Measuring a partition
#
# A regressor (nearest neighbours) guesses each variable from each block: a matrix of $R^2$, whose diagonal should be 1, all
# else 0. For a **swap**, block $k$ of another frame is put in, and what is decoded is held against the true frame, drawn
# with variable $k$ of the other; 1 is the error of no swap at all. Models without $\psi$ are helped by the truth: each
# of their latents belongs to the variable it correlates with most.


# %%
def partition(prior, z, C):
    """The variable of each latent, 0 for none."""
    if prior.psi is not None:
        return prior.psi.argmax(1).cpu()
    both = torch.corrcoef(torch.cat([z, C], 1).T)[: z.shape[1], z.shape[1] :]
    return 1 + both.nan_to_num().abs().argmax(1)


def matrix(z, own, C):
    """R² [K + 1, K] of each variable from each block, 0 from an empty one."""
    found = torch.zeros(K + 1, K)
    for k in own.unique():
        read = block_r2(z[:, own == k], C, probe="knn_regression")
        found[k] = read.per_factor.clamp(min=0)
    return found


def swap_error(decode, own, z, C):
    """Squared error of frames with swapped blocks, as a share of that without a swap."""
    errors, others = torch.zeros(2), (z.roll(1, 0), C.roll(1, 0))
    for k in range(K):
        mixed = torch.where((own == k + 1).to(z.device), others[0], z)
        true = frames_of(torch.where(torch.arange(K) == k, others[1], C))
        for n, latents in enumerate((mixed, z)):
            errors[n] += (decode(latents) - true).square().mean().cpu()
    return errors[0] / errors[1]


# %%
C = 2 * torch.rand(3000, K, generator=random_stream(seed + 1)) - 1
CELLS = [f"{block}: {name}" for block in ("none", *NAMES) for name in NAMES]
rows = []
for name in variants.split(","):
    encode, decode, prior = learn(**VARIANTS[name])
    with torch.no_grad():
        z = encode(frames_of(C))
        own = partition(prior, z.cpu(), C)
        found = matrix(z.cpu(), own, C)
        swap = swap_error(decode, own, z, C).item()
        every = block_r2(z.cpu(), C, probe="knn_regression").per_factor.min()
    right = found[1:].diagonal()
    beside = (found[1:] * (1 - torch.eye(K))).amax(1)
    row = {
        "world": world,
        "variant": name,
        "seed": seed,
        "diagonal": right.mean(),
    }
    row |= {"beside": beside.mean(), "worst": right.min(), "swap": swap}
    row |= {"from all": every, "in block 0": (own == 0).sum()}
    row |= dict(zip(CELLS, found.flatten(), strict=True))
    rows.append(
        {key: v.item() if torch.is_tensor(v) else v for key, v in row.items()}
    )
results = pd.DataFrame(rows)
mdlib.record(out, results)
results.set_index("variant").drop(columns=["world", "seed", *CELLS]).round(3)

# %% [markdown]
# *Table 1. This run, one seed. "diagonal": mean $R^2$ of each variable from its own block, "worst" the smallest of them;
# "beside": the largest $R^2$ of another variable, averaged over blocks; "from all": the smallest $R^2$ of a variable from
# all latents together.*

# %% tags=["hide-input"]
swept = sweep.read_csv("gallery_interventions_in_time")
source = swept if len(swept) else results
shown = list(dict.fromkeys(source["variant"]))
_, axes = plt.subplots(
    1, len(shown), figsize=(7, 2), sharey=True, squeeze=False
)
for axis, name in zip(axes[0], shown, strict=True):
    mean = source.loc[source["variant"] == name, CELLS].mean().to_numpy()
    axis.imshow(mean.reshape(K + 1, K), vmin=0, vmax=1, cmap="viridis")
    axis.set_xticks(range(K), NAMES, rotation=90, fontsize=7)
    axis.set_yticks(range(K + 1), ("none", *NAMES), fontsize=7)
    axis.set_title(name, fontsize=8)
    axis.grid(False)
axes[0, 0].set_ylabel("block", fontsize=8)
plt.show()

# %% [markdown]
# *Figure 2. The figure to remember. $R^2$ of each variable (columns) from each block (rows), mean over the sweep's seeds on
# pictures (where there is no sweep: this run). Yellow is 1. A partition is right if the upper row is dark where the diagonal
# below it is bright.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_interventions_in_time.yaml` before the sweep ran, with seeds no pilot had used:

# %% tags=["hide-input"]
try:
    said = sweep.claims("gallery_interventions_in_time")
    plots.claims(said, "difference, or distance from the number")
except FileNotFoundError:
    command = "mdlib sweep gallery_interventions_in_time"
    said = pd.DataFrame({"not yet run": [command]})
said[[c for c in said if c in ("says", "verdict", "n", "not yet run")]]

# %% [markdown]
# *Figure 3 and Table 2. Each claim, its interval (95 %, Student's, by seed), and its verdict after Holm's adjustment.*

# %% tags=["hide-input"]
columns = ["diagonal", "worst", "beside", "swap", "from all"]
labels = {name: name for name in shown}
plots.dots(source, columns, shown, by="variant", labels=labels)
plt.show()

# %% [markdown]
# *Figure 4. Mean ± one standard deviation over seeds.*
#
# With targets **shuffled** in time, the same frames and the same network put all latents into block 0: a column of the
# table that is no better than block 0's loses by the 1 % that block 0 is cheaper. So the matrix is the targets' work.
#
# What decides whether **one stage** ends in the right partition? One guess: $\psi$ begins to move before the code holds
# anything, since Adam's steps are as long for a faint gradient as for a strong one, and what is shared out wrongly seldom
# comes back. Then holding $\psi$ and classifier back should help: *vae-late* does so for the first 40 % of the steps. The
# other guess: the code must form *under* the partition, because a tangled code is hard to take apart while it is being
# decoded. Then *vae-late* should be worse. Both guesses are in Table 2, as the two sides of one claim.
#
# ## What this does not show
#
# - **The theorem.** That minimal causal variables are identified is proved in the paper for the best solution of (1). What is
#   tested here is where training ends.
# - **Variables of several dimensions**, and interventions that leave a part of the past, for which the paper is made. Ours
#   are single numbers, set anew.
# - **Instances never seen in training**, the second claim of the abstract: the autoencoder has seen every kind of frame.
# - **The authors' networks.** Theirs are larger and train for longer; our VAE's failures are ours first.
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
g = random_stream(seed)
table, psi = (
    torch.rand(5, 4, K + 1, generator=g),
    torch.rand(4, K + 1, generator=g),
)
turned = psi[:, [0, 2, 1, *range(3, K + 1)]]
costs = [(p.softmax(1) * shared(table)).sum() for p in (psi, turned)]
torch.testing.assert_close(*costs)
before, after = ((p.softmax(1) * table).sum() for p in (psi, turned))
assert before != after, "with targets of their own the two are told apart"

# %% tags=["hidden", "remove-cell"]
torch.testing.assert_close(shared(table).sum(2), table.sum(2))
torch.testing.assert_close(shared(table)[..., 3:], table[..., 3:])
torch.testing.assert_close(shared(table)[..., 0], table[..., 0])

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
    count = windows(p)[1].sum((0, 1)).cpu()
    assert ((count / expected(24000, p) - 1).abs() < 0.1).all(), (
        f"counted {count.tolist()}, and not {expected(24000, p)}"
    )

# %% tags=["hidden", "remove-cell"]
assert expected(0, 0.8) == 0 and expected(100, 1.0) == 25

# %% [markdown]
# ## References
#
# - P. Lippe, S. Magliacane, S. Löwe, Y. M. Asano, T. Cohen, E. Gavves. *CITRIS: Causal Identifiability from Temporal
#   Intervened Sequences.* ICML 2022. [arXiv:2202.03169](https://arxiv.org/abs/2202.03169)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

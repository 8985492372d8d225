# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How much information does contrastive learning learn?
#
# *A contrastive loss can report at most log K nats. Does it therefore learn at most log K nats?*
#
# **You will learn**
# - to make pairs of real images whose mutual information is known exactly, with no density (method 1),
# - to construct pictures that share what you choose, and only that (method 2),
# - to measure what a frozen encoder keeps, instead of reading it off its loss (method 3),
# - what the three methods say about small batches, about mutual information as a measure, and about the InfoMin
#   principle.
#
# **You need** `start_here`, and what the bounds InfoNCE, DV, JS and SMILE are (`theory/mutual_information_bounds`).
#
# **Time:** about 45 seconds on one CPU core.
#
# The questions and the three methods are those of [Lee, Kim, Kang & Rhee (2023)](https://arxiv.org/abs/2308.15704),
# whose *abstract* we have read and whose text we could not. Theorems, proofs, constructions and numbers below are
# therefore our own. None of them is quoted from the paper, and none should be quoted as the paper's.

# %% tags=["parameters"]
dataset = "digits"  # or fashion-mnist, mnist
experiments = "all"  # or some of same-class,channel,invariance,small-batches,measures,infomin,strength
budget = 0.2  # training steps, as a fraction of the full budget
max_images = 10000  # at most so many training images, and so many test images
seed = 0  # of everything that is drawn
device = "auto"  # or cpu, cuda, mps
out = ""  # folder for the results; empty writes none

# %%
import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn import functional as F

import mdlib
from mdlib import data, losses, mi, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes
from mdlib.figures import plots, tables
from mdlib.mi import bounds, critics, pairs
from mdlib.notebook import provenance
from mdlib.views import Views

plots.theme()
started = time.time()
torch.manual_seed(seed)
device = pick_device(device)
PARTS = "same-class,channel,invariance,small-batches,measures,infomin,strength"
chosen = PARTS if experiments == "all" else experiments.replace(" ", "")
chosen = chosen.split(",")
unknown = set(chosen) - set(PARTS.split(","))
if unknown:
    raise ValueError(f"experiments: {unknown} is none of {PARTS}")

# %%
size = {"size": 8} if dataset == "digits" else {}
train, test = (
    data.load(dataset, split, **size).sample(max_images).to(device)
    for split in ("train", "test")
)
M = len(train.class_names)
x_train, x_test = (s.images.flatten(1).float() / 255 for s in (train, test))
train

# %% [markdown]
# The defaults train for a fraction `budget` of the full number of steps, so that the page is quick. Full runs with
# several seeds are a sweep (`notebooks/sweeps/rigorous_mutual_information.yaml`). Where its file of results exists, a
# table below each experiment says so and shows them. Both speak in one form: a table of cases by quantities.


# %%
def steps(full):
    """So many training steps of the full budget's."""
    return max(1, round(budget * full))


def keep(experiment, frame):
    """Record a table, cases × quantities, a number a row; return it."""
    rows = frame.rename_axis("case").reset_index()
    rows = rows.melt("case", var_name="quantity", value_name="value")
    rows = rows.assign(experiment=experiment, case=rows["case"].astype(str))
    mdlib.record(out, rows)
    return frame


# %%
def swept(experiment):
    """The sweeps' tables, [data set, case, seed] × quantities; or None."""
    names = (
        "rigorous_mutual_information",
        "rigorous_mutual_information_fashion",
    )
    rows = pd.concat([sweep.read_csv(name) for name in names])
    if rows.empty:
        return None
    rows = rows[rows["experiment"] == experiment]
    if rows.empty:
        return None
    keys = ["dataset", "case", "seed"]
    order = list(rows["quantity"].unique())
    return rows.pivot_table("value", keys, "quantity", sort=False)[order]


def from_sweep(table, columns=None):
    """A sweep's table as people read it: mean ± std over seeds."""
    if table is None:
        return None
    columns = list(columns or table.columns)
    flat = table[columns].dropna(how="all").reset_index()
    shown = tables.mean_std(flat, ["dataset", "case"])
    return shown.rename_axis(columns="from the sweep's file, full budget")


# %% [markdown]
# ## Method 1: pairs of one class
#
# The mutual information of two views of a photograph is unknown, as nobody has its density. So how could one ever say
# whether an estimate is right? By choosing the pairs: draw a class $C$, then draw $X$ and $Y$ independently among the
# images of this class. (This much is verified: the public code of a later benchmark by two of the authors,
# [Lee & Rhee 2024](https://arxiv.org/abs/2410.10924), draws its pairs so.)

# %%
task = pairs.SameClass(train.images, train.labels)
held_out = pairs.SameClass(test.images, test.labels)
examples = task.sample_rows(8, torch.Generator().manual_seed(seed))
plots.image_grid(
    torch.stack([train.images[rows] for rows in examples]),
    row_labels=["x", "y"],
)
# %% [markdown]
# *Figure 1. Eight same-class pairs (columns).*
#
# ```{prf:theorem} Known information
# :label: thm-same-class
#
# Let $X$ and $Y$ be independent given $C$. Then
#
# $$ I(X;Y) = I(C;Y) - I(C;Y|X) \le \min\{I(C;X),\, I(C;Y)\} \le H(C). \tag{1} $$
#
# If moreover $C$ is a function of $X$ and a function of $Y$, then $I(X;Y) = H(C)$: with $M$ equally likely classes,
# $\log M$.
# ```
#
# ```{prf:proof}
# By the chain rule, $I(X,C;Y) = I(C;Y) + I(X;Y|C) = I(C;Y)$, since $X$ says nothing about $Y$ once $C$ is known. Also
# by the chain rule, $I(X,C;Y) = I(X;Y) + I(C;Y|X)$. Subtract. The bound by $I(C;X)$ is the same with $X$ and $Y$
# exchanged. If $C$ is a function of $X$, then $I(C;Y|X) = 0$, and if it is one of $Y$, then $I(C;Y) = H(C)$.
# ```
#
# ```{prf:corollary} A finite list of images
# :label: cor-finite-list
#
# On a finite list of labelled images, the label is a function of the list's index. So $I(X;Y) = H(C)$ holds exactly for
# the pairs drawn from the list, memorised or not. A wrong label does not change it; it makes the information harder to
# find, and lowers what can be found on other images.
# ```
#
# ```{prf:corollary} Never the same image twice
# :label: cor-distinct
#
# If $X$ and $Y$ must be different images of a class with $n_c$ images, then
# $I(X;Y) = H(C) + \sum_c p(c) \log \frac{n_c}{n_c - 1}$.
# ```
#
# ```{prf:proof}
# $I(X,C;Y) = I(C;Y) + I(X;Y|C)$ as before, where now $I(X;Y|C=c) = \log n_c - \log(n_c - 1)$: of $n_c$ equally likely
# images, $X$ rules out one.
# ```
#
# A list of twelve images is small enough to write the whole joint distribution down. Three classes, of 6, 4 and 2
# images, equally likely:


# %%
def information(joint):
    """I in nats of a joint distribution, written as a matrix."""
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    seen = joint > 0
    return (joint[seen] * (joint[seen] / product[seen]).log()).sum().item()


def joint_of(labels, distinct=False):
    """p(x, y) of same-class pairs from a list: equally likely classes."""
    one_hot, distinct = F.one_hot(labels).double(), float(distinct)
    counts = one_hot.sum(0)
    both = one_hot @ (1 / counts / (counts - distinct) / len(counts)).diag()
    return (both @ one_hot.T) * (1 - distinct * torch.eye(len(labels)))


labels = torch.tensor([0] * 6 + [1] * 4 + [2] * 2)
shuffled = labels[torch.randperm(12)]  # labels that mean nothing
excess = sum(math.log(n / (n - 1)) for n in (6, 4, 2)) / 3
for joint, truth in [
    (joint_of(labels), math.log(3)),
    (joint_of(shuffled), math.log(3)),
    (joint_of(labels, distinct=True), math.log(3) + excess),
]:
    assert abs(joint.sum() - 1) < 1e-9
    assert abs(information(joint) - truth) < 1e-9
assert abs(pairs.SameClass(x_train[:12], labels, distinct=True).information
           - math.log(3) - excess) < 1e-9  # fmt: skip
counts = train.labels.bincount()
Markdown(
    f"On {train.title}, drawing with all {M} classes equally likely: $I(X;Y) = "
    f"\\log {M} = {task.information:.4f}$ nats. Forbidding $X = Y$ would add "
    f"{(counts / (counts - 1.0)).log().mean():.4f}."
)

# %% [markdown]
# ### What an encoder may keep
#
# ```{prf:theorem} Encoders
# :label: thm-encoders
#
# Let $Z_x = h(X)$ and $Z_y = h'(Y)$. Then $I(Z_x;Z_y) \le \min\{I(C;Z_x), I(C;Z_y)\} \le H(C)$, and
# $I(Z_x; Z_y) = I(X;Y)$ if $h$ and $h'$ are injective.
# ```
#
# ```{prf:proof}
# $Z_x - X - C - Y - Z_y$ is a Markov chain; apply the data-processing inequality to its pieces. An injective map can be
# undone on its image, so that the inequality holds both ways.
# ```
#
# So the information between two codes of same-class pairs is a *lower bound on the label information in either code*.
# That is why it can serve as a measure of quality, and it needs no probe.
#
# ```{prf:theorem} Accuracy brackets
# :label: thm-brackets
#
# Let $\hat C$ be a classifier's guess from $Z$ with error $P_e$, among $M$ equally likely classes, and $h_b$ the binary
# entropy in nats. If $2 P_e \le 1 - 1/M$,
#
# $$ I(Z_x;Z_y) \ge H(\hat C) - h_b(2P_e) - 2P_e \log(M-1). \tag{2} $$
#
# With the Bayes error $P_e^*$, the least that any classifier makes,
#
# $$ I(Z_x;Z_y) \le \log M + \log(1 - P_e^*), \quad\text{that is,}\quad 1 - P_e^* \ge e^{I(Z_x;Z_y)}/M. \tag{3} $$
# ```
#
# ```{prf:proof}
# (2): by data processing, $I(Z_x;Z_y) \ge I(\hat C_x;\hat C_y) = H(\hat C_x) - H(\hat C_x|\hat C_y)$. Two guesses of
# one class differ only if one of them is wrong, so with probability $q \le 2P_e$. Fano's inequality gives
# $H(\hat C_x|\hat C_y) \le h_b(q) + q\log(M-1)$, which increases with $q$ up to $1 - 1/M$.
#
# (3): by {prf:ref}`thm-encoders`, $I(Z_x;Z_y) \le I(C;Z) = \log M - H(C|Z)$. An entropy is at least $-\log$ of the
# largest probability. So, with Jensen,
# $H(C|Z) \ge -\mathbb{E}[\log \max_c p(c|Z)] \ge -\log \mathbb{E}[\max_c p(c|Z)] = -\log(1-P_e^*)$.
# ```
#
# ```{prf:theorem} The optimal critic
# :label: thm-critic
#
# $$ r(z_x,z_y) = \frac{p(z_x,z_y)}{p(z_x)\,p(z_y)} = \sum_c \frac{p(c|z_x)\, p(c|z_y)}{p(c)}. \tag{4} $$
# ```
#
# ```{prf:proof}
# $p(z_x,z_y) = \sum_c p(c)\,p(z_x|c)\,p(z_y|c)$, and $p(z|c) = p(c|z)\,p(z)/p(c)$ by Bayes.
# ```
#
# The best critic of InfoNCE, DV and JS is $\log r$. So *any classifier is a critic*: put its posteriors into (4). To
# see the three theorems at work, draw random channels from five classes to eight codes. Everything is finite, and
# exact.


# %%
def fano(error, guess_entropy, M):
    """The lower bound (2), where it holds; else 0."""
    q = 2 * error
    if q > 1 - 1 / M:
        return 0.0
    h = -sum(p * math.log(p) for p in (q, 1 - q) if p > 0)
    return max(0.0, guess_entropy - h - q * math.log(M - 1))


# %%
draw = torch.Generator().manual_seed(seed)
prior = torch.full((5,), 0.2, dtype=torch.float64)
channels = []
for sharpness in torch.logspace(-0.5, 1.3, 250).tolist():
    noise = torch.randn(5, 8, generator=draw).double()
    p_z_given_c = (sharpness * noise).softmax(1)
    with_class = prior[:, None] * p_z_given_c  # p(c, z)
    joint = p_z_given_c.T @ with_class  # p(z_x, z_y)
    i, p_z = information(joint), with_class.sum(0)
    assert i <= information(with_class) + 1e-9  # Theorem 2

    posterior = (with_class / p_z).T  # p(c|z)
    log_r = pairs.score_matrix_from_posteriors(posterior, posterior, prior)
    ratio = joint / (p_z[:, None] * p_z)
    torch.testing.assert_close(log_r.exp(), ratio)  # Theorem 4

    correct = with_class.amax(0).sum().item()
    guessed = p_z @ F.one_hot(posterior.argmax(1), 5).double()
    lower = fano(1 - correct, torch.special.entr(guessed).sum().item(), 5)
    upper = math.log(5 * correct)
    assert lower - 1e-9 <= i <= upper + 1e-9  # Theorem 3
    channels.append((correct, lower, i, upper))

# %%
correct, lower, i, upper = np.array(sorted(channels)).T
_, axes = plt.subplots(figsize=(5, 3))
axes.fill_between(correct, lower, upper, alpha=0.2, label="brackets (2), (3)")
axes.plot(correct, i, ".", ms=3, label="exact")
axes.set(xlabel="Bayes accuracy", ylabel="$I(Z_x; Z_y)$ (nats)")
axes.legend()
plt.show()

# %% [markdown]
# *Figure 2. 250 random channels from five classes to eight codes: information between the codes of same-class pairs,
# and the brackets of {prf:ref}`thm-brackets`. The lower edge jumps about because (2) knows the entropy of the guesses.*
#
# ### What InfoNCE says, at any batch size
#
# ```{prf:theorem} The exact optimum of InfoNCE
# :label: thm-infonce-optimum
#
# For $M$ equally likely classes that can be told apart, $K$ pairs a batch and the optimal critic,
#
# $$ I_\mathrm{NCE}(K) = \log K - \mathbb{E}[\log(1+B)], \qquad B \sim \mathrm{Binomial}(K-1, 1/M), \tag{5} $$
#
# which stays below $\log K$ and tends to $\log M$ as $K$ grows.
# ```
#
# ```{prf:proof}
# By (4), $r = M$ for two images of one class and $0$ otherwise. So in each row of the score matrix the partner ties
# with the $B$ other images of its class, and the rest scores $-\infty$: the softmax gives the partner $1/(1+B)$.
# As $K \to \infty$, $(1+B)/K \to 1/M$.
# ```
#
# Classes alone make the score matrix, so we can simulate. A classifier's posteriors on real images, put into (4), work
# as well; here they are a logistic regression's, on the training pixels.


# %%
def classifier(z, labels):
    """Posteriors [N, M] of a logistic regression on codes z, as a function."""
    mean, std = z.mean(0), z.std(0) + 1e-6
    weight, bias = probes.logistic_regression((z - mean) / std, labels, 1e-3)
    return lambda new: ((new - mean) / std @ weight + bias).softmax(1)


def plug_in(posteriors, task, K, batches, seed):
    """InfoNCE with the critic (4), its mean over batches of K pairs."""
    draw = torch.Generator(posteriors.device).manual_seed(seed)
    prior = task.class_probabilities.to(posteriors)
    values = []
    for _ in range(batches):
        x, y = (posteriors[rows] for rows in task.sample_rows(K, draw))
        scores = pairs.score_matrix_from_posteriors(x, y, prior)
        values.append(bounds.infonce(scores))
    return torch.stack(values).mean().item()


def simulate(M, K):
    """InfoNCE of the optimal critic, mean over batches of K pairs."""
    c = torch.randint(M, (2**15 // K + 300, K), generator=draw)
    same = c[:, :, None] == c[:, None]
    r = torch.where(same, float(M), 0.0)
    return bounds.infonce(r.log()).mean().item()


Ks = [2, 4, 8, 16, 32, 64, 128, 256]
simulated = {m: [simulate(m, K) for K in Ks] for m in (2, 10, 100)}
of_pixels = classifier(x_train, train.labels)
posteriors = of_pixels(x_train)
on_images = [plug_in(posteriors, task, K, 20 + 2**11 // K, seed) for K in Ks]

# %%
_, axes = plt.subplots(figsize=(6, 3.4))
grid = [2**k for k in range(1, 13)]
for colour, (M_, values) in zip(
    ("C0", "C1", "C2"), simulated.items(), strict=True
):
    exact = [pairs.optimal_infonce(M_, K) for K in grid]
    axes.plot(grid, exact, color=colour, label=f"$M = {M_}$")
    axes.plot(Ks, values, "o", color=colour, ms=4)
    axes.axhline(math.log(M_), color=colour, ls=":", lw=1)
axes.plot(Ks, on_images, "kx", ms=5, label=f"{train.title}, classifier")
axes.plot(grid, np.log(grid), "k--", lw=1, label="ceiling, $\\log K$")
axes.set_xscale("log", base=2)
axes.set(xlabel="pairs in a batch, $K$", ylabel="nats", ylim=(0, 5))
axes.legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.65))
plt.show()

# %% [markdown]
# *Figure 3. The exact optimum (5), lines; simulations with the optimal critic, dots; and a classifier as a critic on
# training images, crosses. Dotted: the true information, $\log M$.*

# %%
for M_, values in simulated.items():
    for K, value in zip(Ks, values, strict=True):
        assert abs(value - pairs.optimal_infonce(M_, K)) < 0.01, (M_, K, value)
        assert value <= math.log(K) + 1e-6
assert abs(pairs.optimal_infonce(10, 256) - 2.285) < 0.001

# %% [markdown]
# Equation (5) takes the bias off a measured InfoNCE where classes are separable: at $K = 64$ and $M = 10$ the best
# possible is 2.23 nats, and not 2.30.
#
# **A bound that isn't one.** SimCLR's loss has $2K$ views in a batch, and every view is compared with $2K-1$ others. If
# we add $\log(2K-1)$ to it, is that a lower bound, too? The same argument gives the optimum
# $\log(2K-1) - \mathbb{E}[\log(1+2B)]$: the negatives come in pairs of one class. So they are not independent of each
# other, and independence is what the proof of the bound needs.

# %%
rows = []
for M_, K in [(2, 4), (10, 32), (10, 64), (100, 512)]:
    rows.append(
        {
            "M": M_,
            "K": K,
            "true I, log M": math.log(M_),
            "InfoNCE": pairs.optimal_infonce(M_, K),
            "NT-Xent + log(2K−1)": pairs.optimal_nt_xent(M_, K),
        }
    )
exact = pd.DataFrame(rows)
exact["excess"] = exact["NT-Xent + log(2K−1)"] - exact["true I, log M"]
exact.round(4)

# %% [markdown]
# *Table 1. Exact values with the optimal critic. A positive excess is a "lower bound" above the truth.*
#
# The closed form agrees with the loss that SimCLR trains on, given codes that show the class and nothing else:

# %%
values = []
for _ in range(400):
    c = torch.randint(10, (32,), generator=draw)
    u = F.one_hot(c, 10).float()[:, None].repeat(1, 2, 1)  # two equal views
    values.append(math.log(63) - losses.info_nce(u, temperature=0.01))
assert abs(np.mean(values) - pairs.optimal_nt_xent(10, 32)) < 0.02
assert (exact["excess"] > 0).any() and exact["excess"].max() < 0.2
assert (exact["InfoNCE"] < exact["true I, log M"]).all()

# %% [markdown]
# ```{prf:corollary} Augmented pairs
# :label: cor-augmented
#
# Two random views of one image are a same-class pair whose class is the image itself. If no view loses its image's
# identity, $I(X;Y) = \log N$ for $N$ equally likely images.
# ```
#
# ```{prf:proof}
# {prf:ref}`thm-same-class` with $C$ the number of the image.
# ```

# %%
Markdown(
    "| N | log N (nats) | log 2K at K = 256 |\n|---|---|---|\n"
    + "\n".join(
        f"| {N:,} ({what}) | {math.log(N):.2f} | {math.log(512):.2f} |"
        for what, N in [
            (train.title, len(train)),
            ("CIFAR-10", 50_000),
            ("ImageNet-1k", 1_281_167),
        ]
    )
)

# %% [markdown]
# No usual batch reaches these. On augmented pairs, the InfoNCE of training stands at its ceiling and says little about
# anything.
#
# ## Method 2: pictures that share what we choose
#
# Same-class pairs share one thing. To ask *which* information is shared, one needs pictures with several known factors.
# The paper is said to have a data set for that, CDP, whose construction we do not know. **CDP-mini** is our own: a
# digit of 8 × 8 pixels (10 classes), in one of eight colours, at one of four places, all uniform and independent. The
# two pictures of a pair share a chosen set $S$ of factors. Everything else, including which image of the digit, is
# drawn twice. The shared factors are a class, so {prf:ref}`thm-same-class` gives
#
# $$ I(X;Y) = \sum_{f \in S} H(f). \tag{6} $$

# %%
digits = [data.load("digits", s, size=8).to(device) for s in ("train", "test")]
SHARED = ["d", "dc", "dp", "dcp", "c", "p", "cp"]  # initials of the factors


def cdp(split, shared):
    names = [f for f in pairs.CdpMini.FACTORS if f[0] in shared]
    return pairs.CdpMini(split.images, split.labels, names)


sheet, names = [], []
for shared in ("d", "cp", "dcp"):
    drawn = cdp(digits[0], shared)
    for z, side in zip(
        drawn.sample(8, draw.manual_seed(seed)), "xy", strict=True
    ):
        sheet.append(z.unflatten(1, (3, 12, 12)))
        names.append(f"{side}: {drawn.information:.2f} nats")
plots.image_grid(torch.stack(sheet), row_labels=names)
# %% [markdown]
# *Figure 4. CDP-mini. Pairs that share the digit (rows 1, 2), colour and position (rows 3, 4), all three (rows 5, 6).*
#
# A second construction turns information up and down. Let $X$ show $d$ fair bits, each as a random image of a 0 or a 1,
# side by side; $Y$ shows the same bits, each flipped with probability $p$, as new images.
#
# ```{prf:corollary} A noisy channel of images
# :label: cor-channel
#
# $I(X;Y) = d\,(\log 2 - h_b(p))$.
# ```
#
# ```{prf:proof}
# $X - B - B' - Y$ is a Markov chain, where the bits $B$ and $B'$ are functions of $X$ and of $Y$. So
# $I(X;Y) = I(B;B')$, which is the capacity of $d$ uses of a binary symmetric channel.
# ```
#
# Ten bits let us climb from 2 to 10 bits in steps, with one critic for each estimator that is trained on throughout.

# %%
CLIMBERS = ["infonce", "dv", "smile-5"]


def channel(bits_per_level=(2, 4, 6, 8, 10)):
    zero, one = (digits[0].images[digits[0].labels == c] for c in (0, 1))
    levels = [
        pairs.BinaryChannel(zero, one, information=bits * math.log(2))
        for bits in bits_per_level
    ]
    each = steps(700)
    draw = torch.Generator(device).manual_seed(seed)
    dim = levels[0].sample(1, draw)[0].shape[1]
    critic = critics.create(
        "separable", dim, dim, len(CLIMBERS), seed, layers=2
    ).to(device)
    values = mi.train(
        critic, CLIMBERS, lambda step, n: levels[step // each].sample(n, draw),
        steps=each * len(levels), lr=5e-4,
    )  # fmt: skip
    values = values.droplevel("seed", axis=1) / math.log(2)  # in bits
    values["true"] = np.repeat(bits_per_level, each)
    last = values.groupby("true").tail(max(1, each // 3)).groupby("true")
    frame = last.mean().join(last.std().add_suffix(" sd"))
    return values, frame.set_axis([f"{b} bits" for b in frame.index])


# %%
if "channel" in chosen:
    climb, table = channel()
    keep("channel", table)
    _, axes = plt.subplots(figsize=(6.5, 3.2))
    step = climb.index.to_numpy()
    for name, colour in zip(CLIMBERS, ("C0", "C1", "C2"), strict=True):
        smooth = climb[name].rolling(max(2, steps(50)), min_periods=1).mean()
        axes.plot(step, climb[name], color=colour, lw=0.3, alpha=0.4)
        axes.plot(step, smooth, color=colour, label=mi.ESTIMATORS[name].title)
    axes.plot(step, climb["true"], "k", lw=1, label="true")
    axes.axhline(6, color="k", ls="--", lw=1, label="log 64")
    axes.set(xlabel="training step", ylabel="bits", ylim=(-0.5, 16))
    axes.legend(ncol=2, fontsize=8)
    plt.show()

# %% [markdown]
# *Figure 5. Estimates in bits (1 bit = 0.69 nats) while the true information climbs, K = 64; thick: running mean.*
#
# InfoNCE stays under its ceiling of 6 bits, whatever the truth. DV follows further, and scatters. SMILE-5 has neither a
# ceiling nor a guarantee: at the full budget it ends above the truth.

# %%
full = swept("channel")
from_sweep(full, CLIMBERS + [f"{name} sd" for name in CLIMBERS])

# %%
if full is not None:
    m = full.groupby("case", sort=False).mean()
    assert ((m["infonce"] - [1.65, 3.19, 4.52, 5.39, 5.92]).abs() < 0.25).all()
    assert (full["infonce"] <= 6).all()
    assert m["dv"].is_monotonic_increasing and m["dv sd"].iloc[-1] >= 1
    assert m["smile-5"].iloc[-1] > 10  # above the truth: no bound

# %% [markdown]
# ## Method 3: measure after training
#
# What training reports is the value of *its* critic (a cosine over a temperature) at *its* batch size. What an encoder
# $h$ keeps is a property of $h$ alone. So ask the frozen encoder:
#
# 1. Train $h$, with any loss, any $K$, any pairs. Freeze it.
# 2. Choose pairs for the *evaluation*. Same-class pairs have a known truth.
# 3. Compute codes and say which: here the unit vectors on which the loss was computed. Standardise them by the training
#    codes, or scale them; either map is invertible and loses nothing.
# 4. Train a *fresh* critic on these codes with large batches (here separable, one hidden layer, $K = 256$).
# 5. Report its value on fresh pairs with a still larger $K = 512$, from training and from held-out images separately.
#
# Contrastive learning itself is a critic that climbs InfoNCE. So one function trains both, a stack of many encoders or
# critics at a time.


# %%
class Cosine(nn.Module):
    """f(x, y) = cos(h(x), h(y)) / τ: a stack of encoders, a temperature each."""

    def __init__(self, sizes, temperatures):
        super().__init__()
        self.h = critics.mlp(len(temperatures), sizes)
        self.register_buffer("tau", torch.tensor(temperatures)[:, None, None])

    def encode(self, x):
        """[N, D] or [members, N, D] → unit vectors [members, N, d]."""
        return F.normalize(self.h(x), dim=-1)

    def forward(self, x, y):
        return self.encode(x) @ self.encode(y).mT / self.tau


def encoders(sizes, temperatures, seed):
    """A stack of untrained encoders."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Cosine(sizes, temperatures).to(device)


def contrast(cosine, sample, full_steps, K):
    """Train a stack of encoders; the InfoNCE of each step, [step, member]."""
    members = len(cosine.tau)
    values = mi.train(
        cosine, ["infonce"], sample, steps=full_steps,
        batch_size=K, lr=1e-3, seeds=members,
    )  # fmt: skip
    return values["infonce"]


# %%
def code_pairs(codes, task, seed):
    """Same-class pairs of frozen codes [members, N, d]: same rows for all."""
    draw = torch.Generator(codes.device).manual_seed(seed)

    def sample(step, n):
        rows = task.sample_rows(n // len(codes), draw)
        return [codes[:, r].flatten(0, 1) for r in rows]

    return sample


def afterwards(dim, members, on_train, on_test, seed, **options):
    """InfoNCE of a fresh critic on pairs of codes; a row an encoder."""
    options = {"hidden": 64, "layers": 1, "K": 512, "steps": 400} | options
    K, n = options.pop("K"), options.pop("steps")
    critic = critics.create("separable", dim, dim, members, seed, **options)
    critic, common = critic.to(device), {"seeds": members}
    mi.train(critic, ["infonce"], on_train, steps=max(100, steps(n)),
             batch_size=256, lr=2e-3, **common)  # fmt: skip
    values = [
        mi.evaluate(critic, ["infonce"], s, batches=10, batch_size=K, **common)
        for s in (on_train, on_test)
    ]
    columns = ["MI, train", "MI, held-out"]
    return pd.DataFrame([v["infonce"].mean() for v in values], columns).T


# %%
def codes(cosine):
    """Codes of all training and test images, standardised by the former."""
    with torch.no_grad():
        z, z_test = (cosine.encode(x) for x in (x_train, x_test))
    mean, std = z.mean(1, keepdim=True), z.std(1, keepdim=True) + 1e-6
    return (z - mean) / std, (z_test - mean) / std


def scaled(cosine):
    """The encoders as a function, its columns of about unit size."""

    @torch.no_grad()
    def encode(x):
        z = cosine.encode(x)
        return z * z.shape[-1] ** 0.5

    return encode


def accuracy(z, labels, z_test, labels_test):
    """Of a logistic regression on each code of a stack."""
    return [
        (classifier(a, labels)(b).argmax(1) == labels_test)
        .float()
        .mean()
        .item()
        for a, b in zip(z, z_test, strict=True)
    ]


# %% [markdown]
# ### Every estimator, where the truth is known
#
# First no encoder at all, only pixels and critics: $I = \log 10$. All estimators train in one pass. The last row trains
# nothing but a classifier and puts it into (4).

# %%
ALL = ["infonce", "nwj", "dv", "mine", "js", "smile-1", "smile-5", "smile-inf"]


def same_class():
    dim, rows = x_train.shape[1], []
    critic = critics.create(
        "separable", dim, dim, len(ALL), seed, hidden=128, layers=2
    ).to(device)
    fit, new = (
        code_pairs(x[None], t, seed + 1)
        for x, t in ((x_train, task), (x_test, held_out))
    )
    mi.train(critic, ALL, fit, steps=steps(1500), lr=1e-3)
    for K, (side, sample, p, t) in itertools.product(
        (64, 512),
        [
            ("train", fit, of_pixels(x_train), task),
            ("held-out", new, of_pixels(x_test), held_out),
        ],
    ):
        values = mi.evaluate(critic, ALL, sample, batches=40, batch_size=K)
        values = values.droplevel("seed", axis=1)
        column = values.mean().rename(mi_titles)
        column["classifier"] = plug_in(p, t, K, 40, seed)
        error = (values.std() / 40**0.5).rename(mi_titles)
        rows += [column.rename(f"{side}, K = {K}")]
        rows += [error.rename(f"s.e. {side}, K = {K}")]
    return pd.DataFrame(rows).T.fillna(0.0)


mi_titles = {name: mi.ESTIMATORS[name].title for name in ALL}
SIDES = [
    f"{side}, K = {K}" for K in (64, 512) for side in ("train", "held-out")
]
if "same-class" in chosen:
    display(keep("same-class", same_class())[SIDES].round(3))

# %% [markdown]
# *Table 2. Same-class pairs of pixels, nats.*

# %%
full = swept("same-class")
from_sweep(full, SIDES)

# %%
if full is not None:
    m = full.xs("digits").groupby("case", sort=False).mean()
    se = m[[f"s.e. {side}" for side in SIDES]].set_axis(SIDES, axis=1)
    lower = ["InfoNCE", "NWJ", "JS", "classifier"]
    assert (m[SIDES] <= math.log(10) + 2 * se).loc[lower].all(axis=None)
    assert m.loc["InfoNCE", "train, K = 512"] >= 2.2
    assert m.loc["InfoNCE", "held-out, K = 512"] >= 1.9
    assert m.loc["SMILE-1", "train, K = 512"] > 2.5
    heldout = m["held-out, K = 512"]
    assert abs(heldout["classifier"] - heldout["InfoNCE"]) < 0.1

Markdown(
    f"The truth is {task.information:.3f} nats, and InfoNCE at $K = 64$ cannot "
    f"report more than {pairs.optimal_infonce(M, 64):.3f} here, by (5)."
)

# %% [markdown]
# - On training images the lower bounds come nearer to the truth the longer they train, and stay below it. SMILE with
#   its clip at 1 does not stay below at the full budget: it is no bound.
# - On held-out images the same critics find less. The information is there all the same, $\log 10$ by
#   {prf:ref}`cor-finite-list`. What is missing is a critic that has learned it.
# - A logistic regression in (4) is as good a critic on held-out images as the neural ones, for a second's work.
#
# ### The same information, in a worse form
#
# Information is not the whole story of a representation. Take the pixels, cut them at random into two halves, add to
# one half a wild function of the other, and repeat. Each step can be undone, so by {prf:ref}`thm-encoders` the
# information stays exactly $\log 10$. A linear probe is not so patient (after Tschannen et al. 2020, who trained
# invertible networks for and against accuracy).


# %%
def coupling_layers(dim, seed, depth=6, hidden=64):
    draw = torch.Generator().manual_seed(seed)
    for _ in range(depth):
        a, b = torch.randperm(dim, generator=draw).split(dim // 2)
        first = torch.randn(dim // 2, hidden, generator=draw)
        last = torch.randn(hidden, dim // 2, generator=draw) / hidden**0.5
        yield a.to(device), b.to(device), first.to(device), last.to(device)


def coupled(x, scale, seed, undo=False):
    """x [N, D] after six additive couplings; or before them."""
    x, layers = x.clone(), list(coupling_layers(x.shape[1], seed))
    for a, b, first, last in reversed(layers) if undo else layers:
        shift = scale * (x[:, a] @ first.to(x)).sin() @ last.to(x)
        x[:, b] += -shift if undo else shift
    return x


exact = x_test.double()
there = coupled(exact, 1.0, seed)
assert (coupled(there, 1.0, seed, undo=True) - exact).abs().max() < 1e-3

# %%
SCALES = [0, 1, 4, 16]


def invariance():
    z, z_test = (
        torch.stack([coupled(x, scale, seed) for scale in SCALES])
        for x in (x_train, x_test)
    )
    mean, std = z.mean(1, keepdim=True), z.std(1, keepdim=True) + 1e-6
    z, z_test = (z - mean) / std, (z_test - mean) / std
    found = afterwards(
        z.shape[2], len(z), code_pairs(z, task, seed + 1),
        code_pairs(z_test, held_out, seed + 2), seed, hidden=128, steps=1500,
    )  # fmt: skip
    probe = [classifier(a, train.labels) for a in z]
    for name, codes_, split in (
        ("accuracy, train", z, train),
        ("accuracy", z_test, test),
    ):
        found[name] = [
            (p(a).argmax(1) == split.labels).float().mean().item()
            for p, a in zip(probe, codes_, strict=True)
        ]
    return found.set_axis([f"scale {s}" for s in SCALES])


if "invariance" in chosen:
    display(keep("invariance", invariance()).round(3))

# %% [markdown]
# *Table 3. Pixels after invertible maps of growing wildness. The true information is $\log 10$ in every row. The
# accuracy of a linear probe falls. So does the estimate of a critic (nats), which on held-out images goes below zero:
# it has learned the training images by heart, and is sure of itself elsewhere. Both are learners of limited means.*

# %%
full = swept("invariance")
from_sweep(full)

# %%
if full is not None:
    a = full["accuracy"].groupby(["dataset", "case"], sort=False).mean()
    for _, by_scale in a.groupby("dataset"):
        assert by_scale.iloc[0] - by_scale.iloc[-1] >= 0.1

# %% [markdown]
# ## Re-assessment (a): small batches
#
# *InfoNCE cannot report more than $\log K$, so small batches must learn less.* It is a natural inference, and it takes
# a property of the gauge for one of the thing. The optimal critic is $\log p(y|x)/p(y) + c(x)$ at *every* $K \ge 2$:
# the batch size moves the noise of the gradients and the number on the dial, not the goal.
#
# Train the same encoder at several $K$, on the same pairs in the same order, so that all have seen equally many. Then
# measure with one fresh critic for all. We do it with same-class pairs, and again with views of one image and no
# labels, as contrastive learning is used.


# %%
def law(s):
    """Random views of strength s; at 0 the image itself."""
    if s == 0:
        return Views()
    return Views(
        crop=(max(0.1, 1 - 0.3 * s), 1.0),
        rotation=20 * s,
        brightness=0.3 * s,
        noise=0.1 * s,
    )


on_device = torch.Generator(device)
plots.image_grid(
    torch.stack(
        [
            law(s)(train.images[:8], 1, on_device.manual_seed(seed))[0][:, 0]
            for s in (0, 0.5, 1, 2)
        ]
    ),
    row_labels=[f"s = {s}" for s in (0, 0.5, 1, 2)],
)

# %% [markdown]
# *Figure 6. Views of strength s: smaller crops, larger angles, more brightness and noise.*


# %%
def seen_pairs(kind, n, seed):
    """n training pairs x, y [n, D], of one class or two views of one image."""
    draw = torch.Generator(device).manual_seed(seed)
    if kind == "same class":
        return task.sample(n, draw)
    rows = torch.randint(len(train), (n,), generator=draw, device=device)
    views = [law(1)(train.images[r], 2, draw)[0] for r in rows.split(512)]
    return torch.cat(views).flatten(2).unbind(1)


# %%
def small_batches(kind, Ks=(2, 4, 8, 16, 64, 256)):
    x, y = seen_pairs(kind, max(5120, steps(25600)), seed + 1)
    rows, z, z_test = [], [], []
    for K in Ks:
        cosine = encoders([x.shape[1], 128, 32], [0.2], seed)
        values = contrast(
            cosine, lambda i, n: (x[i * n : i * n + n], y[i * n : i * n + n]),
            len(x) // K, K,
        )[0]  # fmt: skip
        last = values.tail(max(1, len(values) // 10))
        rows.append({"training": last.mean(), "training, max": last.max()})
        for stack, new in zip((z, z_test), codes(cosine), strict=True):
            stack.append(new)
    z, z_test = torch.cat(z), torch.cat(z_test)
    found = afterwards(
        32, len(Ks), code_pairs(z, task, seed + 2),
        code_pairs(z_test, held_out, seed + 3), seed,
    )  # fmt: skip
    found["accuracy"] = accuracy(z, train.labels, z_test, test.labels)
    found["classifier"] = [
        plug_in(classifier(a, train.labels)(b), held_out, 512, 20, seed)
        for a, b in zip(z, z_test, strict=True)
    ]
    found = found.assign(**pd.DataFrame(rows), ceiling=np.log(Ks))
    return found.set_axis([f"{kind}, K = {K}" for K in Ks])


# %%
small = {}
if "small-batches" in chosen:
    for kind in ("same class", "views"):
        small[kind] = keep("small batches", small_batches(kind))
    _, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
    for axis, (kind, table) in zip(axes, small.items(), strict=True):
        Ks = np.exp(table["ceiling"])
        axis.plot(Ks, table["ceiling"], "k--", lw=1, label="$\\log K$")
        axis.axhline(math.log(M), color="k", ls=":", lw=1)
        axis.plot(Ks, table["training"], "o-", color="C3", label="in training")
        for side, style in (("train", "s-"), ("held-out", "^-")):
            column = table[f"MI, {side}"]
            axis.plot(Ks, column, style, color="C0", label=f"after: {side}")
        axis.set_xscale("log", base=2)
        axis.set(xlabel="training batch, $K$", title=kind, ylim=(0, 5.8))
    axes[0].set_ylabel("nats")
    axes[0].legend(fontsize=8)
    plt.show()
    columns = ["training, max", "ceiling", "MI, train", "MI, held-out"]
    display(pd.concat(small.values())[[*columns, "accuracy"]].round(3))

# %% [markdown]
# *Figure 7 and Table 4. Encoders trained at batch size K: the InfoNCE of their training (mean of the last tenth; with
# views it is an estimate of another, larger information), and the same-class information of the frozen codes by a fresh
# critic. Dotted: $\log 10$, the most that any code can have. Accuracy: logistic regression on the codes, test images.*

# %%
for table in small.values():
    assert (table["training, max"] <= table["ceiling"] + 1e-5).all()
    if dataset == "digits" and budget >= 0.2:  # what we have looked at
        assert table["MI, train"].iloc[0] > 2 * table["ceiling"].iloc[0]

# %%
full = swept("small batches")
from_sweep(full, ["training, max", "ceiling", "MI, train", "MI, held-out",
                  "accuracy"])  # fmt: skip

# %%
if full is not None:
    assert (full["training, max"] <= full["ceiling"] + 1e-5).all()
    m = full.xs("digits").groupby("case", sort=False).mean()
    for kind, points in (("same", 0.025), ("views", 0.04)):
        part = m[m.index.str.startswith(kind)]
        assert part["accuracy"].max() - part["accuracy"].min() <= points
    m = m[m.index.str.startswith("same")]
    assert (m["MI, train"].iloc[:2] >= 2.2).all()
    assert m["MI, held-out"].max() - m["MI, held-out"].min() < 0.15

# %% [markdown]
# The encoder that was trained with two pairs a batch never saw a value above $\log 2 = 0.69$ nats, and holds more than
# twice that.
#
# And the brackets of {prf:ref}`thm-brackets`? Accuracy on held-out images bounds the information from below by (2), and
# an estimate that does not exceed the information bounds the best possible accuracy from below by (3):

# %%
if small:
    table = pd.concat(small.values())
    bracket = pd.DataFrame(
        {
            "Fano (2)": [
                fano(1 - a, math.log(M), M) for a in table["accuracy"]
            ],
            "classifier (4)": table["classifier"],
            "fresh critic": table["MI, held-out"],
            "accuracy needed (3)": np.exp(table["MI, held-out"]) / M,
            "accuracy": table["accuracy"],
        }
    )
    assert (bracket["accuracy needed (3)"] <= bracket["accuracy"] + 0.02).all()
    assert (bracket["Fano (2)"] <= math.log(M)).all()
    if dataset == "digits":  # (2) stands on few test images: some slack
        slack = bracket["classifier (4)"] + 0.1 - bracket["Fano (2)"]
        assert (slack > 0).all()
    display(bracket.round(3))

# %% [markdown]
# *Table 5. Held-out images: lower bound by (2), assuming balanced guesses; two estimates of the information; the
# accuracy that the fresh critic's estimate demands of the best classifier by (3); the accuracy of a linear one. All
# nats but the last two.*
#
# ## Re-assessment (b): information as a measure
#
# Can one number say how good an encoder is, without a probe? Candidates for unit vectors $z$ are **alignment**
# $\mathbb{E}\|z - z^+\|^2$ of positive pairs and **uniformity** $\log \mathbb{E}\, e^{-2\|z-z'\|^2}$ of independent
# ones ([Wang & Isola 2020](https://arxiv.org/abs/2005.10242)); **tolerance**, the mean cosine of two images of a class
# (after [Wang & Liu 2021](https://arxiv.org/abs/2012.09740)); the InfoNCE of training; and information after training,
# with same-class pairs or with views.


# %%
def alignment(z, z_plus):
    """[..., N, d] unit vectors → [...]."""
    return (z - z_plus).square().sum(-1).mean(-1)


def uniformity(z):
    """[..., N, d] unit vectors → [...]; off the diagonal."""
    kernel = (-2 * (2 - 2 * z @ z.mT)).exp()
    n = z.shape[-2]
    return ((kernel.sum((-1, -2)) - n) / (n * (n - 1))).log()


def tolerance(z, labels):
    """Mean cosine of two different images of one class."""
    same = (labels[:, None] == labels).float().fill_diagonal_(0)
    return ((z @ z.mT) * same).sum((-1, -2)) / same.sum()


# %% [markdown]
# For uniform vectors on the sphere in $m$ dimensions, the uniformity is $-4 + \log {}_0F_1(; m/2; 4)$, and their
# alignment is 2. Equal vectors have both 0.

# %%
from scipy.special import hyp0f1

for m in (2, 128):
    z, other = F.normalize(torch.randn(2, 2000, m, generator=draw), dim=-1)
    assert abs(uniformity(z) - (-4 + math.log(hyp0f1(m / 2, 4)))) < 0.02
    assert abs(alignment(z, other) - 2) < 0.15
assert alignment(z, z) == 0 and abs(uniformity(z[:1].expand(9, -1))) < 1e-5

# %% [markdown]
# The family: encoders trained *without labels*, on views of four strengths, at three temperatures, for 0, 30 and 150
# steps. All 12 encoders of a length train in one stack. A member sees views of its own strength; the images are
# the same for all.


# %%
def view_pairs(images, strengths, seed, encode=lambda views: views):
    """Pairs of views, member m's of strength strengths[m]; same images."""
    draw = torch.Generator(device).manual_seed(seed)
    laws = {s: law(s) for s in sorted(set(strengths))}

    def sample(step, n):
        n = n // len(strengths)
        rows = torch.randint(len(images), (n,), generator=draw, device=device)
        views = {
            s: of(images[rows], 2, draw)[0].flatten(2) for s, of in laws.items()
        }
        both = torch.stack([views[s] for s in strengths])  # [members, n, 2, D]
        return [encode(v).flatten(0, 1) for v in both.unbind(2)]

    return sample


# %%
def measures(cosine, training):
    """Every measure of a stack of encoders; a row an encoder."""
    members, dim = len(cosine.tau), cosine.encode(x_test[:1]).shape[-1]
    z, z_test = codes(cosine)
    common = [1] * members  # all are measured on views of one strength
    same = afterwards(
        dim, members, code_pairs(z, task, seed + 2),
        code_pairs(z_test, held_out, seed + 3), seed,
    )  # fmt: skip
    views = afterwards(dim, members, *(
        view_pairs(s.images, common, seed + i, scaled(cosine))
        for i, s in enumerate((train, test), 4)
    ), seed)  # fmt: skip
    u = cosine.encode(x_test)
    of_views = view_pairs(test.images, common, seed + 6, cosine.encode)
    x, y = (v.unflatten(0, (members, -1)) for v in of_views(0, members * 512))
    a, b = held_out.sample_rows(2000, torch.Generator(device).manual_seed(seed))
    return {
        "same-class MI, held-out": same["MI, held-out"],
        "same-class MI, train": same["MI, train"],
        "MI of views, held-out": views["MI, held-out"],
        "InfoNCE of training": training,
        "−uniformity": -uniformity(u[:, :2000]),
        "−alignment, views": -alignment(x, y),
        "−alignment, same class": -alignment(u[:, a], u[:, b]),
        "tolerance": tolerance(u[:, :2000], test.labels[:2000]),
        "accuracy": accuracy(z, train.labels, z_test, test.labels),
    }


# %%
def family():
    grid = list(itertools.product((0, 0.5, 1, 2), (0.07, 0.2, 1.0)))
    strengths, temperatures = zip(*grid, strict=True)
    tables = []
    for n, length in enumerate((0, 30, 150)):
        sizes = [x_train.shape[1], 64, 8]
        cosine = encoders(sizes, temperatures, 100 * seed + n)
        sample = view_pairs(train.images, strengths, seed + 1)
        if length:
            contrast(cosine, sample, length, 128)
        training = mi.evaluate(
            cosine, ["infonce"], sample, batches=5, batch_size=128, seeds=12
        )
        cosine.requires_grad_(False)
        table = measures(cosine, training["infonce"].mean())
        table = pd.DataFrame(
            {k: np.array([*v], float) for k, v in table.items()}
        )
        names = [f"s = {s}, τ = {t}, {length} steps" for s, t in grid]
        tables.append(table.set_axis(names))
    return pd.concat(tables)


# %% [markdown]
# Do a measure and the accuracy of a linear probe put two encoders in the same order? Kendall's $\tau_b$ asks that of
# every pair of encoders: 1 for always, $-1$ for never. The encoders are a sample, so we resample *them* (the bootstrap)
# for a confidence interval, and for the difference of two measures we resample both together.


# %%
def kendall(a, b, weights):
    """τ_b of a and b [N] when encoder i counts weights[..., i] times."""
    a, b = (np.asarray(v) for v in (a, b))
    a, b = (np.sign(np.subtract.outer(v, v)) for v in (a, b))
    agree, a, b = (
        np.einsum("...i,ij,...j->...", weights, m, weights, optimize=True)
        for m in (a * b, a**2, b**2)
    )
    return agree / np.sqrt(a * b)


# %%
def rank_table(table, n=2000):
    """τ_b of each measure with accuracy: mean over seeds, its 95% interval.

    An encoder is resampled in all seeds at once.
    """
    runs = [t for _, t in table.groupby(level="seed", sort=False)]
    N, draw = len(runs[0]), np.random.default_rng(seed)
    drawn = draw.multinomial(N, np.full(N, 1 / N), n)
    tau = {
        name: np.array([kendall(t[name], t["accuracy"], drawn) for t in runs])
        for name in table.columns.drop("accuracy")
    }
    first, rows = tau["same-class MI, held-out"].mean(0), {}
    for name, values in tau.items():
        each = [kendall(t[name], t["accuracy"], np.ones(N)) for t in runs]
        low, high = np.quantile(values.mean(0), [0.025, 0.975])
        less, more = np.quantile(first - values.mean(0), [0.025, 0.975])
        rows[name] = {
            "τ": np.mean(each), "low": low, "high": high, "std over seeds": np.std(each, ddof=len(runs) > 1),
            "first − this: low": less, "first − this: high": more,
        }  # fmt: skip
    frame = pd.DataFrame(rows).T
    return frame if len(runs) > 1 else frame.drop(columns="std over seeds")


from scipy.stats import kendalltau

a, b = np.random.default_rng(0).integers(0, 9, (2, 30))
assert abs(kendall(a, b, np.ones(30)) - kendalltau(a, b).statistic) < 1e-9


# %%
def scatters(table):
    _, axes = plt.subplots(2, 4, figsize=(7, 4), sharey=True)
    for axis, name in zip(
        axes.flat, table.columns.drop("accuracy"), strict=True
    ):
        trained = table.index.get_level_values("case").str.extract(
            r"(\d+) steps"
        )
        sns.scatterplot(
            x=table[name].to_numpy(), y=table["accuracy"].to_numpy(),
            hue=trained[0].to_numpy(), ax=axis, s=18, palette="viridis", legend=axis is axes[0, 0],
        )  # fmt: skip
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0, 0].legend(title="steps", fontsize=6, title_fontsize=6)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    plt.show()


# %%
def verdict(ranks, where):
    """In words: which measures the first is better than, and which not."""
    rest = ranks.iloc[1:]
    better = rest["first − this: low"] > 0
    lists = ("; ".join(rest.index[x]) or "none" for x in (better, ~better))
    text = (
        "{}: same-class information on held-out images orders encoders better "
        "than *{}*; undecided against *{}*."
    )
    return Markdown(text.format(where, *lists))


if "measures" in chosen:
    table = keep("measures", family()).rename_axis("case")
    table = table.assign(seed=seed).set_index("seed", append=True)
    scatters(table)
    ranks = rank_table(table)
    display(ranks.round(2), verdict(ranks, f"{train.title}, one seed"))

# %% [markdown]
# *Figure 8. Each dot an encoder: a measure of it (information and InfoNCE in nats) against the accuracy of a linear
# probe. Table 6. Kendall's $\tau_b$ with accuracy and its 95% bootstrap interval; the same for how much larger that of
# the first row is. An interval that holds 0 decides nothing.*

# %%
full, ranks = swept("measures"), {}
if full is not None:
    for name, table in full.groupby(level="dataset", sort=False):
        ranks[name] = rank_table(table)
    shown = pd.concat(ranks).round(2)
    display(shown.rename_axis(columns="from the sweep's file, full budget"))
    for name, table in ranks.items():
        display(verdict(table, f"{name}, all seeds of the sweep"))

# %%
if "digits" in ranks:
    r = ranks["digits"]
    tau, others = r["τ"], r.index[4:]  # uniformity, alignment, tolerance
    assert tau.iloc[0] >= 0.5 and (tau[others] <= tau.iloc[0] - 0.2).all()
    assert (tau[others[1:]].abs() <= 0.3).all()
    assert r["first − this: low"]["InfoNCE of training"] > 0

# %% [markdown]
# Alignment and tolerance alone are fooled by an encoder that maps everything to one point; uniformity alone by noise.
# They are two halves of one trade-off. And they are not properties of the *information*: an invertible map of the codes
# changes them. The price of mutual information is in its first line: "same-class" means labels. With labels at hand,
# one could have trained the probe.
#
# ## Re-assessment (c): should views share as little as possible?
#
# The **InfoMin** principle ([Tian et al. 2020](https://arxiv.org/abs/2005.10243)): of all views that share what the
# task needs, the best share nothing else. On CDP-mini we know what is shared. Seven encoders, one for each set of
# shared factors, train side by side; a linear probe asks each for each factor.


# %%
def infomin(K=128, width=64):
    learn, new = ([cdp(split, s) for s in SHARED] for split in digits)

    def sampler(tasks, seed, encode=lambda v: v):
        draw = torch.Generator(device).manual_seed(seed)

        def sample(step, n):
            drawn = [t.sample(n // len(tasks), draw) for t in tasks]
            return [
                encode(torch.stack(v)).flatten(0, 1)
                for v in zip(*drawn, strict=True)
            ]

        return sample

    cosine = encoders([432, 256, width], [0.2] * len(SHARED), seed)
    n = max(100, steps(500 if K >= 128 else 2000))
    contrast(cosine, sampler(learn, seed + 1), n, K)
    encode = scaled(cosine)
    found = afterwards(
        width, len(SHARED), sampler(learn, seed + 2, encode),
        sampler(new, seed + 3, encode), seed, hidden=128, K=1024,
    )  # fmt: skip
    found.insert(0, "true MI", [t.information for t in learn])
    draw = torch.Generator(device).manual_seed(seed + 4)
    (x, f), (x_new, f_new) = (t[0].labelled(3000, draw) for t in (learn, new))
    z, z_new = encode(x), encode(x_new)
    for i, factor in enumerate(pairs.CdpMini.FACTORS):
        found[factor] = accuracy(z, f[:, i], z_new, f_new[:, i])
    return found.set_axis([f"{s}, K = {K}, {width} dims" for s in SHARED])


# %%
def against_information(table, x, y, axis, label):
    axis.plot(table[x], table[y], "o", color="C0")
    for name, row in table.iterrows():
        axis.annotate(label(name), (row[x], row[y]), xytext=(5, -9),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axis.margins(0.12)


if "infomin" in chosen:
    table = keep("infomin", infomin())
    _, axis = plt.subplots(figsize=(5, 3.2))
    against_information(
        table, "true MI", "digit", axis, lambda s: s.split(",")[0].upper()
    )
    axis.set(
        xlabel="information shared by a pair (nats)", ylabel="digit accuracy"
    )
    plt.show()
    display(table.round(3))
    cramped = keep("infomin", infomin(K=8, width=4))

# %% [markdown]
# *Figure 9 and Table 7. CDP-mini: what pairs share (D digit, C colour, P position), the true information, its estimate
# on the codes (nats), and what linear probes find.*

# %%
full = swept("infomin")
from_sweep(full)

# %%
if "infomin" in chosen:
    digit = table["digit"].set_axis(SHARED)
    lost = 100 * (digit["d"] - digit)
    extra = table["true MI"].iloc[3] - table["true MI"].iloc[0]
    display(
        Markdown(
            f"In this run, {extra:.2f} nats of colour and position, shared on "
            f"top of the digit, cost {lost['dcp']:.1f} points of digit accuracy;"
            f" not sharing the digit costs {lost[['c', 'p', 'cp']].min():.0f} to "
            f"{lost[['c', 'p', 'cp']].max():.0f} points."
        )
    )
    if budget >= 0.2:
        assert lost[["c", "p", "cp"]].min() > lost["dcp"] + 10

# %%
if full is not None:
    m = full.groupby("case", sort=False).mean()
    m = m[m.index.str.contains("64 dims")].set_axis(SHARED)
    digit = m["digit"]
    assert digit["dcp"] >= digit["d"] - 0.04
    assert (digit[["c", "p", "cp"]] <= digit["d"] - 0.25).all()
    assert (m["MI, train"] <= m["true MI"] + 0.02).all()
    assert (m["MI, train"] / m["true MI"]).drop("dcp").min() >= 0.9

# %% [markdown]
# With room for everything, the direction is InfoMin's: no set beats the digit alone by more than noise. But sharing
# much more costs little, and leaving the digit out costs nearly everything. Sets of nearly equal information (the
# digit alone, the colour alone) lie far apart. The *amount* of information predicts little without its *content*, and
# which content matters, the views cannot know: the task does.
#
# Now take the room away: codes of four dimensions, and batches of eight pairs.

# %%
if "infomin" in chosen:
    display(cramped.round(3))
    if budget >= 0.2:
        digit = cramped["digit"].set_axis(SHARED)
        assert digit["dcp"] < digit["d"] - 0.2

# %% [markdown]
# *Table 8. As Table 7, with K = 8 and codes of four dimensions.*
#
# Colour and position are easier to see than a digit, a code of four dimensions is soon full, and the digit is what
# finds no place. These are the *shortcuts* that InfoMin warns of. Whether irrelevant shared information hurts is then
# a question of room, and the principle is right where there is none.
#
# ### On real images
#
# Here nobody knows the information, but its amount has a knob: the strength of the views. Eight encoders, eight
# strengths. After training, a fresh critic estimates the information between two views' codes.


# %%
def strength():
    strengths = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3)
    cosine = encoders([x_train.shape[1], 128, 32], [0.2] * 8, seed)
    z, z_test = codes(cosine)
    control = accuracy(z, train.labels, z_test, test.labels)
    sample = view_pairs(train.images, strengths, seed + 1)
    contrast(cosine, sample, max(100, steps(600)), 128)
    encode = scaled(cosine)
    found = afterwards(
        32, 8, view_pairs(train.images, strengths, seed + 2, encode),
        view_pairs(test.images, strengths, seed + 3, encode), seed,
    )  # fmt: skip
    z, z_test = codes(cosine)
    found["accuracy"] = accuracy(z, train.labels, z_test, test.labels)
    found["accuracy, untrained"] = control
    return found.set_axis([f"s = {s}" for s in strengths])


if "strength" in chosen:
    table = keep("strength", strength())
    _, axis = plt.subplots(figsize=(5, 3.2))
    against_information(table, "MI, held-out", "accuracy", axis, str)
    axis.axvline(math.log(512), color="k", ls="--", lw=1)
    axis.axhline(table["accuracy, untrained"].mean(), color="0.5", ls=":")
    axis.set(
        xlabel="information between views, after training (nats)",
        ylabel="accuracy",
    )
    plt.show()

# %% [markdown]
# *Figure 10. Strength s of the views: InfoNCE of a fresh critic on codes of held-out views (K = 512; dashed, its
# ceiling), against the accuracy of a linear probe on clean images. Dotted: the same encoders before training.*

# %%
full = swept("strength")
from_sweep(full)

# %%
if full is not None:
    m = full.xs("digits").groupby("case", sort=False).mean()
    a, untrained = m["accuracy"], m["accuracy, untrained"].mean()
    assert a.idxmin() == "s = 0" and a["s = 0"] < untrained
    assert a["s = 3"] > a.max() - 0.03

# %% [markdown]
# Views at strength 0 are the image itself, and to find an image among others a network need not understand it: that
# code is the worst, and worse than none of the training. So the right side of a reverse U is there, too much in
# common. The left side is not, as far as these views go: at strength 3 two codes share a fraction of a nat, and the
# codes of clean images are about as good as any. Another task or another family of views may show it. And the standard
# error of an accuracy on a few hundred test images is a percent.
#
# ## What this does not show
#
# - **That the paper found this.** We have read its abstract. Its networks, data sets and numbers are unknown to us, and
#   the names of its methods we have second-hand.
# - **That small batches are harmless.** All encoders here saw as many pairs, so a small batch meant more steps. For a
#   large network, steps are what costs, and the noise of small batches is real. What is shown is that $\log K$ is a
#   property of the report.
# - **That the estimates are the information.** A fresh critic's value is a lower bound, and on held-out images it mixes
#   what is missing in the code with what is missing in the critic. Table 3 has codes that keep all of $\log 10$, and
#   critics that find none of it.
# - **That same-class information replaces probes.** It needs labels, as a probe does, and with few classes it
#   saturates: no more than $H(C)$ can be asked about.
# - **Anything about large encoders.** These are small perceptrons on small images, trained for seconds.
#
# ## Exercises
#
# **1 (easy).** What is the most that InfoNCE can say, on average, with batches of *two* same-class pairs from $M$
# equally likely classes? Write `two(M)` without a library, in nats.


# %% tags=["solution", "hide-input"]
def two(M):
    return (1 - 1 / M) * math.log(2)  # a tie, worth nothing, with chance 1/M


# %% tags=["check"]
for M_ in (2, 10, 100):
    assert abs(two(M_) - pairs.optimal_infonce(M_, 2)) < 1e-9

# %% [markdown]
# **2 (medium).** {prf:ref}`thm-infonce-optimum` wants equally likely classes. Real data sets have not. What becomes of
# (5) for class probabilities $p$? Write `unequal(p, K)`, and what it tends to as $K$ grows.


# %% tags=["solution", "hide-input"]
def unequal(p, K):
    """A row of class c ties with Binomial(K − 1, p_c) others; limit H(C)."""
    from scipy.stats import binom

    ties = np.arange(K)
    return math.log(K) - sum(
        p_c * (binom.pmf(ties, K - 1, p_c) * np.log1p(ties)).sum() for p_c in p
    )


# %% tags=["check"]
p, one_hot = (
    [0.6, 0.3, 0.1],
    torch.eye(3).repeat_interleave(torch.tensor([6, 3, 1]), 0),
)
skewed = pairs.SameClass(one_hot, one_hot.argmax(1), balanced=False)
for K in (2, 16, 64):
    assert abs(unequal([0.1] * 10, K) - pairs.optimal_infonce(10, K)) < 1e-9
    assert abs(unequal(p, K) - plug_in(one_hot, skewed, K, 2000, seed)) < 0.03
assert abs(unequal(p, 4096) - skewed.information) < 0.01

# %% [markdown]
# **3 (a small research question).** The batch is not the only thing that caps the loss. Cosines lie in $[-1, 1]$, so
# the scores of contrastive learning lie in $\pm 1/\tau$. Derive the largest InfoNCE that such scores allow, `cap(K,
# tau)`. Then train encoders whose temperature caps their loss far below $\log M$, and measure them afterwards. Is what
# they keep capped, too? (`encoders`, `contrast`, `codes` and `afterwards` are yours. Store the caps and the information
# after training, on training images, as `caps` and `kept`.)


# %% tags=["solution", "hide-input"]
def cap(K, tau):
    """Best case: the partner at cosine 1, all others at −1."""
    return math.log(K) - math.log(1 + (K - 1) * math.exp(-2 / tau))


temperatures = [0.2, 1.0, 2.0]
caps = np.array([cap(64, tau) for tau in temperatures])
cosine = encoders([x_train.shape[1], 128, 32], temperatures, seed)
draw = torch.Generator(device).manual_seed(seed)
contrast(
    cosine, lambda step, n: task.sample(n, draw), 200, 64
)  # the members see different pairs
z, z_test = codes(cosine)
kept = afterwards(
    32, 3, code_pairs(z, task, 1), code_pairs(z_test, held_out, 2), seed
)["MI, train"].to_numpy()  # fmt: skip

# %% tags=["check"]
assert len(caps) == len(kept) and min(caps) < 1 < math.log(M) < max(caps)
if dataset == "digits":
    assert kept[caps.argmin()] > min(caps) + 0.4, (
        "no: the loss is capped, not the code"
    )
pd.DataFrame({"cap of the loss": caps, "kept": kept}).round(2)

# %% [markdown]
# ## References
#
# - K. Lee, J. Kim, S. Kang, W. Rhee. *Towards a Rigorous Analysis of Mutual Information in Contrastive Learning.*
#   Neural Networks 2024. [arXiv:2308.15704](https://arxiv.org/abs/2308.15704)
# - K. Lee, W. Rhee. *A Benchmark Suite for Evaluating Neural Mutual Information Estimators on Unstructured Datasets.*
#   NeurIPS 2024. [arXiv:2410.10924](https://arxiv.org/abs/2410.10924)
# - A. van den Oord, Y. Li, O. Vinyals. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
# - J. Song, S. Ermon. *Understanding the Limitations of Variational Mutual Information Estimators.* ICLR 2020.
#   [arXiv:1910.06222](https://arxiv.org/abs/1910.06222)
# - Y. Tian, C. Sun, B. Poole, D. Krishnan, C. Schmid, P. Isola. *What Makes for Good Views for Contrastive Learning?*
#   NeurIPS 2020. [arXiv:2005.10243](https://arxiv.org/abs/2005.10243)
# - M. Tschannen, J. Djolonga, P. Rubenstein, S. Gelly, M. Lucic. *On Mutual Information Maximization for Representation
#   Learning.* ICLR 2020. [arXiv:1907.13625](https://arxiv.org/abs/1907.13625)
# - F. Wang, H. Liu. *Understanding the Behaviour of Contrastive Loss.* CVPR 2021.
#   [arXiv:2012.09740](https://arxiv.org/abs/2012.09740)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242)
#
# ## Provenance

# %% tags=["provenance"]
provenance.environment(device, started)

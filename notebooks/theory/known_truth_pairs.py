# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pairs of images with a known mutual information
#
# *How can one know the mutual information of two images exactly, when nobody knows their density?*
#
# By choosing the pairs. Draw a class, then two images of that class, independently: all that they share is the class,
# and its entropy is their mutual information. This makes a yardstick for every estimator and every batch size, on real
# images. We prove it, use it, and extend it to pictures that share what we choose.
#
# **You will learn**
# - the theorem of same-class pairs, and what an encoder, a classifier and a critic can make of them,
# - the exact optimum of InfoNCE at any batch size, and a loss that looks like a bound and is none,
# - two constructions with more information: several factors, and a noisy channel of images.
#
# **You need** `start_here`, and the bounds InfoNCE, DV, JS and SMILE of `theory/infonce_bound`.
#
# **Time:** 30 minutes to read; about 40 seconds to run on one CPU core.
#
# The question and the method are those of [Lee, Kim, Kang & Rhee (2023)](https://arxiv.org/abs/2308.15704), whose
# *abstract* we have read and whose text we could not. Theorems, proofs, constructions and numbers below are our own.
# None of them should be quoted as the paper's.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0: 8 for digits, else as they are
# [0 or more]
experiments = "all"  # what is run [some of same-class, channel, or all]
budget = 0.2  # training steps, as a fraction of the full budget [above 0]
max_images = 10000  # at most so many training images, and so many test images
# [2 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import itertools
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from torch.nn import functional as F

import mdlib
from mdlib import data, losses, mi, sweep
from mdlib.checks import unknown
from mdlib.devices import pick_device
from mdlib.figures import plots, tables
from mdlib.mi import critics, frozen, pairs
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
PARTS = ["same-class", "channel"]
asked = experiments.replace(" ", "").split(",")
chosen = PARTS if experiments == "all" else asked
for name in chosen:
    if name not in PARTS:
        raise ValueError(unknown("experiment", name, PARTS))
draw = torch.Generator().manual_seed(seed)
limits = {"size": size, "max_images": max_images, "device": device}
train, x_train, task = pairs.of_split(dataset, "train", **limits)
test, x_test, held_out = pairs.of_split(dataset, "test", **limits)
M = len(train.class_names)
train

# %% [markdown]
# ## Pairs of one class
#
# Draw a class $C$, then draw $X$ and $Y$ independently among the images of this class. (This much is verified: the public
# code of a later benchmark by two of the authors, [Lee & Rhee 2024](https://arxiv.org/abs/2410.10924), draws its pairs so,
# but never the same image twice, {prf:ref}`cor-distinct`. Training on such pairs is also how supervised contrastive
# learning chooses its positives, [Khosla et al. 2020](https://arxiv.org/abs/2004.11362).)

# %% tags=["hide-input"]
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
# On a finite list of labelled images *in which no picture stands under two labels*, the label is a function of the
# picture. So $I(X;Y) = H(C)$ holds exactly for the pairs drawn from the list, memorised or not. A wrong label does not
# change it; it makes the information harder to find, and lowers what can be found on other images.
# ```
#
# ```{prf:corollary} Never the same image twice
# :label: cor-distinct
#
# If $X$ and $Y$ must be different images, drawn uniformly, of a class with $n_c$ (different) images, none of them in two
# classes, then
# $I(X;Y) = H(C) + \sum_c p(c) \log \frac{n_c}{n_c - 1}$.
# ```
#
# ```{prf:proof}
# $I(X,C;Y) = I(C;Y) + I(X;Y|C)$ as before, where now $I(X;Y|C=c) = \log n_c - \log(n_c - 1)$: of $n_c$ equally likely
# images, $X$ rules out one.
# ```
#
# A list of twelve images is small enough to write the whole joint distribution down. Three classes, of 6, 4 and 2
# images, equally likely; once more with labels that mean nothing, without repetition, and with two copies of *one*
# picture under different labels, where the premise is broken:


# %% tags=["theorem:same-class"]
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
shuffled = labels[torch.randperm(12, generator=draw)]
excess = sum(math.log(n / (n - 1)) for n in (6, 4, 2)) / 3
for joint, truth in [
    (joint_of(labels), math.log(3)),
    (joint_of(shuffled), math.log(3)),
    (joint_of(labels, distinct=True), math.log(3) + excess),
]:
    assert abs(joint.sum() - 1) < 1e-9
    assert abs(information(joint) - truth) < 1e-9
merged = torch.eye(12).double()[:11]
merged[0, 11] = 1  # picture 11 looks like picture 0, and has another label
assert information(merged @ joint_of(labels) @ merged.T) < math.log(3) - 0.1

_, which = torch.cat([x_train, x_test]).unique(dim=0, return_inverse=True)
both = torch.cat([train.labels, test.labels])
pictures = torch.stack([which, both]).unique(dim=1).shape[1]
clashes = pictures - len(which.unique())
assert clashes == 0, f"{clashes} pictures of {train.title} have two labels"

# %% tags=["hide-input"]
counts = train.labels.bincount()
Markdown(
    f"On {train.title} no picture has two labels. With all {M} classes equally likely: $I(X;Y) = "
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
# Let one encoder make both codes, $Z_x = h(X)$, $Z_y = h(Y)$, with $X$ and $Y$ of one law given $C$, and one classifier guess
# $\hat C$ from either code, with error $P_e$ among $M$ classes. With $h_b$ the binary entropy in nats, if
# $2 P_e \le 1 - 1/M$,
#
# $$ I(Z_x;Z_y) \ge H(\hat C) - h_b(2P_e) - 2P_e \log(M-1). \tag{2} $$
#
# If the $M$ classes are *equally likely*, and $P_e^*$ is the Bayes error from $Z_x$, the least that any classifier makes,
#
# $$ I(Z_x;Z_y) \le \log M + \log(1 - P_e^*), \quad\text{that is,}\quad 1 - P_e^* \ge e^{I(Z_x;Z_y)}/M. \tag{3} $$
# ```
#
# ```{prf:proof}
# (2): by data processing, $I(Z_x;Z_y) \ge I(\hat C_x;\hat C_y) = H(\hat C_x) - H(\hat C_x|\hat C_y)$. Two guesses of
# one class differ only if one of them is wrong, so with probability $q \le 2P_e$. Fano's inequality gives
# $H(\hat C_x|\hat C_y) \le h_b(q) + q\log(M-1)$, which increases with $q$ up to $1 - 1/M$.
#
# (3): by {prf:ref}`thm-encoders`, $I(Z_x;Z_y) \le I(C;Z_x) = \log M - H(C|Z_x)$. An entropy is at least $-\log$ of the
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


# %% tags=["theorem:brackets"]
prior, channels, useful = torch.full((5,), 0.2, dtype=torch.float64), [], 0
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
    useful += lower > 0
    channels.append((correct, lower, i, upper))
assert useful > 20  # the lower bracket says more than 0, too

# %% tags=["hide-input"]
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
# ## What InfoNCE says, at any batch size
#
# ```{prf:theorem} The exact optimum of InfoNCE
# :label: thm-infonce-optimum
#
# For $M$ equally likely classes that can be told apart, $K$ independent pairs a batch and the optimal critic,
#
# $$ I_\mathrm{NCE}(K) = \log K - \mathbb{E}[\log(1+B)], \qquad B \sim \mathrm{Binomial}(K-1, 1/M), \tag{5} $$
#
# which is at most $\min(\log K, \log M)$ and tends to $\log M$ as $K$ grows.
# ```
#
# ```{prf:proof}
# By (4), $r = M$ for two images of one class and $0$ otherwise. So in each row of the score matrix the partner ties
# with the $B$ other images of its class, and the rest scores $-\infty$: the softmax gives the partner $1/(1+B)$.
# At most $\log K$ as $B \ge 0$; at most $\log M$ as InfoNCE is at most $I$. The limit: by Jensen's inequality
# $\mathbb{E}\log(1+B) \le \log(1 + \frac{K-1}M)$, so (5) is at least $\log \frac{KM}{K + M - 1} \to \log M$.
# ```
#
# Classes alone make the score matrix, so we can simulate. A classifier's posteriors on real images, put into (4), work
# as well; here they are a logistic regression's, on the training pixels.


# %% tags=["theorem:optimum"]
def simulate(M, K):
    """InfoNCE of the optimal critic: mean over batches, standard error."""
    c = torch.randint(M, (2**14 // K + 200, K), generator=draw)
    r = torch.where(c[:, :, None] == c[:, None], float(M), 0.0)
    values = mi.bounds.infonce(r.log())
    return values.mean().item(), values.std().item() / len(values) ** 0.5


Ks = [2, 4, 8, 16, 32, 64, 128, 256]
simulated = {m: [simulate(m, K) for K in Ks] for m in (2, 10, 100)}
for M_, values in simulated.items():
    for K, (value, error) in zip(Ks, values, strict=True):
        exact = pairs.optimal_infonce(M_, K)
        assert abs(value - exact) < 4.5 * error + 1e-6, (M_, K, value, exact)
        least = math.log(K * M_ / (K + M_ - 1))
        assert least <= exact <= min(math.log(K), math.log(M_))
of_pixels = frozen.posteriors(x_train, train.labels, x_train)
on_images = [
    frozen.plug_in(of_pixels, task, pairs=K, batches=20 + 2**11 // K, seed=seed)
    for K in Ks
]

# %% tags=["hide-input"]
_, axes = plt.subplots(figsize=(6, 3.4))
grid = [2**k for k in range(1, 13)]
for colour, (M_, values) in zip(
    ("C0", "C1", "C2"), simulated.items(), strict=True
):
    exact = [pairs.optimal_infonce(M_, K) for K in grid]
    axes.plot(grid, exact, color=colour, label=f"$M = {M_}$")
    axes.plot(Ks, [v for v, _ in values], "o", color=colour, ms=4)
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
#
# Equation (5) takes the bias off a measured InfoNCE where classes are separable: at $K = 64$ and $M = 10$ the best
# possible is 2.23 nats, and not 2.30.
#
# **A bound that isn't one.** SimCLR's loss has $2K$ views in a batch, and every view is compared with $2K-1$ others. If
# we take it from $\log(2K-1)$, is that a lower bound, too? The same argument gives the optimum
# $\log(2K-1) - \mathbb{E}[\log(1+2B)]$: the negatives come in pairs of one class. So they are not independent of each
# other, and independence is what the proof of the bound needs. Its closed form, and the loss that SimCLR trains on,
# given codes that show the class and nothing else:

# %% tags=["theorem:nt-xent"]
rows = []
for M_, K in [(2, 4), (10, 32), (10, 64), (100, 512)]:
    rows.append({"M": M_, "K": K, "true I, log M": math.log(M_),
                 "InfoNCE": pairs.optimal_infonce(M_, K),
                 "log(2K−1) − NT-Xent": pairs.optimal_nt_xent(M_, K)})  # fmt: skip
exact = pd.DataFrame(rows)
exact["excess"] = exact["log(2K−1) − NT-Xent"] - exact["true I, log M"]
assert (exact["excess"] > 0).any() and exact["excess"].max() < 0.2
assert (exact["InfoNCE"] < exact["true I, log M"]).all()
values = []
for _ in range(1600):
    c = torch.randint(10, (32,), generator=draw)
    u = F.one_hot(c, 10).float()[:, None].repeat(1, 2, 1)  # two equal views
    values.append(math.log(63) - losses.info_nce(u, temperature=0.01).item())
error = np.std(values) / 40  # 40² batches
assert abs(np.mean(values) - pairs.optimal_nt_xent(10, 32)) < 4 * error
exact.round(4)

# %% [markdown]
# *Table 1. Exact values with the optimal critic. A positive excess is a "lower bound" above the truth.*
#
# ```{prf:corollary} Augmented pairs
# :label: cor-augmented
#
# Two random views of one image are a same-class pair whose class is the image itself. If no view loses its image's
# identity, $I(X;Y) = \log N$ for $N$ equally likely images; in general it is at most that.
# ```
#
# ```{prf:proof}
# {prf:ref}`thm-same-class` with $C$ the number of the image.
# ```
#
# For ImageNet's 1.28 million images $\log N$ is 14.06 nats, for CIFAR-10's 50 000 it is 10.82, and the ceiling of a batch
# of 256 pairs, $\log 256$, is 5.55. So *mild* views put the optimal InfoNCE at its ceiling. Strong views do lose identity, and
# then it need not stand there: `theory/frozen_encoders` has batches of views whose InfoNCE stops at half of $\log K$.
#
# ## Pictures that share what we choose
#
# Same-class pairs share one thing. To ask *which* information is shared, one needs pictures with several known factors.
# The paper is said to have a data set for that, CDP, whose construction we do not know. **CDP-mini** is our own: a
# digit of 8 × 8 pixels (10 classes), in one of eight colours, at one of four places, all uniform and independent. The
# two pictures of a pair share a chosen set $S$ of factors. Everything else, including which image of the digit, is
# drawn twice. If each factor is a function of the picture, the shared factors are a class, and {prf:ref}`thm-same-class`
# gives
#
# $$ I(X;Y) = \sum_{f \in S} H(f). \tag{6} $$
#
# Is it one? A list of all pictures is short enough to ask:

# %% tags=["theorem:factors"]
digits = [data.load("digits", s, size=8).to(device) for s in ("train", "test")]
images = torch.cat([split.images for split in digits])
number = torch.arange(len(images))  # each image as a class of its own
every = pairs.CdpMini(images.cpu(), number, ["digit"])
factors = torch.cartesian_prod(number, torch.arange(8), torch.arange(4))
pictures = torch.cat([every.draw(f) for f in factors.split(8000)])
weights = torch.randn(432, 2, generator=draw).double()
marks = (pictures.double() @ weights).round(decimals=6)  # a hash of a picture
assert len(marks.unique(dim=0)) == len(images.flatten(1).unique(dim=0)) * 32
f"{len(pictures):,} pictures, of which no two with different factors look alike"


# %% tags=["hide-input"]
def cdp(split, shared):
    names = [f for f in pairs.CdpMini.FACTORS if f[0] in shared]
    return pairs.CdpMini(split.images, split.labels, names)


sheet, names = [], []
on_device = torch.Generator(device).manual_seed(seed)
for shared in ("d", "cp", "dcp"):
    drawn = cdp(digits[0], shared)
    for z, side in zip(drawn.sample(8, on_device), "xy", strict=True):
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
# If an image tells its bit, $I(X;Y) = d\,(\log 2 - h_b(p))$.
# ```
#
# ```{prf:proof}
# $X - B - B' - Y$ is a Markov chain, where the bits $B$ and $B'$ are functions of $X$ and of $Y$. So
# $I(X;Y) = I(B;B')$, that of $d$ uses of a binary symmetric channel with fair input: per bit
# $H(B') - H(B'|B) = \log 2 - h_b(p)$.
# ```
#
# Ten bits let us climb from 2 to 10 bits in steps, with one critic for each estimator that is trained on throughout.


# %% tags=["hide-input"]
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


def swept(experiment):
    """The sweeps' tables, [data set, case, seed] × quantities; or None."""
    names = ("known_truth_pairs", "known_truth_pairs_fashion")
    rows = pd.concat([sweep.read_csv(name) for name in names])
    if rows.empty or not (rows["experiment"] == experiment).any():
        return None
    rows = rows[rows["experiment"] == experiment]
    keys = ["dataset", "case", "seed"]
    order = list(rows["quantity"].unique())
    return rows.pivot_table("value", keys, "quantity", sort=False)[order]


def from_sweep(table, columns):
    """A sweep's table as people read it: mean ± std over seeds."""
    if table is None:
        return None
    flat = table[columns].dropna(how="all").reset_index()
    shown = tables.mean_std(flat, ["dataset", "case"])
    return shown.rename_axis(columns="from the sweep's file, full budget")


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
    assert (values["infonce"] <= 6 + 1e-5).all()
    values["true"] = np.repeat(bits_per_level, each)
    last = values.groupby("true").tail(max(1, each // 3)).groupby("true")
    frame = last.mean().join(last.std().add_suffix(" sd"))
    return values, frame.set_axis([f"{b} bits" for b in frame.index])


# %% tags=["hide-input"]
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
# ceiling nor a guarantee: at the full budget, in the sweep, it ends above the truth.

# %%
full = swept("channel")
if full is not None:
    m, n = full.groupby("case", sort=False).mean(), full.index.levels[2].size
    assert (full["infonce"] <= 6).all()
    assert m["dv"].is_monotonic_increasing and m["dv sd"].iloc[-1] >= 1
    ends = full["smile-5"].xs("10 bits", level="case")
    assert ends.mean() - 3 * ends.std() / n**0.5 > 10  # above the truth
from_sweep(full, CLIMBERS + [f"{name} sd" for name in CLIMBERS])

# %% [markdown]
# *Table 2. The channel at the full budget: last third of each level, bits, mean ± standard deviation over seeds.*
#
# ## Every estimator, where the truth is known
#
# Only pixels and critics: $I = \log 10$. All estimators train in one pass. The last row trains nothing but a
# classifier and puts it into (4).

# %%
ALL = ["infonce", "nwj", "dv", "mine", "js", "smile-1", "smile-5", "smile-inf"]
TITLES = {name: mi.ESTIMATORS[name].title for name in ALL}


def same_class():
    dim, rows = x_train.shape[1], []
    critic = critics.create(
        "separable", dim, dim, len(ALL), seed, hidden=128, layers=2
    ).to(device)
    fit, new = (
        frozen.code_pairs(x[None], t, seed + 1)
        for x, t in ((x_train, task), (x_test, held_out))
    )
    mi.train(critic, ALL, fit, steps=steps(1500), lr=1e-3)
    of_new = frozen.posteriors(x_train, train.labels, x_test)
    for K, (side, sample, p, t) in itertools.product(
        (64, 512),
        [("train", fit, of_pixels, task), ("held-out", new, of_new, held_out)],
    ):
        values = mi.evaluate(critic, ALL, sample, batches=40, batch_size=K)
        values = values.droplevel("seed", axis=1)
        column = values.mean().rename(TITLES)
        column["classifier"] = frozen.plug_in(
            p, t, pairs=K, batches=40, seed=seed
        )
        error = (values.std() / 40**0.5).rename(TITLES)
        rows += [column.rename(f"{side}, K = {K}")]
        rows += [error.rename(f"s.e. {side}, K = {K}")]
    return pd.DataFrame(rows).T.fillna(0.0)


# %%
SIDES = [f"{s}, K = {K}" for K in (64, 512) for s in ("train", "held-out")]
if "same-class" in chosen:
    table = keep("same-class", same_class())
    for side, K in zip(SIDES, (64, 64, 512, 512), strict=True):
        best = pairs.optimal_infonce(M, K)  # for any critic, by (5)
        limit = best + 4 * table[f"s.e. {side}"]["InfoNCE"] + 1e-3
        assert table[side]["InfoNCE"] <= limit, (side, table[side])
    display(table[SIDES].round(3))

# %% [markdown]
# *Table 3. Same-class pairs of pixels, nats; the sweep's at the full budget follow.*

# %%
full = swept("same-class")
if full is not None:
    m = full.xs("digits").groupby("case", sort=False).mean()
    se = m[[f"s.e. {side}" for side in SIDES]].set_axis(SIDES, axis=1)
    lower = ["InfoNCE", "NWJ", "JS", "classifier"]
    assert (m[SIDES] <= math.log(10) + 2 * se).loc[lower].all(axis=None)
    smile = m.loc["SMILE-1", "train, K = 512"]
    assert smile > math.log(10) + 4 * se.loc["SMILE-1", "train, K = 512"]
from_sweep(full, SIDES)

# %% [markdown]
# - On training images the lower bounds come nearer to the truth the longer they train, and stay below it. SMILE with
#   its clip at 1 does not stay below at the full budget: it is no bound.
# - On held-out images the same critics find less. The information is there all the same, $\log 10$ by
#   {prf:ref}`cor-finite-list`. What is missing is a critic that has learned it.
# - A logistic regression in (4) is as good a critic on held-out images as the neural ones, for a second's work.
#
# ## What this does not show
#
# - **That the paper found this.** We have read its abstract. Its constructions and numbers are unknown to us.
# - **The information of two views of a photograph.** Same-class pairs are real images, but their information is a
#   label's, and a few nats. {prf:ref}`cor-augmented` is a bound for views, not their value.
# - **That estimators good here are good elsewhere.** With $M$ classes, $\mathbb{E}_P[r] - 1 = M - 1$: by the law of
#   variance of `theory/infonce_bound` this is the easy case.
# - **That a lower held-out value means less information.** It means a critic that generalises less.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** What is the most that InfoNCE can say, on average, with batches of *two* same-class pairs from $M$
# equally likely classes? Write `two(M)` without a library, in nats.
#
# <details><summary>Hint</summary>
#
# Either both pairs are of one class, and the row is a tie, or they are not, and the choice is sure.
#
# </details>


# %% tags=["solution", "hide-input"]
def two(M):
    """M classes → nats."""
    return (1 - 1 / M) * math.log(2)  # a tie, worth nothing, with chance 1/M


# %% tags=["check"]
for M_ in (2, 10, 100):
    assert abs(two(M_) - pairs.optimal_infonce(M_, 2)) < 1e-9, (
        f"M = {M_}: {two(M_):.4f}, expected {pairs.optimal_infonce(M_, 2):.4f}"
    )

# %% tags=["hidden", "remove-cell"]
assert two(1) == 0 and abs(two(4) - 0.51986) < 1e-4, two(4)
assert "pairs" not in two.__code__.co_names, "without a library"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** {prf:ref}`thm-infonce-optimum` wants equally likely classes. Real data sets have not. What becomes of
# (5) for class probabilities $p$? Write `unequal(p, K)`, and what it tends to as $K$ grows.
#
# <details><summary>Hint</summary>
#
# A row of class $c$ ties with as many others as have that class: Binomial$(K - 1, p_c)$. Take the mean of $\log K -
# \log(1 + \text{ties})$.
#
# </details>


# %% tags=["solution", "hide-input"]
def unequal(p, K):
    """Probabilities p, a list, and K → nats."""
    # A row of class c ties with Binomial(K − 1, p_c) others; limit H(C).
    from scipy.stats import binom

    ties = np.arange(K)
    return math.log(K) - sum(
        p_c * (binom.pmf(ties, K - 1, p_c) * np.log1p(ties)).sum() for p_c in p
    )


# %% tags=["check"]
p = [0.6, 0.3, 0.1]
one_hot = torch.eye(3).repeat_interleave(torch.tensor([6, 3, 1]), 0)
skewed = pairs.SameClass(one_hot, one_hot.argmax(1), balanced=False)
for K in (2, 16, 64):
    assert abs(unequal([0.1] * 10, K) - pairs.optimal_infonce(10, K)) < 1e-9, (
        f"K = {K}: ten equal classes give {unequal([0.1] * 10, K):.4f}"
    )
    found = frozen.plug_in(one_hot, skewed, pairs=K, batches=2000, seed=seed)
    assert abs(unequal(p, K) - found) < 0.03, (
        f"K = {K}: {unequal(p, K):.3f}, simulated {found:.3f}"
    )
assert abs(unequal(p, 4096) - skewed.information) < 0.01, (
    "as K grows it tends to the entropy of the class"
)

# %% tags=["hidden", "remove-cell"]
assert abs(unequal([1.0], 8)) < 1e-9, "one class tells nothing"
assert abs(unequal([0.5, 0.5], 2) - 0.34657) < 1e-4, unequal([0.5, 0.5], 2)

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** How far above the truth can $\log(2K - 1)$ less NT-Xent stand?
# Write `largest_excess(M)`, which returns the $K \le 2000$ with the largest excess over $\log M$ and that excess, in nats.
# To what does it tend for large $M$ (up to 400)? Why is it small although the proof breaks down? And what would batches
# with *four* views of each image do?
#
# <details><summary>Hint</summary>
#
# `pairs.optimal_nt_xent(M, K)` is the most that it can say. Try all $K$.
#
# </details>


# %% tags=["solution", "hide-input"]
def largest_excess(M):
    """M classes → (K, nats)."""
    by_K = {K: pairs.optimal_nt_xent(M, K) for K in range(2, 2001)}
    K = max(by_K, key=by_K.get)
    return K, by_K[K] - math.log(M)


# %% tags=["check"]
peaks = {M_: largest_excess(M_) for M_ in (2, 10, 100)}
for M_, (K, excess) in peaks.items():
    around = [pairs.optimal_nt_xent(M_, k) for k in (max(2, K - 1), K, K + 1)]
    assert max(around) == around[1] and excess > 0, (
        f"M = {M_}: K = {K} is no peak"
    )
    assert abs(around[1] - math.log(M_) - excess) < 1e-12, (
        f"M = {M_}: the excess at K = {K} is {around[1] - math.log(M_):.4f}"
    )
assert peaks[10][0] > peaks[2][0], "more classes, a later peak"
peaks

# %% tags=["hidden", "remove-cell"]
K, excess = largest_excess(5)
there = pairs.optimal_nt_xent(5, K) - math.log(5)
assert abs(there - excess) < 1e-9 and excess > 0, (K, excess)

# %% [markdown]
# ## References
#
# - P. Khosla et al. *Supervised Contrastive Learning.* NeurIPS 2020.
#   [arXiv:2004.11362](https://arxiv.org/abs/2004.11362)
# - K. Lee, J. Kim, S. Kang, W. Rhee. *Towards a Rigorous Analysis of Mutual Information in Contrastive Learning.*
#   Neural Networks 2024. [arXiv:2308.15704](https://arxiv.org/abs/2308.15704)
# - K. Lee, W. Rhee. *A Benchmark Suite for Evaluating Neural Mutual Information Estimators on Unstructured Datasets.*
#   NeurIPS 2024. [arXiv:2410.10924](https://arxiv.org/abs/2410.10924)
# - A. van den Oord, Y. Li, O. Vinyals. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
# - J. Song, S. Ermon. *Understanding the Limitations of Variational Mutual Information Estimators.* ICLR 2020.
#   [arXiv:1910.06222](https://arxiv.org/abs/1910.06222)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

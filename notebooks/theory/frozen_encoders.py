# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a frozen encoder keeps: small batches
#
# *A contrastive loss can report at most log K nats. Does it therefore learn at most log K nats?*
#
# The number that training shows is the value of *its* critic at *its* batch size. What an encoder keeps is a property of
# the encoder. So freeze it, and ask with a fresh critic and a large batch. Then $\log K$ turns out to limit the report,
# not the code. But "the batch size does not matter" is wrong, too: where an encoder has no room for everything, the batch
# size decides *what* is worth keeping. Both are shown, the second exactly.
#
# **You will learn**
# - to measure a frozen encoder, and why the measurement is itself a learner's,
# - what the batch size changes and what not, with its hypothesis: a proof, a counter-example, an experiment,
# - how the temperature caps the loss: the simplex.
#
# **You need** `theory/infonce_bound` and `theory/known_truth_pairs`.
#
# **Time:** 25 minutes to read; about 40 seconds to run on one CPU core.
#
# The question is one of [Lee, Kim, Kang & Rhee (2023)](https://arxiv.org/abs/2308.15704), whose *abstract* we have read
# and whose text we could not. What follows is our own.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0: 8 for digits, else as they are
# [0 or more]
experiments = "all"  # what is run [some of invariance, small-batches, or all]
budget = 0.2  # training steps, as a fraction of the full budget [above 0]
max_images = 10000  # at most so many training images, and so many test images
# [2 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from torch.nn import functional as F

import mdlib
from mdlib import sweep
from mdlib.checks import unknown
from mdlib.devices import pick_device
from mdlib.figures import plots, tables
from mdlib.mi import bounds, frozen, pairs
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
PARTS = ["invariance", "small-batches"]
asked = experiments.replace(" ", "").split(",")
chosen = PARTS if experiments == "all" else asked
for name in chosen:
    if name not in PARTS:
        raise ValueError(unknown("experiment", name, PARTS))
draw = torch.Generator().manual_seed(seed)

# %% tags=["setup", "hide-input"]
limits = {"size": size, "max_images": max_images, "device": device}
train, x_train, task = pairs.of_split(dataset, "train", **limits)
test, x_test, held_out = pairs.of_split(dataset, "test", **limits)
M = len(train.class_names)
train


# %% tags=["hide-input"]
def steps(full):
    """So many training steps of the full budget's."""
    return max(100, round(budget * full))


def keep(experiment, frame):
    """Record a table, cases × quantities, a number a row; return it."""
    rows = frame.rename_axis("case").reset_index()
    rows = rows.melt("case", var_name="quantity", value_name="value")
    rows = rows.assign(experiment=experiment, case=rows["case"].astype(str))
    mdlib.record(out, rows)
    return frame


def swept(experiment):
    """The sweeps' tables, [data set, case, seed] × quantities; or None."""
    names = ("frozen_encoders", "frozen_encoders_fashion")
    rows = pd.concat([sweep.read_csv(name) for name in names])
    if rows.empty or not (rows["experiment"] == experiment).any():
        return None
    rows = rows[rows["experiment"] == experiment]
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
# ## Measuring after training
#
# 1. Train an encoder $h$, with any loss, any $K$, any pairs. Freeze it.
# 2. Choose pairs for the *evaluation*. Same-class pairs have a known truth, $I \le \log M$.
# 3. Compute codes and say which: here the unit vectors on which the loss was computed. Standardise them by the training
#    codes; that is an injective map and loses nothing.
# 4. Train a *fresh* critic on these codes with large batches (here separable, one hidden layer, $K = 256$).
# 5. Report its value on fresh pairs with a still larger $K = 512$, from training and from held-out images separately.
#
# `mdlib.mi.frozen` has these steps: `Encoders`, a stack of encoders whose critic is a cosine over a temperature;
# `contrast`, which lets it climb InfoNCE; and `information`, which does steps 4 and 5 for a whole stack.
#
# ### The same information, in a worse form
#
# First, what such a number can and cannot say. Take the pixels, cut them at random into two halves, add to one half a
# wild function of the other, and repeat. Each step can be undone, so the information of same-class pairs stays exactly
# $\log M$. A linear probe is not so patient (after [Tschannen et al. 2020](https://arxiv.org/abs/1907.13625), who trained
# invertible networks for and against accuracy, and also found that a looser bound can give *better* codes).


# %% tags=["theorem:coupling"]
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


SCALES = [0, 1, 4, 16]
for scale in SCALES:
    there = coupled(x_test.double(), scale, seed)
    back = coupled(there, scale, seed, undo=True)
    assert (back - x_test).abs().max() < 1e-3, scale  # of exact numbers
    distinct = [
        len(coupled(x, scale, seed).unique(dim=0)) for x in (x_train, x_test)
    ]
    assert distinct == [len(x.unique(dim=0)) for x in (x_train, x_test)]

# %% [markdown]
# In float32, too, in which the critics see them, different images stay different; on a finite list that is all that
# "injective" asks.


# %%
def invariance():
    z, z_test = frozen.standardised(
        *(
            torch.stack([coupled(x, scale, seed) for scale in SCALES])
            for x in (x_train, x_test)
        )
    )
    found = frozen.information(
        frozen.code_pairs(z, task, seed + 1),
        frozen.code_pairs(z_test, held_out, seed + 2),
        dim=z.shape[2], members=len(z), seed=seed, device=device,
        hidden=128, steps=steps(1500),
    )  # fmt: skip
    found["accuracy, train"] = frozen.accuracy(z, train.labels, z, train.labels)
    found["accuracy"] = frozen.accuracy(z, train.labels, z_test, test.labels)
    return found.set_axis([f"scale {s}" for s in SCALES])


if "invariance" in chosen:
    display(keep("invariance", invariance()).round(3))

# %% [markdown]
# *Table 1. Pixels after invertible maps of growing wildness. The true information is $\log M$ in every row. The
# accuracy of a linear probe falls. So does the estimate of a critic (nats), which on held-out images goes below zero:
# it has learned the training images by heart, and is sure of itself elsewhere. Both are learners of limited means.*

# %%
full = swept("invariance")
if full is not None:
    for _, of_data in full["accuracy"].groupby(level="dataset"):
        by_seed = of_data.unstack("case")  # the fall, seed by seed
        fall = by_seed["scale 0"] - by_seed["scale 16"]
        assert fall.mean() - 3 * fall.std() / len(fall) ** 0.5 > 0.1, fall
from_sweep(full)

# %% [markdown]
# ## The batch size and the goal
#
# *InfoNCE cannot report more than $\log K$, so small batches must learn less.* It is a natural inference, and it takes
# a property of the gauge for one of the thing. But how far does the opposite go?
#
# ```{prf:proposition} One goal for all batch sizes
# :label: prop-one-goal
#
# If the critics among which we search include one of the form $\log r(x, y) + c(x)$, then the maximisers of InfoNCE are
# these, for every $K \ge 2$.
# ```
#
# ```{prf:proof}
# They are optimal among all functions at every $K$ (`theory/infonce_bound`). Conversely the optimal softmax is the
# true posterior of the partner, for almost all batches; of two candidates $y, y'$ it fixes
# $f(x, y) - f(x, y') = \log r(x, y) - \log r(x, y')$.
# ```
#
# The hypothesis is about *capacity*, the room that a family has. Real critics are cosines in a few dimensions. Where no member of the family attains
# $\log r$, the best of what is left may depend on $K$. An example that can be computed to the last digit:
#
# ```{prf:example} Two factors, room for one
# :label: ex-room
#
# Two views share two independent factors. $A$ is one of 5 equally likely classes. $B$ is, with probability $\frac12$, a
# mark that no other pair of the batch has, and otherwise blank. An encoder has room for $A$ or for $B$. The optimal
# InfoNCE of each is
#
# $$ I_A(K) = \log K - \mathbb{E}[\log(1 + \mathrm{Bin}(K-1, \tfrac15))], \qquad
#    I_B(K) = \log K - \tfrac12\, \mathbb{E}[\log(1 + \mathrm{Bin}(K-1, \tfrac12))]. \tag{1} $$
# ```
#
# A marked pair has no rival: $\log K$. A blank one ties with the other blanks. Same-class pairs again, with one class
# for the blanks and one for each mark. Now compare:


# %% tags=["theorem:room"]
def of_class(K, classes=5):
    """I_A(K) of (1), exactly."""
    return pairs.optimal_infonce(classes, K)


def of_mark(K, share=0.5):
    """I_B(K) of (1), exactly; K − 1 others are blank with 1 − share."""
    blank = torch.tensor(1 - share).double()
    blanks = torch.distributions.Binomial(K - 1, blank)
    ties = torch.arange(K).double()
    weight = blanks.log_prob(ties).exp()
    return math.log(K) - (1 - share) * (weight * ties.log1p()).sum().item()


def simulated(K, n=4000):
    """Both by batches with the optimal critics: means, standard errors."""
    a = torch.randint(5, (n, K), generator=draw)
    marked = torch.rand(n, K, generator=draw) < 0.5
    b = torch.where(marked, 1 + torch.arange(K), 0)
    values = [
        bounds.infonce((c[:, :, None] == c[:, None]).double().log())
        for c in (a, b)
    ]
    return [(v.mean().item(), v.std().item() / n**0.5) for v in values]


rows = []
for K in (2, 4, 8, 16, 64, 256):
    exact = of_class(K), of_mark(K)
    for value, (mean, error) in zip(
        exact, simulated(K, 8000 // K + 200), strict=True
    ):
        assert abs(mean - value) < 4.5 * error, (K, value, mean, error)
    rows.append({"K": K, "A, the class": exact[0], "B, the mark": exact[1]})
room = pd.DataFrame(rows).set_index("K")
room["wanted"] = np.where(room["B, the mark"] > room["A, the class"], "B", "A")
assert room["wanted"].tolist() == ["A", "A", "B", "B", "B", "B"]
room.round(3)

# %% [markdown]
# *Table 2. The optimal InfoNCE of two encoders, nats. At $K = 2$ and $4$ the class is the goal, from 8 on the mark.*
#
# $K = 2$ and $K = 256$ want *different* encoders. A small batch asks what tells two random pairs apart, and a class does so
# more often than a mark that half of them lack. A large batch asks for what tells one among hundreds. Which of the two is
# "better" is for the task to say: if it is about the class, here the *small* batch is right.
#
# ## Small batches, measured
#
# Train the same encoder at several $K$, on the same pairs in the same order, so that all have seen equally many. Then
# measure with one fresh critic for all. We do it with same-class pairs, and again with views of one image and no
# labels, as contrastive learning is used.

# %% tags=["hide-input"]
on_device = torch.Generator(device)
plots.image_grid(
    torch.stack(
        [
            frozen.views_of_strength(s)(
                train.images[:8], 1, on_device.manual_seed(seed)
            )[0][:, 0]
            for s in (0, 0.5, 1, 2)
        ]
    ),
    row_labels=[f"s = {s}" for s in (0, 0.5, 1, 2)],
)

# %% [markdown]
# *Figure 1. Views of strength s: smaller crops, larger angles, more brightness and noise. Training takes s = 1.*


# %%
def seen_pairs(kind, n, seed):
    """n training pairs x, y [n, D], of one class or two views of one image."""
    draw = torch.Generator(device).manual_seed(seed)
    if kind == "same class":
        return task.sample(n, draw)
    rows = torch.randint(len(train), (n,), generator=draw, device=device)
    law = frozen.views_of_strength(1)
    views = [law(train.images[r], 2, draw)[0] for r in rows.split(512)]
    return torch.cat(views).flatten(2).unbind(1)


def guessed(z, z_test):
    """Of a linear classifier, classes equally likely: error, entropy and
    information of two guesses of one class."""
    guess = frozen.posteriors(z, train.labels, z_test).argmax(1)
    counts = F.one_hot(test.labels, M).T.double() @ F.one_hot(guess, M).double()
    p = counts / counts.sum(1, keepdim=True)  # p(guess | class)
    joint, of_guess = p.T @ p / M, p.mean(0)
    entropy = torch.special.entr(of_guess).sum()
    shared = 2 * entropy - torch.special.entr(joint).sum()
    return 1 - p.diagonal().mean().item(), entropy.item(), shared.item()


# %%
def small_batches(kind, Ks=(2, 4, 8, 16, 64, 256)):
    x, y = seen_pairs(kind, max(5120, round(budget * 25600)), seed + 1)
    rows, z, z_test = [], [], []
    for K in Ks:
        stack = frozen.Encoders([x.shape[1], 128, 32], [0.2], seed).to(device)
        values = frozen.contrast(
            stack, lambda i, n: (x[i * n : i * n + n], y[i * n : i * n + n]),
            steps=len(x) // K, batch_size=K,
        )[0]  # fmt: skip
        last = values.tail(max(1, len(values) // 10))
        with torch.no_grad():
            new = frozen.standardised(
                stack.encode(x_train), stack.encode(x_test)
            )
        z.append(new[0]), z_test.append(new[1])
        rows.append({"training": last.mean(), "training, max": last.max()})
        names = ["error", "entropy of guesses", "MI of guesses"]
        rows[-1] |= zip(names, guessed(new[0][0], new[1][0]), strict=True)
    z, z_test = torch.cat(z), torch.cat(z_test)
    found = frozen.information(
        frozen.code_pairs(z, task, seed + 2),
        frozen.code_pairs(z_test, held_out, seed + 3),
        dim=32, members=len(Ks), seed=seed, device=device, steps=steps(400),
    )  # fmt: skip
    found["accuracy"] = frozen.accuracy(z, train.labels, z_test, test.labels)
    found = found.assign(**pd.DataFrame(rows), ceiling=np.log(Ks))
    return found.set_axis([f"{kind}, K = {K}" for K in Ks])


# %%
small = {}
if "small-batches" in chosen:
    for kind in ("same class", "views"):
        small[kind] = keep("small batches", small_batches(kind))
        table = small[kind]
        assert (table["training, max"] <= table["ceiling"] + 1e-5).all()
        if dataset == "digits" and budget >= 0.2:  # what we have looked at
            assert table["MI, train"].iloc[0] > 2 * table["ceiling"].iloc[0]
    columns = ["training, max", "ceiling", "MI, train", "MI, held-out"]
    display(pd.concat(small.values())[[*columns, "accuracy"]].round(3))

# %% tags=["hide-input"]
if small:
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

# %% [markdown]
# *Figure 2 and Table 3. Encoders trained at batch size K: the InfoNCE of their training (mean of the last tenth; with
# views it is an estimate of another, larger information), and the same-class information of the frozen codes by a fresh
# critic. Dotted: $\log M$, the most that any code can have. Accuracy: logistic regression on the codes, test images.*

# %%
full = swept("small batches")
if full is not None:
    assert (full["training, max"] <= full["ceiling"] + 1e-5).all()
    digits = full.xs("digits").reset_index()
    n_test = 597  # images of digits that were held out
    for kind, of_kind in digits.groupby(digits["case"].str.split(",").str[0]):
        m = of_kind.groupby("case", sort=False)["accuracy"].mean()
        chance = math.sqrt(m.mean() * (1 - m.mean()) / n_test)
        assert m.max() - m.min() < 4.5 * chance, (kind, m)  # of the images
        if kind == "same class":
            two = of_kind[of_kind["case"].str.endswith("K = 2")]["MI, train"]
            low = two.mean() - 4 * two.std() / len(two) ** 0.5
            assert low > 3 * math.log(2)
from_sweep(full, ["training, max", "ceiling", "MI, train", "MI, held-out",
                  "accuracy"])  # fmt: skip

# %% [markdown]
# *Measured:* the encoder trained with two pairs a batch never saw a value above $\log 2 = 0.69$ nats, and holds about three
# times that. Here 32 dimensions are room enough for ten classes, and the batch size hardly matters.
#
# With views, $\log N$ is over 7 nats, and the InfoNCE of training at $K = 256$ stops near *half* of $\log 256 = 5.55$. It is
# not at its ceiling: these views lose identity, the critic is small, and it took 100 steps. Nor is it the information that the
# codes keep about the class.
#
# And the brackets of `theory/known_truth_pairs`? Accuracy alone bounds the information from below by Fano's inequality.
# Between the two stands what the guesses themselves share, which a table of counts gives exactly:

# %%
if small:
    table = pd.concat(small.values())
    bracket = table[["MI of guesses", "MI, held-out", "accuracy"]].copy()
    cases = zip(table["error"], table["entropy of guesses"], strict=True)
    certain = [frozen.fano(error, h, M) for error, h in cases]
    bracket.insert(0, "Fano", certain)
    assert (bracket["Fano"] <= bracket["MI of guesses"] + 1e-9).all()
    assert (bracket["MI of guesses"] <= math.log(M) + 1e-9).all()
    assert bracket["Fano"].max() > 0.3  # it does certify something
    needed = np.exp(bracket["MI, held-out"]) / M
    bracket.insert(3, "accuracy needed", needed)
    display(bracket.round(3))

# %% [markdown]
# *Table 4. Held-out images: the bound of accuracy; the exact information of a linear classifier's two guesses; the fresh
# critic's estimate, all nats; the accuracy that the estimate demands of the best classifier; that of a linear one.*
#
# ## What the temperature caps
#
# The batch is not the only thing that limits the loss. Cosines lie in $[-1, 1]$, so scores lie in $\pm 1/\tau$.
#
# ```{prf:theorem} The simplex
# :label: thm-simplex
#
# For unit vectors $u_i, v_i \in \mathbb{R}^d$ and scores $u_i \cdot v_j / \tau$, on every batch of $K$ pairs,
#
# $$ I_\mathrm{NCE} \le \mathrm{cap}(K, \tau) = \log K - \log\!\left(1 + (K-1)\, e^{-\frac{K}{(K-1)\tau}}\right), \tag{2} $$
#
# with equality if and only if $u_i = v_i$ are the corners of a regular simplex, which needs $d \ge K - 1$.
# ```
#
# ```{prf:proof}
# Row $i$ gives $-\log\big(1 + \sum_{j \ne i} e^{s_{ij} - s_{ii}}\big)$. The function $t \mapsto \log(1 + (K-1) e^t)$ is
# convex and increasing. By Jensen, first within a row and then over rows, the mean is at most
# $-\log(1 + (K-1)\, e^{\bar t})$ with $\bar t$ the mean of $s_{ij} - s_{ii}$ over $i \ne j$. With means
# $\bar u, \bar v$,
# $(K-1)\, K\, \tau\, \bar t = \sum_{ij} u_i \cdot v_j - K \sum_i u_i \cdot v_i = -K \sum_i (u_i - \bar u) \cdot (v_i - \bar v)$, and
# by Cauchy-Schwarz this is at least $-K \cdot K$, as $\sum_i |u_i - \bar u|^2 \le K$. So $\bar t \ge -K / ((K-1) \tau)$.
# Equality asks for $\bar u = \bar v = 0$, $u_i = v_i$, and equal scores off the diagonal: all cosines $-1/(K-1)$.
# ```
#
# It is not enough to put the partner at 1 and *all others at $-1$*: only two unit vectors can be opposite to each
# other. Climb (2) by gradient, with room and without:


# %% tags=["theorem:simplex"]
def cap(K, tau):
    """The largest InfoNCE of cosines over tau, nats."""
    return math.log(K) - math.log1p((K - 1) * math.exp(-K / ((K - 1) * tau)))


def climbed(K, d, tau, steps=300):
    """The largest InfoNCE that Adam finds for free unit vectors."""
    free = torch.randn(2, K, d, generator=draw).double().requires_grad_()
    optimiser = torch.optim.Adam([free], lr=0.05)
    for _ in range(steps):
        u, v = F.normalize(free, dim=-1)
        value = bounds.infonce(u @ v.T / tau)
        optimiser.zero_grad()
        (-value).backward()
        optimiser.step()
    return value.item()


rows = []
for K, tau in [(2, 1.0), (8, 0.2), (8, 1.0), (32, 1.0), (32, 2.0)]:
    for d in (K, 2):
        found = climbed(K, d, tau)
        assert found <= cap(K, tau) + 1e-9
        if d == K:
            assert found > 0.99 * cap(K, tau), (K, tau, found)
        rows.append(
            {"K": K, "τ": tau, "d": d, "found": found, "cap": cap(K, tau)}
        )
pd.DataFrame(rows).round(3)

# %% [markdown]
# *Table 5. The best of $K$ pairs of free unit vectors in $d$ dimensions, and (2), nats. In $d = 2$ there is no room.*
#
# ## What this does not show
#
# - **That small batches are harmless.** All encoders here saw as many pairs, so a small batch meant more steps. For a
#   large network, steps are what costs, and the noise of small batches is real. And {prf:ref}`ex-room` is an example,
#   not a rule for which $K$ prefers what.
# - **That the estimates are the information.** A fresh critic's value is a lower bound, and on held-out images it mixes
#   what is missing in the code with what is missing in the critic. Table 1 has codes that keep all of $\log 10$, and
#   critics that find none of it.
# - **Anything about large encoders.** These are small perceptrons on small images, trained for seconds.
# - **That the paper found this.** Its networks, data sets and numbers are unknown to us.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** The codes of same-class pairs among $M$ equally likely classes share $I$ nats. Which accuracy must some
# classifier of these codes reach? Write `needed(nats, M)`. And how large must $K$ be for InfoNCE's ceiling to be $I$ at
# least? Write `batch_for(nats)`.
#
# <details><summary>Hint</summary>
#
# Among equally likely classes, the best accuracy $a$ allows at most $I = \log(aM)$ nats: what is the least $a$ that $I$
# allows? And the ceiling of InfoNCE is $\log K$.
#
# </details>


# %% tags=["solution", "hide-input"]
def needed(nats, M):
    """nats of M classes → an accuracy."""
    return math.exp(nats) / M


def batch_for(nats):
    """nats → K, an int."""
    return math.ceil(math.exp(nats))


# %% tags=["check"]
assert abs(needed(math.log(10), 10) - 1) < 1e-12 and needed(0, 4) == 0.25, (
    f"log 10 nats of 10 classes: {needed(math.log(10), 10)}, expected 1"
)
assert batch_for(2.0) == 8 and math.log(7) < 2.0 <= math.log(8), (
    f"batch_for(2.0) = {batch_for(2.0)}: log 7 < 2 ≤ log 8"
)

# %% tags=["hidden", "remove-cell"]
assert batch_for(4.0) == 55 and batch_for(0.0) == 1, batch_for(4.0)
assert abs(needed(1.0, 5) - math.e / 5) < 1e-6, needed(1.0, 5)

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** In {prf:ref}`ex-room`, at which batch size does the goal change? Write `crossing(classes, share)`: the
# smallest $K \le 4096$ at which the mark, on a share of the pairs, is worth more than a class of so many; `None` if there
# is none. (`of_class` and `of_mark` are yours.) What happens to it if nearly all pairs have a mark, or nearly none? Then
# think of captions, file names and watermarks.
#
# <details><summary>Hint</summary>
#
# Try all $K$ from 2 to 4096 in turn.
#
# </details>


# %% tags=["solution", "hide-input"]
def crossing(classes, share):
    """→ K, an int, or None."""
    for K in range(2, 4097):
        if of_mark(K, share) > of_class(K, classes):
            return K
    return None


# %% tags=["check"]
assert crossing(5, 0.5) in (5, 6, 7, 8), (
    f"crossing(5, 0.5) = {crossing(5, 0.5)}: expected 5 to 8"
)
assert crossing(5, 0.9) == 2 and crossing(100, 0.05) is None, (
    "nearly all have a mark: at once; nearly none: never"
)
K = crossing(10, 0.5)
assert of_mark(K) > of_class(K, 10) and of_mark(K - 1) <= of_class(K - 1, 10), (
    f"K = {K} is not the first at which the mark is worth more"
)
[crossing(classes, 0.5) for classes in (2, 5, 10)]

# %% tags=["hidden", "remove-cell"]
K = crossing(20, 0.6)
assert of_mark(K, 0.6) > of_class(K, 20), K
assert of_mark(K - 1, 0.6) <= of_class(K - 1, 20), K

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** A high temperature caps the loss far below $\log M$ in (2). Is
# what the encoder keeps capped, too? Train encoders at $\tau = 0.2, 1, 2$ with batches of 64 same-class pairs, and measure
# them afterwards. (`frozen.Encoders`, `frozen.contrast`, `frozen.standardised` and `frozen.information` are yours, and
# `cap`.) Store the caps, and the information after training on training images, as arrays `caps` and `kept`.
#
# <details><summary>Hint</summary>
#
# `cap(64, tau)` is the cap. One `frozen.Encoders` with three temperatures trains all at once;
# `frozen.information(…)["MI, train"].to_numpy()` is what they keep. See Table 1 for how they are called.
#
# </details>


# %% tags=["solution", "hide-input"]
temperatures = [0.2, 1.0, 2.0]
caps = np.array([cap(64, tau) for tau in temperatures])
stack = frozen.Encoders([x_train.shape[1], 128, 32], temperatures, seed)
stack, on_device = stack.to(device), torch.Generator(device).manual_seed(seed)
frozen.contrast(
    stack,
    lambda step, n: task.sample(n, on_device),
    steps=200,
    batch_size=64,
)  # the members see different pairs
with torch.no_grad():
    z, z_test = frozen.standardised(stack.encode(x_train), stack.encode(x_test))
kept = frozen.information(
    frozen.code_pairs(z, task, 1),
    frozen.code_pairs(z_test, held_out, 2),
    dim=32, members=3, seed=seed, device=device, steps=100,
)["MI, train"].to_numpy()  # fmt: skip

# %% tags=["check"]
assert len(caps) == len(kept) == 3, "three temperatures: 0.2, 1, 2"
assert np.allclose(caps, [3.828, 0.989, 0.498], atol=2e-3), (
    f"caps of batches of 64: {caps}"
)
if dataset == "digits":  # no: the loss is capped, not the code
    assert kept[2] > 2 * caps[2], f"kept {kept[2]:.2f}, cap {caps[2]:.2f}"
else:
    print(
        "Not all was checked: this data set or budget is another one than the text's."
    )
pd.DataFrame({"cap of the loss": caps, "kept": kept}).round(2)

# %% tags=["hidden", "remove-cell"]
assert (caps > 0).all() and (np.diff(caps) < 0).all(), "τ up, cap down"
assert np.isfinite(kept).all() and np.max(kept) < 20, kept
if dataset == "digits":
    assert np.min(kept) > 1.5 and np.max(kept) < math.log(10) + 0.1, kept

# %% [markdown]
# ## References
#
# - K. Lee, J. Kim, S. Kang, W. Rhee. *Towards a Rigorous Analysis of Mutual Information in Contrastive Learning.*
#   Neural Networks 2024. [arXiv:2308.15704](https://arxiv.org/abs/2308.15704)
# - M. Tschannen, J. Djolonga, P. Rubenstein, S. Gelly, M. Lucic. *On Mutual Information Maximization for Representation
#   Learning.* ICLR 2020. [arXiv:1907.13625](https://arxiv.org/abs/1907.13625)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

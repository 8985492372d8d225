# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Measures of a representation, and InfoMin
#
# *Does mutual information say how good a representation is, and should two views share as little as possible?*
#
# One number that ranks encoders without a probe would be worth having. Alignment, uniformity, tolerance and mutual
# information after training are candidates. We rank 36 encoders by each, and find that the answer depends on which
# encoders are compared: a Simpson effect, which one should know from one's own field. Then we choose what two views
# share, factor by factor, and ask whether less is better.
#
# **You will learn**
# - four measures of a frozen code, and what each is blind to,
# - to compare measures with an interval, within and across populations of encoders,
# - where the InfoMin principle holds: it is a question of room.
#
# **You need** `theory/known_truth_pairs` (same-class pairs, CDP-mini) and `theory/frozen_encoders` (measuring after
# training).
#
# **Time:** 20 minutes to read; about 50 seconds to run on one CPU core.
#
# The questions are those of [Lee, Kim, Kang & Rhee (2023)](https://arxiv.org/abs/2308.15704), whose *abstract* we have
# read and whose text we could not. What follows is our own.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0: 8 for digits, else as they are
# [0 or more]
experiments = "all"  # what is run [some of measures, infomin, strength, or all]
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
import seaborn as sns
import torch
from IPython.display import display
from scipy.special import hyp0f1
from scipy.stats import kendalltau
from torch.nn import functional as F

import mdlib
from mdlib import data, mi, sweep
from mdlib.checks import unknown
from mdlib.devices import pick_device
from mdlib.figures import plots, tables
from mdlib.mi import frozen, pairs
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
PARTS = ["measures", "infomin", "strength"]
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
    names = ("measures_infomin", "measures_infomin_fashion")
    rows = pd.concat([sweep.read_csv(name) for name in names])
    if rows.empty or not (rows["experiment"] == experiment).any():
        return None
    rows = rows[rows["experiment"] == experiment]
    keys = ["dataset", "case", "seed"]
    order = list(rows["quantity"].unique())
    return rows.pivot_table("value", keys, "quantity", sort=False)[order]


def from_sweep(table):
    """A sweep's table as people read it: mean ± std over seeds."""
    if table is None:
        return None
    shown = tables.mean_std(table.reset_index(), ["dataset", "case"])
    return shown.rename_axis(columns="from the sweep's file, full budget")


# %% [markdown]
# ## Four measures
#
# Candidates for unit vectors $z$ are **alignment** $\mathbb{E}\|z - z^+\|^2$ of positive pairs and **uniformity**
# $\log \mathbb{E}\, e^{-2\|z-z'\|^2}$ of independent ones ([Wang & Isola 2020](https://arxiv.org/abs/2005.10242));
# **tolerance**, the mean cosine of two images of a class (after [Wang & Liu
# 2021](https://arxiv.org/abs/2012.09740)); and information: the InfoNCE of training, or that of a fresh critic on frozen
# codes, with same-class pairs or with views.
#
# For uniform vectors on the sphere in $m$ dimensions, the uniformity is $-4 + \log {}_0F_1(; m/2; 4)$, and the alignment
# of independent ones 2. Equal vectors have both 0.


# %% tags=["theorem:uniformity"]
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


for m in (2, 8, 128):
    z, other = F.normalize(
        torch.randn(2, 20, 500, m, generator=draw).double(), dim=-1
    )
    for values, exact in [
        (uniformity(z), -4 + math.log(hyp0f1(m / 2, 4))),
        (alignment(z, other), 2),
    ]:  # twenty samples of 500 vectors
        assert abs(values.mean() - exact) < 4.5 * values.std() / 20**0.5 + 1e-4
assert alignment(z, z).max() == 0
assert abs(uniformity(z[0, :1].expand(9, -1))) < 1e-5

# %% [markdown]
# What each is blind to follows from its definition. *Alignment and tolerance* are perfect for an encoder that maps
# everything to one point. *Uniformity* is perfect for noise. All three can change under an injective map of the codes, and
# information does not. The price of *same-class information* is in its name: it needs labels, as a probe does. It is what
# supervised contrastive learning climbs ([Khosla et al. 2020](https://arxiv.org/abs/2004.11362)).
#
# ## Which of them orders encoders?
#
# The family: encoders trained *without labels*, on views of four strengths, at three temperatures, for 0, 30 and 150
# steps. All 12 encoders of a length train in one stack. A member sees views of its own strength; the images are
# the same for all.


# %%
def view_pairs(images, strengths, seed, encode=lambda views: views):
    """Pairs of views, member m's of strength strengths[m]; same images."""
    draw = torch.Generator(device).manual_seed(seed)
    laws = {s: frozen.views_of_strength(s) for s in sorted(set(strengths))}

    def sample(step, n):
        n = n // len(strengths)
        rows = torch.randint(len(images), (n,), generator=draw, device=device)
        views = {
            s: of(images[rows], 2, draw)[0].flatten(2) for s, of in laws.items()
        }
        both = torch.stack([views[s] for s in strengths])  # [members, n, 2, D]
        return [encode(v).flatten(0, 1) for v in both.unbind(2)]

    return sample


def scaled(stack):
    """The encoders as a function, its columns of about unit size."""

    @torch.no_grad()
    def encode(x):
        z = stack.encode(x)
        return z * z.shape[-1] ** 0.5

    return encode


def codes(stack):
    """Codes of all training and test images, standardised by the former."""
    with torch.no_grad():
        z = stack.encode(x_train), stack.encode(x_test)
    return frozen.standardised(*z)


# %%
def measures(stack, training):
    """Every measure of a stack of encoders; a row an encoder."""
    members, dim = len(stack.tau), stack.encode(x_test[:1]).shape[-1]
    z, z_test = codes(stack)
    common = [1] * members  # all are measured on views of one strength
    options = {"dim": dim, "members": members, "seed": seed, "device": device}
    same = frozen.information(
        frozen.code_pairs(z, task, seed + 2),
        frozen.code_pairs(z_test, held_out, seed + 3),
        steps=steps(400), **options,
    )  # fmt: skip
    views = frozen.information(*(
        view_pairs(s.images, common, seed + i, scaled(stack))
        for i, s in enumerate((train, test), 4)
    ), steps=steps(400), **options)  # fmt: skip
    u = stack.encode(x_test)
    of_views = view_pairs(test.images, common, seed + 6, stack.encode)
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
        "accuracy": frozen.accuracy(z, train.labels, z_test, test.labels),
    }


# %%
def family():
    grid = list(itertools.product((0, 0.5, 1, 2), (0.07, 0.2, 1.0)))
    strengths, temperatures = zip(*grid, strict=True)
    found = []
    for n, length in enumerate((0, 30, 150)):
        sizes = [x_train.shape[1], 64, 8]
        stack = frozen.Encoders(sizes, temperatures, 100 * seed + n).to(device)
        sample = view_pairs(train.images, strengths, seed + 1)
        if length:
            frozen.contrast(stack, sample, steps=length, batch_size=128)
        training = mi.evaluate(
            stack, ["infonce"], sample, batches=5, batch_size=128, seeds=12
        )
        stack.requires_grad_(False)
        table = measures(stack, training["infonce"].mean())
        table = pd.DataFrame(
            {k: np.array([*v], float) for k, v in table.items()}
        )
        names = [f"s = {s}, τ = {t}, {length} steps" for s, t in grid]
        found.append(table.set_axis(names))
    return pd.concat(found)


# %% [markdown]
# Do a measure and the accuracy of a linear probe put two encoders in the same order? Kendall's $\tau_b$ asks that of
# every pair of encoders: 1 for always, $-1$ for never. The encoders are a sample, so we resample *them* (the bootstrap)
# for a confidence interval, and for the difference of two measures we resample both together.
#
# *Which* pairs? A third of the 36 encoders is untrained, a third barely trained. If a measure orders encoders of one
# training length one way, and the lengths among themselves another way, $\tau_b$ over all pairs says neither. So we
# count twice: over all pairs, and over pairs of *trained* encoders of the *same* length.


# %% tags=["theorem:kendall"]
def kendall(a, b, weights, counted=1):
    """τ_b of a and b [N] when encoder i counts weights[..., i] times, over
    the pairs that are counted [N, N]."""
    a, b = (np.asarray(v) for v in (a, b))
    a, b = (np.sign(np.subtract.outer(v, v)) * counted for v in (a, b))
    agree, a, b = (
        np.einsum("...i,ij,...j->...", weights, m, weights, optimize=True)
        for m in (a * b, a**2, b**2)
    )
    return agree / np.sqrt(a * b)


a, b = np.random.default_rng(0).integers(0, 9, (2, 30))
times = np.random.default_rng(1).integers(0, 3, 30)
again = kendalltau(a.repeat(times), b.repeat(times)).statistic
assert abs(kendall(a, b, times) - again) < 1e-12
# three groups that rise inside and fall from one to the next
group = np.arange(30) // 10
b = a + 100 * group
a = a - 100 * group
inside = np.equal.outer(group, group)
of_groups = kendall(a, b, np.ones(30), inside)
assert abs(of_groups - 1) < 1e-12 and kendall(a, b, np.ones(30)) < 0

# %% [markdown]
# The last four lines are a **Simpson effect** made by hand: $\tau_b$ is 1 within each of three groups, and negative over
# all.


# %%
def rank_table(table, n=2000):
    """τ_b with accuracy, mean over seeds, and bootstrap intervals: over all
    pairs, and over pairs of trained encoders of one length."""
    runs = [t for _, t in table.groupby(level="seed", sort=False)]
    cases = runs[0].index.get_level_values("case")
    length = cases.str.extract(r"(\d+) steps")[0].astype(int).to_numpy()
    alike = np.equal.outer(length, length) & (length > 0)
    N, draw = len(length), np.random.default_rng(seed)
    drawn = draw.multinomial(N, np.full(N, 1 / N), n)  # in all seeds alike
    drawn = np.vstack([drawn, np.ones(N)])  # the last: every encoder once
    found = {}
    for name, counted in {"all": 1, "one length": alike}.items():
        tau = {
            measure: np.mean(
                [
                    kendall(t[measure], t["accuracy"], drawn, counted)
                    for t in runs
                ],
                0,
            )
            for measure in table.columns.drop("accuracy")
        }
        for measure, values in tau.items():
            more = tau["same-class MI, held-out"] - values
            low, high = np.quantile(values[:-1], [0.025, 0.975])
            least, most = np.quantile(more[:-1], [0.025, 0.975])
            found[name, measure] = {
                "τ": values[-1], "low": low, "high": high,
                "first − this: low": least, "first − this: high": most,
            }  # fmt: skip
    return pd.DataFrame(found).T


# %% tags=["hide-input"]
def scatters(table):
    _, axes = plt.subplots(2, 4, figsize=(7, 4), sharey=True)
    cases = table.index.get_level_values("case")
    trained = cases.str.extract(r"(\d+) steps")[0].to_numpy()
    for axis, name in zip(
        axes.flat, table.columns.drop("accuracy"), strict=True
    ):
        sns.scatterplot(
            x=table[name].to_numpy(), y=table["accuracy"].to_numpy(),
            hue=trained, ax=axis, s=18, palette="viridis",
            legend=axis is axes[0, 0],
        )  # fmt: skip
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0, 0].legend(title="steps", fontsize=6, title_fontsize=6)
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy")
    plt.show()


if "measures" in chosen:
    table = keep("measures", family()).rename_axis("case")
    table = table.assign(seed=seed).set_index("seed", append=True)
    scatters(table)
    display(rank_table(table).round(2))

# %% [markdown]
# *Figure 1. Each dot an encoder: a measure of it (information and InfoNCE in nats) against the accuracy of a linear
# probe. Table 1. Kendall's $\tau_b$ with accuracy and its 95% bootstrap interval; the same for how much larger that of
# the first row is. One seed. An interval that holds 0 decides nothing.*

# %% tags=["hide-input"]
full, ranks = swept("measures"), {}
if full is not None:
    for name, table in full.groupby(level="dataset", sort=False):
        ranks[name] = rank_table(table)
    shown = pd.concat(ranks).round(2)
    display(shown.rename_axis(columns="from the sweep's file, full budget"))

# %%
if "digits" in ranks:
    everyone, alike = (
        ranks["digits"].loc["all"],
        ranks["digits"].loc["one length"],
    )
    ahead = "first − this: low"
    halves = ["−alignment, views", "−alignment, same class", "tolerance"]
    assert (everyone.loc[[*halves, "−uniformity"], ahead] > 0).all()
    assert (everyone.loc[halves, "low"] < 0).all()  # no order over all pairs
    assert (alike.loc[halves, "low"] > 0).all()  # and one within a length
    assert (
        everyone.loc["−uniformity", "low"]
        > 0
        > alike.loc["−uniformity", "high"]
    )
    assert (alike.loc[halves, ahead] > 0).all()
    views = "MI of views, held-out"
    assert everyone.loc[views, ahead] > 0 > alike.loc[views, ahead]

# %% [markdown]
# *Measured, over three seeds at the full budget.* Same-class information (of held-out images or of
# training's: undecided) orders encoders best, in both counts. Beyond that, the counts disagree:
#
# - Over **all** pairs alignment and tolerance are undecided, and more uniform is better.
# - Among encoders of **one length** they order well, and more uniform is *worse*. An untrained encoder has its views
#   well aligned, by collapse; training changes both measures and accuracy at once, and that hid the order.
# - Among those, information of *views*, which needs no labels, cannot be told from same-class information.
#
# So "alignment does not predict accuracy" and "alignment predicts accuracy" are both true here, of different
# populations. Who compares methods at the end of training wants the second. Of the 12 encoders with 150 steps alone, even
# the lead over alignment and tolerance is undecided.
#
# ## Should views share as little as possible?
#
# The **InfoMin** principle ([Tian et al. 2020](https://arxiv.org/abs/2005.10243)): of all views that share what the
# task needs, the best share nothing else. On CDP-mini we know what is shared. Seven encoders, one for each set of
# shared factors, train side by side; a linear probe asks each for each factor. Twice: with codes of 64 dimensions, and
# of 4. *Nothing else changes*: the same pairs, batches of $K = 128$, and steps.


# %%
digits = [data.load("digits", s, size=8).to(device) for s in ("train", "test")]
SHARED = ["d", "dc", "dp", "dcp", "c", "p", "cp"]  # initials of the factors


def cdp(split, shared):
    names = [f for f in pairs.CdpMini.FACTORS if f[0] in shared]
    return pairs.CdpMini(split.images, split.labels, names)


def side_by_side(tasks, seed, encode=lambda v: v):
    """Pairs of each task for its member."""
    draw = torch.Generator(device).manual_seed(seed)

    def sample(step, n):
        drawn = [t.sample(n // len(tasks), draw) for t in tasks]
        both = zip(*drawn, strict=True)
        return [encode(torch.stack(v)).flatten(0, 1) for v in both]

    return sample


# %%
def infomin(width, shared=SHARED, K=128):
    learn, new = ([cdp(split, s) for s in shared] for split in digits)
    stack = frozen.Encoders([432, 256, width], [0.2] * len(shared), seed)
    stack = stack.to(device)
    frozen.contrast(
        stack, side_by_side(learn, seed + 1), steps=steps(500), batch_size=K
    )
    encode = scaled(stack)
    found = frozen.information(
        side_by_side(learn, seed + 2, encode), side_by_side(new, seed + 3, encode),
        dim=width, members=len(shared), seed=seed, device=device,
        hidden=128, steps=steps(400), evaluation_size=1024,
    )  # fmt: skip
    found.insert(0, "true MI", [t.information for t in learn])
    draw = torch.Generator(device).manual_seed(seed + 4)
    (x, f), (x_new, f_new) = (t[0].labelled(3000, draw) for t in (learn, new))
    z, z_new = encode(x), encode(x_new)
    for i, factor in enumerate(pairs.CdpMini.FACTORS):
        found[factor] = frozen.accuracy(z, f[:, i], z_new, f_new[:, i])
    return found.set_axis([f"{s}, K = {K}, {width} dims" for s in shared])


# %%
if "infomin" in chosen:
    spacious = keep("infomin", infomin(64))
    cramped = keep("infomin", infomin(4))
    for table in (spacious, cramped):
        error = 4 * 0.05  # ten batches of 1024; far below a factor's entropy
        assert (table["MI, train"] <= table["true MI"] + error).all()
    if budget >= 0.2:
        digit, small = (
            t["digit"].set_axis(SHARED) for t in (spacious, cramped)
        )
        error = 4 * (2 * 0.25 / 3000) ** 0.5  # of a difference, at most
        assert digit[["c", "p", "cp"]].max() < digit["dcp"] - error
        assert small["dcp"] < small["d"] - error  # no room for the digit
        assert small["d"] - small["dcp"] > digit["d"] - digit["dcp"] + error
    display(spacious.round(3), cramped.round(3))


# %% tags=["hide-input"]
def against_information(table, x, y, axis, label, colour="C0"):
    axis.plot(table[x], table[y], "o", color=colour)
    for name, row in table.iterrows():
        axis.annotate(label(name), (row[x], row[y]), xytext=(5, -9),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axis.margins(0.12)


if "infomin" in chosen:
    _, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
    for axis, table, width in zip(
        axes, (spacious, cramped), (64, 4), strict=True
    ):
        against_information(
            table, "true MI", "digit", axis, lambda s: s.split(",")[0].upper()
        )
        axis.set(
            xlabel="information shared (nats)", title=f"{width} dimensions"
        )
    axes[0].set_ylabel("digit accuracy")
    plt.show()

# %% [markdown]
# *Figure 2 and Table 2. CDP-mini: what pairs share (D digit, C colour, P position), the true information, its estimate
# on the codes (nats), and what linear probes find; codes of 64 dimensions, then of 4.*

# %%
full = swept("infomin")
if full is not None:
    wide = full[full.index.get_level_values("case").str.endswith("64 dims")]
    digit = wide["digit"].unstack("case")  # a row a seed
    digit.columns = digit.columns.str.split(",").str[0]
    for part in ("c", "p", "cp"):
        less = digit["d"] - digit[part]
        assert less.mean() - 3 * less.std() / len(less) ** 0.5 > 0.2, part
    cost = digit["d"] - digit["dcp"]
    assert cost.mean() + 3 * cost.std() / len(cost) ** 0.5 < 0.06, cost
    full = full[full.index.get_level_values("case").str.contains("K = 128")]
from_sweep(full)

# %% [markdown]
# *Measured.* **With room** for everything the direction is InfoMin's, but sharing 3.47 nats too much costs 1.4 points of
# digit accuracy at the full budget (9 at a fifth of it), and leaving the digit out costs 47 to 77. Sets of nearly equal
# information (the digit alone, the colour alone) lie far apart. The *amount* of information predicts little without its
# *content*, and which content matters, the views cannot know: the task does.
#
# **Without room** (one seed, a fifth of the budget) the digit is what finds no place: colour and position are easier to
# see, and four dimensions are soon full. These are the *shortcuts* that InfoMin warns of. Whether irrelevant shared
# information hurts is a question of room, and the principle is right where there is none.
#
# ### On real images
#
# Here nobody knows the information, but its amount has a knob: the strength of the views. Eight encoders, eight
# strengths. After training, a fresh critic estimates the information between two views' codes.


# %% tags=["hide-input"]
def strength():
    strengths = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3)
    stack = frozen.Encoders([x_train.shape[1], 128, 32], [0.2] * 8, seed)
    stack = stack.to(device)
    z, z_test = codes(stack)
    control = frozen.accuracy(z, train.labels, z_test, test.labels)
    sample = view_pairs(train.images, strengths, seed + 1)
    frozen.contrast(stack, sample, steps=steps(600), batch_size=128)
    encode = scaled(stack)
    found = frozen.information(
        view_pairs(train.images, strengths, seed + 2, encode),
        view_pairs(test.images, strengths, seed + 3, encode),
        dim=32, members=8, seed=seed, device=device, steps=steps(400),
    )  # fmt: skip
    z, z_test = codes(stack)
    found["accuracy"] = frozen.accuracy(z, train.labels, z_test, test.labels)
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
# *Figure 3. Strength s of the views: InfoNCE of a fresh critic on codes of held-out views (K = 512; dashed, its
# ceiling), against the accuracy of a linear probe on clean images. Dotted: the same encoders before training.*

# %%
full = swept("strength")
if full is not None and "digits" in full.index.levels[0]:
    by_seed = full.xs("digits")["accuracy"].unstack("case")
    worse = (
        full.xs("digits")["accuracy, untrained"].unstack("case").mean(axis=1)
    )
    worse = worse - by_seed["s = 0"]
    assert worse.mean() - 2 * worse.std() / len(worse) ** 0.5 > 0
    assert by_seed.mean().idxmin() == "s = 0"
from_sweep(full)

# %% [markdown]
# *Measured.* Views at strength 0 are the image itself, and to find an image among others a network need not understand
# it: that code is the worst, and worse than none of the training. So the right side of a reverse U is there, too much in
# common. The left side is not, as far as these views go. But the testbed is nearly saturated: a linear probe of
# *untrained* codes has over 90% already, most strengths lie within two points of each other, and the standard error of
# an accuracy on a few hundred images is one point. A verdict on the left side needs a harder task.
#
# ## What this does not show
#
# - **That the paper found this.** Its encoders, data sets and numbers are unknown to us.
# - **That same-class information replaces probes.** It needs labels, as a probe does, and with few classes it
#   saturates: no more than $H(C)$ can be asked about.
# - **That these populations are yours.** The second count has 24 encoders of one architecture. Another family may order
#   otherwise; look at the scatter, and at the groups in it, before you trust a rank correlation.
# - **Why the digit loses in four dimensions.** "Easier to see" is a reading. `theory/frozen_encoders` has an example in
#   which the batch size decides.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** An ideal encoder maps each of $M$ equally likely classes to a corner of a regular simplex of unit vectors,
# whose cosines are $-1/(M-1)$. Write `ideal(M)`, which returns its alignment of same-class pairs, its uniformity (of
# independent pairs, equal ones included) and its tolerance.
#
# <details><summary>Hint</summary>
#
# Alignment and tolerance are those of equal codes. The two codes of an independent pair are of one class with chance $1/M$;
# else their squared distance is $2 - 2\cos$.
#
# </details>


# %% tags=["solution", "hide-input"]
def ideal(M):
    """M classes → (alignment, uniformity, tolerance), floats."""
    apart = 2 + 2 / (M - 1)  # squared distance of two corners
    return 0.0, math.log(1 / M + (1 - 1 / M) * math.exp(-2 * apart)), 1.0


# %% tags=["check"]
for M_ in (2, 10):
    corners = F.normalize(torch.eye(M_) - 1 / M_, dim=-1).double()
    labels = torch.arange(M_).repeat(200)
    z = corners[labels]
    exact = (alignment(z, z).item(), uniformity(z).item())
    exact += (tolerance(z.float(), labels).item(),)
    assert np.allclose(ideal(M_), exact, atol=0.01), (
        f"M = {M_}: yours {ideal(M_)}, measured {exact}"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(ideal(2)[1] - math.log((1 + math.exp(-8)) / 2)) < 1e-6, ideal(2)

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Write `simpson(a, b, group)`: $\tau_b$ of two arrays over all pairs, and the mean over groups of the
# $\tau_b$ inside each, with `scipy.stats.kendalltau`. Then apply it to your favourite table of methods and data sets.
#
# <details><summary>Hint</summary>
#
# `kendalltau(a, b).statistic`, once with all, once for each value of `group`.
#
# </details>


# %% tags=["solution", "hide-input"]
def simpson(a, b, group):
    """a, b, group [n] → (over all, mean within groups), floats."""
    a, b, group = (np.asarray(v) for v in (a, b, group))
    inside = [
        kendalltau(a[group == g], b[group == g]).statistic
        for g in np.unique(group)
    ]
    return kendalltau(a, b).statistic, float(np.mean(inside))


# %% tags=["check"]
g = np.arange(40) // 10
noise = np.random.default_rng(3).normal(size=(2, 40))
together, inside = simpson(noise[0] - 50 * g, noise[0] + 50 * g, g)
assert together < -0.5 and abs(inside - 1) < 1e-12, (
    f"over all {together:.2f}, within {inside:.2f}: expected below −0.5 and 1"
)
together, inside = simpson(noise[0], noise[1], np.zeros(40))
assert abs(together - inside) < 1e-12, "one group: both are the same"

# %% tags=["hidden", "remove-cell"]
a = np.array([1, 2, 3, 4, 1, 2, 3, 1, 1, 2])
b = np.array([1, 3, 2, 4, 3, 1, 2, 1, 2, 3])
found = simpson(a, b, np.array(list("aaaabbbccc")))
assert np.allclose(found, (0.3662, 0.3833), atol=1e-3), f"{found}"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** How much room does the digit need? For pairs that share all three factors (`"dcp"`),
# train codes of 2, 4, 16 and 64 dimensions (`infomin(width, ["dcp"])` is yours), and store a series `digit`: the digit's
# accuracy by width. Where does it find a place? Does a longer training or a smaller temperature make room?
#
# <details><summary>Hint</summary>
#
# `infomin(width, ["dcp"])["digit"].iloc[0]` is one of them.
#
# </details>


# %% tags=["solution", "hide-input"]
widths = [2, 4, 16, 64]
digit = pd.Series(
    {width: infomin(width, ["dcp"])["digit"].iloc[0] for width in widths}
)

# %% tags=["check"]
assert isinstance(digit, pd.Series), "a series: accuracy by width"
assert list(digit.index) == [2, 4, 16, 64] and digit.between(0, 1).all(), (
    f"widths {list(digit.index)}, accuracies {digit.to_list()}"
)
error = 4 * (2 * 0.25 / 3000) ** 0.5
assert digit[64] > digit[2] + error, (
    f"64 dimensions {digit[64]:.3f}, 2 dimensions {digit[2]:.3f}"
)
digit.round(3)

# %% tags=["hidden", "remove-cell"]
if "infomin" in chosen:
    of_digit = cramped.loc["dcp, K = 128, 4 dims", "digit"]
    assert abs(digit[4] - of_digit) < 2 * error, "the digit's accuracy"

# %% [markdown]
# ## References
#
# - P. Khosla et al. *Supervised Contrastive Learning.* NeurIPS 2020.
#   [arXiv:2004.11362](https://arxiv.org/abs/2004.11362)
# - K. Lee, J. Kim, S. Kang, W. Rhee. *Towards a Rigorous Analysis of Mutual Information in Contrastive Learning.*
#   Neural Networks 2024. [arXiv:2308.15704](https://arxiv.org/abs/2308.15704)
# - Y. Tian, C. Sun, B. Poole, D. Krishnan, C. Schmid, P. Isola. *What Makes for Good Views for Contrastive Learning?*
#   NeurIPS 2020. [arXiv:2005.10243](https://arxiv.org/abs/2005.10243)
# - F. Wang, H. Liu. *Understanding the Behaviour of Contrastive Loss.* CVPR 2021.
#   [arXiv:2012.09740](https://arxiv.org/abs/2012.09740)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

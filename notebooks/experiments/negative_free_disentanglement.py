# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Do methods without negatives disentangle?
#
# *A code of 256 numbers, learned by agreement alone: does some small part of it say one thing at a time?*
#
# **You will learn**
# - how to read single units of a wide code, and why every reading needs two controls,
# - which scores of the literature survive a code of 256 dimensions and which do not,
# - what is left of "a well-disentangled subset" once the controls stand beside it.
#
# **You need** `theory/disentanglement` (MED, its null, the other scores) and `methods/negative_free` (the six losses).
#
# **Time:** 25 minutes to read; about 70 seconds to run on one CPU core; the sweep behind the figures took five hours.

# %% tags=["parameters", "hide-input"]
dataset = "scenes"  # or sprites, dsprites, shapes3d, celeba, …
# [data set with factors]
methods = "vicreg,beta_vae"  # what is compared [some methods]
seed = 0  # the first seed [seed]
seeds = 1  # how many, one after the other [1 or more]
steps = 500  # training steps of each method [1 or more]
batch_size = 64  # images a step, with two views each; VAEs take twice as many images as they are
# [2 or more]
latent_dim = 256  # size of the joint embeddings' codes [1 or more]
vae_dim = 10  # size of the VAEs' codes [1 or more]
code = "relu"  # last layer of the joint embeddings' encoder
# [one of relu, linear]
arch = "mlp-small"  # of the encoder
# [one of mlp-small, mlp, mlp-large, conv, resnet]
lr = 1e-3  # learning rate at the first step; it falls to 0 along a cosine
# [above 0]
samples = 5000  # images that the scores are computed from [100 or more]
trees = 2000  # images that SAP, DCI and HFS are computed from [100 or more]
bins = 20  # of each code, for everything that counts [2 to 65536]
image_size = 32  # photographs are scaled to it [1 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from scipy.stats import kendalltau
from torch import nn

import mdlib
from mdlib import data, metrics, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes, statistics
from mdlib.evaluation.inputs import standardise
from mdlib.figures import plots, tables
from mdlib.methods import create
from mdlib.methods.supervised import Supervised
from mdlib.methods.vae import VAE
from mdlib.notebook import provenance
from mdlib.training import ImageViews, Watch, fit
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)
chosen = methods.replace(" ", "").split(",")

# %% [markdown]
# ## The claim
#
# Disentanglement was studied on codes of ten or twenty numbers, made by VAEs. The codes of self-supervised learning are
# wider by a factor of ten to a hundred.
# [Cao et al. 2022](https://arxiv.org/abs/2206.04756) proposed MED, a score that still means something there, and their
# abstract says that methods without negatives learn *a well-disentangled subset* of their code. (We could read the
# abstract and the released metric, not the paper's tables. Nothing below is compared with their numbers.)
#
# To look at single units, three questions must be answered first.
#
# **Which layer?** A linear layer's axes mean nothing to the loss ({prf:ref}`thm-free-axes`), so we read the encoder's
# output after a **ReLU**: non-negative, before the projector. VAEs are read at the posterior mean, which is linear; but
# their prior treats every axis as a coordinate of its own.
#
# **Which views?** A method that is asked to ignore something will ignore it. With the usual large crops, position and
# size would be noise to the code, and nothing could be found of them. So the views leave every factor nearly as it is.
#
# **Which control?** The best of 256 units looks good by chance. Beside every score stand two others: that of the same
# code in a random rotation, whose axes mean nothing (a mean over five rotations), and that of the same encoder before
# training. For a VAE that is an untrained *linear* code of ten units, for the others 256 units after a ReLU: two
# controls of one name.

# %%
train = data.load(dataset, size=image_size)
test = data.load(dataset, "test", size=image_size).sample(samples).to(device)
measured = train.sample(samples).to(device)
names, K = train.factor_names, len(train.factor_names)
v, v_test = measured.factors, test.factors
nearly = Views(
    crop=(0.9, 1.0), crop_ratio=(1.0, 1.0), brightness=0.5, noise=0.15,
    erase=1.0, erase_area=(0.03, 0.04),
)  # fmt: skip
as_it_is = Views()
train

# %% tags=["hide-input"]
generator = torch.Generator(device).manual_seed(seed)
examples = measured.images[:8]
views, _ = nearly(examples, 2, generator)
sheet = torch.cat([examples[:, None].float() / 255, views], 1).transpose(0, 1)
plots.image_grid(sheet, row_labels=["image", "view 1", "view 2"])

# %% [markdown]
# *Figure 1. Images and the two views that joint embeddings compare: a crop of at least nine tenths, another brightness,
# noise, a black patch.*
#
# VAEs see the images as they are, as in the literature on disentanglement, and twice as many of them a step, so that
# every method looks at the same number of pictures.
#
# ## Methods
#
# Joint embeddings: **BYOL, SimSiam, DirectPred, Barlow Twins, VICReg, W-MSE**, and **InfoNCE** as the control that has
# negatives. VAEs: **VAE, β-VAE, FactorVAE, β-TCVAE**. A reference: a network of the same shape that is told every factor of
# every image, with a linear layer for each factor on top of the same 256 units. It
# is not in the library, but it is short. A source of batches has one label an image, so we pack all factors into one number.


# %%
def packed(factors):
    """One integer [N] for factors [N, K]: digits of a number of mixed base."""
    label = torch.zeros(len(factors), dtype=torch.int64, device=factors.device)
    for column, size in zip(factors.T, train.factor_sizes, strict=True):
        label = label * size + column
    return label


class SupervisedFactors(Supervised):
    """Cross-entropy on each factor, from one linear layer, in nats a view."""

    def __init__(self, image_shape, latent_dim, sizes, **options):
        super().__init__(image_shape, latent_dim, **options)
        self.sizes, self.classes = sizes, None
        self.head = nn.Linear(latent_dim, sum(sizes))

    def loss(self, views, generator=None, *, labels):
        logits = self.head(self.encoder(views.flatten(0, 1))).float()
        targets = torch.unravel_index(labels, self.sizes)
        terms = [
            F.cross_entropy(part, target.repeat_interleave(views.shape[1]))
            for part, target in zip(
                logits.split(self.sizes, 1), targets, strict=True
            )
        ]
        return sum(terms), {"cross_entropy": sum(terms)}


assert torch.equal(
    torch.stack(torch.unravel_index(packed(v), train.factor_sizes), 1), v
)

# %%
EMBEDDINGS = [
    "byol", "simsiam", "directpred", "barlow", "vicreg", "wmse", "infonce",
]  # fmt: skip
OPTIONS = {"wmse": {"head_dim": 32}}  # below the batch size


def build(name, s):
    """A fresh method; joint embeddings that share a seed share the encoder."""
    wide = {"latent_dim": latent_dim, "arch": arch, "code": code}
    shape = {"image_shape": train.image_shape}
    if name == "supervised":  # with all factors
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(s)
            sizes = list(train.factor_sizes)
            return SupervisedFactors(**shape, **wide, sizes=sizes).to(device)
    size = wide if name in EMBEDDINGS else {"latent_dim": vae_dim, "arch": arch}
    options = OPTIONS.get(name, {})
    return create(name, **shape, **size, **options, seed=s).to(device)


# %% [markdown]
# ## Measures
#
# **Alignment**: MED, and top-1 MED: that of the best unit of each factor. **Controls**: the same after a random rotation,
# and before training. **Classics**: MIG, modularity, IRS, the BetaVAE and FactorVAE scores; SAP, DCI and HFS for codes up
# to 64 wide (a support vector machine or trees for each of 256 units take too long). **Information**: what a linear probe
# on the whole code knows of each factor, on test images.
#
# Two choices of ours. All codes are divided by one number, the root of their mean variance, because the FactorVAE score
# leaves out units with a deviation below .05, and that should not depend on the units of a network. And every score is
# from the same number of images with the same bins, since scores of different $N$ do not compare.

# %%
CLASSICS = ["mig", "modularity", "irs", "beta_vae", "factor_vae"]
ALSO_ROTATED = ["mig", "beta_vae", "factor_vae"]
NARROW = 64  # up to here also SAP, DCI and HFS


@torch.no_grad()
def codes_of(method):
    """Codes of the measured and of the test images, in units of one size."""
    z, z_test = method.encode(measured.images), method.encode(test.images)
    size = z.var(0).mean().sqrt().clamp(min=1e-12)
    return z / size, z_test / size


def alignment(z):
    """MED of all units, and of the best unit of each factor."""
    best = metrics.med(z, v, bins, top_k=1)
    return {"MED": best.full, "top-1": best.score}


def alignment_rotated(z, s):
    """The same of randomly rotated codes: the mean over five rotations."""
    null = metrics.rotation_null(z, v, 1, bins=bins, seed=s)
    return {"MED": float(null.full_scores.mean()), "top-1": null.score}


# %%
PENALTIES = {"penalties": (1e-2, 1e-3, 1e-4), "tol": 1e-3}


def knowledge(z, z_test):
    """Accuracy of a linear probe of each factor, on test images."""
    return {
        f"probe {name}": probes.linear(
            z, v[:, j], z_test, v_test[:, j], **PENALTIES
        ).score
        for j, name in enumerate(names)
    }


def classics(z, s, wanted=CLASSICS):
    rows = v[: len(z)]
    table = metrics.evaluate(z, rows, metrics=wanted, bins=bins, seed=s)
    return table["score"].to_dict()


def examine(method, before, s):
    """One row of the table: the scores, each control, and the probes."""
    z, z_test = codes_of(method)
    draw = torch.Generator().manual_seed(s)
    (standard,) = standardise(z.double())  # else large units stay axes
    z_rotated = standard @ metrics.random_rotation(z.shape[1], draw).to(
        standard
    )
    rotated = alignment_rotated(z, s) | classics(z_rotated, s, ALSO_ROTATED)
    row = alignment(z) | classics(z, s)
    if z.shape[1] <= NARROW:
        row |= classics(z[:trees], s, ["sap", "dci", "hfs"])
    row |= {f"{name} rotated": score for name, score in rotated.items()}
    at_first = alignment(before[0]) | knowledge(*before)
    row |= {f"{name} untrained": score for name, score in at_first.items()}
    return row | knowledge(z, z_test)


# %% [markdown]
# ## Train
#
# While a method trains, we look at MED of its code eight times: has it come to rest?


# %%
def alignment_now(method):
    """MED of the code, as it is by now."""
    z = method.encode(measured.images[:3000])
    return {"MED": metrics.med(z, v[:3000], bins).score}


trained, untrained, curves, rows = {}, {}, {}, []
for name in chosen:
    for s in range(seed, seed + seeds):
        method = build(name, s)
        untrained[name, s] = before = codes_of(method)
        vae = isinstance(method, VAE)
        source = ImageViews(
            train.images, as_it_is if vae else nearly, members=1 if vae else 2,
            labels=packed(train.factors),
        )  # fmt: skip
        watch = Watch(alignment_now, every=max(1, steps // 8))
        fit(
            method, source, steps=steps, batch_size=batch_size * (1 + vae), lr=lr,
            seed=s, device=device, callbacks=[watch], progress=False,
        )  # fmt: skip
        curves[name, s] = watch.rows
        trained[name, s] = method
        settings = {"method": name, "seed": s, "data": dataset}
        halfway = [at["MED"] for at in curves[name, s] if at["step"] < steps]
        rows.append(settings | examine(method, before, s))
        rows[-1]["MED watched at half"] = halfway[len(halfway) // 2]
        rows[-1]["MED watched at end"] = curves[name, s][-1]["MED"]
results = pd.DataFrame(rows)
mdlib.record(out, rows)
SHOWN = ["MED", "MED rotated", "MED untrained"]
SHOWN += ["top-1", "top-1 rotated", "top-1 untrained"]
results.set_index(["method", "seed"])[SHOWN].round(3)

# %% [markdown]
# *Table 1. This run: MED of all units and of the best unit a factor, each beside its two controls.*

# %% tags=["hide-input"]
_, axis = plt.subplots(figsize=(6, 2.6))
for (name, _), curve in curves.items():
    curve = pd.DataFrame(curve)
    label = plots.LABELS.get(name, name)
    axis.plot(
        curve["step"], curve["MED"], "o-", ms=4,
        color=plots.COLOURS.get(name), label=label,
    )  # fmt: skip
axis.set(xlabel="step", ylabel="MED, 3000 images", ylim=(0, None))
axis.legend()
plt.show()

# %% [markdown]
# *Figure 2. MED in the course of this training. (From fewer images than in the tables, so the values differ from
# those.)*
#
# ## What does the best unit do?
#
# A score is one number. A **response plot** shows what it was made from. For each factor take the unit that MED ranks
# first, fix the factor at each of its values, and average the unit over everything else. A unit that stands for one
# factor alone has a steep curve and narrow bands; if it also listens to others, its bands are wide.


# %% tags=["hide-input"]
def best_units(z):
    """For each factor, the unit that scores highest among those it owns."""
    score = metrics.med(z, v, bins)
    owner = score.importance.argmax(1)
    owned = torch.where(
        owner[:, None] == torch.arange(K).to(owner),
        score.per_code[:, None] + 1e-9,
        0 * score.importance,
    )
    fallback = score.importance.argmax(0)  # for a factor that owns no unit
    return torch.where(owned.amax(0) > 0, owned.argmax(0), fallback)


def responses(z, panels, colour, label):
    for axis, j, unit in zip(panels, range(K), best_units(z), strict=False):
        response = (z[:, unit] - z[:, unit].mean()) / z[:, unit].std()
        groups = [response[v[:, j] == x] for x in v[:, j].unique()]
        mean = np.array([g.mean().item() for g in groups])
        band = np.array([g.std().item() for g in groups])
        x = range(len(groups))
        axis.plot(x, mean, "o-", ms=3, lw=1.2, color=colour, label=label)
        axis.fill_between(x, mean - band, mean + band, color=colour, alpha=0.15)


# %% tags=["hide-input"]
shown = min(K, 6)
_, axes = plt.subplots(
    len(chosen), shown, figsize=(7, 0.4 + 1.5 * len(chosen)), sharey=True,
    sharex="col", squeeze=False,
)  # fmt: skip
for name, panels in zip(chosen, axes, strict=True):
    colour = plots.COLOURS.get(name, "C0")
    responses(untrained[name, seed][0], panels, "0.5", "untrained")
    responses(codes_of(trained[name, seed])[0], panels, colour, "trained")
    panels[0].set_ylabel(plots.LABELS.get(name, name))
for axis, factor in zip(axes[0], names, strict=False):
    axis.set_title(factor.replace("_", " "), fontsize=9)
axes[-1, 0].set_xlabel("value of the factor", loc="left")
axes[0, 0].legend(fontsize=6)
plt.show()

# %% [markdown]
# *Figure 3. Response of each factor's best unit (columns) in units of its own deviation: mean and ± one deviation over
# all images with that value of the factor. Grey: before training.*

# %% [markdown]
# ## The benchmark
#
# One run is an anecdote. The sweep `negative_free_disentanglement` trained every method on two data sets, `sprites`
# (grey: shape, scale, orientation, $x$, $y$) and `scenes` (colour: three hues, scale, shape, orientation), with five fresh
# seeds: joint embeddings for 1000 steps, VAEs, which come to rest later, for 2000. Its claims were written before its rows.
# Everything from here on is read from it.

# %% tags=["hide-input", "reads-rows"]
kept = sweep.read_csv("negative_free_disentanglement")
said = sweep.claims("negative_free_disentanglement")
usual = {"latent_dim": 256, "vae_dim": 10, "code": "relu", "arch": "mlp-small"}
DATA = ["sprites", "scenes"]


def group(**settings):
    """Rows of the sweep with the given settings, the usual ones elsewhere."""
    wanted = usual | settings
    return kept[(kept[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def titled(found):
    return ", ".join(plots.LABELS[name] for name in found) or "none"


main = group()
VAES = [n for n in main["method"].unique() if n.endswith("vae")]
ORDER = [*EMBEDDINGS, "supervised", *VAES]
free = [name for name in EMBEDDINGS if name != "infonce"]  # of negatives
mean = main.groupby(["data", "method"]).mean(numeric_only=True)
moved = (mean["MED watched at end"] / mean["MED watched at half"] - 1).abs()
joint = moved[moved.index.isin(EMBEDDINGS, level=1)]
vaes = moved[moved.index.isin(VAES, level=1)]
Markdown(f"""*Has training come to rest?* From half of the training to its end, MED moves by {joint.median():.0%} in the median
over joint embeddings and data sets ({joint.max():.0%} at most: {plots.LABELS[joint.idxmax()[1]]}, {joint.idxmax()[0]}),
and by {vaes.median():.0%} over VAEs ({vaes.max():.0%} at most: {plots.LABELS[vaes.idxmax()[1]]}, {vaes.idxmax()[0]}). Where
that is much, read the scores as those of a training of this length.""")


# %% tags=["hide-input", "reads-rows"]
def dots(axis, d, score):
    """A row a method: trained with its deviation, rotated, untrained."""
    part = main[main["data"] == d].groupby("method")
    for y, name in enumerate(reversed(ORDER)):
        rows = part.get_group(name)
        for label, mark in {"untrained": "x", "rotated": "|"}.items():
            axis.plot(
                rows[f"{score} {label}"].mean(), y, mark, color="0.3", ms=7, mew=1.6,
                label=label if y == 0 else None,
            )  # fmt: skip
        axis.errorbar(
            rows[score].mean(), y, xerr=rows[score].std(), fmt="o", ms=5, capsize=2,
            lw=1.2, color=plots.COLOURS.get(name, "C0"),
            label="trained" if y == 0 else None,
        )  # fmt: skip
    axis.set(title=f"{d}: {score}", xlim=(0, None))
    axis.set_yticks(range(len(ORDER)), [plots.LABELS.get(n, n) for n in reversed(ORDER)], fontsize=7)  # fmt: skip


figure, axes = plt.subplots(2, 2, figsize=(7, 5.6), sharey=True)
for panels, d in zip(axes, DATA, strict=True):
    for axis, score in zip(panels, ("MED", "top-1"), strict=True):
        dots(axis, d, score)
figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, ncols=3, loc="outside upper center")  # fmt: skip
plt.show()

# %% [markdown]
# *Figure 4. MED of all units (left) and of the best unit of each factor (right); dots: mean ± one standard deviation
# over seeds, crosses: the same encoder before training, bars: the trained code in a random rotation. Joint embeddings
# and the supervised network have 256 units, VAEs 10: compare a method with its own controls, not across.*

# %% tags=["hide-input", "reads-rows"]
scores = ["MED", "top-1", *CLASSICS, "sap", "dci", "hfs"]
pd.concat(
    {d: tables.mean_std(part[["method", *scores]], best=()) for d, part in main.groupby("data", sort=False)},
    names=["data"],
).rename(index=plots.LABELS)  # fmt: skip

# %% [markdown]
# *Table 2. All scores of the literature: mean ± standard deviation over seeds, 5000 images, 20 bins (SAP, DCI and HFS: 2000
# images, only up to 64 units). In all but HFS higher is better. None is marked as best: widths differ.*
#
# ## Which scores mean something at 256 units?
#
# Rotate a code at random and its axes mean nothing. A score of axes should notice.

# %% tags=["hide-input", "reads-rows"]
tests = ["MED", "top-1", "mig", "beta_vae", "factor_vae"]
after = mean.loc[(slice(None), EMBEDDINGS), :]
newer = sweep.read_csv("negative_free_disentanglement_axes")
newer = newer.groupby(["data", "method"]).mean(numeric_only=True)
_, axes = plt.subplots(1, len(tests), figsize=(7, 2.2))
for axis, score in zip(axes, tests, strict=True):
    table = after if score in ("MED", "top-1") else newer
    high = table[[score, f"{score} rotated"]].max().max() * 1.1
    axis.plot([0, high], [0, high], color="0.7", lw=1)
    for d, mark in zip(DATA, "os", strict=True):
        part = table.loc[d]
        axis.scatter(
            part[score], part[f"{score} rotated"], marker=mark, s=18,
            c=[plots.COLOURS[name] for name in part.index], label=d,
        )  # fmt: skip
    axis.set(xlabel="its own axes")
    axis.set_title(score, fontsize=8)
axes[0].set_ylabel("axes rotated")
axes[0].legend(fontsize=6)
plt.show()

# %% [markdown]
# *Figure 5. Joint embeddings (dot: sprites, square: scenes, mean over seeds): the score of their own axes against that of
# random axes. On the grey line a score cannot tell the two apart; above it, it prefers the axes that mean nothing. MED and
# top-1: all seven; the others: BYOL and VICReg, of the sweep `negative_free_disentanglement_axes` (five other seeds). The
# large sweep had rotated codes for these without standardising them, which leaves large units as they are.*

# %% tags=["hide-input", "reads-rows"]
med_ratio = after["MED"] / after["MED rotated"]
vote_gain = newer["factor_vae rotated"] - newer["factor_vae"]
Markdown(f"""On both data sets:

- **MED** of the own axes is {med_ratio.min():.1f} to {med_ratio.max():.1f} times that of random axes, over the
  {len(EMBEDDINGS)} joint embeddings.
- The **FactorVAE score** changes by {vote_gain.mean():+.2f} on average when the axes are thrown away
  ({vote_gain.min():+.2f} to {vote_gain.max():+.2f}). It asks which unit varies least when a factor is fixed; of many
  random mixtures one will always do.
- The **BetaVAE score** lies between {newer["beta_vae"].min():.2f} and {newer["beta_vae"].max():.2f} with the own axes,
  and between {newer["beta_vae rotated"].min():.2f} and {newer["beta_vae rotated"].max():.2f} with random ones.
- **MIG** is below {after["mig"].max() + 0.005:.2f} for every joint embedding; with ten units
  BYOL's is as low.""")

# %% tags=["hide-input", "reads-rows"]
ours = said.index.str.startswith("med-") | said.index.str.endswith("-mig")
later = sweep.claims("negative_free_disentanglement_axes")
plots.claims(pd.concat([said[ours], later]))

# %% [markdown]
# *Figure 6. The claims on scores, of 256 units: MIG against .1; MED, and the FactorVAE score, of the own axes minus those of
# random ones. Beside each interval its verdict and what was expected.*
#
# ## Is it the training?
#
# The second control is the harder one. The best units of an encoder with random weights look good, too: its
# units are random templates of the image, and a template that happens to lie on the floor reacts to the floor's hue. So
# the question is not whether a code has a disentangled subset. It is whether training put it there. (Whether random
# weights owe it to their axes, no row asks: that code was not rotated.)

# %% tags=["hide-input", "reads-rows"]
gains = {
    f"{d}: {control}": {
        plots.LABELS[name]: statistics.interval(rows["top-1"] - rows[f"top-1 {control}"])
        for name, rows in main[main["data"] == d].groupby("method")
        if name in EMBEDDINGS or name == "supervised"
    }
    for d in DATA
    for control in ("rotated", "untrained")
}  # fmt: skip
label = "top-1 MED of the trained code minus that of the control"
plots.forest(gains, xlabel=label)

# %% [markdown]
# *Figure 7. The best units beside those of random axes, and beside those of the same encoder before training: mean and 95 %
# interval (Student's $t$) over seeds. Hollow: 0 is inside.*

# %% tags=["hide-input", "reads-rows"]
lines = []
for family, control in [("axes", "random axes"), ("training", "the untrained encoder")]:  # fmt: skip
    for d in DATA:
        part = said[(said["family"] == family) & (said["dataset"] == d)]
        who = part.index.str.rsplit("-", n=1).str[1]
        by = {
            word: titled(who[part["verdict"] == word])
            for word in ("holds", "fails", "undecided")
        }
        told = "; ".join(f"{word} for {those}" for word, those in by.items())
        lines.append(f"- *{d}, best units better than those of {control}*: {told}.")  # fmt: skip
Markdown("The verdicts on the six methods without negatives, adjusted over the twelve of each kind:\n\n" + "\n".join(lines))  # fmt: skip

# %% [markdown]
# ## What do the codes know at all?
#
# Alignment is not information. A linear probe on the whole code, for each factor, on test images:

# %% tags=["hide-input", "reads-rows"]
_, axes = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
for axis, d in zip(axes, DATA, strict=True):
    part = mean.loc[d].reindex(ORDER).dropna(axis=1, how="all")
    heat = part.filter(regex="^probe .*(?<!untrained)$")
    first = part.loc["byol"].filter(regex="^probe .*untrained$")
    heat.loc["untrained, 256"] = first.to_numpy()
    heat = heat.rename(index=plots.LABELS, columns=lambda c: c.removeprefix("probe ").replace("_", " "))  # fmt: skip
    seaborn.heatmap(
        heat, vmin=0, vmax=1, cmap="viridis", annot=True, fmt=".2f", cbar=False, ax=axis,
        annot_kws={"size": 6},
    )  # fmt: skip
    axis.set(title=d, ylabel="")
    axis.tick_params(labelsize=7)
plt.show()

# %% [markdown]
# *Figure 8. Accuracy of a linear probe, mean over seeds. Ten numbers of a VAE against 256 of the others: this compares
# what one can read, not how well it is ordered.*
#
# ## Width, and the last layer
#
# Ten units against 256 is no comparison of methods. So two of each kind were trained with both widths:

# %% tags=["hide-input", "reads-rows"]
pairs = {10: group(latent_dim=10), 256: group(vae_dim=256)}
widths = pd.concat(
    [part.assign(units=units) for units, part in pairs.items()]
    + [main.assign(units=np.where(main["method"].isin(VAES), 10, 256))]
)
widths = widths[widths["method"].isin(["byol", "vicreg", "vae", "beta_vae"])]
_, axes = plt.subplots(1, 4, figsize=(7, 2.3))
for axis, (d, score) in zip(axes, [(d, s) for d in DATA for s in ("MED", "top-1")], strict=True):  # fmt: skip
    for name, part in widths[widths["data"] == d].groupby("method"):
        for which, style in [("", "o-"), (" rotated", "|--")]:
            at = part.groupby("units")[score + which].agg(["mean", "std"])
            axis.errorbar(
                at.index, at["mean"], yerr=at["std"], fmt=style, ms=4, lw=1, capsize=2,
                color=plots.COLOURS[name], label=plots.LABELS[name] if not which else None,
            )  # fmt: skip
    axis.set(xscale="log", xlabel="units", ylim=(0, None))
    axis.set_title(f"{d}: {score}", fontsize=8)
    axis.set_xticks([10, 256], [10, 256])
axes[0].legend(fontsize=5.5)
plt.show()

# %% [markdown]
# *Figure 9. Ten and 256 units, mean ± one deviation over seeds. Dashed: axes rotated.*

# %% tags=["hide-input", "reads-rows"]
plots.claims(said[said["family"] == "width"])

# %% [markdown]
# *Figure 10. At equal width, best units: a joint embedding minus the β-VAE. The claims say that the joint embedding's are
# better.*

# %% tags=["hide-input", "reads-rows"]
lines = []
for name in ("byol", "vicreg"):
    for code_kept in ("relu", "linear"):
        part = group(code=code_kept)
        part = part.query("data == 'sprites' and method == @name")
        ratio = statistics.interval(part["MED"] / part["MED rotated"])
        lines.append(f"{plots.LABELS[name]}, {code_kept}: {ratio}")
Markdown(f"""**Without the ReLU** at the encoder's end (sprites, 256 units) MED of the own axes, divided by that of rotated ones, is
another: {"; ".join(lines)}. As {{prf:ref}}`thm-free-axes` says, the axes of a linear code are nobody's.""")

# %% [markdown]
# ## Is there an order of the methods?
#
# If there is, pairs of methods should be told apart, and the order should survive another data set:

# %% tags=["hide-input", "reads-rows"]
PAIRS = [(a, b) for i, a in enumerate(EMBEDDINGS) for b in EMBEDDINGS[i + 1 :]]
lines = []
for score in ("MED", "top-1"):
    means = {d: mean.loc[d].loc[EMBEDDINGS, score] for d in DATA}
    tau = kendalltau(*means.values()).statistic
    for d in DATA:
        found = statistics.compare(main[main["data"] == d], [(a, b, score) for a, b in PAIRS])  # fmt: skip
        told = (found["verdict (Holm)"] != "undecided").sum()
        best = means[d].sort_values(ascending=False).index[:3]
        lines.append(f"- *{score}, {d}*: the highest three are {titled(best)}; {told} of {len(PAIRS)} pairs can be told apart (Holm).")  # fmt: skip
    lines.append(f"- *{score}*: between the two data sets, Kendall's τ of the seven means is {tau:+.2f}.")  # fmt: skip
Markdown("\n".join(lines))

# %% [markdown]
# ## What this does not show
#
# - **The paper's numbers.** We have not seen them. Its encoders, widths, views and trainings are unknown to us, and ours
#   are small: an MLP, 32 × 32 pixels, 1000 or 2000 steps. All have one optimiser and one learning rate, where SimSiam, BYOL
#   and Barlow Twins are known to want their own, and nobody looked whether FactorVAE's discriminator keeps up.
# - **That no training makes a subset.** Our views change little, so that every factor is kept; and a loss that must keep
#   everything has no reason to sort it. Views that *vary* one factor at a time would give it one.
# - **That an untrained code is good.** Its best units are compared with those of trained codes, not with random axes
#   of its own: what training adds to *that* lead was not among the claims.
# - **That VAEs win, or lose.** Images against views, one learning rate for all, one β: Figure 10 compares two joint
#   embeddings (ReLU) with one β-VAE (linear), whose best unit on scenes fell far below that of its untrained encoder.
# - **Anything about one unit and one meaning beyond these factors.** A unit may stand for a mixture that nobody named.
#
# With CelebA's files on the disk, `mdlib run experiments/negative_free_disentanglement -p dataset celeba` asks the same
# of forty attributes; that needs the files, and was not run here.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** How well does a random non-negative template do? Write `random_relu(images, D, seed)`: codes [N, D] of
# float images, from one random linear layer (normal weights, divided by the root of the number of pixels) and a ReLU.
# Does its best unit beat that of its own rotation?
#
# <details><summary>Hint</summary>
#
# Flatten, subtract the mean image, multiply by a matrix of normal numbers from `torch.Generator().manual_seed(seed)`,
# and cut at 0.
#
# </details>


# %% tags=["solution", "hide-input"]
def random_relu(images, D, seed):
    """images [N, C, H, W], floats → codes [N, D], not negative."""
    draw = torch.Generator().manual_seed(seed)
    x = images.flatten(1) - images.flatten(1).mean(0)
    weights = torch.randn(x.shape[1], D, generator=draw) / x.shape[1] ** 0.5
    return torch.relu(x @ weights.to(x))


# %% tags=["check"]
few = measured.images[:3000].float() / 255
z = random_relu(few, 128, seed=0)
assert z.shape == (3000, 128) and z.min() == 0, "non-negative"
assert torch.equal(z, random_relu(few, 128, seed=0)), "the seed decides"
own = metrics.med(z, v[:3000], bins, top_k=1).score
null = metrics.rotation_null(z, v[:3000], 1, bins=bins)
assert own > null.score, (
    f"top-1 MED {own:.3f}, of its rotations {null.score:.3f}"
)

# %% tags=["hidden", "remove-cell"]
narrow, other = (random_relu(few[:100], 64, seed=s) for s in (1, 2))
assert narrow.shape == (100, 64) and narrow.min() == 0, "100 codes of 64"
assert not torch.equal(narrow, other), "another seed, other weights"
power = random_relu(torch.randn(200, 1, 8, 8), 500, 0).square().mean()
assert abs(power - 0.5) < 0.05, "divided by the root of the pixels"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** The FactorVAE score may not miss axes that are thrown away. Show that width alone
# lifts it: write `votes(z, D, seed)`, the FactorVAE score of $D$ random mixtures of the code's units, $zA$ with a Gaussian
# $A$ of $D$ columns, divided by the root of their mean variance. What happens from $D = 5$ to $D = 200$?
#
# <details><summary>Hint</summary>
#
# Draw $A$ with a generator of that seed. `mixed.var(0).mean().sqrt()` is the root of the mean variance of mixtures.
# `metrics.Rows` and `metrics.factor_vae` do the rest.
#
# </details>


# %% tags=["solution", "hide-input"]
def votes(z, D, seed):
    """z [N, K], D columns → the FactorVAE score, from 0 to 1."""
    draw = torch.Generator().manual_seed(seed)
    mixed = z @ torch.randn(z.shape[1], D, generator=draw).to(z)
    mixed = mixed / mixed.var(0).mean().sqrt()
    return metrics.factor_vae(metrics.Rows(mixed, v[: len(z)]), seed=seed).score


# %% tags=["check"]
z = untrained[chosen[0], seed][0][:4000]
narrow_mix, wide_mix = votes(z, 5, 0), votes(z, 200, 0)
assert 0 < narrow_mix < wide_mix <= 1, f"{narrow_mix:.2f}, {wide_mix:.2f}"

# %% tags=["hidden", "remove-cell"]
assert votes(z, 5, 0) == narrow_mix, "the seed decides"
assert len({votes(z, 5, s) for s in range(3)}) > 1, "and it does so"
quiet = votes(1e-4 * z, 20, 3)
assert abs(quiet - votes(z, 20, 3)) < 0.05, "the code's unit does not matter"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Give a joint embedding a reason to sort its units: let the two views of an image
# differ in **one factor** and agree in all others. Write `partners(rows, factor, generator)`: for row indices [B] of
# `measured`, the rows [B] of images that agree in every factor but the given one (if there are none among the measured
# images, the row itself). Then train VICReg on such pairs, another factor each step: does top-1 MED rise above the
# untrained encoder's? This is weak supervision; what would you compare it with?
#
# <details><summary>Hint</summary>
#
# `packed` gives equal rows of factors one number. Set the one factor to 0 in all rows first, and those that agree in
# the rest have one key.
#
# </details>


# %% tags=["solution", "hide-input"]
def partners(rows, factor, generator):
    """rows [B], indices of `measured` → [B], others of them."""
    key = packed(torch.where(torch.arange(K).to(v) == factor, 0, v))
    found = rows.clone()
    for i, row in enumerate(rows.tolist()):
        same = (key == key[row]).nonzero().flatten()
        pick = torch.randint(len(same), (1,), generator=generator)
        found[i] = same[pick.to(same.device)]
    return found


# %% tags=["check"]
rows_asked = torch.arange(50, device=device)
for factor in range(min(K, 3)):
    mates = partners(rows_asked, factor, torch.Generator().manual_seed(factor))
    rest = [j for j in range(K) if j != factor]
    assert torch.equal(v[mates][:, rest], v[rows_asked][:, rest]), (
        f"factor {factor}: partners differ in another factor, too"
    )
    changes = (v[mates][:, factor] != v[rows_asked][:, factor]).any()
    key = packed(torch.where(torch.arange(K).to(v) == factor, 0, v))
    several = ((key[rows_asked, None] == key).sum(1) > 1).sum() > 20
    assert changes or not several, f"factor {factor}: partners agree in it, too"

# %% tags=["hidden", "remove-cell"]
last = K - 1
mates = partners(rows_asked[:10], last, torch.Generator().manual_seed(9))
assert torch.equal(v[mates][:, :last], v[rows_asked[:10]][:, :last])

# %% [markdown]
# ## References
#
# - J. Cao, R. Nai, Q. Yang, J. Huang, Y. Gao. *An Empirical Study on Disentanglement of Negative-free Contrastive
#   Learning.* NeurIPS 2022. [arXiv:2206.04756](https://arxiv.org/abs/2206.04756)
# - I. Higgins et al. *beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.* ICLR 2017.
# - H. Kim, A. Mnih. *Disentangling by Factorising.* ICML 2018. [arXiv:1802.05983](https://arxiv.org/abs/1802.05983)
# - F. Locatello et al. *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations.*
#   ICML 2019. [arXiv:1811.12359](https://arxiv.org/abs/1811.12359)
# - F. Locatello, B. Poole, G. Rätsch, B. Schölkopf, O. Bachem, M. Tschannen. *Weakly-Supervised Disentanglement Without
#   Compromises.* ICML 2020. [arXiv:2002.02886](https://arxiv.org/abs/2002.02886)
#
# The six losses are cited in `methods/negative_free`, the other scores in `theory/disentanglement`.
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

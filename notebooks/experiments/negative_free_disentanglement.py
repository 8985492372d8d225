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
# **Time:** about 40 seconds on two CPU cores; the sweep behind the tables took about two hours of one core.

# %% tags=["parameters"]
dataset = "scenes"  # or sprites, dsprites, shapes3d, cars3d, smallnorb, mpi3d-toy, celeba
methods = "vicreg,beta_vae"  # names of mdlib.methods, separated by commas
seed = 0  # the first seed
seeds = 1  # how many, one after the other
steps = 500  # training steps of each method
batch_size = 64  # images a step, with two views each; VAEs take twice as many images as they are
latent_dim = 256  # size of the joint embeddings' codes
vae_dim = 10  # size of the VAEs' codes
code = "relu"  # last layer of the joint embeddings' encoder: relu, or linear
arch = "mlp-small"  # or mlp, conv
lr = 1e-3  # learning rate at the first step; it falls to 0 along a cosine
samples = 10000  # images that the scores are computed from
trees = 2000  # images that DCI and HFS are computed from
bins = 20  # of each code, for everything that counts
image_size = (
    32  # photographs are scaled to it; ignored by what has a size of its own
)
device = "auto"  # or cpu, cuda, mps
out = ""  # folder for the results; empty writes none

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

import mdlib
from mdlib import data, metrics, plots, probes, records, sweep
from mdlib.fit import fit, pick_device
from mdlib.methods import create
from mdlib.methods.supervised import Supervised
from mdlib.methods.vae import VAE
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
# code in a random rotation, whose axes mean nothing, and that of the same encoder before training.

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

# %%
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
# negatives. VAEs: **VAE, β-VAE, annealed VAE, FactorVAE, β-TCVAE, DIP-VAE, HFS**. A ceiling: a network of the same
# shape that is told every factor of every image, with a linear layer for each factor on top of the same 256 units. It
# is not in the library, but it is short. `fit` hands out one label an image, so we pack all factors into one number.


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
EMBEDDINGS = "byol simsiam directpred barlow vicreg wmse infonce".split()
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
# **Alignment**: MED, and top-$k$ MED for $k = 1, 2, 5$: MED of the $k$ best units of each factor. **Controls**: the same
# after a random rotation, and before training. **Classics**: MIG, SAP, modularity, IRS, the BetaVAE and FactorVAE
# scores; DCI and HFS for codes up to 64 wide (trees on 256 take too long). **Information**: what a linear probe on the
# whole code knows of each factor, on test images.
#
# Two choices of ours. All codes are divided by one number, the root of their mean variance, because the FactorVAE score
# leaves out units with a deviation below .05, and that should not depend on the units of a network. And every score is
# from the same number of images with the same bins, since scores of different $N$ do not compare.

# %%
TOP = 1, 2, 5
CLASSICS = ["mig", "sap", "modularity", "irs", "beta_vae", "factor_vae"]
ALSO_ROTATED = ["mig", "beta_vae", "factor_vae"]
NARROW = 64  # up to here also DCI and HFS


@torch.no_grad()
def codes_of(method):
    """Codes of the measured and of the test images, in units of one size."""
    z, z_test = method.encode(measured.images), method.encode(test.images)
    size = z.var(0).mean().sqrt().clamp(min=1e-12)
    return z / size, z_test / size


def alignment(z):
    """MED and its top-k, and which unit is the best of each factor."""
    row = {"MED": metrics.med(z, v, bins).score}
    for k in TOP:
        row[f"top-{k}"] = metrics.med(z, v, bins, top_k=k).score
    return row


def alignment_rotated(z, s):
    """The same of randomly rotated codes: the mean over five rotations."""
    row = {}
    for k in TOP:
        null = metrics.rotation_null(z, v, k, bins=bins, seed=s)
        row["MED"] = float(null.full_scores.mean())
        row[f"top-{k}"] = null.score
    return row


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
    Q = metrics.random_rotation(z.shape[1], draw).to(z)
    z_rotated = (z - z.mean(0)) @ Q
    rotated = alignment_rotated(z, s) | classics(z_rotated, s, ALSO_ROTATED)
    row = alignment(z) | classics(z, s)
    if z.shape[1] <= NARROW:
        row |= classics(z[:trees], s, ["dci", "hfs"])
    row |= {f"{name} rotated": score for name, score in rotated.items()}
    at_first = alignment(before[0]) | knowledge(*before)
    row |= {f"{name} untrained": score for name, score in at_first.items()}
    per_factor = metrics.med(z, v, bins).per_factor.tolist()
    row |= {f"MED {n}": m for n, m in zip(names, per_factor, strict=True)}
    return row | knowledge(z, z_test)


# %% [markdown]
# ## Train
#
# While a method trains, we look at MED of its code eight times: has it come to rest?


# %%
def watch(method, curve, times=8):
    """From now on, note step and MED in `curve` while `method` is trained."""
    follow = method.after_step

    def after_step(step, steps):
        follow(step, steps)
        if (step + 1) % max(1, steps // times) == 0:
            z = method.encode(measured.images[:3000])
            score = metrics.med(z, v[:3000], bins).score
            curve.append({"step": step + 1, "MED": score})

    method.after_step = after_step


trained, untrained, curves, rows = {}, {}, {}, []
for name in chosen:
    for s in range(seed, seed + seeds):
        method = build(name, s)
        untrained[name, s] = before = codes_of(method)
        watch(method, curves.setdefault((name, s), []))
        vae = isinstance(method, VAE)
        fit(
            method, train.images, as_it_is if vae else nearly, steps=steps,
            labels=packed(train.factors), lr=lr, seed=s, device=device,
            batch_size=batch_size * (1 + vae), members=1 if vae else 2,
            progress=False,
        )  # fmt: skip
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

# %%
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
# *Figure 2. MED in the course of this training. (Fewer images than in the tables, so these values are a little higher
# than those.)*
#
# ## What does the best unit do?
#
# A score is one number. A **response plot** shows what it was made from. For each factor take the unit that MED ranks
# first, fix the factor at each of its values, and average the unit over everything else. A unit that stands for one
# factor alone has a steep curve and narrow bands; if it also listens to others, its bands are wide.


# %%
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


# %%
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

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a projection head saves
#
# *If a contrastive loss discards style, where in the network is it lost, and do trained codes look like the model's?*
#
# The theorems of `theory/collapse` are about codes that are free to move. Real codes come from a network, and between the
# code that people use and the vectors that the loss sees there is usually a **projection head**. We train a few networks,
# measure style at both ends of the head, and then hold the trained vectors against the model whose score trained them:
# they are no sample of it.
#
# **You will learn**
# - what theory says of a head, which is little, and what a measurement adds, with its controls,
# - what a temperature would mean if one took it literally, and that one may not.
#
# **You need** `theory/latent_model` and `theory/collapse`.
#
# **Time:** 15 minutes to read; about 50 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0: as they are [0 or more]
seed = 0  # the first seed [seed]
seeds = 3  # encoders of each kind, one after the other [2 or more]
steps = 300  # training steps of each of them [1 or more]
batch_size = 64  # images a step, two views of each [2 or more]
probe_views = 3000  # views that a probe learns from; half as many test it
# [10 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display
from scipy import optimize
from scipy.special import gammaln, ive
from torch.nn import functional as F

import mdlib
from mdlib import data
from mdlib.devices import pick_device
from mdlib.evaluation import probes, protocol, statistics
from mdlib.figures import plots, tables
from mdlib.methods import create
from mdlib.notebook import provenance
from mdlib.training import ImageViews, fit
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)
TAU = 0.5  # of the training
draw = torch.Generator().manual_seed(seed)

# %% [markdown]
# ## What must hold
#
# ```{prf:proposition} A head cannot add (well known)
# :label: lm-head
#
# For every style $s$ and head $h$, $I(s; h(z)) \le I(s; z)$. If $h$ is not injective, the loss does not see along its
# fibres, the sets where $h$ is constant: there a code may differ without any change of the loss.
# ```
#
# ```{prf:proof}
# The data-processing inequality; the second part is what constant means.
# ```
#
# That the code knows *at least* as much style as the head's output needs no experiment. How much more does: the
# proposition would allow nothing at all. (The abstract of [Bizeul et al. 2024](https://arxiv.org/abs/2402.01399) says
# that their model justifies the head. How, we do not know.)
#
# ## What is measured
#
# Train InfoNCE briefly, with a head and without, and ask about rotation, crop and brightness at both ends of the
# head. Three controls. The same networks before training: a head that has learned nothing might lose style by itself.
# A code that never had a head. And a second probe: the two ends differ in dimension and shape, 16 numbers and 64 on a
# sphere, to which nearest neighbours and a linear map are sensitive in different ways.

# %%
train, test = (
    data.load(dataset, s, size=size or None).sample(5000).to(device)
    for s in ("train", "test")
)
law = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)
PROBES = {"kNN": probes.knn_regression, "linear": probes.ridge}


@torch.no_grad()
def layers(method, x):
    """The code, and the unit vectors that the loss sees."""
    method.eval()
    z = method.encoder(x)
    return {"code": z, "after": F.normalize(method.head(z), dim=-1)}


def examine(method, seed):
    """Style (mean R²) by two probes, W/T and the mean cosine of each layer."""
    views = protocol.fresh_views(train, law, probe_views, seed)
    new = protocol.fresh_views(test, law, probe_views // 2, seed + 1)
    known, asked = (layers(method, v.images) for v in (views, new))
    generator = torch.Generator(device).manual_seed(seed)
    groups = law(test.images[:300], 8, generator)[0].flatten(0, 1)
    for name, z in layers(method, groups).items():
        z = z.unflatten(0, (-1, 8))
        mean = F.normalize(z, dim=-1).mean(1).square().sum(1).mean().item()
        row = {"layer": name, "W/T": protocol.within_share(z)[0]}
        row["cosine of two views"] = (8 * mean - 1) / 7  # without a view itself
        for probe, regress in PROBES.items():
            found = regress(known[name], views.truth, asked[name], new.truth)
            row[f"style ({probe})"] = found.score
        yield row


# %%
NAMES = {(True, "code"): "code, before the head", (True, "after"): "after the head",
         (False, "code"): "code, no head"}  # fmt: skip
rows, fits, trained_methods = [], [], []
for head_dim in (64, 0):
    for s in range(seed, seed + seeds):
        method = create(
            "infonce", image_shape=train.image_shape, latent_dim=16, arch="mlp-small",
            head_dim=head_dim, temperature=TAU, seed=s,
        ).to(device)  # fmt: skip
        for trained in (False, True):
            if trained:
                history = fit(
                    method, ImageViews(train.images, law), steps=steps,
                    batch_size=batch_size, seed=s, device=device, progress=False,
                )  # fmt: skip
                trained_methods += [method] if head_dim else []
                fits += [history.loss.iloc[-25:].mean()] if head_dim else []
            for row in examine(method, 1000 + s):
                where = NAMES.get((head_dim > 0, row.pop("layer")))
                head = {"where": where, "trained": trained, "seed": s}
                rows += [head | row] if where else []  # no head: one layer
heads = pd.DataFrame(rows)
mdlib.record(out, heads)
tables.mean_std(heads, ["where", "trained"])

# %% tags=["hide-input"]
_, panels = plt.subplots(1, 2, figsize=(7, 3), sharey=True)
for panel, probe in zip(panels, PROBES, strict=True):
    sns.stripplot(
        heads, x="where", y=f"style ({probe})", hue="trained", order=list(NAMES.values()),
        palette={False: plots.COLOURS["untrained"], True: plots.COLOURS["infonce"]},
        size=7, jitter=0.08, alpha=0.8, ax=panel, legend=probe == "kNN",
    )  # fmt: skip
    panel.set(xlabel=None, ylabel="style (mean $R^2$)", title=probe)
    panel.set_xticks(range(3), ["code", "after", "no head"])
    panel.set_ylim(0, None)
plt.show()

# %% [markdown]
# *Figure 1. Where the style goes: a dot a seed; before the head, after it, and in a network without one.*
#
# *Table 1, above it. Within over total variance, mean cosine of two views of an image, and style (mean $R^2$ over the
# parameters of new test views) by two probes: mean ± standard deviation over seeds.*

# %%
lines = []
for probe in PROBES:
    table = heads.pivot(
        index="seed", columns=["where", "trained"], values=f"style ({probe})"
    )
    code, after = table["code, before the head"], table["after the head"]
    drop = code - after
    contrasts = {
        "lost in a trained head": drop[True],
        "… more than in an untrained one": drop[True] - drop[False],
        "spared by having a head": code[True] - table["code, no head", True],
        "lost from the code by training": code[False] - code[True],
    }
    lines += [
        {"probe": probe, "style": name} | vars(statistics.interval(values))
        for name, values in contrasts.items()
    ]
found = pd.DataFrame(lines).set_index(["style", "probe"])
usual_run = dataset == "digits" and batch_size == 64
enough = usual_run and steps >= 300 and probe_views >= 3000
if enough and seeds >= 3:
    assert (found["low"] > 0).all(), found
found[["mean", "low", "high"]].unstack().swaplevel(axis=1).round(3)

# %% [markdown]
# *Table 2. Differences of $R^2$ in the same seeds: mean and 95 % interval.* By either probe, a trained head takes
# style away, and more than an untrained one does. A code with a head above it keeps more than one without. And yet it
# knows less than the untrained code: the head saves a part. Where *most* is lost depends on who asks. In the head, by
# nearest neighbours; by the linear probe as much or more is lost below it.
#
# ## How literally may one take τ = 2σ²?
#
# If pairs of unit vectors have density $\propto e^{\kappa\, z \cdot z'}$, $\kappa = 1/\tau = 1/2\sigma^2$, InfoNCE at
# temperature $\tau$ has the best score that there is (`theory/latent_model`). Turn it round. Whoever trains at $\tau$
# in $D$ dimensions can be right only if two views have the mean cosine and the information
#
# $$ \mathbb{E}[z \cdot z'] = \frac{I_{D/2}(\kappa)}{I_{D/2-1}(\kappa)}, \qquad
#    I(z; z') = \kappa\, \mathbb{E}[z \cdot z'] - \log \mathbb{E}_u[e^{\kappa u_1}], \tag{1} $$
#
# a ratio of Bessel functions, and the mean of (10) there. How far from that are the vectors that we trained?


# %% tags=["theorem:sphere"]
def sphere(tau, D):
    """(1): the mean cosine of a pair, and its information in nats; κ = 1/τ."""
    kappa, nu = 1 / tau, D / 2 - 1
    log_mean = (
        gammaln(D / 2)
        + nu * math.log(2 / kappa)
        + math.log(ive(nu, kappa))  # I_ν(κ) e^{−κ}
        + kappa
    )
    cosine = ive(nu + 1, kappa) / ive(nu, kappa)
    return cosine, kappa * cosine - log_mean


for tau in (0.05, 0.5, 2):  # in three dimensions all is elementary
    cosine, nats = sphere(tau, 3)
    assert abs(cosine - (1 / math.tanh(1 / tau) - tau)) < 1e-9
    direct = cosine / tau - math.log(math.sinh(1 / tau) * tau)
    assert abs(nats - direct) < 1e-9
for D, tau in [(8, 0.3), (64, 0.5)]:  # in others, sample
    u = torch.randn(200_000, D, generator=draw, dtype=torch.float64)
    first = F.normalize(u, dim=1)[:, 0]
    weight = (first / tau).exp()
    cosine, nats = sphere(tau, D)
    mean = (weight * first).mean() / weight.mean()
    slack = (weight * (first - mean)).std() / weight.mean() / 200_000**0.5
    assert abs(mean - cosine) < 4 * slack
    error = weight.std() / weight.mean() / 200_000**0.5
    assert abs(weight.mean().log() - (cosine / tau - nats)) < 4 * error

# %%
rows = []
for D, tau in [(64, 0.5), (128, 0.5), (64, 0.1), (128, 0.1), (128, 0.07)]:
    cosine, nats = sphere(tau, D)
    rows.append({"D": D, "τ": tau, "mean cosine": cosine, "information": nats})
usual = pd.DataFrame(rows)
after = heads[heads.trained & (heads["where"] == "after the head")]
reached = statistics.interval(after["cosine of two views"])
told = statistics.interval(math.log(2 * batch_size - 1) - np.array(fits))
believed, nats = sphere(TAU, 64)
if enough and seeds >= 3:
    assert reached.low > believed and told.low > nats
display(usual.round(3))
Markdown(
    f"*Table 3. What the model believes at usual temperatures (nats).* At D = 64 and τ = {TAU}: a "
    f"mean cosine of {believed:.2f} and {nats:.2f} nats. Our trained vectors have a mean cosine of "
    f"{reached}, and a loss {told} nats below log {2 * batch_size - 1}, that of a fair guess "
    f"(95 % intervals over {seeds} seeds)."
)

# %% [markdown]
# So the codes are *not* a sample of the model whose score they were trained with. They are far more collapsed than
# $p(z|y)$ at $\sigma^2 = \tau/2$. No contradiction to {prf:ref}`lm-best`, where the codes are given and the score is
# sought: in training the score is given, and the *codes* move, towards {prf:ref}`lm-collapse`. "InfoNCE fits the model"
# is true of its form, and false of its fit.
#
# ## What this does not show
#
# - **That style is gone.** A probe finds less of it. {prf:ref}`lm-head` is about information, and a better probe may
#   find more.
# - **Large networks, long training.** Three seeds of a small network, 300 steps, small grey images.
# - **Why a head helps with the class.** Only style was asked for.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** A linear head $h(z) = Wz$ with fewer rows than columns has fibres. Write `unseen(W)`: a unit vector along
# which a code can change while the loss sees nothing.
#
# <details><summary>Hint</summary>
#
# The singular value decomposition of $W$, with all right vectors: those beyond the number of rows have the singular
# value 0.
#
# </details>


# %% tags=["solution", "hide-input"]
def unseen(W):
    """W [rows, columns], fewer rows → a unit vector [columns]."""
    # The last right singular vector: its singular value is 0.
    return torch.linalg.svd(W, full_matrices=True).Vh[-1]


# %% tags=["check"]
W = torch.randn(8, 16, generator=draw).double()
v = unseen(W)
assert abs(v.norm() - 1) < 1e-9 and (W @ v).norm() < 1e-9, (
    f"|v| = {v.norm():.3f}, |Wv| = {(W @ v).norm():.2e}"
)

# %% tags=["hidden", "remove-cell"]
W = torch.randn(1, 3, generator=draw).double()
assert (W @ unseen(W)).norm() < 1e-9, "a head of one output"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Which temperature would have been right for the vectors that we got? Write `temperature(cosine, D)`,
# the inverse of (1) in its first part, and compare it with the one that they were trained at. Why does training at
# the new one not end the matter?
#
# <details><summary>Hint</summary>
#
# `sphere(tau, D)[0]` falls as τ grows. `scipy.optimize.brentq` finds a root between two ends; search in $\log \tau$.
#
# </details>


# %% tags=["solution", "hide-input"]
def temperature(cosine, D):
    """A mean cosine in D dimensions → τ."""
    # The mean cosine falls with τ, from 1 to 0.

    def off(log_tau):
        return sphere(math.exp(log_tau), D)[0] - cosine

    return math.exp(optimize.brentq(off, math.log(1e-3), math.log(1e3)))


# %% tags=["check"]
for D, tau in [(3, 0.2), (16, 1.0), (64, 0.07)]:
    assert abs(temperature(sphere(tau, D)[0], D) - tau) < 1e-6, (
        f"D = {D}, τ = {tau}: {temperature(sphere(tau, D)[0], D):.4f}"
    )
right = temperature(reached.mean, 64)
if enough:
    assert right < TAU, f"{right:.4f} is not below the one of training, {TAU}"
else:
    print(
        "Not all was checked: this data set or budget is another one than the text's."
    )
f"trained at τ = {TAU}; the vectors' own would be {right:.4f}"

# %% tags=["hidden", "remove-cell"]
assert abs(temperature(sphere(0.5, 8)[0], 8) - 0.5) < 1e-6, "D = 8"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Where *in* the head is style lost: at a linear map, or at the rectifier? Write
# `inside(method, x)`, a list of what leaves the encoder and each layer of `method.head` in turn. Probe each. Which
# controls are needed, now that the layers differ in width?
#
# <details><summary>Hint</summary>
#
# Call `method.eval()`, start with `method.encoder(x)`, then go through `method.head`, one layer at a time, without
# gradients.
#
# </details>


# %% tags=["solution", "hide-input"]
@torch.no_grad()
def inside(method, x):
    """x [N, C, H, W] → a list of [N, width]: the code, then each layer's output."""
    method.eval()
    found = [method.encoder(x)]
    for layer in method.head:
        found.append(layer(found[-1]))
    return found


# %% tags=["check"]
views = protocol.fresh_views(train, law, probe_views, seed)
new = protocol.fresh_views(test, law, probe_views // 2, seed + 1)
method = trained_methods[0]
known, asked = (inside(method, v.images) for v in (views, new))
ends = layers(method, new.images)
torch.testing.assert_close(asked[0], ends["code"])
torch.testing.assert_close(F.normalize(asked[-1], dim=-1), ends["after"])
names = ["code", *(type(layer).__name__ for layer in method.head)]
assert len(asked) == len(names), (
    f"{len(asked)} outputs, expected {len(names)}: {names}"
)
by_layer = [
    probes.ridge(a, views.truth, b, new.truth).score
    for a, b in zip(known, asked, strict=True)
]
pd.DataFrame({"after": names, "style (linear)": by_layer}).round(3)

# %% tags=["hidden", "remove-cell"]
start_only = inside(method, new.images[:8])
assert all(len(layer) == 8 for layer in start_only), "a row for each image"
torch.testing.assert_close(start_only[-1], asked[-1][:8], rtol=1e-3, atol=1e-4)

# %% [markdown]
# ## References
#
# - A. Bizeul, B. Schölkopf, C. Allen. *A Probabilistic Model behind Self-Supervised Learning.* TMLR 2024.
#   [arXiv:2402.01399](https://arxiv.org/abs/2402.01399)
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A Simple Framework for Contrastive Learning of Visual
#   Representations.* ICML 2020. [arXiv:2002.05709](https://arxiv.org/abs/2002.05709)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

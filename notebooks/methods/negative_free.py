# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Learning without negatives
#
# *If a loss only asks two views to agree, why does the network not answer with one point for all?*
#
# **You will learn**
# - six methods as one skeleton with six losses: BYOL, SimSiam, DirectPred; Barlow Twins, VICReg, W-MSE,
# - which part of each keeps it from collapsing, by taking that part away,
# - that there are three ways to collapse, and that no single gauge sees all of them,
# - why the axes of a linear code mean nothing, and what a ReLU changes about that.
#
# **You need** `start_here`, a little linear algebra (eigenvalues, covariance).
#
# **Time:** 35 minutes to read; about 50 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist, sprites [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
seed = 0  # the first seed [seed]
seeds = 2  # how many, one after the other [1 or more]
steps = 80  # training steps of each method [1 or more]
batch_size = 64  # images a step; each gives two views [2 or more]
lr = 2e-3  # learning rate at the first step; it falls to 0 along a cosine
# [above 0]
latent_dim = 32  # size of the code [1 or more]
head_dim = 16  # size of the projection [2 or more, below batch_size]
momentum = 0.9  # of BYOL's slow copy at first; long trainings take 0.99
# [0 to 1]
redundancy_weight = 0.1  # λ of Barlow Twins [0 or more]
few = 10  # labels a class, for the second probe [2 or more]
max_images = 5000  # at most so many training images, and so many test images
# [2 or more]
arch = "mlp-small"  # of the encoder
# [one of mlp-small, mlp, mlp-large, conv, resnet]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["hide-input"]
import copy
import math
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from IPython.display import Markdown
from torch import nn

import mdlib
from mdlib import data, losses, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes, protocol
from mdlib.figures import plots, tables
from mdlib.methods import create
from mdlib.methods.barlow import BarlowTwins
from mdlib.methods.byol import BYOL
from mdlib.methods.directpred import DirectPred
from mdlib.methods.joint_embedding import over_pairs
from mdlib.methods.simsiam import SimSiam
from mdlib.methods.vicreg import VICReg
from mdlib.methods.wmse import WMSE
from mdlib.notebook import provenance
from mdlib.training import ImageViews, fit
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)

# %% [markdown]
# ## One skeleton
#
# An image has two views, $x^1$ and $x^2$. An encoder $f$ makes a **code** of each, and a projector $g$, a small network
# that is thrown away after training, makes a **projection** of the code. The loss compares projections:
#
# $$ h^j = f(x^j), \qquad z^j = g(h^j), \qquad L = \frac1B \sum_{b=1}^{B} d(z^1_b,\, z^2_b), \tag{1} $$
#
# with the distance of unit vectors, which lies between 0 and 4:
#
# $$ d(p, t) = \left\| \frac{p}{\|p\|} - \frac{t}{\|t\|} \right\|^2 = 2 - 2 \cos(p, t). \tag{2} $$
#
# Equation (1) has a perfect solution that never looks at the image: $f(x) = $ constant. The loss is 0, and the code
# knows nothing. This is **collapse**. Contrastive losses (InfoNCE in `start_here`) prevent it by pushing the views of
# *different* images apart, the negatives. The six methods of this chapter have no negatives. Each adds one part to
# (1), and we ask of every part whether it is the one that matters.

# %%
limits = {"size": size or None, "max_images": max_images}
train = data.load(dataset, **limits).to(device)
test = data.load(dataset, "test", **limits).to(device)
law = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)
shape = {"image_shape": train.image_shape, "latent_dim": latent_dim}
common = shape | {"arch": arch, "head_dim": head_dim}


def build(cls, seed, **options):
    """A method of class `cls`. The same seed gives the same first weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cls(**common, **options).to(device)


generator = torch.Generator(device).manual_seed(seed)
views, _ = law(train.images[:batch_size], 2, generator)  # [B, 2, C, H, W]
train

# %%
p, t = torch.randn(2, 5, head_dim, device=device)
slow = (p / p.norm(dim=1, keepdim=True) - t / t.norm(dim=1, keepdim=True)) ** 2
torch.testing.assert_close(slow.sum(1), losses.cosine_regression(p, t))

# %% [markdown]
# ## First family: asymmetry
#
# The two views are treated differently: one predicts, the other is predicted and counts as a constant. We write
# $\mathrm{sg}(\cdot)$, *stop-gradient*, for "counts as a constant". Every loss is the mean over both orders of the
# views.
#
# **BYOL** ([Grill et al. 2020](https://arxiv.org/abs/2006.07733)). A predictor $q$, another small network, must say
# what a slow copy of encoder and projector makes of the other view. The copy's weights $\xi$ follow the weights
# $\theta$:
#
# $$ L_\mathrm{BYOL} = 2 - 2 \cos\big(q(z^1),\, \mathrm{sg}(z^2_\xi)\big), \qquad
#    \xi \leftarrow \tau \xi + (1 - \tau)\, \theta. \tag{3} $$
#
# **SimSiam** ([Chen & He 2021](https://arxiv.org/abs/2011.10566)) leaves the slow copy out and keeps predictor and
# stop-gradient. (Its projector ends in a batch norm; we come back to that.)
#
# $$ L_\mathrm{SimSiam} = 2 - 2 \cos\big(q(z^1),\, \mathrm{sg}(z^2)\big). \tag{4} $$
#
# **DirectPred** ([Tian et al. 2021](https://arxiv.org/abs/2102.06810)) is BYOL with a predictor that nobody trains. It
# is a matrix $W$, calculated from a running average $F$ of $\mathbb{E}[z z^\top]$:
#
# $$ F = U \,\mathrm{diag}(s)\, U^\top, \qquad
#    W = U \,\mathrm{diag}\big(\sqrt{s / \max s} + \varepsilon\big)\, U^\top. \tag{5} $$
#
# Roughly: the predictor passes strong directions and damps weak ones. What is damped must still match a target that is
# not, and that makes weak directions grow.


# %%
def distance(p, t):
    return losses.cosine_regression(p, t).mean()


byol, simsiam = build(BYOL, seed), build(SimSiam, seed)
x1, x2 = views.unbind(1)
q, slow_copy = byol.predictor, (byol.target_encoder, byol.target_projector)
z1, z2 = (byol.projector(byol.encoder(x)) for x in (x1, x2))
t1, t2 = (slow_copy[1](slow_copy[0](x)).detach() for x in (x1, x2))
slow = (distance(q(z1), t2) + distance(q(z2), t1)) / 2
torch.testing.assert_close(slow, byol.loss(views)[0])

q = simsiam.predictor
z1, z2 = (simsiam.projector(simsiam.encoder(x)) for x in (x1, x2))
slow = (distance(q(z1), z2.detach()) + distance(q(z2), z1.detach())) / 2
torch.testing.assert_close(slow, simsiam.loss(views)[0])

# %%
z = torch.cat([z1, z2]).detach()
s, U = torch.linalg.eigh(z.T @ z / len(z))
W = U @ torch.diag((s.clamp(min=0) / s.max()).sqrt() + 0.01) @ U.T
fast = losses.direct_predictor(losses.correlation(z), floor=0.01)
torch.testing.assert_close(W, fast, rtol=1e-3, atol=1e-4)

# %% [markdown]
# Is the stop-gradient the trick? Not by itself:
#
# ```{prf:theorem} Stop-gradient alone
# :label: thm-stop-gradient-alone
#
# Let $d$ be symmetric, $L = \frac12 [d(z^1, z^2) + d(z^2, z^1)]$, and
# $L_\mathrm{sg} = \frac12 [d(z^1, \mathrm{sg}(z^2)) + d(z^2, \mathrm{sg}(z^1))]$. Then
# $\nabla_\theta L_\mathrm{sg} = \frac12 \nabla_\theta L$.
# ```
#
# ```{prf:proof}
# Write $\partial_1 d$ and $\partial_2 d$ for the derivatives with respect to the two arguments. By symmetry
# $\partial_1 d(z^2, z^1) = \partial_2 d(z^1, z^2)$. So
# $\nabla L_\mathrm{sg} = \frac12 [\partial_1 d(z^1, z^2)\, \nabla z^1 + \partial_2 d(z^1, z^2)\, \nabla z^2]
# = \frac12 \nabla d(z^1, z^2) = \frac12 \nabla L$.
# ```
#
# Without a predictor, SimSiam is plain agreement at half the speed, and Adam does not even notice a factor of a half.
# Predictor and stop-gradient work as a pair.


# %%
def gradient(loss, method):
    weights = [*method.encoder.parameters(), *method.projector.parameters()]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])


z1, z2 = simsiam.project(views)
plain = gradient(distance(z1, z2), simsiam)
z1, z2 = simsiam.project(views)
stopped = distance(z1, z2.detach()) / 2 + distance(z2, z1.detach()) / 2
torch.testing.assert_close(
    gradient(stopped, simsiam), plain / 2, rtol=1e-2, atol=1e-4
)

# %% [markdown]
# ## Second family: decorrelation
#
# Here both views are treated alike, and the loss looks at the batch as a whole: the $D$ dimensions of a projection must
# vary from image to image, and must not repeat each other.
#
# **Barlow Twins** ([Zbontar et al. 2021](https://arxiv.org/abs/2103.03230)). $C_{ij}$ is the correlation over the batch
# of dimension $i$ of one view with dimension $j$ of the other. It should be the identity:
#
# $$ L_\mathrm{Barlow} = \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \neq j} C_{ij}^2. \tag{6} $$
#
# The authors take $\lambda = 0.0051$ with $D = 8192$. The second sum has $D - 1$ times as many terms as the first, so
# what counts is about $\lambda D$, and a small $D$ needs a larger $\lambda$: see the parameter `redundancy_weight`.
#
# **VICReg** ([Bardes et al. 2022](https://arxiv.org/abs/2105.04906)) has a term for each wish: invariance, variance,
# covariance. With $\mathrm{std}_i$ and $\mathrm{cov}_{ij}$ over the batch,
#
# \begin{align*} L_\mathrm{VICReg} = \frac{25}{BD} \sum_b \|z^1_b - z^2_b\|^2
#    & + \frac{25}{2D} \sum_{j} \sum_i \max\big(0,\, 1 - \mathrm{std}_i(z^j)\big) \\
#    & + \frac1D \sum_{j} \sum_{i \neq k} \mathrm{cov}_{ik}(z^j)^2. \tag{7} \end{align*}
#
# **W-MSE** ([Ermolov et al. 2021](https://arxiv.org/abs/2007.06346)) does not ask for it, but makes it so. It whitens
# each view's batch with the Cholesky factor of its covariance $\Sigma = K K^\top$, and then only asks for agreement:
#
# $$ w^j = K_j^{-1} (z^j - \bar z^j), \qquad L_\mathrm{W-MSE} = 2 - 2 \cos(w^1, w^2). \tag{8} $$

# %%
z1, z2 = torch.randn(2, batch_size, head_dim, device=device)
z2 = z1 + 0.5 * z2
B, D = z1.shape
off = ~torch.eye(D, dtype=torch.bool, device=device)

a, b = (
    (z - z.mean(0)) / (z.var(0, correction=0) + 1e-5).sqrt() for z in (z1, z2)
)
C = a.T @ b / B
slow = ((1 - C.diagonal()) ** 2).sum(), (C[off] ** 2).sum()
fast = losses.identity_gap(losses.cross_correlation(z1, z2))
torch.testing.assert_close(slow, fast, rtol=1e-3, atol=1e-4)

for z in (z1, z2):
    hinge = (1 - (z.var(0) + 1e-4).sqrt()).clamp(min=0).mean()
    covariance = (torch.cov(z.T)[off] ** 2).sum() / D
    torch.testing.assert_close(hinge, losses.variance_hinge(z))
    torch.testing.assert_close(covariance, losses.covariance_penalty(z))

K = torch.linalg.cholesky(torch.cov(z1.T))
w = (z1 - z1.mean(0)) @ torch.linalg.inv(K).T
torch.testing.assert_close(w, losses.whiten(z1), rtol=1e-3, atol=1e-4)

# %% [markdown]
# And the totals, as the methods put them together:

# %%
for cls in (BarlowTwins, VICReg, WMSE):
    options = {"part": batch_size} if cls is WMSE else {}
    method = build(cls, seed, **options)
    z1, z2 = method.project(views)
    if cls is BarlowTwins:
        diagonal, rest = losses.identity_gap(losses.cross_correlation(z1, z2))
        slow = diagonal + method.redundancy_weight * rest
    elif cls is VICReg:
        slow = 25 * ((z1 - z2) ** 2).mean()
        for z in (z1, z2):
            slow = slow + 12.5 * losses.variance_hinge(z)
            slow = slow + losses.covariance_penalty(z)
    else:
        slow = distance(losses.whiten(z1), losses.whiten(z2))
    torch.testing.assert_close(slow, method.loss(views)[0])

# %% [markdown]
# ## Take the part away
#
# Each method gets a crippled sister that differs in one part:
#
# | method | what is taken away | what is left |
# |---|---|---|
# | BYOL | the predictor | agree with one's own slow copy |
# | SimSiam | the stop-gradient | predictor, trained from both sides |
# | DirectPred | the calculation: $W$ stays $I$ | the same as BYOL without predictor |
# | Barlow Twins | the off-diagonal: $\lambda = 0$ | each dimension agrees and varies |
# | VICReg | the variance term | agree, do not covary |
# | W-MSE | the whitening | equation (1) |
#
# SimSiam gets two more sisters, without the batch norm at the projector's end: with and without stop-gradient. For a
# batch norm sets the mean of every dimension to 0, and then all projections cannot lie at one point of the sphere.


# %%
class NoStopGradient(SimSiam):
    def loss(self, views, generator=None):
        z = self.project(views)
        predictions = [self.predictor(each) for each in z]
        total = over_pairs(losses.cosine_regression, predictions, z)
        return total, {"regression": total}


class NoBatchNorm(SimSiam):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.projector = self.projector[:-1]


class Neither(NoStopGradient, NoBatchNorm):
    pass


class NoPredictor(BYOL):
    def predict(self, projections):
        return projections


class IdentityPredictor(DirectPred):
    def after_step(self, step, steps):
        BYOL.after_step(self, step, steps)  # and W stays the identity


class NoWhitening(WMSE):
    def whiten(self, z):
        return z


# %% [markdown]
# DirectPred and BYOL lose the same thing, and what remains is one method. One training will do for both:

# %%
tau = {"momentum": momentum}
left, right = build(NoPredictor, seed), build(IdentityPredictor, seed)
torch.testing.assert_close(left.loss(views)[0], right.loss(views)[0])

PART = {"part": batch_size}
FULL = "full"
variants = {  # (method, variant): class, options
    ("byol", FULL): (BYOL, tau),
    ("byol", "no predictor"): (NoPredictor, tau),
    ("simsiam", FULL): (SimSiam, {}),
    ("simsiam", "no stop-gradient"): (NoStopGradient, {}),
    ("simsiam", "no batch norm"): (NoBatchNorm, {}),
    ("simsiam", "neither"): (Neither, {}),
    ("directpred", FULL): (DirectPred, tau),
    ("barlow", FULL): (BarlowTwins, {"redundancy_weight": redundancy_weight}),
    ("barlow", "only diagonal"): (BarlowTwins, {"redundancy_weight": 0.0}),
    ("vicreg", FULL): (VICReg, {}),
    ("vicreg", "no variance term"): (VICReg, {"variance_weight": 0.0}),
    ("wmse", FULL): (WMSE, PART),
    ("wmse", "no whitening"): (NoWhitening, PART),
}

# %% [markdown]
# How would we notice a collapse? The loss does not tell; it is happy. We look at the projections of a batch,
# $z \in \mathbb{R}^{B \times D}$, and take three readings. The **gauge** normalises each projection to length 1, takes
# the standard deviation of each dimension over the batch, and averages:
#
# $$ \mathrm{gauge}(z) = \sqrt{D} \cdot \frac1D \sum_i \mathrm{std}_b\!\left(\frac{z_{bi}}{\|z_b\|}\right). \tag{9} $$
#
# It is 1 for points all over the sphere, and 0 for a single point. The **size** is the same without normalising and
# without $\sqrt D$. The **effective rank** (Roy & Vetterli 2007) counts directions. With the eigenvalues
# $\lambda_i$ of the covariance of $z$,
#
# $$ \mathrm{rank}(z) = \exp\Big(-\sum_i p_i \log p_i\Big), \qquad
#    p_i = \lambda_i / \textstyle\sum_k \lambda_k. \tag{10} $$
#
# It is $D$ if all directions carry the same variance, and 1 if all points lie on a line.


# %%
def gauge(z):
    return F.normalize(z, dim=1).std(0).mean().item() * z.shape[1] ** 0.5


def extent(z):
    return z.std(0).mean().item()


def spectrum(z):
    """Eigenvalues of the covariance [D], the largest first."""
    return torch.linalg.eigvalsh(losses.covariance(z)).clamp(min=0).flip(0)


def effective_rank(z):
    eigenvalues = spectrum(z)
    p = eigenvalues / eigenvalues.sum().clamp(min=1e-30)  # a point has no sum
    return torch.special.entr(p).sum().exp().item()


ball = torch.randn(5000, head_dim, generator=torch.Generator().manual_seed(0))
line = ball[:, :1] * torch.ones(head_dim)
point = torch.ones(head_dim) + 0.01 * ball
pd.DataFrame(
    {
        name: {"gauge": gauge(z), "size": extent(z), "rank": effective_rank(z)}
        for name, z in [
            ("ball", ball), ("point", point), ("line", line), ("tiny", ball / 99),
        ]
    }
).T.round(2)  # fmt: skip


# %% [markdown]
# Four clouds of 5000 points. Only the first is healthy, and no reading sees all three diseases: a *point* shows in gauge
# and size, a *line* in the rank only, a *tiny* cloud in the size only. Now we train. The three readings come from the
# projections that the loss sees, by a hook on the projector.


# %%
def learn(method, seed):
    fit(
        method, ImageViews(train.images, law, labels=train.labels), steps=steps,
        lr=lr, batch_size=batch_size, seed=seed, device=device, progress=False,
    )  # fmt: skip


def learn_watched(method, seed):
    """Trains; returns the readings, one row a step (mean of the two views)."""
    rows = []

    def read(module, inputs, output):
        z = output.detach().float()
        rows.append([gauge(z), extent(z), effective_rank(z)])

    hook = method.projector.register_forward_hook(read)
    learn(method, seed)
    hook.remove()
    readings = pd.DataFrame(rows, columns=["gauge", "size", "rank"])
    return readings.groupby(readings.index // 2).mean()


trained, readings = {}, {}
for (name, variant), (cls, options) in variants.items():
    for s in range(seed, seed + seeds):
        key = name, variant, s
        trained[key] = build(cls, s, **options)
        readings[key] = learn_watched(trained[key], s)

for s in range(seed, seed + seeds):
    for name in ("infonce", "supervised", "untrained"):
        head = {"head_dim": head_dim} if name == "infonce" else {}
        kind = "byol" if name == "untrained" else name
        method = create(kind, **shape, arch=arch, seed=s, **head).to(device)
        if name != "untrained":
            learn(method, s)
        trained[name, FULL, s] = method
    borrowed = "byol", "no predictor", s
    trained["directpred", "identity", s] = trained[borrowed]
    readings["directpred", "identity", s] = readings[borrowed]

# %% tags=["hide-input"]
PANELS = ["byol", "simsiam", "directpred", "barlow", "vicreg", "wmse"]
STYLES = {FULL: "-", "no batch norm": "-.", "neither": ":"}


def six_panels(reading, top, where):
    """A panel a method: one reading against the step, a line a variant and seed."""
    _, axes = plt.subplots(2, 3, figsize=(7, 4.4), sharex=True, sharey=True)
    for axis, name in zip(axes.flat, PANELS, strict=True):
        for (method, variant, s), table in readings.items():
            if method == name:
                color = plots.COLOURS[name] if variant == FULL else "black"
                axis.plot(
                    table[reading].rolling(5, min_periods=1).mean(),
                    STYLES.get(variant, "--"), color=color, lw=1.2,
                    label=variant if s == seed else None,
                )  # fmt: skip
        axis.set(title=plots.LABELS[name], ylim=(0, top))
        axis.legend(fontsize=6.5, handlelength=2.2, loc=where)
    for axis in axes[1]:
        axis.set_xlabel("step")
    for axis in axes[:, 0]:
        axis.set_ylabel(reading)
    return axes


axes = six_panels("gauge", 1.1, (0.4, 0.18))
shrinking = readings["vicreg", "no variance term", seed]["size"]
axes[1, 1].plot(shrinking, ":", color="black", lw=1.2, label="the same: size")
axes[1, 1].legend(fontsize=6.5, handlelength=2.2, loc=(0.4, 0.18))
plt.show()

# %% [markdown]
# *Figure 1. The collapse gauge (9) of the projections in training, running mean over 5 steps, a line a seed. 1: all
# over the sphere; 0: one point. The dotted line in VICReg's panel is the size of its crippled sister's projections.*
#
# Three of the six cripples run into one point. The other three do not, by the gauge. Look at the other two readings:

# %% tags=["hide-input"]
six_panels("rank", head_dim, "upper right")
plt.show()

# %% [markdown]
# *Figure 2. The effective rank (10) of the same projections; the axis ends at the largest possible, `head_dim`.*

# %% tags=["hide-input"]
LAST = max(1, steps // 10)
order = [key for name in PANELS for key in readings if key[0] == name]
ends = pd.DataFrame(
    [
        {"method": plots.LABELS[name], "variant": variant, "seed": s}
        | readings[name, variant, s].tail(LAST).mean().to_dict()
        for name, variant, s in order
    ]
)
tables.mean_std(ends, by=["method", "variant"])

# %% [markdown]
# *Table 1. The three readings at the end of training (mean over the last tenth of the steps), mean ± standard deviation
# over n seeds.*
#
# So there are three ways to collapse, and each part stands against one of them:
#
# - **One point.** BYOL and DirectPred without predictor, W-MSE without whitening, SimSiam with neither stop-gradient
#   nor batch norm. This is the collapse that everybody fears, and the gauge sees it. A slow copy alone does not prevent
#   it: the copy follows, and both drift to one point.
# - **No size.** VICReg compares without normalising, and its cheapest agreement is to shrink everything. The *shape* of
#   the tiny cloud is fine, so that gauge and rank see nothing.
# - **One line** (*dimensional collapse*, [Jing et al. 2021](https://arxiv.org/abs/2110.09348)). Barlow Twins
#   standardises each dimension, and so does SimSiam's last batch norm. One point is then impossible, but all dimensions
#   may say the same. Barlow's diagonal is content with that, and goes there. SimSiam without stop-gradient is on its
#   way: its rank is 1.1 to 1.5 after the sweep's 800 steps, and 3.5 to 4.1 with it (not claimed).
#
# Rank has no threshold of its own. After these few steps *full* methods are narrow, too:

# %% tags=["hide-input"]
end = ends.groupby(["method", "variant"])[["gauge", "size", "rank"]].mean()
full = end.xs(FULL, level="variant")["rank"].sort_values()
only = end.loc[("Barlow Twins", "only diagonal"), "rank"]
Markdown(f"""Barlow's diagonal ends at a rank of {only:.1f} of {head_dim}. Full {full.index[0]} is at {full.iloc[0]:.1f} and full
{full.index[1]} at {full.iloc[1]:.1f}, and nobody would call them collapsed: VICReg's size is
{end.loc[("VICReg", FULL), "size"]:.2f}, below the 1 that its hinge asks for, so it is under way. Compare a cripple with its
own full method, and with a longer training, before you convict it.""")

# %% [markdown]
# SimSiam's sisters are a two-by-two design. Without batch norm, the stop-gradient decides alone between a cloud and a
# point. With it, the point is out of reach, and the harm is slower and harder to see.
#
# ## What reaches the code
#
# Projections are thrown away. We keep the code $h$, one network earlier. Did it collapse, too? Its spectrum on clean
# test images, each divided by the largest eigenvalue:

# %% tags=["hide-input"]
_, axes = plt.subplots(1, 2, figsize=(7, 3.7), sharey=True)
families = ["byol", "simsiam", "directpred"], ["barlow", "vicreg", "wmse"]
with torch.no_grad():
    codes = {key: method.encode(test.images) for key, method in trained.items()}
for axis, family in zip(axes, families, strict=True):
    for (name, variant, s), h in codes.items():
        shown = variant not in ("no batch norm", "neither", "identity")
        if s != seed or not shown or name not in (*family, "untrained"):
            continue
        values = spectrum(h).cpu()
        axis.semilogy(
            range(1, latent_dim + 1), (values / values[0]).clamp(min=1e-8),
            "-" if variant == FULL else "--", color=plots.COLOURS[name], lw=1.3,
            label=plots.LABELS[name] + ("" if variant == FULL else f", {variant}"),
        )  # fmt: skip
    axis.set(xlabel="eigenvalue", ylim=(1e-6, 2))
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22)}
    axis.legend(fontsize=6.5, ncols=2, **below)
axes[0].set_ylabel("share of the largest")
plt.show()

# %% [markdown]
# *Figure 3. Eigenvalues of the code's covariance, first seed. Left: asymmetry, right: decorrelation; solid: full
# method, dashed: crippled.*
#
# And what does it know? A linear probe is asked four times: with all training labels and with only `few` of each class,
# on clean images and on fresh views. Three controls: an **untrained** encoder, **InfoNCE**, which has negatives, and a
# **supervised** encoder, which was told the labels.


# %%
def examine(method, seed):
    """Accuracies of linear probes, and the rank of the code of clean images."""
    draw = torch.Generator().manual_seed(1000 + seed)
    ask = {"penalties": (1e-1, 1e-2, 1e-3), "tol": 1e-3}
    views, new = (
        protocol.fresh_views(split, law, n, base + seed)
        for split, n, base in ((train, 3000, 1000), (test, 1500, 2000))
    )
    row = {}
    for where, of, at in (("clean", train, test), ("views", views, new)):
        z, z_test = method.encode(of.images), method.encode(at.images)
        shuffled = torch.randperm(len(z), generator=draw).to(device)
        y = of.labels[shuffled]
        rows = torch.cat([shuffled[y == c][:few] for c in y.unique()])
        for labels, some in (("all labels", shuffled), (FEW, rows)):
            row[f"{labels}, {where}"] = probes.linear(
                z[some], of.labels[some], z_test, at.labels, **ask
            ).score
    code = method.encode(test.images)
    return row | {"rank of the code": effective_rank(code)}


FEW = f"{few} a class"
rows = []
for (name, variant, s), method in trained.items():
    if variant != "identity":  # the same network as BYOL's sister
        label = plots.LABELS[name]
        label += "" if variant == FULL else f", {variant}"
        rows.append({"method": label, "seed": s} | examine(method, s))
results = pd.DataFrame(rows)
suffix = ends["variant"].map(lambda v: "" if v == FULL else f", {v}")
watched = ends.assign(method=ends["method"] + suffix).drop(columns="variant")
recorded = results.merge(watched, "left", ["method", "seed"]).astype(object)
mdlib.record(out, recorded.where(recorded.notna(), None))
tables.mean_std(results, best=["all labels, clean", "all labels, views"])

# %% [markdown]
# *Table 2. Accuracy of a linear probe, and effective rank of the code of clean test images; mean ± standard deviation
# over n seeds. Bold: the best, and what these seeds cannot tell from it.*
#
# With all labels and *clean* digits every code does well, the untrained one, too. Of new *views* that one knows less.
#
# **A collapsed projection is not a collapsed code.** The projector can throw directions away by itself (exercise 3). And a
# linear probe may weigh a weak direction as heavily as it likes: with all labels, on clean images and after so few steps,
# it sees little difference between a healthy method, a crippled one, and a network that was never trained. Put the
# untrained row into every such table.
#
# **A high rank is not a good code.** The highest in Table 2 belongs to the network that was never trained. All trainings
# narrow the code. Among trained codes the rank goes with the accuracy; it must not be compared with an untrained one's.
#
# The claims that a seed cannot turn, for this data and budget:

# %%
checked = dataset == "digits" and steps == 80 and arch == "mlp-small"
if checked:
    at_a_point = [
        ("BYOL", "no predictor"),
        ("SimSiam", "neither"),
        ("W-MSE", "no whitening"),
    ]
    assert (end["gauge"].xs(FULL, level="variant") > 0.4).all(), end
    assert (end["gauge"][at_a_point] < 0.3).all(), end
    assert end["gauge"]["SimSiam", "no batch norm"] > 0.5, end
    blind = end.loc["VICReg", "no variance term"]
    assert blind["gauge"] > 0.5 and blind["rank"] > 4, "two readings are blind"
    assert blind["size"] < 0.1 < end["size"]["VICReg", FULL] / 3, end
    diagonal = end.loc["Barlow Twins", "only diagonal"]
    assert diagonal["gauge"] > 0.8, end
    assert end["rank"]["Barlow Twins", FULL] > diagonal["rank"] + 0.5, end
    wide = results.groupby("method")["rank of the code"].mean()
    assert wide.idxmax() == "untrained", wide
    clean = results.groupby("method")["all labels, clean"].mean()
    assert clean.min() > 0.75, "no code has collapsed"
    views_told = results.groupby("method")["all labels, views"].mean()
    assert views_told["InfoNCE"] > views_told["untrained"] + 0.1, views_told

# %% [markdown]
# ## The claims, and the sweep's verdicts
#
# What each part is for was written down in `notebooks/sweeps/negative_free.yaml` before the sweep ran: five fresh seeds,
# 80 and 800 steps.

# %% tags=["reads-rows", "hide-input"]
sweep.show_claims(
    "negative_free",
    "accuracy: difference",
    apart={"rank": "effective rank: difference"},
)

# %% [markdown]
# *Figure 4 and Table 3. Each claim, its interval (95 %, Student's, by seed) and verdict after Holm's adjustment. Above, the
# ranks of codes; below, accuracies.*
#
# **After 80 steps two of five parts are missed, after 800 all.** At 80 steps only VICReg without its variance term and
# W-MSE without its whitening know the class of new views less well; for predictor, stop-gradient and off-diagonal nothing
# is decided. At 800 all five claims hold, each by more than ten points. So a short training, such as Table 2's, cannot say
# what a part is for.
#
# **Training pays on views; on clean digits nothing is decided.** Each of the six, and InfoNCE, is far above the untrained
# encoder on new views; on clean images all are ahead by a point or two, undecided after Holm's adjustment, and no equality
# is shown. Not claimed: at 800 steps each cripple is on average below the untrained encoder there.

# %% [markdown]
# ## Which axes does a code have?
#
# It is tempting to look at single dimensions of $h$ and ask what each one means. For a linear code, the loss does not
# know these dimensions:
#
# ```{prf:theorem} Free axes
# :label: thm-free-axes
#
# Let the encoder end in a linear layer, $h = Ay + a$, and the projector begin with one, $Vh + v$. For every invertible
# matrix $Q$, the layers $h' = QAy + Qa$ and $VQ^{-1} h' + v$ give the same projections. So any loss of projections is
# the same for the codes $h$ and $Qh$.
# ```
#
# ```{prf:proof}
# $VQ^{-1}(QAy + Qa) + v = V(Ay + a) + v$. (BYOL and DirectPred: change the slow copy likewise.)
# ```
#
# Rotations are such $Q$. If one axis of a solution stands for the digit's slant, a rotated solution exists with the
# same loss in which no axis does. A **ReLU** at the end of the encoder breaks this:
# $\mathrm{ReLU}(Qy) \neq Q\,\mathrm{ReLU}(y)$, except where $Q$ only swaps and stretches axes by positive factors. We
# turn one layer, and turn the other back:


# %%
@torch.no_grad()
def turned(method, Q):
    """A copy with the encoder's last layer turned, the projector's first back."""
    method = copy.deepcopy(method)
    halves = [(method.encoder, method.projector)]
    if isinstance(method, BYOL):
        halves.append((method.target_encoder, method.target_projector))
    for encoder, projector in halves:
        last = [each for each in encoder if isinstance(each, nn.Linear)][-1]
        last.weight.copy_(Q @ last.weight)
        last.bias.copy_(Q @ last.bias)
        projector[0].weight.copy_(projector[0].weight @ Q.T)
    return method


draw = torch.Generator().manual_seed(seed)
Q = torch.linalg.qr(torch.randn(latent_dim, latent_dim, generator=draw))[0]
swap = torch.eye(latent_dim)[torch.randperm(latent_dim, generator=draw)]
changes = []
for name in PANELS:
    cls, options = variants[name, FULL]
    row = {"method": plots.LABELS[name]}
    for code in ("linear", "relu"):
        method = build(cls, seed, code=code, **options)
        for what, matrix in [("rotated", Q), ("swapped", swap)]:
            before = copy.deepcopy(method).loss(views)[0].item()
            after = turned(method, matrix.to(device)).loss(views)[0].item()
            row[f"{code}, {what}"] = abs(after / before - 1)
    changes.append(row)
changes = pd.DataFrame(changes).set_index("method")
same = changes.drop(columns="relu, rotated").to_numpy().max()
assert same < 1e-5, changes
assert changes["relu, rotated"].min() > 100 * same, "rounding is far below"
changes.map("{:.0e}".format)

# %% [markdown]
# *Table 4. How much the loss changes, relative to itself, when the code's axes are rotated or swapped and the projector
# turns them back. Fresh networks.*
#
# What is left in the columns of small numbers is rounding. This is the bridge to `theory/disentanglement`: a score that
# reads single dimensions of a linear code reads the accident of the first weights and of an optimiser that works weight
# by weight. With a ReLU the axes mean something to the loss; whether they come to mean something to *us* is an
# experiment.
#
# ## What this does not show
#
# - **That one method is better.** Networks are small, training is short, the batch is small for the second family, and
#   settings are customary or chosen to suit the length ($\tau$, $\lambda$): none was tuned, let alone all alike.
# - **How a long training ends.** The sweep stops at 800 steps, and its copy is fast ($\tau = 0.9$).
# - **Why asymmetry works.** We saw *that* predictor and stop-gradient are needed. The best account is about linear
#   networks (Tian et al. 2021): there the predictor aligns with $F$ of equation (5), and weak directions grow only if
#   it does.
# - **That the probe's ranking carries over.** Digits are easy: an untrained network keeps what a linear probe needs. On
#   harder images the rows may part.
# - **Collapse in evaluation mode.** The readings come from batches in training mode, with the batch's own statistics.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Let all projections be equal. What are the three terms of VICReg (the mean hinge of (7), without
# weights) and the loss of Barlow Twins (6) with $\lambda = 1$? Write `collapsed(D)` → (invariance, variance,
# covariance, Barlow). Mind the $10^{-4}$ in the square root.
#
# <details><summary>Hint</summary>
#
# With equal projections nothing varies: what is the standard deviation with its $10^{-4}$, and what are the
# correlations?
#
# </details>


# %% tags=["solution", "hide-input"]
def collapsed(D):
    """→ (invariance, variance, covariance, Barlow), four floats."""
    # nothing varies: std = √(0 + 1e-4), and every correlation is 0
    return 0.0, 1 - math.sqrt(1e-4), 0.0, float(D)


# %% tags=["check"]
for D in (2, 16, 100):
    z = torch.ones(20, D)
    gap = sum(losses.identity_gap(losses.cross_correlation(z, z)))
    measured = (
        F.mse_loss(z, z),
        losses.variance_hinge(z),
        losses.covariance_penalty(z),
        gap,
    )
    for mine, theirs in zip(collapsed(D), measured, strict=True):
        assert abs(mine - theirs.item()) < 1e-3 * max(1, D), (
            f"D = {D}: yours {mine}, measured {theirs.item():.4f}"
        )

# %% tags=["hidden", "remove-cell"]
found = collapsed(7)
assert len(found) == 4, "four numbers"
assert abs(found[1] - 0.99) < 1e-6 and abs(found[3] - 7) < 1e-6, found

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Outwit VICReg without its covariance term: write `cheat(N, D)`, projections of $N$ images whose gauge
# is above 0.9 and whose variance hinge is below 0.01, though they lie on a line. What does the covariance term say?
#
# <details><summary>Hint</summary>
#
# The gauge and the hinge look at each dimension by itself. What if all dimensions are one and the same number?
#
# </details>


# %% tags=["solution", "hide-input"]
def cheat(N, D):
    """→ projections [N, D]."""
    # one random number an image, written D times, a little more than unit size
    draw = torch.Generator().manual_seed(0)
    return 1.1 * torch.randn(N, 1, generator=draw) * torch.ones(D)


# %% tags=["check"]
for N, D in [(500, 4), (1000, 32)]:
    z = cheat(N, D)
    assert z.shape == (N, D), f"shape {tuple(z.shape)}, expected ({N}, {D})"
    assert gauge(z) > 0.9 and losses.variance_hinge(z) < 0.01, (
        f"gauge {gauge(z):.3f}, hinge {losses.variance_hinge(z):.3f}"
    )
    assert effective_rank(z) < 1.01, (
        f"effective rank {effective_rank(z):.2f}: not on a line"
    )
    assert losses.covariance_penalty(z) > (D - 1) / 2, "but this term sees it"

# %% tags=["hidden", "remove-cell"]
z = cheat(300, 8)
assert gauge(z) > 0.9 and effective_rank(z) < 1.01, "another size"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Where does the collapse happen? Write `ranks(method)`: the effective rank of the
# code and of the output of each layer of the projector, in order, on the first views `views[:, 0]`, as a list. Compare full and
# crippled methods: is it the encoder or the projector that gives up the directions? Then: does the place move if you
# train longer, and can a crippled method's encoder be rescued by a fresh projector and the full loss?
#
# <details><summary>Hint</summary>
#
# Go through `method.projector` layer by layer, as a loop, without gradients, and take `effective_rank` after each.
#
# </details>


# %% tags=["solution", "hide-input"]
@torch.no_grad()
def ranks(method):
    """→ a list: the code's rank, then one for each layer of the projector."""
    x = method.encoder(views[:, 0])
    found = [effective_rank(x.float())]
    for layer in method.projector:
        x = layer(x)
        found.append(effective_rank(x.float()))
    return found


# %% tags=["check"]
chain = {
    variant: ranks(trained["wmse", variant, seed])
    for variant in (FULL, "no whitening")
}
for found in chain.values():
    assert len(found) == 1 + len(trained["wmse", FULL, seed].projector), (
        f"{len(found)} ranks: one of the code and one of each layer"
    )
    assert all(rank >= 1 for rank in found), f"a rank is at least 1: {found}"
if checked:
    assert chain["no whitening"][-1] < 1.5 < chain["no whitening"][0], (
        f"{chain}"
    )
    assert chain["no whitening"][-1] < chain[FULL][-1] - 2, f"{chain}"
else:
    print(
        "Not all was checked: this data set or budget is another one than the text's."
    )
{
    variant: [round(rank, 1) for rank in found]
    for variant, found in chain.items()
}

# %% tags=["hidden", "remove-cell"]
full = trained["wmse", FULL, seed]
with torch.no_grad():
    of_code = effective_rank(full.encoder(views[:, 0]).float())
assert abs(ranks(full)[0] - of_code) < 0.05, "the first is the code's"

# %% [markdown]
# ## References
#
# - A. Bardes, J. Ponce, Y. LeCun. *VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning.*
#   ICLR 2022. [arXiv:2105.04906](https://arxiv.org/abs/2105.04906)
# - X. Chen, K. He. *Exploring Simple Siamese Representation Learning.* CVPR 2021.
#   [arXiv:2011.10566](https://arxiv.org/abs/2011.10566)
# - A. Ermolov, A. Siarohin, E. Sangineto, N. Sebe. *Whitening for Self-Supervised Representation Learning.* ICML 2021.
#   [arXiv:2007.06346](https://arxiv.org/abs/2007.06346)
# - J.-B. Grill et al. *Bootstrap Your Own Latent.* NeurIPS 2020.
#   [arXiv:2006.07733](https://arxiv.org/abs/2006.07733)
# - L. Jing, P. Vincent, Y. LeCun, Y. Tian. *Understanding Dimensional Collapse in Contrastive Self-supervised
#   Learning.* ICLR 2022. [arXiv:2110.09348](https://arxiv.org/abs/2110.09348)
# - O. Roy, M. Vetterli. *The Effective Rank: a Measure of Effective Dimensionality.* EUSIPCO 2007.
# - Y. Tian, X. Chen, S. Ganguli. *Understanding Self-Supervised Learning Dynamics without Contrastive Pairs.* ICML
#   2021. [arXiv:2102.06810](https://arxiv.org/abs/2102.06810)
# - J. Zbontar, L. Jing, I. Misra, Y. LeCun, S. Deny. *Barlow Twins: Self-Supervised Learning via Redundancy Reduction.*
#   ICML 2021. [arXiv:2103.03230](https://arxiv.org/abs/2103.03230)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One code, two parts, two losses
#
# *If a loss makes two views of an image agree, where is that to go in which they differ?*
#
# **You will learn**
# - what a code loses when the views of an image are forced to one point,
# - to split a loss into a term for content and a term for style, and to derive both for a VAE and for BYOL,
# - what each term can see and what it cannot: trivial solutions, leaks in both directions, and what stops each,
# - two facts about the style term: a predictor swallows its sign, and without one it has a floor,
# - where the split fails even at the optimum, and why no loss on pairs can help there.
#
# **You need** `start_here`, entropy, Gaussian densities, and BYOL from `methods/negative_free`.
#
# **Time:** two hours to read, in three sittings: the VAE's bound; BYOL; what each term can see. About 40 seconds to run.
#
# The chapter starts from [Lee & Choi (2022)](https://arxiv.org/abs/2203.10454), who split the code of a contrastive
# learner into a content part and a style part *only* by splitting its loss in two, for a VAE and for BYOL. We could read
# the paper's **abstract**, and nothing more of it. It says what is common goes into one part and what a view has for
# itself into the other; it does not say what the style term is. All formulas below are therefore our derivations, the
# list of possible style terms is ours, and no number here can be compared with one of the paper's.

# %% tags=["parameters"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
side = 8  # images are shrunk to side × side pixels [1 or more]
seed = 0  # the first seed [seed]
seeds = 2  # trainings of each kind, one after the other [1 or more]
steps = 300  # training steps of each BYOL [1 or more]
moves = 400  # training steps of each network on the ring [1 or more]
batch_size = 64  # images a step; each gives two views [2 or more]
latent_dim = 32  # size of the code; a quarter of it is style [4 or more]
style_weight = 0.5  # λ of the style term [0 or more]
max_images = 5000  # at most so many training images, and so many test images
# [2 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup"]
import math
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from torch import nn
from torch.distributions import MultivariateNormal
from torch.nn import functional as F

import mdlib
from mdlib import data, losses, nets
from mdlib.devices import pick_device
from mdlib.evaluation import probes
from mdlib.figures import plots
from mdlib.methods import create
from mdlib.methods.style_terms import repulsion
from mdlib.notebook import provenance
from mdlib.training import ImageViews, fit
from mdlib.views import Views, apply, circular, style

plots.theme()
started = time.time()
device = pick_device(device)
draw = torch.Generator().manual_seed(seed)


def randn(*shape):
    """Normal numbers in double precision, for comparing formulas."""
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


# %% [markdown]
# ## What agreement throws away
#
# Two views of an image $x$ are an **anchor** and a **positive**. Their styles are drawn from one law, independently:
#
# $$ v_a = T(x;\, w_a), \qquad v_p = T(x;\, w_p). \tag{1} $$
#
# The two views differ, for we made them differ. A loss that pulls their codes together all the way asks the encoder to
# say the same of two different things.
#
# ```{prf:proposition} Agreement is the variance within an image
# :label: pl-agreement
#
# For a deterministic encoder $z = f(v)$ and views as in (1),
#
# $$ \mathbb{E}\,\|z_a - z_p\|^2 = 2\; \mathbb{E}_x \operatorname{tr} \operatorname{Cov}(z \,|\, x). \tag{2} $$
#
# If it is 0, then $z$ is a function of the image, and $I(z; w \,|\, x) = 0$: the code knows nothing of the style.
# ```
#
# ```{prf:proof}
# Given $x$, $z_a$ and $z_p$ are independent with one law, so $\mathbb{E}[\|z_a - z_p\|^2 | x] = 2\,
# \mathbb{E}[\|z\|^2|x] - 2\,\|\mathbb{E}[z|x]\|^2$, which is twice the trace of the covariance. A variable without
# variance given $x$ is almost surely a function of $x$.
# ```
#
# Any table of codes is an encoder. For five images in eight styles, the expectation is a sum over all pairs:

# %% tags=["theorem:agreement"]
p = torch.rand(8, generator=draw).double()
p = p / p.sum()  # the law of the style
together = torch.outer(p, p)  # of two independent draws
codes = randn(5, 8, 3)
apart = torch.cdist(codes, codes).square()  # [image, style, style]
centred = codes - (p[:, None] * codes).sum(1, keepdim=True)
trace = (p * centred.square().sum(2)).sum(1)
torch.testing.assert_close((together * apart).sum((1, 2)), 2 * trace)

# %% [markdown]
# Watch it happen. An "image" is a point's distance from the centre, between 1 and 2; a view is that point turned to a
# random angle. Distance is content, angle is style. A small network maps points to $[c\,;\,u]$, one number and one
# direction in the plane, $\|u\| = 1$. We draw a code as the point in direction $u$ whose distance is $c$, so that a
# perfect code looks like the ring itself. Two networks with the same first weights are trained. **One loss** pulls $c$
# and $u$ of both views together. **Two losses** pull $c$ together and push $u$ apart: they differ in one sign. (Both get
# VICReg's hinge, which keeps what is pulled together from shrinking to a point.)


# %%
def on_the_ring(radius):
    """Views [N, 2] of images, given as their radius [N, 1], and the angles."""
    angle = 2 * math.pi * torch.rand(radius.shape, generator=draw)
    return radius * torch.cat([angle.cos(), angle.sin()], 1), angle[:, 0]


def ring_code(net, x):
    z = net(x)
    return z[:, :1], F.normalize(z[:, 1:], dim=1)


def ring_loss(split, codes):
    (c, u), (c_p, u_p) = codes
    spread = losses.variance_hinge(torch.cat([c, c_p]))
    content = (c - c_p).square().mean() + spread
    cosine = (u * u_p).sum(1).mean()
    if split:
        return content + (1 + cosine)  # push apart
    spread = losses.variance_hinge(2**0.5 * torch.cat([u, u_p]))
    return content + (1 - cosine) + spread  # pull together


# %%
shown_points, shown_angle = on_the_ring(1 + torch.rand(1500, 1, generator=draw))
marks = [0, moves // 20, moves // 5, moves]


def train_on_the_ring(split):
    """Codes of the shown points at each mark."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nets.mlp([2, 64, 64, 3])
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    pictures = []
    for step in range(moves + 1):
        if step in marks:
            with torch.no_grad():
                pictures.append(ring_code(net, shown_points))
        radius = 1 + torch.rand(256, 1, generator=draw)
        pair = [ring_code(net, on_the_ring(radius)[0]) for _ in range(2)]
        optimiser.zero_grad()
        ring_loss(split, pair).backward()
        optimiser.step()
    return pictures


rings = {
    "one loss": train_on_the_ring(False),
    "two losses": train_on_the_ring(True),
}

# %%
figure, axes = plt.subplots(2, 4, figsize=(7, 3.8), sharex=True, sharey=True)
for row, (name, pictures) in zip(axes, rings.items(), strict=True):
    for axis, (c, u) in zip(row, pictures, strict=True):
        distance = 1.5 + 0.29 * (c - c.mean()) / c.std()
        axis.scatter(*(distance * u).T, c=shown_angle, cmap="twilight", s=2)
        axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), xticks=[], yticks=[])
        axis.set_aspect("equal")
    row[0].set_ylabel(name)
for axis, mark in zip(axes[0], marks, strict=True):
    axis.set_title(f"step {mark}", fontsize=10)
plt.show()

# %% [markdown]
# *Figure 1. Codes of 1500 points while two networks learn. Distance from the centre: the content part $c$ (shifted and
# scaled); direction: the style part $u$; colour: the true angle. Above, the ring becomes a thread on which all colours
# lie on top of each other: the angle is gone. Below it stays a ring, and the colours go round; which way round, and
# where they start, the loss does not say.*


# %%
def half_half(codes, truth):
    """R² of a nearest-neighbour reader, trained on one half of the points."""
    h = len(codes) // 2
    return probes.knn_regression(
        codes[:h], truth[:h], codes[h:], truth[h:]
    ).score


angle = torch.stack([shown_angle.cos(), shown_angle.sin()], 1)
radius = shown_points.norm(dim=1, keepdim=True)
rows = {}
for name, pictures in rings.items():
    c, u = pictures[-1]
    rows[name] = {
        "radius from c": half_half(c, radius),
        "angle from c": half_half(c, angle),
        "radius from u": half_half(u, radius),
        "angle from u": half_half(u, angle),
    }
ring_table = pd.DataFrame(rows).T
if moves >= 400:
    assert ring_table["radius from c"].min() > 0.8, ring_table
    assert ring_table.loc["one loss", "angle from u"] < 0.3, ring_table
    assert ring_table.loc["two losses", "angle from u"] > 0.8, ring_table
    assert ring_table["angle from c"].max() < 0.3, ring_table
ring_table.round(2)

# %% [markdown]
# *Table 1. What a nearest-neighbour reader finds in each part at the end, $R^2$ (0: nothing; it can fall below).*
#
# Here the split did what it promises. The rest of the chapter asks when it must, when it merely happens to, and when it
# cannot.
#
# ## Which losses split
#
# Write the code as $z = [c\,;\,s]$, by cutting the vector at a fixed place.
#
# ```{prf:proposition} Three losses that split
# :label: pl-split
#
# 1. $\|z_a - z_p\|^2 = \|c_a - c_p\|^2 + \|s_a - s_p\|^2$.
# 2. For Gaussians with diagonal covariance, $\mathrm{KL}(q_a \| q_p) = \mathrm{KL}_c + \mathrm{KL}_s$.
# 3. For the cosine of the whole code, with $\omega_c = \|c_a\| \|c_p\| / (\|z_a\| \|z_p\|)$ and $\omega_s$ alike,
#
#    $$ \cos(z_a, z_p) = \omega_c \cos(c_a, c_p) + \omega_s \cos(s_a, s_p), \qquad \omega_c + \omega_s \le 1. \tag{3} $$
#
#    Where each part is brought to length 1 first, both weights are $\frac12$, and BYOL's distance splits:
#
#    $$ 2 - 2\cos(z_a, z_p) = \tfrac12 \big[(2 - 2\cos(c_a, c_p)) + (2 - 2\cos(s_a, s_p))\big]. \tag{4} $$
# ```
#
# ```{prf:proof}
# 1 is Pythagoras. In 2, both densities are products, so the logarithm of their ratio is a sum. 3: the inner product is a
# sum, $z_a \cdot z_p = c_a \cdot c_p + s_a \cdot s_p$; divide by the lengths. By Cauchy-Schwarz for
# $(\|c\|, \|s\|)$, $\|c_a\|\|c_p\| + \|s_a\|\|s_p\| \le \|z_a\|\|z_p\|$.
# ```

# %% tags=["theorem:split"]
cut = 3
(z_a, lv_a), (z_p, lv_p) = randn(2, 50, 5), randn(2, 50, 5)
c_a, s_a, c_p, s_p = *z_a.split([cut, 2], 1), *z_p.split([cut, 2], 1)


def squared(a, b):
    return (a - b).square().sum(1)


def norm(*parts):
    return math.prod(part.norm(dim=1) for part in parts)


def cos(a, b):
    return F.cosine_similarity(a, b, dim=1)


torch.testing.assert_close(
    squared(z_a, z_p), squared(c_a, c_p) + squared(s_a, s_p)
)
kl = losses.gaussian_kl_between
whole = kl(z_a, lv_a, z_p, lv_p)
parts = [
    kl(z_a[:, i], lv_a[:, i], z_p[:, i], lv_p[:, i])
    for i in (slice(cut), slice(cut, None))
]
torch.testing.assert_close(whole, sum(parts))

weight_c = norm(c_a, c_p) / norm(z_a, z_p)
weight_s = norm(s_a, s_p) / norm(z_a, z_p)
halves = cos(c_a, c_p), cos(s_a, s_p)
split = weight_c * halves[0] + weight_s * halves[1]
torch.testing.assert_close(cos(z_a, z_p), split)
assert (weight_c + weight_s).max() < 1 + 1e-9
raw_error = (cos(z_a, z_p) - sum(halves) / 2).abs().mean()
unit_a = torch.cat([F.normalize(c_a), F.normalize(s_a)], 1)
unit_p = torch.cat([F.normalize(c_p), F.normalize(s_p)], 1)
torch.testing.assert_close(cos(unit_a, unit_p), sum(halves) / 2)
assert raw_error > 0.02

# %% [markdown]
# The weights in (3) are the network's own choice. With the raw concatenation it can mute a half by making it short, and
# the loss would call that progress. Here a style part that disagrees completely is scaled down, and nothing else
# changes:

# %%
shrunk = [1.0, 0.3, 0.1, 0.01]
muted = [
    (2 - 2 * cos(torch.cat([c_a, t * s_a], 1), torch.cat([c_a, -t * s_a], 1)))
    .mean()
    .item()
    for t in shrunk
]
assert muted == sorted(muted, reverse=True) and muted[-1] < 0.01
pd.DataFrame({"length of style ×": shrunk, "whole loss": muted}).round(3)

# %% [markdown]
# *Table 2. BYOL's distance of whole codes with equal contents and opposite styles. Normalise each part first, and the
# loss is 2 in every row.*
#
# Plain agreement is thus "attract $c$" plus "attract $s$". A **partitioned loss** keeps the first and changes the
# second:
#
# $$ L = L_\mathrm{content}(c_a, c_p) + \lambda\, L_\mathrm{style}(s_a, s_p). \tag{5} $$
#
# The abstract fixes the first term and leaves the second open. These are the readings that we can think of, with the
# names they have in `mdlib`:
#
# | reading | the style term asks | `style_term` of `partitioned_byol` |
# |---|---|---|
# | R1a | repel: $2 + 2\cos$, with BYOL's predictor and slow copy | `repel_predicted` |
# | R1b | repel, without predictor, gradient through both views | `repel` |
# | R2 | be orthogonal: $\lvert\text{mean} \cos\rvert$ | `orthogonal` |
# | R3 | nothing | `none` |
# | R4 | tell how the styles $w_a$, $w_p$ differ | `augmentation` |
# | R5 | attract between *different* images with the same $w$ | `shared`, `shared_contrast` |
# | control | attract: two heads, as before | `attract` |
#
# R4 and R5 use what the abstract does not mention: the parameters of the views, or views that share them. Whatever the
# style term, this much is sure of the other one:
#
# ```{prf:proposition} The content term alone
# :label: pl-content
#
# Let $L_\mathrm{content}$ read only $c$. (a) Its gradient with respect to every weight that feeds only $s$ is 0. (b) If
# it is an alignment, $\mathbb{E}\,d(c_a, c_p)$ with $d \ge 0$ and $d(c, c) = 0$, then $c = $ const. minimises it, and so
# does $c = $ any function of the image, known or not from $s$.
# ```
#
# ```{prf:proof}
# (a) $L_\mathrm{content}$ does not change with $s$. (b) Both make $c_a = c_p$, where $d$ is 0, its minimum.
# ```

# %% tags=["theorem:content"]
heads = nn.ModuleDict({part: nets.mlp([2, 8, 2]) for part in "cs"})
x, x_p = (on_the_ring(1 + torch.rand(64, 1, generator=draw))[0] for _ in "ap")
squared_distance = (heads["c"](x) - heads["c"](x_p)).square().sum(1)
squared_distance.mean().backward()
assert all(w.grad is None for w in heads["s"].parameters())
assert all(w.grad.norm() > 0 for w in heads["c"].parameters() if w.ndim > 1)
radii = 1 + torch.rand(64, 1, generator=draw)
x, x_p = on_the_ring(radii)[0], on_the_ring(radii)[0]
for code, blind in [
    (lambda v: 0 * v, True),  # a constant
    (lambda v: v.norm(dim=1), True),  # of the image
    (lambda v: v[:, 0], False),  # of the view
]:
    assert ((code(x) - code(x_p)).square().mean() < 1e-9) == blind

# %% [markdown]
# **What stops the constant:** not the style term, which doesn't see $c$. It takes a predictor with stop-gradient,
# negatives, a variance or entropy term (`methods/negative_free`), or a decoder that needs $c$. To a decoder we turn now.
#
# ## Derivation for a VAE
#
# Say how a pair comes about: one content, two styles.
#
# $$ c, s_a, s_p \sim \mathcal{N}(0, I) \text{ independent}, \qquad v_a \sim p(v|c, s_a), \quad v_p \sim p(v|c, s_p). \tag{6} $$
#
# **Step 1, Jensen.** For every $q(c|v_a, v_p)\, q(s_a|v_a)\, q(s_p|v_p)$,
#
# \begin{align*} \log p(v_a, v_p) \ge\; & \mathbb{E}_q[\log p(v_a|c, s_a)] + \mathbb{E}_q[\log p(v_p|c, s_p)] \\
#    & - \mathrm{KL}(q(c|v_a, v_p) \| p) - \mathrm{KL}(q(s_a|v_a)\|p) - \mathrm{KL}(q(s_p|v_p)\|p). \tag{7} \end{align*}
#
# **Step 2, one-view encoders.** We want to encode a single image later. So let the pair's posterior of $c$ be the even
# mixture of what each view says by itself:
#
# $$ q(c|v_a, v_p) = \tfrac12\, q_a + \tfrac12\, q_p, \qquad q_a = q(c|v_a), \quad q_p = q(c|v_p). \tag{8} $$
#
# **Step 3, expectations are linear in $q$.** Half of the time $c$ comes from the view itself, half of the time from the
# other one. With $\mathrm{self}(a) = \mathbb{E}_{q(c|v_a) q(s_a|v_a)} \log p(v_a|c, s_a)$ and
# $\mathrm{swap}(a) = \mathbb{E}_{q(c|v_p) q(s_a|v_a)} \log p(v_a|c, s_a)$, the reconstruction of $v_a$ is
# $\frac12 [\mathrm{self}(a) + \mathrm{swap}(a)]$.
#
# **Step 4, the mixture's KL.** With the Jensen-Shannon divergence $\mathrm{JS} = H[\frac12 q_a + \frac12 q_p] - \frac12
# H[q_a] - \frac12 H[q_p] \ge 0$,
#
# $$ \mathrm{KL}\big(\tfrac12 q_a + \tfrac12 q_p \,\|\, p\big) = \tfrac12 \mathrm{KL}(q_a\|p) + \tfrac12 \mathrm{KL}(q_p\|p)
#    - \mathrm{JS}(q_a, q_p). \tag{9} $$
#
# JS has no closed form for Gaussians. It enters (7) with a plus, so leaving it out keeps a lower bound. That costs at most
# $\log 2$ nats a pair ($\log J$ for $J$ views), all that an even mixture can tell about which of its parts was drawn:
#
# ```{prf:theorem} The partitioned bound
# :label: pl-bound
#
# \begin{align*} \log p(v_a, v_p) \ge L = \sum_{i \in \{a, p\}} \Big( \tfrac12\, \mathrm{self}(i) + \tfrac12\, \mathrm{swap}(i)
#    & - \tfrac12 \mathrm{KL}(q(c|v_i)\|p) \\ & - \mathrm{KL}(q(s_i|v_i)\|p) \Big), \tag{10} \end{align*}
#
# and the gap is exactly
#
# $$ \log p(v_a, v_p) - L = \mathrm{JS}(q_a, q_p)
#    + \mathrm{KL}\big(q(c|v_a, v_p)\, q(s_a|v_a)\, q(s_p|v_p) \,\|\, p(c, s_a, s_p|v_a, v_p)\big). \tag{11} $$
# ```
#
# ```{prf:proof}
# Steps 1 to 4 give (10). The difference of the two sides of (7) is the KL from $q$ to the true posterior, as for every
# evidence bound, and by (9) the right side of (7) is $L + \mathrm{JS}$.
# ```
#
# So the **content term** of a VAE is not a penalty that somebody adds. It is the swap: decode a view from its own style
# and the *other* view's content. Its weight is a half; content's KL counts once a pair and style's once a view. The
# **style term** is style's KL. A repel term does not occur: reconstruction by itself makes $s$ hold what the shared $c$
# cannot.
#
# ### Where the truth is known
#
# Take linear decoders, $v = c\,\alpha + s\,\beta + $ noise with one content and one style number. Then $\log p$, all
# posteriors and every term of (10) have closed forms, and only JS needs a grid. As encoders take the exact one-view
# posteriors $p(c|v)$ and $p(s|v)$.

# %% tags=["setup"]
noise = 0.3  # variance of the noise
alpha, beta = torch.tensor([[1.0, 0.6, 0.2], [-0.3, 0.6, 1.0]]).double()
pairs = 400
content_true, style_true = randn(pairs, 1, 1), randn(pairs, 2, 1)
v = content_true * alpha + style_true * beta
v = v + noise**0.5 * randn(pairs, 2, 3)  # [pair, view, pixel]

mixing = torch.stack([alpha, beta], 1)
precision = torch.eye(2).double() + mixing.T @ mixing / noise
mean = v @ mixing @ torch.linalg.inv(precision) / noise
variance = torch.linalg.inv(precision).diagonal()
(mu_c, mu_s), (var_c, var_s) = mean.unbind(-1), variance


def expected_log_p(mu_c, var_c):
    """E log p(v|c, s) [pairs, 2]: c ~ N(mu_c, var_c), s as its view says."""
    error = v - mu_c[..., None] * alpha - mu_s[..., None] * beta
    doubt = alpha.square().sum() * var_c + beta.square().sum() * var_s
    squares = error.square().sum(-1) + doubt
    return -0.5 * (squares / noise + 3 * math.log(2 * math.pi * noise))


def kl_prior(mu, var):
    mu = mu[..., None]
    return losses.gaussian_kl(mu, var.log().expand_as(mu))


# %% tags=["theorem:bound"]
own, swapped = expected_log_p(mu_c, var_c), expected_log_p(mu_c.flip(1), var_c)
each_view = (own + swapped - kl_prior(mu_c, var_c)) / 2 - kl_prior(mu_s, var_s)
bound = each_view.sum(1)  # (10)

shared = torch.outer(alpha, alpha)
alone = shared + torch.outer(beta, beta) + noise * torch.eye(3)
joint = torch.cat([torch.cat([alone, shared]), torch.cat([shared, alone])], 1)
log_p = MultivariateNormal(torch.zeros(6).double(), joint).log_prob(
    v.flatten(1)
)

grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
one_view = torch.distributions.Normal(mu_c[..., None], var_c**0.5)
density = one_view.log_prob(grid).exp()  # [pair, view, grid]
mixture = density.mean(1)
entropy_c = -torch.trapezoid(torch.xlogy(mixture, mixture), grid)
js = entropy_c - losses.gaussian_entropy(var_c.log()[None])

# the posterior of (c, s_a, s_p), given both views
zero = torch.zeros(3).double()
three = torch.stack(
    [alpha.repeat(2), torch.cat([beta, zero]), torch.cat([zero, beta])], 1
)
P = torch.eye(3).double() + three.T @ three / noise
m = v.flatten(1) @ three @ torch.linalg.inv(P) / noise
cross = 0
for j in (0, 1):  # the mixture's parts: content from view j
    d = torch.stack([mu_c[:, j], mu_s[:, 0], mu_s[:, 1]], 1) - m
    cross = cross + ((d @ P) * d).sum(1) / 4
cross = cross + 0.5 * (P.diagonal() @ torch.stack([var_c, var_s, var_s]))
cross = cross - 0.5 * torch.logdet(P) + 1.5 * math.log(2 * math.pi)
kl_true = cross - entropy_c - 2 * losses.gaussian_entropy(var_s.log()[None])

torch.testing.assert_close(log_p, bound + js + kl_true, rtol=0, atol=1e-6)
assert (js > -1e-9).all() and (js < math.log(2)).all() and (kl_true > 0).all()

# %% [markdown]
# (11) holds pair by pair. Three ways to let two views speak for one content, from the same one-view encoders: our
# mixture (8); the mean of both means and variances, as in GVAE; the product of both densities, as in ML-VAE.

# %%
pooled = {
    "mean (GVAE)": (mu_c.mean(1, keepdim=True), var_c),
    "product (ML-VAE)": (mu_c.mean(1, keepdim=True), var_c / 2),
}
gaps = {"mixture (10)": (log_p - bound)}
for name, (mu, var) in pooled.items():
    group = expected_log_p(mu.expand_as(mu_c), var) - kl_prior(mu_s, var_s)
    gaps[name] = log_p - group.sum(1) + kl_prior(mu, var)[:, 0]
assert all((gap > 0).all() for gap in gaps.values())

example = js.argsort()[int(0.9 * pairs)]  # a pair that agrees little
c_axis = grid[(grid > -3.2) & (grid < 3.2)]
inside = density[example][:, (grid > -3.2) & (grid < 3.2)]
truth = torch.distributions.Normal(
    m[example, 0], torch.linalg.inv(P)[0, 0] ** 0.5
)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9), width_ratios=[1.2, 1])
for line, name in zip(inside, ("$q(c|v_a)$", "$q(c|v_p)$"), strict=True):
    left.plot(c_axis, line, label=name, lw=1)
left.fill_between(
    c_axis, inside.mean(0), alpha=0.25, color="k", label="mixture (8)"
)
left.plot(c_axis, truth.log_prob(c_axis).exp(), "k--", label="$p(c|v_a,v_p)$")
left.axvline(content_true[example].item(), color="C3", lw=1.5, label="true $c$")
left.set(xlabel="content $c$", ylabel="density", ylim=(0, None))
left.legend(fontsize=7.5, loc="upper left", handlelength=1.3)
height = [gap.mean().item() for gap in gaps.values()]
right.barh(list(gaps), height, color=["#00b8a0", "#2fc41f", "#3d6410"])
right.barh(
    "mixture (10)", js.mean().item(), color="w", hatch="///",
    edgecolor="#00574b", label="of it JS, left out",
)  # fmt: skip
right.invert_yaxis()
right.set_xlabel("gap to $\\log p$, nats a pair")
right.legend(fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# *Figure 2. Left: what each view says of the content of one pair, the mixture that (10) uses, and what both say
# together. Right: mean gap between $\log p(v_a, v_p)$ and the bound, for three ways to pool the same encoders. Encoders
# trained for their own bound would do better, each for its own.*
#
# A mixture's entropy is at least the mean of its parts' ($\mathrm{JS} \ge 0$), though two views know more than one: the
# price of being able to encode a single image. The package's class computes the same, for images; slowly, from its own parts:

# %% tags=["setup"]
limits = {"size": size or None, "max_images": max_images}
train = data.load(dataset, **limits).painted()
test = data.load(dataset, "test", **limits).painted()


def shrink(split):
    small = F.adaptive_avg_pool2d(split.images.float(), side).round()
    return replace(split, images=small.byte()).to(device)


train, test = shrink(train), shrink(test)
law = Views(hue=0.5)  # the same image, in any colour of the circle
generator = torch.Generator(device).manual_seed(seed)

# %%
views, _ = law(train.images[:32], 2, generator)
vae = create(
    "partitioned_vae", image_shape=train.image_shape, latent_dim=8, style_dim=2,
    arch="mlp-small", style_beta=1.0, align_weight=0.0, warmup=0.0, seed=seed,
).to(device)  # fmt: skip
fast, _ = vae.loss(views, torch.Generator(device).manual_seed(1))
mean, log_variance = (
    each.unflatten(0, (32, 2)) for each in vae.posterior(views.flatten(0, 1))
)
z = vae.draw(mean, log_variance, torch.Generator(device).manual_seed(1))
slow = 0
for i in (0, 1):
    for j in (0, 1):  # style from view i, content from view j
        code = torch.cat([z[:, j, :6], z[:, i, 6:]], 1)
        nll = vae.reconstruction_nll(vae.decoder(code), views[:, i])
        slow = slow + nll.mean() / 2
    content, own = (mean[:, i], log_variance[:, i]), slice(6, None)
    slow = slow + losses.gaussian_kl(*(t[:, :6] for t in content)).mean() / 2
    slow = slow + losses.gaussian_kl(*(t[:, own] for t in content)).mean()
torch.testing.assert_close(
    slow / 2, fast
)  # the class counts a view, not a pair

# %% [markdown]
# ### Content leaks into style
#
# Nothing in (10) says that $s$ *must not* hold content. If $s_a$ describes all of $v_a$, the decoder may ignore $c$, and
# self and swap are both perfect. What stands against it is a price. Content in $c$ is paid once a pair; in the styles
# it is paid in every view. How much does that help? Give the KLs weights $\beta_c$ and $\beta_s$, as one does in
# practice, and take one pixel $v = \text{content} + \text{error}$, in units of its standard deviation, whose values in two
# views of an image correlate by $\kappa$: with $\kappa < 1$ no view shows the content exactly. It may be written into
# the content code, the style code, or both, with *signal-to-noise ratios* $\rho^2/(1 - \rho^2)$, where $\rho_c$ and
# $\rho_s$ are the correlations of the codes with the pixel.
#
# ```{prf:proposition} All or nothing
# :label: pl-price
#
# Let codes be Gaussian and the decoder linear with noise $\sigma^2$, and let there be $J$ views. Up to constants, the best
# decoder leaves (10), as a cost a group, at
#
# \begin{align*} \frac{J}{2\sigma^2} & \cdot \frac{1}{1 + \mathrm{snr}_c + \mathrm{snr}_s}
#    - \frac{\beta_c}2 \log(1 - \rho_c^2) - \frac{J \beta_s}2 \log(1 - \rho_s^2), \tag{12} \\
#    \mathrm{snr}_c & = \frac{\mu^2 \rho_c^2}{1 - \mu^2 \rho_c^2}, \qquad \mathrm{snr}_s = \frac{\rho_s^2}{1 - \rho_s^2},
#    \qquad \mu = \frac{1 + (J - 1)\kappa}{J}. \end{align*}
#
# For $\kappa = 1$ the best solution writes the pixel into one part at most: into none where $J/\sigma^2 \le \min(\beta_c,
# J\beta_s)$, else into content where $\beta_c < J \beta_s$ and into style where $\beta_c > J\beta_s$.
# ```
#
# ```{prf:proof}
# *The cost.* The scale of a code is free, since the decoder can undo it; the scale with the least KL to
# $\mathcal{N}(0, 1)$ gives the code variance 1 and the KL the value of the mutual information,
# $-\frac12 \log(1 - \rho^2)$. Averaged over self and swaps, the content code has covariance $\mu\rho_c$ with the pixel
# and $\mu\rho_c\rho_s$ with the style code. Two readings $x_1$, $x_2$ with correlations $r_1$, $r_2$ to a target of
# variance 1 and $r_1 r_2$ to each other leave, by least squares, the error
# $(1 - r_1^2)(1 - r_2^2)/(1 - r_1^2 r_2^2) = 1/(1 + \mathrm{snr}_1 + \mathrm{snr}_2)$.
#
# *$\kappa = 1$.* Then $\mu = 1$, and each rate is $\frac12 \log(1 + \mathrm{snr})$. For a given sum $S$ of both ratios the
# error is given, and $\frac{\beta_c}2 \log(1 + x) + \frac{J\beta_s}2 \log(1 + S - x)$ is concave in $x = \mathrm{snr}_c
# \in [0, S]$. Its minimum is at an end: $\frac b2 \log(1 + S)$ with $b = \min(\beta_c, J\beta_s)$. The sum with
# $\frac{J}{2\sigma^2}/(1 + S)$ is least at $1 + S = \max(1, J / b\sigma^2)$.
# ```
#
# With one exact content and true weights, $\beta_c = \beta_s = 1$, content is safe. For $\kappa < 1$ a share $1 - \kappa$ of the
# pixel is the view's own: style, by (6). The style code that writes it takes the common share along, since $q(s|v)$ does
# not see the other view, and then a second copy in content is hardly worth its price. Let us see where it tips.


# %%
def split_of_a_pixel(beta_s, kappa, sigma2=0.01, beta_c=1.0, J=2):
    """Minimum of (12): its cost, and what each part explains of the pixel."""
    rho2 = 1 - np.logspace(0, -7, 400)  # the squared correlations to try
    rate = -0.5 * np.log1p(-rho2)
    mu = (1 + (J - 1) * kappa) / J
    r = mu**2 * rho2
    snr_c, snr_s = r / (1 - r + 1e-15), rho2 / (1 - rho2)
    error = 1 / (1 + snr_c[:, None] + snr_s)
    cost = J * error / (2 * sigma2) + beta_c * rate[:, None]
    cost = cost + J * beta_s * rate
    i, k = np.unravel_index(cost.argmin(), cost.shape)
    a, b = snr_c[i], snr_s[k]
    return cost[i, k], a / (1 + a + b), b / (1 + a + b)


# %% tags=["theorem:price"]
for _ in range(40):
    J, (b_c, b_s, sigma2) = 2, np.exp(randn(3).numpy())
    cost, in_c, in_s = split_of_a_pixel(b_s, 1.0, sigma2, b_c, J)
    least = min(b_c, J * b_s)
    best = max(1, J / (sigma2 * least))  # 1 + S
    # off the grid's points the cost differs in the second order only
    assert (
        abs(cost - J / (2 * sigma2 * best) - least / 2 * math.log(best)) < 1e-3
    )
    assert min(in_c, in_s) == 0 and (in_c + in_s > 0) == (best > 1.02)
    assert in_s == 0 or b_c > J * b_s
    assert in_c == 0 or b_c < J * b_s

# %%
weights = np.unique(np.append(np.logspace(-1, 1.1, 45), 1.0))
kappas = (1.0, 0.97, 0.9)
leak = {
    kappa: np.array([split_of_a_pixel(b, kappa) for b in weights])
    for kappa in kappas
}
tips = {
    kappa: weights[(found[:, 1] > found[:, 2]).argmax()]
    for kappa, found in leak.items()
}

# %%
_, axes = plt.subplots(1, 3, figsize=(7, 2.7), sharey=True)
for axis, kappa in zip(axes, kappas, strict=True):
    found = leak[kappa]
    axis.fill_between(
        weights, 0, found[:, 1], color="#0173b2", alpha=0.75,
        label="content part",
    )  # fmt: skip
    axis.fill_between(
        weights, found[:, 1], found[:, 1:].sum(1), color="#d55e00", alpha=0.75,
        label="style part",
    )  # fmt: skip
    axis.axvline(1, color="k", lw=1, ls=":")
    axis.set(xscale="log", xlabel=r"$\beta_s$", title=f"$\\kappa$ = {kappa}")
    axis.set_xticks([0.1, 0.5, 1, 3, 10], ["0.1", "0.5", "1", "3", "10"])
    axis.minorticks_off()
axes[0].set(ylabel="share of the pixel", ylim=(0, 1.02))
axes[0].legend(fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# *Figure 3. Which part explains a pixel whose share κ is content? Shares of its variance at the optimum of (12),
# against the weight of style's KL; what is white, no part explains. Where the style part holds the pixel, a swapped
# picture takes it from the wrong source. Dotted: the true bound, $\beta_s = 1$. Left, both views show the content
# exactly; to the right, less and less.*

# %%
assert 0.45 < tips[1.0] < 0.6, "the proposition's β_c / J"
assert tips[1.0] < tips[0.97] < tips[0.9]
assert leak[0.9][weights == 1.0, 2] > leak[0.9][weights == 1.0, 1]
# (12) from scratch: six numbers, no shortcut, by gradient descent
J, sigma2, beta_c, kappa_, beta_ = 2, 0.01, 1.0, 0.9, 6.0
raw = torch.tensor([1.0, 0.5, -2.0, 0.3, 0.3, -1.0]).double().requires_grad_()
optimiser = torch.optim.LBFGS(
    [raw], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9
)


def raw_cost():
    optimiser.zero_grad()
    U, a, log_a, W, b, log_b = raw  # decoder, encoder and noise of each part
    cost = 0
    for correlation, share in ((1, 1 / J), (kappa_, 1 - 1 / J)):
        left_over = (1 - W * b) ** 2 - 2 * (1 - W * b) * U * a * correlation
        left_over = left_over + (U * a) ** 2
        left_over = left_over + U**2 * log_a.exp() + W**2 * log_b.exp()
        cost = cost + share * J * left_over / (2 * sigma2)
    for square, log_var, price in ((a, log_a, beta_c), (b, log_b, J * beta_)):
        cost = cost + price * 0.5 * (square**2 + log_var.exp() - log_var - 1)
    cost.backward()
    return cost


optimiser.step(raw_cost)
assert abs(raw_cost().item() - split_of_a_pixel(beta_, kappa_)[0]) < 0.05
Markdown(f"""Content moves out of the style code at $\\beta_s$ = {tips[1.0]:.2f} where views show it exactly, at
{tips[0.97]:.1f} for $\\kappa = 0.97$ and at {tips[0.9]:.1f} for $\\kappa = 0.9$ (grid of {len(weights)} weights, σ² =
{sigma2}).""")

# %% [markdown]
# **Leak 1: content into style.** *What lets it:* a style part that is wide enough and cheap enough, and views that show
# the content imperfectly, as crops and noise do. At the true weights the optimum of the bound itself may leak. *What
# stops it:* a narrow style part, which has no room; $\beta_s$ above 1, which squeezes true style as well; views that
# lose less. The package's default is $\beta_s = 6$.
#
# **The opposite, style in $c$.** The swap stops it in a VAE: the other view's content cannot know this view's style. A
# plain $\beta$-VAE, whose last dimensions are only *called* style, has no swap and no reason to split in any way.
#
# ## Derivation for BYOL
#
# By (4), BYOL on two normalised halves is the sum of two BYOLs, if projector and predictor do not mix the halves, and (5)
# turns one of them round. Let $h = [h_c\,;\,h_s]$ be
# the encoder's output, with projectors $g_c$, $g_s$, and $z_c = g_c(h_c)$, $z_s = g_s(h_s)$. A prime marks the slow copy,
# sg the stop-gradient. Content keeps BYOL's loss:
#
# $$ L_\mathrm{content} = 2 - 2\cos\big(q_c(z_c(v_a)),\, \mathrm{sg}\, z_c'(v_p)\big) + \text{the other order}. \tag{13} $$
#
# For style, "repel" can be read literally, or with less:
#
# \begin{align*} \text{R1a:} \quad & 2 + 2\cos\big(q_s(z_s(v_a)),\, \mathrm{sg}\, z_s'(v_p)\big), \tag{14} \\
#    \text{R1b:} \quad & 2 + 2\cos\big(z_s(v_a),\, z_s(v_p)\big). \tag{15} \end{align*}
#
# ```{prf:proposition} A predictor swallows the sign
# :label: pl-sign
#
# Let the class of predictors contain $-q$ with every $q$; a last layer that is linear does that. Then minimising (14)
# over the encoder and $q_s$ is the same problem as minimising BYOL's attracting loss: the minima have equal values, and
# are reached by the same encoders.
# ```
#
# ```{prf:proof}
# $2 + 2\cos(q, t) = 2 - 2\cos(-q, t)$. So (14) at $(\theta, q_s)$ is BYOL's loss at $(\theta, -q_s)$, and
# $q_s \mapsto -q_s$ is one-to-one on the class. The target does not read $q_s$. (BYOL follows gradients and a moving
# target rather than a minimum. But the encoder's gradients at the two points are equal too, and so are the paths.)
# ```
#
# R1a is a second BYOL head in disguise: it learns the same invariances as the content half. The proof is short enough to
# hold to the last bit:

# %%
OPTIONS = {
    "image_shape": train.image_shape, "latent_dim": latent_dim,
    "arch": "mlp-small", "head_hidden": 64, "head_dim": 16, "momentum": 0.97,
    "style_weight": style_weight,
}  # fmt: skip


def byol(term, seed):
    """A partitioned BYOL; the same seed gives the same first weights."""
    return create("partitioned_byol", style_term=term, seed=seed, **OPTIONS)


# %% tags=["theorem:sign"]
views, _ = law(train.images[:32], 2, generator)
literal, plain = byol("repel_predicted", seed), byol("attract", seed)
plain.load_state_dict(literal.state_dict())
with torch.no_grad():
    plain.style.predictor[-1].weight.neg_()
literal.to(device), plain.to(device)
(repel, _), (attract, _) = literal.loss(views), plain.loss(views)
assert torch.equal(repel, attract)
repel.backward()
attract.backward()
for mine, theirs in zip(
    literal.encoder.parameters(), plain.encoder.parameters(), strict=True
):
    assert torch.equal(mine.grad, theirs.grad)

# %% [markdown]
# Without a predictor the two sides are the same function of two views, and that changes everything.
#
# ```{prf:theorem} The floor of repulsion
# :label: pl-floor
#
# Let $u(v)$ be any deterministic code of length 1, and let $v, v'$ be independent draws from *one* law, given the image.
# Then
#
# $$ \mathbb{E}\big[\langle u(v), u(v')\rangle \,\big|\, x\big] = \big\|\,\mathbb{E}[u(v)|x]\,\big\|^2 \ge 0, \tag{16} $$
#
# so (15) is at least 2 on average. It is 2 if and only if the styles of every image average to 0 over its views, and
# then $u$ must depend on $w$.
# ```
#
# ```{prf:proof}
# Given $x$ the two are independent with one mean, so the expectation of the inner product is the inner product of the
# means. It is 0 only for mean 0, and a $u$ of length 1 that does not vary with $w$ has a mean of length 1.
# ```
#
# Three codes of points on the ring, 20 images with 4000 pairs each. The left side of (16) is a mean over pairs, the right
# side an integral over the angle:

# %% tags=["theorem:floor"]
network = nets.mlp([2, 64, 3])
with torch.no_grad():
    for weight in network.parameters():
        weight.copy_(torch.randn(weight.shape, generator=draw))
ring_codes = {
    "random network": lambda v: F.normalize(network(v), dim=-1),
    "the angle": lambda v: F.normalize(v, dim=-1),
    "constant": lambda v: F.normalize(0 * v + 1, dim=-1),
}
radii = torch.linspace(1, 2, 20).repeat_interleave(4000)[:, None]
turns = torch.arange(3600) / 3600 * 2 * math.pi
whole = torch.stack([turns.cos(), turns.sin()], 1)
lengths = {}
for name, u in ring_codes.items():
    with torch.no_grad():
        one, other = (u(on_the_ring(radii)[0]) for _ in range(2))
        mean = u(torch.linspace(1, 2, 20)[:, None, None] * whole).mean(1)
    inner = (one * other).sum(1).view(20, 4000)
    lengths[name] = mean.square().sum(1)
    error = inner.std(1) / 4000**0.5 + 1e-6
    assert ((inner.mean(1) - lengths[name]).abs() < 4.5 * error).all(), name
assert lengths["the angle"].max() < 1e-6 and lengths["constant"].min() > 0.999

# %% [markdown]
# Each word of the theorem can be broken. *Independent:* draws without repetition are not
# (exercise 1). *A code of the view:* batch norm in training lets a code depend on the batch, so small dips below 2 are
# no contradiction. *One law:* what if anchor and positive come from two pipelines, as in BYOL's own recipe, where one
# of the views is nearly always blurred and the other hardly ever?
#
# ```{prf:proposition} Two pipelines have no floor
# :label: pl-pipelines
#
# Let $v$ come from law $A$ and $v'$ from law $B$. Then $\mathbb{E}[\langle u(v), u(v')\rangle|x] = \langle m_A(x),
# m_B(x)\rangle$ with the two means. If the laws can be told apart from a single view, some $u$ reaches $-1$, so that (15)
# is 0; and this $u$ knows nothing but which pipeline made the view.
# ```
#
# ```{prf:proof}
# The first part as before, with two means. For the second, $u = e$ on views of $A$ and $u = -e$ on views of $B$.
# ```

# %% tags=["theorem:pipelines"]
circle_points = F.normalize(randn(2, 4000, 2), dim=-1)
right, left = circle_points, circle_points.clone()
right[..., 0], left[..., 0] = right[..., 0].abs(), -left[..., 0].abs()


def told_apart(v):
    return torch.where(v[..., :1] > 0, 1.0, -1.0) * torch.tensor([0.6, 0.8])


for a, b, expected in [(right, right, 1.0), (right, left, -1.0)]:
    inner = (told_apart(a[0]) * told_apart(b[1])).sum(1)
    assert (inner - expected).abs().max() < 1e-6
a, b = right[0], left[1]  # any other code: the product of two means
inner, m_a, m_b = (a * b).sum(1), a.mean(0), b.mean(0)
assert abs(inner.mean() - m_a @ m_b) < 4.5 * inner.std() / 4000**0.5
assert m_a @ m_b < -0.3

# %% [markdown]
# ### Trained, on digits
#
# Digits painted red, and views of all hues: hue is the style, everything else is content. Three style terms, and
# `style cosine` is what (14) or (15) is about, in training.

# %%
originals = train.images[:8]
hue_views, _ = law(originals, 4, generator)
sheet = torch.cat([originals[:, None].float() / 255, hue_views], 1)
names = ["image", "view 1", "view 2", "view 3", "view 4"]
plots.image_grid(sheet.transpose(0, 1), row_labels=names)

# %% [markdown]
# *Figure 4. Eight training images and views of them.*

# %%
TERMS = {
    "repel_predicted": "R1a: repel, predictor",
    "repel": "R1b: repel, no predictor",
    "none": "R3: no style term",
}
trained, cosine = {}, {}
settings = {
    "batch_size": batch_size, "lr": 2e-3, "device": device, "progress": False,
}  # fmt: skip
for term in TERMS:
    for s in range(seed, seed + seeds):
        method = byol(term, s)
        history = fit(
            method,
            ImageViews(train.images, law),
            steps=steps,
            seed=s,
            **settings,
        )
        trained[term, s] = method
        cosine[term, s] = history["style"] / 2 - 1


# %%
def laws(hue):
    """The laws of anchor and positive: the same hues, but one of them blurs."""
    return Views(hue=hue), Views(hue=hue, blur=(1.5, 1.5))


PIPELINES = {
    "few hues, positives blurred": 0.1,
    "all hues, positives blurred": 0.5,
}


def pairs_of(laws):
    """Views whose anchor is of one law and whose positive is of another."""

    def draw_pair(images, members, generator):
        return torch.cat(
            [each(images, 1, generator)[0] for each in laws], 1
        ), {}

    return draw_pair


cheats = {}
for name, hue in PIPELINES.items():
    cheats[name] = byol("repel", seed)
    history = fit(
        cheats[name], ImageViews(train.images, pairs_of(laws(hue))), steps=steps // 2,
        seed=seed, **settings,
    )  # fmt: skip
    cosine[name, seed] = history["style"] / 2 - 1

# %%
_, axis = plt.subplots(figsize=(7, 3.1))
COLOUR = {
    "repel_predicted": "#d55e00", "repel": "#0173b2",
    "few hues, positives blurred": "0.2", "all hues, positives blurred": "0.6",
}  # fmt: skip
NAMES = TERMS | {name: f"R1b, {name}" for name in PIPELINES}
axis.axhspan(-1, 0, color="k", alpha=0.06, lw=0)
for (term, s), values in cosine.items():
    if term in COLOUR:
        axis.plot(
            values.rolling(10, min_periods=1).mean(), color=COLOUR[term], lw=1.4,
            ls="--" if term in PIPELINES else "-",
            label=NAMES[term] if s == seed else None,
        )  # fmt: skip
axis.text(steps, -0.3, "below the floor", ha="right", size=9)
axis.set(xlabel="step", ylabel="style cosine", ylim=(-1.03, 1.0))
axis.legend(fontsize=8.5, loc="upper right")
plt.show()

# %% [markdown]
# *Figure 5. The mean cosine between the styles of two views in training (running mean over 10 steps, a line a seed).
# Grey ground: where no deterministic code of independent views from one law can be on average.*


# %%
def questions(split, draw_seed):
    """Views, classes, and hue as a point on the circle."""
    g = torch.Generator(device).manual_seed(draw_seed)
    v, parameters = law(split.images, 2, g)
    hue = circular(style(parameters), "hue").values()
    hue = torch.stack([each.flatten() for each in hue], 1)
    return v.flatten(0, 1), split.labels.repeat_interleave(2), hue


def four_parts(method, v):
    """Both halves of the code and of the projections."""
    h_c, h_s = method.parts(method.encode(v))
    z_c, z_s = method.project_parts(v)
    return {"h_c": h_c, "h_s": h_s, "z_c": z_c, "z_s": z_s}


asked, asked_test = questions(train, 1000), questions(test, 1001)
ask = {"penalties": (1e-2, 1e-3), "tol": 1e-3}
everyone = trained | {
    ("untrained", s): byol("repel", s).to(device)
    for s in range(seed, seed + seeds)
}
rows = []
for (term, s), method in everyone.items():
    known, known_test = (four_parts(method, q[0]) for q in (asked, asked_test))
    for part, code in known.items():
        new = known_test[part]
        found = probes.linear(code, asked[1], new, asked_test[1], **ask)
        hue = probes.ridge(code, asked[2], new, asked_test[2])
        rows.append({
            "style term": term, "seed": s, "part": part,
            "class": found.score, "hue": hue.score,
        })  # fmt: skip
halves = pd.DataFrame(rows)

# %%
mdlib.record(out, halves)
means = halves.groupby(["style term", "part"])[["class", "hue"]].mean()
wide = means.unstack("part").loc[
    ["untrained", "none", "repel_predicted", "repel"]
]
_, axes = plt.subplots(1, 2, figsize=(7, 2.7), sharey=True)
labels = {
    "untrained": "untrained",
    **{t: n.split(":")[0] for t, n in TERMS.items()},
}
for axis, what, unit in zip(
    axes, ("class", "hue"), ("accuracy", "$R^2$"), strict=True
):
    shown = wide[what].clip(lower=0).rename(index=labels)
    sns.heatmap(
        shown.rename(columns=lambda p: f"${p}$"), ax=axis, vmin=0, vmax=1,
        annot=True, fmt=".2f", cmap="viridis", cbar_kws={"label": unit},
    )  # fmt: skip
    axis.set(title=what, xlabel="", ylabel="")
plt.show()
Markdown(f"""*Figure 6. What a linear reader finds of class (accuracy) and hue ($R^2$) in the content half and the style
half, at the encoder ($h$) and after the projector ($z$): fresh views of test images of {test.title}, mean over {seeds}
seeds.*""")

# %%
last = {
    term: np.mean([
        values.iloc[-20:].mean() for (t, _), values in cosine.items() if t == term
    ])
    for term in ("repel_predicted", "repel", *PIPELINES)
}  # fmt: skip
few, many = PIPELINES
one, other = laws(PIPELINES[few])
fresh = []
with torch.no_grad():
    for both in ((one, one), (one, other)):
        g = torch.Generator(device).manual_seed(7)
        v, _ = pairs_of(both)(test.images, 2, g)
        u = [cheats[few].project_parts(view)[1] for view in v.unbind(1)]
        fresh.append(repulsion(*u).mean().item())
m, hue = means["class"], means["hue"]
checked = dataset == "digits" and steps >= 300 and latent_dim == 32
if checked:
    assert last["repel_predicted"] < -0.5, last
    assert -0.15 < last["repel"] < 0.3, last
    assert last[few] < -0.6 and fresh[0] > 3 and fresh[1] < 1.5, fresh
    assert m["repel_predicted", "h_c"] - m["repel_predicted", "h_s"] < 0.2, m
    assert m["repel", "h_c"] - m["repel", "h_s"] > 0.25, m
    assert m["repel", "z_s"] < m["repel_predicted", "z_s"] - 0.3, m
    assert m["repel", "h_s"] < m["none", "h_s"] - 0.1, m
    assert m["repel", "z_s"] < m["untrained", "z_s"] - 0.05, m
    assert hue["repel", "z_s"] > hue["repel_predicted", "z_s"] + 0.3, hue
    at = hue.unstack("part")
    assert (at["h_c"] > 0.5).all(), "invariance stops at the projector"
    assert (at["h_c"] > at["z_c"]).drop("untrained").all(), at
Markdown(f"""On {train.title}, {len(train)} images, {seeds} seeds: at the end the style cosine is
{last["repel_predicted"]:+.2f} with a predictor and {last["repel"]:+.2f} without. The style half $h_s$ knows the class
with accuracy {m["repel_predicted", "h_s"]:.2f} against {m["repel", "h_s"]:.2f} (content half:
{m["repel_predicted", "h_c"]:.2f} and {m["repel", "h_c"]:.2f}). With blurred positives the cosine ends at
{last[few]:+.2f} where hues vary little, and at {last[many]:+.2f} where they vary fully. In the first case (15) is
{fresh[1]:.2f} on fresh test pairs of sharp and blurred, and {fresh[0]:.2f} on pairs of one law, whose styles have
become nearly the same.""")

# %% [markdown]
# - **R1a repels nothing.** Its cosine goes where no encoder could take it, which only the predictor's sign explains. Both
#   projections learn the class and lose most of the hue.
# - **R1b repels.** It settles at the floor, and its style half keeps the hue and knows far less of the class.
# - **Mind the controls.** Without any style term, a slice of the code knows much of the class, for all layers below it
#   were trained on content. R1b's $h_s$ is far below that, but only about where the *untrained* slice is. Only its
#   projection $z_s$ falls below what nobody trained.
# - **Content at $h_c$ knows the hue, in every row** (asserted). The content term acts after the projector. We return to
#   this.
# - **Two pipelines can take repel through the floor,** and then two views of one law get the *same* style. Can, not must:
#   where all hues are drawn, this training came to the floor by way of the hue and stayed there. A better solution that
#   exists is not one that is found. Use one law for both views wherever a style term is on, and you need not hope.
# - **Separation has its price, at this budget.** With R1b the content half itself knows less of the class than with R1a.
#
# ## What each term can see
#
# That R1b's style half knows *little* of the class, did anything demand it? To find out, leave training aside. Take a
# world so small that everything can be counted: $C = 4$ contents and $K = 6$ hues, all 24 pictures equally likely. Write
# codes for it **by hand**, one as intended and nine with a known fault, and evaluate every term exactly.


# %% tags=["setup"]
C, K = 4, 6
content_of, hue_of = torch.meshgrid(
    torch.arange(C), torch.arange(K), indexing="ij"
)


def circle(turns):
    return torch.stack(
        [(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()], -1
    )


def tensor(a, b):
    """All products of an entry of a and one of b."""
    return (a[..., :, None] * b[..., None, :]).flatten(-2)


one_hot = F.one_hot(content_of, C).double()
wheel = circle(hue_of.double() / K)
constant = torch.ones(C, K, 1).double()
bit = torch.where(hue_of < K // 2, 1.0, -1.0).double()[..., None]
parity = torch.where(hue_of % 2 == 0, 1.0, -1.0).double()[..., None]
thirds = F.one_hot(hue_of // 2, K // 2).double()
all_of_it = tensor(one_hot, wheel)
hand_made = {  # name: content part, style part, of each picture
    "as intended": (one_hot, wheel),
    "content constant": (constant, wheel),
    "style constant": (one_hot, constant),
    "style is one bit": (one_hot, bit),
    "style knows all": (one_hot, all_of_it),
    "content knows hue": (all_of_it, wheel),
    "content all, style constant": (all_of_it, constant),
    "content all, style a bit": (all_of_it, bit),
    "hue shared by both": (tensor(one_hot, thirds), parity),
    "twisted": (one_hot, circle((hue_of + content_of).double() / K)),
}

# %% [markdown]
# The *twisted* code writes the hue as a point on the circle, but each content turns the circle by an angle of its own.
# The terms, with $w$ the hue: cosines as in BYOL, entropies in nats. (10) becomes a description length, the nats that
# the best possible decoder and priors need for a pair. There is *one* decoder, and nobody tells it whether it is handed
# its view's own content or the other view's. So it pays for the even mixture of both: with $\tilde c = c_a$ or $c_p$ by
# the toss of a coin,
#
# $$ H(c) + 2\, H(s) + 2\, H(v_a|\tilde c, s_a) \;\ge\; H(c) + 2\, H(s) + H(v_a|c_a, s_a) + H(v_a|c_p, s_a). \tag{17} $$
#
# Entropy is concave, so the right side, which two decoders would pay, is less unless own and swapped contents leave the
# same law of pictures.


# %%
def names(*codes):
    """Numbers 0, 1, … that tell apart rows of codes [C, K, …], as [C, K]."""
    flat = torch.cat([c.reshape(C * K, -1).double() for c in codes], 1)
    return (
        flat.mul(1e6).round().unique(dim=0, return_inverse=True)[1].view(C, K)
    )


def entropy(*variables, p=None):
    """H of variables [...] that take the weights p [...], in nats."""
    rows = torch.stack([v.flatten() for v in variables], 1)
    which = rows.unique(dim=0, return_inverse=True)[1]
    p = (
        torch.ones(len(which)).double() / len(which)
        if p is None
        else p.flatten()
    )
    mass = torch.zeros(which.max() + 1).double().index_add(0, which, p.double())
    return -torch.xlogy(mass, mass).sum().item()


def pair_of(values):
    """For all (content, w_a, w_p): what `values` [C, K] says of each view."""
    return values[:, :, None].expand(C, K, K), values[:, None].expand(C, K, K)


def mean_cosine(part):
    unit = F.normalize(part, dim=-1)
    return (unit @ unit.transpose(1, 2)).mean().item()


# %%
def terms(content, style):
    """Every term at a code [C, K, …] of all pictures."""
    c, s, picture = names(content), names(style), content_of * K + hue_of
    (c_a, c_p), (s_a, s_p), (x_a, _) = map(pair_of, (c, s, picture))
    w_a, w_p = pair_of(hue_of)
    swap = entropy(x_a, c_p, s_a) - entropy(c_p, s_a)
    own = entropy(picture, c, s) - entropy(c, s)
    # what one decoder is given, and has to draw: (a, own), then (a, swapped)
    x, given = torch.stack([x_a, x_a]), torch.stack([s_a, s_a])
    either = torch.stack([c_a, c_p])
    decoder = entropy(x, either, given) - entropy(either, given)
    unit = F.normalize(style, dim=-1).transpose(0, 1)  # [K, C, …]
    across = (unit @ unit.transpose(1, 2)).sum() - C * K
    turn = (w_a - w_p) % K
    return {
        "attract c": 2 - 2 * mean_cosine(content),
        "repel s": 2 + 2 * mean_cosine(style),
        "orthogonal s": abs(mean_cosine(style)),
        "swap": swap,
        "pair (17)": entropy(c) + 2 * entropy(s) + 2 * decoder,
        "two decoders": entropy(c) + 2 * entropy(s) + own + swap,
        "differences": entropy(turn, s_a, s_p) - entropy(s_a, s_p),
        "shared style": (2 - 2 * across / (K * C * (C - 1))).item(),
    }


# %%
def swaps_right(content, style):
    """Content of A, style of B: how often is it A's content in B's hue?"""
    c, s = names(content).flatten(), names(style).flatten()
    fits = (c[:, None, None] == c) & (s[:, None] == s)  # [A, B, picture]
    wanted = content_of.flatten()[:, None] * K + hue_of.flatten()
    right = fits.gather(2, wanted[..., None])[..., 0] / fits.sum(2).clamp(min=1)
    return right.mean().item()


def truths(content, style):
    c, s = names(content), names(style)

    def information(a, b):
        return entropy(a) + entropy(b) - entropy(a, b)

    return {
        "I(c; hue)": information(c, hue_of),
        "I(s; content)": information(s, content_of),
        "swaps right": swaps_right(content, style),
    }


# %% tags=["theorem:terms"]
seen = pd.DataFrame({n: terms(*code) for n, code in hand_made.items()}).T
two_decoders = seen.pop("two decoders")
true = pd.DataFrame({n: truths(*code) for n, code in hand_made.items()}).T
judged = (seen - seen.loc["as intended"]).round(9).map(np.sign)
blind = judged == 0
assert (judged >= 0).all(axis=None)
assert blind.loc["content constant", "attract c"]
# (17): what the two rows cost by hand
style_in_content = "content all, style constant"
mixed = torch.tensor([7, 1, 1, 1, 1, 1]).double() / 12
price = math.log(C * K) - 2 * torch.xlogy(mixed, mixed).sum().item()
assert abs(seen.loc[style_in_content, "pair (17)"] - price) < 1e-9
gap = seen["pair (17)"] - seen.loc["as intended", "pair (17)"]
assert abs(gap["style knows all"] - 2 * math.log(C)) < 1e-9
overlooked = {"as intended", "style constant", "style is one bit", "twisted"}
assert set(gap[gap.abs() < 1e-9].index) == overlooked
assert (seen["pair (17)"] > two_decoders - 1e-9).all()
fooled = two_decoders.sub(two_decoders["as intended"]).abs() < 1e-9
assert set(fooled[fooled].index) - overlooked == {
    style_in_content, "hue shared by both",
}  # fmt: skip
# the propositions below
assert blind.loc[["style is one bit", "style knows all", "twisted"],
                 ["repel s", "orthogonal s"]].all(axis=None)  # fmt: skip
assert blind.loc["style knows all", "swap"]
assert not blind.loc["style constant", ["repel s", "orthogonal s"]].any()
twist = blind.loc["twisted"]
assert twist.drop("shared style").all() and not twist["shared style"]
assert true.loc["twisted", "I(s; content)"] < 1e-9
assert true.loc["twisted", "swaps right"] < 0.5
seen_only = blind.drop(columns="shared style")
assert not seen_only.drop(["twisted", "as intended"]).all(axis=1).any()

# %%
table = seen.join(true)
grey = pd.DataFrame(np.nan, index=true.index, columns=true.columns)
verdict = judged.join(grey)
_, axis = plt.subplots(figsize=(7, 4.2))
sns.heatmap(
    verdict, ax=axis, cmap=["#e4e4e4", "#7fb2d9"], vmin=0, vmax=1,
    cbar=False, annot=(table.abs() * (table.abs() > 1e-9)), fmt=".2f",
    linewidths=1.5, annot_kws={"size": 8, "color": "k"},
)  # fmt: skip
for i, row in enumerate(true.to_numpy()):  # seaborn leaves the last three bare
    for j, value in enumerate(row):
        at = (seen.shape[1] + j + 0.5, i + 0.5)
        axis.text(*at, f"{abs(value):.2f}", ha="center", va="center", size=8)
axis.axvline(seen.shape[1], color="k", lw=1.5)
axis.xaxis.tick_top()
axis.tick_params(length=0, labelsize=8)
axis.set_xticks(
    axis.get_xticks(), axis.get_xticklabels(), rotation=35, ha="left"
)
axis.grid(False)
plt.show()

# %% [markdown]
# *Figure 7. Hand-made codes (rows) and what each term makes of them. Grey: the term cannot tell the code from the
# intended one. Blue: it sees the fault, its value is higher. (None likes a fault better.) To the right of the line, what
# no loss computes: what the content part knows of the hue and the style part of the content (nats), and how often a
# swap gives the right picture. Columns from "swap" to "differences" are in nats, the others have no unit.*
#
# One decoder matters. Two decoders, one for own and one for swapped contents, would take the content that knows all for
# as good as the intended one; the single decoder cannot trust it, and (17) sees that.
#
# ```{prf:proposition} What the style terms cannot see
# :label: pl-blind
#
# (a) *Repel* (15) is at its floor for every code with $\mathbb{E}[u|x] = 0$: among them one bit of $w$, $u = \pm e$ with
# equal probability, and codes that hold the whole content, $u = R(x)\, e(w)$ with any orthogonal $R(x)$ and
# $\mathbb{E}[e(w)] = 0$. (b) The same codes make the *orthogonal* term 0. (c) *Swap* is perfect for a style that knows
# all, whatever content does.
# ```
#
# ```{prf:proof}
# (a) $\mathbb{E}[R(x)\, e(w)|x] = R(x)\, \mathbb{E}[e(w)] = 0$, and (16). (b) The mean of a cosine whose mean is 0 given
# every $x$ is 0. (c) $v_a$ is a function of $s_a$.
# ```
#
# So the answer to the question above is: **nothing demanded it.** Repel asks that style depends on $w$, not that it
# depends on nothing else. R1b's style half knew little of the class because nobody paid for the class, and a small
# network that is busy with the hue lets it go. That is a habit of training, not a property of the loss.
#
# And the two rows that (17) does not tell from the intended code are a VAE's *posterior collapse*: with a decoder that can
# draw any distribution of pictures, an unused style costs nothing, because the nats saved in the code are those spent in
# the picture. Decoders of independent pixels cannot do that, so there reconstruction needs the style; repel forces it to
# be used.
#
# | fault | who likes it or overlooks it | what stops it |
# |---|---|---|
# | content constant | attract, and all that read only style | negatives, variance, predictor with stop-gradient; swap, (17) |
# | style constant | attract, shared; (17): what style does not say, a good decoder's noise says | repel, orthogonal, swap, differences |
# | style one bit | attract, repel, orthogonal, shared, (17) | swap, differences |
# | content in style | attract, repel, orthogonal, swap, differences | its price in (17), $\beta_s$, width; shared |
# | style in content | all that read only style; swap | attract, *where it acts*; its price in (17) |
# | twisted style | all but shared | shared style between images |
#
# ```{prf:proposition} Leak 2: style stays in the content code
# :label: pl-projector
#
# Let the content loss act after a projector, $L(g_c(h_c))$. If $g_c$ does not depend on some directions of $h_c$, then
# $L$ does not depend on what the encoder writes there: it may be all of $w$.
# ```
#
# ```{prf:proof}
# $L$ sees $h_c$ through $g_c$ only.
# ```
#
# Figure 6 shows it: hue can be read from $h_c$ under every style term, and less well from $z_c$. **What stops it:**
# nothing in BYOL. So say at which level you claim that content knows no style, and measure at both. A VAE has no
# projector: there the swap acts on the code itself.
#
# ## Where the split fails at the optimum
#
# The last row of the figure was no accident of a small world.
#
# ```{prf:theorem} Twisted styles
# :label: pl-twist
#
# Let $(c, s)$ be a perfect code: pictures are $x = D(c, s)$, and given $c$ the style has a law $P_s$. For every content
# let $R_c$ be an invertible map that preserves $P_s$, and let $\tilde s = R_c(s)$ and $\tilde D(c, \tilde s) =
# D(c, R_c^{-1}(\tilde s))$.
#
# 1. The code $(c, \tilde s)$ with the decoder $\tilde D$ gives each picture, and each swap *between views of one image*,
#    just as $(c, s)$ does. Its prior is the same, and $\tilde s$ is independent of $c$ where $s$ is. So the laws of
#    pairs and (17) are equal; and so is (10) at the optimum over all encoders $q(c|v)\, q(s|v)$, or if codes have no
#    noise. Within a family of encoders it is equal if $R_c$ keeps the family.
# 2. If all $R_c$ are orthogonal, the cosines between the styles of two views of an image are equal, and with them (15)
#    and the orthogonal term.
# 3. A swap between two *images* gives $D(c_A, R_{c_A}^{-1} R_{c_B}(s_B))$, which is right only where $R_{c_A} = R_{c_B}$.
# ```
#
# ```{prf:proof}
# 1. $\tilde D(c, R_c(s)) = D(c, s)$, and views of an image share $c$, so their swaps use one $R_c$. $R_c$ preserves $P_s$
# for each $c$. 2. $\langle R_c u, R_c u'\rangle = \langle u, u'\rangle$. 3. Insert.
# ```
#
# The last clause of 1 is no formality: a VAE's $q$ has a diagonal covariance, and where the true posterior of $s$ is
# stretched along its axes, a turned style costs more. This is how VAEs come by axes at all. Hue, on a circle, has none.
#
# Hue is uniform on a circle, and turning the circle preserves that. So here is the same theorem in colours, with a code
# that nobody needs to train: content is the image itself, style is its hue, straight or turned by an angle for each
# class.

# %%
classes = train.labels.cpu()
first = [int((classes == k).nonzero()[0]) for k in range(10)]
palette = torch.arange(10) / 10 - 0.5
twist_of = torch.arange(10) * 0.3  # turns, for each class


def paint(images, hue):
    """Images [N, C, H, W] (red), each in its hue [N]."""
    turned = (hue + 0.5) % 1 - 0.5
    return apply(images.cpu(), {"hue": turned.view(-1, 1, 1).float()})[:, 0]


sources = train.images[first[5:] + first[:5]]
source_class = torch.tensor([5, 6, 7, 8, 9, 0, 1, 2, 3, 4])
sheet, row_names = [paint(sources, palette)], ["style source"]
for kind in ("straight", "twisted"):
    turn = twist_of if kind == "twisted" else torch.zeros(10)
    code = palette + turn[source_class]  # the style code of each source
    for k in (0, 3, 8):
        images = train.images[first[k]].expand(10, -1, -1, -1)
        sheet.append(paint(images, code - turn[k]))
        row_names.append(f"{kind}, content {k}")
plots.image_grid(torch.stack(sheet), row_labels=row_names)

# %% [markdown]
# *Figure 8. Content of a row, style of the picture at the top of its column. Straight codes: a column has one hue.
# Twisted codes: it doesn't. Within each class both rebuild and swap every picture perfectly.*

# %% [markdown]
# Now all pairs of ten digits in 24 hues. The encoder reads pixels; content $c$ is the digit it sees, and style is the hue
# that it sees, straight, or moved by a map of the content. Two maps: turns, and a scramble that keeps the law but is no
# rotation.


# %%
def see(views):
    """Digit and hue of views [N, C, H, W]: those of the nearest picture."""
    nearest = torch.cdist(views.flatten(1), pictures.flatten(1)).argmin(1)
    return content[nearest], hue[nearest]


# %% tags=["theorem:twist"]
STEPS, TURNS = 24, torch.arange(10) * 7 % 24  # all different
pictures = paint(
    train.images[:10].repeat_interleave(STEPS, 0),
    (torch.arange(STEPS) / STEPS).repeat(10),
)
content, hue = torch.arange(10).repeat_interleave(STEPS), torch.arange(STEPS)
hue = hue.repeat(10)


maps = {  # R_c, and back; 5 · 5 = 25 = 1 modulo 24
    "straight": (lambda c, s: s, lambda c, s: s),
    "turned": (lambda c, s: s + TURNS[c], lambda c, s: s - TURNS[c]),
    "scrambled": (
        lambda c, s: 5 * s + TURNS[c],
        lambda c, s: 5 * (s - TURNS[c]),
    ),
}
c_of, hue_seen = see(pictures)
blue, red = torch.meshgrid(*2 * [torch.arange(len(content))], indexing="ij")
same = content[blue] == content[red]  # views of one digit
wanted = pictures.view(10, STEPS, -1)[content[red], hue[blue]]
cosines, right = {}, {}
for name, (R, back) in maps.items():
    s = R(c_of, hue_seen) % STEPS
    for k in range(10):  # 1: the law of the style, given each content
        assert (s[c_of == k].bincount(minlength=STEPS) == 1).all()
    swapped = (
        back(c_of[red], s[blue]) % STEPS
    )  # content of one, style of the other
    drawn = pictures.view(10, STEPS, -1)[c_of[red], swapped]
    right[name] = (drawn == wanted).all(-1)
    assert right[name][same].all(), "1: swaps within an image"
    u = circle(s.double() / STEPS)
    cosines[name] = repulsion(u[blue], u[red])[same]
torch.testing.assert_close(cosines["turned"], cosines["straight"])  # 2
assert (cosines["scrambled"] - cosines["straight"]).abs().max() > 1
assert right["straight"].all()
torch.testing.assert_close(right["turned"], same)  # 3: only where R is one

# %% tags=["theorem:family"]
# the clause of 1: decoder of lengths 1 and 0.3, noise of variance 0.3
precision = torch.diag(1 + torch.tensor([1, 0.3**2]).double() / 0.3)
quarter = torch.tensor([[1, -1], [1, 1]]).double() / 2**0.5
loss_of_q = [
    (P.diagonal().log().sum() - P.logdet()).item() / 2
    for P in (precision, quarter @ precision @ quarter.T)
]
assert loss_of_q[0] == 0 and abs(loss_of_q[1] - 0.171) < 0.001

# %%
Markdown(f"""Swaps between images are right for {right["turned"].double().mean():.0%} of the pairs with turned styles.
A linear style with decoder of lengths 1 and 0.3 and noise of variance 0.3, turned by 45°, costs a diagonal $q$
{loss_of_q[1]:.3f} nats a view, and unturned none.""")

# %% [markdown]
# No term that looks at one image at a time can see this, and a probe for the class in the style half finds nothing.
# Worse, "differences" (AugSelf's idea on the style half) does not see it either: an angle that belongs to the class
# cancels in a difference. Only a term that compares *different images made with one style* does (R5).
#
# The second failure needs no twist, only a correlation. Let the hue of an image depend on what it shows: lemons are
# rarely blue.
#
# ```{prf:proposition} What content predicts, content gets
# :label: pl-dependence
#
# Let $w$ depend on the content $y$, with all discrete. A deterministic style $s$ from which, together with $y$, the hue
# $w$ can be told has $H(s) = H(w|y) + I(s; y)$. So the cheapest is independent of $y$, if there is one, and $s = w$
# costs $I(y; w)$ nats more than that, in (17) in every view.
# ```
#
# ```{prf:proof}
# Given $y$, $s$ is a function of $w$ and $w$ one of $s$. So $H(s|y) = H(w|y)$, and $H(s) = H(s|y) + I(s; y)$.
# ```
#
# So where an independent style exists, the loss *prefers* the part of style that content does not predict, and it
# assigns the predictable part to content. In our world, let content $y$ take only the hues $y, y+1, y+2$, with
# weights ½, ¼, ¼:

# %% tags=["theorem:dependence"]
likely = torch.tensor([0.5, 0.25, 0.25, 0, 0, 0]).double()
p = torch.stack([likely.roll(y) for y in range(C)]) / C  # p(y, w)
step_ = (hue_of - content_of) % K  # how far the hue is from its content's own
cost = {}
for name, s in {"s = w": hue_of, "s = w − y": step_}.items():
    about = entropy(s, p=p) + entropy(content_of, p=p)
    cost[name] = {
        "H(s)": entropy(s, p=p),
        "pair (17)": entropy(content_of, p=p) + 2 * entropy(s, p=p),
        "I(s; content)": about - entropy(s, content_of, p=p),
    }
cost = pd.DataFrame(cost).T
known = entropy(hue_of, p=p) + entropy(content_of, p=p)
known -= entropy(hue_of, content_of, p=p)  # I(y; w)
saved = cost["pair (17)"].diff().iloc[-1]
assert abs(saved + 2 * known) < 1e-9 and known > 0.3
assert cost.loc["s = w − y", "I(s; content)"] < 1e-9
given_y = entropy(hue_of, content_of, p=p) - entropy(content_of, p=p)
for _ in range(50):  # other names of the hues, for each content
    s = torch.rand(C, K, generator=draw).argsort(1)
    about = entropy(s, p=p) + entropy(content_of, p=p)
    about -= entropy(s, content_of, p=p)
    assert abs(entropy(s, p=p) - given_y - about) < 1e-9
cost.round(3)

# %% [markdown]
# *Table 3. Two styles that, with the content, tell every picture exactly. Nats.*
#
# Whether that is a failure depends on what one calls style. [Von Kügelgen et al.
# (2021)](https://arxiv.org/abs/2106.04619) allow style to depend on content, and prove that what views share can be
# found, up to an invertible map, under conditions on how styles change, and by losses that align *and* keep entropy.
# This is **block identifiability**, and it is a statement about the content block. Of the style block it says nothing,
# and {prf:ref}`pl-twist` shows that with pairs whose whole style is redrawn there is nothing to say. Pairs that differ in
# *some* coordinates of style do identify it ([Locatello et al. 2020](https://arxiv.org/abs/2002.02886)), as do heads that
# are each invariant to all augmentations but one ([Eastwood et al. 2023](https://arxiv.org/abs/2311.08815)).
#
# Where the theorem matters, use InfoNCE on the content half, whose uniformity is an entropy in the limit of many
# negatives. BYOL has no entropy term, and **neither has VICReg**: variance and covariance are satisfied by a few bits.

# %% tags=["theorem:bits"]
content = randn(20_000, 3)  # continuous
c = 1.001 * content.sign()  # what VICReg may make of it: three bits
injective = 1.001 * content  # and what an entropy would ask for
kinds = {"three bits": c, "injective": injective}
vicreg_of = {
    name: (losses.variance_hinge(z) + losses.covariance_penalty(z)).item()
    for name, z in kinds.items()
}
# invariance is 0 for both; a covariance of independent signs errs by N^(−1/2)
assert vicreg_of["three bits"] < 25 / 20_000 and len(c.unique(dim=0)) == 8
batch = {name: F.normalize(z[:512, None].expand(-1, 2, -1), dim=2)
         for name, z in kinds.items()}  # fmt: skip
infonce_of = {k: losses.info_nce(u, 0.05).item() for k, u in batch.items()}
assert infonce_of["three bits"] > math.log(512 / 8) - 0.1
assert infonce_of["injective"] < infonce_of["three bits"] - 0.5
pd.DataFrame({"VICReg": vicreg_of, "InfoNCE, τ = 0.05": infonce_of}).round(3)

# %% [markdown]
# *Table 4. Losses of two codes of a continuous content that both views share exactly.*
#
# ## A map of relatives
#
# | who | what views share | what style is asked | what it needs beside pairs | here |
# |---|---|---|---|---|
# | [ML-VAE](https://arxiv.org/abs/1705.08841) | content, product of posteriors | rebuild, KL | groups (of a class, there) | `ml_vae` |
# | [GVAE](https://arxiv.org/abs/1809.02383) | content, mean of posteriors | rebuild, KL, few dimensions | groups | `gvae` |
# | [Swap-VAE](https://arxiv.org/abs/2111.02338) | content as a point: swap, and attract | rebuild, KL | nothing | `swap_vae` |
# | our (10) | content, mixture of posteriors: swap | rebuild, KL | nothing | `partitioned_vae` |
# | our (13), (15) | BYOL on the content half | repel | one law for both views | `partitioned_byol` |
# | [DDCL](https://arxiv.org/abs/2303.05066) | SimSiam on the content half | be orthogonal, with a predictor | nothing | `ddcl` |
# | [LooC](https://arxiv.org/abs/2008.05659) | one head for all augmentations | a head for each augmentation, invariant to the others | views that share one augmentation | – (`shared_contrast` is nearest) |
# | [AugSelf](https://arxiv.org/abs/2111.09613) | BYOL, or another, on the whole code | tell how parameters differ | the parameters | `augself`, and `augmentation` on a style half |
# | [von Kügelgen et al.](https://arxiv.org/abs/2106.04619) | align, and keep entropy | nothing: no style part | style that changes enough | `infonce` on a content half |
# | [Locatello et al.](https://arxiv.org/abs/2002.02886) | what the pair did not change | rebuild, KL | pairs that change few coordinates | – |
# | [Eastwood et al.](https://arxiv.org/abs/2311.08815) | a space invariant to all | spaces invariant to all augmentations but one | views that share augmentations | – |
#
# Read it by its fourth column. The less a method is told, the less its style half can be held to: with such pairs alone, to
# nothing beyond {prf:ref}`pl-twist`; with parameters, to differences; with shared styles, to the style itself.
#
# ## What this does not show
#
# - **What Lee & Choi did.** We know their abstract. R1b and (10) are our readings, and another may be theirs.
# - **That a split code is better for anything.** We asked where content and style go. Whether few-shot learning gains is
#   an experiment, and it needs BYOL with two attracting heads as a control, by {prf:ref}`pl-sign`.
# - **That R1b separates on real augmentations.** Hue is one number that shows everywhere in the picture. Crops change
#   what is there to be seen.
# - **That leaks happen where Figure 3 says.** It is one Gaussian pixel at the optimum. Training may stop elsewhere, and
#   does; a network's path matters as much as the price.
# - **Identifiability in general.** {prf:ref}`pl-twist` gives one family of wrong answers. There may be more.
#
# ## Exercises
#
# **1 (easy).** The views of an image are $J$ *different* ones of a fixed set of $J$, all of them in turn, and the mean
# cosine runs over pairs of different views. How low can (15) go? Write `floor(J)`, and `lowest(J)`: a matrix of $J$ unit
# styles that reaches it.


# %% tags=["solution", "hide-input"]
def floor(J):
    # the sum of all J² inner products is a square ≥ 0, and J of them are 1
    return 2 - 2 / (J - 1)


def lowest(J):
    corners = torch.eye(J).double() - 1 / J  # of a simplex around 0
    return F.normalize(corners, dim=1)


# %% tags=["check"]
for J_ in (2, 3, 8):
    u = lowest(J_)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(J_).double())
    off = (u @ u.T)[~torch.eye(J_, dtype=torch.bool)]
    assert abs(2 + 2 * off.mean().item() - floor(J_)) < 1e-9
    cloud = F.normalize(randn(5000, J_, 3), dim=2)
    inner = cloud @ cloud.transpose(1, 2)
    mean_off = (inner.sum((1, 2)) - J_) / (J_ * (J_ - 1))
    assert (2 + 2 * mean_off).min() >= floor(J_) - 1e-9

# %% [markdown]
# **2 (medium).** Decoding twice is dear. Show that an alignment of the two content posteriors can stand in for the swap:
# if $\log p(v_a|c, s)$ varies over a range of at most $M$ as $c$ varies, then $|\mathrm{swap}(a) - \mathrm{self}(a)| \le M
# \sqrt{\mathrm{KL}(q_a\|q_p)/2}$. (Pinsker: total variation is at most $\sqrt{\mathrm{KL}/2}$.) Write `allowance(M,
# mu_a, mu_p, var)` for one-dimensional Gaussians with one variance.


# %% tags=["solution", "hide-input"]
def allowance(M, mu_a, mu_p, var):
    # |E_p f − E_q f| ≤ (max f − min f) · total variation
    kl = (mu_a - mu_p) ** 2 / (2 * var)
    return M * (kl / 2) ** 0.5


# %% tags=["check"]
def log_likelihood(c):  # some function of c with values within a range of 3
    return 3 / (1 + torch.exp(-4 * c)) - 2


tightest = []
for mu_a, mu_p, var in [(0.1, -0.2, 0.5), (0.5, -0.5, 1.0), (2.0, -1.0, 0.3)]:
    self_, swap_ = (
        torch.trapezoid(
            torch.distributions.Normal(mu, var**0.5).log_prob(grid).exp()
            * log_likelihood(grid), grid,
        )
        for mu in (mu_a, mu_p)
    )  # fmt: skip
    tightest.append(abs(swap_ - self_) / allowance(3, mu_a, mu_p, var))
assert all(ratio <= 1 for ratio in tightest)
assert max(tightest) > 0.5, "an allowance that is far too generous"

# %% [markdown]
# **3 (a research question).** {prf:ref}`pl-sign` needs $-q$ to be a predictor. Forbid it: let the style predictor be
# $q(z) = A A^\top z$, a matrix without negative eigenvalues (DirectPred's is another one). Write it as a module
# `Positive(dim)`, put it in the place of R1a's predictor, and train. Does the style half now separate? Then: for unit
# vectors and a target that has caught up, $\mathbb{E}[\langle A A^\top u, u' \rangle | x] \ge 0$ still holds; the cosine
# divides by the length of $A A^\top u$. How far below 0 can that take it, and does training find the way?


# %% tags=["solution", "hide-input"]
class Positive(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.root = nn.Parameter(torch.eye(dim))

    def forward(self, z):
        return z @ self.root @ self.root.T


# %% tags=["check"]
positive = byol("repel_predicted", seed)
positive.style.predictor = Positive(OPTIONS["head_dim"])
eigenvalues = torch.linalg.eigvalsh(
    positive.style.predictor(torch.eye(OPTIONS["head_dim"]))
)
assert eigenvalues.min() > -1e-5
history = fit(
    positive,
    ImageViews(train.images, law),
    steps=steps // 2,
    seed=seed,
    **settings,
)
end = (history["style"].iloc[-20:] / 2 - 1).mean()
if checked:
    assert end > -0.3, "the sign is back"
known, known_test = (four_parts(positive, q[0]) for q in (asked, asked_test))
found = {
    part: probes.linear(
        known[part], asked[1], known_test[part], asked_test[1], **ask
    ).score
    for part in ("h_c", "h_s")
}
{"style cosine": round(float(end), 2)} | {
    k: round(a, 2) for k, a in found.items()
}

# %% [markdown]
# ## References
#
# - D. Bouchacourt, R. Tomioka, S. Nowozin. *Multi-Level Variational Autoencoder.* AAAI 2018.
#   [arXiv:1705.08841](https://arxiv.org/abs/1705.08841)
# - C. Eastwood et al. *Self-Supervised Disentanglement by Leveraging Structure in Data Augmentations.* 2023.
#   [arXiv:2311.08815](https://arxiv.org/abs/2311.08815)
# - J.-B. Grill et al. *Bootstrap Your Own Latent.* NeurIPS 2020.
#   [arXiv:2006.07733](https://arxiv.org/abs/2006.07733)
# - H. Hosoya. *Group-based Learning of Disentangled Representations with Generalizability for Novel Contents.* IJCAI
#   2019. [arXiv:1809.02383](https://arxiv.org/abs/1809.02383)
# - J. von Kügelgen et al. *Self-Supervised Learning with Data Augmentations Provably Isolates Content from Style.*
#   NeurIPS 2021. [arXiv:2106.04619](https://arxiv.org/abs/2106.04619)
# - H. Lee, H. Choi. *Partitioning Image Representation in Contrastive Learning.* 2022.
#   [arXiv:2203.10454](https://arxiv.org/abs/2203.10454)
# - H. Lee et al. *Improving Transferability of Representations via Augmentation-Aware Self-Supervision.* NeurIPS 2021.
#   [arXiv:2111.09613](https://arxiv.org/abs/2111.09613)
# - R. Liu et al. *Drop, Swap, and Generate: A Self-Supervised Approach for Generating Neural Activity.* NeurIPS 2021.
#   [arXiv:2111.02338](https://arxiv.org/abs/2111.02338)
# - F. Locatello et al. *Weakly-Supervised Disentanglement without Compromises.* ICML 2020.
#   [arXiv:2002.02886](https://arxiv.org/abs/2002.02886)
# - Y. Tian, X. Chen, S. Ganguli. *Understanding Self-Supervised Learning Dynamics without Contrastive Pairs.* ICML
#   2021. [arXiv:2102.06810](https://arxiv.org/abs/2102.06810)
# - J. Wang, S. Song, J. Su, S. K. Zhou. *Distortion-Disentangled Contrastive Learning.* WACV 2024.
#   [arXiv:2303.05066](https://arxiv.org/abs/2303.05066)
# - T. Xiao, X. Wang, A. Efros, T. Darrell. *What Should Not Be Contrastive in Contrastive Learning.* ICLR 2021.
#   [arXiv:2008.05659](https://arxiv.org/abs/2008.05659)
#
# ## Provenance

# %% tags=["provenance"]
provenance.environment(device, started)

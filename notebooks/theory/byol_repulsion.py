# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Pulled together, pushed apart: repulsion in BYOL
#
# *Pull one half of a code together over the views of an image, and push the other half apart. What must each half learn?*
#
# A loss that makes two views agree throws away in what they differ. The remedy that suggests itself is a code in two
# halves: **content** is pulled together, **style** pushed apart. In BYOL this is a change of one sign. But BYOL's predictor
# can undo a sign. Without one the push has a floor, which a code reaches only if it knows how the view was made; and the
# floor holds only while both views are drawn by one law. Each fact has a short proof, and each is seen in training.
#
# **You will learn**
# - what a code loses when the views of an image are forced to one point,
# - which losses split into a term for content and a term for style,
# - why a predictor swallows the sign of a style term, and why without one it has a floor,
# - how two pipelines take it through the floor, and how far.
#
# **You need** `start_here`, BYOL from `methods/negative_free`.
#
# **Time:** 30 minutes to read; about 50 seconds to run on one CPU core.
#
# The idea to split a contrastive loss in two, for a VAE and for BYOL, is from
# [Lee & Choi (2022)](https://arxiv.org/abs/2203.10454), of whom we could read the **abstract** only. It does not say what
# the style term is. The list of terms below is ours, and so are the derivations. The VAE is in `theory/multiview_elbo`.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
side = 8  # images are shrunk to side × side pixels [1 or more]
seed = 0  # the first seed [seed]
seeds = 2  # trainings of each kind, one after the other [1 or more]
steps = 250  # training steps of each BYOL [1 or more]
moves = 400  # training steps of each network on the ring [1 or more]
batch_size = 64  # images a step; each gives two views [2 or more]
latent_dim = 32  # size of the code; a quarter of it is style [4 or more]
style_weight = 0.5  # λ of the style term [0 or more]
max_images = 5000  # at most so many training images, and so many test images
# [2 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
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
from mdlib.views import Views, circular, style

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
# A loss that pulls their codes together all the way asks the encoder to say the same of two different things.
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
# [Wang & Isola (2020)](https://arxiv.org/abs/2005.10242) call the left side of (2) the **alignment** of positive pairs.
# Perfect alignment is total invariance: not only to what we wished, but to all of $w$.
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
# ### The idea in a picture
#
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


kinds = {"one loss": False, "two losses": True}
rings = {name: train_on_the_ring(split) for name, split in kinds.items()}

# %% tags=["hide-input"]
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
    (known, new), (told, asked) = codes.chunk(2), truth.chunk(2)
    return probes.knn_regression(known, told, new, asked).score


truths = {
    "radius": shown_points.norm(dim=1, keepdim=True),
    "angle": torch.stack([shown_angle.cos(), shown_angle.sin()], 1),
}
rows = {
    name: {
        f"{what} from {part}": half_half(code, truth)
        for part, code in zip("cu", pictures[-1], strict=True)
        for what, truth in truths.items()
    }
    for name, pictures in rings.items()
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
# *Measured:* here the split did what it promises. Did it have to?
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


apart = squared(c_a, c_p) + squared(s_a, s_p)
torch.testing.assert_close(squared(z_a, z_p), apart)
kl, both = losses.gaussian_kl_between, (z_a, lv_a, z_p, lv_p)
halves = (slice(cut), slice(cut, None))
parts = [kl(*(v[:, half] for v in both)) for half in halves]
torch.testing.assert_close(kl(*both), sum(parts))

weight_c = norm(c_a, c_p) / norm(z_a, z_p)
weight_s = norm(s_a, s_p) / norm(z_a, z_p)
of_c, of_s = cos(c_a, c_p), cos(s_a, s_p)
split = weight_c * of_c + weight_s * of_s
torch.testing.assert_close(cos(z_a, z_p), split)
assert (weight_c + weight_s).max() < 1 + 1e-9
raw_error = (cos(z_a, z_p) - (of_c + of_s) / 2).abs().mean()
unit_a = torch.cat([F.normalize(c_a), F.normalize(s_a)], 1)
unit_p = torch.cat([F.normalize(c_p), F.normalize(s_p)], 1)
torch.testing.assert_close(cos(unit_a, unit_p), (of_c + of_s) / 2)
assert raw_error > 0.02

# %% [markdown]
# The weights in (3) are the network's own choice. With the raw concatenation it can mute a half by making it short. Here a
# style part that disagrees completely is scaled down, and nothing else changes:

# %%
shrunk = [1.0, 0.3, 0.1, 0.01]
opposed = [[torch.cat([c_a, t * s], 1) for s in (s_a, -s_a)] for t in shrunk]
muted = [(2 - 2 * cos(*pair)).mean().item() for pair in opposed]
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
# The abstract says what the first term is for, and leaves the second open. These are the readings that we can think of:
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
# R4 and R5 use what the abstract does not mention: the parameters of the views, or views that share them. What each term
# can and cannot see is the subject of `theory/style_identifiability`. Here we take R1, at its word.
#
# ## BYOL in two halves
#
# By (4), BYOL on two normalised halves is the sum of two BYOLs, if projector and predictor do not mix the halves, and (5)
# turns one of them round. Let $h = [h_c\,;\,h_s]$ be the encoder's output, with projections $z_c = g_c(h_c)$ and $z_s =
# g_s(h_s)$. A prime marks the slow copy, sg the stop-gradient. Content keeps BYOL's loss, and with it the predictor and the
# stop-gradient that hold it back from collapse (`methods/negative_free`):
#
# $$ L_\mathrm{content} = 2 - 2\cos\big(q_c(z_c(v_a)),\, \mathrm{sg}\, z_c'(v_p)\big) + \text{the other order}. \tag{6} $$
#
# For style, "repel" can be read literally, or with less:
#
# \begin{align*} \text{R1a:} \quad & 2 + 2\cos\big(q_s(z_s(v_a)),\, \mathrm{sg}\, z_s'(v_p)\big), \tag{7} \\
#    \text{R1b:} \quad & 2 + 2\cos\big(z_s(v_a),\, z_s(v_p)\big). \tag{8} \end{align*}
#
# ```{prf:proposition} A predictor swallows the sign
# :label: pl-sign
#
# Let the class of predictors contain $-q$ with every $q$; a last layer that is linear does that. Then minimising (7)
# over the encoder and $q_s$ is the same problem as minimising BYOL's attracting loss: the minima have equal values, and
# are reached by the same encoders.
# ```
#
# ```{prf:proof}
# $2 + 2\cos(q, t) = 2 - 2\cos(-q, t)$. So (7) at $(\theta, q_s)$ is BYOL's loss at $(\theta, -q_s)$, and
# $q_s \mapsto -q_s$ is one-to-one on the class. The target does not read $q_s$. (BYOL follows gradients and a moving
# target rather than a minimum. But the encoder's gradients at the two points are equal too, and so are the
# paths from two such starts.)
# ```
#
# R1a is a second BYOL head in disguise: it learns the same invariances as the content half. The proof is short enough to
# hold to the last bit. The images are digits painted red, and views show them in all hues: hue is the style, everything
# else is content.

# %% tags=["setup", "hide-input"]
limits = {"size": size or None, "max_images": max_images}
train = data.load(dataset, **limits).painted()
test = data.load(dataset, "test", **limits).painted()


def shrink(split):
    small = F.adaptive_avg_pool2d(split.images.float(), side).round()
    return replace(split, images=small.byte()).to(device)


train, test = shrink(train), shrink(test)
law = Views(hue=0.5)  # the same image, in any colour of the circle
generator = torch.Generator(device).manual_seed(seed)
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
repel.backward(), attract.backward()
both = (method.encoder.parameters() for method in (literal, plain))
for mine, theirs in zip(*both, strict=True):
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
# $$ \mathbb{E}\big[\langle u(v), u(v')\rangle \,\big|\, x\big] = \big\|\,\mathbb{E}[u(v)|x]\,\big\|^2 \ge 0, \tag{9} $$
#
# so (8) is at least 2 on average. It is 2 if and only if the styles of every image average to 0 over its views, and
# then $u$ must depend on $w$.
# ```
#
# ```{prf:proof}
# Given $x$ the two are independent with one mean, so the expectation of the inner product is the inner product of the
# means. It is 0 only for mean 0, and a $u$ of length 1 that does not vary with $w$ has a mean of length 1.
# ```
#
# Three codes of points on the ring, 20 images with 4000 pairs each. The left side of (9) is a mean over pairs, the right
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
# ```{prf:remark} Repulsion and uniformity
# :label: pl-uniformity
#
# Wang & Isola's *uniformity*, $\log \mathbb{E}\, e^{-2 \|u - u'\|^2}$, is about the codes of different images. Ask it
# of one image's styles, and put the inner product in the Gaussian's place: that is (8). An inner product sees of a law
# its mean and nothing more. So every law with mean 0 is as good as the uniform one, one bit $\pm e$ included.
# ```
#
# Each word of the theorem can be broken. *Independent:* draws without repetition are not (exercise 1). *A code of the
# view:* batch norm in training lets a code depend on the batch, so small dips below 2 are no contradiction. *One law:*
# what if anchor and positive come from two pipelines, as in BYOL's own recipe, where one of the views is always blurred
# and the other hardly ever?
#
# ```{prf:proposition} Two pipelines lower the floor
# :label: pl-pipelines
#
# Given the image, let $v$ come from law $A$ and $v'$, independently, from law $B$, with total variation $\mathrm{TV}$
# between them, and let $u$ be as before. With the two means,
#
# $$ \mathbb{E}\big[\langle u(v), u(v')\rangle\big|x\big] = \langle m_A, m_B\rangle \ge -\mathrm{TV}^2. \tag{10} $$
#
# So (8) is at least $2 - 2\,\mathrm{TV}^2$. If the laws can be told apart from a single view, whatever the image, then
# some $u$ reaches 0; and this $u$ knows nothing but which pipeline made the view.
# ```
#
# ```{prf:proof}
# The equation as before, with two means. Then $4 \langle m_A, m_B \rangle = \|m_A + m_B\|^2 - \|m_A - m_B\|^2$, and
# $\|m_A - m_B\| = \|\int u\, d(A - B)\| \le \int |dA - dB| = 2\,\mathrm{TV}$. For the last sentence, $u = e$ on views of
# $A$ and $u = -e$ on views of $B$.
# ```
#
# {prf:ref}`pl-floor` is the case $\mathrm{TV} = 0$. Laws over eight views, where means are sums; and two laws that mirror
# each other, for which $\pm e$ by the likelier law is as low as (10) allows:


# %% tags=["theorem:pipelines"]
def normal(weights):
    return weights / weights.sum(1, keepdim=True)


A, B = map(normal, torch.rand(2, 500, 8, generator=draw).double().pow(4))
tv = (A - B).abs().sum(1) / 2
u = F.normalize(randn(500, 8, 2), dim=2)
both = A[:, :, None] * B[:, None]  # of two independent draws
inner = (both * (u @ u.mT)).sum((1, 2))
m_A, m_B = (A[..., None] * u).sum(1), (B[..., None] * u).sum(1)
torch.testing.assert_close(inner, (m_A * m_B).sum(1))
assert (inner >= -tv.square() - 1e-9).all() and (inner < 0).any()

A[:100, 4:] = 0  # 100 cases whose mirrored laws share no view
A = normal(A)
B = A.flip(1)
tv = (A - B).abs().sum(1) / 2
u = (A - B).sign()  # ±e
lowest_of = (A * u).sum(1) * (B * u).sum(1)
torch.testing.assert_close(lowest_of, -tv.square())
assert (lowest_of[:100] < -1 + 1e-9).all() and (lowest_of[100:] > -1).all()

# %% [markdown]
# ### Trained, on digits
#
# Now three style terms. `style cosine` is what (7) or (8) is about, in training.

# %% tags=["hide-input"]
originals = train.images[:8]
hue_views, _ = law(originals, 4, generator)
sheet = torch.cat([originals[:, None].float() / 255, hue_views], 1)
names = ["image", "view 1", "view 2", "view 3", "view 4"]
plots.image_grid(sheet.transpose(0, 1), row_labels=names)
Markdown("*Figure 2. Eight training images and views of them.*")

# %%
TERMS = {
    "repel_predicted": "R1a: repel, predictor",
    "repel": "R1b: repel, no predictor",
    "none": "R3: no style term",
}


def learn(method, views, steps, seed):
    """Train; the style cosine at each step."""
    history = fit(
        method, ImageViews(train.images, views), steps=steps, seed=seed,
        batch_size=batch_size, lr=2e-3, device=device, progress=False,
    )  # fmt: skip
    return history["style"] / 2 - 1


trained, cosine = {}, {}
for case in [(t, s) for t in TERMS for s in range(seed, seed + seeds)]:
    trained[case] = byol(*case)
    cosine[case] = learn(trained[case], law, steps, case[1])


# %%
def laws(hue):
    """The laws of anchor and positive: the same hues, but one of them blurs."""
    return Views(hue=hue), Views(hue=hue, blur=(1.5, 1.5))


def pairs_of(laws):
    """Views whose anchor is of one law and whose positive is of another."""

    def draw_pair(images, members, generator):
        views = [each(images, 1, generator)[0] for each in laws]
        return torch.cat(views, 1), {}

    return draw_pair


FEW = "few hues, positives blurred"
MANY = "all hues, positives blurred"
PIPELINES = {FEW: 0.1, MANY: 0.5}  # the largest shift of the hue
cheats = {name: byol("repel", seed) for name in PIPELINES}
for name, hue in PIPELINES.items():
    views = pairs_of(laws(hue))
    cosine[name, seed] = learn(cheats[name], views, steps // 2, seed)

# %% tags=["hide-input"]
_, axis = plt.subplots(figsize=(7, 3.1))
COLOUR = {
    "repel_predicted": "#d55e00", "repel": "#0173b2", FEW: "0.2", MANY: "0.6",
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
Markdown("""*Figure 3. The mean cosine between the styles of two views in training (running mean over 10 steps, a line a
seed). Grey ground: where no deterministic code of independent views from one law can be on average.*""")


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
control = [("untrained", s) for s in range(seed, seed + seeds)]
everyone = trained | {(t, s): byol("repel", s).to(device) for t, s in control}
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
mdlib.record(out, halves)
means = halves.groupby(["style term", "part"])[["class", "hue"]].mean()

# %% tags=["hide-input"]
order = ["untrained", "none", "repel_predicted", "repel"]
wide = means.unstack("part").loc[order]
_, axes = plt.subplots(1, 2, figsize=(7, 2.7), sharey=True)
labels = {term: name.split(":")[0] for term, name in TERMS.items()}
UNITS = {"class": "accuracy", "hue": "$R^2$"}
for axis, (what, unit) in zip(axes, UNITS.items(), strict=True):
    shown = wide[what].clip(lower=0).rename(index=labels)
    sns.heatmap(
        shown.rename(columns=lambda p: f"${p}$"), ax=axis, vmin=0, vmax=1,
        annot=True, fmt=".2f", cmap="viridis", cbar_kws={"label": unit},
    )  # fmt: skip
    axis.set(title=what, xlabel="", ylabel="")
plt.show()
Markdown(f"""*Figure 4. What a linear reader finds of class (accuracy) and hue ($R^2$) in the content half and the style
half, at the encoder ($h$) and after the projector ($z$): fresh views of test images of {test.title}, mean over {seeds}
seeds.*""")


# %%
def on_fresh_pairs(method, laws):
    """(8) of each pair of test views; here batch norm is frozen."""
    g = torch.Generator(device).manual_seed(7)
    v, _ = pairs_of(laws)(test.images, 2, g)
    u = [method.project_parts(view)[1] for view in v.unbind(1)]
    return repulsion(*u).double()


last = {  # the style cosine at the end of training
    term: np.mean([v.iloc[-20:].mean() for (t, _), v in cosine.items() if t == term])
    for term in ("repel_predicted", "repel", FEW, MANY)
}  # fmt: skip
one, other = laws(PIPELINES[FEW])
fresh = {
    "R1b": on_fresh_pairs(trained["repel", seed], (law, law)),
    "cheat, one law": on_fresh_pairs(cheats[FEW], (one, one)),
    "cheat, both laws": on_fresh_pairs(cheats[FEW], (one, other)),
}
for name in ("R1b", "cheat, one law"):  # what the theorem says
    values = fresh[name]
    assert values.mean() + 4.5 * values.std() / len(values) ** 0.5 > 2, name
fresh = {name: values.mean().item() for name, values in fresh.items()}

# %%
m, hue = means["class"].unstack("part"), means["hue"].unstack("part")
apart = m["h_c"] - m["h_s"]  # how far the halves of the code are apart
# of a difference of two accuracies on these images, 4.5 standard errors
error = 4.5 * math.sqrt(2 * 0.25 / len(test))
checked = dataset == "digits" and steps >= 250 and latent_dim == 32
if checked:
    dips = 0.3  # of batch norm, which is on in training, and more
    assert max(last["repel_predicted"], last[FEW]) < -dips, last
    assert abs(last["repel"]) < dips and abs(last[MANY]) < dips, last
    assert fresh["cheat, both laws"] < 2 < 3 < fresh["cheat, one law"], fresh
    assert apart["repel"] > error, m
    assert apart["repel"] - apart["repel_predicted"] > 2**0.5 * error, m
    assert m["z_s"]["repel"] < m["z_s"]["repel_predicted"] - error, m
    assert m["h_s"]["repel"] < m["h_s"]["none"] - error, m
    assert m["z_s"]["repel"] < m["z_s"]["untrained"], m
    assert hue["z_s"]["repel"] > hue["z_s"]["repel_predicted"] + 0.3, hue
    assert (hue["h_c"] > 0.5).all(), "invariance stops at the projector"
    assert (hue["h_c"] > hue["z_c"]).drop("untrained").all(), hue
Markdown(f"""On {train.title}, {len(train)} images, {seeds} seeds: at the end the style cosine is
{last["repel_predicted"]:+.2f} with a predictor and {last["repel"]:+.2f} without; there (8) is {fresh["R1b"]:.2f} on fresh
test pairs. The style half $h_s$ knows the class with accuracy {m["h_s"]["repel_predicted"]:.2f} against
{m["h_s"]["repel"]:.2f} (content half: {m["h_c"]["repel_predicted"]:.2f} and {m["h_c"]["repel"]:.2f}). With blurred
positives the cosine ends at {last[FEW]:+.2f} where hues vary little, and at {last[MANY]:+.2f} where they vary fully. In the
first case (8) is {fresh["cheat, both laws"]:.2f} on fresh test pairs of sharp and blurred, and
{fresh["cheat, one law"]:.2f} on pairs of one law, whose styles have become nearly the same.""")

# %% [markdown]
# *Measured:*
#
# - **R1a repels nothing.** Its cosine goes far below the floor of one code. A predictor with the sign turned does that, and
#   exercise 3, which forbids the sign, ends near 0. Both projections learn the class and lose much of the hue.
# - **R1b repels.** It settles at the floor, and its style half keeps the hue and knows far less of the class.
# - **Mind the controls.** Without any style term, a slice of the code knows much of the class, for all layers below it
#   were trained on content. R1b's $h_s$ knows far less, but about as much as the *untrained* slice. Only its projection
#   $z_s$ falls below that, and not by much.
# - **Two pipelines can take repel through the floor,** and then two views of one law get the *same* style. Can, not must:
#   where all hues are drawn, this training came to the floor by way of the hue and stayed there. Use one law for both
#   views wherever a style term is on, and you need not hope.
# - **Does separation cost?** With R1b the content half knows a little less of the class than with R1a. Two seeds do not
#   decide that; `experiments/partitioned_byol` has more.
# - **Content at $h_c$ knows the hue, in every row**, and $z_c$ knows less of it.
#
# The last is a **leak**: information about one part in the other (in the words of disentanglement, the content half is
# not *modular*). It has a simple reason:
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
# **What stops it:** nothing in BYOL. So say at which level you claim that content knows no style, and measure at both. A
# VAE has no projector: there the swap acts on the code itself.
#
# ## What this does not show
#
# - **What Lee & Choi did.** We know their abstract. R1b is our reading, and another may be theirs.
# - **That a split code is better for anything.** We asked where content and style go. Whether few-shot learning gains is
#   an experiment, and by {prf:ref}`pl-sign` it needs BYOL with two attracting heads as a control
#   (`experiments/partitioned_byol`).
# - **That R1b must separate.** It did, here. {prf:ref}`pl-floor` asks that style depends on $w$, not that it depends on
#   nothing else.
# - **That R1b separates on real augmentations.** Hue is one number that shows everywhere in the picture. Crops change
#   what is there to be seen.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** The views of an image are $J$ *different* ones of a fixed set of $J$, all of them in turn, and the mean
# cosine runs over pairs of different views. How low can (8) go? Write `floor(J)`, and `lowest(J)`: a matrix of $J$ unit
# styles that reaches it.
#
# <details><summary>Hint</summary>
#
# The square of the sum of all $J$ unit vectors is at least 0. Which corners have their centre at 0?
#
# </details>


# %% tags=["solution", "hide-input"]
def floor(J):
    """J views → the least mean of (8)."""
    # the sum of all J² inner products is a square ≥ 0, and J of them are 1
    return 2 - 2 / (J - 1)


def lowest(J):
    """→ unit vectors, a double tensor with J rows."""
    corners = torch.eye(J).double() - 1 / J  # of a simplex around 0
    return F.normalize(corners, dim=1)


# %% tags=["check"]
for J_ in (2, 3, 8):
    u = lowest(J_)
    torch.testing.assert_close(u.norm(dim=1), torch.ones(J_).double())
    off = (u @ u.T)[~torch.eye(J_, dtype=torch.bool)]
    assert abs(2 + 2 * off.mean().item() - floor(J_)) < 1e-9, (
        f"J = {J_}: lowest reaches {2 + 2 * off.mean().item():.4f}, floor says {floor(J_):.4f}"
    )
    cloud = F.normalize(randn(5000, J_, 3), dim=2)
    inner = cloud @ cloud.transpose(1, 2)
    mean_off = (inner.sum((1, 2)) - J_) / (J_ * (J_ - 1))
    assert (2 + 2 * mean_off).min() >= floor(J_) - 1e-9, (
        f"J = {J_}: random styles go below floor(J) = {floor(J_):.4f}"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(floor(4) - 4 / 3) < 1e-9, floor(4)
assert abs(lowest(6).sum(0)).max() < 1e-9, "the lowest have their mean at 0"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Anchors have a hue that is uniform on $[0, 1]$, positives one on $[t, 1 + t]$, with $0 \le t \le 1$ (a
# hue that does not go round). Compute the total variation, and write `floor_between(t)`: how low can (8) go? Then write
# `reaching(v, t)`: unit codes [N, 2] of hues $v$ [N] that reach it. What do they do where both laws overlap?
#
# <details><summary>Hint</summary>
#
# The total variation is the mass that one law has where the other has none. There codes can point in opposite
# directions; where both may be meant they must cancel in the mean, and two more directions at a right angle can do
# that.
#
# </details>


# %% tags=["solution", "hide-input"]
def floor_between(t):
    """t from 0 to 1 → the least mean of (8)."""
    return 2 - 2 * t**2  # TV = t, the mass of [0, t] and of [1, 1 + t]


def reaching(v, t):
    """v [N], doubles, and t → unit codes [N, 2]."""
    one_law = (v < t).double() - (v > 1).double()
    # where both may be meant, the codes go at a right angle and cancel
    other = torch.where(v < (1 + t) / 2, 1.0, -1.0) * (one_law == 0)
    return torch.stack([one_law, other], 1)


# %% tags=["check"]
N = 10_000
even = (torch.arange(N).double() + 0.5) / N
for t in (0.0, 0.3, 0.8, 1.0):
    u_a, u_p = (reaching(hues, t).double() for hues in (even, even + t))
    torch.testing.assert_close(u_a.norm(dim=1), torch.ones(N).double())
    found = 2 + 2 * (u_a.mean(0) @ u_p.mean(0)).item()
    # a step of the code falls between two of N hues: 4 of them, 2/N each
    assert abs(found - floor_between(t)) < 2 * 2 * 4 * 2 / N, (
        f"t = {t}: your codes reach {found:.4f}, floor_between says {floor_between(t):.4f}"
    )
    waves = randn(50, 2, 1) * torch.cat([even, even + t]) * 6 + randn(50, 2, 1)
    u = F.normalize(waves.sin(), dim=1)  # 50 other codes
    inner = (u[..., :N].mean(2) * u[..., N:].mean(2)).sum(1)
    assert (2 + 2 * inner).min() > floor_between(t) - 2 * 2 * 4 * 2 / N, (
        f"t = {t}: other codes go below floor_between(t) = {floor_between(t):.4f}"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(floor_between(0.5) - 1.5) < 1e-9, floor_between(0.5)

# %% [markdown]
# **3 (a research question, 6 points, 60 minutes).** {prf:ref}`pl-sign` needs $-q$ to be a predictor. Forbid it: let the style predictor be
# $q(z) = A A^\top z$, a matrix without negative eigenvalues (DirectPred's is another one). Write it as a module
# `Positive(dim)`, put it in the place of R1a's predictor, and train. Does the style half now separate? Then: for unit
# vectors and a target that has caught up, $\mathbb{E}[\langle A A^\top u, u' \rangle | x] \ge 0$ still holds; the cosine
# divides by the length of $A A^\top u$. How far below 0 can that take it, and does training find the way?
#
# <details><summary>Hint</summary>
#
# An `nn.Module` with one square `nn.Parameter`. $z A A^\top$ for rows $z$. A start at the identity leaves the
# projection as it is.
#
# </details>


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
square = positive.style.predictor(torch.eye(OPTIONS["head_dim"]))
least = torch.linalg.eigvalsh(square).min()
assert least > -1e-5, f"an eigenvalue of {least:.4f} is below 0"
end = learn(positive, law, steps // 2, seed).iloc[-20:].mean()
if checked:
    assert end > -0.3, "the sign is back"
else:
    print(
        "Not all was checked: this data set or budget is another one than the text's."
    )
known, known_test = (four_parts(positive, q[0]) for q in (asked, asked_test))
found = {"style cosine": float(end)}
for part in ("h_c", "h_s"):
    told = known[part], asked[1], known_test[part], asked_test[1]
    found[part] = probes.linear(*told, **ask).score
{what: round(value, 2) for what, value in found.items()}

# %% tags=["hidden", "remove-cell"]
small, g5 = Positive(5), torch.Generator().manual_seed(2)
for p in small.parameters():  # as after training
    p.data = torch.randn(p.shape, generator=g5)
vectors = torch.randn(40, 5, generator=g5)
turned = small(vectors)
assert turned.requires_grad, "it must learn"
assert (turned * vectors).sum(1).min() > -1e-4, "no answer turns back"

# %% [markdown]
# ## References
#
# - J.-B. Grill et al. *Bootstrap Your Own Latent.* NeurIPS 2020.
#   [arXiv:2006.07733](https://arxiv.org/abs/2006.07733)
# - H. Lee, H. Choi. *Partitioning Image Representation in Contrastive Learning.* 2022.
#   [arXiv:2203.10454](https://arxiv.org/abs/2203.10454)
# - Y. Tian, X. Chen, S. Ganguli. *Understanding Self-Supervised Learning Dynamics without Contrastive Pairs.* ICML
#   2021. [arXiv:2102.06810](https://arxiv.org/abs/2102.06810)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

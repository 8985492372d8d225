# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A VAE for two views: the bound, and what each part of the code costs
#
# *Two views of an image share one content. What does the likelihood itself ask of a code in two parts, and can it still
# go wrong?*
#
# Cut the code of a view into a part $c$ for the **content**, which both views share, and a part $s$ for the **style**, in
# which they differ. A VAE needs no new penalty for that. Say that one content made both views, write down the evidence
# bound, and there is a term that decodes a view from the *other* view's content. A content part that knows the style of
# its own view paints the other one wrong. Against the opposite fault, content in the style part, the bound has a price
# only. We compute where that price is enough.
#
# **You will learn**
# - to derive the bound of a two-view VAE, and its gap,
# - why content is swapped, why its KL counts once a pair, and style's once a view,
# - where the optimum of that bound puts content into the style part, and what stops it.
#
# **You need** `start_here`, entropy, Gaussian densities.
#
# **Time:** 30 minutes to read; about 10 seconds to run on one CPU core.
#
# This is the first of three chapters on codes in two parts; `theory/byol_repulsion` and `theory/style_identifiability`
# follow. They start from [Lee & Choi (2022)](https://arxiv.org/abs/2203.10454), who split the code of a contrastive
# learner into content and style *only* by splitting its loss in two, for a VAE and for BYOL. We could read the
# **abstract** alone. All formulas below are therefore our derivations, and no number here can be compared with one of the
# paper's.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
side = 8  # images are shrunk to side × side pixels [1 or more]
noise = 0.3  # variance of the noise of the linear model [0.01 or more]
pairs = 400  # pairs of views of the linear model [100 or more]
max_images = 500  # at most so many images [100 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn import functional as F

import mdlib
from mdlib import data, losses, nets
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.methods import create
from mdlib.notebook import provenance
from mdlib.views import Views, apply

plots.theme()
started = time.time()
device = pick_device(device)
draw = torch.Generator().manual_seed(seed)


def randn(*shape):
    """Normal numbers in double precision, for comparing formulas."""
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


# %% tags=["setup", "hide-input"]
limits = {"size": size or None, "max_images": max_images}
whole = data.load(dataset, **limits).painted()
shrunk = F.adaptive_avg_pool2d(whole.images.float(), side).round().byte()
train = replace(whole, images=shrunk).to(device)
law = Views(hue=0.5)  # the same image, in any colour of the circle

# %% [markdown]
# ## The idea in a picture
#
# Images are digits painted red, and a view shows one in some hue. So the digit is content and the hue is style. Take two
# views and decode the first from its own style and the content *of the second*. We do it by hand, with a content code
# that is the digit, and with one that also holds the hue of its view.


# %% tags=["hide-input"]
def paint(images, hue):
    """Images [N, C, H, W] (red), each in its hue [N]."""
    turned = (hue + 0.5) % 1 - 0.5
    return apply(images.cpu(), {"hue": turned.view(-1, 1, 1).float()})[:, 0]


digits = train.images[:8]
hue_a, hue_p = torch.rand(2, 8, generator=draw)
plots.image_grid(
    torch.stack([
        paint(digits, hue_a), paint(digits, hue_p),
        paint(digits, hue_a),  # (digit of p, hue of a)
        paint(digits, hue_p),  # the decoder finds a hue in c, and takes it
    ]),
    row_labels=["view $v_a$", "view $v_p$", "c: the digit", "c: digit and hue"],
)  # fmt: skip

# %% [markdown]
# *Figure 1. Two views of eight images. Below, what comes of $v_a$ when it is decoded from $v_p$'s content and its own
# style: right, if the content part holds the digit alone; in the wrong hue, if it holds the hue of its view and the
# decoder believes it.*
#
# ## The bound
#
# The model says how a pair comes about: one content, two styles.
#
# $$ c, s_a, s_p \sim \mathcal{N}(0, I) \text{ independent}, \qquad v_a \sim p(v|c, s_a), \quad v_p \sim p(v|c, s_p). \tag{1} $$
#
# **Step 1, Jensen.** For every $q(c|v_a, v_p)\, q(s_a|v_a)\, q(s_p|v_p)$,
#
# \begin{align*} \log p(v_a, v_p) \ge\; & \mathbb{E}_q[\log p(v_a|c, s_a)] + \mathbb{E}_q[\log p(v_p|c, s_p)] \\
#    & - \mathrm{KL}(q(c|v_a, v_p) \| p) - \mathrm{KL}(q(s_a|v_a)\|p) - \mathrm{KL}(q(s_p|v_p)\|p). \tag{2} \end{align*}
#
# **Step 2, one-view encoders.** We want to encode a single image later. So let the pair's posterior of $c$ be the even
# mixture of what each view says by itself:
#
# $$ q(c|v_a, v_p) = \tfrac12\, q_a + \tfrac12\, q_p, \qquad q_a = q(c|v_a), \quad q_p = q(c|v_p). \tag{3} $$
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
#    - \mathrm{JS}(q_a, q_p). \tag{4} $$
#
# JS has no closed form for Gaussians. It enters (2) with a plus, so leaving it out keeps a lower bound. That costs at most
# $\log 2$ nats a pair ($\log J$ for $J$ views), all that an even mixture can tell about which of its parts was drawn:
#
# ```{prf:theorem} The partitioned bound
# :label: pl-bound
#
# \begin{align*} \log p(v_a, v_p) \ge L = \sum_{i \in \{a, p\}} \Big( \tfrac12\, \mathrm{self}(i) + \tfrac12\, \mathrm{swap}(i)
#    & - \tfrac12 \mathrm{KL}(q(c|v_i)\|p) \\ & - \mathrm{KL}(q(s_i|v_i)\|p) \Big), \tag{5} \end{align*}
#
# and the gap is exactly
#
# $$ \log p(v_a, v_p) - L = \mathrm{JS}(q_a, q_p)
#    + \mathrm{KL}\big(q(c|v_a, v_p)\, q(s_a|v_a)\, q(s_p|v_p) \,\|\, p(c, s_a, s_p|v_a, v_p)\big). \tag{6} $$
# ```
#
# ```{prf:proof}
# Steps 1 to 4 give (5). The difference of the two sides of (2) is the KL from $q$ to the true posterior, as for every
# evidence bound, and by (4) the right side of (2) is $L + \mathrm{JS}$.
# ```
#
# So the **content term** of a VAE is not a penalty that somebody adds. It is the swap: decode a view from its own style
# and the *other* view's content. It does what an *alignment* loss does, and does it in the picture. Its weight is a half.
# Content's KL counts once a pair and style's once a view. The **style term** is style's KL. A term that pushes styles
# apart does not occur: reconstruction makes $s$ hold what the shared $c$ cannot, where that is worth its rate.
#
# An alignment loss *alone* asks much less:
#
# ```{prf:proposition} The content term alone
# :label: pl-content
#
# Let $L_\mathrm{content}$ read only $c$. (a) Its gradient with respect to every weight that feeds only $s$ is 0. (b) If
# it is an alignment, $\mathbb{E}\,d(c_a, c_p)$ with $d \ge 0$ and $d(c, c) = 0$, then $c = $ const. minimises it, and so
# does every function of the image, whether $s$ holds it too or not.
# ```
#
# ```{prf:proof}
# (a) $L_\mathrm{content}$ does not change with $s$. (b) Both make $c_a = c_p$, where $d$ is 0, its minimum.
# ```
#
# To see both, let an image be a point's distance from the centre, and a view that point turned by a random angle:


# %%
def on_the_ring(radius):
    """Views [N, 2] of images, given as their radius [N, 1]."""
    angle = 2 * math.pi * torch.rand(radius.shape, generator=draw)
    return radius * torch.cat([angle.cos(), angle.sin()], 1)


# %% tags=["theorem:content"]
heads = nn.ModuleDict({part: nets.mlp([2, 8, 2]) for part in "cs"})
radii = 1 + torch.rand(64, 1, generator=draw)
x, x_p = on_the_ring(radii), on_the_ring(radii)
squared_distance = (heads["c"](x) - heads["c"](x_p)).square().sum(1)
squared_distance.mean().backward()
assert all(w.grad is None for w in heads["s"].parameters())
assert all(w.grad.norm() > 0 for w in heads["c"].parameters() if w.ndim > 1)
for code, best in [
    (lambda v: 0 * v, True),  # a constant
    (lambda v: v.norm(dim=1), True),  # of the image
    (lambda v: v[:, 0], False),  # of the view
]:
    assert ((code(x) - code(x_p)).square().mean() < 1e-9) == best

# %% [markdown]
# What stops the constant is not a style term, which doesn't see $c$. It takes a predictor with stop-gradient, negatives,
# a variance or entropy term (`methods/negative_free`), or, as here, a decoder that needs $c$.
#
# ### Where the truth is known
#
# Take linear decoders, $v = c\,\alpha + s\,\beta + $ noise with one content and one style number. Then $\log p$, all
# posteriors and every term of (5) have closed forms, and only JS needs a grid. As encoders take the exact one-view
# posteriors $p(c|v)$ and $p(s|v)$.

# %% tags=["setup", "hide-input"]
alpha, beta = torch.tensor([[1.0, 0.6, 0.2], [-0.3, 0.6, 1.0]]).double()
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


# %% tags=["setup", "hide-input"]
# the true posterior of (c, s_a, s_p), given both views: mean m, precision P
zero = torch.zeros(3).double()
three = torch.stack(
    [alpha.repeat(2), torch.cat([beta, zero]), torch.cat([zero, beta])], 1
)
P = torch.eye(3).double() + three.T @ three / noise
m = v.flatten(1) @ three @ torch.linalg.inv(P) / noise

shared = torch.outer(alpha, alpha)
alone = shared + torch.outer(beta, beta) + noise * torch.eye(3)
joint = torch.cat([torch.cat([alone, shared]), torch.cat([shared, alone])], 1)
log_p = MultivariateNormal(torch.zeros(6).double(), joint).log_prob(
    v.flatten(1)
)

grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)
one_view = Normal(mu_c[..., None], var_c**0.5)
density = one_view.log_prob(grid).exp()  # [pair, view, grid]
mixture = density.mean(1)
entropy_c = -torch.trapezoid(torch.xlogy(mixture, mixture), grid)
js = entropy_c - losses.gaussian_entropy(var_c.log()[None])


def bound(mu_c, var_c):
    """L of (5), nats a pair."""
    own = expected_log_p(mu_c, var_c)
    swapped = expected_log_p(mu_c.flip(1), var_c)
    of_view = (own + swapped - kl_prior(mu_c, var_c)) / 2
    return (of_view - kl_prior(mu_s, var_s)).sum(1)


# %% tags=["theorem:bound"]
cross = 0
for j in (0, 1):  # the mixture's parts: content from view j
    d = torch.stack([mu_c[:, j], mu_s[:, 0], mu_s[:, 1]], 1) - m
    cross = cross + ((d @ P) * d).sum(1) / 4
cross = cross + 0.5 * (P.diagonal() @ torch.stack([var_c, var_s, var_s]))
cross = cross - 0.5 * torch.logdet(P) + 1.5 * math.log(2 * math.pi)
kl_true = cross - entropy_c - 2 * losses.gaussian_entropy(var_s.log()[None])

L = bound(mu_c, var_c)
torch.testing.assert_close(log_p, L + js + kl_true, rtol=0, atol=1e-6)
assert (js > -1e-9).all() and (js < math.log(2)).all() and (kl_true > 0).all()

# %% [markdown]
# (6) holds pair by pair. Three ways to let two views speak for one content, from the same one-view encoders: our
# mixture (3); the mean of both means and variances, as in GVAE; the product of both densities, as in ML-VAE.

# %%
pooled = {
    "mean (GVAE)": (mu_c.mean(1, keepdim=True), var_c),
    "product (ML-VAE)": (mu_c.mean(1, keepdim=True), var_c / 2),
}
gaps = {"mixture (5)": log_p - bound(mu_c, var_c)}
for name, (mu, var) in pooled.items():
    group = expected_log_p(mu.expand_as(mu_c), var) - kl_prior(mu_s, var_s)
    gaps[name] = log_p - group.sum(1) + kl_prior(mu, var)[:, 0]
assert all((gap > 0).all() for gap in gaps.values())  # each is a bound
gap_table = pd.DataFrame(gaps).mean().rename("gap").rename_axis("pooled by")
mdlib.record(out, gap_table.reset_index())

# %% tags=["hide-input"]
example = js.argsort()[int(0.9 * pairs)]  # a pair that agrees little
near = (grid > -3.2) & (grid < 3.2)
c_axis, inside = grid[near], density[example][:, near]
truth = Normal(m[example, 0], torch.linalg.inv(P)[0, 0] ** 0.5)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9), width_ratios=[1.2, 1])
for line, name in zip(inside, ("$q(c|v_a)$", "$q(c|v_p)$"), strict=True):
    left.plot(c_axis, line, label=name, lw=1)
left.fill_between(
    c_axis, inside.mean(0), alpha=0.25, color="k", label="mixture (3)"
)
left.plot(c_axis, truth.log_prob(c_axis).exp(), "k--", label="$p(c|v_a,v_p)$")
left.axvline(content_true[example].item(), color="C3", lw=1.5, label="true $c$")
left.set(xlabel="content $c$", ylabel="density", ylim=(0, None))
left.legend(fontsize=7.5, loc="upper left", handlelength=1.3)
right.barh(list(gaps), gap_table, color=["#00b8a0", "#2fc41f", "#3d6410"])
right.barh(
    "mixture (5)", js.mean().item(), color="w", hatch="///",
    edgecolor="#00574b", label="of it JS, left out",
)  # fmt: skip
right.invert_yaxis()
right.set_xlabel("gap to $\\log p$, nats a pair")
right.legend(fontsize=8, loc="lower right")
plt.show()

# %% [markdown]
# *Figure 2. Left: what each view says of the content of one pair, the mixture that (5) uses, and what both say
# together. Right: mean gap between $\log p(v_a, v_p)$ and the bound, for three ways to pool the same encoders.*
#
# *Measured:* with these encoders the mixture has the widest gap. It is no verdict, since encoders trained for their own
# bound would do better, each for its own. But it has a reason. Two views know more of the content than one, and the true
# posterior is narrower than what either says. A product can be narrower than its parts. A mixture, on average, can't: its entropy is
# at least the mean of theirs ($\mathrm{JS} \ge 0$). That is the price of encoders that read a single image.
#
# ### The package's class computes the same
#
# Slowly, from its own parts, for images; `terms_of` does it for any number of views:


# %%
def partitioned_vae(style_beta=1.0):
    """With the weights of (5), and nothing that is added to it."""
    return create(
        "partitioned_vae", image_shape=train.image_shape, latent_dim=8,
        style_dim=2, arch="mlp-small", style_beta=style_beta, align_weight=0.0,
        warmup=0.0, seed=seed,
    ).to(device)  # fmt: skip


def terms_of(vae, views):
    """−log p [i, j] of view i with content of view j; KLs of c and s [i]."""
    shape = views.shape[:2]
    mean, log_var = (
        each.unflatten(0, shape) for each in vae.posterior(views.flatten(0, 1))
    )
    z = vae.draw(mean, log_var, torch.Generator(device).manual_seed(1))
    nll = torch.zeros(shape[1], shape[1], device=device)
    for i in range(shape[1]):
        for j in range(shape[1]):  # style from view i, content from view j
            code = torch.cat([z[:, j, :6], z[:, i, 6:]], 1)
            picture = vae.decoder(code)
            nll[i, j] = vae.reconstruction_nll(picture, views[:, i]).mean()
    content = losses.gaussian_kl(mean[..., :6], log_var[..., :6]).mean(0)
    style = losses.gaussian_kl(mean[..., 6:], log_var[..., 6:]).mean(0)
    return nll, content, style


# %% tags=["theorem:class"]
def views_of(members):
    generator = torch.Generator(device).manual_seed(seed)
    return law(train.images[:32], members, generator)[0]


vae = partitioned_vae()
nll, kl_c, kl_s = terms_of(vae, views_of(2))
pair = (nll / 2).sum() + (kl_c / 2).sum() + kl_s.sum()  # −(5), nats a pair
fast, _ = vae.loss(views_of(2), torch.Generator(device).manual_seed(1))
torch.testing.assert_close(pair / 2, fast)  # the class counts a view

# %% [markdown]
# ## Content in the style part
#
# Nothing in (5) says that $s$ *must not* hold content. If $s_a$ describes all of $v_a$, the decoder may ignore $c$, and
# self and swap are both perfect. We call content in $s$ a **leak**. In the words of disentanglement, the style part is not
# *modular* (it serves two purposes), and if $c$ has the content as well, that is not *complete* (it is spread over both).
#
# What stands against it is the **rate**, as rate-distortion theory calls the nats that a code may hold; in (5) they are
# the KLs. Content in $c$ is paid once a pair; in the styles it is paid in every view. How much does that help? Give the
# KLs weights $\beta_c$ and $\beta_s$, as one does in practice. Take one pixel $v = \text{content} + \text{error}$, in
# units of its standard deviation, whose values in two views of an image correlate by $\kappa$: with $\kappa < 1$ no view
# shows the content exactly. It may be written into the content code, the style code, or both. Let $\rho_c$ and $\rho_s$
# be the correlations of the codes with the pixel.
#
# ```{prf:proposition} All or nothing
# :label: pl-price
#
# Let each part of the code be a number, a multiple of the pixel plus Gaussian noise, and the decoder linear with noise
# $\sigma^2$. For $J$ views and given $\rho_c$, $\rho_s$, the best weights leave (5), as a cost a group and up to constants, at
#
# \begin{align*} \frac{J}{2\sigma^2} & \cdot \frac{1}{1 + \mathrm{snr}_c + \mathrm{snr}_s}
#    - \frac{\beta_c}2 \log(1 - \rho_c^2) - \frac{J \beta_s}2 \log(1 - \rho_s^2), \tag{7} \\
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
# and $\mu\rho_c\rho_s$ with the style code. Two readings with correlations $r_1$, $r_2$ to a target of variance 1, and
# $r_1 r_2$ to each other, leave by least squares the error
# $(1 - r_1^2)(1 - r_2^2)/(1 - r_1^2 r_2^2) = 1/(1 + \mathrm{snr}_1 + \mathrm{snr}_2)$, where $\mathrm{snr}_i = r_i^2 / (1 -
# r_i^2)$.
#
# *$\kappa = 1$.* Then $\mu = 1$, and each rate is $\frac12 \log(1 + \mathrm{snr})$. For a given sum $S$ of both ratios the
# error is given, and $\frac{\beta_c}2 \log(1 + x) + \frac{J\beta_s}2 \log(1 + S - x)$ is strictly concave in $x =
# \mathrm{snr}_c \in [0, S]$. Its minimum is at an end: $\frac b2 \log(1 + S)$ with $b = \min(\beta_c, J\beta_s)$. The sum
# with $\frac{J}{2\sigma^2}/(1 + S)$ is least at $1 + S = \max(1, J / b\sigma^2)$.
# ```
#
# With one exact content and true weights, $\beta_c = \beta_s = 1$, content is safe. For $\kappa < 1$ a share $1 - \kappa$
# of the pixel is the view's own: style, by (1). The style code that writes it takes the common share along, since
# $q(s|v)$ does not see the other view. Then a second copy in content is hardly worth its rate.


# %%
def cost_of_a_pixel(rho2_c, rho2_s, beta_s, kappa, sigma2, beta_c, J):
    """(7), for squared correlations of both codes with the pixel."""
    mu = (1 + (J - 1) * kappa) / J
    r = mu**2 * rho2_c
    snr = r / (1 - r) + rho2_s / (1 - rho2_s)
    rate_c, rate_s = -0.5 * np.log1p(-rho2_c), -0.5 * np.log1p(-rho2_s)
    cost = J / (2 * sigma2 * (1 + snr))
    return cost + beta_c * rate_c + J * beta_s * rate_s


STEP = math.log(10) * 7 / 399  # of log(1 + snr) between the grid's points
GRID = 1 - np.exp(-STEP * np.arange(400))  # squared correlations to try


def split_of_a_pixel(beta_s, kappa, sigma2=0.01, beta_c=1.0, J=2):
    """Minimum of (7): its cost, and what each part explains of the pixel."""
    cost = cost_of_a_pixel(
        GRID[:, None], GRID, beta_s, kappa, sigma2, beta_c, J
    )
    i, k = np.unravel_index(cost.argmin(), cost.shape)
    r = ((1 + (J - 1) * kappa) / J) ** 2 * GRID[i]
    a, b = r / (1 - r), GRID[k] / (1 - GRID[k])  # snr
    return cost[i, k], a / (1 + a + b), b / (1 + a + b)


# %% tags=["theorem:price"]
for J in (2, 5):
    for b_c, b_s, sigma2 in np.exp(randn(40, 3).numpy()):
        cost, in_c, in_s = split_of_a_pixel(b_s, 1.0, sigma2, b_c, J)
        least = min(b_c, J * b_s)
        best = max(1, J / (sigma2 * least))  # 1 + S
        excess = cost - J / (2 * sigma2 * best) - least / 2 * math.log(best)
        # the grid's next point is half a step away in log(1 + S), at most
        most = least / 2 * (math.exp(STEP / 2) - 1 - STEP / 2)
        assert -1e-9 < excess < most + 1e-9
        written = in_c + in_s > 0
        assert min(in_c, in_s) == 0 and (written or best < math.exp(STEP))
        assert not written or best > 1
        assert not written or (in_c > in_s) == (b_c < J * b_s)


# %% [markdown]
# That is the second half of the proposition. For the first, go back to where (7) came from: a content code $a v +
# $ noise with decoder weight $U$, a style code $b v + $ noise with $W$. Fix both correlations with the pixel, write (5)
# out with own and swapped contents, and let gradient descent find the weights and the scales. What is left must be (7).


# %%
def cost_of_codes(raw, rho2_c, rho2_s, beta_s, kappa, sigma2, beta_c, J):
    """(5) as a cost a group, without constants; codes are w·v + noise."""
    U, a, W, b = raw
    rho2 = torch.tensor([rho2_c, rho2_s]).double()
    noise_c, noise_s = torch.stack([a, b]) ** 2 * (1 - rho2) / rho2
    cost = 0
    for correlation, share in ((1, 1 / J), (kappa, 1 - 1 / J)):  # self, swap
        left_over = (1 - W * b) ** 2 - 2 * (1 - W * b) * U * a * correlation
        left_over = left_over + (U * a) ** 2 + U**2 * noise_c + W**2 * noise_s
        cost = cost + share * J * left_over / (2 * sigma2)
    for w, var, weight in ((a, noise_c, beta_c), (b, noise_s, J * beta_s)):
        kl = 0.5 * (w**2 + var - var.log() - 1)
        cost = cost + weight * kl
    return cost


def descended(*setting):
    """Its least value over weights and scales, by gradient descent."""
    raw = torch.full((4,), 0.5).double().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [raw], max_iter=300, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-14,
    )  # fmt: skip

    def closure():
        optimiser.zero_grad()
        cost = cost_of_codes(raw, *setting)
        cost.backward()
        return cost

    optimiser.step(closure)
    return closure().item()


# %% tags=["theorem:cost"]
for J in (2, 2, 3, 5):
    rho2_c, rho2_s, kappa = torch.rand(3, generator=draw).mul(0.9).add(0.05)
    beta_s, sigma2, beta_c = torch.rand(3, generator=draw).add(0.2)
    setting = *map(float, (rho2_c, rho2_s, beta_s, kappa, sigma2, beta_c)), J
    formula = cost_of_a_pixel(*setting)
    assert abs(descended(*setting) - formula) < 1e-8 * formula, setting

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

# %% tags=["hide-input"]
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
# *Figure 3. Which part explains a pixel whose share κ is content? Shares of its variance at the optimum of (7), with
# $\sigma^2 = 0.01$, against the weight of style's KL; what is white, no part explains. Where the style part holds the
# pixel, a swapped picture takes it from the wrong source. Dotted: the true bound, $\beta_s = 1$. Left, both views show
# the content exactly; to the right, less and less.*

# %%
ratio = weights[1] / weights[0]  # of two weights that are next to each other
assert 0.5 / ratio < tips[1.0] < 0.5 * ratio**2, "the proposition's β_c / J"
assert tips[1.0] < tips[0.97] < tips[0.9]
assert leak[0.9][weights == 1.0, 2] > leak[0.9][weights == 1.0, 1]
pd.Series(tips, name="β_s").rename_axis("κ").to_frame().round(2)

# %% [markdown]
# *Table 1. The weight of style's KL from which on the content part explains more of the pixel than the style part.*
#
# **Leak 1: content into style.** *What lets it:* a style part that is wide enough and cheap enough, or views that show
# the content imperfectly, as crops and noise do. At the true weights the optimum of the bound itself may leak. *What
# stops it:* a narrow style part, which has no room; $\beta_s$ above 1, which squeezes true style as well; views that
# lose less. The package's default is $\beta_s = 6$.
#
# **The opposite, style in $c$.** The swap stops it in a VAE: the other view's content cannot know this view's style. A
# plain $\beta$-VAE, whose last dimensions are only *called* style, has no swap and no reason to split in any way.
#
# ## A map of relatives
#
# | who | what views share | what style is asked | what it needs beside pairs | here |
# |---|---|---|---|---|
# | [ML-VAE](https://arxiv.org/abs/1705.08841) | content, product of posteriors | rebuild, KL | groups (of a class, there) | `ml_vae` |
# | [GVAE](https://arxiv.org/abs/1809.02383) | content, mean of posteriors | rebuild, KL, few dimensions | groups | `gvae` |
# | [Swap-VAE](https://arxiv.org/abs/2111.02338) | content as a point: swap, and attract | rebuild, KL | nothing | `swap_vae` |
# | ours | content, mixture of posteriors: swap | rebuild, KL | nothing | `partitioned_vae` |
# | ours | BYOL on the content half | repel | one law for both views | `partitioned_byol` |
# | [DDCL](https://arxiv.org/abs/2303.05066) | SimSiam on the content half | be orthogonal, with a predictor | nothing | `ddcl` |
# | [LooC](https://arxiv.org/abs/2008.05659) | one head for all augmentations | a head for each augmentation, invariant to the others | views that share one augmentation | – (`shared_contrast` is nearest) |
# | [AugSelf](https://arxiv.org/abs/2111.09613) | BYOL, or another, on the whole code | tell how parameters differ | the parameters | `augself`, and `augmentation` on a style half |
# | [von Kügelgen et al.](https://arxiv.org/abs/2106.04619) | align, and keep entropy | nothing: no style part | style that changes enough | `infonce` on a content half |
# | [Locatello et al.](https://arxiv.org/abs/2002.02886) | what the pair did not change | rebuild, KL | pairs that change few coordinates | – |
# | [Eastwood et al.](https://arxiv.org/abs/2311.08815) | a space invariant to all | spaces invariant to all augmentations but one | views that share augmentations | – |
#
# Read it by its fourth column: the less a method is told, the less its style part can be held to. How much that is,
# `theory/style_identifiability` asks.
#
# ## What this does not show
#
# - **What Lee & Choi did.** We know their abstract. (5) is our reading, and another may be theirs.
# - **That leaks happen where Figure 3 says.** It is one Gaussian pixel at the optimum. Training may stop elsewhere, and
#   does.
# - **That the bound fixes the code.** It does not, even where nothing leaks: `theory/style_identifiability`.
# - **That a trained VAE splits.** `methods/partitioned_vae` trains one, and has its swaps judged.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Derive (5) for $J$ views, with the even mixture of $J$ one-view posteriors. Write `weights_of(J)`: the
# weights of each of the $J^2$ reconstructions (view $i$ from the content of view $j$), of each content KL and of each
# style KL, in nats a *group*.
#
# <details><summary>Hint</summary>
#
# The mixture draws a content from view $j$ with probability $1/J$, and each view has a style of its own.
#
# </details>


# %% tags=["solution", "hide-input"]
def weights_of(J):
    """J views → the weights of (reconstruction, content KL, style KL)."""
    # the mixture draws each content with probability 1/J
    return 1 / J, 1 / J, 1.0


# %% tags=["check"]
for J_ in (2, 3, 5):
    terms = terms_of(vae, views_of(J_))
    group = sum(
        w * term.sum() for w, term in zip(weights_of(J_), terms, strict=True)
    )
    ours, _ = vae.loss(views_of(J_), torch.Generator(device).manual_seed(1))
    torch.testing.assert_close(group / J_, ours)

# %% tags=["hidden", "remove-cell"]
of_all = 16 * weights_of(4)[0]
assert abs(of_all - 4) < 1e-9, f"four views are rebuilt, in all {of_all} times"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Decoding twice is dear. Show that an alignment of the two content posteriors can stand in for the swap:
# if $\log p(v_a|c, s)$ varies over a range of at most $M$ as $c$ varies, then $|\mathrm{swap}(a) - \mathrm{self}(a)| \le M
# \sqrt{\mathrm{KL}(q_a\|q_p)/2}$. (Pinsker: total variation is at most $\sqrt{\mathrm{KL}/2}$.) Write `allowance(M,
# mu_a, mu_p, var)` for one-dimensional Gaussians with one variance.
#
# <details><summary>Hint</summary>
#
# The KL of two Gaussians of one variance is $(\mu_a - \mu_p)^2 / 2\,$var.
#
# </details>


# %% tags=["solution", "hide-input"]
def allowance(M, mu_a, mu_p, var):
    """M in nats, three numbers → nats."""
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
            Normal(mu, var**0.5).log_prob(grid).exp() * log_likelihood(grid),
            grid,
        )
        for mu in (mu_a, mu_p)
    )
    tightest.append(abs(swap_ - self_) / allowance(3, mu_a, mu_p, var))
assert all(ratio <= 1 for ratio in tightest), (
    "a difference is larger than its allowance"
)
assert max(tightest) > 0.5, "an allowance that is far too generous"

# %% tags=["hidden", "remove-cell"]
assert allowance(1.0, 0.3, 0.3, 2.0) == 0, "equal posteriors"
assert abs(allowance(2.0, 0.0, 1.0, 1.0) - 1) < 1e-9
assert abs(allowance(1.0, 0.0, 1.0, 4.0) - 0.25) < 1e-9, "a variance of 4"

# %% [markdown]
# **3 (a research question, 6 points, 60 minutes).** In Figure 3 leaks come of views that show the content imperfectly. Do more views of each
# image help? Write `tip(kappa, J)`: the first of `weights` at which the content part explains more of the pixel than the
# style part (`math.nan` if there is none). Look at $\kappa = 1$ and $0.9$ for $J$ from 2 to 16. Then ask why: more views
# tell more of the content, but does a mixture make use of it? What would ML-VAE's product do?
#
# <details><summary>Hint</summary>
#
# `split_of_a_pixel(weight, kappa, J=J)` gives what each part explains. Go through `weights` from the first.
#
# </details>


# %% tags=["solution", "hide-input"]
def tip(kappa, J):
    """→ one of `weights`, or math.nan."""
    for b in weights:
        _, in_c, in_s = split_of_a_pixel(b, kappa, J=J)
        if in_c > in_s:
            return b
    return math.nan


# %% tags=["check"]
table = pd.DataFrame(
    {
        kappa: {J_: tip(kappa, J_) for J_ in (2, 4, 8, 16)}
        for kappa in (1.0, 0.9)
    }
)
for J_ in (2, 4, 8):  # β_c / J, between two weights
    assert 1 / (J_ * ratio) < table.loc[J_, 1.0] < ratio**2 / J_, (
        f"J = {J_}, κ = 1: {table.loc[J_, 1.0]}, expected near 1/J"
    )
assert table[0.9].is_monotonic_increasing, (
    f"κ = 0.9, J up: {table[0.9].to_list()}"
)  # they do not
assert math.isnan(tip(0.5, 2)), (
    "κ = 0.5: the content part explains more at none of `weights`"
)
assert math.isclose(tip(0.9, 2), tips[0.9]), "two views: as in Figure 3"
table.rename_axis(index="J", columns="κ").round(2)

# %% tags=["hidden", "remove-cell"]
assert math.isclose(tip(1.0, 16), table.loc[16, 1.0]), "16 views"
assert tip(1.0, 4) < tip(1.0, 2), "more views, an earlier tip"

# %% [markdown]
# ## References
#
# Works of the map are linked there; the book's list of references has them in full.
#
# - D. Bouchacourt, R. Tomioka, S. Nowozin. *Multi-Level Variational Autoencoder.* AAAI 2018.
#   [arXiv:1705.08841](https://arxiv.org/abs/1705.08841)
# - H. Hosoya. *Group-based Learning of Disentangled Representations with Generalizability for Novel Contents.* IJCAI
#   2019. [arXiv:1809.02383](https://arxiv.org/abs/1809.02383)
# - H. Lee, H. Choi. *Partitioning Image Representation in Contrastive Learning.* 2022.
#   [arXiv:2203.10454](https://arxiv.org/abs/2203.10454)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

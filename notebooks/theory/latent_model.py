# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The model behind self-supervision
#
# *Which probability model do self-supervised losses fit, and what of it do they leave out?*
#
# **You will learn**
# - to derive the bound of SimVE from three lines of assumptions, and to integrate the unknown centre of a group out,
# - what instance discrimination, InfoNCE, clustering, VICReg and BYOL keep of that bound, with proofs,
# - why what they leave out is the style, and to watch it go, in two dimensions,
# - what a temperature means, and when a similarity *is* a pointwise mutual information.
#
# **You need** `start_here`, Gaussian densities, Jensen's inequality, and InfoNCE from
# `theory/infonce_bound`.
#
# **Time:** two to three hours to read (stop before *Why that collapses style* and before *The tie*); 40 seconds to run.
#
# The model is that of [Bizeul, Schölkopf & Allen (2024)](https://arxiv.org/abs/2402.01399), whose *abstract* and public
# code we have read and whose text we could not. Every derivation below is therefore ours, and so are its mistakes. What
# the paper's abstract claims, in our words: several families of self-supervised losses induce, approximately, the same
# distribution over codes as one latent-variable model; they discard style on the way; and a loss that keeps the whole
# bound need not.

# %% tags=["parameters"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0: 16 for what moves, else as they are
# [0 or more]
sigma2 = 0.15  # σ², the variance of p(z|y) [above 0]
gamma2 = 0.85  # γ², the variance of a Gaussian p(y) [above 0]
pictures = 6  # images whose views become moving points [1 or more]
members = 12  # views of each of them, J [2 or more]
moves = 1200  # steps of the moving points [1 or more]
seed = 0  # the first seed [seed]
seeds = 3  # encoders trained for the projection head, one after the other
# [1 or more]
steps = 300  # training steps of each of them [1 or more]
probe_views = 3000  # views that a probe learns from; half as many test it
# [10 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup"]
import copy
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from matplotlib.colors import to_rgba
from scipy import optimize
from torch import nn
from torch.distributions import MultivariateNormal, Normal
from torch.nn import functional as F

import mdlib
from mdlib import data, losses, mi
from mdlib.devices import pick_device
from mdlib.evaluation import probes, protocol, statistics
from mdlib.figures import plots, tables
from mdlib.methods import create
from mdlib.mi import bounds, critics, tasks
from mdlib.notebook import provenance
from mdlib.training import ImageViews, fit
from mdlib.views import Views, style

plots.theme()
started = time.time()
device = pick_device(device)
draw = torch.Generator().manual_seed(seed)


def randn(*shape):
    """Normal numbers in double precision: this chapter compares formulas."""
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


# %% [markdown]
# ## The model
#
# Somebody has an image in mind, and shows it $J$ times. The image is a point $y$. Each showing is a **view**: a code
# $z^j$ somewhere near $y$, and a picture $x^j$ drawn from that code.
#
# $$ y \sim p(y), \qquad z^j \,|\, y \sim \mathcal{N}(y, \sigma^2 I), \qquad x^j \,|\, z^j \sim p_\theta(x|z),
#    \qquad j = 1 \dots J. \tag{1} $$
#
# What $y$ says is **content**, common to the group. Where $z^j$ lies around $y$ is **style**. Only the pictures are
# seen, and which of them belong together.

# %%
y = gamma2**0.5 * randn(7, 1, 2)
z = y + sigma2**0.5 * randn(7, 40, 2)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9))
nodes = {
    "y": (0, "content", "w"),
    "z^j": (1.3, "code", "w"),
    "x^j": (2.6, "picture", "0.8"),
}
for name, (at, what, colour) in nodes.items():
    left.add_patch(
        plt.Circle((at, 0), 0.25, fc=colour, ec="k", lw=1.2, zorder=2)
    )
    left.text(at, 0, f"${name}$", ha="center", va="center", size=14)
    left.text(at, -0.48, what, ha="center", va="center", size=9)
for at, arrow in [(0.28, "$p(z|y)$"), (1.58, r"$p_\theta(x|z)$")]:
    props = {"arrowstyle": "-|>", "color": "k"}
    left.annotate("", (at + 0.76, 0), (at, 0), arrowprops=props)
    left.text(at + 0.33, 0.1, arrow, ha="center", size=9)
left.add_patch(plt.Rectangle((0.93, -0.8), 2.05, 1.3, fill=False, ec="0.4"))
left.text(2.92, -0.73, "$j = 1 … J$", ha="right", size=8)
left.set(xlim=(-0.4, 3.1), ylim=(-1, 0.8), aspect="equal")
left.axis("off")
for i in range(len(y)):
    right.plot(*z[i].T, ".", ms=3, alpha=0.6, color=f"C{i}")
    right.add_patch(plt.Circle(y[i, 0], sigma2**0.5, fill=False, ec=f"C{i}"))
right.plot(*y[:, 0].T, "k+", ms=8)
right.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
plt.show()

# %% [markdown]
# *Figure 1. Left: the model; the grey circle is observed, the frame is repeated for each view. Right: seven groups
# drawn from it in two dimensions: centres $y$ (crosses), circles of radius σ, and 40 codes $z$ of each.*
#
# ## The bound
#
# ```{prf:theorem} The bound for J related samples
# :label: lm-elbo
#
# For every encoder $q(z|x)$ applied to each view by itself,
#
# \begin{align*} \log p(x^1 \dots x^J) \ge \;& \underbrace{\textstyle\sum_j \mathbb{E}_q[\log p_\theta(x^j|z^j)]}_{\text{reconstruction}}
#  + \underbrace{\textstyle\sum_j H[q(z^j|x^j)]}_{\text{entropy}}
#  + \underbrace{\mathbb{E}_q[\log p(z^1 \dots z^J)]}_{\text{group prior}}, \tag{2} \\
#  p(z^1 \dots z^J) = \;& \int p(y) \textstyle\prod_j p(z^j|y) \, dy, \tag{3} \end{align*}
#
# and the difference of both sides is $\mathrm{KL}\big(\prod_j q(z^j|x^j) \,\|\, p(z^1 \dots z^J|x^1 \dots x^J)\big)$.
# ```
#
# ```{prf:proof}
# Write $x$, $z$ for all views and codes of a group, and $q(z|x) = \prod_j q(z^j|x^j)$. Given its code, a picture
# depends on nothing else, so $p(x, z) = p(z) \prod_j p_\theta(x^j|z^j)$. For every $z$, $\log p(x) = \log p(x, z) -
# \log p(z|x)$. Take the mean over $q$, and add and subtract $\log q(z|x)$: $\log p(x) = \mathbb{E}_q[\log p(x, z) -
# \log q(z|x)] + \mathrm{KL}(q(z|x) \| p(z|x))$. The first term is (2), since the entropy of a product is the sum of
# entropies, and the second is not negative.
# ```
#
# The bound's encoder treats views as strangers; the posterior does not, for two views of one image have a common
# centre. So for $J \ge 2$ and noisy pictures (2) cannot be tight, even with the best $q$. What does that cost? Where everything is Gaussian one can say.
# Let $x^j = z^j + \mathcal{N}(0, \sigma_x^2)$ in one dimension, so that the posterior has a precision matrix $\Lambda$.
# The best product of Gaussians has the right means and variances $1/\Lambda_{jj}$, and the difference is $\frac12
# (\sum_j \log \Lambda_{jj} - \log\det\Lambda)$ nats.


# %%
def covariance(J):
    """Of the codes of a group, in each dimension: σ² I + γ² 11ᵀ."""
    return sigma2 * torch.eye(J).double() + gamma2


def bound_and_gap(x, noise):
    """(2) at its best q for x = z + N(0, noise), [B, J] → [B]; and its gap."""
    J = x.shape[1]
    prior = covariance(J)
    precision = prior.inverse() + torch.eye(J) / noise  # Λ
    mean, variance = x @ precision.inverse() / noise, 1 / precision.diag()
    log_variance = variance.log().expand_as(mean)[..., None]
    explained = Normal(mean, noise**0.5).log_prob(x) - variance / (2 * noise)
    group = losses.expected_group_prior(
        mean[..., None], log_variance, sigma2, gamma2
    )
    entropy = losses.gaussian_entropy(log_variance)
    gap = (precision.diag().log().sum() - precision.logdet()) / 2
    truth = MultivariateNormal(
        torch.zeros(J).double(), prior + noise * torch.eye(J)
    )
    bound = (explained + entropy).sum(1) + group
    torch.testing.assert_close(bound + gap, truth.log_prob(x))
    return gap.item()


gaps = pd.DataFrame(
    {f"σx²/σ² = {r:g}": [bound_and_gap(randn(5, J), r * sigma2) for J in (1, 2, 6, 20)]
     for r in (0.01, 0.1, 1, 10)},
    pd.Index([1, 2, 6, 20], name="J"),
)  # fmt: skip
gaps.round(4)

# %% [markdown]
# *Table 1. Nats that the factorised encoder loses, per group and dimension, by the number of views and the noise of a
# picture. The sum of bound and gap is the true likelihood: the cell asserts it.* Pictures that show their code clearly
# cost little. With one view there is nothing to lose, and noisy pictures of one image should be read together.
#
# ## Integrate the centre out
#
# Nobody knows $y$. One could learn a centre for each image. It is not needed:
#
# ```{prf:theorem} The group prior in closed form
# :label: lm-centre
#
# Let $\bar z = \frac1J \sum_j z^j$ in $D$ dimensions. For every $p(y)$,
#
# $$ \log p(z^1 \dots z^J) = \underbrace{-\frac{1}{2\sigma^2} \sum_j \|z^j - \bar z\|^2}_{\text{pinch}}
#    - \frac{D(J-1)}{2} \log 2\pi\sigma^2 - \frac D2 \log J + \log (p * \mathcal{N}_{\sigma^2/J})(\bar z), \tag{4} $$
#
# where the last term is the density of $y$ plus noise of variance $\sigma^2/J$, at $\bar z$. It is $\log c$ if $p(y) =
# c$ is flat, and $\log \mathcal{N}(\bar z; 0, (\gamma^2 + \sigma^2/J) I)$ if $p(y) = \mathcal{N}(0, \gamma^2 I)$.
# ```
#
# ```{prf:proof}
# $\sum_j \|z^j - y\|^2 = \sum_j \|z^j - \bar z\|^2 + J \|\bar z - y\|^2$, the mixed term being zero. So $\prod_j
# \mathcal{N}(z^j; y, \sigma^2 I) = (2\pi\sigma^2)^{-JD/2}\, e^{-\sum_j \|z^j - \bar z\|^2 / 2\sigma^2}\,
# (2\pi\sigma^2/J)^{D/2}\, \mathcal{N}(\bar z; y, \tfrac{\sigma^2}{J} I)$. Only the last factor knows $y$, and its
# integral against $p(y)$ is the convolution. The powers of $2\pi\sigma^2$ and $J$ add up as stated. The sum of two
# independent Gaussians is a Gaussian.
# ```
#
# `mdlib` has it as `losses.group_prior`. Ask others. With a Gaussian $p(y)$, the group is jointly normal in each
# dimension; with a flat one, take the integral numerically.

# %%
for J in (1, 2, 5):
    z = randn(4, J, 3)
    joint = MultivariateNormal(torch.zeros(J).double(), covariance(J))
    slow = joint.log_prob(z.mT).sum(1)  # [groups, dimensions], summed
    torch.testing.assert_close(losses.group_prior(z, sigma2, gamma2), slow)

    grid = torch.linspace(-12, 12, 20_001).double()
    each = Normal(grid, sigma2**0.5).log_prob(z[..., None]).sum(1)  # of p(z|y)
    slow = torch.trapezoid(each.exp(), grid).log().sum(1)
    torch.testing.assert_close(losses.group_prior(z, sigma2), slow)

# %% [markdown]
# Three facts that the rest of the chapter leans on. The pinch may be written with **pairs** only; its **gradient**
# pulls each view to the mean, whether or not one differentiates through the mean; and under the encoder's Gaussians its
# **expectation** is exact, so that nothing needs to be sampled:
#
# \begin{align*} \sum_j \|z^j - \bar z\|^2 & = \frac1J \sum_{i<j} \|z^i - z^j\|^2, \qquad
#    \frac{\partial}{\partial z^j} \sum_k \|z^k - \bar z\|^2 = 2 (z^j - \bar z), \tag{5} \\
#    \mathbb{E}_q \sum_j \|z^j - \bar z\|^2 & = \sum_j \|\mu^j - \bar\mu\|^2 + \Big(1 - \frac1J\Big) \sum_{j, d} s_{jd}^2, \qquad
#    \mathbb{E}_q \|\bar z\|^2 = \|\bar\mu\|^2 + \frac{1}{J^2} \sum_{j, d} s_{jd}^2. \tag{6} \end{align*}
#
# So for two views the pinch is $-\|z^1 - z^2\|^2 / 4\sigma^2$. (5) is a line of algebra, and (6) is the variance of a
# difference.

# %%
J, z = 5, randn(4, 5, 3).requires_grad_()
pinch = (z - z.mean(1, keepdim=True)).square().sum((1, 2))
torch.testing.assert_close(
    pinch, torch.cdist(z, z).square().sum((1, 2)) / (2 * J)
)
detached = (z - z.mean(1, keepdim=True).detach()).square().sum()
both = [torch.autograd.grad(loss, z)[0] for loss in (pinch.sum(), detached)]
torch.testing.assert_close(*both)

mean, log_variance = randn(4, J, 3), randn(4, J, 3) - 1
samples = mean + (0.5 * log_variance).exp() * randn(20_000, 4, J, 3)
for centre_variance in (None, gamma2):
    exact = losses.expected_group_prior(
        mean, log_variance, sigma2, centre_variance
    )
    values = losses.group_prior(samples.flatten(0, 1), sigma2, centre_variance)
    values = values.view(20_000, 4)
    assert (
        (values.mean(0) - exact).abs() < 5 * values.std(0) / 20_000**0.5
    ).all()

# %% [markdown]
# What does the group prior ask of two views? In one dimension it can be drawn.

# %%
axis = torch.linspace(-2.5, 2.5, 200).double()
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2, 1)
alone = (
    losses.group_prior(grid.view(-1, 1, 1), sigma2, 1 - sigma2)
    .view(-1, 2)
    .sum(1)
)
asked = {
    "strangers (VAE)": alone,
    "group, Gaussian p(y)": losses.group_prior(grid, sigma2, gamma2),
    "group, flat p(y)": losses.group_prior(grid, sigma2),
}
_, panels = plt.subplots(1, 3, figsize=(7, 2.6), sharey=True)
for panel, (title, value) in zip(panels, asked.items(), strict=True):
    value = (value - value.max()).view(200, 200)
    panel.contourf(axis, axis, value.clamp(min=-8), levels=17, cmap="mako")
    lines = panel.contour(
        axis, axis, value, [-4, -2, -0.5], colors="w", linewidths=0.8
    )
    panel.clabel(lines, fontsize=7)
    panel.set(xlabel="$z^1$", aspect="equal")
    panel.set_title(title, size=10)
    panel.grid(False)
panels[0].set_ylabel("$z^2$")
plt.show()

# %% [markdown]
# *Figure 2. log p(z¹, z²) below its maximum, in nats. A VAE asks both codes to be near 0, each by itself. The group
# prior asks them to be near each other. With a flat p(y) nothing else is asked: content is free of charge, and only
# style pays.*
#
# ### With one view, this is the VAE
#
# ```{prf:corollary} SimVE with J = 1
# :label: lm-vae
#
# With $J = 1$ and a Gaussian $p(y)$ with $\gamma^2 = 1 - \sigma^2$, (2) is the ELBO of a VAE, term by term.
# ```
#
# ```{prf:proof}
# In (4) the pinch and its constants vanish, and $\gamma^2 + \sigma^2/J = 1$: the group prior is $\log\mathcal{N}(z; 0,
# I)$. Entropy and expected log-prior are minus the KL divergence.
# ```
#
# The two classes of `mdlib` are written from different formulas. Same weights, same noise, same loss, same gradients?

# %%
shape = {
    "image_shape": (1, 8, 8),
    "latent_dim": 4,
    "arch": "mlp-small",
    "seed": seed,
}
views = torch.rand(32, 1, 1, 8, 8, generator=draw)  # 32 images, one view each
found = []
for name, options in [
    ("vae", {}),
    ("simve", {"centres": "gaussian", "variance": sigma2}),
]:
    method = create(name, **shape, **options)
    loss, _ = method.loss(views, torch.Generator().manual_seed(seed))
    loss.backward()
    found.append([loss.detach(), *(p.grad for p in method.parameters())])
torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)

# %% [markdown]
# ### With a flat p(y), σ² says nothing
#
# ```{prf:proposition} σ² is a unit of length (our derivation)
# :label: lm-scale
#
# Multiply all codes by $\alpha$: the encoder's $\mu$ and $s$ by $\alpha$, the decoder's input by $1/\alpha$, and
# $\sigma^2$ by $\alpha^2$. With a flat $p(y) = c$, (2) grows by $D \log\alpha$, whatever the data. So no data can
# prefer one $\sigma^2$ to another. With a Gaussian $p(y)$ the same holds for $\gamma^2/\sigma^2$: only this ratio
# matters.
# ```
#
# ```{prf:proof}
# Reconstructions do not change. The entropy grows by $JD \log\alpha$. The pinch does not change, but $-\frac{D(J-1)}{2}
# \log 2\pi\sigma^2$ falls by $(J-1) D \log\alpha$. (The remainder is the density $c$, which refers to a volume: for
# codes in a region that is blown up by $\alpha$, it is $c\,\alpha^{-D}$, and even the constant goes.) With a Gaussian
# $p(y)$ and $\gamma^2$ times $\alpha^2$, its term falls by $D \log\alpha$, and the bound does not change at all.
# ```
#
# The last layer of the encoder and the first one of the decoder can absorb $\alpha$. Let them:


# %%
def stretched(method, alpha, **variances):
    """A copy of a SimVE whose codes are alpha times as long."""
    copied = copy.deepcopy(method)
    D, last = (
        method.latent_dim,
        [m for m in copied.encoder if hasattr(m, "bias")][-1],
    )
    with torch.no_grad():
        for weight in (last.weight, last.bias):
            weight[:D] *= alpha  # the means
        last.bias[D:] += 2 * math.log(alpha)  # the log-variances
        copied.decoder[0].weight /= alpha
    for name, value in variances.items():
        setattr(copied, name, value)
    return copied


def change(centres, *names, alpha=3.0):
    """By how much the loss, in nats a view, changes; named variances times alpha²."""
    method = create("simve", **shape, centres=centres, variance=sigma2)
    views = torch.rand(
        32, 2, 1, 8, 8, generator=torch.Generator().manual_seed(1)
    )
    scaled = {name: getattr(method, name) * alpha**2 for name in names}
    both = (method, stretched(method, alpha, **scaled))
    a, b = (m.loss(views, torch.Generator().manual_seed(2))[0] for m in both)
    return (b - a).item()


constant = 4 * math.log(3) / 2  # D log α / J
assert abs(change("flat", "variance") + constant) < 1e-3
assert abs(change("gaussian", "variance", "centre_variance")) < 1e-3
assert abs(change("gaussian", "variance")) > 0.1  # the ratio does matter

# %% [markdown]
# So with a flat $p(y)$, a sweep over $\sigma^2$ sweeps the initial scale of the codes and the speed of learning, and
# nothing that the model means.
#
# ## What five methods keep of it
#
# Discriminative methods have no decoder, and their encoder gives a point: (2) loses its reconstruction term, and the
# entropy with it. What is left, the group prior alone, is with a flat $p(y)$ largest, by (4), whenever each *group* is a
# point, wherever; with a Gaussian one, when all codes are one point. So something must hold groups apart: **spread**
# (uniformity, in the field's words; the pinch is alignment). It breaks a tie more than it fights the prior. The table is our reading, and each of its lines is a proposition below.
#
# | method | keeps, for $\log p(z \mid y)$ | in place of reconstruction | σ² |
# | --- | --- | --- | --- |
# | instance discrimination | a learned centre $w_y$ for each image: $z \cdot w_y / \tau$ | $-\log p(z)$, exactly | $\tau$ |
# | InfoNCE | the centre integrated out, $J = 2$: $z \cdot z' / \tau$ | $-\log p(z)$, by the batch | $\tau / 2$ |
# | clustering | the group prior of *guessed* groups | reassignment, balance | free |
# | VICReg | the pinch | covariance of the codes | free |
# | BYOL | the pinch to a predicted centre | nothing; dynamics | (scale fixed by cosine) |
# | VAE | groups of one | nothing: it keeps it | |
# | SimVE | all of it | nothing: it keeps it | $\sigma^2$ |
#
# ```{prf:proposition} Instance discrimination (our derivation)
# :label: lm-instance
#
# Let codes and centres $w_y$ be unit vectors, $p(z|y) = \mathcal{N}(z; w_y, \sigma^2 I)$ and $N$ images equally
# likely. At temperature $\tau = \sigma^2$, the log-softmax of instance discrimination is
# $\log p(y|z) = \log p(z|y) + \log p(y) - \log p(z)$.
# ```
#
# ```{prf:proof}
# $-\|z - w_y\|^2 / 2\sigma^2 = z \cdot w_y/\sigma^2 - 1/\sigma^2$, so $p(z|y) \propto e^{z \cdot w_y/\tau}$ with a
# factor that does not depend on $y$ and cancels in Bayes' rule.
# ```
#
# The loss of [Wu et al. (2018)](https://arxiv.org/abs/1805.01978) is thus the model's own classifier of images, and
# what it adds to $\log p(z|y)$ is $-\log p(z)$: codes should be where few other codes are.

# %%
w, z = (F.normalize(randn(n, 8), dim=1) for n in (50, 200))
of = torch.randint(50, (200,), generator=draw)
log_p = (
    Normal(w, sigma2**0.5).log_prob(z[:, None]).sum(2)
)  # log p(z|y), [200, 50]
log_p_z = log_p.logsumexp(1) - math.log(50)
kept = log_p[torch.arange(200), of] - math.log(50) - log_p_z
softmax = F.cross_entropy(z @ w.T / sigma2, of, reduction="none")
torch.testing.assert_close(-kept, softmax)

# %% [markdown]
# ```{prf:proposition} InfoNCE (our derivation)
# :label: lm-infonce
#
# For unit vectors and a flat $p(y)$, $\log p(z, z') = z \cdot z' / 2\sigma^2 + \text{constant}$. So the softmax of
# InfoNCE with cosines at $\tau = 2\sigma^2$ is the softmax of the group prior of pairs.
# ```
#
# ```{prf:proof}
# (4) and (5) with $J = 2$: $-\|z - z'\|^2 / 4\sigma^2 = z \cdot z' / 2\sigma^2 - (\|z\|^2 + \|z'\|^2) / 4\sigma^2$, and
# both norms are 1.
# ```
#
# Twice the temperature of {prf:ref}`lm-instance`, because the partner stands in for the centre and is itself off by σ.
# These are two models: there the centres lie on the sphere, here anywhere in $\mathbb{R}^D$. With a uniform centre *on the
# sphere* integrated out, three dimensions give the score $\log (\sinh \kappa r / \kappa r)$, $\kappa = 1/\sigma^2$, $r =
# \|z + z'\|$. It has slope $1/2\sigma^2 - \frac14$ in the cosine at 1, and falls more steeply from there.
# SimCLR's loss, made of SimVE's prior:

# %% tags=["theorem:infonce"]
u = F.normalize(randn(32, 2, 8), dim=-1)
codes, partner = u.flatten(0, 1), torch.arange(64) ^ 1
pairs = torch.stack(torch.broadcast_tensors(codes[:, None], codes), 2)
log_joint = losses.group_prior(pairs.flatten(0, 1), sigma2).view(64, 64)
log_joint.fill_diagonal_(-torch.inf)  # nobody is its own partner
from_prior = F.cross_entropy(log_joint, partner)
torch.testing.assert_close(
    from_prior, losses.info_nce(u, temperature=2 * sigma2)
)


def on_sphere(cosine):
    """Score with a centre on the sphere in three dimensions."""
    r = (2 + 2 * cosine) ** 0.5 / sigma2
    return r + math.log1p(-math.exp(-2 * r)) - math.log(2 * r)


centre = F.normalize(randn(400_000, 3), dim=1)
for cosine in (0.9, 0.5):  # by sampling the centre
    pair = torch.tensor(
        [[1, 0, 0], [cosine, (1 - cosine**2) ** 0.5, 0]]
    ).double()
    weight = (centre @ pair.sum(0) / sigma2).exp()
    error = weight.std() / weight.mean() / 400_000**0.5
    assert abs(weight.mean().log() - on_sphere(cosine)) < 4 * error
slope = (on_sphere(1) - on_sphere(1 - 1e-5)) / 1e-5
assert abs(slope - (1 / (2 * sigma2) - 0.25)) < 1e-3

# %% [markdown]
# ```{prf:proposition} Clustering (our derivation)
# :label: lm-clustering
#
# Let $n_k$ codes be assigned to cluster $k$. The flat group prior with the clusters as groups is
# $-\frac{1}{2\sigma^2}$ times the objective of $k$-means, plus a function of the sizes $n_k$.
# ```
#
# ```{prf:proof}
# Sum (4) over clusters, with $J = n_k$. The mean of a cluster is the best centre of its codes.
# ```
#
# So $k$-means ([DeepCluster](https://arxiv.org/abs/1807.05520)), and with balanced sizes its soft relative
# [SwAV](https://arxiv.org/abs/2006.09882), fit the model with groups that they guess, $y$ being one of few centres and
# not one an image. Total collapse, one point in one cluster, is kept away by balance or by reassigning empty clusters.

# %% tags=["theorem:clustering"]
inertia, sizes, prior = 0, 0, 0
for n in (1, 5, 20, 40):  # codes in a cluster
    z = randn(1, n, 3)
    inertia += (z - z.mean(1, keepdim=True)).square().sum()
    sizes += 3 * ((n - 1) * math.log(2 * math.pi * sigma2) + math.log(n)) / 2
    prior += losses.group_prior(z, sigma2).sum()
torch.testing.assert_close(prior, -inertia / (2 * sigma2) - sizes)

# %% [markdown]
# ```{prf:proposition} VICReg (our derivation)
# :label: lm-vicreg
#
# VICReg's invariance, $\frac1D \mathbb{E}\|z - z'\|^2$, is $-\frac{4\sigma^2}{D}$ times the pinch of two views. Its
# other two terms depend on the codes through their covariance matrix alone.
# ```
#
# ```{prf:proof}
# (5) with $J = 2$. The second part is the definition of the two terms.
# ```
#
# They stand for the entropy of the codes, from the wrong side: of all laws with a given covariance the Gaussian has the
# *largest* entropy, so that a covariance bounds from above what ought to be large. Codes of a few bits pass
# (`theory/partitioned_loss`).
#
# ```{prf:proposition} BYOL (our derivation)
# :label: lm-byol
#
# Let $t$ be the target's unit vector for another view of the same image, and $u$ the online code, independent of $t$
# given $y$. The best unit prediction from $u$ is $m/\|m\|$ with $m = \mathbb{E}[t|u]$, and BYOL's loss is then $2 -
# 2\,\mathbb{E}\|\mathbb{E}[t|u]\| \ge 2 - 2\,\mathbb{E}\|\mathbb{E}[t|y]\|$, with equality if $\mathbb{E}[t|y]$ is a
# function of $u$.
# ```
#
# ```{prf:proof}
# $\mathbb{E}[2 - 2\,p \cdot t \,|\, u] = 2 - 2\,p \cdot m$, least at $p = m/\|m\|$. Given $y$, $u$ says nothing about
# $t$, so $m = \mathbb{E}[\mathbb{E}[t|y] \,|\, u]$, and $\|\mathbb{E}[\cdot|u]\| \le \mathbb{E}[\|\cdot\| \,|\, u]$ by
# Jensen.
# ```
#
# On the sphere, $2 - 2\,p \cdot t = \|t - p\|^2$ is $-\log p(z|y)$ with the prediction for a centre, up to scale and
# constant. The online code is paid for knowing the mean of the target's cluster, and for nothing beyond. And a target
# that is constant makes the loss 0: nothing in BYOL's *objective* is a spread. What keeps it from there is in its
# dynamics (`methods/negative_free`).

# %% tags=["theorem:byol"]
t = F.normalize(randn(100, 1, 8) + 0.5 * randn(100, 400, 8), dim=-1)
of_y = 2 - 2 * t.mean(1).norm(dim=-1).mean()  # [y, view, D]
least = {}
for merged in (
    1,
    2,
    4,
):  # u tells so many y's from the rest, not from each other
    cluster = t.view(100 // merged, merged * 400, 8)
    m = cluster.mean(1, keepdim=True)
    least[merged] = losses.cosine_regression(m, cluster).mean()
    torch.testing.assert_close(least[merged], 2 - 2 * m.norm(dim=-1).mean())
    for off in (1e-3, 0.1, 1.0):  # any other prediction
        other = m + off * randn(*m.shape)
        assert losses.cosine_regression(other, cluster).mean() > least[merged]
torch.testing.assert_close(least[1], of_y)  # equality: u tells y
assert least[4] > least[2] + 0.01 > of_y + 0.02

# %% [markdown]
# ## Why that collapses style
#
# Spread keeps *images* apart. Does anything keep the *views* of an image apart? Here are two exact statements for codes
# that are free to move, on any finite batch.


# %%
def contrast(z, tau):
    """InfoNCE of codes [B, J, D], every two views of an image a pair; (7), nats."""
    B, J, _ = z.shape
    flat = z.flatten(0, 1)
    scores = flat @ flat.T / tau
    image = torch.arange(B).repeat_interleave(J)
    same = image[:, None] == image
    negative = scores.masked_fill(same, -torch.inf).logsumexp(1, keepdim=True)
    positive = same & ~torch.eye(B * J, dtype=torch.bool)
    return F.softplus(negative - scores)[positive].mean()


def collapsed(z):
    """Every code replaced by the mean of its image's codes."""
    return z.mean(1, keepdim=True).expand_as(z)


# %% [markdown]
# ```{prf:theorem} Collapse never hurts InfoNCE (our derivation)
# :label: lm-collapse
#
# Let $z_i^j \in \mathbb{R}^D$ be $J$ codes of each of $B$ images, $N_i$ the codes of all images but $i$, and
#
# $$ L(z) = \operatorname*{mean}_{i,\; j \ne k} \log\Big(1 + \sum_{z' \in N_i} e^{(z_i^j \cdot z' \,-\, z_i^j \cdot z_i^k)/\tau}\Big). \tag{7} $$
#
# Replacing every code by the mean of its image's codes does not raise $L$, and lowers it unless the codes of each image
# coincide already.
# ```
#
# ```{prf:proof}
# A term is $\phi(v) = \log(1 + e^v)$ with $v_{jk} = \log \sum_{z'} e^{z_i^j \cdot z'/\tau} - z_i^j \cdot z_i^k/\tau$.
# As $\phi$ is convex and increasing, the mean over $j \ne k$ is at least $\phi(\bar v)$. Now bound $\bar v$ from below.
# *First part:* a log-sum-exp of linear functions is convex, so its mean over $j$ is at least its value at $\bar z_i$;
# and as $e$ is convex, $\sum_{z' \in N_i} e^{\bar z_i \cdot z'/\tau} \ge J \sum_{l \ne i} e^{\bar z_i \cdot \bar
# z_l/\tau}$. *Second part:* $\operatorname{mean}_{j \ne k} z_i^j \cdot z_i^k = \|\bar z_i\|^2 - \frac{1}{J(J-1)} \sum_j
# \|z_i^j - \bar z_i\|^2$. Together, $\bar v$ is at least the value of $v$ after the replacement, plus
# $\frac{1}{J(J-1)\tau} \sum_j \|z_i^j - \bar z_i\|^2$. As $\phi$ is strictly increasing, this excess is lost where it
# is not zero.
# ```
#
# With $\tau = 2\sigma^2$ the excess is the pinch of (4), up to a factor. With $J = 2$, (7) is the usual loss but for
# one thing: the usual loss scales codes to unit length, and the mean of unit vectors has to be scaled again. Does the
# theorem survive that? Ask random batches.

# %%
u = F.normalize(randn(6, 2, 3), dim=-1)
torch.testing.assert_close(contrast(u, 0.3), losses.info_nce(u, 0.3))

falls = {"free": 0, "unit": 0}
for _ in range(500):
    width = 0.1 + 2 * torch.rand(1, generator=draw)
    z = randn(6, 1, 3) + width * randn(6, 2, 3)
    falls["free"] += (contrast(collapsed(z), 0.3) < contrast(z, 0.3)).item()
    before, after = (losses.info_nce(a, 0.3) for a in (z, collapsed(z)))
    falls["unit"] += (after < before).item()
assert falls["free"] == 500
Markdown(
    f"In 500 random batches, collapse lowered (7) {falls['free']} times; and the usual loss, with "
    f"unit vectors, {falls['unit']} times."
)

# %% [markdown]
# It looks like a theorem, and it is none. Put one image in the middle of a crowd, near a hundred others. If it spreads
# its two views, out of the plane of all the rest, its own loss rises, and each of the hundred has a little less to
# fear:


# %%
def crowd(delta, n=100, c=0.91):
    """n images around one whose two views are 2·delta apart; [n + 1, 2, n + 2]."""
    leaves = (1 - c**2) ** 0.5 * torch.eye(n, n + 2).double()
    leaves[:, n] = c  # the cosine with the middle
    middle = torch.zeros(2, n + 2).double()
    middle[:, n] = math.cos(delta)
    middle[0, n + 1], middle[1, n + 1] = math.sin(delta), -math.sin(delta)
    return torch.cat([leaves[:, None].expand(n, 2, n + 2), middle[None]])


together, apart = (
    contrast(crowd(delta), 0.033).item() for delta in (0.0, 0.21)
)
assert apart < together - 0.005
Markdown(
    f"Loss with the middle image collapsed: {together:.4f}; spread: {apart:.4f} nats."
)

# %% [markdown]
# So on the sphere a finite batch may prefer a spread image to a collapsed one *in the same place*. But the best of all
# batches is collapsed, as long as there is room for all images to be equally far from each other:
#
# ```{prf:theorem} The best batch is a collapsed simplex
# :label: lm-simplex
#
# For $J$ codes of length 1 of each of $B \le D + 1$ images,
#
# $$ L(z) \ge \log\Big(1 + J(B-1)\, e^{-(1 + \frac{1}{B-1})/\tau}\Big), $$
#
# with equality if and only if the codes of each image coincide, and those of two images have cosine $-1/(B-1)$.
# ```
#
# ```{prf:proof}
# As above, $L \ge \phi(\bar v)$. By Jensen for the log-sum-exp of $J(B-1)$ terms, $\bar v \ge \log J(B-1) + (n - P)/\tau$ with
# $n$ and $P$ the mean inner products of negative and of positive pairs. From $0 \le \|\sum z\|^2 = BJ(1 + (J-1) P +
# J(B-1)\, n)$ follows $n \ge -(1 + (J-1)P)/J(B-1)$. The bound on $\bar v$ falls as $P$ grows to 1, where it is the one
# stated. Equality needs $P = 1$ and equal negatives. Such unit vectors exist for $B - 1 \le D$.
# ```
#
# (Simplices as optima of contrastive losses: [Lee et al. 2025](https://arxiv.org/abs/2506.09781).) For $B > D + 1$, and for
# the mean over all batches of a data set of more than $D + 1$ images, we know no proof. With infinitely many negatives a
# collapsed optimum exists: [Wang & Isola (2020)](https://arxiv.org/abs/2005.10242), aligned and uniform at once.


# %%
def best_batch(B, J, D, tau):
    """Unit codes [B, J, D] that descent on (7) ends with, from a spread start."""
    free = randn(B, J, D).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [free], max_iter=2000, tolerance_grad=1e-10, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure():
        optimiser.zero_grad()
        loss = contrast(F.normalize(free, dim=-1), tau)
        loss.backward()
        return loss

    optimiser.step(closure)
    return F.normalize(free.detach(), dim=-1)


# %% tags=["theorem:simplex"]
B, J, D, tau = 6, 3, 5, 0.4
least = math.log1p(J * (B - 1) * math.exp(-(1 + 1 / (B - 1)) / tau))
for _ in range(3):
    z = best_batch(B, J, D, tau)
    assert abs(contrast(z, tau) - least) < 1e-6
    assert (z - collapsed(z)).norm() < 1e-2, "collapsed"
    off = (z[:, 0] @ z[:, 0].T)[~torch.eye(B, dtype=torch.bool)]
    assert (off + 1 / (B - 1)).abs().max() < 1e-2, "a simplex"
for _ in range(300):
    z = randn(B, 1, D) + 2 * torch.rand(1, generator=draw) * randn(B, J, D)
    assert contrast(F.normalize(z, dim=-1), tau) > least
# no room for a simplex: the bound holds, and is not reached
assert contrast(best_batch(B, J, 3, tau), tau) > least + 1e-3

# %% [markdown]
# ```{prf:theorem} Collapse and a linear map never hurt VICReg (our derivation)
# :label: lm-collapse-vicreg
#
# Let $z_i^1, z_i^2$ be codes of two views of $N > D$ images, whose means $m_i$ have an invertible covariance. There are
# codes with $z_i^1 = z_i^2$ whose variance and covariance terms are no larger, and whose invariance term is 0.
# ```
#
# ```{prf:proof}
# Let $\Sigma_1, \Sigma_2$ be the covariances of the two views' codes, $\Sigma = \frac12(\Sigma_1 + \Sigma_2)$, and $B$
# that of the $m_i$. The codes $\Sigma^{1/2} B^{-1/2} m_i$, for both views, have covariance $\Sigma$. The hinge $\max(0,
# 1 - \sqrt{v + \epsilon})$ is convex in the variance $v$, and the squares of covariances are convex in $\Sigma$. So
# both terms at $\Sigma$ are at most the means of those at $\Sigma_1$ and $\Sigma_2$.
# ```
#
# The linear map is needed. Collapse alone makes the variance smaller, and where codes are small the hinge costs more than
# the invariance gains (counted below).


# %%
def root(matrix, power):
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ (values**power).diag() @ vectors.T


# %% tags=["theorem:vicreg"]
alone = 0
for _ in range(200):
    scale = torch.rand(1, generator=draw)
    z = scale * randn(40, 1, 5) @ randn(5, 5) + torch.rand(
        1, generator=draw
    ) * randn(40, 2, 5)
    one, two, m = z[:, 0], z[:, 1], z.mean(1)
    target = (losses.covariance(one) + losses.covariance(two)) / 2
    same = m @ root(losses.covariance(m), -0.5) @ root(target, 0.5)
    for term in (losses.variance_hinge, losses.covariance_penalty):
        assert term(same) <= (term(one) + term(two)) / 2 + 1e-9
    hinge = (losses.variance_hinge(one) + losses.variance_hinge(two)) / 2
    alone += (losses.variance_hinge(m) > hinge + 1e-9).item()
assert alone > 0
Markdown(
    f"Collapse without the linear map raises the variance term in {alone} of 200 batches."
)

# %% [markdown]
# Behind both is one fact. Spread looks at where codes lie, and not at which picture lies there. Style that fills space
# can be had cheaper: collapse the views, and let images fill the space. Reconstruction is different, because it must
# tell *pictures* apart.
#
# ```{prf:proposition} The price of collapse (our derivation)
# :label: lm-price
#
# For every decoder, $-\mathbb{E}[\log p_\theta(x|z)] \ge H(x) - I(x; z)$. If a code is a function of its image $y$ and
# noise, $I(x; z) \le I(x; y)$: its reconstruction costs at least $H(x|y)$, and so $I(x; z'|y)$ nats a view more than
# that of the best decoder of a code $z'$ of $x$ from which $y$ can be read.
# ```
#
# ```{prf:proof}
# $-\mathbb{E}[\log p_\theta(x|z)] = H(x|z) + \mathbb{E}\,\mathrm{KL}(p(x|z)\|p_\theta(x|z))$. For the second part, $x -
# y - z$ is a Markov chain. The best decoder of $z'$ costs $H(x|z') = H(x|y, z') = H(x|y) - I(x; z'|y)$.
# ```
#


# %% tags=["theorem:price"]
def H(joint):
    return -torch.xlogy(joint, joint).sum()


def some_law(*shape):
    return torch.rand(*shape, generator=draw).double().pow(3)


for _ in range(100):
    p = some_law(3, 8)  # p(y, x), x also says which style
    p = p / p.sum()
    channel = some_law(3, 4)  # z of y and noise
    p_z = (channel / channel.sum(1, keepdim=True))[:, None, :]
    joint = (p[..., None] * p_z).sum(0)  # p(x, z)
    cost = H(joint) - H(joint.sum(0))  # of the best decoder, H(x|z)
    H_x_y = H(p) - H(p.sum(1))
    assert cost >= H_x_y - 1e-9
    # z' = (y, a part of x)
    part = F.one_hot(torch.arange(8) // 2).double()
    known = p[..., None] * part  # p(y, x, part)
    told = H(known.sum(1)) - H(p.sum(1))  # I(x; z'|y) = H(part|y)
    cost_of_style = H(known) - H(known.sum(1))
    torch.testing.assert_close(cost_of_style, H_x_y - told)
    assert cost >= cost_of_style + told - 1e-9

# %% [markdown]
# In (2) each nat of style that is read from the code is paid in reconstruction, against the pinch. Whoever drops the
# reconstruction term drops the only term that pays.
#
# ### Watch it
#
# Take a few images, and several rotations of each. Their codes are points in the plane that belong to *no encoder*: we
# move them as the loss wants them, by its gradient. Three losses, all from the same start:
#
# - **discriminative**: the contrast (7) at $\tau = 2\sigma^2$, and $p(\bar z)$, which keeps the points together;
# - **SimVE**: minus the bound (2), with a small decoder that learns along;
# - **VAE**: the same, but every view is a group of one.

# %%
split = data.load(dataset, size=size or 16)
wanted = (0, 2, 3, 4, 5, 7, 1, 6, 8, 9)[:pictures]  # the class of each picture
rows = torch.stack([(split.labels == c).nonzero()[0, 0] for c in wanted])
many, parameters = Views(rotation=60, padding="zeros")(
    split.images[rows], 20 * members, draw
)
angle, order = style(parameters)["rotation"].sort(1)  # −60° to 60°
angle, order = angle[:, 10::20], order[:, 10::20]  # about evenly spaced
turned = torch.stack([views[o] for views, o in zip(many, order, strict=True)])
plots.image_grid(turned.transpose(0, 1)[:: max(1, members // 4)])
# %% [markdown]
# *Figure 3. The images (columns), and some of their views, by angle.*


# %%
def discriminative(z, log_variance, decoder):
    centre = z.mean(1).square().sum(1).mean() / (
        2 * (gamma2 + sigma2 / members)
    )
    return contrast(z, 2 * sigma2) + centre / members


def reconstruction(z, decoder):
    """−log p(x|z) of all views, nats a view."""
    means = decoder(z.flatten(0, 1)).view_as(turned.flatten(0, 1))
    return losses.gaussian_nll(
        means, turned.flatten(0, 1), pixel_variance
    ).mean()


def simve(z, log_variance, decoder, weight=1.0):
    """Minus the bound (2), nats a view."""
    noise = torch.randn(z.shape, generator=draw)
    sample = z + (0.5 * log_variance).exp() * noise
    prior = losses.expected_group_prior(z, log_variance, sigma2, gamma2).mean()
    entropy = losses.gaussian_entropy(log_variance).mean()
    return (
        weight * reconstruction(sample, decoder) - prior / z.shape[1] - entropy
    )


def vae(z, log_variance, decoder):
    """The same, every view a group of one."""
    return simve(z.view(-1, 1, 2), log_variance.view(-1, 1, 2), decoder)


pixel_variance = 0.05


# %%
def small_decoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
        return nn.Sequential(*layers, nn.Linear(64, turned[0, 0].numel()))


def move(loss, moments=()):
    """Free codes after `moves` steps down a loss, and at some moments; its decoder."""
    start = torch.Generator().manual_seed(seed)
    z = 0.1 * torch.randn(pictures, members, 2, generator=start)
    z, decoder = nn.Parameter(z), small_decoder()
    log_variance = nn.Parameter(torch.full_like(z, -4.0))
    groups = [
        {"params": [z, log_variance], "lr": 0.02},
        {"params": decoder.parameters()},
    ]
    optimiser = torch.optim.Adam(groups, lr=3e-3)
    film = {}
    for step in range(moves + 1):
        if step in moments:
            film[step] = z.detach().clone()
        optimiser.zero_grad()
        loss(z, log_variance, decoder).backward()
        optimiser.step()
    return film, z.detach(), decoder


moments = [0, moves // 40, moves // 6, moves]
played = {f.__name__: move(f, moments) for f in (discriminative, simve, vae)}


# %%
def variances(z):
    """Of codes [B, J, D]: within images, and of the images' means; summed over D."""
    within = z.var(1, correction=0).mean(0).sum().item()
    return within, z.mean(1).var(0, correction=0).sum().item()


def share(z):
    """W/T, the variance within images over the total."""
    return protocol.within_share(z)[0]


TITLES = {"discriminative": "discriminative", "simve": "SimVE", "vae": "VAE"}
_, panels = plt.subplots(
    3, 4, figsize=(7, 5.4), sharex=True, sharey=True, layout="compressed"
)
for row, (name, (film, _, _)) in zip(panels, played.items(), strict=True):
    for panel, (step, z) in zip(row, film.items(), strict=True):
        for i, string in enumerate(z):
            panel.plot(*string.T, color=f"C{i}", lw=1)
        dots = panel.scatter(*z.flatten(0, 1).T, c=angle.flatten(), cmap="coolwarm", s=9,
                             zorder=3, edgecolor="0.2", lw=0.2)  # fmt: skip
        title = f"W/T {share(z):.2f}"
        title = f"step {step}\n{title}" if name == "discriminative" else title
        panel.set_title(title, size=9)
        panel.set(aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2))
    row[0].set_ylabel(TITLES[name])
plt.colorbar(dots, ax=panels, label="angle (degrees)", shrink=0.5, aspect=30)
plt.show()

# %% [markdown]
# *Figure 4. Codes in the plane, $z_1$ to the right and $z_2$ upwards, under three losses. A string joins the views of
# one image in the order of their angle; dots show the angle. W/T is the variance within images over the total.*
#
# Under the discriminative loss each string pulls itself together into a point, at once and for good. Under SimVE the
# strings straighten and part: a place for the image, and along it the angle, which nobody asked for. Under the VAE the
# strings are longer, compared with the distances between them: nothing says that a string is one thing.
#
# What has been lost is a picture, so here it is. Draw each view at its code:


# %%
def draw_at_codes(panel, z, size):
    """Every third view at its code, as ink on a transparent ground."""
    z, pictures = z[:, 1::3], turned[:, 1::3].mean(2).numpy()
    for i, (codes, views) in enumerate(zip(z.tolist(), pictures, strict=True)):
        for (a, b), view in zip(codes, views, strict=True):
            ink = np.ones((*view.shape, 4)) * to_rgba(f"C{i}")
            ink[..., 3] = 0.8 * view
            box = (a - size, a + size, b - size, b + size)
            panel.imshow(ink, extent=box, zorder=2)
    edge = z.abs().max() + size
    panel.set(xlim=(-edge, edge), ylim=(-edge, edge), xlabel="$z_1$")


_, panels = plt.subplots(1, 2, figsize=(7, 3.8))
for panel, name in zip(panels, ("discriminative", "simve"), strict=True):
    z = played[name][1]
    draw_at_codes(panel, z, size=0.11 * z.abs().max())
    panel.set_title(TITLES[name], size=10)
panels[0].set_ylabel("$z_2$")
plt.show()

# %% [markdown]
# *Figure 5. The same codes at the last step, every third shown by its view. Left, all views of an image lie on one
# another.*
#
# And what could a decoder still do with such codes? Give the discriminative codes one that learns afterwards, on the
# codes as they are, for as many steps:


# %%
def learn_decoder(z):
    """A decoder for codes that no longer move."""
    decoder = small_decoder()
    optimiser = torch.optim.Adam(decoder.parameters(), lr=3e-3)
    for _ in range(moves):
        optimiser.zero_grad()
        reconstruction(z, decoder).backward()
        optimiser.step()
    return decoder


@torch.no_grad()
def rebuilt(z, decoder):
    return decoder(z).view(-1, *turned.shape[2:]).clamp(0, 1)


decoders = {name: decoder for name, (_, _, decoder) in played.items()}
decoders["discriminative"] = learn_decoder(played["discriminative"][1])
some = [
    (i, j) for i in (1, 3) for j in np.linspace(0, members - 1, 5, dtype=int)
]
i, j = (torch.tensor(index) for index in zip(*some, strict=True))
sheet = [turned[i, j]]
sheet += [
    rebuilt(played[name][1][i, j], decoders[name])
    for name in ("simve", "discriminative")
]
plots.image_grid(
    torch.stack(sheet), row_labels=["view", "SimVE", "discriminative"]
)
# %% [markdown]
# *Figure 6. Five views of two images, and what a decoder makes of their codes. From a collapsed code the best it can do
# is the mean of all angles.*

# %%
rows = []
for name, (_, z, _) in played.items():
    within, between = variances(z)
    with torch.no_grad():
        cost = reconstruction(z, decoders[name]).item()
    prior = losses.group_prior(z, sigma2, gamma2).mean().item() / members
    rows.append({"loss": TITLES[name], "W": within, "B": between, "W/T": share(z),
                 "−log p(x|z)": cost, "−log p(z¹…zᴶ)": -prior})  # fmt: skip
moved = pd.DataFrame(rows).set_index("loss")
mdlib.record(out, moved.reset_index().rename(columns={"loss": "method"}))
looked = (
    dataset == "digits" and (pictures, members) == (6, 12) and moves >= 1200
)
if looked:
    assert moved["W/T"]["discriminative"] < 0.01 < 0.1 < moved["W/T"]["SimVE"]
    assert moved["W/T"]["SimVE"] < moved["W/T"]["VAE"] - 0.05
    # no decoder of a code that is one point an image does better than its mean
    mean_picture = turned.mean(1, keepdim=True).expand_as(turned).flatten(0, 1)
    floor = losses.gaussian_nll(
        mean_picture, turned.flatten(0, 1), pixel_variance
    ).mean()
    paid = moved["−log p(x|z)"]
    assert paid["discriminative"] > floor - 0.5, (paid, floor)
    assert floor > paid["SimVE"] + 50, (paid, floor)
moved.round(3)

# %% [markdown]
# *Table 2. At the last step: variance within images (W) and of their means (B); reconstruction from the code without
# its noise, and the group prior, in nats a view. One start, one decoder.* The best that any decoder makes of one point an
# image is the mean of its views; SimVE is more than 50 nats below even that. This is the price of collapse, which the
# discriminative loss never gets to see.
#
# ## What a projection head saves
#
# Real codes are not free. They come from a network, and between the code that people use and the vectors that the loss
# sees there is usually a **projection head** $h$. The theorems speak of the vectors. What do they say of the code?
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
# (The paper's abstract says that the model justifies the head, too. How, we do not know.)
#
# That the code knows *at least* as much style as the head's output needs no experiment. How much more does: the
# proposition would allow nothing at all. Train InfoNCE briefly, with a head and without, and ask the same probe about
# rotation, crop and brightness at both ends of the head. As controls, the same networks before training: a head that
# has learned nothing might lose style by itself.

# %%
train, test = (
    data.load(dataset, s, size=size or None).sample(5000).to(device)
    for s in ("train", "test")
)
law = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)


@torch.no_grad()
def layers(method, x):
    """The code, and the unit vectors that the loss sees."""
    method.eval()
    z = method.encoder(x)
    return {"code": z, "after": F.normalize(method.head(z), dim=-1)}


def examine(method, seed):
    """Style (mean R² of nearest neighbours) and W/T of each layer."""
    views = protocol.fresh_views(train, law, probe_views, seed)
    new_views = protocol.fresh_views(test, law, probe_views // 2, seed + 1)
    s, s_test = views.truth, new_views.truth
    known, asked = (
        layers(method, views.images),
        layers(method, new_views.images),
    )
    generator = torch.Generator(device).manual_seed(seed)
    groups = law(test.images[:300], 8, generator)[0]
    for name, z in layers(method, groups.flatten(0, 1)).items():
        z = z.unflatten(0, (-1, 8))
        u = (
            F.normalize(z, dim=-1).mean(1).square().sum(1).mean()
        )  # of all pairs
        r2 = probes.knn_regression(known[name], s, asked[name], s_test).score
        yield {"layer": name, "style": r2, "W/T": share(z),
               "cosine of two views": (8 * u.item() - 1) / 7}  # fmt: skip


# %%
rows, told = [], []
for head_dim in (64, 0):
    for s in range(seed, seed + seeds):
        method = create(
            "infonce", image_shape=train.image_shape, latent_dim=16,
            arch="mlp-small", head_dim=head_dim, seed=s,
        ).to(device)  # fmt: skip
        for trained in (False, True):
            if trained:
                history = fit(
                    method, ImageViews(train.images, law), steps=steps, batch_size=64,
                    seed=s, device=device, progress=False,
                )  # fmt: skip
                if head_dim:
                    told.append(math.log(127) - history.loss.iloc[-25:].mean())
            for row in examine(method, 1000 + s):
                rows.append(
                    {"head": head_dim > 0, "trained": trained, "seed": s} | row
                )
heads = pd.DataFrame(rows)
names = {(True, "code"): "code, before the head", (True, "after"): "after the head",
         (False, "code"): "code, no head"}  # fmt: skip
heads["where"] = [
    names.get(key) for key in zip(heads["head"], heads.layer, strict=True)
]
heads = heads.dropna().drop(
    columns="layer"
)  # without a head, both layers are one
mdlib.record(out, heads)
tables.mean_std(heads.drop(columns="head"), ["where", "trained"])

# %% [markdown]
# *Table 3. Style (mean $R^2$ over the parameters of new test views), within over total variance, and the mean cosine of
# two views of an image: mean ± standard deviation over n seeds.*

# %%
_, axes = plt.subplots(figsize=(6, 3.2))
sns.stripplot(
    heads, x="where", y="style", hue="trained", order=list(names.values()), ax=axes,
    palette={False: plots.COLOURS["untrained"], True: plots.COLOURS["infonce"]},
    size=8, jitter=0.08, alpha=0.8,
)  # fmt: skip
handles, _ = axes.get_legend_handles_labels()
axes.legend(handles, ["untrained", "trained"], title=None)
axes.set(xlabel=None, ylabel="style (mean $R^2$)", ylim=(0, None))
plt.show()

# %% [markdown]
# *Figure 7. Where the style goes: a dot a seed.*

# %%
table = heads.pivot(index="seed", columns=["where", "trained"], values="style")
drop = {
    t: table["code, before the head", t] - table["after the head", t]
    for t in (True, False)
}
saved = table["code, before the head", True] - table["code, no head", True]
enough = dataset == "digits" and steps >= 300 and probe_views >= 3000
if enough:
    assert (drop[True] > drop[False] + 0.05).all(), drop
    assert drop[True].mean() > 0.1 and saved.mean() > 0.04, (drop, saved)
    code = table["code, before the head"].mean()
    assert code[False] > code[True] > table["code, no head", True].mean(), code

lost, first, spared = map(statistics.interval, (drop[True], drop[False], saved))
Markdown(
    f"On {train.title}, the head takes {lost} of $R^2$ away when trained and {first} when not "
    f"(mean and 95 % interval over {seeds} seeds). A code that has a head above it keeps "
    f"{spared} more than one that has not."
)

# %% [markdown]
# So the head is where most of the forgetting happens, and the code below is spared a part of it. A part: the untrained
# code still knows more style than the trained one, head or not.
#
# ## The tie to mutual information
#
# InfoNCE is a classifier of pairs, and a classifier is best when its scores are log-odds.
#
# ```{prf:proposition} The best score (van den Oord et al. 2018; proof in our words)
# :label: lm-best
#
# Among $K$ candidates, one of them drawn from $p(z'|z)$ and the others from $p(z')$, InfoNCE is least exactly for
# scores $f(z, z') = \mathrm{PMI}(z, z') + c(z)$, where $\mathrm{PMI}(z, z') = \log \frac{p(z, z')}{p(z)\,p(z')}$ and
# $c$ is any function.
# ```
#
# ```{prf:proof}
# By Bayes' rule the probability that candidate $k$ is the partner is $e^{\mathrm{PMI}(z, z_k)} / \sum_l
# e^{\mathrm{PMI}(z, z_l)}$. A cross-entropy is least at the true probabilities, and a softmax determines its scores up
# to what all of a row share.
# ```
#
# Exactly, for three by four symbols and three candidates: at the PMI the slope is 0, and the loss is flat in the three
# directions $c(z)$ and in no other.


# %%
def exact_infonce(f, p):
    """InfoNCE of scores [3, 4], three candidates, all batches of the law p."""
    negatives = p.sum(0)
    three = f[:, :, None, None].exp() + f[:, None, :, None].exp()
    three = three + f[:, None, None, :].exp()
    loss = three.log() - f[:, :, None, None]
    return torch.einsum("zabc,za,b,c->", loss, p, negatives, negatives)


# %% tags=["theorem:best"]
p = torch.rand(3, 4, generator=draw).double() + 0.1
p = p / p.sum()
best_score = (p / p.sum(1, keepdim=True) / p.sum(0)).log()  # PMI
shifted = best_score + randn(3, 1)  # c(z)
for f in (best_score, shifted):
    f = f.clone().requires_grad_()
    (slope,) = torch.autograd.grad(exact_infonce(f, p), f)
    assert slope.abs().max() < 1e-9
    curve = torch.autograd.functional.hessian(lambda g: exact_infonce(g, p), f)
    curve = torch.linalg.eigvalsh(curve.reshape(12, 12))
    assert (curve.abs() < 1e-9).sum() == 3 and curve[3] > 1e-4, curve

# %% [markdown]
# Under the model, all three densities are group priors, of two codes and of one. With a Gaussian $p(y)$ the pair is
# jointly normal with correlation $\rho = \gamma^2/(\gamma^2 + \sigma^2)$ in each dimension, and
#
# $$ I(z; z') = \mathbb{E}[\mathrm{PMI}(z, z')] = -\frac D2 \log(1 - \rho^2). \tag{8} $$


# %%
def model_pairs(K, ratio, D=2):
    """K pairs of codes drawn from the model, with γ² = ratio · σ²."""
    y = (ratio * sigma2) ** 0.5 * randn(K, 1, D)
    return (y + sigma2**0.5 * randn(K, 2, D)).unbind(1)


def pmi(a, b, ratio):
    """Scores [K, K]: log p(a_i, b_j) − log p(a_i) − log p(b_j), nats."""

    def prior(z):
        return losses.group_prior(z, sigma2, ratio * sigma2)

    pairs = torch.stack(torch.broadcast_tensors(a[:, None], b), 2)
    joint = prior(pairs.flatten(0, 1)).view(len(a), len(b))
    return joint - prior(a[:, None])[:, None] - prior(b[:, None])


def information(ratio, D=2):
    return -D / 2 * math.log1p(-((ratio / (1 + ratio)) ** 2))


ratio = 10
z, z_ = model_pairs(2000, ratio)
scores = pmi(z, z_, ratio)
known = tasks.gaussian(information(ratio), dim=2)  # of standard normals
scale = (sigma2 * (1 + ratio)) ** 0.5
torch.testing.assert_close(scores, known.scores(z / scale, z_ / scale))
error = scores.diag().std() / 2000**0.5
assert abs(scores.diag().mean() - information(ratio)) < 4 * error

# %% [markdown]
# And the score that people use? {prf:ref}`lm-infonce` has a flat $p(y)$. Let $\gamma \to \infty$:
#
# ```{prf:proposition} The flat limit (our derivation)
# :label: lm-flat
#
# With a constant $c_\gamma$,
#
# $$ \mathrm{PMI}(z, z') = -\frac{\|z - z'\|^2}{4\sigma^2} + \frac{\|z\|^2 + \|z'\|^2}{2(\gamma^2 + \sigma^2)}
#    - \frac{\|\bar z\|^2}{2\gamma^2 + \sigma^2} + c_\gamma. \tag{9} $$
#
# For fixed $z$, $z'$ the terms in the middle vanish as $1/\gamma^2$.
# ```
#
# ```{prf:proof}
# (4) for $J = 2$, minus (4) for $J = 1$ twice; $2(\gamma^2 + \sigma^2/2) = 2\gamma^2 + \sigma^2$.
# ```
#
# A trap: codes drawn from the model are not fixed. They lie as far out as $\gamma$, and then the terms in the middle do
# *not* vanish. They tend to $\|z\|^2/2\gamma^2$ for partners that lie close to each other, about $D/2$ on average.
# InfoNCE does not mind: near the partner this is a function of $z$ alone, the $c(z)$ of {prf:ref}`lm-best`, and negatives
# far from $z$, for which it is not, have no weight. Whoever reports the mean score *as* an information should.

# %%
a, b = randn(1, 2), randn(1, 2)
origin, rests = torch.zeros(1, 2).double(), []
for r in (1e2, 1e3, 1e4):
    flat = -(a - b).square().sum() / (4 * sigma2)
    rests.append(abs(pmi(a, b, r) - pmi(origin, origin, r) - flat).item())
assert rests[0] > 9.5 * rests[1] > 90 * rests[2]  # falls as 1/γ²

far = 1e4
z, z_ = model_pairs(2000, far)
flat = -(z - z_).square().sum(1) / (4 * sigma2)
rest = pmi(z, z_, far).diag() - pmi(origin, origin, far).item() - flat
assert abs(rest.mean() - 1) < 0.1  # D/2, not 0
torch.testing.assert_close(
    rest, z.square().sum(1) / (2 * far * sigma2), rtol=0, atol=0.3
)

# %% [markdown]
# ### How much do the scores find?
#
# Draw pairs from the model and put three scores into InfoNCE: the PMI; the flat limit; and the scalar product $z \cdot
# z'/2\sigma^2$, which {prf:ref}`lm-infonce` allows on the sphere only. The sphere gets its own experiment: there a flat
# $p(y)$ makes pairs with density $\propto e^{z \cdot z'/2\sigma^2}$ on unit vectors, both margins are uniform for
# reasons of symmetry, and
#
# $$ \mathrm{PMI}(z, z') = \frac{z \cdot z'}{2\sigma^2} - \log \mathbb{E}_u\big[e^{u_1/2\sigma^2}\big], \qquad u \text{ uniform on the sphere}. \tag{10} $$
#
# So InfoNCE with cosines is optimal at $\tau = 2\sigma^2$, and at no other temperature. The mean cosine is a ratio of
# Bessel functions, the information $\kappa$ times it less the last term; in three dimensions the pairs are easily drawn.


# %%
def sphere(tau, D):
    """Information of (10), nats, and the mean cosine of a pair; κ = 1/τ."""
    from scipy.special import gammaln, ive  # I_ν(κ) e^{−κ}

    kappa, nu = 1 / tau, D / 2 - 1
    log_mean = (
        gammaln(D / 2)
        + nu * math.log(2 / kappa)
        + math.log(ive(nu, kappa))
        + kappa
    )
    cosine = ive(nu + 1, kappa) / ive(nu, kappa)
    return kappa * cosine - log_mean, cosine


def sphere_pairs(K, tau):
    """K pairs of unit vectors in three dimensions, p(z'|z) ∝ exp(z·z'/τ)."""
    z, kappa = F.normalize(randn(K, 3), dim=1), 1 / tau
    t = torch.rand(K, 1, generator=draw).double()  # to be the cosine
    t = 1 + (t + (1 - t) * math.exp(-2 * kappa)).log() / kappa
    side = F.normalize(torch.linalg.cross(z, randn(K, 3)), dim=1)
    return z, t * z + (1 - t**2).clamp(min=0).sqrt() * side


z, z_ = sphere_pairs(20_000, 0.1)
assert abs((z * z_).sum(1).mean() - sphere(0.1, 3)[1]) < 0.005

# %%
K, rows = 256, []
for ratio in np.geomspace(0.3, 300, 10):
    for _ in range(10):
        z, z_ = model_pairs(K, ratio)
        found = {
            "PMI": pmi(z, z_, ratio),
            "−|z − z'|²/4σ²": -torch.cdist(z, z_).square() / (4 * sigma2),
            "z·z'/2σ²": z @ z_.T / (2 * sigma2),
        }
        rows += [(ratio, n, bounds.infonce(s).item()) for n, s in found.items()]
by_ratio = pd.DataFrame(rows, columns=["ratio", "score", "nats"])
rows = []
for _ in range(20):
    z, z_ = sphere_pairs(K, 0.1)  # σ² = 0.05
    for tau in np.geomspace(0.03, 1, 15):
        rows.append((tau, bounds.infonce(z @ z_.T / tau).item()))
by_tau = pd.DataFrame(rows, columns=["tau", "nats"])

# %%
_, (left, right) = plt.subplots(1, 2, figsize=(7, 3.1))
sns.lineplot(by_ratio, x="ratio", y="nats", hue="score", style="score",
             markers=True, dashes=False, errorbar=None, ax=left)  # fmt: skip
grid = np.geomspace(0.3, 300)
left.plot(grid, [information(r) for r in grid], "k", lw=1, label="I(z; z')")
left.axhline(math.log(K), color="k", ls="--", lw=1, label=f"log {K}")
left.set(xscale="log", xlabel="γ²/σ²", ylabel="InfoNCE (nats)", ylim=(-1, 6.2))
left.legend(fontsize=7, loc="lower right")
sns.lineplot(
    by_tau, x="tau", y="nats", marker="o", errorbar=None, ax=right, color="C1"
)
right.axhline(sphere(0.1, 3)[0], color="k", lw=1, label="I(z; z')")
right.axvline(0.1, color="0.5", ls=":", label="τ = 2σ²")
right.set(xscale="log", xlabel="temperature τ", ylabel="InfoNCE (nats)")
right.legend(fontsize=8, loc="lower center")
plt.show()

# %% [markdown]
# *Figure 8. Left: codes in the plane, drawn from the model with more and more room for centres; InfoNCE with three
# scores (256 pairs a batch, mean of 10 batches). Right: unit vectors drawn from (10) with σ² = 0.05, and InfoNCE at
# temperatures that one might have chosen.*

# %%
mean = by_ratio.groupby(["score", "ratio"])["nats"].mean().unstack(0)
gap = mean["PMI"] - mean["−|z − z'|²/4σ²"]
assert (gap > -0.01).all() and gap.iloc[0] > 0.05 and gap.iloc[-1] < 0.005
assert (mean["PMI"] - mean["z·z'/2σ²"] > 0.1).all()
truth = np.array([information(r) for r in mean.index])
low = truth < 2  # where K is large enough
assert (np.abs(mean["PMI"] - truth)[low] < 0.08).all()
peak = by_tau.groupby("tau")["nats"].mean()
assert 0.08 < peak.idxmax() < 0.125
assert abs(peak.max() - sphere(0.1, 3)[0]) < 0.06

# %% [markdown]
# The PMI attains the information, as far as $\log K$ lets it. The flat score joins it when there is room for the
# centres. The scalar product without unit length does not: long codes are everybody's best match. And a temperature is
# not a matter of taste, if codes come from the model: there is one that is right.
#
# Can a critic find the score without being told? A small network, trained on pairs of the model with $\gamma^2 =
# 10\,\sigma^2$:

# %%
critic = critics.create("separable", 2, 2, seed=seed, hidden=64, layers=2)


def sample(step, n):
    return [z.float() for z in model_pairs(n, 10)]


mi.train(critic, ["infonce"], sample, steps=400, batch_size=256, lr=3e-3)
learned = mi.evaluate(critic, ["infonce"], sample, batches=20, batch_size=256)
learned = learned["infonce", 0].mean()
best = np.mean(
    [bounds.infonce(pmi(*model_pairs(256, 10), 10)) for _ in range(20)]
)
assert information(10) - 0.3 < learned < information(10) + 0.05
Markdown(
    f"True information {information(10):.2f} nats; InfoNCE with the PMI {best:.2f}, "
    f"with the learned critic {learned:.2f}."
)

# %% [markdown]
# ### How literally may one take τ = 2σ²?
#
# Turn (10) round. Whoever trains with cosines at temperature $\tau$ in $D$ dimensions would be right if pairs had this
# cosine on average, and this information:

# %%
rows = []
for D, tau in [(64, 0.5), (128, 0.5), (64, 0.1), (128, 0.1), (128, 0.07)]:
    nats, cosine = sphere(tau, D)
    rows.append(
        {"D": D, "τ": tau, "mean cosine": cosine, "information (nats)": nats}
    )
usual = pd.DataFrame(rows)
usual.round(3)

# %%
trained = heads[heads.trained & (heads["where"] == "after the head")]
reached, believed = trained["cosine of two views"].mean(), usual.iloc[0]
if enough:
    assert reached > 0.5 and np.mean(told) > 1
    assert (
        believed["mean cosine"] < 0.1 and believed["information (nats)"] < 0.1
    )
Markdown(
    "*Table 4. What the model believes at usual temperatures.* Our encoders above were trained "
    "with $D = 64$ and $\\tau = 0.5$. The model believes in a mean cosine of "
    f"{believed['mean cosine']:.2f} and {believed['information (nats)']:.2f} nats. The trained "
    f"vectors have a mean cosine of {reached:.2f}, and their loss is {np.mean(told):.2f} nats "
    "below $\\log 127$, that of a fair guess."
)

# %% [markdown]
# So the codes are *not* a sample of the model whose score they were trained with. They are far more collapsed than
# $p(z|y)$ at $\sigma^2 = \tau/2$. No contradiction to {prf:ref}`lm-best`, where the codes are given and the score is
# sought: in training the score is given, and the *codes* move, towards {prf:ref}`lm-collapse`. "InfoNCE fits the model"
# is true of its form, and false of its fit.
#
# ## What this does not show
#
# - **What training does to a network.** Our theorems compare losses of codes that are free to move. Reviewers of an
#   earlier version of the paper (public reviews, OpenReview `eJFBMqCE4X`) missed a proof or an analysis of convergence;
#   there is none here either. That collapsed codes are better does not say that gradient descent gets there, and Figure
#   7 shows a network that does not.
# - **Equality of methods.** The line of a table that says what a loss "stands for" is an approximation where the
#   proposition says so: unit vectors, flat p(y), a batch for p(z), a Gaussian for an entropy. And see Table 4.
# - **That σ² of a decoder does not matter.** The same reviews missed a discussion of the pixels' variance. It decides
#   how much style is worth its pinch: Exercise 3.
# - **That a VAE or SimVE has the better code for a task.** Keeping style is a virtue only to whoever needs style.
#   `start_here` and `experiments/simve` ask the probes.
# - **That style along a string is disentangled.** In Figure 4 each image has its own direction for the angle.
# - **That this is the only model.** [Aitchison & Ganev](https://arxiv.org/abs/2107.02495) read InfoNCE as the evidence bound
#   of a model whose recognition is parameterised, and argue against mutual information as the motive.
# - **What the paper says.** We had its abstract and its code.

# %% [markdown]
# ## Exercises
#
# **1 (easy).** $J - 1$ views of an image have one code, and the last one lies at a distance $\delta$ from it. How many
# nats of log group prior does that cost, with a flat $p(y)$? Write `price(delta, J, variance)`. What does one odd view
# cost when there are very many?


# %% tags=["solution", "hide-input"]
def price(delta, J, variance):
    """The mean moves by δ/J: (J − 1)(δ/J)² + (δ − δ/J)² = (1 − 1/J) δ²."""
    return (1 - 1 / J) * delta**2 / (2 * variance)


# %% tags=["check"]
for J in (2, 3, 50):
    together = torch.zeros(1, J, 3)
    apart = together.clone()
    apart[0, -1, 0] = 0.7
    both = [losses.group_prior(z, 0.15).item() for z in (together, apart)]
    assert abs(price(0.7, J, 0.15) - (both[0] - both[1])) < 1e-4

# %% [markdown]
# **2 (medium).** BYOL's predictor guesses the code of the next view. What would the model guess? Write `predict(z,
# variance, centre_variance)`: the mean [B, D] and the variance (a number) of $p(z^{J+1} | z^1 \dots z^J)$, for codes
# [B, J, D] and a Gaussian $p(y)$. What does the predictor become for $\gamma \to \infty$ and $J = 1$?


# %% tags=["solution", "hide-input"]
def predict(z, variance, centre_variance):
    """The posterior of y is Gaussian; the next view is y and noise."""
    J = z.shape[1]
    of_y = 1 / (1 / centre_variance + J / variance)
    return of_y * J / variance * z.mean(1), of_y + variance


# %% tags=["check"]
for J in (1, 2, 6):
    z = randn(4, J + 1, 3)
    mean, variance = predict(z[:, :-1], sigma2, gamma2)
    guess = Normal(mean, variance**0.5).log_prob(z[:, -1]).sum(1)
    chain = [
        losses.group_prior(part, sigma2, gamma2) for part in (z, z[:, :-1])
    ]
    torch.testing.assert_close(guess, chain[0] - chain[1])
mean, _ = predict(z[:, :1], sigma2, 1e9)
torch.testing.assert_close(mean, z[:, 0], rtol=1e-6, atol=1e-6)  # the identity

# %% [markdown]
# **3 (a small research question).** Between the collapsed strings of Figure 4 and the long ones lies a weight on the
# reconstruction term. Where? Let the decoder be linear, $p(y)$ flat and a direction of style have variance $v$ (with $J -
# 1$) in the pictures. With decoder length $u$ and $r = w u^2 \sigma^2 / \sigma_x^2$ the bound at its best *factorised* $q$ costs
# $\frac{J-1}{2} \frac{w v}{\sigma_x^2} \frac1{1+r} + \frac J2 \log(r + \frac{J-1}J)$. Derive this, and that style is alive for
#
# $$ w > w^* = \Big(\frac{J}{J-1}\Big)^2 \frac{\sigma_x^2}{v}. $$
#
# (For the exact posterior, probabilistic PCA, the factor is 1: [Lucas et al.
# 2019](https://arxiv.org/abs/1911.02469). Strangers for encoders kill style sooner: four times so for two views.) Write
# `threshold(v, noise, J)`. Then move points with weights well below and above. Is content still alive where style dies?


# %% tags=["solution", "hide-input"]
def threshold(v, noise, J):
    # the derivative by r at 0: −(J − 1) w v / 2σx² + (J/2) · J/(J − 1)
    return (J / (J - 1)) ** 2 * noise / v


# %% tags=["check"]
def style_left(w, v, noise, J):
    """Share of a style's variance that the minimum rebuilds, by descent on (2)."""

    def cost(p):  # decoder, encoder and log-variance of q, none eliminated
        u, a, log_s = p
        error = (1 - u * a) ** 2 * (J - 1) * v + J * u**2 * math.exp(log_s)
        pinch = (J - 1) * (a**2 * v + math.exp(log_s)) / (2 * sigma2)
        return w * error / (2 * noise) + pinch - J * log_s / 2

    found = optimize.minimize(cost, [0.5, 0.5, -1], method="BFGS", tol=1e-9)
    return found.x[0] * found.x[1]


for J in (2, 3, 12):
    w = threshold(2.0, 0.05, J)
    assert style_left(0.9 * w, 2.0, 0.05, J) < 0.01
    assert style_left(1.1 * w, 2.0, 0.05, J) > 0.05
v = torch.stack(
    [torch.linalg.eigvalsh(x.T.cov())[-1] for x in turned.flatten(2)]
)
weights = threshold(v, pixel_variance, members).sort().values
below, above = weights[0].item() / 2, weights[-1].item() * 2
alive = pd.DataFrame(
    [
        variances(move(lambda *a, w=w: simve(*a, weight=w))[1])
        for w in (below, above)
    ],
    pd.Index([f"{w:.4f}" for w in (below, above)], name="weight"),
    ["within images", "between images"],
)
if looked:
    assert (
        alive["within images"].iloc[0]
        < 0.01
        < 0.03
        < alive["within images"].iloc[1]
    )
    assert alive["between images"].iloc[0] > 0.2, "content outlives style"
alive.round(4)

# %% [markdown]
# Style dies first, and content outlives it, as content pays $p(y)$ once for a whole group. Open ends: where in between
# do the strings of single images come alive, and in the order of their thresholds? A network cannot move each code by
# itself: where is *its* threshold? And is there a loss without a decoder, the sum of a discriminative one and a little
# of something else, in which style lives?
#
# ## References
#
# - A. Bizeul, B. Schölkopf, C. Allen. *A Probabilistic Model behind Self-Supervised Learning.* TMLR 2024.
#   [arXiv:2402.01399](https://arxiv.org/abs/2402.01399). Code: `alicebizeul/simvae`.
# - A. Bardes, J. Ponce, Y. LeCun. *VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning.*
#   ICLR 2022. [arXiv:2105.04906](https://arxiv.org/abs/2105.04906)
# - M. Caron, P. Bojanowski, A. Joulin, M. Douze. *Deep Clustering for Unsupervised Learning of Visual Features.*
#   ECCV 2018. [arXiv:1807.05520](https://arxiv.org/abs/1807.05520)
# - M. Caron et al. *Unsupervised Learning of Visual Features by Contrasting Cluster Assignments.* NeurIPS 2020.
#   [arXiv:2006.09882](https://arxiv.org/abs/2006.09882)
# - T. Chen, S. Kornblith, M. Norouzi, G. Hinton. *A Simple Framework for Contrastive Learning of Visual
#   Representations.* ICML 2020. [arXiv:2002.05709](https://arxiv.org/abs/2002.05709)
# - J.-B. Grill et al. *Bootstrap Your Own Latent.* NeurIPS 2020. [arXiv:2006.07733](https://arxiv.org/abs/2006.07733)
# - D. P. Kingma, M. Welling. *Auto-Encoding Variational Bayes.* ICLR 2014.
#   [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)
# - J. Lucas, G. Tucker, R. Grosse, M. Norouzi. *Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse.*
#   NeurIPS 2019. [arXiv:1911.02469](https://arxiv.org/abs/1911.02469)
# - A. van den Oord, Y. Li, O. Vinyals. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242). The limit of many negatives on the
#   sphere.
# - Z. Wu, Y. Xiong, S. Yu, D. Lin. *Unsupervised Feature Learning via Non-Parametric Instance-level Discrimination.*
#   CVPR 2018. [arXiv:1805.01978](https://arxiv.org/abs/1805.01978)
# - R. S. Zimmermann et al. *Contrastive Learning Inverts the Data Generating Process.* ICML 2021.
#   [arXiv:2102.08850](https://arxiv.org/abs/2102.08850). Pairs on the sphere as in (10), seen through an unknown map.
#
# ## Provenance

# %% tags=["provenance"]
provenance.environment(device, started)

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
# *Which probability model do self-supervised losses fit, and what does the bound on its likelihood ask of a code?*
#
# The codes of an image's views lie around a common centre. This one assumption changes one term of a VAE's bound.
# With one view it *is* the VAE's; with the best decoder, what remains is alignment and uniformity; and two codes of
# one image have a pointwise mutual information in closed form, which is InfoNCE's best score. We derive each, and check
# every formula against another.
#
# **You will learn**
# - to derive the bound of SimVE, and to integrate the unknown centre of a group out,
# - what the bound asks of codes when the decoder is free, and how rival models of self-supervision differ from this one,
# - when a similarity *is* a pointwise mutual information, and what a temperature means.
#
# **You need** `start_here`, Gaussian densities, Jensen's inequality, and InfoNCE from `theory/infonce_bound`.
#
# **Time:** 35 minutes to read; about 20 seconds to run on one CPU core.
#
# The model is that of [Bizeul et al. 2024](https://arxiv.org/abs/2402.01399), of whom we have read the *abstract* and the
# public code only. All derivations are therefore ours, and so are their mistakes.

# %% tags=["parameters", "hide-input"]
sigma2 = 0.15  # σ², the variance of p(z|y) [above 0, below 1]
gamma2 = 0.85  # γ², the variance of a Gaussian p(y) [above 0]
batches = 20  # of 256 pairs, behind each mean of Figure 3 [4 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # what the provenance cell reports [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import copy
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from torch.distributions import MultivariateNormal, Normal
from torch.nn import functional as F

import mdlib
from mdlib import losses, mi
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.methods import create
from mdlib.mi import bounds, critics, tasks
from mdlib.notebook import provenance

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
# Somebody has an image in mind, a point $y$, and shows it $J$ times. Each showing is a **view**: a code $z^j$ somewhere
# near $y$, and a picture $x^j$ drawn from that code.
#
# $$ y \sim p(y), \qquad z^j \,|\, y \sim \mathcal{N}(y, \sigma^2 I), \qquad x^j \,|\, z^j \sim p_\theta(x|z),
#    \qquad j = 1 \dots J. \tag{1} $$
#
# What $y$ says is **content**, common to the group. Where $z^j$ lies around $y$ is **style**. Only the pictures are
# seen, and which of them belong together.

# %% tags=["hide-input"]
y = gamma2**0.5 * randn(7, 1, 2)
z = y + sigma2**0.5 * randn(7, 40, 2)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9))
nodes = [("y", "content", "w"), ("z^j", "code", "w"), ("x^j", "picture", "0.8")]
for at, (name, what, colour) in zip((0, 1.3, 2.6), nodes, strict=True):
    circle = plt.Circle((at, 0), 0.25, fc=colour, ec="k", lw=1.2, zorder=2)
    left.add_patch(circle)
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
# entropies.
# ```
#
# The bound's encoder treats views as strangers. The posterior does not: two noisy views of one image have one uncertain
# centre. So for $J \ge 2$ even the best $q$ leaves a gap, in general. How large, in the Gaussian case?
# Let $x^j = z^j + \mathcal{N}(0, \sigma_x^2)$ in one dimension, so that the posterior has a precision matrix $\Lambda$.
# The best product of densities has the right means and variances $1/\Lambda_{jj}$, and the gap is $\frac12
# (\sum_j \log \Lambda_{jj} - \log\det\Lambda)$ nats.


# %% tags=["theorem:elbo"]
def covariance(J):
    """Of the codes of a group, in each dimension: σ² I + γ² 11ᵀ."""
    return sigma2 * torch.eye(J).double() + gamma2


def bound_and_gap(x, noise):
    """(2) at its best q for x = z + N(0, noise), and its gap; [B, J] → two [B]."""
    J = x.shape[1]
    prior = covariance(J)
    precision = prior.inverse() + torch.eye(J).double() / noise  # Λ
    mean, variance = x @ precision.inverse() / noise, 1 / precision.diag()
    log_variance = variance.log().expand_as(mean)[..., None]
    explained = Normal(mean, noise**0.5).log_prob(x) - variance / (2 * noise)
    group = losses.expected_group_prior(
        mean[..., None], log_variance, sigma2, gamma2
    )
    entropy = losses.gaussian_entropy(log_variance)
    gap = (precision.diag().log().sum() - precision.logdet()) / 2
    return (explained + entropy).sum(1) + group, gap


gaps = pd.DataFrame(index=pd.Index([1, 2, 6, 20], name="J"))
for ratio in (0.01, 0.1, 1, 10):
    for J in gaps.index:
        x, noise = randn(5, J), ratio * sigma2
        bound, gap = bound_and_gap(x, noise)
        whole = MultivariateNormal(
            torch.zeros(J).double(), covariance(J) + noise * torch.eye(J)
        )
        torch.testing.assert_close(bound + gap, whole.log_prob(x))
        gaps.loc[J, f"σx²/σ² = {ratio:g}"] = gap.item()
gaps.round(4)

# %% [markdown]
# *Table 1. Nats that the factorised encoder loses, per group and dimension, by the number of views and the noise of a
# picture. Bound and gap add up to the true likelihood.* Pictures that show their code clearly cost little. With one
# view there is nothing to lose.
#
# ### Integrate the centre out
#
# Nobody knows $y$. One need not learn a centre for each image:
#
# ```{prf:theorem} The group prior in closed form
# :label: lm-centre
#
# Let $\bar z = \frac1J \sum_j z^j$ in $D$ dimensions. For every $p(y)$,
#
# $$ \log p(z^1 \dots z^J) = \underbrace{-\frac{1}{2\sigma^2} \sum_j \|z^j - \bar z\|^2}_{\text{alignment}}
#    - \frac{D(J-1)}{2} \log 2\pi\sigma^2 - \frac D2 \log J + \log (p * \mathcal{N}_{\sigma^2/J})(\bar z), \tag{4} $$
#
# where the last term is the density of $y$ plus noise of variance $\sigma^2/J$, at $\bar z$. It is $\log c$ if
# $p(y) = c$ is flat (and improper), and $\log \mathcal{N}(\bar z; 0, (\gamma^2 + \sigma^2/J) I)$ if
# $p(y) = \mathcal{N}(0, \gamma^2 I)$.
# ```
#
# ```{prf:proof}
# $\sum_j \|z^j - y\|^2 = \sum_j \|z^j - \bar z\|^2 + J \|\bar z - y\|^2$, the mixed term being zero. So $\prod_j
# \mathcal{N}(z^j; y, \sigma^2 I) = (2\pi\sigma^2)^{-JD/2}\, e^{-\sum_j \|z^j - \bar z\|^2 / 2\sigma^2}\,
# (2\pi\sigma^2/J)^{D/2}\, \mathcal{N}(\bar z; y, \tfrac{\sigma^2}{J} I)$. Only the last factor knows $y$, and its
# integral against $p(y)$ is the convolution.
# ```
#
# `mdlib` has it as `losses.group_prior`. Ask others: with a Gaussian $p(y)$, the group is jointly normal in each
# dimension; with a flat one, take the integral numerically.

# %% tags=["theorem:centre"]
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
# Three facts are needed later. Alignment may be written with **pairs** only; its **gradient** pulls each view to the
# mean, whether or not one differentiates through the mean; and under the encoder's Gaussians, of means $\mu^j$ and
# variances $s_{jd}^2$, its **expectation** is exact, so that nothing needs to be sampled:
#
# \begin{align*} \sum_j \|z^j - \bar z\|^2 & = \frac1J \sum_{i<j} \|z^i - z^j\|^2, \qquad
#    \frac{\partial}{\partial z^j} \sum_k \|z^k - \bar z\|^2 = 2 (z^j - \bar z), \tag{5} \\
#    \mathbb{E}_q \sum_j \|z^j - \bar z\|^2 & = \sum_j \|\mu^j - \bar\mu\|^2 + \Big(1 - \frac1J\Big) \sum_{j, d} s_{jd}^2, \qquad
#    \mathbb{E}_q \|\bar z\|^2 = \|\bar\mu\|^2 + \frac{1}{J^2} \sum_{j, d} s_{jd}^2. \tag{6} \end{align*}
#
# So for two views alignment is $-\|z^1 - z^2\|^2 / 4\sigma^2$.

# %% tags=["theorem:moments"]
J, z = 5, randn(4, 5, 3).requires_grad_()
squares = (z - z.mean(1, keepdim=True)).square().sum((1, 2))
by_pairs = torch.cdist(z, z).square().sum((1, 2)) / (2 * J)
torch.testing.assert_close(squares, by_pairs)
detached = (z - z.mean(1, keepdim=True).detach()).square().sum()
for loss in (squares.sum(), detached):
    (slope,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(slope, 2 * (z - z.mean(1, keepdim=True)))

mean, log_variance = randn(4, J, 3), randn(4, J, 3) - 1
samples = mean + (0.5 * log_variance).exp() * randn(20_000, 4, J, 3)
for centre_variance in (None, gamma2):
    exact = losses.expected_group_prior(
        mean, log_variance, sigma2, centre_variance
    )
    values = losses.group_prior(samples.flatten(0, 1), sigma2, centre_variance)
    values = values.view(20_000, 4)
    error = values.std(0) / 20_000**0.5
    assert ((values.mean(0) - exact).abs() < 5 * error).all()

# %% tags=["hide-input"]
axis = torch.linspace(-2.5, 2.5, 200).double()
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2, 1)
alone = losses.group_prior(grid.view(-1, 1, 1), sigma2, 1 - sigma2)
asked = {
    "strangers (VAE)": alone.view(-1, 2).sum(1),
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
# *Figure 2. What the group prior asks of two views in one dimension: log p(z¹, z²) below its maximum, in nats. A VAE
# asks both codes to be near 0, each by itself. The group prior asks them to be near each other. With a flat p(y)
# nothing else is asked: content is free of charge, and only style pays.*
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
# In (4) alignment and its constants vanish, and $\gamma^2 + \sigma^2/J = 1$: the group prior is $\log\mathcal{N}(z; 0,
# I)$. Entropy and expected log-prior are minus the KL divergence.
# ```
#
# The two classes of `mdlib` are written from different formulas. Have they one loss, and one gradient?

# %% tags=["theorem:vae"]
SHAPE = {"image_shape": (1, 8, 8), "latent_dim": 4, "arch": "mlp-small"}
views = torch.rand(32, 1, 1, 8, 8, generator=draw)  # 32 images, one view each
found = []
for name, options in [
    ("vae", {}),
    ("simve", {"centres": "gaussian", "variance": sigma2}),
]:
    method = create(name, **SHAPE, **options, seed=seed)
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
# Reconstructions and alignment do not change. The entropy grows by $JD \log\alpha$, and $-\frac{D(J-1)}{2}
# \log 2\pi\sigma^2$ falls by $(J-1) D \log\alpha$. (The remainder is the density $c$, which refers to a volume: for
# codes in a region that is blown up by $\alpha$, it is $c\,\alpha^{-D}$, and even the constant goes.) With a Gaussian
# $p(y)$ and $\gamma^2$ times $\alpha^2$, its term falls by $D \log\alpha$, and the bound does not change at all.
# ```
#
# The last layer of the encoder and the first one of the decoder can absorb $\alpha$. Let them:


# %% tags=["theorem:scale"]
def stretched(method, alpha, **variances):
    """A copy of a SimVE whose codes are alpha times as long."""
    copied, D = copy.deepcopy(method), method.latent_dim
    last = [m for m in copied.encoder if hasattr(m, "bias")][-1]
    with torch.no_grad():
        for weight in (last.weight, last.bias):
            weight[:D] *= alpha  # the means
        last.bias[D:] += 2 * math.log(alpha)  # the log-variances
        copied.decoder[0].weight /= alpha
    for name, value in variances.items():
        setattr(copied, name, value)
    return copied


def change(centres, *names, alpha=3.0):
    """By how much the loss, in nats a view, changes; named variances times α²."""
    method = create("simve", **SHAPE, centres=centres, variance=sigma2)
    views = torch.rand(32, 2, 1, 8, 8, generator=draw)
    scaled = {name: getattr(method, name) * alpha**2 for name in names}
    both = (method, stretched(method, alpha, **scaled))
    a, b = (m.loss(views, torch.Generator().manual_seed(2))[0] for m in both)
    return (b - a).item()


constant = 4 * math.log(3) / 2  # D log α / J
assert abs(change("flat", "variance") + constant) < 1e-3
assert abs(change("gaussian", "variance", "centre_variance")) < 1e-3
assert abs(change("gaussian", "variance")) > 0.1  # the ratio does matter

# %% [markdown]
# So with a flat $p(y)$, a sweep over $\sigma^2$ sweeps the initial scale of the codes and the speed of learning, nothing
# that the model means.
#
# ## What the bound asks of codes
#
# Let the decoder be as good as it can be. What is left of (2)?
#
# ```{prf:proposition} At the best decoder (our derivation)
# :label: lm-decoder
#
# Let all views have one law, and $q$ be any encoder. The mean of (2) over the data is at most
#
# $$ \mathbb{E}[\log p(z^1 \dots z^J)] + \textstyle\sum_j H(z^j) - \sum_j H(x^j)
#    = \mathrm{TC}(z^1 \dots z^J) - \mathrm{KL}\big(q(z^1 \dots z^J) \,\|\, p(z^1 \dots z^J)\big) - \sum_j H(x^j), \tag{7} $$
#
# if these entropies are finite, and the decoder $p(x|z) \propto p(x)\, q(z|x)$ attains it. Here $q(z^1 \dots z^J)$ is
# the law of the codes over data and encoder, $H(z^j)$ its margins' entropy, and
# $\mathrm{TC} = \sum_j H(z^j) - H(z^1 \dots z^J)$ what the codes share: $I(z^1; z^2)$ for two.
# ```
#
# ```{prf:proof}
# $\mathbb{E}[\log p_\theta(x^j|z^j)] \le -H(x^j|z^j) = H(z^j) - H(z^j|x^j) - H(x^j)$, with equality for Bayes'
# $p(x|z)$. The second term of (2) is $\sum_j H(z^j|x^j)$. The other form follows from
# $\mathbb{E}[\log p] = -H(z^1 \dots z^J) - \mathrm{KL}$.
# ```
#
# So what is left is **alignment**, the group prior, and **uniformity**, the entropy $H(z^j)$: the two goals of [Wang &
# Isola (2020)](https://arxiv.org/abs/2005.10242), on a sphere there. Two things follow.
#
# - *What views share is enough.* The likelihood itself is at most $-H(x^1 \dots x^J)$. (7) gets there if codes follow the
#   prior and share what pictures share, $\mathrm{TC}(z) = \mathrm{TC}(x)$. Style need not be in them.
# - *Style is not seen as such.* (7) depends on the law of the codes, and not on which picture has which. Put noise of
#   the same law given the content in the place of style, and it does not change. Only a decoder that is *not* free can ask for
#   style: a Gaussian of fixed variance must be told what differs between views. (Of VAEs this is known: [Alemi et al.
#   2018](https://arxiv.org/abs/1711.00464).)


# %%
def H(p):
    return -torch.xlogy(p, p).sum()


def law(*shape):
    """A random distribution on a grid."""
    p = torch.rand(*shape, generator=draw).double().pow(3)
    return p / p.sum()


def mean_bound(pair, q, prior, decoder=None):
    """The mean of (2), nats: p(x¹, x²) [n, n], q(z|x) [n, m], p(z¹, z²), p(x|z)."""
    p_x = pair.sum(1)
    joint = p_x[:, None] * q  # of a view and its code
    if decoder is None:
        decoder = joint / joint.sum(0)  # Bayes
    told = torch.xlogy(joint, decoder).sum() + H(joint) - H(p_x)
    return 2 * told + torch.xlogy(q.T @ pair @ q, prior).sum()


# %% tags=["theorem:decoder"]
for _ in range(50):
    p = law(3, 6)  # of y and a picture
    pair = p.T @ (p / p.sum(1, keepdim=True))
    q, prior, other = law(6, 4), law(4, 4), law(6, 4)
    q = q / q.sum(1, keepdim=True)
    codes, p_x = q.T @ pair @ q, pair.sum(1)
    at_best = mean_bound(pair, q, prior)
    shared = 2 * H(codes.sum(1)) - H(codes)
    kl = torch.xlogy(codes, codes / prior).sum()
    torch.testing.assert_close(at_best, shared - kl - 2 * H(p_x))
    assert mean_bound(pair, q, prior, other / other.sum(0)) < at_best
    assert at_best < -H(pair)  # the largest likelihood

p, prior = law(3, 2), law(6, 6)  # y and its style are the picture
styles = p / p.sum(1, keepdim=True)
blocks = [n * torch.outer(s, s) for n, s in zip(p.sum(1), styles, strict=True)]
pair = torch.block_diag(*blocks)
kept = torch.eye(6).double()
noise = torch.block_diag(*(s.expand(2, 2) for s in styles))  # p(s|y), anew
found = [mean_bound(pair, q, prior) for q in (kept, noise)]
torch.testing.assert_close(*found)
known = []
for q in (kept, noise):
    joint = p.flatten()[:, None] * q
    known.append(H(p) + H(joint.sum(0)) - H(joint))  # I(x; z)
torch.testing.assert_close(known, [H(p), H(p.sum(1))])  # all, or y alone

# %% [markdown]
# ### Other models of self-supervision
#
# We have read the rivals' abstracts, no more. (7) says how they differ from (1), as far as we see.
#
# | model | how a picture comes in | what it is said to give |
# | --- | --- | --- |
# | SimVE, Bizeul et al. 2024 | by a learned decoder | (2); style need not be lost |
# | [Aitchison & Ganev 2021](https://arxiv.org/abs/2107.02495) | by the encoder: the model is *recognition-parameterised* | with the best prior, an ELBO that is mutual information; with a certain prior and infinite samples, InfoNCE |
# | [Fleissner, Esser & Ghoshdastidar 2025](https://arxiv.org/abs/2501.13031) | by a latent-variable model at maximum likelihood | PCA, or nearly a simple non-contrastive loss: it depends on how informative augmentations are |
# | [Mikulasch & Zenke 2026](https://arxiv.org/abs/2605.03517) | not at all: codes match a latent model (alignment) at large entropy (uniformity) | contrastive, non-contrastive and predictive losses; identifiability of the latter |
#
# We read the second line as (7) by definition, with Bayes' decoder put in. With the best prior its KL is 0, and
# $I(z^1; z^2)$ less a constant remains. The fourth line maximises the first two terms of (7). What sets SimVE apart from
# both is its decoder, and by {prf:ref}`lm-decoder` *that decoder's limits*.
#
# ## The tie to mutual information
#
# InfoNCE is a classifier of pairs, and a classifier is best when its scores are log-odds.
#
# ```{prf:proposition} The best score (van den Oord et al. 2018; proof in our words)
# :label: lm-best
#
# Among $K \ge 2$ candidates, one of them drawn from $p(z'|z)$ and the others from $p(z')$, InfoNCE's loss is least
# exactly for scores $f(z, z') = \mathrm{PMI}(z, z') + c(z)$, where
# $\mathrm{PMI}(z, z') = \log \frac{p(z, z')}{p(z)\,p(z')}$ and $c$ is any function.
# ```
#
# ```{prf:proof}
# The softmax of the PMI is Bayes' rule ({prf:ref}`cor-infonce-optimum`). A cross-entropy is least *only* at the true
# probabilities, and a softmax determines its scores up to what all of a row share.
# ```
#
# For three by four symbols and three candidates: at the PMI the slope is 0, and the loss is flat in the three
# directions $c(z)$ and in no other (first cell). Under the model, all three densities are group priors, of two codes and
# of one. With a Gaussian $p(y)$ the pair is jointly normal with correlation $\rho = \gamma^2/(\gamma^2 + \sigma^2)$ in
# each dimension (second cell), and
#
# $$ I(z; z') = \mathbb{E}[\mathrm{PMI}(z, z')] = -\frac D2 \log(1 - \rho^2). \tag{8} $$


# %% tags=["theorem:best"]
def exact_infonce(f, p):
    """InfoNCE of scores [3, 4], three candidates, all batches of the law p."""
    negatives = p.sum(0)
    three = f[:, :, None, None].exp() + f[:, None, :, None].exp()
    three = three + f[:, None, None, :].exp()
    loss = three.log() - f[:, :, None, None]
    return torch.einsum("zabc,za,b,c->", loss, p, negatives, negatives)


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


# %% tags=["theorem:gaussian"]
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
# A trap: codes drawn from the model are not fixed. They lie as far out as $\gamma$, and the terms in the middle do *not*
# vanish. They tend to $\|z\|^2/2\gamma^2$ for partners close to each other, about $D/2$ on average. InfoNCE does not
# mind: near the partner this is a function of $z$ alone, the $c(z)$ of {prf:ref}`lm-best`, and negatives far from $z$,
# for which it is not, have no weight. Whoever reports the mean score *as* an information should mind.

# %% tags=["theorem:flat"]
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
assert abs(rest.mean() - 1) < 4 * rest.std() / 2000**0.5  # D/2, not 0
limit = z.square().sum(1) / (2 * far * sigma2)
assert (rest - limit).abs().max() < 0.05 * limit.max()

# %% [markdown]
# ### How much do the scores find?
#
# Draw pairs from the model and put three scores into InfoNCE: the PMI; the flat limit $-\|z - z'\|^2/4\sigma^2$; and
# the scalar product $z \cdot z'/2\sigma^2$. The last two differ by $\|z\|^2$ and $\|z'\|^2$, constants on the unit
# sphere only. So the sphere gets its own experiment. Restrict the flat prior's
# $p(z, z') \propto e^{z \cdot z'/2\sigma^2}$ to unit vectors: both margins are uniform for reasons of symmetry, and
#
# $$ \mathrm{PMI}(z, z') = \frac{z \cdot z'}{2\sigma^2} - \log \mathbb{E}_u\big[e^{u_1/2\sigma^2}\big], \qquad u \text{ uniform on the sphere}. \tag{10} $$
#
# By {prf:ref}`lm-best`, InfoNCE with cosines is optimal at $\tau = 2\sigma^2$, and at no other temperature. In three
# dimensions, with $\kappa = 1/2\sigma^2$, the last term is $-\log (\sinh \kappa / \kappa)$, and the mean cosine of a
# pair is $\coth \kappa - 1/\kappa$.


# %% tags=["theorem:sphere"]
def sphere(tau):
    """Mean cosine and information (nats) of pairs (10) in three dimensions."""
    kappa = 1 / tau
    cosine = 1 / math.tanh(kappa) - 1 / kappa
    return cosine, kappa * cosine - math.log(math.sinh(kappa) / kappa)


def sphere_pairs(K, tau):
    """K pairs of unit vectors in three dimensions, p(z'|z) ∝ exp(z·z'/τ)."""
    z, kappa = F.normalize(randn(K, 3), dim=1), 1 / tau
    t = torch.rand(K, 1, generator=draw).double()  # to be the cosine
    t = 1 + (t + (1 - t) * math.exp(-2 * kappa)).log() / kappa
    side = F.normalize(torch.linalg.cross(z, randn(K, 3)), dim=1)
    return z, t * z + (1 - t**2).clamp(min=0).sqrt() * side


TAU = 0.1  # σ² = 0.05
first = F.normalize(randn(200_000, 3), dim=1)[:, 0]  # of uniform vectors
for tau in (TAU, 2.0):
    cosine, nats = sphere(tau)
    z, z_ = sphere_pairs(20_000, tau)
    cosines = (z * z_).sum(1)
    assert abs(cosines.mean() - cosine) < 4 * cosines.std() / 20_000**0.5
    weight = (first / tau).exp()
    error = weight.std() / weight.mean() / 200_000**0.5
    assert abs(cosine / tau - nats - weight.mean().log()) < 4 * error  # (10)

# %%
K, rows = 256, []
for ratio in np.geomspace(0.3, 300, 10):
    for batch in range(batches):
        z, z_ = model_pairs(K, ratio)
        scores = {
            "PMI": pmi(z, z_, ratio),
            "−|z − z'|²/4σ²": -torch.cdist(z, z_).square() / (4 * sigma2),
            "z·z'/2σ²": z @ z_.T / (2 * sigma2),
        }
        row = {"truth": information(ratio), "ratio": ratio, "batch": batch}
        row["lost"] = scores["PMI"].diag().exp().div(K).log1p().mean().item()
        rows += [row | {"score": name, "nats": bounds.infonce(s).item()}
                 for name, s in scores.items()]  # fmt: skip
by_ratio = pd.DataFrame(rows)
rows = []
for batch in range(batches):
    z, z_ = sphere_pairs(K, TAU)
    for tau in TAU * np.geomspace(1 / 3, 9, 13):
        nats = bounds.infonce(z @ z_.T / tau).item()
        rows.append({"batch": batch, "tau": round(tau, 4), "nats": nats})
by_tau = pd.DataFrame(rows)
means = by_ratio.groupby(["score", "ratio"])["nats"].mean().reset_index()
mdlib.record(out, means.rename(columns={"score": "method"}))

# %% tags=["hide-input"]
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
right.axhline(sphere(TAU)[1], color="k", lw=1, label="I(z; z')")
right.axvline(TAU, color="0.5", ls=":", label="τ = 2σ²")
right.set(xscale="log", xlabel="temperature τ", ylabel="InfoNCE (nats)")
right.legend(fontsize=8, loc="lower center")
plt.show()

# %% [markdown]
# *Figure 3. Left: codes in the plane, drawn from the model with more and more room for centres; InfoNCE with three
# scores (256 pairs a batch, mean over batches). Right: unit vectors drawn from (10) with σ² = 0.05, and InfoNCE at
# several temperatures.*
#
# *Measured.* The PMI attains the information, less what $\log K$ costs at most (`theory/infonce_bound`). The flat score
# joins it when there is room for the centres. The scalar product without unit length does not: long codes are
# everybody's best match. And if codes come from the model, one temperature is right.
#
# Can a critic find the score without being told? The last cell trains a small network on pairs of the model with
# $\gamma^2 = 10\,\sigma^2$.


# %%
def surely(differences):
    """Mean of each row [n, batches] in units of its standard error."""
    error = differences.std(axis=1, ddof=1) / differences.shape[1] ** 0.5
    return differences.mean(axis=1) / error


paired = by_ratio.pivot(
    index="ratio", columns=["score", "batch"], values="nats"
)
flat = paired["PMI"] - paired["−|z − z'|²/4σ²"]
each = by_ratio[by_ratio["score"] == "PMI"].pivot(
    index="ratio", columns="batch"
)
short = each["truth"] - each["nats"]
by_batch = by_tau.pivot(index="tau", columns="batch", values="nats")
worse = surely((by_batch.loc[TAU] - by_batch).drop(TAU))
far = np.abs(np.log(worse.index / TAU)) > 0.5
if batches >= 20:
    assert (surely(flat) > -4).all() and surely(flat).iloc[0] > 4
    assert flat.mean(axis=1).iloc[-1] < 0.1 * flat.mean(axis=1).iloc[0]
    assert (surely(paired["PMI"] - paired["z·z'/2σ²"]) > 4).all()
    assert (surely(short) > -4).all()  # never above I
    assert (surely(short - each["lost"]) < 4).all()  # nor further below
    assert (worse > -4).all() and (worse[far] > 4).all()

# %%
critic = critics.create("separable", 2, 2, seed=seed, hidden=64, layers=2)


def sample(step, n):
    return [z.float() for z in model_pairs(n, 10)]


mi.train(critic, ["infonce"], sample, steps=400, batch_size=256, lr=3e-3)
learned = mi.evaluate(critic, ["infonce"], sample, batches=20, batch_size=256)
learned = learned["infonce", 0].mean()
told = {"pmi": [], "product": []}
for _ in range(20):
    z, z_ = model_pairs(256, 10)
    told["pmi"].append(bounds.infonce(pmi(z, z_, 10)).item())
    told["product"].append(bounds.infonce(z @ z_.T / (2 * sigma2)).item())
best, product = np.mean(told["pmi"]), np.mean(told["product"])
assert product < learned < best + 4 * np.std(told["pmi"]) / 20**0.5
Markdown(
    f"True information {information(10):.2f} nats; InfoNCE with the PMI {best:.2f}, with the "
    f"learned critic {learned:.2f}, with the scalar product {product:.2f}."
)

# %% [markdown]
# ## What this does not show
#
# - **What training does to a network.** These are statements about formulas and about codes that the model itself has
#   drawn. `theory/collapse` lets codes move.
# - **That a free decoder is what anybody has.** (7) is an upper end; a network and a Gaussian stay below it.
# - **What the papers say.** We had the abstract and the code of one, the abstracts of three.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** $J - 1$ views of an image have one code, and the last one lies at a distance $\delta$ from it. How many
# nats of log group prior does that cost, with a flat $p(y)$? Write `cost(delta, J, variance)`. What does one odd view
# cost when there are very many?
#
# <details><summary>Hint</summary>
#
# Only the squares around the mean count. By how much does the mean move?
#
# </details>


# %% tags=["solution", "hide-input"]
def cost(delta, J, variance):
    """→ nats, 0 or more."""
    # The mean moves by δ/J: (J − 1)(δ/J)² + (δ − δ/J)² = (1 − 1/J) δ².
    return (1 - 1 / J) * delta**2 / (2 * variance)


# %% tags=["check"]
for J in (2, 3, 50):
    together = torch.zeros(1, J, 3)
    apart = together.clone()
    apart[0, -1, 0] = 0.7
    both = [losses.group_prior(z, 0.15).item() for z in (together, apart)]
    assert abs(cost(0.7, J, 0.15) - (both[0] - both[1])) < 1e-4, (
        f"J = {J}: {cost(0.7, J, 0.15):.4f}, the prior says {both[0] - both[1]:.4f}"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(cost(1.0, 2, 0.5) - 0.5) < 1e-9, cost(1.0, 2, 0.5)
assert cost(1.0, 1, 0.5) == 0, "a view alone is nobody's neighbour"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** BYOL's predictor guesses the code of the next view. What would the model guess? Write `predict(z,
# variance, centre_variance)`: the mean [B, D] and the variance (a number) of $p(z^{J+1} | z^1 \dots z^J)$, for codes
# [B, J, D] and a Gaussian $p(y)$. What does the predictor become for $\gamma \to \infty$ and $J = 1$?
#
# <details><summary>Hint</summary>
#
# First the posterior of $y$ given the $J$ codes, a Gaussian whose precision is $1/\gamma^2 + J/\sigma^2$. The next
# view is $y$ and noise.
#
# </details>


# %% tags=["solution", "hide-input"]
def predict(z, variance, centre_variance):
    """z [B, J, D] → mean [B, D], variance, a number."""
    # The posterior of y is Gaussian; the next view is y and noise.
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

# %% tags=["hidden", "remove-cell"]
_, alone = predict(torch.zeros(1, 3, 2), 0.2, 0.8)
assert abs(alone - 0.2615385) < 1e-5, f"three views: variance {alone}"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Does it pay to read the views of an image together? $\Lambda$ has
# two eigenvalues. Write `gap(J, noise)`, the gap of Table 1 in closed form, and `most(noise)`, its limit for $J \to
# \infty$: it is $\frac12 [\log(1 + \rho) - \rho/(1 + \rho)]$ with $\rho = \sigma_x^2/\sigma^2$, whatever $\gamma$. So more
# views never cost more than this; it grows like $\frac12 \log \rho$ with the noise. Then take `methods/simve` and noisy
# pictures: what would an encoder of the whole group gain, content or style? Which control tells that from the gain of a
# larger network?
#
# <details><summary>Hint</summary>
#
# The gap is half the difference between the log of the product of $\Lambda$'s diagonal and its log determinant.
# $\Lambda = aI + b\,11^\top$ has the eigenvalue $a$, $J - 1$ times, and $a + Jb$.
#
# </details>


# %% tags=["solution", "hide-input"]
def gap(J, noise):
    """→ nats."""
    # Λ = a I + b 11ᵀ has a, J − 1 times, and a + J b; its diagonal is a + b.
    a = 1 / sigma2 + 1 / noise
    b = -gamma2 / (sigma2 * (sigma2 + J * gamma2))
    eigenvalues = (J - 1) * math.log(a) + math.log(a + J * b)
    return (J * math.log(a + b) - eigenvalues) / 2


def most(noise):
    """→ nats."""
    # J b → −1/σ², so J log(1 + b/a) → −1/(σ² a), and a + J b → 1/σx².
    rho = noise / sigma2
    return (math.log1p(rho) - rho / (1 + rho)) / 2


# %% tags=["check"]
for noise in (0.01, 0.3, 2.0):
    for J in (1, 2, 7):
        _, known = bound_and_gap(randn(1, J), noise)
        assert abs(gap(J, noise) - known) < 1e-9, (
            f"J = {J}, noise {noise}: {gap(J, noise):.4f}, expected {known:.4f}"
        )
    assert abs(gap(10**6, noise) - most(noise)) < 1e-3 * most(noise), (
        f"noise {noise}: {gap(10**6, noise):.4f} is no limit {most(noise):.4f}"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(gap(1, 0.4)) < 1e-9, "of one view there is no gap"
assert gap(2, 0.4) < gap(3, 0.4) < most(0.4), "more views, more to gain"

# %% [markdown]
# ## References
#
# - L. Aitchison, S. Ganev. *InfoNCE Is Variational Inference in a Recognition Parameterised Model.* 2021.
#   [arXiv:2107.02495](https://arxiv.org/abs/2107.02495)
# - A. A. Alemi et al. *Fixing a Broken ELBO.* ICML 2018. [arXiv:1711.00464](https://arxiv.org/abs/1711.00464)
# - A. Bizeul et al. *A Probabilistic Model behind Self-Supervised Learning.* TMLR 2024.
#   [arXiv:2402.01399](https://arxiv.org/abs/2402.01399). Code: `alicebizeul/simvae`.
# - M. Fleissner et al. *A Probabilistic Model for Non-Contrastive Learning.* 2025.
#   [arXiv:2501.13031](https://arxiv.org/abs/2501.13031)
# - D. P. Kingma, M. Welling. *Auto-Encoding Variational Bayes.* ICLR 2014.
#   [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)
# - F. A. Mikulasch, F. Zenke. *Understanding Self-Supervised Learning via Latent Distribution Matching.* ICML 2026.
#   [arXiv:2605.03517](https://arxiv.org/abs/2605.03517)
# - A. van den Oord et al. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242)
# - R. S. Zimmermann et al. *Contrastive Learning Inverts the Data Generating Process.* ICML 2021.
#   [arXiv:2102.08850](https://arxiv.org/abs/2102.08850)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

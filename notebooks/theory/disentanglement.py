# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does it mean that a code is disentangled?
#
# *When a representation has a thousand dimensions, what does a measure of disentanglement measure?*
#
# **You will learn**
# - three different wishes that go by the name of disentanglement, and codes that grant one and refuse another,
# - MED, a measure for wide codes, slowly: bins, information, importance, entropy, weights,
# - why no method can find disentangled codes from images alone, and which scores cannot even notice,
# - what a score owes to its bias, its ceiling, its luck and to factors that depend on each other.
#
# **You need** entropy and mutual information, a little linear algebra, and what a Gaussian is. No network is trained
# here.
#
# **Time:** an hour and a half to read; about 40 seconds to run.

# %% tags=["parameters"]
n = 10000  # samples that a score rests on, N; scores of different N don't compare
# [100 or more]
bins = 20  # of each code's histogram, B; scores of different B don't compare
# [2 or more]
widths = "5,10,50,200,1000"  # dimensions of the entangled codes
# [some whole numbers, 1 or more]
rotations = 3  # random rotations of a null model [1 or more]
image_sets = "sprites,scenes"  # data whose factors are known [some data sets]
images = 5000  # images of each that are scored [100 or more]
seed = 0  # of rotations, samplers and held-out rows [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from scipy import stats

import mdlib
from mdlib import data, metrics
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
widths = [int(d) for d in widths.split(",")]
draw = torch.Generator().manual_seed(seed)
checked = (n, bins) == (10_000, 20)  # the setting of the sheet's numbers


def caption(text, n=n):
    """A caption; every score comes with what it depends on."""
    return Markdown(f"*{text} N = {n}, {bins} bins, seed {seed}.*")


# %% [markdown]
# ## Three wishes
#
# The world has $K$ **factors** $v_1 \dots v_K$: shape, size, position. A representation has $D$ **codes** $z_1 \dots
# z_D$, the dimensions of a vector. "The code is disentangled" may mean that
#
# - **modularity:** each code serves at most one factor,
# - **compactness** (or *completeness*): each factor is served by at most one code,
# - **explicitness:** a simple reader, such as a linear one, finds the factors in the code.
#
# These are three wishes, not one (for a review of the scores see [Carbonneau et al.
# 2020](https://arxiv.org/abs/2012.09276)). Here are five codes of the same two factors with four values each; MED and completeness are defined in the next section.


# %%
def toy(count):
    """Two factors with four values each, and codes of them."""
    v = torch.randint(4, (count, 2), generator=draw)
    z = v.double()
    wrap = torch.randint(4, (count, 2), generator=draw)  # means nothing
    turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    return v, {
        "an axis each": z,
        "an axis each, twice": z.repeat(1, 2),
        "rotated by 45°": z @ turn / 2**0.5,
        "wound up: v + 4 × chance": z + 4 * wrap,
        "one number: v₁ + 4 v₂, and chance": torch.stack(
            [z[:, 0] + 4 * z[:, 1], wrap[:, 0].double()], 1
        ),
    }


v, codes = toy(n)
rows = {}
for name, z in codes.items():
    med = metrics.med(z, v, bins)
    rows[name] = {
        "modular (MED)": med.score,
        "compact (completeness)": med.completeness,
        "explicit (AUC)": metrics.explicitness(z, v, seed=seed).score,
    }
wishes = pd.DataFrame(rows).T
display(wishes.round(2))
caption("Table 1. A measure for each wish; chance level of the AUC is 0.5.")

# %%
figure, axes = plt.subplots(1, 4, figsize=(7, 2.1))
shown = [name for name in codes if "twice" not in name]
for axis, name in zip(axes, shown, strict=True):
    z = codes[name][:400]
    spread = 0.12 * torch.randn(z.shape, generator=draw)
    axis.scatter(*(z + spread).T, c=v[:400, 0], s=6, cmap="viridis")
    axis.set_title(name.split(":")[0], fontsize=9)
    axis.set(xlabel="$z_1$", xticks=[], yticks=[])
axes[0].set_ylabel("$z_2$")
plt.show()

# %% [markdown]
# *Figure 1. The codes, coloured by $v_1$; dots are spread a little so that they can be seen. Where is the colour
# written?*
#
# Written twice, a code is as modular as before and no longer compact. Rotated, every linear reader still finds all
# there is, and neither code belongs to a factor. Wound up, each code belongs to its factor and knows all of it, but a
# line cannot read it. One number for both is compact: each factor lives in one place, and it is the same place.

# %%
assert (
    wishes["modular (MED)"][["an axis each", "an axis each, twice"]].min()
    > 0.99
)
assert (
    abs(wishes.loc["an axis each, twice", "compact (completeness)"] - 0.5)
    < 0.01
)
assert wishes.loc["rotated by 45°", "modular (MED)"] < 0.05
assert wishes.loc["rotated by 45°", "explicit (AUC)"] > 0.99
assert wishes.loc["wound up: v + 4 × chance", "modular (MED)"] > 0.95
assert wishes.loc["wound up: v + 4 × chance", "explicit (AUC)"] < 0.8
assert wishes.loc["one number: v₁ + 4 v₂, and chance", "modular (MED)"] < 0.05
assert (
    wishes.loc["one number: v₁ + 4 v₂, and chance", "compact (completeness)"]
    > 0.95
)

# %% [markdown]
# So before asking how disentangled a code is, ask which wish is meant. Most measures, and the word itself, mean
# modularity.
#
# ## MED, slowly
#
# MED, *mutual-information-based entropy disentanglement* ([Cao et al. 2022](https://arxiv.org/abs/2206.04756)),
# measures modularity, with no classifier to train. That makes it usable for a thousand codes. (We restate the released
# program. We have read the paper's abstract, not its tables, and quote none of its numbers.)
#
# **Bins.** Cut code $i$ into $B$ bins of equal width between the least and the greatest of its $N$ values:
#
# $$ b_{ni} = \Big\lfloor B \, \frac{z_{ni} - \min_m z_{mi}}{\max_m z_{mi} - \min_m z_{mi}} \Big\rfloor, \tag{1} $$
#
# with the maximum in the last bin. A code that never varies has one bin.
#
# **Information.** Count how often bin $b$ meets value $v$ of factor $j$, divide by $N$, and put the shares $\hat p$ in
# the place of probabilities. This is the *plug-in* estimate of mutual information, in nats:
#
# $$ I_{ij} = \sum_{b, v} \hat p_{ij}(b, v) \log \frac{\hat p_{ij}(b, v)}{\hat p_i(b)\, \hat p_j(v)}. \tag{2} $$
#
# **Importance.** Of all that the codes know of factor $j$, each code's share. Columns sum to 1:
#
# $$ R_{ij} = I_{ij} \Big/ \sum_{i'} I_{i'j}. \tag{3} $$
#
# **Entropy.** To how many factors does code $i$ matter? Make its row of $R$ a distribution over factors:
#
# $$ P_{ij} = R_{ij} \Big/ \sum_{j'} R_{ij'}, \qquad d_i = 1 + \frac{1}{\log K} \sum_j P_{ij} \log P_{ij}. \tag{4} $$
#
# $d_i = 1$ where code $i$ matters to one factor only, and $d_i = 0$ where it matters to all $K$ alike.
#
# **Weights.** The mean of $d_i$ over codes, each weighted by how much it matters at all:
#
# $$ \mathrm{MED} = \sum_i \rho_i\, d_i, \qquad \rho_i = \sum_j R_{ij} \Big/ \sum_{i'j} R_{i'j}. \tag{5} $$
#
# (4) and (5) on the transposed matrix give **completeness**. And they are the disentanglement of DCI (Eastwood and
# Williams, 2018), with information in the place of a tree's importances. By hand, for four samples, two factors and three codes,
# one of which sums the factors and one of which never varies:


# %%
def binned(z):
    """(1), for codes [N, D] and a float's rounding."""
    low, reach = z.min(0), np.ptp(z, axis=0)
    bin_of = (z - low) / np.where(reach > 0, reach, 1) * bins + 1e-9
    return np.minimum(bin_of.astype(int), bins - 1)


def information(b, v):
    """(2), for one binned code and one factor, each [N]."""
    joint = np.zeros((bins, v.max() + 1))
    np.add.at(joint, (b, v), 1 / len(v))
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    seen = joint > 0
    return (joint[seen] * np.log(joint[seen] / product[seen])).sum()


def disentanglement(R):
    """(4) and (5): the score, and d_i of each code."""
    P = (R + 1e-11) / (R + 1e-11).sum(1, keepdims=True)
    d = 1 + (P * np.log(P)).sum(1) / np.log(R.shape[1])
    return R.sum(1) / R.sum() @ d, d


# %%
v = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
z = np.stack([v[:, 0], v.sum(1), 0 * v[:, 0]], 1).astype(float)
I_ij = np.array([[information(b, w) for w in v.T] for b in binned(z).T])
R = I_ij / I_ij.sum(0)
score, d = disentanglement(R)
by_hand = pd.DataFrame(
    {"I₁ / log 2": I_ij[:, 0] / np.log(2), "I₂ / log 2": I_ij[:, 1] / np.log(2),
     "R₁": R[:, 0], "R₂": R[:, 1], "d": d, "ρ": R.sum(1) / R.sum()},
    index=["z₁ = v₁", "z₂ = v₁ + v₂", "z₃ = const."],
)  # fmt: skip
display(by_hand.round(3))
Markdown(f"*Table 2. MED by hand, N = 4, {bins} bins: {score:.3f}.*")

# %% [markdown]
# The sum $z_2$ knows half of each factor, yet it serves $v_2$ more: $v_1$ has a better code already. What a code is
# worth depends on the other codes. The library must say the same, part by part:

# %%
med = metrics.med(z, v, bins)
np.testing.assert_allclose(med.information, I_ij, atol=1e-12)
np.testing.assert_allclose(med.importance, R, atol=1e-12)
np.testing.assert_allclose(med.per_code, d, atol=1e-9)
assert abs(med.score - score) < 1e-9
assert abs(med.completeness - disentanglement(R.T)[0]) < 1e-9
if bins == 20:  # the values of the sheet's vector B
    assert abs(score - 0.459148) < 1e-5
    assert abs(med.completeness - 0.710310) < 1e-5
    assert abs(metrics.mig(z, v, bins).score - 0.5) < 1e-9
    assert abs(metrics.modularity(z, v, bins).score - 1 / 3) < 1e-9

# %% [markdown]
# Two more measures are in that cell. **MIG** ([Chen et al. 2018](https://arxiv.org/abs/1802.04942)) is the lead of each
# factor's best code over the second best, $\frac1K \sum_j (I_{(1)j} - I_{(2)j}) / H(v_j)$: compactness, for the most
# part. **Modularity** ([Ridgeway & Mozer 2018](https://arxiv.org/abs/1802.05312)) is like $d_i$ with squares in the
# place of entropy, and all codes have equal weight.
#
# ### A bench to test measures on
#
# From here on the factors are drawn with the sizes of dSprites, independent and uniform, and codes are made of them by
# formula. So we know what every score should be. The draws come from `RandomState`, whose stream never changes, so that
# anyone can recompute the numbers to the last digit.

# %%
SIZES = np.array([3, 6, 40, 32, 32])  # shape, scale, orientation, x, y


def factors(seed, n=n, sizes=SIZES):
    stream = np.random.RandomState(seed)
    return np.stack([stream.randint(size, size=n) for size in sizes], 1)


def standard(v, sizes=SIZES):
    """The perfect code: each factor, with mean 0 and variance 1."""
    return (v - (sizes - 1) / 2) / np.sqrt((sizes**2 - 1) / 12)


def noise(seed, d, n=n):
    return np.random.RandomState(seed).randn(n, d)


def mix(seed, d):
    return np.random.RandomState(seed).randn(len(SIZES), d) / len(SIZES) ** 0.5


def rotation(seed, d):
    q, r = np.linalg.qr(np.random.RandomState(seed).randn(d, d))
    return q * np.sign(np.diag(r))


# %%
v = factors(0)
c = standard(v)

# %%
bench = {
    "perfect": c,
    "rotated": c @ rotation(11, 5),
    "perfect + noise": np.hstack([c, noise(23, 5)]),
}
figure, axes = plt.subplots(
    1, 3, figsize=(7, 2.6), width_ratios=[1, 1, 1.15], sharex=True
)
for axis, (name, z) in zip(axes, bench.items(), strict=True):
    med = metrics.med(z, v, bins)
    image = axis.imshow(med.importance, vmin=0, vmax=1, cmap="viridis")
    axis.set(title=f"{name}\nMED {med.score:.3f}", xlabel="factor $j$")
    axis.set_aspect("auto")
    axis.set_xticks(range(5), range(1, 6))
    axis.set_yticks(range(z.shape[1]), range(1, z.shape[1] + 1))
    axis.grid(False)
axes[0].set_ylabel("code $i$")
figure.colorbar(image, ax=axes[-1], label="importance $R_{ij}$")
plt.show()
caption("Figure 2. The importance matrix of three codes; columns sum to 1.")
# %% [markdown]
# Even the perfect code does not score 1. Why not is a question for later; first a larger one.
#
# ## The impossibility
#
# May one find a disentangled code from images alone, with no label, by training long enough? No, and the reason is
# short ([Locatello et al. 2019](https://arxiv.org/abs/1811.12359)).
#
# ```{prf:theorem} Two worlds, one law
# :label: thm-disentanglement-impossible
#
# Let $z \sim \mathcal{N}(0, I_D)$, $D \ge 2$, be the true factors and $x = g(z)$ the images. For an orthogonal matrix
# $Q$ let $u \sim \mathcal{N}(0, I_D)$ and $x' = g_Q(u)$ with $g_Q(u) = g(Q^\top u)$.
#
# 1. $x'$ and $x$ have the same distribution, and with $u = Qz$ they are the same images.
# 2. For almost every $Q$, every $u_i$ depends on every $z_j$: $\partial u_i / \partial z_j = Q_{ij} \neq 0$.
# 3. For such $Q$, no encoder has codes $h_i(x)$ that are each a function, not constant, of one coordinate of $z$ and
#    also each a function of one coordinate of $u$.
#
# So whatever a method finds from the distribution of the images, it fails in at least one of the worlds $(z, g)$ and
# $(u, g_Q)$.
# ```
#
# ```{prf:proof}
# 1. The density of $\mathcal{N}(0, I)$ depends on $\|z\|$ only and $|\det Q| = 1$, so $Qz \sim \mathcal{N}(0, I)$.
#    Hence $g_Q(u)$ has the law of $g_Q(Qz) = g(Q^\top Q z) = g(z)$.
# 2. A row of a uniformly drawn $Q$ is uniform on the sphere, and has a zero at a given place with probability 0. There
#    are finitely many places.
# 3. Let $h_i(x) = \varphi(z_k) = \psi(u_l)$. Given $z_k$, $u_l$ is normal with variance $1 - Q_{lk}^2 > 0$, so it may
#    lie anywhere, while $\psi(u_l) = \varphi(z_k)$ stays what it is. So $\psi$ is constant (almost everywhere).
# ```
#
# ```{prf:corollary} What cannot notice
# :label: cor-disentanglement-unsupervised
#
# A score that depends on the distribution of the codes alone has the same value for $z$ and for $u$. Such are the total
# correlation, the Wasserstein correlation and the Hausdorff factorised support (HFS, [Roth et al.
# 2023](https://arxiv.org/abs/2210.07347)).
# ```
#
# ### The construction
#
# Let us build both worlds. Five true factors $z$, standard normal; what a score asks for is in which of eight equally
# likely ranges each one lies. A fixed random network $g$ draws images of 40 pixels.

# %% tags=["theorem:impossible"]
D, count = 5, 3000
z = torch.randn(count, D, generator=draw, dtype=torch.float64)
octiles = torch.from_numpy(stats.norm.ppf(np.arange(1, 8) / 8))
truth = torch.bucketize(z, octiles)  # the labels: range 0 … 7 of each factor

A, B = (torch.randn(s, generator=draw).double() for s in [(D, 60), (60, 40)])
Q = torch.from_numpy(rotation(11, D))


def g(z):
    """Images of the first world."""
    return torch.tanh(torch.tanh(z @ A) @ B / 60**0.5)


def g_Q(u):
    """Images of the second."""
    return g(u @ Q)  # rows: (Qᵀu)ᵀ = uᵀQ


u = z @ Q.T
torch.testing.assert_close(g_Q(u), g(z))  # the very same images
assert Q.abs().min() > 0.001  # and every code depends on every factor

# %% [markdown]
# Same images, but that was one sample, turned. Draw both worlds afresh, and test whether any difference shows. The
# *energy distance* $2\,\mathbb{E}\|x - x'\| - \mathbb{E}\|x - \tilde x\| - \mathbb{E}\|x' - \tilde x'\|$ between two
# samples is 0 for equal laws. How large it gets by chance, we learn by dealing the pooled sample anew. The last row is
# a control, a world that differs in one direction of five: there the test must strike.


# %%
def energy_test(x, y, deals=499):
    """Energy distance of samples [M, d], and its permutation p-value."""
    m, pooled = len(x), torch.cat([x, y])
    distance = torch.cdist(pooled, pooled)
    sign = torch.cat([torch.ones(m), -torch.ones(m)]).double()
    deal = torch.rand(deals, 2 * m, generator=draw).argsort(1)
    signs = torch.cat([sign[None], sign[deal]])
    energy = -((signs @ distance) * signs).sum(1) / m**2
    p = (energy >= energy[0]).double().mean()
    return {"energy distance": energy[0].item(), "p": p.item()}


def fresh():
    return torch.randn(1000, D, generator=draw, dtype=torch.float64)


stretch = torch.tensor([2.0, 1, 1, 1, 1], dtype=torch.float64)
tests = pd.DataFrame({
    "codes: z, and u = Qz": energy_test(fresh(), fresh() @ Q.T),
    "images: g(z), and g_Q(u)": energy_test(g(fresh()), g_Q(fresh())),
    "control: images with z₁ × 2": energy_test(
        g(fresh()), g(fresh() * stretch)
    ),
}).T  # fmt: skip
display(tests.round(4))
Markdown("*Table 3. Two samples of 1000 from each world, 499 deals.*")

# %%
assert (tests.p[:2] > 1 / 500).all() and tests.p.iloc[2] < 0.02

# %% [markdown]
# No difference, and of course a test could only have failed to find one: the proof is above. Now the scores. Both codes
# belong to the same images, both follow the same law:

# %%
asked = [
    "med", "mig", "modularity", "sap", "dci", "irs", "factor_vae", "beta_vae",
    "explicitness", "gaussian_total_correlation", "wasserstein", "hfs",
]  # fmt: skip
before, after = (
    metrics.evaluate(codes, truth, bins=bins, seed=seed, metrics=asked)
    for codes in (z, u)
)
worlds = before.rename(columns={"score": "z: the factors"})
worlds.insert(1, "u: the same, rotated", after.score)
worlds = worlds.drop(columns=["bins", "seed"])
display(worlds.round(3))
caption(
    "Table 4. Before and after. What is fitted has the n of its row.", count
)

# %%
before, after = before.score, after.score
axes_wanted = asked[:6]
assert (after[axes_wanted] < 0.6 * before[axes_wanted]).drop("modularity").all()
assert after["modularity"] < before["modularity"] - 0.1
assert abs(after["explicitness"] - before["explicitness"]) < 0.05
assert abs(after["hfs"] / before["hfs"] - 1) < 0.15
assert after["gaussian_total_correlation"] < 0.01

# %% [markdown]
# Three groups. The first six scores know the factors and ask about axes: the rotation ruins them. BetaVAE's and
# FactorVAE's scores know the factors too, but ask for less, and lose less; in a moment they will lose nothing.
# Explicitness reads with a linear reader, and the last three see the codes only: to them nothing has happened, as
# {prf:ref}`cor-disentanglement-unsupervised` says. (They differ by sampling alone.)
#
# ### Not only Gaussians
#
# Let $z$ have independent coordinates with continuous, increasing distribution functions $F_i$. Make each normal,
# rotate, and go back ($\Phi$ is the standard normal's distribution function):
#
# $$ \xi_i = \Phi^{-1}(F_i(z_i)), \qquad f_i(z) = F_i^{-1}\big(\Phi((Q\xi)_i)\big). \tag{6} $$
#
# $\xi \sim \mathcal{N}(0, I)$, so $Q\xi$ is too, and $f(z)$ has the law of $z$. By the chain rule, with densities $p_i$
# and $\varphi$ that of the normal,
#
# $$ \frac{\partial f_i}{\partial z_j} = \frac{\varphi((Q\xi)_i)}{p_i(f_i(z))} \; Q_{ij} \; \frac{p_j(z_j)}{\varphi(\xi_j)}, \tag{7} $$
#
# which is nowhere 0 where the densities are not. Each $Q$ without zeros gives another $f$. For two uniform factors:


# %%
def f(z, turn):
    """(6) for uniform factors [N, 2]."""
    return normal.cdf(normal.icdf(z) @ turn.T)


def too_many(points, side=8):
    """χ² of points in side² equal cells, in deviations from its mean if uniform."""
    cell = (points * side).long().clamp(max=side - 1)
    counts = (side * cell[:, 0] + cell[:, 1]).bincount(minlength=side**2)
    expected, freedom = len(points) / side**2, side**2 - 1
    chi2 = ((counts - expected) ** 2 / expected).sum().item()
    return (chi2 - freedom) / (2 * freedom) ** 0.5


# %% tags=["theorem:uniform"]
normal = torch.distributions.Normal(0.0, 1.0)
turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() / 2**0.5
square = torch.rand(4000, 2, generator=draw).double().clamp(1e-6, 1 - 1e-6)
square.requires_grad_()
twisted = f(square, turn)
slopes = torch.autograd.grad(twisted[:, 0].sum(), square)[0][:, 1]
xi = normal.icdf(square.detach())
by_formula = (
    turn[0, 1]
    * (normal.log_prob((xi @ turn.T)[:, 0]) - normal.log_prob(xi[:, 1])).exp()
)
torch.testing.assert_close(slopes, by_formula, rtol=1e-4, atol=1e-6)
square, twisted = square.detach(), twisted.detach()
assert too_many(twisted) < 4  # both coordinates together, not one by one
assert slopes.abs().min() > 0

# %%
figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.8), sharey=True)
for axis, points, name in zip(axes, (square, twisted), "zf", strict=True):
    axis.scatter(*points.T, c=square[:, 0], s=3, cmap="viridis")
    label = {"z": "z_{}", "f": "f_{}(z)"}[name]
    axis.set(xlabel=f"${label.format(1)}$", ylabel=f"${label.format(2)}$")
    axis.set_aspect("equal")
plt.show()
Markdown(
    f"*Figure 3. 4000 points of the unit square before and after (6), coloured by $z_1$. Still uniform (χ² in 8 × 8 "
    f"cells: {too_many(twisted):+.1f} deviations from its mean), and every coordinate mixes both.*"
)

# %% [markdown]
# What the theorem does **not** say: that disentangled codes cannot be learnt. It grants the method nothing but the
# images' distribution, and lets $g$ be anything. Labels of a few images, pairs that share factors, or limits on $g$
# (linear mixing of independent factors that are not Gaussian can be undone) all break its assumption. So does an
# accident of architecture. Then one must name what broke it.
#
# ## A thousand dimensions
#
# Scores were made for codes of about ten dimensions. What do they say of a wide one? Take the plainest entangled code:
# random linear mixes of all five factors, $z = c\,W/\sqrt5 + 0.1\,\varepsilon$, with $W$ Gaussian. There is no
# structure in it, and more dimensions make it no better. Nothing is trained, so nothing can be the training's fault.
#
# The two scores that *fix a factor*:
#
# - **BetaVAE** (Higgins et al. 2017): draw 64 pairs of images that agree in factor $j$, average $|z - z'|$, and let a
#   linear classifier say from these $D$ numbers which factor it was.
# - **FactorVAE** ([Kim & Mnih 2018](https://arxiv.org/abs/1802.05983)): draw 64 images that agree in factor $j$. The
#   code with the least variance among them, relative to its variance at large, votes. Each code is given the factor it
#   mostly votes for, and the score is the share of right votes.


# %%
def entangled(v, d):
    return standard(v) @ mix(7, d) + 0.1 * noise(8, d)


def on_device(z):
    return torch.as_tensor(z, dtype=torch.float32, device=device)


rows, null = [], {}
for d in widths:
    z = on_device(entangled(v, d))
    sampler = metrics.Rows(z, v)
    beta = metrics.beta_vae(sampler, points=1000, test_points=500, seed=seed)
    vote = metrics.factor_vae(sampler, votes=2000, test_votes=1000, seed=seed)
    share = mix(7, d) ** 2
    share = share / (share.sum(0) + 0.01)  # s_ij of the text, with the noise
    null[d] = {k: metrics.med(z, v, bins, k) for k in (1, 2, 5)}
    rows.append({
        "D": d, "BetaVAE": beta.score, "FactorVAE": vote.score,
        "MED": null[d][1].full, "MIG": metrics.mig(z, v, bins).score,
        "codes that vote": int((vote.votes.sum(0) > 0).sum()),
        "purest share": share.max(1).mean(),
    })  # fmt: skip
wide = pd.DataFrame(rows)
mdlib.record(out, wide.assign(experiment="entangled", seed=seed))
display(wide.set_index("D").round(3))
caption(
    "Table 5. One entangled code after another. 1000 + 500 and 2000 + 1000 points of 64 rows for the first two."
)

# %%
figure, axis = plt.subplots(figsize=(5.6, 3))
marks = {"BetaVAE": "s--", "FactorVAE": "o--", "MED": "D-", "MIG": "v-"}
for (name, mark), colour in zip(
    marks.items(), ("#ca9161", "#d55e00", "#0173b2", "#029e73"), strict=True
):
    axis.plot(wide.D, wide[name], mark, color=colour, label=name, ms=5)
axis.set(xscale="log", xlabel="dimensions $D$", ylabel="score", ylim=(0, 1.05))
axis.set_xticks(widths, widths)
axis.minorticks_off()
axis.legend(loc="center right")
plt.show()
caption(
    "Figure 4. Scores of entangled codes. None of these codes has an axis that means anything."
)

# %%
if checked and widths == [5, 10, 50, 200, 1000]:
    at = wide.set_index("D")
    assert (at.loc[50:, ["FactorVAE", "BetaVAE"]] >= 0.99).all(axis=None)
    assert ((at.MED - 0.29).abs() <= 0.04).all() and (at.MIG < 0.15).all()

# %% [markdown]
# From fifty dimensions on, BetaVAE's and FactorVAE's scores call the code perfect. The reason is no accident of ours.
#
# In a linear mix, the share of code $i$'s variance that is due to factor $j$ is $s_{ij} = W_{ji}^2 / (\sum_l W_{li}^2 +
# \sigma^2)$, $\sigma^2$ the noise's part. With factor $j$ fixed, the relative variance of code $i$ is $1 - s_{ij}$: the
# code with the *largest* share wins the vote, and the others' shares don't matter at all.
#
# ```{prf:proposition} Means and maxima
# :label: prp-disentanglement-maxima
#
# Let the columns of $W$ be independent and Gaussian, without noise. Then $s_{ij} \sim \mathrm{Beta}(\frac12,
# \frac{K-1}2)$, and as $D \to \infty$, $\max_i s_{ij} \to 1$ for every $j$, with $1 - \max_i s_{ij}$ of the order
# $D^{-2/(K-1)}$. A weighted mean over codes, as MED is, tends to a constant instead.
# ```
#
# ```{prf:proof}
# $s_{ij}$ is the square of a coordinate of a random direction in $\mathbb{R}^K$, that is, the ratio of a $\chi^2_1$
# variable to the sum of it and an independent $\chi^2_{K-1}$: a Beta variable, whose density near 1 is proportional to
# $(1-s)^{(K-3)/2}$. So $\Pr[s_{ij} > 1 - \epsilon] \sim C\,\epsilon^{(K-1)/2}$, and among $D$ independent draws the
# largest gets as close to 1 as makes this about $1/D$. The means over codes converge by the law of large numbers, since
# (with the population's information) each code's $d_i$ and weight depend on its own column of $W$ and on sums over
# codes.
# ```
#
# Among a thousand random directions some *look* like axes, and these scores consult nobody else: of the thousand codes,
# only the few counted in Table 5 ever vote. BetaVAE's classifier asks even less, namely that $K$ points in $D$
# dimensions be linearly separable. MED is an average over everybody.


# %%
def by_the_law(d, K=5):
    """Mean and deviation of 1 − max s over d codes: ∫ Pr[> ε] dε, and alike."""
    eps = np.logspace(-12, 0, 20_001)
    beyond = (1 - stats.beta((K - 1) / 2, 0.5).cdf(eps)) ** d
    mean = np.trapezoid(beyond, eps)
    return mean, (np.trapezoid(2 * eps * beyond, eps) - mean**2) ** 0.5


# %% tags=["theorem:maxima"]
stream = np.random.RandomState(seed)
rows = []
for d in (5, 50, 1000):
    squares = stream.randn(100, len(SIZES), d) ** 2  # 100 draws of W
    short = 1 - (squares / squares.sum(1, keepdims=True)).max(2)
    mean, deviation = by_the_law(d)
    # factors of one draw depend on each other: the draws are what is counted
    error = short.mean(1).std() / 100**0.5
    assert abs(short.mean() - mean) < 4 * error, d
    assert abs(short.std() / deviation - 1) < 4 / 100**0.5
    rows.append({"D": d, "1 − max s, met": short.mean(), "by the law": mean})
slope = math.log(by_the_law(10**7)[0] / by_the_law(10**5)[0]) / math.log(100)
assert abs(slope + 2 / (len(SIZES) - 1)) < 1e-3  # the rate
display(pd.DataFrame(rows).set_index("D").round(4))
Markdown(
    f"*Table 6. How much the largest of D shares lacks of 1, 100 draws; from $10^5$ to $10^7$ codes: $D^{{{slope:.3f}}}$.*"
)

# %% [markdown]
# So do they measure explicitness, that the code holds every factor where a linear reader finds it? Leave one factor out
# of the code altogether:

# %%
rows = {}
for j, name in enumerate(("shape", "scale", "orientation", "x", "y")):
    others = np.delete(np.arange(len(SIZES)), j)
    z = standard(v)[:, others] @ mix(7, 50)[others] + 0.1 * noise(8, 50)
    sampler = metrics.Rows(z, v)
    options = {"seed": seed, "votes": 2000, "test_votes": 1000}
    rows[name] = {
        "explicitness of it": metrics.explicitness(
            z, v[:, [j, others[0]]], seed=seed
        ).per_factor[0].item(),
        "FactorVAE": metrics.factor_vae(sampler, **options).score,
        "BetaVAE": metrics.beta_vae(
            sampler, points=1000, test_points=500, seed=seed
        ).score,
    }  # fmt: skip
ignored = pd.DataFrame(rows).T
if checked:
    assert (ignored["explicitness of it"] - 0.5).abs().max() < 0.03
    assert ignored[["FactorVAE", "BetaVAE"]].min(axis=None) > 0.9
display(ignored.round(3))
caption(
    "Table 7. Fifty codes that mix four factors and know nothing of the fifth."
)

# %% [markdown]
# They do not: with the missing factor fixed, no variance falls, and *that* is told from the others. They measure whether
# fixing a factor leaves a trace of its own.

# %% [markdown]
# ## The estimate has a bias
#
# (2) is never negative, and so it is too high: independent variables have 0 nats, and every sample of them more. How
# much?
#
# For a code independent of the factor, expand the logarithm around $\hat p(b, v) = \hat p(b)\,\hat p(v)$. The first
# order cancels, the second leaves Pearson's statistic, $2N\, I_{ij} \approx \chi^2$ with $(B-1)(V_j-1)$ degrees of
# freedom. Its mean is their number:
#
# $$ \mathbb{E}[I_{ij}] \approx \beta_j = \frac{(B-1)(V_j-1)}{2N}. \tag{8} $$
#
# For dependent variables the first-order bias is about this as well, as long as all cells are occupied (Miller 1955). The
# next order, for uniform margins, is a share $(B+1)(V_j+1)/6N$ of it. Two hundred uniform codes that know nothing:

# %% tags=["theorem:bias"]
v = factors(0)
nothing = np.random.RandomState(5).rand(n, 200)
plug_in = metrics.mutual_information_matrix(nothing, v, bins).numpy()
freedom = (bins - 1) * (SIZES - 1)
bias = pd.DataFrame({
    "V": SIZES,
    "β, nats": freedom / (2 * n),
    "measured mean, nats": plug_in.mean(0),
    "std by χ², nats": np.sqrt(2 * freedom) / (2 * n),
    "measured std, nats": plug_in.std(0),
})  # fmt: skip
second = 1 + (bins + 1) * (SIZES + 1) / (6 * n)
miss = bias["measured mean, nats"] - bias["β, nats"] * second
assert (miss.abs() < 4 * bias["measured std, nats"] / 200**0.5).all()
# the deviation of a deviation from 200 draws is 5 %
spreads = bias["measured std, nats"] / bias["std by χ², nats"]
assert (spreads - 1).abs().max() < 4 / 400**0.5
display(bias.set_index("V").drop_duplicates().round(5))
caption("Table 8. The law (8) and its spread, for factors with V values.")

# %% [markdown]
# A thousandth of a nat seems harmless beside a factor's entropy, $\log 40 = 3.69$. Three things make it matter.
#
# - **Few samples.** It grows as $1/N$.
# - **Entropy.** $-P \log P$ is steep at 0: a share of 1 % adds not 1 % but $0.01 \log 100 = 4.6$ % of a nat.
# - **Many codes.** Each of $m$ useless codes adds $\beta_j$ to column $j$. Their part of the column's mass,
#
# $$ \frac{m\, \beta_j}{I_j + m\, \beta_j}, \tag{9} $$
#
# is one half at $m = I_j / \beta_j$. Their own rows are $R_j = \beta_j / (I_j + m \beta_j)$: the more of them, the more
# alike the shares, and the nearer their $d$ is to 0 (the last column below).
#
# The cure is to subtract it: $I_{ij} \leftarrow \max(0,\, I_{ij} - (B_i - 1)(V_j - 1)/2N)$ with $B_i$ the occupied bins
# of code $i$. It is no part of MED, so it has its own name, `bias_corrected`, and its own column:

# %%
by_n = []
for size in (500, 1000, 2000, 5000, 10_000, 50_000):
    w = factors(0, size)
    med = metrics.med(standard(w), w, bins)
    by_n.append((size, med.score, med.bias_corrected))
by_n = pd.DataFrame(by_n, columns=["N", "MED", "bias-corrected"])

clean = metrics.med(c, v, bins).information.numpy()
useless = metrics.med(noise(29, 200), v, bins).information.mean(0).numpy()
by_m = []
for m in (0, 5, 20, 80, 320, 995):
    med = metrics.med(on_device(np.hstack([c, noise(23, m)])), v, bins)
    expected = np.vstack([clean, np.tile(useless, (m, 1))])
    predicted, each = disentanglement(expected / expected.sum(0))
    by_m.append((m, med.score, med.bias_corrected, predicted, each[-1]))
columns = [
    "useless codes",
    "MED",
    "bias-corrected",
    "MED, predicted",
    "their d",
]
by_m = pd.DataFrame(by_m, columns=columns)
by_m.loc[0, "their d"] = np.nan  # there are none
display(by_m.set_index("useless codes").round(3))

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 2.7), sharey=True)
for axis, frame in zip(axes, (by_n, by_m), strict=True):
    across = frame.iloc[:, 0].astype(str)
    for name, style in (("MED", "o-"), ("bias-corrected", "s--")):
        axis.plot(across, frame[name], style, label=name, ms=5)
axes[1].plot(across, by_m["MED, predicted"], "k:", label="MED, predicted")
axes[0].set(xlabel="samples $N$", ylabel="score", ylim=(0, 1.04))
axes[1].set(xlabel="useless codes beside the perfect five")
axes[1].legend(loc="lower left")
plt.show()
half = clean[2, 2] / useless[2]
Markdown(
    f"*Figure 5. Left: a perfect code, D = 5, by the size of the sample. Right: the perfect code and Gaussian noise, "
    f"N = {n} (the table above). {bins} bins. Dotted: (3) to (5) with each noise code's information at its mean. By (9), "
    f"{half:.0f} of them hold half of orientation's importance.*"
)

# %%
if bins == 20:
    known = [0.483, 0.628, 0.761, 0.881, 0.931, 0.983]
    assert (by_n.MED - known).abs().max() < 0.015
if checked:
    assert abs(by_m.MED[1] - 0.90482) < 1e-3
    assert (by_m.MED - by_m["MED, predicted"]).abs().max() < 0.02
    assert by_m.MED.iloc[-1] < 0.5 < 0.9 < by_m["bias-corrected"].iloc[-1]

# %% [markdown]
# So the same perfect code has almost any score. Therefore: **never compare MED at different $N$, $B$ or, without care,
# $D$**, and name them beside every number.
#
# Is the corrected one then better? Not everywhere. Where no code knows anything of a factor, (3) still divides by the
# column's sum, and what is left after the subtraction is a handful of chance survivors, each alone in its row. They
# look pure:

# %%
missing = np.hstack([np.delete(c, 2, 1), noise(29, 46)])
rows = {}
for name, z in {
    "noise only, D = 10": noise(22, 10),
    "factor 3 missing, 46 noise codes": missing,
}.items():
    med = metrics.med(z, v, bins)
    rows[name] = {
        "MED": med.score,
        "bias-corrected": med.bias_corrected,
        **{f"factor {j + 1}": s for j, s in enumerate(med.per_factor.tolist())},
    }
holes = pd.DataFrame(rows).T
if checked:
    assert abs(holes.iloc[0, 0] - 0.00349) < 1e-3 and holes.iloc[0, 1] > 0.1
    assert abs(holes.iloc[1, 0] - 0.67669) < 1e-3
display(holes.round(3))
caption(
    "Table 9. MED, its corrected variant, and the part of each factor (plain MED)."
)

# %% [markdown]
# The second row is a code of which 46 dimensions of 50 are noise. MED asks *whom* a code serves and never *how well*.
# That is why a score of axes should stand beside a score of information (explicitness, a probe), and beside its parts
# by factor.
#
# ## Ceilings
#
# What is the best value that can be reached? Below 1, by the bias. And there are other ceilings, which belong to the
# factors and to the binning. Each row below is a code with one dimension for each factor, and no other:

# %%
w = v.copy()
w[:, 2] %= 10  # what an image shows of an angle: 4 × 10 values look alike
skewed = np.exp(3 * c / np.abs(c).max(0))
rough = c + 0.3 * noise(31, 5)
cases = {
    "perfect": c,
    "orientation known up to 90°": standard(w),
    "skewed: exp 3c": skewed,
    "blurred: c + 0.3 noise": rough,
}
rows = {}
for name, z in cases.items():
    med, mig = (score(z, v, bins) for score in (metrics.med, metrics.mig))
    rows[name] = {
        "MED": med.score,
        "MIG": mig.score,
        "MIG, orientation": mig.per_factor[2].item(),
        "known of orientation, I/H": med.information[:, 2].max().item()
        / math.log(SIZES[2]),
    }
ceilings = pd.DataFrame(rows).T
display(ceilings.round(3))
caption("Table 10. Ceilings. Orientation is factor 3 of 5.")

# %%
if checked:
    column = ceilings["MIG, orientation"]
    assert abs(column.iloc[0] - math.log(20) / math.log(40)) < 0.02
    assert abs(column.iloc[1] - math.log(10) / math.log(40)) < 0.02
    assert abs(ceilings.MED.iloc[1] - ceilings.MED.iloc[0]) < 0.02
    assert ceilings.MIG.iloc[2] < ceilings.MIG.iloc[0] - 0.1
    assert abs(ceilings.MED.iloc[2] - ceilings.MED.iloc[0]) < 0.02
    assert ceilings.MED.iloc[3] < ceilings.MED.iloc[0] - 0.05

# %% [markdown]
# - **More values than bins.** Twenty bins hold at most $\log 20$ nats, and orientation has $\log 40$: MIG cannot exceed
#   $\log 20 / \log 40 = 0.81$ there.
# - **What the image does not show.** A square turned by 90° is the same square. With ten distinguishable angles of
#   forty, no encoder can know more than $\log 10$ nats, so its MIG ends at $\log 10 / \log 40 = 0.62$. MED does not see
#   it: (3) divides by whatever there is. An ambiguous factor lowers the ceiling of all scores that ask how much is
#   known, and of none that ask who knows it.
# - **The shape of the axis.** Bins of equal width are unharmed by shift and scale, and by a change of sign unless values
#   lie on the edges of bins, as whole numbers may. An
#   increasing function changes no information, yet it crowds most values into a few bins, and MIG falls. MED hardly
#   moves, again thanks to the division in (3).
# - **Noise.** In the last row each code serves one factor and no other, and MED falls all the same: the less a code
#   knows, the larger the bias is beside it.
#
# ## Nulls: the best of many
#
# Wide codes of real networks score low on MED. The next thought is that perhaps *some* of the dimensions are clean: a
# disentangled **subset**. The released rule for **top-k MED**: give each code to the factor it matters to most, $a(i) =
# \arg\max_j R_{ij}$, keep for each factor the $k$ codes of highest $d_i$, and score these rows of $R$ by (4) and (5).
# Plant such a subset: 40 mixed codes and 10 clean ones, two for each factor.

# %%
planted = np.hstack([
    c @ mix(16, 40) + 0.1 * noise(28, 40),
    c.repeat(2, axis=1) + 0.1 * noise(27, 10),
])  # fmt: skip
turned = {f"× rotation {s}": planted @ rotation(s, 50) for s in (99, 98)}
rows = {}
for name, z in {"planted": planted, **turned}.items():
    of_k = {k: metrics.med(z, v, bins, k) for k in (1, 2, 5)}
    rows[name] = {"MED": of_k[1].full} | {
        f"top-{k}": of_k[k].score for k in of_k
    }
chance = {
    k: metrics.rotation_null(
        on_device(planted), v, k, bins=bins, rotations=rotations, seed=seed
    )
    for k in (1, 2, 5)
}
rows["mean of rotations"] = {"MED": chance[1].full_scores.mean().item()} | {
    f"top-{k}": chance[k].score for k in chance
}
rows["std of rotations"] = {"MED": chance[1].full_scores.std().item()} | {
    f"top-{k}": chance[k].std for k in chance
}
subset = pd.DataFrame(rows).T
found = metrics.med(planted, v, bins, 2).selected.tolist()
assert found == list(range(40, 50))  # top-2 finds what was planted
display(subset.round(3))
caption(
    f"Table 11. A planted subset, and the same code rotated ({rotations} random rotations)."
)

# %%
if checked:
    known = {
        "planted": [0.506, 0.874, 0.873, 0.674],
        "× rotation 99": [0.263, 0.481, 0.426, 0.346],
        "× rotation 98": [0.308, 0.569, 0.498, 0.404],
    }
    for name, values in known.items():
        assert (subset.loc[name] - values).abs().max() < 0.02, name
assert subset.loc["planted", "top-2"] > subset["top-2"][1:4].max() + 0.25

# %% [markdown]
# The subset is there, and top-2 finds exactly the ten codes. But look at the rows below: rotated, where *no* code means
# anything, top-1 still finds about half. By {prf:ref}`prp-disentanglement-maxima` this must be so, for top-k is a
# maximum over codes, just as FactorVAE's vote, and it must grow with $D$. Here is how fast, for the entangled codes of
# Table 5:

# %%
curve = pd.DataFrame(
    [
        {"D": d, "MED": of[1].full} | {f"top-{k}": of[k].score for k in of}
        for d, of in null.items()
    ]
)
figure, axis = plt.subplots(figsize=(5.6, 3))
for name, style in zip(
    curve.columns[1:], ("D-", "o-", "s-", "v-"), strict=True
):
    axis.plot(curve.D, curve[name], style, label=name, ms=5)
axis.axhline(subset.loc["planted", "top-2"], color="black", lw=1, ls="--")
axis.text(widths[0], subset.loc["planted", "top-2"] + 0.02, "planted, top-2")
axis.set(xscale="log", xlabel="dimensions $D$", ylabel="score", ylim=(0, 1))
axis.set_xticks(widths, widths)
axis.minorticks_off()
axis.legend(loc="lower right", ncols=2)
plt.show()
caption("Figure 6. The null curve: top-k MED of codes without any structure.")

# %%
if checked and widths == [5, 10, 50, 200, 1000]:
    known = {"top-1": [0.326, 0.351, 0.545, 0.637, 0.699],
             "top-2": [0.294, 0.311, 0.491, 0.599, 0.685],
             "top-5": [0.294, 0.290, 0.404, 0.527, 0.655]}  # fmt: skip
    for name, values in known.items():
        assert (curve[name] - values).abs().max() < 0.03, name

# %% [markdown]
# So a subset of a code of a thousand dimensions that scores 0.7 is no finding. **A subset claim without its null means
# nothing.** The null to use is the code's own: standardise each code and rotate at random, $\tilde z\,Q$, which keeps
# what all codes know together and takes the axes away. In `mdlib` it is `metrics.rotation_null`, and `metrics.evaluate`
# puts it below every top-k value.
#
# Why standardise? MED does not see the size of a code. A rotation does: it mixes a large code with little else. Take
# structureless codes, multiply each by a constant, and MED stays what it is:


# %%
def beside_own_null(codes, v, standardised, seed):
    """MED of codes over that of the same codes rotated, a mean of 3."""
    if standardised:
        null = metrics.rotation_null(
            codes, v, bins=bins, rotations=3, seed=seed
        )
        null = null.full_scores
    else:
        turns = [rotation(3 * seed + s, codes.shape[1]) for s in range(3)]
        null = torch.tensor(
            [metrics.med(codes @ q, v, bins).score for q in turns]
        )
    return metrics.med(codes, v, bins).score / null.mean().item()


# %% tags=["theorem:null"]
few = factors(0, 2000)
kinds = {"as they are": False, "standardised": True}
ratios = {name: [] for name in kinds}
for s in range(24):
    z = standard(few) @ mix(100 + s, 50) + 0.1 * noise(200 + s, 50, 2000)
    size = np.exp(1.5 * np.random.RandomState(300 + s).randn(50))
    for name, standardised in kinds.items():
        ratios[name].append(
            beside_own_null(z / z.std(0) * size, few, standardised, 400 + s)
        )
ratios = pd.DataFrame(ratios)
error = ratios.std() / len(ratios) ** 0.5
excess = (ratios.mean() - 1) / error
assert excess["as they are"] > 3 > abs(excess["standardised"]), excess
Markdown(f"""*Table 12. MED over its null for {len(ratios)} codes without axes, D = 50, N = 2000, sizes
$e^{{1.5\\varepsilon}}$: codes as they are {ratios["as they are"].mean():.2f} ± {error["as they are"]:.2f} (standard
error), standardised {ratios["standardised"].mean():.2f} ± {error["standardised"]:.2f}. 1 is no structure.*""")

# %% [markdown]
# ### Twins
#
# One more thing that wide codes do: they say things twice. Duplicate a perfect code.

# %%
rows = {}
for name, z in {"perfect": c, "perfect, twice": np.hstack([c, c])}.items():
    med = metrics.med(z, v, bins)
    rows[name] = {
        "MED": med.score,
        "MIG": metrics.mig(z, v, bins).score,
        "modularity": metrics.modularity(z, v, bins).score,
        "completeness": med.completeness,
    }
twins = pd.DataFrame(rows).T
assert abs(twins.MED.diff().iloc[1]) < 1e-6 and twins.MIG.iloc[1] < 1e-9
assert twins.completeness.iloc[1] < 1 - math.log(2) / math.log(10) + 1e-6
if checked:
    assert abs(twins.completeness.iloc[1] - 0.65080) < 1e-3
display(twins.round(3))
caption("Table 13. Duplicated codes.")

# %% [markdown]
# MED and modularity don't mind. MIG, a gap between the best and the second best, is 0, and completeness, without bias,
# would be $1 - \log 2 / \log 10 = 0.70$. In a thousand dimensions every factor has a second code, so MIG is near 0
# whatever the code is like. It is a measure for codes that are about as many as the factors.
#
# ## Dependent factors
#
# So far factors are independent. In the world they are not: large animals are rarely near. Let two of three factors
# depend on each other and score the *perfect* code.
#
# ```{prf:proposition} MED of the perfect code
# :label: prp-disentanglement-dependent
#
# Let code $i$ be factor $i$, with population information, and let factors 1 and 2 have entropy $H$ each and mutual
# information $I$, all others being independent of them and of each other. Then, with $h(q) = -q \log q - (1-q) \log(1-q)$,
#
# $$ \mathrm{MED} = 1 - \frac 2K \cdot \frac{h\big(H / (H + I)\big)}{\log K}. \tag{10} $$
#
# MIG's gaps of both factors are $1 - I/H$. The perfect code's importances in DCI, if trees are fitted to the end, are
# those of independent factors.
# ```
#
# ```{prf:proof}
# $I_{11} = I_{22} = H$ and $I_{12} = I_{21} = I$, so the columns of $R$, and by symmetry the rows, are $(H, I)/(H + I)$:
# weight 1, entropy $h$. The other rows are pure. A tree that has split on code $j$ until factor $j$ is known has leaves
# of one value, and no other code has anything to add.
# ```
#
# Below, two factors with five values agree in 76 % of all rows, and each combination occurs as often as its probability
# says, so that the sample is no source of error. In the third column the *same rows are thinned*, until all combinations
# are equally frequent.


# %%
def every_combination(counts):
    """Rows [N, K] in which each combination of values occurs counts[…] times."""
    axes = np.meshgrid(*map(np.arange, counts.shape), indexing="ij")
    values = np.stack(axes, -1).reshape(-1, counts.ndim)
    return np.repeat(values, counts.flatten(), 0)


def formula(pairs, K=3):
    """(10), from the joint law of the first two factors."""
    pairs = pairs / pairs.sum()
    H = stats.entropy(pairs.sum(0))
    q = H / (3 * H - stats.entropy(pairs.flatten()))  # I = 2 H − H(both)
    return 1 - 2 / K * stats.entropy([q, 1 - q]) / math.log(K)


AGREE = np.eye(5, dtype=int)

# %% tags=["theorem:dependent"]
worlds_of = {
    "independent": np.full((5, 5, 3), 40),
    "dependent": np.stack(3 * [12 + 140 * AGREE], -1),
    "dependent, thinned": np.full((5, 5, 3), 12),
}
scored = ["med", "mig", "modularity", "sap", "dci", "irs", "explicitness",
          "informativeness", "hfs", "gaussian_total_correlation"]  # fmt: skip
columns = {}
for name, counts in worlds_of.items():
    w = every_combination(counts)
    at = metrics.evaluate(
        w.astype(float), w, bins=20, seed=seed, metrics=scored
    ).score
    at["factor_vae"] = metrics.factor_vae(metrics.Rows(w, w), seed=seed).score
    at["beta_vae"] = metrics.beta_vae(
        metrics.Rows(w, w), points=1000, test_points=500, seed=seed
    ).score
    at["mcc"] = metrics.mcc(w, w, seed=seed).score
    columns[name] = at
    assert abs(at["med"] - formula(counts[..., 0])) < 1e-6, name
dependent = pd.DataFrame(columns)
falls = dependent["independent"] - dependent["dependent"]
AXES = ["med", "mig", "modularity", "sap"]
unmoved = ["dci", "irs", "factor_vae", "beta_vae", "explicitness", "mcc"]
assert (falls[AXES] > 0.03).all() and falls["med"] > 0.3, falls
assert (dependent["independent"][unmoved] > 0.99).all(), dependent
assert (falls[unmoved].abs() < 0.01).all(), falls
assert abs(dependent.loc["med", "dependent, thinned"] - 1) < 1e-6
display(dependent.astype(float).round(3))
Markdown(
    f"*Table 14. The perfect code, in three worlds. N = {len(w)} in the last, 3000 in the others; 20 bins, seed {seed}.*"
)

# %% [markdown]
# **This is MED's main weakness**: it asks what a code knows of a factor, and in a world where size tells of distance, a
# code that *is* size does know of distance. Scores from mutual information one pair at a time (MED, MIG, modularity, SAP)
# all fall, for reasons that are not the code's; scores that let the best code answer first, or fix a factor, don't. (HFS
# asks for a factorised *support*, which correlation leaves alone; its rise is due to the rare combinations.) For this the
# literature on correlated factors (Roth et al. 2023) reports DCI. What can one do? Score on rows in which factors are
# independent, if all combinations occur, as in the third column; or take DCI; never compare MED across worlds.
#
# ## Images
#
# The factors themselves are the ideal code, and pixels and principal components are codes that nobody learnt. What can
# be said of them, each beside the same code rotated? (Trained codes: `experiments/negative_free_disentanglement`.)


# %%
def unlearnt(pictures):
    """Codes [N, D] of images that no network was trained for."""
    pixels = pictures.images.flatten(1).float() / 255
    pixels = pixels[:, pixels.std(0) > 0]  # dead pixels can say nothing
    centred = pixels - pixels.mean(0)
    axes = torch.linalg.eigh((centred.T @ centred).cpu().double())[1].flip(1)
    components = centred @ axes.float().to(centred)
    return {
        "the factors": pictures.factors.float(),
        "pixels": pixels,
        "PCA, 10": components[:, :10],
        "PCA, 200": components[:, :200],
    }


SIDE = {"scenes": 16}  # in colour, so 768 pixel values are many enough
galleries = {
    name: data.load(name, "all", size=SIDE.get(name))
    .sample(images, seed)
    .to(device)
    for name in image_sets.replace(" ", "").split(",")
}
for pictures in galleries.values():
    plots.image_grid(pictures.images[:8][None])
    plt.show()
Markdown("*Figure 7. Eight images of each set, as they are scored.*")


# %%
def vote(z, truth):
    """FactorVAE's score, of all codes that vary."""
    return metrics.factor_vae(
        metrics.Rows(z, truth),
        votes=2000, test_votes=1000, threshold=0.0, seed=seed,
    )  # fmt: skip


def beside_null(z, truth):
    """Scores of a code and of the same code rotated."""
    med = metrics.med(z, truth, bins, 1)
    null = metrics.rotation_null(
        z, truth, 1, bins=bins, rotations=rotations, seed=seed
    )
    own, spin = vote(z, truth), metrics.random_rotation(z.shape[1], draw)
    standard_z = (z - z.mean(0)) / z.std(0)  # as in MED's null
    return {
        "D": z.shape[1],
        "MED": med.full,
        "MED rotated": null.full_scores.mean().item(),
        "top-1": med.score,
        "top-1 rotated": null.score,
        "FactorVAE": own.score,
        "FactorVAE rotated": vote(standard_z @ spin.to(z), truth).score,
        "codes that vote": int((own.votes.sum(0) > 0).sum()),
    }


# %%
rows = []
for dataset, pictures in galleries.items():
    codes, truth = unlearnt(pictures), pictures.factors
    for name, z in codes.items():
        scores = beside_null(z, truth)
        rows.append({"images": dataset, "code": name} | scores)
table = pd.DataFrame(rows)
mdlib.record(out, table.assign(experiment="images", seed=seed))
table = table.set_index(["images", "code"])
display(table.round(3))
caption(
    f"Table 15. Codes of images, each beside random rotations of it "
    f"({rotations} for MED, 1 for FactorVAE; 2000 + 1000 votes).", images
)  # fmt: skip

# %% [markdown]
# - **The ideal code** scores what its ceiling allows, and its rotation is ruined. So much for the bench.
# - **The pixels of sprites** have no axes that mean anything: MED is next to its null, and the best of them are no
#   purer than the best random directions. A pixel is lit where the sprite covers it: it speaks of $x$ and $y$ at once.
# - **The pixels of scenes** do: they beat their null several times over, and their principal components. A pixel near the
#   lower edge shows the floor and nothing else. No learning did this. The camera did, which hardly moves.
# - **Principal components** are above their null in both, though nobody taught them. To beat one's own rotation is
#   not yet an achievement of training: a trained code needs an untrained control, too.
# - **FactorVAE's score** finds the pixels of sprites near chance, $\frac1K$, and better once they are rotated. Among 64
#   images that agree in anything, some pixel is black in all, and wins the vote whatever was fixed. Sparse codes, such as
#   come out of a ReLU, invite the same accident.

# %%
if images == 5000 and bins == 20:
    at = table.xs("the factors", level="code")
    assert (at.MED > 0.9).all() and (at["MED rotated"] < 0.5).all()
    for name in ("PCA, 10", "PCA, 200"):
        at = table.xs(name, level="code")
        assert (1.3 * at["MED rotated"] < at.MED).all()
        assert (at["top-1"] > 1.3 * at["top-1 rotated"]).all()
    if "sprites" in galleries:
        at = table.loc["sprites", "pixels"]
        assert at["top-1"] < at["top-1 rotated"] + 0.02
        assert at.FactorVAE < 0.35 < at["FactorVAE rotated"]
    if "scenes" in galleries:
        at = table.loc["scenes"].MED
        assert at["pixels"] > 2 * table.loc["scenes", "pixels"]["MED rotated"]
        assert at["pixels"] > at["PCA, 10"] + 0.05

# %% [markdown]
# ## Which score for which wish, and what breaks it
#
# | score | wish | wide codes | dependent factors | besides |
# |---|---|---|---|---|
# | MED | modularity | useless codes drag it down (9) | **falls** (10) | depends on $N$ and $B$; a factor nobody knows is not missed |
# | top-k MED | a modular subset | a maximum: needs its null, which grows with $D$ | falls | as MED |
# | modularity | modularity | codes of noise score .7 and more | falls | never alone |
# | DCI, disentanglement | modularity | cost: boosted trees | unmoved | depends on the trees |
# | IRS | modularity, under intervention | – | unmoved | quantiles of rare values |
# | FactorVAE | the purest code's modularity | a maximum: tends to 1 | unmoved | sparse codes; an ignored factor |
# | BetaVAE | a trace of each factor | tends to 1 | unmoved | an ignored factor |
# | MIG, SAP | compactness, lead of the best code | 0 for twins | fall | MIG: more values than bins |
# | completeness (MED, DCI) | compactness | twins cost $\log 2 / \log D$ | MED's falls | |
# | explicitness, informativeness | explicitness | grow with $D$ | unmoved | any invertible linear map keeps them |
# | MCC | a code for each factor | a maximum: needs its null | unmoved, but its null is high | what else codes hold |
# | HFS, total and Wasserstein correlation | independent codes, no wish of ours | HFS: $D^2$ pairs | TC rises; HFS a little | a rotation of a Gaussian |
#
# ## What this does not show
#
# - **Which measure is right.** Each answers a question. MED answers: averaged over what is known, to how many factors
#   does a code matter? Ask also how much is known.
# - **Anything about learnt codes.** All codes here are made by formula. Whether trained networks have clean subsets is
#   a question for a benchmark of trained codes, with the nulls from here.
# - **Factors that nobody named.** Scores know the factors on the list. A code of something else counts as noise.
# - **That (8) holds for every code.** Bins that are nearly empty, as a Gaussian's tails, have less bias than it says.
#
# ## Exercises
#
# **1 (easy).** A code matters to $m$ of $K$ factors, to each of them alike, and to no other. What is its $d_i$? Write
# `d_of(m, K)`. How many of 10 factors may a code serve and still have $d_i \ge \frac12$?


# %% tags=["solution", "hide-input"]
def d_of(m, K):
    return 1 - math.log(m) / math.log(K)  # the entropy of m equal shares


# %% tags=["check"]
for m, K in ((1, 5), (2, 5), (5, 5), (3, 10)):
    row = np.zeros((1, K))
    row[0, :m] = 1 / m
    assert abs(disentanglement(row)[1][0] - d_of(m, K)) < 1e-6
assert max(m for m in range(1, 11) if d_of(m, 10) >= 0.5) == 3

# %% [markdown]
# **2 (medium).** MIG and MED are often reported as if they said the same. Show that they do not: from two factors with
# four values each, `v` [N, 2], make a code `split(v)` [N, 2] with MIG 1 and MED 0 (20 bins). And what does DCI say of
# it?


# %% tags=["solution", "hide-input"]
def split(v):
    """One number that holds both factors, and one that never varies."""
    both = v[:, 0] + 4 * v[:, 1]  # 16 values, each in a bin of its own
    return np.stack([both, 0 * both], 1).astype(float)


# %% tags=["check"]
full = np.stack(np.meshgrid(range(4), range(4)), -1).reshape(-1, 2)
full = np.tile(full, (50, 1))
answer = split(full)
assert metrics.mig(answer, full, 20).score > 0.999
assert metrics.med(answer, full, 20).score < 0.001
assert metrics.dci(answer, full, trees="binned").score < 0.01

# %% [markdown]
# **3 (a small research question).** A reviewer says: axes are arbitrary, so run a PCA on the codes first, scale the
# components to unit variance, and apply the metric then. Show that the repaired metric can be fooled both ways. Write
# `praised(c)`, an orthogonal rotation of (rescaled) factors that is entangled, MED below 0.4, and that the repaired
# metric finds clean, above 0.75; and `condemned(c)`, a clean code, MED above 0.75, for which the repaired metric finds
# less than 0.5. `c` [N, 5] is the perfect code. What does the repaired metric measure?


# %% tags=["solution", "hide-input"]
def praised(c):
    """Unequal variances: PCA finds the axes again, whatever was rotated."""
    return c * [1.0, 2, 4, 8, 16] @ rotation(11, 5)


def condemned(c):
    """Equal variances: any axes are principal, and chance picks some."""
    return c


# %% tags=["check"]
def whitened(z):
    """Principal components, scaled to unit variance."""
    left, _, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
    return left * len(z) ** 0.5


verdicts = {}
for answer in (praised, condemned):
    z = answer(c)
    plain, repaired = (metrics.med(t, v, bins).score for t in (z, whitened(z)))
    verdicts[answer.__name__] = {"MED": plain, "after PCA": repaired}
if checked:
    assert verdicts["praised"]["MED"] < 0.4
    assert verdicts["praised"]["after PCA"] > 0.75
    assert verdicts["condemned"]["MED"] > 0.75
    assert verdicts["condemned"]["after PCA"] < 0.5
pd.DataFrame(verdicts).T.round(3)

# %% [markdown]
# The repaired metric has the same value for $z$ and every $zQ$. So it cannot speak of axes. What it measures is whether
# the factors happen to have different variances in the code, which is a fact about scale.
#
# ## References
#
# - J. Cao, R. Nai, Q. Yang, J. Huang, Y. Gao. *An Empirical Study on Disentanglement of Negative-free Contrastive
#   Learning.* NeurIPS 2022. [arXiv:2206.04756](https://arxiv.org/abs/2206.04756)
# - M.-A. Carbonneau, J. Zaïdi, J. Boilard, G. Gagnon. *Measuring Disentanglement: A Review of Metrics.* 2020.
#   [arXiv:2012.09276](https://arxiv.org/abs/2012.09276)
# - R. T. Q. Chen et al. *Isolating Sources of Disentanglement in Variational Autoencoders.* NeurIPS 2018.
#   [arXiv:1802.04942](https://arxiv.org/abs/1802.04942)
# - C. Eastwood, C. Williams. *A Framework for the Quantitative Evaluation of Disentangled Representations.* ICLR 2018.
# - I. Higgins et al. *β-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework.* ICLR 2017.
# - H. Kim, A. Mnih. *Disentangling by Factorising.* ICML 2018. [arXiv:1802.05983](https://arxiv.org/abs/1802.05983)
# - F. Locatello et al. *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations.*
#   ICML 2019. [arXiv:1811.12359](https://arxiv.org/abs/1811.12359)
# - G. Miller. *Note on the Bias of Information Estimates.* In: Information Theory in Psychology, 1955.
# - A. Kumar, P. Sattigeri, A. Balakrishnan. *Variational Inference of Disentangled Latent Concepts from Unlabeled
#   Observations* (SAP). ICLR 2018. [arXiv:1711.00848](https://arxiv.org/abs/1711.00848)
# - K. Ridgeway, M. Mozer. *Learning Deep Disentangled Embeddings with the F-Statistic Loss.* NeurIPS 2018.
#   [arXiv:1802.05312](https://arxiv.org/abs/1802.05312)
# - K. Roth et al. *Disentanglement of Correlated Factors via Hausdorff Factorized Support.* ICLR 2023.
#   [arXiv:2210.07347](https://arxiv.org/abs/2210.07347)
# - R. Suter et al. *Robustly Disentangled Causal Mechanisms* (IRS). ICML 2019.
#   [arXiv:1811.00007](https://arxiv.org/abs/1811.00007)
#
# ## Provenance

# %% tags=["provenance"]
provenance.environment(device, started)

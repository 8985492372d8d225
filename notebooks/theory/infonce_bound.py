# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One inequality: bounds on mutual information
#
# *Why is InfoNCE a lower bound on mutual information, what does every such bound pay, and can any of them do better?*
#
# The logarithm lies below its tangents. From this one line come nearly all bounds in use; they differ in the point at
# which the tangent is taken. We prove the inequality of contrastive learning in full, check it *exactly* by listing all
# batches of a small alphabet, and then give every bound the best critic that it could wish for, to see what is left.
#
# **You will learn**
# - the proof of InfoNCE's bound, and which of its hypotheses a batch of real data breaks,
# - Barber-Agakov, TUBA, NWJ, DV, MINE, JS, $I_\alpha$ and CLUB as one family, with bias, variance and mean squared error,
# - what limits any estimate from $N$ samples.
#
# **You need** probability densities, the KL divergence, and the first chapter's InfoNCE.
#
# **Time:** 35 minutes to read; about 30 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
levels = "2,4,6,8,10"  # true values, in nats [some numbers, above 0]
dim = 20  # of x and of y [1 or more]
batch_size = 64  # K, pairs in a batch [2 or more]
batches = 1000  # batches of a Monte-Carlo mean, by the hundred [100 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # what the provenance cell reports [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch

import mdlib
from mdlib import mi
from mdlib.devices import pick_device
from mdlib.figures import explorable, plots
from mdlib.mi import bounds, tasks
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
levels = [float(level) for level in levels.split(",")]
ceiling = math.log(batch_size)
generator = torch.Generator().manual_seed(seed)

# %% [markdown]
# ## What is to be measured
#
# Let $P = p(x, y)$ be a joint density and $Q = p(x)\,p(y)$ the product of its marginals. Their ratio
# $r(x, y) = p(x, y) / (p(x) p(y))$ says how much more often a pair occurs than chance would have it, and the **mutual
# information**
#
# $$ I = I(X; Y) = \mathbb{E}_P[\log r(x, y)] = \mathrm{KL}(P \,\|\, Q) \tag{1} $$
#
# is its mean logarithm, in nats: 0 for independent variables, without an upper limit. It does not change when $x$
# or $y$ passes through an injective map with a measurable inverse: by the data-processing inequality no map can add
# information, neither the map nor its inverse.
#
# We begin where the truth is known: $d$ pairs of standard normals with correlation $\rho$ each, for which
# $I = -\frac d2 \log(1 - \rho^2)$. Such a *task* samples pairs, and knows its information and its $\log r$:

# %% tags=["theorem:ratio"]
task = tasks.gaussian(4.0, dim=dim)
x, y = task.sample(200_000, generator)
log_r = task.log_ratio(x, y)
error = (log_r.std() / len(log_r) ** 0.5).item()
assert abs(log_r.mean().item() - task.information) < 4 * error
f"{task.title}: the mean of log r is {log_r.mean():.3f} ± {error:.3f} nats"

# %% [markdown]
# ## One inequality
#
# For every $u > 0$ and $a > 0$,
#
# $$ \log u \le \frac ua + \log a - 1, \qquad \text{with equality at } u = a. \tag{2} $$
#
# **First** comes a step of Barber and Agakov: put any density $q(x|y)$ for the unknown $p(x|y)$ and lose
# $\mathbb{E}_y \mathrm{KL}(p(x|y) \| q(x|y)) \ge 0$ (where $H(X)$ is finite),
#
# $$ I \ge \mathbb{E}_P[\log q(x|y)] + H(X). \tag{3} $$
#
# Take a *critic* $f(x, y)$ for which $\mathbb{E}_P[f]$ exists and $Z(y) = \mathbb{E}_{p(x)}[e^{f(x, y)}]$ is finite for
# almost every $y$. With $q(x|y) = p(x)\, e^{f(x, y)} / Z(y)$ the unknown $H(X)$ drops out:
#
# $$ I \ge \mathbb{E}_P[f(x, y)] - \mathbb{E}_{p(y)}[\log Z(y)]. \tag{4} $$
#
# **Second**, no batch gives an unbiased $\log Z$, so bound it by (2), with a *baseline* $a(y) > 0$ of our choice:
#
# ```{prf:theorem} TUBA
# :label: thm-tuba
#
# For every critic as above and every $a(y) > 0$ with $\mathbb{E}_{p(y)}|\log a(y)| < \infty$,
#
# $$ I \ge 1 + \mathbb{E}_P\!\left[f(x, y) - \log a(y)\right] - \mathbb{E}_Q\!\left[e^{f(x, y)} / a(y)\right], \tag{5} $$
#
# with equality, if $I$ is finite, if and only if $f = \log r + \log a$ almost everywhere under $P$, and $e^f = 0$
# where $r = 0$.
# ```
#
# ```{prf:proof}
# In (4), $\log Z(y) \le Z(y)/a(y) + \log a(y) - 1$ by (2); take the mean over $y$. Two inequalities were used: (3) is
# tight where $e^f / Z(y) = r$, (2) where $a = Z$.
# ```
#
# The right side of (5) is also the dual form of the KL divergence as an $f$-divergence (Nguyen et al. 2010). The rest
# is a choice of $a$:
#
# | baseline $a(y)$ | bound | optimal critic |
# | --- | --- | --- |
# | $e$ | **NWJ**: $\mathbb{E}_P[f] - e^{-1}\,\mathbb{E}_Q[e^f]$ | $1 + \log r$ |
# | $1$ | the value that **JS** critics report | $\log r$ |
# | a network's, learned with $f$ | **TUBA** proper | $\log r + \log a$ |
# | the best constant, $\mathbb{E}_Q[e^f]$ | **DV**: $\mathbb{E}_P[f] - \log \mathbb{E}_Q[e^f]$ | $\log r$ + constant |
# | $\frac1K \sum_j e^{f(x_j, y)}$, over the batch | **InfoNCE** | $\log r + c(y)$ |
# | $\frac{\alpha}{K-1} \sum_{j \ne k} e^{f(x_j, y)} + (1 - \alpha)\, a(y)$, one other $x_k$ left out | $I_\alpha$ | depends on $\alpha$ |
#
# A *learned* baseline frees the critic from normalising: if $f = \log r + c(y)$ with any $c$, (5) is tight with
# $a = e^{c(y)}$, while DV charges for what $c$ varies, and NWJ for what it differs from 1. InfoNCE's needs no learning.
#
# **MINE** has DV's value. As $-\log$ of a batch's mean has a biased gradient, MINE divides by a moving average of
# $\mathbb{E}_Q[e^f]$ instead: it climbs $\mathbb{E}_P[f] - \mathbb{E}_Q[e^f] / \text{average}$ and reports DV.
#
# All can be had from the scores of a batch's $K^2$ pairs, $S_{ij} = f(x_i, y_j)$. In the code a bound is a
# function of that matrix. Slowly, and then as `mdlib` has it (InfoNCE over $y$):

# %% tags=["theorem:scores"]
task = tasks.gaussian(4.0, dim=dim)
x, y = task.sample(batch_size, generator)
S = task.scores(x, y).double()  # S[i, j] = log r(x_i, y_j)
joint, off = S.diagonal(), ~torch.eye(len(S), dtype=torch.bool)
slowly = {
    "nwj": (joint + 1).mean() - S[off].add(1).exp().mean() / math.e,
    "js": 1 + joint.mean() - S[off].exp().mean(),
    "dv": joint.mean() - S[off].exp().mean().log(),
    "infonce": (joint.exp() / S.exp().mean(1)).log().mean(),
}
fast = {
    "nwj": bounds.nwj(S + 1),
    "js": bounds.js(S),
    "dv": bounds.dv(S),
    "infonce": bounds.infonce(S),
}
torch.testing.assert_close(slowly, fast)
{name: round(value.item(), 2) for name, value in fast.items()}

# %% [markdown]
# ## InfoNCE, the proof
#
# The batch's own mean is no function of $y$: it holds the pair's own $x_i$ and all others'. What makes it a baseline?
#
# ```{prf:theorem} InfoNCE
# :label: thm-infonce
#
# Let $(x_1, y_1), \dots, (x_K, y_K)$ be *independent* draws from $P$, and $f$ any real (measurable) function. Then
#
# $$ I_\mathrm{NCE} = \mathbb{E}\left[\frac1K \sum_{i=1}^K
#    \log \frac{e^{f(x_i, y_i)}}{\frac1K \sum_{j=1}^K e^{f(x_j, y_i)}}\right] \le \min(I, \log K). \tag{6} $$
# ```
#
# ```{prf:proof}
# *At most $\log K$*, on every batch: the sum over $j$ holds the term $j = i$, so that each fraction is at most $K$.
#
# *At most $I$.* By symmetry all $i$ have the same mean; take $i = 1$. Write $m = \frac1K \sum_j e^{f(x_j, y_1)}$.
#
# 1. *The others are fixed arguments.* Given $x_2, \dots, x_K$, which are independent of $(x_1, y_1)$, the function
#    $g(x, y) = f(x, y) - \log \frac1K\big(e^{f(x, y)} + \sum_{j \ge 2} e^{f(x_j, y)}\big)$ is a critic like any other. So
#    (5) holds for it, with $a = 1$. Take the mean over the others:
#
#    $$ I \ge 1 + \mathbb{E}[g(x_1, y_1)] - \mathbb{E}[e^{g(x_1, \tilde y)}], $$
#
#    where, in the last term, $\tilde y \sim p(y)$ is an *independent copy*: it belongs to none of $x_1, \dots, x_K$.
# 2. *The last term is 1.* It is the mean of $e^{f(x_1, \tilde y)} \big/ \frac1K \sum_j e^{f(x_j, \tilde y)}$. As
#    $\tilde y$ is independent of all $K$ of them and they are alike (*exchangeable*), each $x_i$ in the numerator gives
#    the same mean. The $K$ fractions add up to $K$, so each has mean 1.
# 3. So $I \ge \mathbb{E}[g(x_1, y_1)] = \mathbb{E}[f(x_1, y_1) - \log m]$, which is (6).
# ```
#
# ```{prf:corollary}
# :label: cor-infonce-optimum
#
# The critic $\log r(x, y) + c(y)$ is optimal for every $K$, with any $c$, and falls short of $I$ by at most
# $\mathbb{E}_P[\log(1 + r/K)]$, which tends to 0 as $K$ grows if $I$ is finite.
# ```
#
# ```{prf:proof}
# For known $y_1$, let one of the $x_j$, each equally likely, be the partner, and all others be drawn from $p(x)$. By
# Bayes, $x_j$ is the partner with probability $r(x_j, y_1) / \sum_k r(x_k, y_1)$. The mean logarithm of a guess is
# largest for the true probability, and the softmax of $\log r + c$ is that one; $c(y_1)$ cancels. Its value is
# $I - \mathbb{E}[\log \frac1K \sum_j r(x_j, y_1)]$. Given $(x_1, y_1)$, the other $K - 1$ terms have expectation 1, so by
# Jensen what is lost is at most $\mathbb{E}_P[\log \frac{r + K - 1}K] \le \mathbb{E}_P[\log(1 + r/K)]$. The limit is by
# dominated convergence, as $\log(1 + r/K) \le \log 2 + \max(\log r, 0)$.
# ```
#
# A theorem about means over batches can be checked without sampling, where there are only so many batches. Take
# alphabets of 2 and 3 letters, list all batches of $K$ pairs, and weigh each by its probability:


# %% tags=["theorem:infonce"]
def exact(joint, f, K, bound):
    """The mean of a bound over all batches of K independent pairs."""
    n, m = joint.shape
    pair = torch.cartesian_prod(*[torch.arange(n * m)] * K).view(-1, K)
    weight = joint.flatten()[pair].prod(1)
    x, y = pair // m, pair % m
    return (weight * bound(f[x[:, :, None], y[:, None, :]])).sum().item()


def random_law(n=2, m=3):
    """A random joint distribution, its product of marginals, and I."""
    joint = torch.rand(n, m, generator=generator).double() ** 3 + 0.01
    joint /= joint.sum()
    product = joint.sum(1, keepdim=True) * joint.sum(0)
    return joint, product, (joint * (joint / product).log()).sum().item()


above = []
for _ in range(60):
    joint, product, information = random_law()
    log_r = (joint / product).log()
    f = log_r + 2 * torch.randn(2, 3, generator=generator).double()
    for K in (2, 3, 4):
        any_f = exact(joint, f, K, bounds.infonce)
        best = exact(joint, log_r + f[:, :1], K, bounds.infonce)  # + c(x)
        lost = (joint * (log_r.exp() / K).log1p()).sum().item()
        assert any_f <= best + 1e-12 and best <= information + 1e-12
        assert best >= information - lost - 1e-12
    nwj = (joint * f).sum() - (product * f.exp()).sum() / math.e
    assert abs(exact(joint, f, 3, bounds.nwj) - nwj) < 1e-9  # no bias
    assert nwj <= information
    above += [exact(joint, log_r, 3, bounds.dv) - information]
assert min(above) > 0
print(f"DV with its optimal critic, K = 3: {np.mean(above):.3f} nats above I")

# %% [markdown]
# InfoNCE is below $I$ with any critic, best with $\log r + c$ (here
# $c(x)$, as `mdlib` normalises over $y$), and no further away than {prf:ref}`cor-infonce-optimum` says. NWJ's mean over
# batches is (5) itself: *no bias*. DV's mean with the optimal critic lies **above** $I$, by Jensen's inequality: DV is a
# bound for the infinite sample only.
#
# ### Pairs that are not independent
#
# Step 1 used independence. A batch from one video, one patient, one day shares something, $Z$.
#
# ```{prf:theorem} Shared causes
# :label: thm-shared
#
# If the pairs of a batch are independent draws of one law $p(x, y | z)$, *given* $Z = z$, which all of them share, then
# $\mathbb{E}[I_\mathrm{NCE}] \le I(X; Y | Z)$, and it may exceed $I(X; Y)$.
# ```
#
# ```{prf:proof}
# Given $Z = z$, {prf:ref}`thm-infonce` holds with $p(x, y | z)$ for $P$. Take the mean over $z$. The example follows.
# ```
#
# Let $(X, Y) = Z + \varepsilon$ with normal $Z$ (correlation $-0.5$) and $\varepsilon$ ($0.9$), after Tschannen et al.
# (2020). The pairs look strongly dependent within a batch; over batches $X$ and $Y$ share almost nothing.


# %%
def shared_noise(n, independent):
    """n pairs (X, Y) = Z + ε; Z is each pair's own, or the batch's."""

    def correlated(rho, n):
        a = torch.randn(n, 2, generator=generator)
        b = rho * a[:, 0] + math.sqrt(1 - rho**2) * a[:, 1]
        return torch.stack([a[:, 0], b], 1)

    pair = correlated(-0.5, n if independent else 1) + correlated(0.9, n)
    return pair.split(1, 1)


class Quadratic(torch.nn.Module):
    """f(x, y) = w · (x², y², xy, x, y), for one-dimensional x and y."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, 5, 1, 1))

    def forward(self, x, y):
        x, y = torch.broadcast_tensors(x, y.mT)  # all pairs, [K, K]
        terms = torch.stack([x * x, y * y, x * y, x, y])
        return (self.weight * terms).sum(1)


# %% tags=["theorem:shared"]
truth = -0.5 * math.log(1 - 0.2**2)  # variances 2, covariance 0.4
given_z = -0.5 * math.log(1 - 0.9**2)
found = {}
for how in ("independent", "shared"):

    def draw(step, n, how=how):
        return shared_noise(n, how == "independent")

    quadratic = Quadratic()
    mi.train(quadratic, ["infonce"], draw, steps=300, batch_size=128, lr=0.02)
    fresh = mi.evaluate(
        quadratic, ["infonce"], draw, batches=100, batch_size=128
    )["infonce", 0]
    found[how] = fresh.mean(), fresh.std() / 10  # 10² batches
mean, error = found["independent"]
assert mean <= truth + 4 * error
mean, error = found["shared"]
assert truth + 4 * error < mean <= given_z + 4 * error
print(f"I(X; Y) = {truth:.3f}, I(X; Y | Z) = {given_z:.3f} nats")
{how: f"{m:.3f} ± {e:.3f}" for how, (m, e) in found.items()}

# %% [markdown]
# The "lower bound" is many times the truth. It is a lower bound on $I(X; Y | Z)$, and a loose one: a critic that does
# not see $Z$ cannot follow what $Z$ moves.
#
# ## Tight, biased, noisy: with the optimal critic
#
# Before any network is trained, give every bound the critic at which its training objective is largest, from infinitely
# many samples. At each true value, many batches of $K$ pairs:


# %%
def optimal(true, size, n, block=100, generator=generator):
    """n batches of optimal scores log r at a true value, [block, size, size] at a time."""
    task = tasks.gaussian(true, dim=dim)
    for _ in range(0, n, block):
        x, y = task.sample(block * size, generator)
        yield task.scores(x.view(block, size, -1), y.view(block, size, -1))


BOUNDS = {
    "InfoNCE": bounds.infonce,
    "NWJ": lambda S: bounds.nwj(1 + S),
    "DV": bounds.dv,
    "SMILE-1": lambda S: bounds.smile(S, 1),
    "SMILE-5": lambda S: bounds.smile(S, 5),
    "JS": bounds.js,
}
rows = []
for true in levels:
    for S in optimal(true, batch_size, batches):
        for name, bound in BOUNDS.items():
            rows += [(name, true, v) for v in bound(S).tolist()]
optima = pd.DataFrame(rows, columns=["bound", "truth", "value"])
optima["off"] = optima.value - optima.truth
by_bound = optima.groupby(["bound", "truth"], sort=False).off
quality = by_bound.agg(bias="mean", sd="std")
quality["RMSE"] = by_bound.agg(lambda v: (v**2).mean() ** 0.5)
mdlib.record(out, quality.reset_index())
standard = (batch_size, dim) == (64, 20) and batches >= 500
if standard and levels == [2, 4, 6, 8, 10]:
    reference = np.array([-0.183, -0.929, -2.263, -3.976, -5.879])
    error = quality.sd["InfoNCE"] / batches**0.5
    assert (abs(quality.bias["InfoNCE"] - reference) < 5 * error + 1e-3).all()
    assert optima[optima.bound == "InfoNCE"].value.max() <= ceiling + 1e-6
    for true in (2, 4):
        assert abs(quality.bias["NWJ", true]) < 0.1
    for name in ("SMILE-5", "DV"):
        z = quality.bias[name, 10] / (quality.sd[name, 10] / batches**0.5)
        assert z > 5, (name, z)
quality.stack().unstack("truth").round(2)

# %% tags=["hide-input"]
axes = sns.pointplot(
    optima, x="truth", y="value", hue="bound", errorbar="sd",
    native_scale=True, dodge=0.6, linestyle="none", markersize=4,
    err_kws={"linewidth": 1}, hue_order=list(BOUNDS)[:5],
)  # fmt: skip
axes.plot([0, 11], [0, 11], color="black", lw=1, label="truth")
axes.axhline(ceiling, color="black", ls="--", lw=1)
axes.text(0.2, ceiling + 0.15, f"log {batch_size}")
axes.set(xlabel="true value (nats)", ylabel="estimate (nats)", ylim=(0, 15))
axes.legend(ncols=2, loc="upper left", bbox_to_anchor=(0, 0.97))
plt.show()

# %% [markdown]
# *Table 1. Bias, standard deviation and root mean squared error of one batch, nats, with the optimal critic; RMSE² =
# bias² + sd². True values head the columns. Figure 1. The same: means, bars ± one standard deviation of a batch.*
#
# - **InfoNCE has a ceiling**, $\log K$. It falls visibly short from about $\log K - 2$ on, and then with hardly any
#   variance: it looks certain.
# - **NWJ is right on average, and hardly ever on a batch.** Its last term is a mean of $r$ over $Q$, where rare pairs
#   weigh $e^{10}$. Batches that miss them report too much, and one in thousands that hits reports far too little.
# - **DV is no bound on a batch.** $-\log$ of a mean is convex, so the noise of the mean pushes the value up.
# - **SMILE is no bound.** It is trained as JS, then reports DV with scores clipped to $\pm\tau$ in the last term. That
#   takes away variance and part of what should be subtracted.
#
# ### "Optimal" is not "best"
#
# That critic is optimal for the infinite sample. On a finite batch another may be nearer to the truth, by its mean
# squared error: one that is too flat trades a lower $\mathbb{E}_P[f]$ for a last term with far less noise.

# %% tags=["theorem:shrunk"]
true, shrinks = 8.0, (1.0, 0.9, 0.8, 0.7)
S = torch.cat(list(optimal(true, batch_size, max(batches, 500))))
squares = {
    (name, shrink): (bound(shrink * S) - true).square()
    for name, bound in BOUNDS.items()
    for shrink in shrinks
}
for name in ("DV", "SMILE-5"):
    better = squares[name, 1.0] - squares[name, 0.8]  # batch by batch
    assert better.mean() > 3 * better.std() / len(better) ** 0.5, name
better = squares["InfoNCE", 1.0] - squares["InfoNCE", 0.8]
assert better.mean() < 0  # at 8 nats InfoNCE's error is bias
rmse = pd.Series({key: v.mean().item() ** 0.5 for key, v in squares.items()})
rmse.unstack(sort=False).round(2)

# %% [markdown]
# *Table 2. RMSE at a truth of 8 nats with the critic $s \log r$ (columns: $s$).* So a flat, under-trained critic can
# *beat* the optimal one, with NWJ, SMILE and DV. InfoNCE's *mean* is
# highest with the optimal critic ({prf:ref}`cor-infonce-optimum`), and here its error is bias. Where it is chance, at a
# truth of a nat or two, a flat critic has the smaller RMSE there, too.
#
# ### What JS curves report
#
# The Jensen-Shannon objective $-\mathbb{E}_P[\mathrm{softplus}(-f)] - \mathbb{E}_Q[\mathrm{softplus}(f)]$ is a
# classifier's: tell joint pairs from others. It trains calmly, and its best critic is $\log r$. So one trains on it and
# reports another bound with that critic: (5) with $a = 1$, whose optimum is $\log r$, too. Much public code reports NWJ
# instead, whose optimum is $1 + \log r$.
#
# ```{prf:proposition}
# :label: prop-js-gap
#
# For every critic, the first less the second is $1 - (1 - 1/e)\, \mathbb{E}_Q[e^f]$.
# ```
#
# ```{prf:proof}
# $1 + \mathbb{E}_P[f] - \mathbb{E}_Q[e^f]$ less $\mathbb{E}_P[f] - e^{-1} \mathbb{E}_Q[e^f]$.
# ```
#
# At $f = \log r$ the gap is $1/e = 0.37$ nats, whatever $I$. But a critic that is too confident has a large
# $\mathbb{E}_Q[e^f]$, and then the "wrong" report is the *higher* one, without limit:

# %% tags=["theorem:js"]
gaps, off = {}, ~torch.eye(batch_size, dtype=torch.bool)
for S in optimal(2.0, batch_size, 100):
    for scale in (0.8, 1.0, 1.5):
        f = (scale * S).double()
        mean = f[:, off].exp().mean(1)
        gap = bounds.js(f) - bounds.js_legacy(f)
        torch.testing.assert_close(gap, 1 - (1 - 1 / math.e) * mean)
        gaps[scale] = gap.mean(), gap.std() / len(gap) ** 0.5
mean, error = gaps[1.0]
assert abs(mean - 1 / math.e) < 4 * error
assert gaps[0.8][0] > 1 / math.e and gaps[1.5][0] < 0
{f"f = {s} log r": f"{m:+.2f} ± {e:.2f}" for s, (m, e) in gaps.items()}

# %% [markdown]
# ## What it costs to know more
#
# ### The variance of $\mathbb{E}_Q[r]$
#
# With $n$ independent samples of $Q$ and the optimal critic, NWJ's last term is a mean of $r$, and
#
# $$ n \cdot \mathrm{Var}\Big[\tfrac1n \sum r\Big] = \mathbb{E}_Q[r^2] - 1 = \mathbb{E}_P[r] - 1 \ge e^{I} - 1, \tag{7} $$
#
# by Jensen's inequality. Exponential in $I$, for any data, at the optimum. For our Gaussians it is exactly
# $e^{2I} - 1$, and for pairs of the same class, with $M$ classes that can be told apart, exactly $M - 1$: benchmarks
# made of classes look easy. We count in two ways: the variance of $r$ from many draws of $Q$, and
# $\mathbb{E}_P[r] - 1$ from as many of $P$, which holds the pairs that matter.


# %% tags=["theorem:variance"]
def ratios(true, joint, n=300_000, block=100_000):
    """r of n independent pairs, of P or of Q."""
    task, found = tasks.gaussian(true, dim=dim), []
    for _ in range(0, n, block):
        x, y = task.sample(block, generator)
        y = y if joint else y.roll(1, 0)
        found.append(task.log_ratio(x, y).exp())
    return torch.cat(found).double()


laws = pd.DataFrame({"I": [0.25, 0.5, 1.0]})
laws["exp 2I − 1"] = np.expm1(2 * laws.I)
of_p = [ratios(i, True) for i in laws.I]
laws["from P"] = [r.mean().item() - 1 for r in of_p]
laws["error of it"] = [r.std().item() / len(r) ** 0.5 for r in of_p]
laws["from Q"] = [ratios(i, False).var().item() for i in laws.I]
off_by = (laws["from P"] - laws["exp 2I − 1"]).abs()
# the error itself is heavy-tailed, so it is asked only where it is small
small = laws["error of it"] < 0.03 * laws["exp 2I − 1"]
assert small[:2].all() and (off_by < 5 * laws["error of it"])[small].all()
assert abs(laws["from Q"][0] / laws["exp 2I − 1"][0] - 1) < 0.1
laws.round(3)

# %% [markdown]
# *Table 3. The law and two ways to meet it.* From $Q$ the count soon wavers, as it may or may not hold the few pairs that make the variance. A small *measured* variance of NWJ proves nothing.
#
# ### The ceiling moves with K, slowly
#
# How large must a batch be? With the optimal critic:

# %% tags=["hide-input"]
rows = []
sizes = (2, 8, 32, 128, 512)
for true in levels:
    for size in sizes:
        n = max(20, min(200, 10_000 // size))
        values = [bounds.infonce(S) for S in optimal(true, size, n, block=20)]
        rows.append((true, size, torch.cat(values).mean().item()))
by_size = pd.DataFrame(rows, columns=["truth", "K", "InfoNCE"])
assert (by_size.InfoNCE <= np.log(by_size.K)).all()
axes = sns.lineplot(by_size, x="K", y="InfoNCE", hue="truth", marker="o",
                    palette="viridis", legend="full")  # fmt: skip
K = np.geomspace(2, 512, 50)
axes.plot(K, np.log(K), "k--", lw=1, label="log K")
axes.set(xscale="log", ylabel="InfoNCE (nats)")
axes.set_xticks(sizes, sizes)
axes.legend(title="true value (nats)", ncols=2)
plt.show()

sizes = [2**k for k in range(1, 11)]
truths = range(13)
estimate = torch.empty(len(sizes), len(truths))
for j, true in enumerate(truths):
    again = torch.Generator().manual_seed(seed)
    (S,) = optimal(true, sizes[-1], 4, block=4, generator=again)
    for i, size in enumerate(sizes):  # smaller batches: blocks on the diagonal
        blocks = S.view(4, -1, size, sizes[-1] // size, size)
        blocks = blocks.diagonal(dim1=1, dim2=3).movedim(-1, 1)
        estimate[i, j] = bounds.infonce(blocks).mean()
log_K = torch.tensor(sizes).log()[:, None]
assert (estimate <= log_K + 1e-6).all()
explorable.curves(
    "infonce-ceiling",
    {"InfoNCE": estimate, "truth": torch.tensor(truths), "log K": log_K},
    {"K": sizes, "truth": truths},
    along="truth",
    unit="nats",
    start={"K": 64, "truth": 8},
)

# %% [markdown]
# *Figure 2 and Figure 3. InfoNCE with the optimal critic against the number of pairs in the batch; drag K, and drag the truth.
# To see 10 nats one needs far more than $e^{10} = 22\,026$ pairs. Figure 2: $\log K$ dashed. Figure 3: InfoNCE leaves
# the truth (dashed) well before the ceiling (dotted).*
#
# The ceiling is not InfoNCE's alone. Of $N$ samples, *no* lower bound that holds with high confidence for all
# distributions is larger than $O(\log N)$; for DV the limit is $\log N$ itself
# ([McAllester & Stratos 2020](https://arxiv.org/abs/1811.04251), abstract). The constant before $\log N$ matters:
# exercise 3 makes a certificate that grows like $2 \log N$. DV, which has no ceiling, must beyond $\log N$ be wrong or
# without certainty. At 10 nats, from $N$ joint pairs and $N$ shuffled ones:

# %%
rows = []
task = tasks.gaussian(10.0, dim=dim)
for n in (32, 128, 512, 1024):
    for _ in range(20):
        x, y = task.sample(n, generator)
        S, shuffled = task.scores(x, y), task.log_ratio(x, y.roll(1, 0))
        log_mean = (shuffled.logsumexp(0) - math.log(n)).item()
        other = S.diagonal().mean().item() - log_mean
        one = bounds.infonce(S).item()
        rows.append({"N": n, "log N": math.log(n), "InfoNCE": one, "DV": other})
by_n = pd.DataFrame(rows)
assert (by_n.InfoNCE <= by_n["log N"] + 1e-6).all()
assert (by_n.DV > 10).mean() > 0.5 or dim != 20
by_n.groupby("N").agg({"log N": "first", "InfoNCE": ["mean", "std"],
                       "DV": ["mean", "std"]}).round(2)  # fmt: skip

# %% [markdown]
# *Table 4. At a truth of 10 nats, 20 draws. InfoNCE stays just below $\log N$. DV mostly says too much: its last
# term has not met a pair that counts.*
#
# ### Between the two: $I_\alpha$
#
# A baseline that mixes the batch's mean with a fixed one trades the ceiling for variance. The mean leaves one other
# $x_k$ out, in turn each of them, so that it holds $K - 1$ terms, among them the pair's own.
#
# ```{prf:proposition}
# :label: prop-alpha
#
# On every batch $I_\alpha \le 1 + \log \frac{K-1}{\alpha}$ for $0 < \alpha < 1$, and $I_1 \le \log(K-1)$. Both are the
# least such bounds.
# ```
#
# ```{prf:proof}
# The baseline is at least $\frac{\alpha}{K-1} e^{f(x_i, y_i)}$, so $f - \log a \le \log \frac{K-1}{\alpha}$; then drop
# the last term of (5), which is at least 0. A critic of $+\infty$ on joint pairs and $-\infty$ elsewhere gets there. At
# $\alpha = 1$ the last term is 1 on every batch, for the reason of step 2 above, and cancels the 1.
# ```

# %% tags=["theorem:alpha"]
K = batch_size
extreme = torch.full((K, K), -500.0).double().fill_diagonal_(500)
rows = []
for alpha in (0.001, 0.01, 0.1, 0.5, 0.9, 1.0):
    top = math.log((K - 1) / alpha) + (alpha < 1)
    assert abs(bounds.interpolated(extreme, alpha) - top) < 1e-9  # attained
    for S in optimal(8.0, K, 400):
        values = bounds.interpolated(S.double(), alpha)
        assert (values <= top).all()
        rows += [(alpha, v) for v in values.tolist()]
dial = pd.DataFrame(rows, columns=["α", "value"]).groupby("α").value
dial = dial.agg(["mean", "std"])
assert dial["mean"].is_monotonic_decreasing
assert dial["std"].is_monotonic_decreasing
_, axes = plt.subplots(figsize=(5.5, 3))
axes.plot(8 - dial["mean"], dial["std"], "o-")
for alpha, row in dial.iterrows():
    where = (8 - row["mean"] + 0.03, row["std"] + 0.05)
    axes.annotate(f"α = {alpha:g}", where, rotation=40)
axes.set(xlabel="bias: 8 − mean (nats)", ylabel="standard deviation (nats)")
axes.margins(0.15)
plt.show()

# %% [markdown]
# *Figure 4. $I_\alpha$ at 8 nats, critic $\log r$: what one gains in bias one pays in spread.*
#
# ## From above
#
# Where the conditional density $p(y|x)$ is known, a batch gives an upper bound as well: leave the pair itself out of the
# mean. With InfoNCE's form it makes a sandwich from one matrix of $\log p(y_j|x_i)$:
#
# $$ \mathbb{E}\Big[\log \tfrac{p(y_i|x_i)}{\frac1K \sum_j p(y_i|x_j)}\Big] \;\le\; I \;\le\;
#    \mathbb{E}\Big[\log \tfrac{p(y_i|x_i)}{\frac1{K-1} \sum_{j \ne i} p(y_i|x_j)}\Big]. \tag{8} $$
#
# The right side holds since the mean of the others' densities is an unbiased $p(y_i)$, and $-\log$ is convex.
#
# **CLUB** asks for less. It learns $q(y|x)$ and reports $\mathbb{E}_P[\log q(y|x)] - \mathbb{E}_Q[\log q(y|x)]$.
#
# ```{prf:theorem} What CLUB reports
# :label: thm-club
#
# If all terms are finite, $\mathrm{CLUB} = I + \mathrm{KL}(Q \,\|\, q\,p_x) - \mathrm{KL}(P \,\|\, q\,p_x)$, where
# $q\,p_x$ is the density $q(y|x)\,p(x)$. So it is an upper bound if and only if $q\,p_x$ is at least as near to $P$ as to
# $Q$; and for the exact $q$ it is $\mathrm{KL}(P\|Q) + \mathrm{KL}(Q\|P)$.
# ```
#
# ```{prf:proof}
# $\mathbb{E}_P[\log q] = \mathbb{E}_P[\log p(y|x)] - \mathrm{KL}(P\|q\,p_x)$ and
# $\mathbb{E}_Q[\log q] = \mathbb{E}_Q[\log p(y)] - \mathrm{KL}(Q\|q\,p_x)$. Subtract:
# $\mathbb{E}_P[\log p(y|x)] - \mathbb{E}[\log p(y)] = I$.
# ```

# %% tags=["theorem:club"]
sides = []
for _ in range(60):
    joint, product, information = random_law()
    p_x = joint.sum(1, keepdim=True)
    L = (joint / p_x).log()  # the exact conditional
    low, high = (
        exact(joint, L, 3, bound)
        for bound in (bounds.known_conditional, bounds.leave_one_out)
    )
    assert low <= information + 1e-12 and high >= information - 1e-12  # (8)
    jeffreys = ((joint - product) * (joint / product).log()).sum()
    assert abs(exact(joint, L, 3, bounds.club) - jeffreys) < 1e-9
    q = torch.rand(2, 3, generator=generator).double() + 0.02
    q /= q.sum(1, keepdim=True)  # any other
    of_q, of_p = (
        (law * (law / (q * p_x)).log()).sum() for law in (product, joint)
    )
    found = exact(joint, q.log(), 3, bounds.club)
    assert abs(found - (information + of_q - of_p)) < 1e-9
    sides.append(found > information)
assert 0 < sum(sides) < len(sides)
print(f"CLUB of a random q: above I in {sum(sides)} of {len(sides)} laws")

# %% [markdown]
# A random $q$ is often below $I$, so CLUB is *neither* a lower nor an upper bound. Nor does learning help where the family
# is wrong: if $Y$ has mean 0 and variance $\sigma^2$ given any $X$, and only its higher moments differ, a Gaussian $q$ learns
# to ignore $X$ and CLUB is 0. For our Gaussians the exact $q$ gives $d \rho^2 / (1 - \rho^2)$, more than twice the
# truth. CLUB is something to minimise, not an estimate.


# %%
def log_conditional(x, y, rho):
    """log p(y_j | x_i) up to a constant that all bounds cancel, [..., K, K]."""
    return -torch.cdist(rho * x, y).square() / (2 * (1 - rho**2))


rows = []
for true in levels:
    task = tasks.gaussian(true, dim=dim)
    rho = math.sqrt(-math.expm1(-2 * true / dim))
    x, y = (v.view(200, batch_size, dim).double()
            for v in task.sample(200 * batch_size, generator))  # fmt: skip
    L = log_conditional(x, y, rho)
    club = bounds.club(L)
    exact_club = dim * rho**2 / (1 - rho**2)
    assert abs(club.mean() - exact_club) < 4 * club.std() / len(club) ** 0.5
    rows.append({
        "truth": true,
        "known conditional (lower)": bounds.known_conditional(L).mean().item(),
        "leave one out (upper)": bounds.leave_one_out(L).mean().item(),
        "CLUB, exact q (upper)": club.mean().item(),
        "dρ²/(1 − ρ²)": exact_club,
    })  # fmt: skip
sandwich = pd.DataFrame(rows)
low, high = sandwich.iloc[:, 1], sandwich.iloc[:, 2]
assert (low < sandwich.truth).all() and (high > sandwich.truth).all()
sandwich.round(2)

# %% [markdown]
# *Table 5. The sandwich, nats. The lower slice ends at its ceiling; the upper one grows loose.*
#
# ## What this does not show
#
# - **What trained critics do.** See `theory/mi_in_practice`.
# - **That a low value means little information.** Every lower bound is low for two reasons, the bound and the critic.
# - **That a larger bound learns a better representation.** A critic's value is not what its encoder knows: see
#   `theory/frozen_encoders`.
# - **Other laws than Gaussians.** The theorems hold for all; tables and figures are about one family.
#   `experiments/mutual_information_benchmark` has forty others.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** A paper reports an InfoNCE estimate of $v$ nats. What is the smallest batch that can give such a number?
# Write `smallest_batch(v)`.
#
# <details><summary>Hint</summary>
#
# InfoNCE is at most $\log K$.
#
# </details>


# %% tags=["solution", "hide-input"]
def smallest_batch(v):
    """nats → K, an int."""
    return math.ceil(math.exp(v))  # v ≤ log K


# %% tags=["check"]
assert smallest_batch(4.0) == 55 and smallest_batch(10.0) == 22_027, (
    f"smallest_batch(4.0) = {smallest_batch(4.0)}"
)
tight = 1000 * torch.eye(smallest_batch(4.0))
assert bounds.infonce(tight) >= 4 > bounds.infonce(tight[:-1, :-1]), (
    "a batch of one less gives it, too"
)

# %% tags=["hidden", "remove-cell"]
assert smallest_batch(0.0) == 1 and smallest_batch(2.5) == 13

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** NWJ depends on a constant added to the critic and DV does not. Find the constant $b$ that makes
# $\mathrm{NWJ}(f + b)$ largest on a batch. Write `best_shift(S)`, and see which bound comes out.
#
# <details><summary>Hint</summary>
#
# Set the derivative with respect to $b$ to 0. $E_Q$ is a mean over the entries off the diagonal.
#
# </details>


# %% tags=["solution", "hide-input"]
def best_shift(S):
    """S [B, B], scores → b, a tensor []."""
    # d/db: 1 − exp(b − 1) E_Q[exp f] = 0.
    off = ~torch.eye(len(S), dtype=torch.bool)
    return 1 - S[off].exp().mean().log()


# %% tags=["check"]
S = torch.randn(9, 9, generator=generator).double()
best = bounds.nwj(S + best_shift(S))
assert all(best > bounds.nwj(S + best_shift(S) + e) for e in (-0.1, 0.1)), (
    "a shift of 0.1 more or less is better"
)
torch.testing.assert_close(best, bounds.dv(S))

# %% tags=["hidden", "remove-cell"]
torch.testing.assert_close(best_shift(S + 3), best_shift(S) - 3)

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Certify more than $\log N$. Let $A = \{x = y\}$, for integers. By data processing,
# $I \ge \mathrm{kl}(P(A) \| Q(A))$, the divergence of two coins. From $N$ pairs that are *all* equal, $P(A) \ge
# \delta^{1/N}$ with confidence $1 - \delta$. And $Q(A) \le \sqrt{s_x s_y}$ with $s = \sum p^2$, the probability that two
# draws collide (Cauchy-Schwarz). If no two of $N$ draws collide, show that $s \le u^2$ with confidence $1 - \delta$,
# where $m u^2 = c\,(1 + 2 N u)$, $m = N(N-1)/2$, $c = 1/\delta - 1$. (The number of collisions has mean $ms$ and variance
# at most $ms + 2 m N s^{3/2}$; and $\Pr[C = 0] \le \mathrm{Var} / (\mathrm{Var} + (\mathbb{E} C)^2)$.) Write
# `certified(x, y, confidence=0.95)` in nats, 0 where the premises fail. How does it grow with $N$, and why does this
# not contradict McAllester and Stratos?
#
# <details><summary>Hint</summary>
#
# Three statements fail with chance $\delta = (1 - \text{confidence})/3$ each. The condition on $u$ is a quadratic
# equation. Then `kl` of the two coins at $p = \delta^{1/N}$ and $q = u^2$.
#
# </details>


# %% tags=["solution", "hide-input"]
def certified(x, y, confidence=0.95):
    """x, y [N], integers → nats."""
    # A lower bound on I that holds for every law of integers.
    N, delta = len(x), (1 - confidence) / 3  # three statements
    if (x != y).any() or len(np.unique(x)) < N:
        return 0.0
    m, c = N * (N - 1) / 2, 1 / delta - 1
    u = (c * N + math.sqrt((c * N) ** 2 + m * c)) / m  # s ≤ u², of x and of y
    p, q = delta ** (1 / N), min(u**2, 1.0)
    if q >= p:
        return 0.0
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


# %% tags=["check"]
numbers = np.random.default_rng(seed)
by_N = {}
for N in (10**5, 10**6):
    x = numbers.integers(0, 2**62, N)
    by_N[N] = certified(x, x)
    assert math.log(N) < by_N[N] < 2 * math.log(N), (
        f"N = {N}: {by_N[N]:.1f} nats, expected above log N, below 2 log N"
    )
growth = (by_N[10**6] - by_N[10**5]) / math.log(10)
assert abs(growth - 2) < 0.05, (
    f"it grows by {growth:.2f} log N, expected 2"
)  # 2 log N: O(log N), with another constant
x = numbers.integers(0, 1000, 10**5)
assert certified(x, x) <= math.log(1000) and certified(x, x[::-1]) == 0, (
    "collisions, or unequal pairs: nothing above what is there"
)
few = np.arange(1000)
assert abs(certified(few, few) - 2.8435) < 1e-3, (
    f"of 1000 pairs {certified(few, few):.4f} nats, expected 2.8435"
)
{f"N = {N:,}": (round(v, 1), round(math.log(N), 1)) for N, v in by_N.items()}

# %% tags=["hidden", "remove-cell"]
x = np.arange(10**5)
assert 0 < certified(x, x, 0.99) < certified(x, x, 0.9), "surer is less"
assert certified(x, x + 1) == 0, "unequal pairs certify nothing"

# %% [markdown]
# ## References
#
# - D. Barber, F. Agakov. *The IM Algorithm.* NeurIPS 2003.
# - M. I. Belghazi et al. *Mutual Information Neural Estimation.* ICML 2018.
#   [arXiv:1801.04062](https://arxiv.org/abs/1801.04062)
# - P. Cheng et al. *CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information.* ICML 2020.
#   [arXiv:2006.12013](https://arxiv.org/abs/2006.12013)
# - D. McAllester, K. Stratos. *Formal Limitations on the Measurement of Mutual Information.* AISTATS 2020.
#   [arXiv:1811.04251](https://arxiv.org/abs/1811.04251)
# - X. Nguyen, M. Wainwright, M. Jordan. *Estimating Divergence Functionals and the Likelihood Ratio by Convex Risk
#   Minimization.* IEEE Trans. Information Theory 2010. [arXiv:0809.0853](https://arxiv.org/abs/0809.0853)
# - A. van den Oord, Y. Li, O. Vinyals. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
# - B. Poole et al. *On Variational Bounds of Mutual Information.* ICML 2019.
#   [arXiv:1905.06922](https://arxiv.org/abs/1905.06922)
# - J. Song, S. Ermon. *Understanding the Limitations of Variational Mutual Information Estimators.* ICLR 2020.
#   [arXiv:1910.06222](https://arxiv.org/abs/1910.06222)
# - M. Tschannen et al. *On Mutual Information Maximization for Representation Learning.* ICLR 2020.
#   [arXiv:1907.13625](https://arxiv.org/abs/1907.13625)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

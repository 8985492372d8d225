# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How estimators of mutual information fail
#
# *Tails, dimensions, edges, spirals: what does each do to an estimate, and what should one do with data of one's own?*
#
# **You will learn**
# - what goes wrong with long tails, sharp edges, many dimensions and spirals, and what each failure looks like,
# - which estimator to take for data of your own, and how to notice that it fails,
# - what to look for in other people's benchmarks.
#
# **You need** `experiments/mutual_information_benchmark`, whose results this chapter reads.
#
# **Time:** 20 minutes to read; about 15 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
seed = 0  # of the pairs that the exercises draw [seed]
device = "auto"  # what the provenance cell reports [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown

import mdlib
from mdlib import mi, sweep
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.mi import classical
from mdlib.mi import tasks as vectors
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
rows = sweep.read_csv("mutual_information_benchmark")
means = rows.groupby(["title", "estimator"], sort=False)["estimate"].mean()
mdlib.record(out, means.dropna().reset_index())
means, about = means.unstack(), rows.groupby("title", sort=False).first()
names = {"gaussian": "Gaussian", "ksg": "KSG", "histogram": "Histogram"}
names |= {name: e.title for name, e in mi.ESTIMATORS.items()}

# %% [markdown]
# ## What fails, and what that looks like
#
# **No linear trace.** The Gaussian estimator reads correlations. It is exact for normal variables, up to a bias that we
# know: a sample correlation is never exactly 0, and $D_x D_y$ of them add about $D_x D_y / 2N$ nats: with hundreds of
# pixels a side, tens of nats. It is nearly right where a monotone map leaves the correlation in place (half-cube,
# wiggly). On the Swiss roll, on X, and on Student after asinh nothing linear is left, and it answers 0. On Student itself
# its answers are noise: the correlation of two variables without a variance is whatever the largest sample makes of it.
#
# **Long tails.** An estimator has to put things on a scale first. A histogram cuts the range from the least to the
# greatest value into ten cells, and with Student's tails nearly all samples fall into one of them. Standardised columns
# are divided by a deviation that one sample has made, and a network sees all others at 0. Nearest neighbours adapt to the
# local scale, and in one column suffer the least, but for points in the tails even the nearest neighbour is far. In one
# column the cure costs one line, and {prf:ref}`thm-benchmark-invariance` allows it: apply asinh, or ranks.

# %% tags=["hide-input"]
TAILS = ["gaussian", "histogram", "ksg", "infonce", "nwj", "dv", "smile-5"]
students = [t for t in about.index if f"asinh of {t}" in about.index]
_, axes = plt.subplots(1, len(students), figsize=(7, 2.9), sharey=True)
height = range(len(TAILS))
for axis, title in zip(axes, students, strict=True):
    raw, cured = (means.loc[t, TAILS] for t in (title, f"asinh of {title}"))
    axis.axvline(about.truth[title], color="0.4", ls="--", lw=1)
    axis.hlines(height, raw, cured, color="0.7", lw=1)
    axis.plot(raw, height, "o", color="#d55e00", ms=4, label="raw")
    axis.plot(cured, height, "o", color="#0173b2", ms=4, label="asinh")
    axis.set_title(title.replace(", ", "\n"), fontsize=8)
    axis.set(xlabel="nats", xlim=(-0.1, 1))
axes[0].set_yticks(height, [names[e] for e in TAILS])
axes[0].legend(fontsize=7, loc="lower right")
plt.show()

# %% [markdown]
# *Figure 1. The same draws before and after asinh; the dashed line is the truth of both. Means over seeds; a dot is
# missing where the estimator refuses or lies outside of the panel.*
#
# **Dimensions.** KSG counts neighbours in balls, and assumes that the density does not change inside. In ten dimensions
# the ten nearest of 5000 points are not near, and the ball holds the structure that it should resolve. Below, two
# informative pairs of coordinates are hidden among more and more noise, at the same truth. The critic learns which
# coordinates to look at; a distance looks at all. Its own price is overfitting: with many coordinates and few pairs it
# learns what does not hold on the held-out ones, and the honest value falls.

# %% tags=["hide-input"]
BY_SIZE = ["gaussian", "ksg", "infonce", "nwj", "smile-1", "smile-5"]
_, axes = plt.subplots(1, 2, figsize=(7, 2.9))
for axis, kind in zip(axes, ("Two-pair normal", "Dense normal"), strict=True):
    these = about[about.index.str.startswith(kind)]
    for name in BY_SIZE:
        values = means.loc[these.index, name]
        axis.plot(these["columns"], values, "o-", ms=3, label=names[name])
    axis.plot(these["columns"], these.truth, "k--", lw=1, label="truth")
    axis.set_xscale("log")
    axis.set_xticks(these["columns"], these["columns"])
    axis.minorticks_off()
    axis.set(title=kind, xlabel="dimensions of x, and of y")
axes[0].set_ylabel("estimate (nats)")
axes[1].legend(fontsize=7)
plt.show()

# %% [markdown]
# *Figure 2. Estimates against the number of dimensions, means over seeds. Left: the truth stays, noise is added. Right:
# every coordinate knows a little, and the truth grows.*
#
# **Sharp edges.** In the additive task the ratio $r$ jumps to 0 from $1/\ell(y)$, where $\ell$ is the length that $y$
# leaves to $x$. Whatever smooths comes out low: cells most on the narrow edge, a Gaussian on the wide one, neighbours
# least. And CLUB comes out high. With $P = p(x, y)$ and $Q = p(x)\, p(y)$, its optimum is the *Jeffreys divergence*
# ({prf:ref}`thm-club`),
#
# $$ \mathrm{KL}(P\|Q) + \mathrm{KL}(Q\|P) = I + \mathrm{KL}(Q\|P), \tag{1} $$
#
# and the second term is infinite where $Q$ puts pairs that $P$ forbids. It is also far from 0 for plain normals: for each
# pair of coordinates with correlation $\rho$ the sum is $\rho^2/(1-\rho^2)$, and CLUB finds just that. It measures
# something else.
#
# **Spirals.** Here $x$ is turned in a plane by the angle $\|x\|^2 / D$. In three dimensions most of the correlation is
# gone after that, two arms of the spiral are neighbours to a distance, and a critic has to unwind them, with few units
# and steps. Now look at 25 dimensions: there the Gaussian estimator is *less* wrong. $\|x\|^2 / D$ is a
# mean of 25 squares, so it is nearly 1 everywhere, and a turn by one angle is a linear map. A task's name does not say how
# hard it is.
#
# **Few pairs of large images.** All lower bounds stay far below $\log 10$ on MNIST. The 2500 pairs to learn from are not
# enough to learn ten digits, and the bound says how much was learned, not how much there is. `theory/known_truth_pairs`
# draws fresh pairs at each step, and comes close on digits.
#
# **No bound, no warning.** JS trains on a tame objective and reports $1 + \mathbb{E}_P[f] - \mathbb{E}_Q[e^f]$. The
# objective grows linearly with a wrong score, the report exponentially: one forbidden pair with $f = 20$ takes
# $e^{20}/n^2$ nats away. JS (and NWJ) fall through the floor, while InfoNCE, which normalises each row, does not. SMILE
# clips, and what it cuts off is missing from the term that is subtracted: SMILE-1 may stand *above* the truth (additive 0.1,
# digits). It may win a
# benchmark that way, by two errors that cancel.


# %%
def said(title, estimator):
    """Mean ± std over seeds of one cell, and the truth."""
    one = rows[(rows["title"] == title) & (rows["estimator"] == estimator)]
    mean, std = one["estimate"].agg(["mean", "std"])
    form = ".2f" if abs(mean) < 100 else ".0e"
    return f"{mean:{form}} ± {std:{form}} (truth {about.truth[title]:.2f})"


NORMAL, ROLL, STUDENT = "Normal 1×1", "Swiss roll 2×1", "Student 1×1, 1 dof"
SPARSE, WIDE = "Two-pair normal 5×5", "Two-pair normal 25×25"
EDGE, MNIST = "Additive 0.1 1×1", "Same class, MNIST"
Markdown(f"""Mean ± std over {rows["seed"].nunique()} seeds, nats:

- Gaussian on {NORMAL}: {said(NORMAL, "gaussian")}; on {ROLL}: {said(ROLL, "gaussian")}; on {STUDENT}:
  {said(STUDENT, "gaussian")}.
- KSG on {STUDENT}: {said(STUDENT, "ksg")}; after asinh: {said("asinh of " + STUDENT, "ksg")}.
- KSG on {SPARSE}: {said(SPARSE, "ksg")}; InfoNCE: {said(SPARSE, "infonce")}. On {WIDE}, KSG {said(WIDE, "ksg")} and
  InfoNCE {said(WIDE, "infonce")}.
- {EDGE}: histogram {said(EDGE, "histogram")}, KSG {said(EDGE, "ksg")}, InfoNCE {said(EDGE, "infonce")}.
- {MNIST}: InfoNCE {said(MNIST, "infonce")}, SMILE-1 {said(MNIST, "smile-1")}.
- JS on {STUDENT}: {said(STUDENT, "js")}; after asinh: {said("asinh of " + STUDENT, "js")}.
""")

# %% [markdown]
# ## What to do with data of your own
#
# | your data | take | and check |
# |---|---|---|
# | 1 column a side, thousands of pairs | KSG, after asinh or ranks | two values of $k$, and half of the pairs, agree |
# | 2 or 3 columns a side | KSG as above *and* InfoNCE | they agree; neither rises with $N$. Two values of $k$ prove nothing here |
# | you believe in a joint normal | Gaussian, less its bias: $D_x D_y / 2N$, only if $N$ is far larger than $D_x + D_y$ | KSG agrees; normal scores change nothing |
# | 4 to 50 columns | InfoNCE and NWJ, concatenated critic | more steps, another critic: no larger held-out value |
# | images, features | InfoNCE, separable critic, many pairs | more *pairs* do not raise it; ceiling |
# | discrete, few values | histogram (plug-in), Miller and Madow's correction | cells are far fewer than pairs |
# | you need a bound from above | none of these, without the density | CLUB is for minimising, not for measuring |
#
# And always:
#
# 1. **Look at the margins first.** A column whose largest value is a hundred standard deviations out will decide the
#    answer. Take the map that makes the margins tame. If asinh, ranks and raw values disagree, believe none before you know
#    why.
# 2. **Shuffle.** Break the pairs by permuting $y$: the truth is now 0. What the estimator still finds warns you of a
#    bias. That it finds 0 proves less: its bias at other values may be another (exercise 3).
# 3. **Ask two that fail differently.** KSG has no training that could stop early; a critic does not care for irrelevant
#    coordinates. Where they agree, that means something.
# 4. **Of two lower bounds take the larger,** chosen by one held-out part and reported from *another*. `mi.estimate`
#    keeps such a part for the report; if you choose between several of its calls, keep one more.
# 5. **Take a small answer with care.** A lower bound of 0.4 nats says "at least 0.4", and nothing about 4.
#
# ## Traps in other people's benchmarks
#
# From reading public code. Each of them moves a curve.
#
# - **The best of several looks at the test set.** The neural estimators of *Beyond Normal*'s package look at the test half
#   every 250 steps and report the *best* value seen: a little optimistic. Here one quarter of the pairs selects and another
#   one reports.
# - **Whose $\log K$?** The package evaluates InfoNCE on the whole test half of 5000 pairs, so that its ceiling is
#   $\log 2500 = 7.8$ and not that of its batch, $\log 256 = 5.5$. Ours is that of a quarter, $\log 1250 = 7.1$. Say which $K$
#   an InfoNCE number was *evaluated* with.
# - **Names.** In the paper's line-up, the entry called "R-KSG-I-10" is built with 5 neighbours.
# - **JS reported by NWJ.** Several well-known repositories train a critic by the JS objective, whose optimum is $\log r$, and
#   report it with NWJ, whose optimum is $1 + \log r$. By {prf:ref}`prop-js-gap` that loses $1/e$ nats at the optimum, and
#   less than nothing for a critic that is too sure. `js-legacy` in `mdlib` does it on purpose.
# - **Bits and nats.** The stored results of one well-known benchmark of images and text are in nats for its Gaussians
#   and in bits for the rest. A factor of 1.44 looks like a finding.
# - **A flag that does nothing.** In the same code, the cubic task is chosen by `cubic is True` while the command line
#   passes a number, so the map is never applied. Draw your samples and *look*.
# - **"Two layers".** The same setting means two hidden layers in one code base and three in another.
# - **Versions.** The package's plain installation does not import today; it needs `jax==0.4.30` beside it.
#
# ## What this does not show
#
# - **Real images with an unknown truth.** Same-class pairs are real images, but their information is a label's. That of
#   two crops of a photograph is of another kind, and there is no truth to compare with.
# - **That the advice holds everywhere.** It is from 47 tasks at one budget.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** What does the Gaussian estimator find, on average, where there is nothing? Write `bias(dx, dy, N)`, to first
# order in $1/N$ (so for $N$ far above the columns), and `pairs_for(dx, dy, nats)`: from how many pairs on is that at most so many nats?
#
# <details><summary>Hint</summary>
#
# It is in the paragraph on linear traces. $N$ is whole.
#
# </details>


# %% tags=["solution", "hide-input"]
def bias(dx, dy, N):
    """Columns of x and of y, pairs → nats."""
    return dx * dy / (2 * N)


def pairs_for(dx, dy, nats):
    """Columns of x and of y, nats → pairs, an int."""
    return math.ceil(dx * dy / (2 * nats))


# %% tags=["check"]
draw = torch.Generator().manual_seed(seed)
for dx, dy in ((1, 1), (3, 5), (10, 10)):
    found = [
        classical.gaussian(
            *torch.randn(2000, dx + dy, generator=draw).split([dx, dy], 1)
        )
        for _ in range(20)
    ]
    found = torch.tensor(found)
    off, error = found.mean() - bias(dx, dy, 2000), found.std() / 20**0.5
    assert abs(off) < 4.5 * error, f"{dx} × {dy}: {off:.4f} ± {error:.4f} off"
N = pairs_for(64, 64, 0.1)
assert bias(64, 64, N) <= 0.1 < bias(64, 64, N - 1), f"{N} pairs, and one fewer"

# %% tags=["hidden", "remove-cell"]
exact = classical.gaussian_bias(50_000, 8, 20)
assert abs(bias(8, 20, 50_000) / exact - 1) < 1e-3, "8 and 20 columns"
assert pairs_for(8, 20, 0.01) == 8000, "80 / N is a hundredth at 8000"
assert pairs_for(3, 5, 0.07) == 108, "107 pairs are too few"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** By {prf:ref}`thm-benchmark-invariance` we may replace a column by any increasing function of it. Write
# `normal_scores(v)`, which replaces the $i$-th smallest of $n$ values of each column by the $(i - \frac12)/n$ quantile of a
# standard normal. On which tasks does the Gaussian estimator then become exact, and on which does it stay blind? (Strictly,
# the rank is a function of the whole sample. Why does that hardly matter?)
#
# <details><summary>Hint</summary>
#
# `argsort` twice gives the rank, from 0. `torch.special.ndtri` is the quantile of a standard normal.
#
# </details>


# %% tags=["solution", "hide-input"]
def normal_scores(v):
    """[n, d] → [n, d], each column by itself."""
    rank = v.argsort(0).argsort(0)
    return torch.special.ndtri((rank.double() + 0.5) / len(v))


# %% tags=["check"]
def after_ranks(estimator, name):
    draw = torch.Generator().manual_seed(seed)
    x, y = vectors.create(name).sample(4000, draw)
    return estimator(normal_scores(x), normal_scores(y))


scores = normal_scores(torch.tensor([[3.0], [1e9], [-2.0]])).flatten()
wanted = torch.special.ndtri(torch.tensor([3, 5, 1]).double() / 6)
assert (scores - wanted).abs().max() < 1e-6, f"{scores}; expected {wanted}"
for name in ("half_cube-", "wiggly-", "normal_cdf-"):  # monotone maps: exact
    value = after_ranks(classical.gaussian, name + "1v1-normal-0.75")
    assert abs(value - 0.413) < 0.06, f"{name}: {value:.3f}, expected 0.413"
value = after_ranks(classical.gaussian, "student-identity-1-1-1")
assert value < 0.03, f"{value:.3f}: Gaussian sees nothing of Student's kind"
value = after_ranks(classical.ksg, "student-identity-1-1-1")
assert abs(value - 0.224) < 0.05, f"{value:.3f}: ranks keep what KSG reads"

# %% tags=["hidden", "remove-cell"]
v = torch.tensor([[5.0, 1.0], [2.0, 3.0], [9.0, 2.0]])
assert normal_scores(v).shape == v.shape, "each column by itself"
torch.testing.assert_close(normal_scores(v), normal_scores(v**3))
torch.testing.assert_close(normal_scores(v)[:, 1:], normal_scores(v[:, 1:]))

# %% [markdown]
# Ranks estimate the cumulative distribution function, which is an increasing map of one column, to about $1/\sqrt{n}$.
#
# **3 (a small research question, 6 points, 60 minutes).** Permute $y$, and the truth is 0: what an estimator finds there is its bias. Is
# *estimate minus estimate on shuffled pairs* a better estimator? Write `calibrated(estimator, x, y, shuffles,
# generator)`, try Gaussian and KSG on dense and two-pair normals in 25 dimensions, and explain which bias it removes
# and which it does not.
#
# <details><summary>Hint</summary>
#
# Permuting $y$ alone breaks the pairs and keeps both margins. Take the mean over the shuffles, and subtract it.
#
# </details>


# %% tags=["solution", "hide-input"]
def calibrated(estimator, x, y, shuffles, generator):
    """x [n, a] and y [n, b] → nats, a float."""
    at_zero = 0
    for _ in range(shuffles):
        shuffled = y[torch.randperm(len(y), generator=generator)]
        at_zero += estimator(x, shuffled) / shuffles
    return estimator(x, y) - at_zero


# %% tags=["check"]
def both_ways(estimator, name):
    """Errors of the plain and of the calibrated estimate, nats."""
    task, generator = vectors.create(name), torch.Generator().manual_seed(seed)
    x, y = task.sample(2000, generator)
    mended = calibrated(estimator, x, y, 3, generator)
    return estimator(x, y) - task.information, mended - task.information


plain, mended = both_ways(classical.gaussian, "multinormal-dense-25-25-0.5")
wrong = f"Gaussian, dense: {plain:.2f} and, calibrated, {mended:.2f} off"
assert plain > 0.1 > 0.09 > abs(mended), wrong
plain, mended = both_ways(classical.ksg, "multinormal-sparse-25-25-2-2.0")
wrong = f"KSG, two pairs: {plain:.2f} and, calibrated, {mended:.2f} off"
assert max(plain, mended) < -0.5, wrong

# %% tags=["hidden", "remove-cell"]
zeros = torch.zeros(10, 1)
always_one = calibrated(lambda x, y: 1.0, zeros, zeros, 5, torch.Generator())
assert abs(always_one) < 1e-9, "who always says 1 has all of it from chance"
calls = []
order = torch.arange(10.0)[:, None]
calibrated(
    lambda x, y: calls.append(y) or 1.0, zeros, order, 5, torch.Generator()
)
assert len({tuple(y.flatten().tolist()) for y in calls}) == 6, "five shuffles"

# %% [markdown]
# The Gaussian estimator's error is what chance adds, $D_x D_y / 2N$, and chance adds the same to shuffled pairs. KSG's is
# that balls are too large to resolve the dependence. Shuffled pairs have none, and the shuffle says "no bias". A test at 0
# does not calibrate an estimator at 1.
#
# ## References
#
# - P. Czyż et al. *Beyond Normal: On the Evaluation of Mutual Information Estimators.* NeurIPS 2023.
#   [arXiv:2306.11078](https://arxiv.org/abs/2306.11078)
# - The estimators are cited in `experiments/mutual_information_benchmark`.
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When size comes with shape
#
# *Two factors that always come together: is the code to blame, or the world? Which scores can tell?*
#
# Factors have common causes: large animals are rarely near. A code with one dimension for size and one for distance is then
# still right, and its dimensions are correlated. [Reddy et al. 2022](https://arxiv.org/abs/2112.05746) say what
# *disentangled* means in such a world, and propose two scores: unconfoundedness (UC)
# and counterfactual generativeness (CG).
#
# **You will learn**
# - what a disentangled code is beside confounders, seen and unseen,
# - IRS, UC and CG, with a slip and two traps,
# - which scores confuse correlation of *values* with entanglement of *codes*, or an arrow with a common cause.
#
# **You need** `theory/disentanglement` for MIG, DCI and MCC;
# `gallery/total_correlation` for the methods.
#
# **Time:** 15 minutes to read; about 30 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
world = "observed"  # what ties factors [one of observed, unobserved, untied]
learners = "beta_vae,ada_gvae"  # who is trained
# [some of beta_vae, beta_tcvae, factor_vae, ada_gvae]
steps = 600  # training steps of each [1 or more]
batch_size = 64  # images a step [2 or more]
lr = 2e-3  # learning rate at first; it falls to 0 along a cosine [above 0]
latent_dim = 8  # D, dimensions of the code [6 or more]
n = 4096  # rows that are scored [500 or more]
seed = 0  # of weights, batches and draws [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.ensemble import RandomForestClassifier

import mdlib
from mdlib import methods, metrics, nets, sweep
from mdlib.data import scenes
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.methods.vae import VAE, Posterior
from mdlib.metrics.aggregate import disentanglement
from mdlib.notebook import provenance
from mdlib.registry import random_stream
from mdlib.training import SampleViews, fit, regress

plots.theme()
started = time.time()
device = pick_device(device)
FLOOR, WALL, HUE, SCALE, SHAPE, TURN = range(6)
V = 4  # values of each factor


# %% [markdown]
# ## A process with confounders
#
# Factors $g_1, \dots, g_K$ make the picture $x$. Common causes behind them may be factors or hidden. In the authors' CANDLE
# light and placement are tied, and a script ties kind to colour and size. Here it is
# `scenes`: six factors of four values, $4^6 = 4096$ pictures, and three worlds.
#
# - **observed**: each *shape* has two of the four hues and two of the four scales.
# - **unobserved**: a hidden $c$ moves the light (hues of floor and wall) and the placement (orientation):
#   $g = c + u$, $u$ uniform on $\{-1, 0, 1\}$, clipped.
# - **untied**: all factors are free.


# %%
def drawn(world, n, g):
    """Factors, int64 [n, 6]."""
    v = torch.randint(V, (n, 6), generator=g)
    if world == "observed":
        coin = torch.randint(2, (n, 2), generator=g)
        v[:, HUE] = (v[:, SHAPE] + coin[:, 0]) % V
        v[:, SCALE] = 2 * (v[:, SHAPE] // 2) + coin[:, 1]
    if world == "unobserved":
        c = torch.randint(V, (n, 1), generator=g)
        u = torch.randint(-1, 2, (n, 3), generator=g)
        v[:, [FLOOR, WALL, TURN]] = (c + u).clamp(0, V - 1)
    return v


def row_of(v):
    """Which picture of all has factors [..., 6]."""
    return (v * V ** torch.arange(5, -1, -1, device=v.device)).sum(-1)


every = torch.cartesian_prod(*[torch.arange(V)] * 6)
images = scenes.render(every * torch.tensor([1, 1, 1, 1, 1, 2]), size=16)
tied = drawn(world, n, random_stream(seed))
samples = {"all pictures": every, "tied rows": tied}

# %% tags=["hide-input"]
edges = [("shape", "object hue"), ("shape", "scale")]
edges += [("hidden c", name) for name in ("floor hue", "wall hue", "turn")]
edges += [(name, "picture") for _, name in edges] + [("shape", "picture")]
_, axes = plt.subplots(1, 2, figsize=(7, 2.6))
plots.causal_graph(edges, axes[0], hidden=["hidden c"])
shown = images[row_of(tied[:15])].reshape(3, 5, 3, 16, 16)
axes[1].imshow(shown.permute(0, 3, 1, 4, 2).reshape(48, 80, 3))
axes[1].set_title(f"world: {world}", fontsize=9)
axes[1].axis("off")
plt.show()

# %% [markdown]
# *Figure 1. A picture's causes, of both confounded worlds at once, and pictures of this run's.*
#
# ## The scores
#
# An encoder is *disentangled* if each factor has a set of dimensions of its own, and no other factor reaches that set;
# values may correlate. For dimension $l$ and factor $i$, with $q_{99}$ the 99th percentile,
#
# $$ M_{li} = 1 - \frac{\operatorname{mean}_v\, q_{99}\, \big| z_l - \mathbb E[z_l \mid g_i = v] \big|}
#                      {\max | z_l - \mathbb E z_l |} \tag{1} $$
#
# is 1 if dimension $l$ stays put while all but $g_i$ changes. IRS
# ([Suter et al. 2019](https://arxiv.org/abs/1811.00007)) is the mean of the rows' maxima, weighted by (1)'s denominator. Factor
# $i$ *owns* $S_i$, the $\rho$ dimensions with the largest $M_{li}$. Then
#
# $$ \mathrm{UC} = 1 - \operatorname{mean}_{i<j} \frac{|S_i \cap S_j|}{|S_i \cup S_j|}, \qquad
#    \mathrm{CG} = \operatorname{mean}_i\, \mathbb E\, \Big|\, |p_0 - p_1| - |p_0 - p_2| \,\Big|. \tag{2} $$
#
# In CG a classifier of factor $i$ looks at decoded pictures: $p_0$ is its probability of the true value in the
# reconstruction; $p_1$ after each dimension in $S_i$ went to its farthest value in the data; $p_2$ after all *others* did. The
# best code has $|p_0 - p_1| = 1$ and $|p_0 - p_2| = 0$.


# %% tags=["scores"]
def robustness(z, g, quantile=0.99):
    """M of (1): codes [N, D], factors [N, K] → [D, K]."""
    reach = (z - z.mean(0)).abs().amax(0)
    columns = []
    for factor in g.T:
        groups = [z[factor == v] for v in factor.unique()]
        far = [(z - z.mean(0)).abs().quantile(quantile, 0) for z in groups]
        columns.append(1 - torch.stack(far).mean(0) / reach)
    return torch.stack(columns, 1)


def unconfoundedness(M, rho=1):
    """UC of (2); M [D, K]."""
    sets = [set(c[:rho].tolist()) for c in M.argsort(0, descending=True).T]
    pairs = [(a, b) for i, a in enumerate(sets) for b in sets[i + 1 :]]
    return 1 - sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs)


z = tied[:400].double() @ torch.arange(48.0).sin().view(6, 8).double()
by_hand = robustness(z, tied[:400])
package = metrics.uc(z, tied[:400], owned=3)
assert abs(unconfoundedness(by_hand, 3) - package.score) < 1e-12
slip = by_hand.argsort(dim=0).flip(0)[::3]  # every third, as the release does
print([sorted(s) for s in package.sets.tolist()], "not", slip.T.tolist())

# %% [markdown]
# **A slip.** The released code means to take the $\rho$ best dimensions, but takes every $\rho$-th of a half-sorted list. With
# its $\rho = 7$ of ten, two of each set are left, and UC rises: on our test's input to .911, where (2) is .150. For
# $\rho = 1$ both agree, so we use that: of eight dimensions, six larger sets would overlap.
#
# ## Codes whose answer is known
#
# Six codes, each with a decoder for CG. The first is right; the last may be.


# %%
def one_hot(v):
    values = v.round().long().clamp(0, V - 1)
    return [F.one_hot(c, V).double() for c in values.T]


def made_codes(v, g):
    """name → codes of factors [N, 6], and the factors that a decoder finds in codes."""
    e = 0.02 * torch.randn(v.shape, generator=g, dtype=torch.float64)
    x, turn = v - 1.5 + e, metrics.random_rotation(6, g)
    merged, instead = x.clone(), x.clone()
    merged[:, SHAPE] = V * v[:, SHAPE] + v[:, HUE] + e[:, SHAPE]
    merged[:, HUE] = 10 * e[:, HUE]
    instead[:, HUE] = v[:, SHAPE] - 1.5 + e[:, HUE]
    arrow = torch.eye(6).double()
    arrow[SHAPE, HUE] = 1  # hue is the sum of shape and of what is hue's own
    own = v.double() @ arrow.inverse() % V - 1.5 + e

    def split(z):
        back, both = z + 1.5, z[:, SHAPE].round()
        back[:, SHAPE], back[:, HUE] = both // V, both % V
        return back

    return {
        "perfect": (x, lambda z: z + 1.5),
        "rotated": (x @ turn, lambda z: z @ turn.T + 1.5),
        "hue and shape in one": (merged, split),
        "shape for hue": (instead, lambda z: z + 1.5),
        "noise": (50 * e, lambda z: z * 0 + 1.5),
        "hue's own noise": (own, lambda z: (z + 1.5).round() @ arrow % V),
    }


# %%
def dci(z, v):
    """Of bagged trees in place of boosted ones, on 1000 rows, for speed."""
    few = torch.randperm(len(v), generator=random_stream(seed))[:1000]
    options = {"max_features": None, "max_depth": 10, "random_state": seed}
    trees = RandomForestClassifier(10, **options)
    told = [trees.fit(z[few], f).feature_importances_ for f in v[few].T]
    return disentanglement(torch.tensor(pd.DataFrame(told).to_numpy().T))[0]


def judged(z, v, read):
    """All scores of codes [N, D] of factors [N, 6]."""
    cg = metrics.cg(z, v, read)
    return {
        "MIG": metrics.mig(z, v).score,
        "DCI": dci(z, v),
        "MCC": metrics.mcc(z, v, kind="spearman", seed=seed).score,
        "IRS": metrics.irs(z, v).score,
        "UC": metrics.uc(z, v).score,
        "CG": cg.score,
        "signed CG": cg.signed,
        "read": cg.read.mean().item(),
    }


SCORES = ["MIG", "DCI", "MCC", "IRS", "UC", "CG", "signed CG"]
rows = []
for name, v in samples.items():
    for code, (z, back) in made_codes(v, random_stream(seed)).items():
        found = judged(z, v, lambda z, back=back: one_hot(back(z)))
        swapped = torch.where(torch.arange(6) == SHAPE, z.flip(0), z)
        hue, shape = back(swapped)[:, HUE].round(), v[:, SHAPE]
        moved = (v[:, HUE] + shape.flip(0) - shape) % V  # by the arrow
        found["arrow"] = (hue == moved).double().mean().item()
        found["no arrow"] = (hue == v[:, HUE]).double().mean().item()
        rows.append({"code": code, "scored on": name} | found)
known = pd.DataFrame(rows)
known.set_index(["code", "scored on"]).drop(columns="read").round(2)

# %% [markdown]
# *Table 1. Codes we made. The last two columns: see "An arrow".*
#
# - **MIG** falls for the perfect code: where shape tells half of the hue, so does the code of shape. In the observed world
#   each of three factors of entropy $\log 4$ has information $\log 2$ with another, so MIG is
#   $(3 + 3 \cdot \frac12)/6 = .75$. Worse, the code that mixes hue and shape has more, as it has no second dimension to
#   compare with.
# - **IRS, UC and CG** stay for the perfect code, as the paper wants, and so does MCC. **DCI** falls a little: scale tells
#   whether shape is one of the first two, so a tree's first cut for shape is as good in either dimension.
# - *Wrong* codes: **MCC** rises for the one that has shape for hue, **IRS** does not see that fault, and **UC** takes off one
#   pair or nothing, by chance; it sees little of a rotation, as most factors are nearest to a dimension of their own.
# - **Noise** gets .3 from IRS, and mostly 0 from UC: what nobody tells is owned by the dimension with the rarest extremes.
#
# A second trap: CG's outer bars make *moved by others only* count as much as *moved by its own only*. On all pictures, hue in
# the mixed code is owned by the empty dimension, which moves nothing, and gets .75 for it; without bars (*signed CG*) $-.75$.
#
# **An arrow.** Does shape *act* on hue, or does a hidden cause tie them? The rows are the same. The last code has what is
# hue's own, hue less shape modulo 4, in hue's place, as the noise of (2) in `gallery/causal_prior`. Set its shape, and hue
# follows: right if there is the arrow (*arrow*: in how many rows), wrong if not (*no arrow*: hue should stay). With the
# code of values it is the other way round. Yet on tied rows all scores prefer values, arrow or not, as two dimensions reach
# hue: MIG .75 to $4.25/6 = .71$, UC 1 to $14/15$, CG 1 to $5/6$. No score of rows and decoder can tell an arrow from a
# common cause.
#
# ## Codes that are trained
#
# Learners see pictures of one world. Ada-GVAE ([Locatello et al. 2020](https://arxiv.org/abs/2002.02886), as in
# `gallery/reconstruction_loss`) also has weak supervision: a second picture, with one factor alone set anew, whatever its
# causes say; so it sees untied pictures. It shares between both posteriors those dimensions whose KL, the mean of both
# directions, is below the middle of least and greatest.


# %% tags=["method"]
class AdaGVAE(VAE):
    """A VAE on two views that share all dimensions but those that differ most."""

    def pooled(self, mean, log_variance):
        """Posteriors of two views, [B, 2, D] each → the same, with shared dimensions."""
        (a, b), (s, t) = mean.unbind(1), log_variance.unbind(1)
        apart = (a - b) ** 2 * ((-s).exp() + (-t).exp())
        kl = ((s - t).exp() + (t - s).exp() - 2 + apart) / 4
        middle = (kl.amin(1, keepdim=True) + kl.amax(1, keepdim=True)) / 2
        same = (kl < middle)[:, None]
        variance = log_variance.exp().mean(1, keepdim=True)
        return Posterior(
            torch.where(same, mean.mean(1, keepdim=True), mean),
            torch.where(same, variance.log(), log_variance),
        )

    def draw(self, mean, log_variance, generator):
        return super().draw(*self.pooled(mean, log_variance), generator)

    def regularisers(self, q, z, generator):
        return super().regularisers(self.pooled(*q), z, generator)


# %%
pixels = images.to(device).float() / 255


def pictures(v, members, g):
    """Of factors [B, 6]; a second view is after an intervention on one factor."""
    views = v[:, None].repeat(1, members, 1)
    if members == 2:
        draw = {"size": (len(v),), "generator": g, "device": v.device}
        which = torch.randint(6, **draw)
        views[torch.arange(len(v)), 1, which] = torch.randint(V, **draw)
    return pixels[row_of(views)], {}


def create(name):
    torch.manual_seed(seed)
    made = AdaGVAE if name == "ada_gvae" else methods.find(name)
    method = made(image_shape=(3, 16, 16), latent_dim=latent_dim)
    method.encoder = nets.MLPEncoder((3, 16, 16), 2 * latent_dim, (128, 64))
    method.decoder = nets.MLPDecoder((3, 16, 16), latent_dim, (128, 64))
    return method


# %% [markdown]
# CG's classifier learns from all pictures.


# %% tags=["classifier"]
torch.manual_seed(seed)
classifier = nets.mlp([3 * 16 * 16, 128, 6 * V])
classifier.append(torch.nn.Unflatten(1, (6, V))).to(device)
regress(
    classifier, pixels.flatten(1), every.to(device),
    lambda logits, v: F.cross_entropy(logits.transpose(1, 2), v),
    steps=600, batch_size=128, lr=3e-3, seed=seed,
)  # fmt: skip
right = classifier(pixels.flatten(1)).argmax(2).cpu() == every
shares = right.float().mean(0).tolist()
assert sum(shares) / 6 > 0.95, shares
pd.DataFrame([shares], ["right"], scenes.FACTOR_NAMES).round(3)

# %% tags=["train"]
training = drawn(world, 4096, random_stream(1000 + seed)).to(device)
rows = []
for name in learners.split(","):
    source = SampleViews(training, pictures, 1 + (name == "ada_gvae"))
    method = create(name)
    fit(
        method, source, steps=steps, batch_size=batch_size, lr=lr, seed=seed,
        device=device, progress=False,
    )  # fmt: skip

    @torch.no_grad()
    def read(z, method=method):
        seen = method.decode(z.to(device)).flatten(1)
        return [p.cpu() for p in classifier(seen).softmax(2).unbind(1)]

    for sample, v in samples.items():
        z = method.encode(images[row_of(v)]).cpu()
        rows.append({"code": name, "scored on": sample} | judged(z, v, read))
trained = pd.DataFrame(rows)
mean = trained.groupby("scored on")[[*SCORES, "read"]].mean().reset_index()
mean["code"] = "trained, mean"
results = pd.concat([known, trained, mean], ignore_index=True)
mdlib.record(out, results.astype(object).where(results.notna(), None))
trained.set_index(["code", "scored on"]).round(3)

# %% [markdown]
# *Table 2. This run's learners. "read" is the mean of $p_0$: where it is low, there is little that CG could see moved.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_confounded_*.yaml` before each ran: *metrics* (four learners, two worlds), *training*
# (two learners, tied or not), *arrow* (made codes).

# %% tags=["hide-input", "reads-rows"]
sweeps = "metrics", "training", "arrow"
pd.concat(sweep.show_claims(f"gallery_confounded_{s}") for s in sweeps)

# %% tags=["hide-input", "reads-rows"]
WRONG = ["rotated", "hue and shape in one", "shape for hue", "noise"]
swept = sweep.read_csv("gallery_confounded_metrics")
source = swept if len(swept) else results.assign(world=world, seed=seed)
found = {}
for key, rows in source.groupby(["world", "seed"]):
    at = rows.set_index(["scored on", "code"])[SCORES]
    tied, free = at.loc["tied rows"], at.loc["all pictures"]
    moved = (tied - free).loc[["perfect", "trained, mean"]].T
    moved.columns = ["right code moves", "trained codes move"]
    moved["right − best wrong"] = tied.loc["perfect"] - tied.loc[WRONG].max()
    found[key] = moved
found = pd.concat(found, names=["world", "seed", "score"])
plots.dots(found.reset_index(), list(found), SCORES, by="score", hue="world")
for axis in plt.gcf().axes:
    axis.axvline(0, color="k", lw=0.8)
plt.show()

# %% [markdown]
# *Figures 2, 3 and 4, Table 3. Each claim, its interval (95 %, Student's, by seed) and verdict after Holm's adjustment.*
#
# *Figure 5. The figure to remember. Left: the right code's score on tied rows, less that on all pictures; middle: the same
# for trained codes. A score that is not confused stays at 0. Right: what the right code is ahead of the best wrong one on
# tied rows. A score that sees faults is right of 0. Mean ± one deviation over seeds.*
#
# **What five seeds say.** For codes we made, the paper's first point holds: on tied rows MIG blames the perfect one (−.25;
# with a hidden cause −.10), DCI a little (−.08), UC and CG do not. CG sees a rotation, and a stand-in (.06). Two factors in
# one dimension it hardly sees (.02 below the perfect code, the claim of .05 fails); on all pictures .04 below
# with bars, .29 with signs.
# UC sees that dimension on tied rows alone; whether it sees a stand-in, or .1 of a rotation, is undecided. MIG ranks the
# shared dimension above the perfect code, and MCC rises for the stand-in. All eight claims on the arrow hold.
#
# Whether MIG of *trained* codes falls is undecided; with a hidden cause it rises (.015). In the observed
# world DCI and CG stay within .05; that IRS (+.07) and MCC (+.04) do, and UC (+.19) within .067, is undecided, and no
# interval contains 0. CG of β-VAE (.27) and FactorVAE (.26) is below .5, β-TCVAE's (.39) undecided; the learners' UC is
# .55. That interventions help Ada-GVAE is undecided in both scores. So is what confounded *training* costs: all four
# differences are within .02 of 0, with intervals of ±.03 to ±.07.
#
# What to do? If all combinations can be had, score *those*: nothing moves then. Else read several scores, and neither UC nor
# CG alone. Closed forms: {prf:ref}`prp-disentanglement-dependent` in `theory/disentanglement`; learning from such
# data: `gallery/correlated_factors`.
#
# ## What this does not show
#
# - **The paper's tables**, which we have not read, and CANDLE itself.
# - **The effect of ρ.** With more than one dimension for each factor, UC and CG are other scores.
# - **That a low CG means entanglement.** A factor that is blurred away cannot be moved.
# - **That learners can't do better.** Nothing was tuned.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** What is the perfect code's MIG? Write `perfect_mig(joint, K)`: the mean gap of $K$
# factors, of which two have the joint law `joint` [V, V], and all others are independent.
#
# <details><summary>Hint</summary>
#
# The best code of a factor knows all of it, the second best what the other factor tells: $H - I$ of $H$.
#
# </details>


# %% tags=["solution", "hide-input"]
def perfect_mig(joint, K):
    """A law [V, V] that sums to 1, and K → a float, 0 to 1."""

    def entropy(p):
        return -torch.xlogy(p, p).sum()

    a, b = joint.sum(1), joint.sum(0)
    shared = entropy(a) + entropy(b) - entropy(joint)
    return (K - shared / entropy(a) - shared / entropy(b)).item() / K


# %% tags=["check"]
ring = (torch.eye(V) + torch.eye(V).roll(1, 1)).double() / (2 * V)
same, free = torch.eye(V).double() / V, torch.full((V, V), 1 / V**2).double()
for joint, K, mig in ((ring, 2, 1 / 2), (free, 2, 1.0), (same, 5, 3 / 5)):
    assert abs(perfect_mig(joint, K) - mig) < 1e-6, f"{joint}: {mig}"

# %% tags=["hidden", "remove-cell"]
law = torch.tensor([[2, 0], [1, 1]]).double() / 4
assert abs(perfect_mig(law, 2) - 0.6525167) < 1e-6
assert abs(perfect_mig(law.T, 4) - (2 + 2 * 0.6525167) / 4) < 1e-6

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** Which $\rho$ should one take? Write `largest(sets)`: of lists of
# dimensions, one a factor, the largest $\rho$ for which the first $\rho$ of all are disjoint, or 0. Then plot UC and CG of
# Table 2's codes against $\rho$: do learners change places?
#
# <details><summary>Hint</summary>
#
# From the largest down: put the first $\rho$ of all lists into one, and look for doubles.
#
# </details>


# %% tags=["solution", "hide-input"]
def largest(sets):
    """A list of dimensions for each factor, all of one length → a whole number."""
    for rho in range(len(sets[0]), 0, -1):
        taken = [d for s in sets for d in s[:rho]]
        if len(set(taken)) == len(taken):
            return rho
    return 0


# %% tags=["check"]
for most, b in ((2, [[2, 3]]), (1, [[1, 0]]), (0, [[2, 3], [4, 5], [2, 6]])):
    assert largest([[0, 1], *b]) == most, f"[0, 1] and {b}: {most}"

# %% [markdown]
# ## References
#
# - A. G. Reddy, G. L. Benin, V. N. Balasubramanian. *On Causally Disentangled Representations.* AAAI 2022.
#   [arXiv:2112.05746](https://arxiv.org/abs/2112.05746)
# - R. Suter, Đ. Miladinović, B. Schölkopf, S. Bauer. *Robustly Disentangled Causal Mechanisms: Validating Deep Representations for
#   Interventional Robustness.* ICML 2019. [arXiv:1811.00007](https://arxiv.org/abs/1811.00007)
# - F. Locatello, B. Poole, G. Rätsch, B. Schölkopf, O. Bachem, M. Tschannen. *Weakly-Supervised Disentanglement Without
#   Compromises.* ICML 2020. [arXiv:2002.02886](https://arxiv.org/abs/2002.02886)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

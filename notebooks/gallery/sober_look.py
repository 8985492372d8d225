# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A sober look
#
# *Six objectives promise to disentangle. Is a good code a matter of the objective, of its strength, or of luck, and can one
# see that it is good without labels?*
#
# Nothing can disentangle from images alone: two worlds with equal images show it
# ({prf:ref}`thm-disentanglement-impossible` in `theory/disentanglement`). Yet in practice VAEs do find factors, now and
# then. [Locatello et al. 2019](https://arxiv.org/abs/1811.12359) trained more than 12 000 of them to see when. This is their
# study in small: six objectives, each at four strengths, ten seeds, two data sets.
#
# **You will learn**
# - how much of a score's variance is the objective's, its strength's, and the seed's,
# - four ways to pick a model without labels, held against picks with them,
# - whether settings carry over to other images and other scores, and whether scores agree,
# - whether a disentangled code needs fewer labels.
#
# **You need** `gallery/total_correlation` for the objectives, `theory/disentanglement` for the scores.
#
# **Time:** 15 minutes to read; about 20 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "sprites"  # whose images, at 16 × 16 [one of sprites, scenes]
beta_vae = "1"  # β [some numbers, above 0, or none]
annealed_vae = "none"  # C at last, nats [some numbers, above 0, or none]
factor_vae = "none"  # γ [some numbers, above 0, or none]
beta_tcvae = "none"  # β [some numbers, above 0, or none]
dip_vae_i = "none"  # λ [some numbers, above 0, or none]
dip_vae_ii = "none"  # λ [some numbers, above 0, or none]
networks = 2  # of each setting, whose seeds follow each other [2 or more]
steps = 600  # training steps of each [1 or more]
batch_size = 64  # images a step [2 or more]
lr = 5e-3  # learning rate at first; it falls to 0 along a cosine [above 0]
latent_dim = 6  # D, dimensions of the code [2 or more]
points = 500  # what BetaVAE and FactorVAE scores are fitted on [50 or more]
seed = 0  # the first network's, of weights, batches and draws [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.ensemble import GradientBoostingClassifier

import mdlib
from mdlib import data, losses, methods, metrics, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import statistics
from mdlib.figures import plots
from mdlib.metrics.aggregate import disentanglement
from mdlib.notebook import provenance
from mdlib.registry import random_stream
from mdlib.training import ImageViews, fit

plots.theme()
started = time.time()
device = pick_device(device)

# %% [markdown]
# ## Six objectives
#
# Each adds to the loss of a VAE a penalty that knows no factor:
#
# $$ L = \mathbb{E}[-\log p(x \mid z)] + \mathrm{KL} + s \cdot R, \qquad \mathrm{KL} = \tfrac1N \textstyle\sum_n
#    \mathrm{KL}\big(q(z \mid x_n) \,\Vert\, p(z)\big). \tag{1} $$
#
# | objective | penalty $R$ | strength |
# | --- | --- | --- |
# | β-VAE | $\mathrm{KL}$ | $s = \beta - 1$ |
# | AnnealedVAE | $\lvert \mathrm{KL} - C \rvert$ in place of KL, $C$ rising | the last $C$; $s = 10$ |
# | FactorVAE | total correlation TC of $z$, as a discriminator sees it | $s = \gamma$ |
# | β-TCVAE | TC of $z$, from the batch's posteriors | $s = \beta - 1$ |
# | DIP-VAE-I | $\sum_{i \ne j} C_{ij}^2 + 10 \sum_i (C_{ii} - 1)^2$, $C$ the covariance of the *means* | $s = \lambda$ |
# | DIP-VAE-II | $\sum_{i \ne j} C_{ij}^2 + \sum_i (C_{ii} - 1)^2$, $C$ the covariance of *draws* $z$ | $s = \lambda$ |
#
# AnnealedVAE is the one whose larger number asks for less. (In a short training it may reach $C$ by an offset of its means
# that says nothing of the image; one of the pilot's did.) Networks, images and steps are the same for all.

# %% tags=["method"]
SMALL = {"discriminator_hidden": 128, "discriminator_betas": (0.5, 0.9)}
OBJECTIVES = {  # the package's method, what it calls the strength, and options
    "beta_vae": ("beta_vae", "beta", {}),
    "annealed_vae": ("annealed_vae", "capacity", {}),
    "factor_vae": ("factor_vae", "gamma", SMALL),
    "beta_tcvae": ("beta_tcvae", "beta", {}),
    "dip_vae_i": ("dip_vae", "off_diagonal_weight", {"kind": "i"}),
    "dip_vae_ii": ("dip_vae", "off_diagonal_weight", {"kind": "ii"}),
}

# %% tags=["data"]
VALUES = {  # of each factor: every combination makes some 3000 images
    "sprites": [(3, 1), (4, 1), (8, 2), (16, 2), (16, 2)],  # stop, step
    "scenes": [(6, 2), (6, 2), (6, 2), (4, 1), (4, 1), (8, 1)],
}


def grid(dataset):
    """In random order: images [N, C, 16, 16], factors [N, K], 0 … V − 1."""
    values = VALUES[dataset]
    known = torch.cartesian_prod(*(torch.arange(0, *v) for v in values))
    known = known[torch.randperm(len(known), generator=random_stream(0))]
    images = getattr(data, dataset).render(known, size=16)
    return images, known // torch.tensor([step for _, step in values])


def same_view(images, members, generator):
    return (images.float() / 255)[:, None], {}


def train(objective, strength, seed):
    name, called, options = OBJECTIVES[objective]
    options = options | {"arch": "mlp-small", called: strength}
    shape = {"image_shape": images.shape[1:], "latent_dim": latent_dim}
    network = methods.create(name, seed=seed, **shape, **options)
    fit(
        network, ImageViews(images, same_view, members=1), steps=steps,
        batch_size=batch_size, lr=lr, seed=seed, device=device, progress=False,
    )  # fmt: skip
    return network.eval()


images, factors = grid(dataset)
plots.image_grid(images[None, :12])

# %% [markdown]
# *Figure 1. Some of the images.*
#
# ## What is measured
#
# Without labels: reconstruction (nats), KL, the evidence lower bound ELBO = −(reconstruction + KL), the total correlation
# of $z$, the Gaussian one of means and of $z$, and UDR (Duan et al. 2020), which asks whether networks of one setting
# agree on their axes. With labels: eight scores, of the means and of $z$. And what a code is for: accuracy of two readers
# of means, averaged over factors, from 100 and from 1000 labels. The ratio is the *sample efficiency*.


# %%
@torch.no_grad()
def look(network, seed):
    """→ numbers; of all images means [N, D] and draws [N, D]; KLs [D]."""
    pixels = images.to(device).float() / 255
    mean, log_variance = network.posterior(pixels)
    noise = torch.randn(mean.shape, generator=random_stream(seed)).to(mean)
    z = mean + (log_variance / 2).exp() * noise
    nll = network.reconstruction_nll(network.decoder(z), pixels).mean().item()
    kls = losses.gaussian_kl(mean[..., None], log_variance[..., None]).mean(0)
    some, kl = (z[:1000], mean[:1000], log_variance[:1000]), kls.sum().item()
    gaussian = [metrics.gaussian_total_correlation(x).score for x in (mean, z)]
    found = {
        "reconstruction": nll, "KL": kl, "ELBO": -nll - kl,
        "TC": losses.total_correlation(*some, dataset_size=len(z)).item(),
        "Gaussian TC": gaussian[0], "Gaussian TC, sampled": gaussian[1],
    }  # fmt: skip
    return found, mean.cpu(), z.cpu(), kls.cpu()


# %%
LABELLED = 1000  # images whose factors the readers see, at most


def split(codes, labels):
    """So many to fit on, and others to test on."""
    new = slice(LABELLED, 2 * LABELLED)
    fitted = {"codes": codes[:labels], "factors": factors[:labels]}
    return fitted | {"test": (codes[new], factors[new])}


def boosted(codes, labels, seed):
    """Twenty stages of trees: importances of codes [D, K], mean accuracy."""
    given, importance, right = split(codes, labels), [], []
    new, truth = given["test"]
    for y, target in zip(given["factors"].T, truth.T, strict=True):
        trees = GradientBoostingClassifier(
            n_estimators=20, learning_rate=0.3, random_state=seed
        ).fit(given["codes"], y)
        importance.append(torch.from_numpy(trees.feature_importances_))
        right.append(trees.score(new, target))
    return torch.stack(importance, 1), np.mean(right)


# %%
READERS = ["LR", "trees"]  # logistic regression, boosted trees
SCORES = [
    "BetaVAE", "FactorVAE", "MIG", "MED", "modularity", "IRS", "SAP", "DCI"
]  # fmt: skip


def supervised(codes, seed):
    """Eight scores, and the accuracy of DCI's trees, which read 1000 labels."""
    rows, given = metrics.Rows(codes, factors), {"seed": seed}
    few = {"votes": points, "test_votes": points, **given}
    importance, of_all = boosted(codes, LABELLED, seed)
    scores = [
        metrics.beta_vae(rows, points=points, test_points=points, **given),
        metrics.factor_vae(rows, variance_samples=len(codes), **few),
        *(getattr(metrics, v.lower())(codes, factors) for v in SCORES[2:6]),
        metrics.sap(**split(codes, LABELLED)),
    ]  # fmt: skip
    values = [*(one.score for one in scores), disentanglement(importance)[0]]
    return dict(zip(SCORES, values, strict=True)), of_all


def readers(codes, of_all, seed):
    """Accuracies on unseen images; those of trees and all labels are there."""
    found = {"trees 100": boosted(codes, 100, seed)[1], "trees 1000": of_all}
    for n in (100, LABELLED):
        found[f"LR {n}"] = metrics.informativeness(**split(codes, n)).score
    for r in READERS:
        found[f"{r} efficiency"] = found[f"{r} 100"] / found[f"{r} 1000"]
    return found


# %%
def study(objective, strength):
    """A row for each network of a setting."""
    rows, codes, kls = [], [], []
    for one in range(seed, seed + networks):
        found, mean, z, kl = look(train(objective, strength, one), one)
        scores, of_all = supervised(mean, one)
        found |= scores | readers(mean, of_all, one)
        found |= {f"{v}, sampled": x for v, x in supervised(z, one)[0].items()}
        rows.append({"objective": objective, "strength": strength} | found)
        codes.append(mean[:1000])
        kls.append(kl)
    agreed = metrics.udr(codes, torch.stack(kls)).per_model.tolist()
    of = {"of": "network", "seed": range(seed, seed + networks), "UDR": agreed}
    return pd.DataFrame(rows).assign(**of)


given = {name: globals()[name].split(",") for name in OBJECTIVES}
asked = [(k, float(s)) for k, v in given.items() if v != ["none"] for s in v]
results = pd.concat([study(*one) for one in asked], ignore_index=True)
results = results.replace(np.inf, np.nan)  # Gaussian TC of dead dimensions
shown = results.drop(columns="of")
shown.set_index(["objective", "strength", "seed"]).T.round(3)

# %% [markdown]
# *Table 1. This run. Of two networks, UDR is one comparison; the sweep trains five of a setting at a time.*
#
# ## What the models of a seed say together
#
# The settings that share a seed make one small study. There will be ten of them, and an interval over ten. In each:
#
# - **selection.** A criterion without labels picks a model. Of score $v$, with mean $\bar v$ and maximum $\hat v$ over
#   the settings, the pick has the *gain*
#
# $$ \text{gain} = (v_\text{picked} - \bar v) \,/\, (\hat v - \bar v), \tag{2} $$
#
#   1 for who sees the score, 0 on average for who draws lots; the mean over the eight scores.
# - **agreement.** Spearman's rank correlation of two scores, the mean over all pairs; and of each score of means with the
#   same of draws.
# - **efficiency** and **accuracy**: Spearman's correlation of a score with a reader's sample efficiency, and with its
#   accuracy from 1000 labels, the mean over the scores.


# %% tags=["together"]
CRITERIA = {"ELBO": 1, "reconstruction": -1, "TC": -1, "UDR": 1}  # −1: the less


def gain(models, values):
    """(2), the mean over scores, of picking by the greatest of `values`."""
    picked, mean = models.loc[values.idxmax(), SCORES], models[SCORES].mean()
    return ((picked - mean) / (models[SCORES].max() - mean)).mean()


def ranks(models, values, others=SCORES):
    """Spearman's correlation of `values` with each of the others; their mean."""
    return models[others].corrwith(values, method="spearman").mean()


def together(models):
    """Rows of one seed's models, one a setting → rows of what they say."""
    said = []
    for name, sign in CRITERIA.items():
        by = sign * models[name]
        said.append(("selection", name, ranks(models, by), gain(models, by)))
    pairs = models[SCORES].corr(method="spearman").to_numpy()
    pairs = np.nanmean(pairs[np.triu_indices(len(SCORES), 1)])
    draws = [ranks(models, models[v], [f"{v}, sampled"]) for v in SCORES]
    said.append(("agreement", "pairs", pairs, np.nan))
    said.append(("agreement", "draws", np.nanmean(draws), np.nan))
    for name in READERS:
        for of, column in (("efficiency", "efficiency"), ("accuracy", "1000")):
            by = ranks(models, models[f"{name} {column}"])
            said.append((of, name, by, np.nan))
    table = pd.DataFrame(said, columns=["of", "by", "rank correlation", "gain"])
    return table.assign(seed=models["seed"].iloc[0])


said = pd.DataFrame()
if len(asked) > 2:  # the ranks of two say nothing
    parts = [models for _, models in results.groupby("seed")]
    said = pd.concat([together(models) for models in parts])
table = pd.concat([results, said])
mdlib.record(out, table.astype(object).where(table.notna(), None))
said if len(said) else pd.DataFrame({"settings": [len(asked)]})

# %% [markdown]
# *Table 2. This run's studies; of a single setting there is none.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_sober_look.yaml` before the sweep ran, with seeds that no pilot had used. The paper
# says, in our words: methods bring about what their loss asks for (*enforced*), good models cannot be picked without labels
# (*no-selection*), disentanglement buys no sample efficiency (*no-efficiency*).

# %% tags=["hide-input", "reads-rows"]
mine = "gallery_sober_look"
swept = sweep.read_csv(mine)
if len(swept):
    swept["seed"] = swept["seed (used)"]  # the networks' own
    trained = swept[swept["of"] == "network"]
sweep.show_claims(mine)

# %% [markdown]
# *Figure 2 and Table 3. Each claim with its interval (95 %, Student's, by seed) and its verdict after Holm's adjustment.*
#
# ## Objective, strength, or luck?
#
# Settings are nested in objectives, and seeds in settings. Squares add up: of objectives around the mean, of settings
# around their objective, of seeds around their setting. The first two also catch luck, one variance of seeds for each
# degree of freedom; `shares` takes it away. (So a share may be a little below 0.) A seed's initial weights and batches
# are the same in all settings: intervals come from a jackknife that leaves out one *seed* everywhere.


# %% tags=["shares", "reads-rows"]
def shares(rows, score):
    """Of a score's variance: the objective's, its strength's, the seed's."""
    y, settings = rows[score], [rows["objective"], rows["strength"]]
    setting = y.groupby(settings).transform("mean")
    objective = y.groupby(settings[0]).transform("mean")
    parts = objective - y.mean(), setting - objective, y - setting
    found = np.array([(part**2).sum() for part in parts])
    count = [settings[0].nunique(), y.groupby(settings).ngroups]
    luck = found[2] / (len(y) - count[1])
    found[:2] -= luck * np.array([count[0] - 1, count[1] - count[0]])
    found[2] = luck * (len(y) - 1)
    return pd.Series(found / found.sum(), ["objective", "strength", "seed"])


def jackknife(rows, of):
    """Pseudo-values of what `of(rows)` says, one a seed; their mean is it."""
    seeds, whole = rows["seed"].unique(), of(rows)
    left = np.array([of(rows[rows["seed"] != one]) for one in seeds])
    return len(seeds) * whole - (len(seeds) - 1) * left


def whose(rows):
    """Pseudo-values of the three shares, means over scores: [seeds, 3]."""
    return jackknife(
        rows, lambda part: np.mean([shares(part, v) for v in SCORES], 0)
    )


shown = pd.DataFrame({"not yet run": [f"mdlib sweep {mine}"]})
if len(swept):
    held = {d: whose(part) for d, part in trained.groupby("dataset")}
    parts = {
        f"{name}, {d}": statistics.interval(held[d][:, n])
        for d in held for n, name in enumerate(("objective", "strength", "seed"))
    }  # fmt: skip
    shown = pd.DataFrame([*parts.values()], [*parts])
    shown = shown[["mean", "low", "high", "n"]]
shown

# %% [markdown]
# *Table 4. Whose the variance of a score is, on each data set: shares, means over the eight scores of means, with intervals
# over seeds.*
#
# ## Do settings carry over?
#
# A setting is chosen by the mean of one score on one data set, over nine seeds. In the tenth seed, on that data set or the
# other, by that score or another: what share of the other settings does it beat? One drawn at random beats half.
#
# Such questions look across runs, which claims in a sweep's file cannot. So their tests were written here, before the rows:
# *the seed alone has a quarter of the variance or more* (mean over scores), on each data set; *a chosen setting beats more
# than half of the others*, of each kind. Holm's adjustment is over these six.


# %% tags=["transfer", "reads-rows"]
def transfer(rows):
    """Shares beaten, [seeds, four kinds]; of ties, half is beaten."""
    by = {"index": "seed", "columns": ["objective", "strength"]}
    scores = {
        (d, v): part.pivot_table(v, **by)
        for d, part in rows.groupby("dataset") for v in SCORES
    }  # fmt: skip
    n = rows.groupby(by["columns"]).ngroups
    beaten = {k: (x.rank(axis=1) - 1) / (n - 1) for k, x in scores.items()}
    same, found = ["other", "same"], []
    for (of, a), known in scores.items():
        for held in known.index:
            chosen = known.drop(held).mean().idxmax()
            for (on, b), share in beaten.items():
                kind = f"{same[of == on]} data, {same[a == b]} score"
                found.append((held, kind, share.loc[held, chosen]))
    found = pd.DataFrame(found, columns=["seed", "kind", "beaten"])
    return found.pivot_table("beaten", "seed", "kind")


# %% tags=["judged", "reads-rows"]
def judged(tests):
    """Name → (values over seeds, what their mean is to exceed) → verdicts."""
    above = [statistics.interval(np.asarray(x) - m) for x, m in tests.values()]
    table = pd.DataFrame(above, list(tests))[["mean", "low", "high", "n", "p"]]
    table["p"] = statistics.holm(table["p"])
    known = [table["p"] > 0.05, table["low"] > 0]
    table["verdict"] = np.select(known, ["undecided", "holds"], "fails")
    return table.rename(columns={"p": "p (Holm)"})


def across(rows, held):
    """The six tests, of networks on both data sets, and of `whose` of each."""
    tests = {f"the seed's share, {d}": (x[:, 2], 0.25) for d, x in held.items()}
    carried = transfer(rows)
    return judged(tests | {kind: (carried[kind], 0.5) for kind in carried})


across(trained, held) if len(swept) else shown

# %% [markdown]
# *Table 5. Tests across runs: by how much the mean over seeds is above the number, with its interval.*

# %% tags=["picture", "hide-input", "reads-rows"]
some = trained if len(swept) else results.assign(dataset=dataset)
level = some.groupby("objective")["strength"].rank(method="dense")
some = some.assign(level=level.astype(int).astype(str))
some = some[some["dataset"] == some["dataset"].iloc[0]]
_, (left, right) = plt.subplots(1, 2, figsize=(8.5, 4))
places = {"x": "objective", "y": "FactorVAE", "hue": "level", "dodge": True}
sns.stripplot(some, **places, palette="viridis", size=3, ax=left)
left.tick_params("x", rotation=40)
left.set(xlabel="", ylabel="FactorVAE score")
if len(swept):
    parts = {
        f"{v}, {d}": shares(part, v).clip(0)
        for v in SCORES for d, part in trained.groupby("dataset")
    }  # fmt: skip
    pd.DataFrame(parts).T.plot.barh(stacked=True, ax=right, width=0.8)
    right.legend(
        ncols=3, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1)
    )
    right.set_xlabel("share of variance")
    right.tick_params("y", labelsize=7)
else:
    right.text(0.5, 0.5, f"not yet run: mdlib sweep {mine}", ha="center")
    right.set_axis_off()

# %% [markdown]
# *Figure 3. The figure to remember. Left: each network of one data set, by objective and by level of strength. Right: whose
# the variance of each score is.*
#
# ## What this does not show
#
# - **The paper's numbers.** We read its abstract and its released configurations. It trains convolutional networks
#   for 300 000 steps, fifty seeds a setting, on seven data sets. Here: small networks, 16 × 16 pixels, 1200 steps, of which position, size and colours are learned and
#   shape and orientation hardly.
# - **Shares that belong to nature.** They depend on which strengths are in the study. Wider strengths have a larger share;
#   ours reach from too weak to a collapsed code, for all but β-TCVAE and DIP-VAE-I. A collapsed code scores badly by most
#   scores, so that settings seem to carry over better than useful ones would.
# - **The best selection.** ELBO and reconstruction were not made to select. UDR is of five networks a setting, and near 1
#   where all of them have a single live dimension and agree on it.
# - **Independent tests.** DCI's trees, of 20 stages where the package has 100, are also the readers of 1000 labels. Efficiency is near 1 for a code of which
#   nothing can be read with any number of labels.
# - **Methods with labels, pairs or time.** The theorem, and this study, are about images alone.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** How large a share does the seed have, if there is nothing else? Write `seed_share(a, s)` for scores that
# are a setting's effect plus a seed's noise, independent, with variances `a` and `s` over settings and seeds. Why does
# `shares`, asked for many settings, come near it, and a plain ratio of sums of squares not?
#
# <details><summary>Hint</summary>
#
# A mean of ten seeds has a tenth of their variance left: that much of the noise looks like an effect of settings.
#
# </details>


# %% tags=["solution", "hide-input"]
def seed_share(a, s):
    """Two variances → a share, 0 to 1."""
    return s / (a + s)


# %% tags=["check"]
rng = np.random.default_rng(seed)
for a, s in ((0.0, 1.0), (1.0, 1.0), (3.0, 1.0)):
    effect = np.repeat(rng.normal(0, a**0.5, 200), 10)
    made = pd.DataFrame({"objective": np.repeat(np.arange(20), 100)})
    made["strength"] = np.repeat(np.arange(200), 10)
    made["score"] = effect + rng.normal(0, s**0.5, 2000)
    assert abs(shares(made, "score")["seed"] - seed_share(a, s)) < 0.08, (
        f"variances {a} and {s}: `shares` says {shares(made, 'score')['seed']:.2f}"
    )

# %% tags=["hidden", "remove-cell"]
assert seed_share(0.0, 2.0) == 1 and seed_share(2.0, 0.0) == 0
assert abs(seed_share(1.0, 3.0) - 0.75) < 1e-9

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** How many labels are enough to pick a model? Write `gain_by(models, column)`: (2), the
# mean over the scores, of picking the model with the largest value of any column. Then pick by accuracy from 100 labels
# (`LR 100`, `trees 100`) over the sweep's rows, seed by seed, and compare with the claims on selection.
#
# <details><summary>Hint</summary>
#
# `gain` is above. The sweep's rows are in `swept`; `groupby(["dataset", "seed"])`.
#
# </details>


# %% tags=["solution", "hide-input"]
def gain_by(models, column):
    """Rows of one seed's models, a column → the mean gain."""
    return gain(models, models[column])


# %% tags=["check"]
made = pd.DataFrame(
    {v: [0.1, 0.2, 0.6] for v in SCORES} | {"labels": [3, 9, 5]}
)
assert abs(gain_by(made, "MIG") - 1) < 1e-9, "who sees the scores gains all"
assert abs(gain_by(made, "labels") + 1 / 3) < 1e-9, (
    "picked .2; mean .3, best .6"
)

# %% tags=["hidden", "remove-cell"]
assert gain_by(made, "SAP") > gain_by(made, "labels"), "labels that mislead"

# %% [markdown]
# ## References
#
# - F. Locatello et al. *Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations.*
#   ICML 2019. [arXiv:1811.12359](https://arxiv.org/abs/1811.12359)
# - S. Duan et al. *Unsupervised Model Selection for Variational Disentangled Representation Learning.* ICLR 2020. (UDR)
# - C. P. Burgess et al. *Understanding disentangling in β-VAE.* 2018. (AnnealedVAE)
# - A. Kumar, P. Sattigeri, A. Balakrishnan. *Variational Inference of Disentangled Latent Concepts from Unlabeled
#   Observations.* ICLR 2018. (DIP-VAE, SAP)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

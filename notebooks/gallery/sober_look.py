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

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.multioutput import MultiOutputClassifier

import mdlib
from mdlib import losses, methods, metrics, sweep
from mdlib.data import scenes, sprites
from mdlib.devices import pick_device
from mdlib.evaluation import statistics
from mdlib.figures import plots
from mdlib.metrics.aggregate import disentanglement
from mdlib.notebook import provenance
from mdlib.registry import random_stream
from mdlib.training import ImageViews, fit
from mdlib.views import Views

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
VALUES = {  # stop, step of each factor: all combinations are some 3000
    "sprites": ([(3, 1), (4, 1), (8, 2), (16, 2), (16, 2)], sprites),
    "scenes": ([(6, 2), (6, 2), (6, 2), (4, 1), (4, 1), (8, 1)], scenes),
}


def grid(dataset):
    """In random order: images [N, C, 16, 16], factors [N, K], 0 … V − 1."""
    values, world = VALUES[dataset]
    known = torch.cartesian_prod(*(torch.arange(0, *v) for v in values))
    known = known[torch.randperm(len(known), generator=random_stream(0))]
    images = world.render(known, size=16)
    return images, known // torch.tensor([step for _, step in values])


def train(objective, strength, seed):
    name, called, options = OBJECTIVES[objective]
    options = options | {called: strength, "latent_dim": latent_dim}
    options |= {"image_shape": images.shape[1:], "arch": "mlp-small"}
    network = methods.create(name, seed=seed, **options)
    fit(
        network, ImageViews(images, Views(), members=1), steps=steps,
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
    z = network.draw(mean, log_variance, random_stream(seed, device))
    nll = network.reconstruction_nll(network.decoder(z), pixels).mean().item()
    kls = losses.gaussian_kl(mean[..., None], log_variance[..., None]).mean(0)
    some, kl = (z[:1000], mean[:1000], log_variance[:1000]), kls.sum().item()
    found = {"reconstruction": nll, "KL": kl, "ELBO": -nll - kl}
    found["TC"] = losses.total_correlation(*some, dataset_size=len(z)).item()
    for name, x in (("Gaussian TC", mean), ("Gaussian TC, sampled", z)):
        found[name] = metrics.gaussian_total_correlation(x).score
    return found, mean.cpu(), z.cpu(), kls.cpu()


# %%
LABELLED = 1000  # images whose factors the readers see, at most
TREES = {"n_estimators": 20, "learning_rate": 0.3}


def split(codes, labels):
    """So many to fit on, and others to test on."""
    new = slice(LABELLED, 2 * LABELLED)
    fitted = {"codes": codes[:labels], "factors": factors[:labels]}
    return fitted | {"test": (codes[new], factors[new])}


def boosted(codes, labels, seed):
    """Twenty stages of trees: importances of codes [D, K], mean accuracy."""
    given = split(codes, labels)
    trees = GradientBoostingClassifier(**TREES, random_state=seed)
    trees = MultiOutputClassifier(trees).fit(given["codes"], given["factors"])
    importance = [one.feature_importances_ for one in trees.estimators_]
    right = trees.predict(given["test"][0]) == given["test"][1].numpy()
    return torch.tensor(np.stack(importance, 1)), right.mean(0).mean()


# %%
READERS = ["LR", "trees"]  # logistic regression, boosted trees
SCORES = ["BetaVAE", "FactorVAE", "MIG", "MED", "modularity", "IRS", "SAP", "DCI"]  # fmt: skip


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
    """A row for each network of a setting; NaN for what is infinite."""
    setting = {"objective": objective, "strength": strength}
    rows, codes, kls = [], [], []
    for one in range(seed, seed + networks):
        found, mean, z, kl = look(train(objective, strength, one), one)
        scores, of_all = supervised(mean, one)
        found |= scores | readers(mean, of_all, one)
        found |= {f"{v}, sampled": x for v, x in supervised(z, one)[0].items()}
        rows.append(setting | {"seed": one} | found)
        codes.append(mean[:1000])
        kls.append(kl)
    agreed = metrics.udr(codes, torch.stack(kls)).per_model.tolist()
    return pd.DataFrame(rows).assign(UDR=agreed).replace(np.inf, np.nan)


given = {name: globals()[name].split(",") for name in OBJECTIVES}
asked = [(k, float(s)) for k, v in given.items() if v != ["none"] for s in v]
results = pd.concat([study(*one) for one in asked], ignore_index=True)
results.set_index(["objective", "strength", "seed"]).T.round(3)

# %% [markdown]
# *Table 1. This run. Of two networks, UDR is one comparison; the sweep trains five of a setting at a time.*
#
# ## What the models of a seed say together
#
# The settings that share a seed make one small study. There will be ten of them, and an interval over ten. In each,
#
# - **selection.** A criterion without labels picks a model. Of score $v$, with mean $\bar v$ and maximum $\hat v$ over
#   the settings, the pick has the *gain*
#
# $$ \text{gain} = (v_\text{picked} - \bar v) \,/\, (\hat v - \bar v), \tag{2} $$
#
#   1 for who sees the score, 0 on average for who draws lots; the mean over the eight scores (the best model's is .73 on
#   sprites, .79 on scenes).
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
    asked = {("selection", k): s * models[k] for k, s in CRITERIA.items()}
    for name in READERS:
        asked["efficiency", name] = models[f"{name} efficiency"]
        asked["accuracy", name] = models[f"{name} 1000"]
    said = [(*k, ranks(models, x), gain(models, x)) for k, x in asked.items()]
    pairs = models[SCORES].corr(method="spearman").to_numpy()
    pairs = pairs[np.triu_indices(len(SCORES), 1)]
    draws = [ranks(models, models[v], [f"{v}, sampled"]) for v in SCORES]
    for name, of_scores in (("pairs", pairs), ("draws", draws)):
        said.append(("agreement", name, np.nanmean(of_scores), None))
    table = pd.DataFrame(said, columns=["of", "by", "rank correlation", "gain"])
    table.loc[table["of"] != "selection", "gain"] = None  # labels were seen
    return table.assign(seed=models["seed"].iloc[0])


said = [together(part) for _, part in results.groupby("seed") if len(asked) > 2]
table = pd.concat([results.assign(of="network"), *said])
mdlib.record(out, table.astype(object).where(table.notna(), None))
pd.concat(said) if said else pd.DataFrame({"settings": [len(asked)]})

# %% [markdown]
# *Table 2. This run's studies; of fewer than three settings there is none.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_sober_look.yaml` before the sweep ran, with seeds that no pilot had used. The paper
# says, in our words: methods bring about what their loss asks for (*enforced*), good models cannot be picked without labels
# (*no-selection*), disentanglement buys no sample efficiency (*no-efficiency*).

# %% tags=["hide-input", "reads-rows"]
swept = sweep.read_csv("gallery_sober_look")
trained = results.assign(dataset=dataset)
if len(swept):  # whose networks have seeds of their own
    trained = swept[swept["of"] == "network"].assign(seed=swept["seed (used)"])
sweep.show_claims("gallery_sober_look", apart={"enforced": "nats"})

# %% [markdown]
# *Figures 2 and 3, Table 3. Each claim with its interval (95 %, Student's, by seed) and its verdict after Holm's adjustment.*
#
# ## Objective, strength, or luck?
#
# Settings are nested in objectives, and seeds in settings. Squares add up: of objectives around the mean, of settings
# around their objective, of seeds around their setting. The first two also catch luck, one variance of seeds for each
# degree of freedom; `shares` takes it away (and may fall below 0). A seed's initial weights and batches
# are the same in all settings: intervals come from a jackknife that leaves out one *seed* everywhere.


# %% tags=["shares", "reads-rows"]
def shares(rows, score):
    """Of a score's variance: the objective's, its strength's, the seed's."""
    y, setting = rows[score], ["objective", "strength"]
    groups = [rows.groupby(setting[:n])[score] for n in (1, 2)]
    of_objective, of_setting = (group.transform("mean") for group in groups)
    parts = of_objective - y.mean(), of_setting - of_objective, y - of_setting
    squares = np.array([(part**2).sum() for part in parts])
    free = np.diff([1, *(group.ngroups for group in groups), len(y)])
    luck = squares[2] / free[2]
    found = [*(squares - luck * free)[:2], luck * free.sum()]
    return pd.Series(found, [*setting, "seed"]) / sum(found)


def jackknife(rows, of):
    """Pseudo-values of what `of(rows)` says, one a seed; their mean is it."""
    seeds, whole = rows["seed"].unique(), of(rows)
    left = np.array([of(rows[rows["seed"] != one]) for one in seeds])
    return len(seeds) * whole - (len(seeds) - 1) * left


def whose(rows):
    """Pseudo-values of the three shares, means over scores: [seeds, 3]."""
    return jackknife(rows, lambda x: np.mean([shares(x, v) for v in SCORES], 0))


held = {d: whose(x) for d, x in trained.groupby("dataset") if len(swept)}
shown = {d: [*map(statistics.interval, x.T)] for d, x in held.items()}
pd.DataFrame(shown, ["objective", "strength", "seed"])

# %% [markdown]
# *Table 4. Whose the variance of a score is, on each data set: shares, means over the eight scores of means, with intervals
# over seeds.*
#
# ## Do settings carry over?
#
# A setting is chosen by the mean of one score on one data set, over nine seeds. In the tenth seed, on that data set or the
# other, by that score or another: what share of the other settings does it beat? One drawn at random beats half.
#
# A sweep's claims cannot look across runs, so these tests were written here, before the rows:
# *the seed alone has a quarter of the variance or more* (mean over scores), on each data set; *a chosen setting beats more
# than half of the others*, of each kind. Holm's adjustment is over these six.


# %% tags=["transfer", "reads-rows"]
def transfer(rows):
    """Shares beaten, [seeds, four kinds]; of ties, half is beaten."""
    scores, found, same = {}, [], ["other", "same"]
    for d, part in rows.groupby("dataset"):
        table = part.pivot_table(SCORES, "seed", ["objective", "strength"])
        scores |= {(d, v): table[v] for v in SCORES}
    for (of, a), known in scores.items():
        for held in known.index:
            chosen = known.drop(held).mean().idxmax()
            for (on, b), x in scores.items():
                kind = f"{same[of == on]} data, {same[a == b]} score"
                beaten = (x.loc[held].rank()[chosen] - 1) / (len(x.T) - 1)
                found.append({"seed": held, "kind": kind, "beaten": beaten})
    return pd.DataFrame(found).pivot_table("beaten", "seed", "kind")


def judged(tests):
    """Name → (values over seeds, what their mean is to exceed) → verdicts."""
    found = [statistics.interval(np.asarray(x) - m) for x, m in tests.values()]
    table = pd.DataFrame(found, list(tests))[["mean", "low", "high", "n"]]
    table["p (Holm)"] = statistics.holm([one.p for one in found])
    known = [table["p (Holm)"] > 0.05, table["low"] > 0]
    table["verdict"] = np.select(known, ["undecided", "holds"], "fails")
    return table


def across(rows, held):
    """The six tests, of networks on both data sets, and of `whose` of each."""
    tests = {f"the seed's share, {d}": (x[:, 2], 0.25) for d, x in held.items()}
    tests |= {kind: (x, 0.5) for kind, x in transfer(rows).items()}
    return judged(tests)


# %% tags=["picture", "hide-input", "reads-rows"]
level = trained.groupby("objective")["strength"].rank(method="dense")
of = {**plots.LABELS, "dip_vae_i": "DIP-VAE-I", "dip_vae_ii": "DIP-VAE-II"}
some = trained.assign(level=level.astype(int).astype(str))
some["images: objective"] = some["dataset"] + ": " + some["objective"].map(of)
style = {"hue": "level", "dodge": True, "palette": "viridis", "size": 3}
axis = sns.stripplot(some, x="FactorVAE", y="images: objective", **style)
axis.set_xlim(-0.05, 0.9)  # with room for the legend
across(trained, held) if held else None

# %% [markdown]
# *Figure 4. The figure to remember. FactorVAE score of each network, by data set, objective and level of strength, from the least
# to the largest.*
#
# *Table 5. Tests across runs: by how much the mean over seeds is above the number, with its interval.*
#
# **What 480 networks say.** *Luck is large*: the seed has 71 % of the variance of scores on sprites and 38 % on scenes; the
# objective, 13 % and 33 %. *Losses bring about what they ask for* in seven of twelve claims; five are undecided. *Picking
# without labels* gains less than half of what labels would in six of eight claims; ELBO on sprites (.30) and UDR on scenes
# (.43) are undecided. Picking by the least total correlation is worse on average than drawing lots (−.22, −.31; not
# claimed, and undecided). *Settings carry over* on the same images: one chosen by a score beats 83 % of the others by it,
# 67 % by another. On other images it beats 55 % (65 % from sprites to scenes, 46 % back; split afterwards), and by another
# score 42 %, *fewer* than one drawn at random. *Scores agree* by .43 and .38: both claims of .5 fail; means and draws do
# (.66, .63). *Sample efficiency* does not follow scores (−.25 to .03; trees on sprites .27, undecided). Accuracy does on
# scenes (.44, .48, above .3); on sprites (.40, .39) that is undecided.
#
# ## What this does not show
#
# - **The paper's numbers.** We read its abstract and its released configurations. It trains convolutional networks
#   for 300 000 steps, fifty seeds a setting, on seven data sets. Here: small networks, 16 × 16 pixels, 1200 steps.
# - **Shares that belong to nature.** They depend on which strengths are in the study. Wider strengths have a larger share;
#   on scenes β-VAE and FactorVAE reach a collapsed code and DIP-VAE-II one nat, on sprites only β-VAE collapses. Such a code
#   scores badly by most scores, so that settings seem to carry over better than useful ones would.
# - **The best selection.** ELBO and reconstruction were not made to select. UDR is of five networks a setting.
# - **Independent tests.** The setting chosen without one seed is mostly the same for all ten, and UDR is shared by five
#   seeds: such intervals are too narrow. DCI's trees, of 20 stages, are also the readers of 1000
#   labels. Efficiency is near 1 for a code of which nothing can be read with any number of labels.
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
    found = shares(made, "score")["seed"]
    assert abs(found - seed_share(a, s)) < 0.08, f"{a}, {s}: {found:.2f}"

# %% tags=["hidden", "remove-cell"]
assert seed_share(0.0, 2.0) == 1 and abs(seed_share(1.0, 3.0) - 0.75) < 1e-9

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** How many labels are enough to pick a model? Write `gain_by(models, column)`: (2), the
# mean over the scores, of picking the model with the largest value of any column. Then pick by accuracy from 100 labels
# (`LR 100`, `trees 100`) over the sweep's rows, seed by seed, and compare with the claims on selection.
#
# <details><summary>Hint</summary>
#
# `gain` is above. The sweep's networks are in `trained`; `groupby(["dataset", "seed"])`.
#
# </details>


# %% tags=["solution", "hide-input"]
def gain_by(models, column):
    """Rows of one seed's models, a column → the mean gain."""
    return gain(models, models[column])


# %% tags=["check"]
made = pd.DataFrame({v: [0.1, 0.2, 0.6] for v in SCORES})
made["labels"] = [3, 9, 5]
assert abs(gain_by(made, "MIG") - 1) < 1e-9, "who sees the scores gains all"
assert abs(gain_by(made, "labels") + 1 / 3) < 1e-9, "it picks .2; mean .3"

# %% tags=["hidden", "remove-cell"]
made["MIG"] = [0.3, 0.9, 0.3]
assert abs(gain_by(made, "labels") + 1 / 6) < 1e-9, "the mean of eight gains"

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

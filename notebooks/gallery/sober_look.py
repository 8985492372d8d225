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
beta_vae = "1"  # β of the β-VAEs [some numbers, above 0, or none]
annealed_vae = "none"  # nats that AnnealedVAEs may use at last [some numbers, above 0, or none]
factor_vae = "none"  # γ of the FactorVAEs [some numbers, above 0, or none]
beta_tcvae = "none"  # β of the β-TCVAEs [some numbers, above 0, or none]
dip_vae_i = "none"  # λ of the DIP-VAE-Is [some numbers, above 0, or none]
dip_vae_ii = "none"  # λ of the DIP-VAE-IIs [some numbers, above 0, or none]
networks = 2  # of each setting, with seeds that follow each other; UDR compares them [2 or more]
steps = 800  # training steps of each [1 or more]
batch_size = 64  # images a step [2 or more]
lr = 5e-3  # learning rate at first; it falls to 0 along a cosine [above 0]
latent_dim = 6  # D, dimensions of the code [2 or more]
points = 500  # what BetaVAE and FactorVAE scores are fitted on, and tested [50 or more]
seed = 0  # the first network's, of weights, batches and draws [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

import mdlib
from mdlib import data, losses, methods, metrics, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import statistics
from mdlib.figures import plots, tables
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
# AnnealedVAE is the one whose larger number asks for less. Networks, images and steps are the same for all.

# %%
OBJECTIVES = {
    "beta_vae": lambda s: ("beta_vae", {"beta": s}),
    "annealed_vae": lambda s: ("annealed_vae", {"capacity": s}),
    "factor_vae": lambda s: (
        "factor_vae",
        {
            "gamma": s,
            "discriminator_hidden": 128,
            "discriminator_betas": (0.5, 0.9),
        },
    ),
    "beta_tcvae": lambda s: (
        "beta_tcvae",
        {"beta": s, "estimator": "stratified", "dataset_size": len(images)},
    ),
    "dip_vae_i": lambda s: ("dip_vae", {"kind": "i", "off_diagonal_weight": s}),
    "dip_vae_ii": lambda s: (
        "dip_vae",
        {"kind": "ii", "off_diagonal_weight": s},
    ),
}
TITLES = {"dip_vae_i": "DIP-VAE-I", "dip_vae_ii": "DIP-VAE-II"}
VALUES = {  # of each factor, so that every combination makes some 3000 images
    "sprites": [
        range(3),
        range(4),
        range(0, 8, 2),
        range(0, 16, 2),
        range(0, 16, 2),
    ],
    "scenes": [range(0, 6, 2)] * 3 + [range(4), range(4), range(8)],
}
LABELLED = 1000  # images whose factors the readers may see, at most


def grid(dataset):
    """Images uint8 [N, C, 16, 16]; factors int64 [N, K], 0 … V − 1 each, in random order."""
    factors = torch.cartesian_prod(
        *map(torch.tensor, map(list, VALUES[dataset]))
    )
    factors = factors[torch.randperm(len(factors), generator=random_stream(0))]
    images = getattr(data, dataset).render(factors, size=16)
    return images, torch.stack(
        [v.unique(return_inverse=True)[1] for v in factors.T], 1
    )


def same_view(images, members, generator):
    return (images.float() / 255)[:, None], {}


def train(objective, strength, seed):
    """A trained network, and what its losses were."""
    name, options = OBJECTIVES[objective](strength)
    shape = {"image_shape": images.shape[1:], "latent_dim": latent_dim}
    network = methods.create(
        name, arch="mlp-small", seed=seed, **shape, **options
    )
    history = fit(
        network, ImageViews(images, same_view, members=1), steps=steps,
        batch_size=batch_size, lr=lr, seed=seed, device=device, progress=False,
    )  # fmt: skip
    return network.eval(), history


images, factors = grid(dataset)
text = ", ".join(f"{len(v)} values" for v in VALUES[dataset])
Markdown(f"{len(images)} images of {dataset}; the factors have {text}.")

# %% [markdown]
# ## What is measured
#
# Without labels: the reconstruction (nats), KL, the evidence lower bound ELBO = −(reconstruction + KL), the total correlation
# of $z$, the Gaussian one of means and of draws, and UDR (Duan et al. 2020), which asks whether networks of one setting agree
# on their axes. With labels: eight scores, of the means and of draws $z$. And what the code is for: accuracy of
# two readers, averaged over factors, from 100 and from 1000 labels. Their ratio is the *sample efficiency*.


# %%
@torch.no_grad()
def unsupervised(network, seed):
    """Numbers, and of all images: means [N, D], draws [N, D]; KL of each dimension [D]."""
    pixels = images.to(device).float() / 255
    mean, log_variance = network.posterior(pixels)
    noise = torch.empty_like(mean).normal_(
        generator=random_stream(seed, device)
    )
    z = mean + (log_variance / 2).exp() * noise
    nll = network.reconstruction_nll(network.decoder(z), pixels).mean().item()
    kl = losses.gaussian_kl(mean.T[..., None], log_variance.T[..., None]).mean(
        1
    )
    some = z[:1000], mean[:1000], log_variance[:1000]
    found = {
        "reconstruction": nll,
        "KL": kl.sum().item(),
        "ELBO": -nll - kl.sum().item(),
        "active": int((kl > 0.1).sum()),
        "TC": losses.total_correlation(*some, dataset_size=len(z)).item(),
        "Gaussian TC": metrics.gaussian_total_correlation(mean).score,
        "Gaussian TC, sampled": metrics.gaussian_total_correlation(z).score,
    }
    return found, mean.cpu(), z.cpu(), kl.cpu()


def supervised(codes, seed):
    """Eight scores, and the accuracy of DCI's trees, which read 1000 labels."""
    rows, draw = metrics.Rows(codes, factors), {"seed": seed}
    few = {
        "votes": points,
        "test_votes": points,
        "variance_samples": len(codes),
    }
    fitted, test = first(codes, LABELLED), rest(codes)
    trees = metrics.dci(*fitted, test=test, trees="binned", **draw)
    found = {
        "BetaVAE": metrics.beta_vae(
            rows, points=points, test_points=points, **draw
        ),
        "FactorVAE": metrics.factor_vae(rows, **few, **draw),
        "MIG": metrics.mig(codes, factors),
        "MED": metrics.med(codes, factors),
        "modularity": metrics.modularity(codes, factors),
        "SAP": metrics.sap(*fitted, test=test, **draw),
        "DCI": trees,
        "IRS": metrics.irs(codes, factors),
    }
    return {
        name: one.score for name, one in found.items()
    }, trees.informativeness


def first(codes, labels):
    return codes[:labels], factors[:labels]


def rest(codes):
    return codes[LABELLED : 2 * LABELLED], factors[LABELLED : 2 * LABELLED]


def readers(codes, of_all, seed):
    """Accuracy on unseen images, of all factors; the trees of 1000 labels are there."""
    found = {}
    for labels in (100, LABELLED):
        given, test = first(codes, labels), rest(codes)
        found[f"LR {labels}"] = metrics.informativeness(*given, test=test).score
        trees = labels < LABELLED and metrics.dci(
            *given, test=test, trees="binned", seed=seed
        )
        found[f"trees {labels}"] = trees.informativeness if trees else of_all
    for reader in ("LR", "trees"):
        few, many = found[f"{reader} 100"], found[f"{reader} {LABELLED}"]
        found[f"{reader} efficiency"] = few / many
    return found


# %%
def study(objective, strength):
    """A row for each network of a setting."""
    rows, codes, kls = [], [], []
    for one in range(seed, seed + networks):
        network, _ = train(objective, strength, one)
        found, mean, z, kl = unsupervised(network, one)
        scores, of_all = supervised(mean, one)
        of_draws = supervised(z, one)[0]
        row = {"of": "network", "objective": objective, "strength": strength}
        row |= {"seed": one} | found | scores | readers(mean, of_all, one)
        rows.append(
            row | {f"{name}, sampled": x for name, x in of_draws.items()}
        )
        codes.append(mean[:1000])
        kls.append(kl)
    agreed = metrics.udr(codes, torch.stack(kls)).per_model
    return [
        row | {"UDR": u.item()} for row, u in zip(rows, agreed, strict=True)
    ]


given = {name: globals()[name] for name in OBJECTIVES}
asked = [
    (name, float(s)) for name, words in given.items() if words != "none"
    for s in words.split(",")
]  # fmt: skip
results = pd.DataFrame([row for setting in asked for row in study(*setting)])
results = results.replace([np.inf, -np.inf], np.nan)
results.drop(columns="of").set_index(["objective", "strength", "seed"]).T.round(
    3
)

# %% [markdown]
# *Table 1. This run. UDR of two networks is one comparison; the sweep has five of each setting at a time.*
#
# ## What a seed's models say together
#
# All settings that share a seed make one small study, so there are ten of them, and an interval over ten. In each:
#
# - **selection.** A criterion without labels picks a model. For score $v$, with mean $\bar v$ and maximum $\hat v$ over the
#   settings, the *gain* is
#
# $$ \text{gain} = \frac{v_\text{picked} - \bar v}{\hat v - \bar v}, \tag{2} $$
#
#   1 for who sees all scores, 0 on average for who draws at random; the mean over the eight scores.
# - **agreement.** Spearman's rank correlation of two scores, the mean over all pairs; and of each score with itself on
#   draws.
# - **efficiency.** Spearman's correlation of a score with a reader's sample efficiency, and with its accuracy from 1000
#   labels, the mean over scores.


# %% tags=["together"]
SCORES = [
    "BetaVAE",
    "FactorVAE",
    "MIG",
    "MED",
    "modularity",
    "SAP",
    "DCI",
    "IRS",
]
CRITERIA = {
    "ELBO": 1,
    "reconstruction": -1,
    "TC": -1,
    "UDR": 1,
}  # −1: less is better
READERS = ["LR", "trees"]


def gain(models, values):
    """(2), the mean over scores, of picking the model with the greatest of `values`."""
    scores = models[SCORES]
    picked, mean = scores.loc[values.idxmax()], scores.mean()
    return ((picked - mean) / (scores.max() - mean)).mean()


def rank_correlation(models, values, others=SCORES):
    """Spearman's, of `values` with each of the columns; their mean."""
    return models[others].corrwith(values, method="spearman").mean()


def together(models):
    """Rows of one seed's models, one a setting → rows of what they say."""
    said = []
    for name, sign in CRITERIA.items():
        by = sign * models[name]
        selected = {
            "gain": gain(models, by),
            "rank correlation": rank_correlation(models, by),
        }
        said.append({"of": "selection", "by": name} | selected)
    between = models[SCORES].corr(method="spearman").to_numpy()
    pairs = np.nanmean(between[np.triu_indices(len(SCORES), 1)])
    draws = [
        rank_correlation(models, models[v], [f"{v}, sampled"]) for v in SCORES
    ]
    for by, value in {
        "pairs of scores": pairs,
        "means and draws": np.nanmean(draws),
    }.items():
        said.append({"of": "agreement", "by": by, "rank correlation": value})
    for reader in READERS:
        for of, column in {
            "efficiency": "efficiency",
            "accuracy": f"{LABELLED}",
        }.items():
            value = rank_correlation(models, models[f"{reader} {column}"])
            said.append({"of": of, "by": reader, "rank correlation": value})
    return [row | {"seed": int(models["seed"].iloc[0])} for row in said]


summaries = []
if len(asked) > 2:  # fewer have no ranks worth a number
    for _, models in results.groupby("seed"):
        summaries += together(models)
table = pd.concat([results, pd.DataFrame(summaries)])
mdlib.record(out, table.astype(object).where(table.notna(), None))
summaries = pd.DataFrame(
    summaries, columns=["of", "by", "seed", "gain", "rank correlation"]
)
if summaries.empty:
    shown = Markdown(f"{len(asked)} setting: there is nothing to compare.")
else:
    shown = (
        summaries.drop(columns="seed")
        .groupby(["of", "by"], sort=False)
        .mean()
        .round(2)
    )
shown

# %% [markdown]
# *Table 2. This run's study, the mean over its seeds.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_sober_look.yaml` before the sweep ran, with seeds that no pilot had used. The paper says
# (in our words): methods bring about what their loss asks for (*enforced*), models cannot be picked without labels (*no
# selection*), and disentanglement buys no sample efficiency (*no efficiency*).

# %% tags=["hide-input", "reads-rows"]
mine = "gallery_sober_look"
sweep.show_claims(mine)

# %% [markdown]
# *Figure 1 and Table 3. Each claim with its interval (95 %, Student's, by seed) and its verdict after Holm's adjustment.*
#
# ## Objective, strength, or luck?
#
# Settings are nested in objectives, and seeds in settings. Squares add up: of objectives around the mean, of settings around
# their objective, of seeds around their setting. The first two also catch noise, one part $\sigma^2$ of seeds for each
# degree of freedom, which `shares` takes away. (A share may then be a little below 0.) Seeds share initial weights and
# batches across settings; so intervals come from a jackknife that leaves out one *seed* in all settings at once.


# %% tags=["shares", "reads-rows"]
def shares(rows, score):
    """Of the variance of a score: the objective's, its strength's, the seed's; sum 1."""
    y, settings = rows[score], [rows["objective"], rows["strength"]]
    setting = y.groupby(settings).transform("mean")
    objective = y.groupby(settings[0]).transform("mean")
    parts = objective - y.mean(), setting - objective, y - setting
    squares = np.array([(part**2).sum() for part in parts])
    counts = 1, settings[0].nunique(), len(rows.groupby(settings)), len(rows)
    free = np.diff(counts)  # degrees of freedom
    noise = squares[2] / free[2]
    found = squares - free * noise
    found[2] = squares.sum() - found[:2].sum()
    return pd.Series(found / squares.sum(), ["objective", "strength", "seed"])


def jackknife(rows, of):
    """Pseudo-values of the number `of(rows)`, one a seed: their mean is `of` without its bias."""
    seeds, whole = rows["seed"].unique(), of(rows)
    left = np.array([of(rows[rows["seed"] != one]) for one in seeds])
    return len(seeds) * whole - (len(seeds) - 1) * left


# %% [markdown]
# ## Do settings carry over?
#
# A setting is chosen by the mean of one score on one data set, over nine seeds. Then look at the tenth seed, on that data set or
# the other, by that score or another: what share of the other settings does the chosen one beat? A setting chosen at random
# beats half.


# %% tags=["transfer", "reads-rows"]
def beaten(values, chosen):
    """The share of the other settings that the chosen one beats; ties count half."""
    others = values.drop(chosen)
    return (others < values[chosen]).mean() + 0.5 * (
        others == values[chosen]
    ).mean()


def transfer(rows):
    """Of each seed: shares beaten, by whether data and score stay the same."""
    found = []
    tables = {
        d: part.pivot_table(SCORES, "seed", ["objective", "strength"])
        for d, part in rows.groupby("dataset")
    }
    for source, chosen_on in tables.items():
        for held in chosen_on.index:
            means = chosen_on.drop(held).mean()
            picks = {score: means[score].idxmax() for score in SCORES}
            for target, seen in tables.items():
                for a in SCORES:
                    for b in SCORES:
                        kind = KINDS[source == target, a == b]
                        value = beaten(seen.loc[held, b], picks[a])
                        found.append(
                            {"kind": kind, "seed": held, "beaten": value}
                        )
    return (
        pd.DataFrame(found)
        .groupby(["kind", "seed"])["beaten"]
        .mean()
        .unstack(0)
    )


KINDS = {
    (True, True): "same data, same score",
    (True, False): "same data, other score",
    (False, True): "other data, same score",
    (False, False): "other data, other score",
}


# %% [markdown]
# These two don't fit the form of claims in a sweep's file, for they look across its runs. They were written here before it ran: *the seed alone has
# a quarter of the variance or more* (mean over the scores), on each data set; and *a setting that was chosen beats more than
# half of the others*, of each kind. Same intervals, same words; Holm's adjustment over these six.


# %% tags=["judged", "reads-rows"]
def judged(values, above):
    """Per test, values over seeds and the number that their mean is to exceed → verdicts."""
    lines = {}
    for name, numbers in values.items():
        found = statistics.interval(np.asarray(numbers) - above[name])
        whole = statistics.interval(numbers)
        word = (
            "holds"
            if found.low > 0
            else "fails"
            if found.high < 0
            else "undecided"
        )
        ends = {
            "mean": whole.mean,
            "low": whole.low,
            "high": whole.high,
            "n": whole.n,
        }
        lines[name] = ends | {
            "above": above[name],
            "p": found.p,
            "verdict": word,
        }
    table = pd.DataFrame.from_dict(lines, orient="index")
    table["p (Holm)"] = statistics.holm(table["p"])
    table["verdict"] = table["verdict"].mask(
        table["p (Holm)"] > 0.05, "undecided"
    )
    return table.drop(columns="p")


def across(rows):
    """The six tests, of rows of networks on both data sets."""

    def seed_share(part):
        return np.nanmean([shares(part, score)["seed"] for score in SCORES])

    values = {
        f"the seed's share, {name}": jackknife(part, seed_share)
        for name, part in rows.groupby("dataset")
    }
    above = dict.fromkeys(values, 0.25)
    carried = transfer(rows)
    values |= {kind: carried[kind].to_numpy() for kind in KINDS.values()}
    return judged(values, above | dict.fromkeys(KINDS.values(), 0.5))


# %% tags=["hide-input", "reads-rows"]
swept = sweep.read_csv(mine)
if (
    "seed (used)" in swept
):  # the networks' own seeds, of which a run has several
    swept["seed"] = swept["seed (used)"]
trained = swept[swept["of"] == "network"] if len(swept) else swept
if len(trained) and trained["dataset"].nunique() == 2:
    shown = across(trained).round(3)
else:
    shown = Markdown(f"**Not yet run:** `mdlib sweep {mine}`")
shown

# %% [markdown]
# *Table 4. Tests across runs.*

# %% tags=["hide-input", "reads-rows"]
labels = {name: TITLES.get(name) or plots.LABELS[name] for name in OBJECTIVES}
some = trained if len(trained) else results.assign(dataset=dataset)
_, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), width_ratios=[1.3, 1])
first_set = some[some["dataset"] == some["dataset"].iloc[0]]
for at, (name, part) in enumerate(first_set.groupby("objective", sort=False)):
    for level, (strength, models) in enumerate(part.groupby("strength")):
        where = at + 0.2 * level - 0.3
        left.plot(
            [where] * len(models),
            models["FactorVAE"],
            ".",
            c=f"C{level}",
            alpha=0.6,
        )
        left.plot(where, models["FactorVAE"].mean(), "_", c="k", ms=9)
left.set_xticks(range(first_set["objective"].nunique()))
left.set_xticklabels(
    [labels[n] for n in first_set["objective"].unique()],
    rotation=40,
    ha="right",
)
left.set_ylabel("FactorVAE score")
if len(trained):
    parts = {
        (d, v): shares(part, v)
        for d, part in trained.groupby("dataset")
        for v in SCORES
    }
    bars = pd.DataFrame(parts).T.clip(lower=0)
    for place, (name, part) in enumerate(bars.groupby(level=0)):
        base, y = 0.0, np.arange(len(SCORES)) + 0.4 * place
        for number, column in enumerate(bars):
            width = part[column].to_numpy()
            right.barh(
                y,
                width,
                0.36,
                base,
                color=f"C{number}",
                label=column if not place else None,
            )
            base = base + width
    right.set_yticks(np.arange(len(SCORES)) + 0.2, SCORES)
    right.set_xlabel("share of variance")
    right.legend(
        fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.12)
    )
else:
    right.text(
        0.5, 0.5, f"not yet run:\nmdlib sweep {mine}", ha="center", va="center"
    )
    right.set_axis_off()
plt.show()

# %% [markdown]
# *Figure 2. The figure to remember. Left: every network of the first data set, a colour for each of four strengths, weak to strong;
# bars are means. Right: whose the variance of each score is; for each score the lower bar is the first data set.*

# %% tags=["hide-input", "reads-rows"]
if len(trained):
    said = swept[swept["of"] != "network"]
    numbers = ["dataset", "of", "by", "gain", "rank correlation"]
    shown = tables.mean_std(said[numbers], ["dataset", "of", "by"])
else:
    shown = Markdown(f"**Not yet run:** `mdlib sweep {mine}`")
shown

# %% [markdown]
# *Table 5. The studies of one seed each: mean ± standard deviation over n seeds.*
#
# ## What this does not show
#
# - **The paper's numbers.** We read its abstract and its released configurations. It trains convolutional networks on
#   64 × 64 pixels for 300 000 steps, fifty seeds a setting, seven data sets. Here: small networks, 16 × 16, 800 steps.
# - **Shares that belong to nature.** They depend on which strengths are in the study. Wider strengths have a larger share;
#   ours reach from too weak to collapse, and a collapsed code scores badly by most scores, so that settings look
#   more alike across data and scores than useful ones are.
# - **The best selection.** ELBO and reconstruction were not made to select. UDR is of five networks a setting.
# - **Independent tests.** DCI's trees are also the readers of 1000 labels. Efficiency is 1 for a code of which
#   nothing can be read with any labels: the paper's definition has that too.
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
# (`LR 100`, `trees 100`) over the sweep's rows, seed by seed, and compare with Table 5.
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

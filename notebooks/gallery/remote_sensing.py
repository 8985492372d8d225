# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Seen from above: which augmentation does the work?
#
# *Pictures from satellites have more bands than three, no up or down, and few labels. Do methods made for photographs
# learn from them, and which of their augmentations is it that teaches?*
#
# [Wang et al. (2022)](https://arxiv.org/abs/2206.13188) review self-supervision in remote sensing, with a benchmark of
# four methods and a study of augmentations. We ask the same of small pictures: of *tiles* with six bands, drawn so that
# all that varies is known, and of RSSCN7, real scenes. Each augmentation is left out in turn; whatever gets worse, it did.
#
# **You will learn**
# - MoCo, which contrasts with the past, and SwAV, which sorts views into clusters of one size,
# - views of pictures with any number of bands,
# - to read an ablation with intervals, and why its ranking belongs to the data.
#
# **You need** InfoNCE (`theory/infonce_bound`); `methods/negative_free` for Barlow Twins and SimSiam.
#
# **Time:** 12 minutes to read; about 40 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "tiles"  # or rsscn7, which needs the file of mdlib.data.rsscn7 [one of tiles, rsscn7]
variants = "bands,untrained,moco,no-crop,supervised"  # what is compared
# [some of bands, untrained, moco, swav, barlow, simsiam, supervised, no-crop, no-flip, no-jitter, no-grey, or all]
steps = 100  # of each training [1 or more]
batch_size = 64  # images a step [2 or more]
seed = 0  # of tiles, weights, views, and of which images have labels [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time
from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

import mdlib
from mdlib import data, losses, methods, nets, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes, statistics
from mdlib.figures import plots, tables
from mdlib.notebook import provenance
from mdlib.registry import random_stream
from mdlib.training import ImageViews, fit
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)

# %% [markdown]
# ## Six bands
#
# A tile has one of twelve classes: a *family* (water, plants or soil: how much each band $b$, from blue to infrared, reflects), furrows that run
# across or along, and their width $\lambda$ of 4 or 8 pixels. At place $u$ across the furrows,
#
# $$ x_b(u) = g\, \rho_b \big(1 + \tfrac12 \sin(2\pi u / \lambda + \varphi)\big) + h + \epsilon. \tag{1} $$
#
# Everything else is nuisance: the gain $g$ and offset $h$ of light and air, the phase $\varphi$, noise $\epsilon$,
# and the spread of $\rho_b$ within a family.


# %%
FAMILIES = torch.tensor([
    [0.24, 0.21, 0.16, 0.10, 0.05, 0.04],
    [0.08, 0.13, 0.09, 0.32, 0.27, 0.16],
    [0.11, 0.16, 0.22, 0.26, 0.30, 0.32],
])  # fmt: skip


def tiles(per_class, seed):
    """uint8 [N, 6, 20, 20], classes [N], gain and offset [N, 2]."""
    draw = random_stream(seed)
    y = torch.arange(12).repeat_interleave(per_class)
    family, across, wide = y // 4, y // 2 % 2, y % 2

    def uniform(low, high):
        return low + (high - low) * torch.rand(len(y), 1, generator=draw)

    spread = 1 + 0.12 * torch.randn(len(y), 6, generator=draw)
    rho = FAMILIES[family] * spread
    turns = torch.arange(20) / (4 + 4 * wide[:, None]) + uniform(0, 1)
    furrows = (math.tau * turns).sin()[:, None, None].expand(-1, 1, 20, -1)
    furrows = torch.where(across.view(-1, 1, 1, 1) == 1, furrows.mT, furrows)
    g, h = uniform(0.4, 1.6), uniform(0, 0.3)
    x = (g * rho)[..., None, None] * (1 + furrows / 2) + h[..., None, None]
    x = x + 0.08 * torch.randn(x.shape, generator=draw)
    return (255 * x.clamp(0, 1)).byte(), y, torch.cat([g, h], 1)


# %% tags=["data"]
SCENES = dataset == "rsscn7"


def loaded(split):
    """Images, classes, and what is known of the light."""
    if SCENES:
        part = data.load(dataset, split, size=32).to(device)
        return part.images, part.labels, None
    test = split == "test"
    drawn = tiles(100 if test else 200, seed + test * 1_000_000)
    return [part.to(device) for part in drawn]


x, y, light = loaded("train")
x_test, y_test, light_test = loaded("test")
classes = int(y.max()) + 1

# %% [markdown]
# **Scenes.** RSSCN7 has 2 800 pictures in seven classes, here 32 pixels wide, and no split: ours is half and half. Its
# licence is not stated, so none is shown.
#
# ## Views of bands
#
# Crop, flips, brightness and contrast work on any number of bands. Hue and saturation don't exist for six; *haze*, a constant
# added to all bands, has their place in the jitter. Grey is no luminance, but the mean of all bands in the place of each. Scenes, which have no up, are also turned by a quarter. Furrows must not be
# turned: their direction is their class.


# %% tags=["views"]
@dataclass(frozen=True)
class BandViews(Views):
    """`Views`, then haze on all bands; perhaps transposed, and all bands alike."""

    haze: float = 0.0
    turn: float = 0.0
    alike: float = 0.0

    def __call__(self, images, views, generator):
        x, parameters = super().__call__(images, views, generator)

        def uniform():
            size = (*x.shape[:2], 1, 1, 1)
            return torch.rand(size, generator=generator, device=x.device)

        x = (x + self.haze * (2 * uniform() - 1)).clamp(0, 1)
        x = torch.where(uniform() < self.turn, x.mT, x)
        x = torch.where(uniform() < self.alike, x.mean(2, keepdim=True), x)
        return x, parameters


AUGMENTATIONS = {
    "crop": {"crop": (0.25 if SCENES else 0.6, 1.0)},
    "flip": {"hflip": 0.5, "vflip": 0.5, "turn": 0.5 * SCENES},
    "jitter": {"brightness": 0.5, "contrast": 0.5, "haze": 0.2},
    "grey": {"alike": 0.2},
}


def law(without):
    """Views without some of these augmentations."""
    kept = [v for name, v in AUGMENTATIONS.items() if name not in without]
    return BandViews(**{k: v for part in kept for k, v in part.items()})


# %% tags=["hide-input"]
if not SCENES:
    some = x[::400]
    seen, _ = law([])(some, 4, random_stream(seed, device))
    shown = torch.cat([some[:, None].float() / 255, seen], 1)[:, :, [3, 2, 1]]
    shown = shown.transpose(0, 1).mul(1.5).clamp(max=1)
    plots.image_grid(shown, ["tile", *["view"] * 4])
    plt.show()

# %% [markdown]
# *Figure 1. Six tiles and four views of each, bands 4, 3 and 2 as red, green and blue, brightened. (Not for scenes.)*
#
# ## Two new methods
#
# Both compare projections of length 1 of two views. **MoCo** (He et al. 2020) asks the query $q$ for the key $k^+$ of the
# other view, among the keys $k_m$ of the last $M$ images. Keys come from a slow copy of the network, so that old ones are not
# out of date:
#
# $$ L_\text{MoCo} = -\log \frac{e^{q \cdot k^+ / \tau}}{e^{q \cdot k^+ / \tau} + \sum_{m=1}^M e^{q \cdot k_m / \tau}}. \tag{2} $$
#
# **SwAV** (Caron et al. 2020) has no negatives. Scores with $K$ learnt prototypes $c_k$ become an assignment $S$, by
# Sinkhorn's scaling of $e^{z \cdot c_k / \epsilon}$: rows sum to 1, and over the batch all columns to the same, so that one
# cluster can't have all. From one view's scores the *other* view's assignment must be foretold:
#
# $$ L_\text{SwAV} = -\sum_k S_k(z_2) \log \frac{e^{z_1 \cdot c_k / \tau}}{\sum_l e^{z_1 \cdot c_l / \tau}}. \tag{3} $$


# %% tags=["method", "theorem:package"]
def moco(q, k, queue, tau):
    own = (q * k).sum(1) / tau
    rest = (q @ queue.T / tau).logsumexp(1)
    return (torch.logaddexp(own, rest) - own).mean()


def sinkhorn(scores, epsilon=0.05, rounds=3):
    S = (scores / epsilon).exp()
    for _ in range(rounds):
        S = S / S.sum(0)  # prototypes are used alike
        S = S / S.sum(1, keepdim=True)  # each view is assigned once
    return S


def swav(z1, z2, C, tau=0.1):
    def foretold(z, other):
        with torch.no_grad():
            S = sinkhorn(other @ C.T)
        return -(S * (z @ C.T / tau).log_softmax(1)).sum(1).mean()

    return (foretold(z1, z2) + foretold(z2, z1)) / 2


draw = random_stream(seed)
z1, z2, C = (torch.randn(n, 8, generator=draw).double() for n in (32, 32, 10))
z1, z2, C = (F.normalize(z, dim=1) for z in (z1, z2, C))
for mine, book in [
    (moco(z1, z2, C, 0.2), losses.queue_info_nce(z1, z2, C, 0.2)),
    (swav(z1, z2, C), losses.swapped_prediction(torch.stack([z1, z2], 1), C)),
]:
    torch.testing.assert_close(mine, book, rtol=1e-9, atol=1e-12)

# %% [markdown]
# The package's `moco` and `swav` add heads, the queue and the slow copy. An encoder of one's own joins by its name: patches,
# then the mean over all places, as textures have no place.


# %% tags=["network"]
class PatchNet(nn.Sequential):
    """[N, C, H, W] → [N, dim]."""

    def __init__(self, image_shape, dim):
        layers, channels = [], image_shape[0]
        patch = 4 if image_shape[1] >= 32 else 2  # pixels between patches
        for n, k, stride in [
            (dim // 4, 4, patch),
            (dim // 2, 3, 2),
            (dim, 3, 1),
        ]:
            conv = nn.Conv2d(channels, n, k, stride, k % 2, bias=False)
            layers += [conv, nn.BatchNorm2d(n), nn.ReLU()]
            channels = n
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


nets.ENCODERS["patches"] = PatchNet


# %%
def learn(kind, without=None, rows=slice(None)):
    """A method trained on `rows`; untrained where `without` is None."""
    options = {"classes": classes} if kind == "supervised" else {}
    options |= {
        "latent_dim": 128 if SCENES else 64,
        "arch": "patches",
        "seed": seed,
    }
    method = methods.create(kind, image_shape=x.shape[1:], **options).to(device)
    if without is not None:
        members = 1 if kind == "supervised" else 2
        source = ImageViews(x[rows], law(without), members, y[rows])
        options = {"steps": steps, "batch_size": min(batch_size, len(source))}
        options |= {"lr": 2e-3, "weight_decay": 1e-4, "seed": seed}
        fit(method, source, device=device, progress=False, **options)
    return method


# %%
@torch.no_grad()
def codes(method):
    """Of training and test images, with batch statistics of images as they are."""
    if method is None:  # mean and deviation of each band
        images = [part.float() / 255 for part in (x, x_test)]
        return [torch.cat([i.mean((2, 3)), i.std((2, 3))], 1) for i in images]
    for layer in method.encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
    method.train()
    for batch in method.batches(x, 200):
        method.encoder(batch)
    return [method.encode(part) for part in (x, x_test)]


# %%
SHARES = {"1 %": 2, "10 %": 20, "100 %": 200}  # labels a class


def probed(z, z_test):
    """Accuracy of logistic regression, by share of the labels."""
    row, asked = {}, (z, y, z_test, y_test)
    for name, shots in SHARES.items():
        options = {"shots": shots, "draws": 10 if shots < 200 else 1}
        options |= {"classifier": "linear", "seed": seed}
        row[name] = probes.few_shot(*asked, **options).score
    return row


def supervised():
    """Trained end to end on each share; geometric views alone."""
    row, draw = {}, random_stream(seed)
    order = torch.randperm(len(y), generator=draw).to(device)
    for name, shots in SHARES.items():
        few = [order[y[order] == c][:shots] for c in range(classes)]
        method = learn("supervised", ["jitter", "grey"], torch.cat(few))
        z, z_test = codes(method)
        right = method.head(z_test).argmax(1) == y_test
        row[name] = right.float().mean().item()
    return row, (z, z_test)


def nuisance(z, z_test):
    """R² of gain and offset, where they are known."""
    if light is None:
        return {}
    found = probes.ridge(z, light, z_test, light_test, seed=seed).per_target
    return dict(zip(("gain", "offset"), found.tolist(), strict=True))


# %%
FOUR = ("moco", "swav", "barlow", "simsiam")
VARIANTS = {"bands": None, "untrained": ("moco", None), "supervised": None}
VARIANTS |= {name: (name, []) for name in FOUR}
VARIANTS |= {f"no-{arm}": ("moco", [arm]) for arm in AUGMENTATIONS}
rows = []
chosen = list(VARIANTS) if variants == "all" else variants.split(",")
for name in map(str.strip, chosen):
    if name == "supervised":
        row, z = supervised()
    else:
        z = codes(VARIANTS[name] and learn(*VARIANTS[name]))
        row = probed(*z)
    rows.append({"variant": name, "seed": seed} | row | nuisance(*z))
results = pd.DataFrame(rows)
mdlib.record(out, results)
results.set_index("variant").drop(columns="seed").round(3)

# %% [markdown]
# *Table 1. This run, one seed: accuracy on test images, from a frozen code and labels for a share of the training images
# (means over ten draws of them); "supervised" trains the whole network on one draw, with all views. Of tiles also the $R^2$
# of gain and offset.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_remote_sensing.yaml` before the sweep ran, with seeds that no pilot had used. Names
# that begin with `rs-tiles` are of tiles, the others of scenes.

# %% tags=["hide-input", "reads-rows"]
sweep.show_claims(
    "gallery_remote_sensing", "difference of accuracies, or of R²"
)

# %% [markdown]
# *Figure 2 and Table 2. Each claim with its interval (95 %, Student's, paired by seed) and its verdict.*


# %% tags=["picture", "hide-input", "reads-rows"]
def missed(part):
    return {
        f"{arm}, {k}": statistics.paired(
            part, f"no-{arm}", "moco", k, "variant"
        )
        for arm in AUGMENTATIONS
        for k in SHARES
    }


swept = sweep.read_csv("gallery_remote_sensing")
source = swept if len(swept) else results.assign(dataset=dataset)
parts = dict(list(source.groupby("dataset")))
colours = plots.COLOURS | {"bands": "0.75"}
titles = dict(plots.LABELS) | {"bands": "bands"}
_, axes = plt.subplots(1, len(parts), figsize=(7, 3), squeeze=False)
for axis, (name, part) in zip(axes[0], parts.items(), strict=True):
    mean = part.groupby("variant", sort=False)[list(SHARES)].mean()
    for arm, values in mean[mean.index.isin(colours)].iterrows():
        axis.plot(values, "o-", ms=4, color=colours[arm], label=titles.get(arm))
    axis.set(title=name, xlabel="labels", ylabel="accuracy")
axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
if len(swept):
    plots.forest({name: missed(part) for name, part in parts.items()})
plt.show()
by = ["dataset", "variant"]
shown = source[[*by, *results.columns[1:]]].replace({"variant": titles})
tables.mean_std(shown, by, best=SHARES)

# %% [markdown]
# *Figures 3 and 4, Table 3. Mean accuracy by the share of labels; and, the figure to remember, what leaving one augmentation
# out does to MoCo's accuracy, with 95 % intervals over the sweep's seeds. The table has the sweep's rows (this run's,
# where there is no sweep), mean ± standard deviation over n seeds. Bold: of each data set and share of labels the best, and
# what these seeds cannot tell from it.*
#
# **What the seeds say.** *Of scenes*, the frozen codes of all four methods tell the class better than an untrained
# network's, by .08 to .09, and MoCo's than the bands' statistics, by .10. A network trained on the labels is ahead with 10
# % of them (.59 against .55, no claim of ours); with all and with 1 % it is undecided who is. Jitter teaches with 1 % of
# the labels (+.04); what crop, flips and grey do is undecided.
#
# *Of tiles* it is the other way round. Without crop MoCo gains .33, and is .31 above an untrained network; with all views
# SwAV, Barlow Twins and SimSiam are .14 below it, where we had claimed them .05 above. A likely reason is in (1): a crop is
# enlarged, and with it the furrows, whose width is their class. (We knew when we wrote the claims: three recipes for tiles
# were tried with seed 0, and with all views MoCo was below in each; the sweep leaves that undecided, and that jitter
# harms.) With 1 % of the labels MoCo without crop is .19 ahead of supervision, which had crop; with more, neither is shown
# ahead (.84 against .91, .92 against .90).
#
# ## What this does not show
#
# - **The paper's ranking of methods.** Its tables we have not read. Its networks are ResNets, its pictures Sentinel-2's, ours
#   are small and trained for minutes; none of the methods was tuned.
# - **Fine-tuning,** which the benchmark has as well, transfer between data sets, blur.
# - **What matters on other pictures.** An augmentation is good or bad for a class: what varies within it, and what else
#   tells two images apart. Equation (1) and the strength of each augmentation, neither of them tuned, decide both for tiles.
# - **That crop harms all such tiles.** A pilot of other code, with InfoNCE, 500 steps and noise among the views, had .87
#   with all of them and .66 without crop. What made the difference we do not know.
# - **Other scenes.** All seeds share one split of RSSCN7. Intervals over seeds say nothing of other pictures.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** MoCo's queue begins with random directions, and in many dimensions these are nearly at right angles to
# every query. What is (2) then? Write `at_start(cosine, M, tau)`, where `cosine` is $q \cdot k^+$. Why does MoCo's loss rise at first?
#
# <details><summary>Hint</summary>
#
# At a right angle $q \cdot k_m = 0$, so each of the $M$ terms is 1.
#
# </details>


# %% tags=["solution", "hide-input"]
def at_start(cosine, M, tau):
    """→ nats, a float."""
    return math.log1p(M * math.exp(-cosine / tau))


# %% tags=["check"]
basis = torch.eye(9).double()
key = 0.6 * basis[:1] + 0.8 * basis[1:2]
known = moco(basis[:1], key, basis[2:], 0.2).item()
assert abs(at_start(0.6, 7, 0.2) - known) < 1e-9, f"(2) is {known:.4f} there"

# %% tags=["hidden", "remove-cell"]
assert abs(at_start(0.5, 100, 0.1) - 0.5150933) < 1e-6, "another τ"

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** An augmentation that is not missed may still teach, if another does its work. Write `alone(name)`: the law of views with
# this one augmentation and no other. Train MoCo with each alone. Is the order that of Figure 4 turned round?
#
# <details><summary>Hint</summary>
#
# `law` takes the names of what is left out; `AUGMENTATIONS` has all of them.
#
# </details>


# %% tags=["solution", "hide-input"]
def alone(name):
    """The name of an augmentation → a law of views."""
    return law([other for other in AUGMENTATIONS if other != name])


# %% tags=["check"]
for name, part in AUGMENTATIONS.items():
    assert alone(name) == BandViews(**part), f"{name}: only this one"

# %% [markdown]
# ## References
#
# - Y. Wang, C. M. Albrecht, N. Ait Ali Braham, L. Mou, X. X. Zhu. *Self-supervised Learning in Remote Sensing: A Review.*
#   IEEE GRSM 2022. [arXiv:2206.13188](https://arxiv.org/abs/2206.13188)
# - K. He, H. Fan, Y. Wu, S. Xie, R. Girshick. *Momentum Contrast for Unsupervised Visual Representation Learning.*
#   CVPR 2020. [arXiv:1911.05722](https://arxiv.org/abs/1911.05722)
# - M. Caron, I. Misra, J. Mairal, P. Goyal, P. Bojanowski, A. Joulin. *Unsupervised Learning of Visual Features by
#   Contrasting Cluster Assignments.* NeurIPS 2020. [arXiv:2006.09882](https://arxiv.org/abs/2006.09882)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One yardstick that others use, too
#
# *On photographs, with a residual network and the usual views: do our methods come in the order in which others found them?*
#
# Most chapters ask small questions of small pictures, and nobody else has asked them in that way. So here is one that
# everybody asks. Train on CIFAR-10 without labels; freeze the network; let a linear probe and the nearest neighbours read
# the classes. Two libraries publish such tables for a ResNet-18 that is trained for hundreds of epochs on a GPU. Ours has a
# twentieth of the weights and a few epochs, so its accuracies are far below. What may be compared is the order.
#
# **You will learn**
# - the field's protocol for self-supervised learning on CIFAR-10, in a page,
# - what a few epochs are worth, and how far they are from the published end,
# - that an order of methods after a short training is not that after a long one.
#
# **You need** `methods/negative_free`, and InfoNCE with two views (SimCLR), as in `start_here`.
#
# **Time:** 10 minutes to read; about 25 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or cifar10 [data set]
size = 8  # side of the images in pixels; 0 leaves them as they are
# [0 or more]
methods = "untrained,infonce,byol"  # one after the other
# [some of untrained, infonce, byol, barlow, vicreg, simsiam, supervised, or all]
network = "small"  # or the field's usual one [one of small, resnet18]
epochs = 2  # of each training [1 or more]
probe_every = 1  # epochs between two looks [1 or more]
batch_size = 128  # images a step; each gives two views [2 or more]
lr = 0.0  # learning rate at the first step; 0: as tuned, or else 3e-3
# [0 or more]
max_images = 60000  # at most so many training images [2 or more]
held_out = False  # True to tune: a fifth of the training set is the test set
seed = 0  # of weights, batches and views [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time
from itertools import combinations

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown
from scipy.stats import kendalltau
from torch import nn
from torchvision.models import resnet

import mdlib
from mdlib import data, nets, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes, protocol
from mdlib.figures import plots, tables
from mdlib.methods import create, find
from mdlib.notebook import provenance
from mdlib.training import ImageViews, callbacks, fit
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)
train = data.load(dataset, size=size or None, max_images=max_images)
if held_out:  # whoever tunes must not see the test set
    train, test = protocol.held_out(train)
else:
    test = data.load(dataset, "test", size=size or None)
train, test = train.to(device), test.to(device)
PHOTOS = train.image_shape[0] == 3
train

# %% [markdown]
# ## The protocol
#
# **The network.** A *residual block* adds to its input what two convolutions make of it:
#
# $$ h \leftarrow \mathrm{relu}\big(h + F(h)\big). \tag{1} $$
#
# Four blocks, of 32, 64, 128 and 128 channels, the second and third with stride 2, then the mean over all places: a code of
# 128 numbers, none below 0, from 0.6 million weights. `resnet18` is the field's own variant for small images, with a first layer of 3 × 3 and no
# pooling after it: 512 numbers from 11 million weights. In both the blocks are torchvision's.


# %% tags=["network"]
def stem(network, image_shape, channels, stride):
    """The first layer for small images, 3 × 3."""
    network.conv1 = nn.Conv2d(
        image_shape[0], channels, 3, stride, padding=1, bias=False
    )
    network.maxpool = network.fc = nn.Identity()
    return network


def resnet18(image_shape, dim):
    """[N, C, H, W] → [N, 512]."""
    return nn.Sequential(stem(resnet.resnet18(), image_shape, 64, 1))


# %% tags=["network"]
class Small(nn.Sequential):
    """[N, C, H, W] → [N, 128]."""

    def __init__(self, image_shape, dim):
        sizes = [(32, 32, 1), (32, 64, 2), (64, 128, 2), (128, 128, 1)]
        first = 2 if image_shape[1] >= 16 else 1
        blocks = []
        for before, after, stride in sizes:
            narrow = None
            if before != after:
                narrow = nn.Sequential(
                    nn.Conv2d(before, after, 1, stride, bias=False),
                    nn.BatchNorm2d(after),
                )
            blocks.append(resnet.BasicBlock(before, after, stride, narrow))
        super().__init__(
            nn.Conv2d(image_shape[0], 32, 3, first, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            *blocks,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


nets.ENCODERS |= {"yardstick-small": Small, "yardstick-resnet18": resnet18}
DIM = {"small": 128, "resnet18": 512}[network]

# %% [markdown]
# **The views** of photographs are SimCLR's without blur, as both libraries have them for images of this size. Digits have no
# colour and must not be turned round; they keep crop and light.

# %% tags=["views"]
law = Views(crop=(0.5, 1.0), brightness=0.4, contrast=0.4)
if PHOTOS:
    law = Views(
        crop=(0.2, 1.0),
        hflip=0.5,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        jitter_p=0.8,
        grey=0.2,
    )

# %% [markdown]
# **The probes** learn from codes of all training images and are asked about the test images, once, after every other epoch
# (`probe_every`): logistic regression, and the vote of the 20 nearest neighbours. No epoch is picked; what counts is the last.
#
# **The learning rate** is the best of four for each method (of six for SimSiam), found on a held-out part of the training
# images (`notebooks/sweeps/yardstick_tuning.yaml`). All else is alike: AdamW, a rate that falls to 0 along a cosine, no warm-up, the
# heads of the package.


# %% tags=["method"]
def make(name):
    """A method on the chapter's network, untrained."""
    name = "infonce" if name == "untrained" else name
    options = (
        {"classes": len(train.class_names)} if name == "supervised" else {}
    )
    if name not in ("supervised", "infonce"):
        options["head_dim"] = 128  # the release's 2048 and more, made smaller
    shape = {"image_shape": train.image_shape, "latent_dim": DIM}
    arch = f"yardstick-{network}"
    return create(name, **shape, arch=arch, seed=seed, **options).to(device)


def rate(name):
    """The learning rate: as given, or as tuned on this data set, or 3e-3."""
    tuned = sweep.best(
        sweep.read_csv("yardstick_tuning"),
        "linear",
        dataset=dataset,
        method=name,
    )
    return protocol.settings(tuned, lr, "", default_lr=3e-3)[0]


# %% tags=["method"]
def looked_at(method):
    """Accuracies of both probes on test images."""
    codes = method.encode(train.images), train.labels
    codes += method.encode(test.images), test.labels
    return {
        "linear": probes.linear(*codes, penalties=(1e-3,), tol=1e-3).score,
        "kNN": probes.knn(*codes, neighbours=(20,)).score,
    }


def learn(name):
    """Rows of one method: what was seen, by epoch."""
    method, begun = make(name), time.time()
    if name == "untrained":
        row = {"epoch": 0} | looked_at(method)
        return pd.DataFrame([row | {"seconds": time.time() - begun}])
    source = ImageViews(
        train.images, law, 1 if name == "supervised" else 2, train.labels
    )
    each = len(train) // batch_size
    seen = callbacks.Watch(looked_at, every=each * probe_every)
    fit(
        method, source, epochs=epochs, batch_size=batch_size, lr=rate(name),
        weight_decay=1e-4, seed=seed, device=device, callbacks=[seen],
        progress=False,
    )  # fmt: skip
    rows = seen.table()
    if epochs % probe_every:
        last = {"step": epochs * each} | looked_at(method)
        rows = pd.concat([rows, pd.DataFrame([last])])
    rows["epoch"] = rows.pop("step") // each
    return rows.assign(lr=rate(name), seconds=time.time() - begun)


# %%
METHODS = (
    "untrained",
    "infonce",
    "byol",
    "barlow",
    "vicreg",
    "simsiam",
    "supervised",
)
chosen = [m.strip() for m in methods.split(",")]
chosen = METHODS if methods == "all" else chosen
for name in chosen:  # a mistake in a setting costs no time
    make(name)
weights = sum(p.numel() for p in make("infonce").encoder.parameters())
results = [learn(name).assign(method=name) for name in chosen]
results = pd.concat(results, ignore_index=True).assign(seed=seed)
mdlib.record(out, results.astype(object).where(results.notna(), None))
last = results.groupby("method", sort=False).tail(1)
last.set_index("method")[["epoch", "linear", "kNN", "seconds"]].round(3)

# %% [markdown]
# *Table 1. This run, one seed, at the last epoch: accuracies on test images, seconds with all probes.*

# %% tags=["hide-input"]
Markdown(
    f"{len(train):,} training images of {train.title}, {weights:,} weights."
)

# %% [markdown]
# ## By epoch
#
# Lines of the sweep `yardstick`: CIFAR-10 (JPEG), the small network, three seeds (this run's, where there are no rows).

# %% tags=["picture", "hide-input", "reads-rows"]
swept = sweep.read_csv("yardstick")
source = swept if len(swept) else results
plots.curves(source, "epoch", ["linear", "kNN"], "method")
plt.show()

# %% [markdown]
# *Figure 1. Accuracy of both probes by epoch, mean ± standard deviation over seeds.*
#
# ## Beside what others publish
#
# Theirs is a ResNet-18: [lightly](https://docs.lightly.ai/self-supervised-learning/getting_started/benchmarks.html) gives the vote
# of 200 neighbours after 200 epochs in batches of 128 (the best of all epochs), and
# [solo-learn](https://github.com/vturrisi/solo-learn) a linear layer trained beside 1000 epochs. Both are as read in their repositories (commits `0243660` and
# `0126879`; solo-learn's SimSiam is from an earlier state of its table).

# %% tags=["hide-input", "reads-rows"]
PUBLISHED = pd.DataFrame(
    {
        "infonce": (0.847, 0.9074),
        "byol": (0.869, 0.9258),
        "barlow": (0.842, 0.9210),
        "vicreg": (None, 0.9207),
        "simsiam": (0.819, 0.9051),
    },
    index=["lightly, kNN", "solo-learn, linear"],
).T
at_end = source[source["epoch"].isin([0, source["epoch"].max()])]
means = at_end.groupby("method", sort=False)[["linear", "kNN"]].mean()
if not len(swept) and not PHOTOS:
    means = means[:0]  # digits cannot stand beside photographs
beside = PUBLISHED.join(means, how="outer" if len(means) else "left")
shown = beside.rename(lambda m: m if m == "untrained" else find(m).title)
shown.round(3)

# %% [markdown]
# *Table 2. Theirs, and ours of photographs at the last epoch, means over seeds ("–": not run): another network, and fifty to
# two hundred and fifty times as long.*

# %% tags=["hide-input", "reads-rows"]
pairs = [("kNN", "lightly, kNN"), ("linear", "solo-learn, linear")]
agreement = {
    f"ours, {ours} | {theirs}": {
        "methods": len(beside[[ours, theirs]].dropna()),
        "rank correlation": beside[ours].corr(beside[theirs], "spearman"),
    }
    for ours, theirs in pairs
}
pd.DataFrame(agreement).T.round(2)

# %% [markdown]
# *Table 3. Do the orders agree? With four or five methods only a correlation of 1 would be remarkable: one of 24, or of 120, orders
# has it.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/yardstick.yaml` before the sweep ran:

# %% tags=["hide-input", "reads-rows"]
sweep.show_claims("yardstick", "difference of accuracies")

# %% [markdown]
# *Figure 2 and Table 4. Each claim with its interval (95 %, Student's, paired by seed) and its verdict.*

# %% tags=["hide-input", "reads-rows"]
accuracies = ["linear", "kNN"]
shown = at_end[["method", "seed", *accuracies, "seconds"]]
tables.mean_std(shown, best=accuracies)

# %% [markdown]
# *Table 5. The last epoch, mean ± standard deviation over n seeds. Bold: the best, and what these seeds cannot tell from
# it.*
#
# **What three seeds say.** After four epochs SimCLR, VICReg and Barlow Twins read the class 11 to 13 points better than an
# untrained network, linearly: that holds. BYOL's 7 points and SimSiam's 3 are not shown to be more than the 5 that were
# asked for. Supervision is 17 points ahead of SimCLR. *The order is not the published one.* BYOL, first there, is 6 points
# *behind* SimCLR by neighbours, in every seed: the claim fails. That SimCLR leads Barlow Twins (4 points) and Barlow Twins
# SimSiam (8), as there, holds. By a linear probe the ranks of the five have nothing in common with solo-learn's (Table 3).
#
# `notebooks/sweeps/yardstick_gpu.yaml` is the same with the field's network and 200 epochs. It is for one GPU, and has not
# been run.
#
# ## What this does not show
#
# - **Which method is best.** After 1 560 steps the fastest is ahead. Whether BYOL and SimSiam only need more, a longer run
#   would tell; rates were tuned in 225 steps, with one seed, and nothing else was.
# - **That our code is as good as theirs.** `book/conformance` compares losses with the releases number by number; this
#   compares what comes out, and only in order.
# - **Anything about photographs of 224 pixels.**
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Two tables rank five methods. How probable is it that two orders, drawn at random, agree
# wholly? Write `wholly(n)`. And how many methods does it take until that is rarer than one in a thousand?
#
# <details><summary>Hint</summary>
#
# Fix one order. How many can the other be?
#
# </details>


# %% tags=["solution", "hide-input"]
def wholly(n):
    """→ a probability."""
    share = 1.0
    for k in range(2, n + 1):
        share /= k  # the next one may stand at k places
    return share


# %% tags=["check"]
draw = torch.Generator().manual_seed(0)
orders = torch.rand(20_000, 3, generator=draw).argsort(1)
share = (orders == torch.arange(3)).all(1).double().mean().item()
error = (wholly(3) * (1 - wholly(3)) / 20_000) ** 0.5
assert abs(share - wholly(3)) < 5 * error, (
    f"of 20 000 orders of three {share:.4f} agree, wholly(3) = {wholly(3):.4f}"
)

# %% tags=["hidden", "remove-cell"]
assert wholly(1) == 1 and wholly(6) > 1e-3 > wholly(7), "7! = 5040"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** A rank correlation of four methods is hard to read. Write `alike(a, b)`: of all pairs of
# methods, the share that both lists of accuracies put in the same order (no two accuracies of a list are equal). What is it, if the two have
# nothing to do with each other? And how does it go with Kendall's $\tau$?
#
# <details><summary>Hint</summary>
#
# `itertools.combinations` has the pairs; two differences have the same sign if their product is above 0.
#
# </details>


# %% tags=["solution", "hide-input"]
def alike(a, b):
    """Two lists of n accuracies → 0 to 1; a half, if nothing is in common."""
    pairs = list(combinations(range(len(a)), 2))
    return sum((a[i] - a[j]) * (b[i] - b[j]) > 0 for i, j in pairs) / len(pairs)


# %% tags=["check"]
draw = torch.Generator().manual_seed(1)
for n in (2, 5, 9):
    a, b = torch.rand(2, n, generator=draw).tolist()
    tau = kendalltau(a, b).statistic
    assert abs(2 * alike(a, b) - 1 - tau) < 1e-9, (
        f"of {n} methods: {alike(a, b):.3f}, Kendall's τ is {tau:.3f}"
    )
assert alike([0.1, 0.2, 0.3], [0.5, 0.6, 0.9]) == 1, "the same order"

# %% tags=["hidden", "remove-cell"]
assert alike([3, 1, 2], [1, 3, 2]) == 0, "turned round, no pair is left"

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** lightly reports the best of all epochs, by test accuracy. What is
# that worth? Write `flattered(rows, column="kNN")`: for each method, by how much the best epoch of a run beats its last,
# the mean over seeds. Who gains most, and how would you choose an epoch without the test set?
#
# <details><summary>Hint</summary>
#
# Group by method and seed, after sorting by epoch.
#
# </details>


# %% tags=["solution", "hide-input"]
def flattered(rows, column="kNN"):
    """Rows with method, seed, epoch → a Series by method."""
    runs = rows.sort_values("epoch").groupby(["method", "seed"])[column]
    return (runs.max() - runs.last()).groupby("method").mean()


# %% tags=["check"]
toy = pd.DataFrame(
    {
        "method": ["a"] * 4 + ["b"],
        "seed": [0, 0, 1, 1, 0],
        "epoch": [4, 2, 2, 4, 2],
        "kNN": [0.5, 0.75, 0.25, 0.5, 0.5],
    }
)
found = flattered(toy)
assert found["a"] == 0.125, f"seed 0 gains .25, seed 1 nothing: {found['a']}"
assert found["b"] == 0, "a run with one look has nothing to choose from"

# %% tags=["hidden", "remove-cell"]
assert flattered(toy.rename(columns={"kNN": "x"}), "x")["a"] == 0.125
later = toy.assign(kNN=[0.5, 0.75, 0.25, 1.0, 0.5])
assert flattered(later)["a"] == 0.125, "beside the last epoch, not the first"
assert (flattered(results) >= 0).all()

# %% [markdown]
# ## References
#
# - A. Krizhevsky. *Learning Multiple Layers of Features from Tiny Images.* 2009.
# - V. G. Turrisi da Costa et al. *solo-learn: A Library of Self-supervised Methods for Visual Representation Learning.*
#   JMLR 23, 2022. [arXiv:2108.01775](https://arxiv.org/abs/2108.01775)
# - I. Susmelj et al. *Lightly: a library for self-supervised learning on images.* 2020.
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

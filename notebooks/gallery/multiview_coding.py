# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Contrastive multiview coding: what the senses agree on
#
# *If several sensors look at one scene, is it enough to learn what they agree on, and do more of them help?*
#
# Light and colour, a photograph and a silhouette, two sides of a cup: views of one scene. Contrastive multiview coding
# ([Tian et al. 2019](https://arxiv.org/abs/1906.05849)) gives each sensor an encoder, and asks which of many views belongs
# to the same scene. What only one sensor sees, its noise say, is of no use for that; so the code keeps what views share.
#
# **You will learn**
# - the loss for two views and for many, and its older rival: to predict one view from another,
# - views whose shared information is known in nats, made and real, and what the code of one view then holds,
# - to ask InfoMin's question of photographs: how much should views share?
#
# **You need** `theory/infonce_bound`, its first half, and the theorem of `theory/known_truth_pairs`.
#
# **Time:** 12 minutes to read; about 15 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
studies = "synthetic,digits"  # what is run; colour needs CIFAR-10, the last three need ETH-80
# [some of synthetic, digits, colour, masks, turns, infomin, or all]
steps = 200  # training steps of two views; J views take 2 / J of them, so all see as many images
# [8 or more]
batch_size = 128  # scenes a step; all but one are negatives [2 or more]
lr = 2e-3  # the largest learning rate [above 0]
temperature = 0.2  # τ [above 0]
max_images = 10000  # of CIFAR-10, to train on, and to test [10 or more]
seed = 0  # of weights, batches, views; of ETH-80's objects to test [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time
from functools import partial
from itertools import combinations
from operator import call

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

import mdlib
from mdlib import data, sweep
from mdlib.data import copies, eth80
from mdlib.devices import pick_device
from mdlib.evaluation import probes
from mdlib.figures import plots, tables
from mdlib.nets.layers import MLPDecoder, MLPEncoder
from mdlib.notebook import provenance
from mdlib.registry import random_stream, seeded
from mdlib.views import Views

plots.theme()
started = time.time()
device = pick_device(device)

# %% [markdown]
# ## The equation
#
# Let $z^i_b$ be the code of view $i$ of scene $b$, of length 1, and $S_{bc} = z^i_b \cdot z^j_c / \tau$. Two views of $B$
# scenes are contrasted both ways, and of $J$ views each pair (the *full graph*):
#
# $$ \ell_{ij} = -\frac1B \sum_b \log \frac{e^{S_{bb}}}{\sum_c e^{S_{bc}}}, \qquad
#    L = \sum_{i < j} \ell_{ij} + \ell_{ji}. \tag{1} $$
#
# On average $\log B - \ell_{ij}$ is at most $I(v^i; v^j)$: InfoNCE's bound. The released code has thousands of negatives
# from a memory bank; here they are the rest of the batch. The rival, *cross-view prediction*, decodes all other views from
# the map $m^i$ of view $i$, with the loss $\sum_i \lVert d(m^i) - v^{-i} \rVert^2$ a pixel.
#
# ## The method
#
# Each sensor has a network: a map, a code (the map at low resolution), a *head* on the code, whose output is contrasted,
# and a decoder for the rival. Views of one sensor share one.


# %%
def contrast(a, b):
    """ℓ of (1), both ways, of codes [B, D] of two views, in nats."""
    S = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / temperature
    scene = torch.arange(len(S), device=S.device)
    return F.cross_entropy(S, scene) + F.cross_entropy(S.T, scene)


def full_graph(codes):
    """L of (1), of a list of J views' codes [B, D]."""
    return sum(contrast(a, b) for a, b in combinations(codes, 2))


@torch.no_grad()
def reached(nets, views):
    """The bound log B − ℓ on new views, mean over pairs, in nats."""
    codes = [net.head(net.code(v)) for net, v in zip(nets, views, strict=True)]
    ways = len(views) * (len(views) - 1)
    return math.log(len(views[0])) - full_graph(codes).item() / ways


# %%
def layer(channels, width, kernel, stride):
    conv = nn.Conv2d(channels, width, kernel, stride, padding=kernel % 2)
    norm = nn.BatchNorm2d(width, track_running_stats=False)  # by what it sees
    return nn.Sequential(conv, norm, nn.ReLU())


class Sensor(nn.Module):
    """For views [B, *shape]; decodes the rest [B, *rest]."""

    def __init__(self, shape, rest):
        super().__init__()
        if shape[1] < 32:  # vectors, and quarters of digits
            size, dim = 128, 16
            self.map = MLPEncoder(shape, size, hidden=(128,))
            self.decode = MLPDecoder(rest, size, hidden=(128,))
        else:  # 32 × 32 pixels, of which the map is 4 × 4
            size, dim = 512, 64
            first = layer(shape[0], 32, 4, 4), layer(32, 64, 3, 2)
            self.map = nn.Sequential(*first, layer(64, 128, 3, 1))
            up = nn.ConvTranspose2d(128, 32, 4, stride=2, padding=1)
            last = nn.Conv2d(32, 16 * rest[0], 3, padding=1)
            self.decode = nn.Sequential(up, nn.ReLU(), last, nn.PixelShuffle(4))
        self.head = nn.Linear(size, dim)

    def code(self, view):
        m = self.map(view)
        return m if m.ndim == 2 else F.adaptive_avg_pool2d(m, 2).flatten(1)


# %%
def learn(look, sensors, steps, predict=False):
    """A network for each view that `look()` gives; `sensors` of them differ."""
    nets, shapes = [], [v.shape[1:] for v in look()]
    total = sum(c for c, *_ in shapes)
    with seeded(seed):
        for c, *side in shapes[:sensors]:
            nets.append(Sensor((c, *side), (total - c, *side)).to(device))
    adam = torch.optim.AdamW(nn.ModuleList(nets).parameters(), lr=lr)
    anneal = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(steps, 1))
    nets = [nets[j % sensors] for j in range(len(shapes))]
    for _ in range(steps):
        views = look()
        both = list(zip(nets, views, strict=True))
        if predict:
            made = [net.decode(net.map(v)) for net, v in both]
            rest = [views[:j] + views[j + 1 :] for j in range(len(views))]
            loss = sum(map(F.mse_loss, made, map(torch.hstack, rest)))
        else:
            loss = full_graph([net.head(net.code(v)) for net, v in both])
        adam.zero_grad()
        loss.backward()
        adam.step()
        anneal.step()
    return nets


# %% [markdown]
# ## Made views: what they share is known
#
# A scene is eight numbers $s_k \sim \mathcal N(0, 1)$. A sensor has copies $s_k + \sigma \epsilon$ of some of them, each
# with noise of its own, and eight numbers that no one else sees. It shows them through an invertible map. View 1 holds all
# of $s$; views 2, 3 and 4 hold $\{s_0, s_1, s_2\}$, $\{s_3, s_4, s_5\}$ and $\{s_6, s_7, s_0\}$.
#
# ```{prf:theorem} What noisy copies share
# :label: thm-cmc-copies
#
# If $n_k$ other views hold copies of $s_k$, then, over all $k$ with $n_k > 0$,
# $$ I(v^1; v^2, \dots, v^J) = -\frac12 \sum_k \log\Big(1 - \frac{1}{(1 + \sigma^2)(1 + \sigma^2 / n_k)}\Big). $$
# ```
#
# ```{prf:proof}
# Invertible maps change no information, private numbers add none, and the $s_k$ are independent: so it is a sum over $k$.
# All that $n$ copies tell of $s_k$ is in their mean, of variance $1 + \sigma^2 / n$. Two Gaussians of correlation $\rho$
# have $I = -\frac12 \log(1 - \rho^2)$, and here $\rho^2 = 1 / (1 + \sigma^2)(1 + \sigma^2 / n)$.
# ```


# %% tags=["theorem:copies"]
def known(J):
    """I of the theorem for view 1 and the J − 1 others, in nats."""
    held = [k for others in copies.HELD[1:J] for k in others]
    v, n = copies.SIGMA**2, [held.count(k) for k in set(held)]
    return -sum(math.log1p(-1 / (1 + v) / (1 + v / m)) for m in n) / 2


for J in (2, 3, 4):
    of = F.one_hot(torch.tensor(sum(copies.HELD[:J], ()))).double()
    joint = of @ of.T + copies.SIGMA**2 * torch.eye(len(of)).double()
    parts = joint[:8, :8].logdet() + joint[8:, 8:].logdet()
    assert abs((parts - joint.logdet()) / 2 - known(J)) < 1e-9, J


# %%
def synthetic():
    """R² of s by what view 1's head says: of what others hold, and the rest."""
    for J in (2, 3, 4):
        scenes, read = copies.Scenes(J, seed, device), []

        def look(scenes=scenes):
            return scenes(batch_size)[0]

        nets = learn(look, J, 2 * steps // J)
        for (seen, *_), s in (scenes(5000), scenes(2000)):
            read += [F.normalize(nets[0].head(nets[0].code(seen))).detach(), s]
        r2 = probes.ridge(*read, seed=seed).per_target
        others = torch.tensor(sum(copies.HELD[1:J], ()))
        held = torch.isin(torch.arange(8), others)
        row = {"R²": r2, "R² held": r2[held], "R² rest": r2[~held]}
        row = {name: values.mean().item() for name, values in row.items()}
        yield {"arm": f"{J} views", "nats shared": known(J)} | row


# %% [markdown]
# ## Real views
#
# - **digits**: the four quarters of a digit, with noise;
# - **colour**: luminance and colour of CIFAR-10 (as JPEG files, whose colour is coarser than their luminance);
# - **masks**: a photograph and the silhouette of its object. ETH-80 has 80 objects in 8 categories, seen from 41 sides.
#   The seed deals each category's objects into five to train on and five to test;
# - **turns**: 2, 4 or 8 of the sides of an object, by one network.
#
# **InfoMin's question.** [Tian et al. 2020](https://arxiv.org/abs/2005.10243) advise views that share what the task
# needs, and nothing more. Here partners are drawn from a *block* of photographs: the same one (cropped twice), four
# neighbours on a round of 16 sides, an object, a category, two categories. They are independent given the block, and a photograph
# tells its block: so by {prf:ref}`thm-same-class` two from this finite list share exactly the logarithm of the number of
# blocks. (Crops can only lessen it.) The task, the category, asks for $\log 8 = 2.08$ nats. Blocks of categories use labels.


# %%
def ycbcr(x):
    """RGB [N, 3, H, W] in [0, 1] → luminance and two of colour (JPEG's)."""
    r, g, b = x.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return torch.stack([y, 0.5 + (b - y) / 1.772, 0.5 + (r - y) / 1.402], 1)


def quarters(x):
    """Digits [N, 1, 8, 8] → [N, 4, 4, 4]."""
    return x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(1, 3)


def both(name, **limits):
    return (data.load(name, split, **limits) for split in ("train", "test"))


def images(parts, change=lambda x: x):
    """x [N, C, H, W], in [0, 1] and changed, and y; to train on and to test."""
    for part in parts:
        yield change(part.images.float() / 255).to(device)
        yield part.labels.to(device)


# %%
def scene_views(x, batch, law, sizes, block, J, draw):
    """J images of a block of consecutive ones, each cut into its sensors."""
    chosen = partial(torch.randint, generator=draw, device=device)
    first = block * chosen(len(x) // block, (batch, 1))
    rows = (first + chosen(block, (batch, J))).flatten()
    seen = law(x[rows], 1, draw)[0].unflatten(0, (batch, J))
    return [v for j in range(J) for v in seen[:, j, 0].split(sizes, 1)]


def pixels(view):
    return F.adaptive_avg_pool2d(view, min(8, view.shape[3])).flatten(1)


def compare(parts, law, sizes, arms):
    """A row an arm: its codes' accuracy. Sensors have `sizes` channels."""
    x, y, new, y_new = parts
    x, new = x[:, : sum(sizes)], new[:, : sum(sizes)]
    common = {"law": law, "sizes": sizes, "draw": random_stream(seed, device)}
    for arm, (options, block, J) in {"pixels": (None, 1, 1), **arms}.items():
        row, codes = {"arm": arm}, [pixels] * len(sizes)
        if options is not None:
            look = partial(scene_views, block=block, J=J, **common)
            options = {"steps": 2 * steps // J // len(sizes)} | options
            nets = learn(partial(look, x, batch_size), len(sizes), **options)
            row["nats shared"] = math.log(len(x) // block) if J > 1 else None
            row["nats reached"] = reached(nets, look(new, 1000))
            codes = [net.code for net in nets[: len(sizes)]]
        with torch.no_grad():
            cut = (part.split(sizes, 1) for part in (x, new))
            z, z_new = ([*map(call, codes, views)] for views in cut)
        for n, name in {1: "first alone", len(sizes): "accuracy"}.items():
            read = torch.hstack(z[:n]), y, torch.hstack(z_new[:n]), y_new
            found = probes.linear(*read, penalties=(1e-2,), tol=1e-3, seed=seed)
            row[name] = found.score
        yield row


# %%
# arm: options of learn, size of its blocks, images of a scene
SENSORS = {"untrained": ({"steps": 0}, 1, 1), "contrast": ({}, 1, 1),
           "prediction": ({"predict": True}, 1, 1)}  # fmt: skip
TURNS = {"untrained": ({"steps": 0}, 41, 2), "2 views": ({}, 41, 2),
         "4 views": ({}, 41, 4), "8 views": ({}, 41, 8)}  # fmt: skip
BLOCKS = {"photograph": 1, "4 sides": 4, "object": 16, "category": 80,
          "two categories": 160}  # fmt: skip
INFOMIN = {arm: ({}, block, 2) for arm, block in BLOCKS.items()}
CROP = Views(crop=(0.5, 1.0))
OBJECTS = partial(eth80.halves, seed, 32)
STUDIES = {
    "synthetic": synthetic,
    "digits": lambda: compare(
        images(both("digits", size=8), quarters), Views(noise=0.25), [1] * 4, SENSORS),
    "colour": lambda: compare(
        images(both("cifar10", max_images=max_images), ycbcr), CROP, [1, 2], SENSORS),
    "masks": lambda: compare(images(OBJECTS()), CROP, [3, 1], SENSORS),
    "turns": lambda: compare(images(OBJECTS()), CROP, [3], TURNS),
    "infomin": lambda: compare(images(OBJECTS(eth80.ROUND)), CROP, [3], INFOMIN),
}  # fmt: skip
rows = []
names = STUDIES if studies == "all" else studies.split(",")
for study in map(str.strip, names):
    try:
        rows += [{"study": study, "seed": seed} | r for r in STUDIES[study]()]
    except FileNotFoundError as missing:
        print(f"The study {study} is left out. {missing}")
if not rows:
    raise FileNotFoundError(f"no files for any of {studies}, see above")
numbers = ["nats shared", "nats reached", "accuracy", "first alone"]
numbers += ["R²", "R² held", "R² rest"]
results = pd.DataFrame(rows, columns=["study", "arm", *numbers, "seed"])
results = results.astype(dict.fromkeys(numbers, float))
mdlib.record(out, results.astype(object).where(results.notna(), None))
results.set_index(["study", "arm"]).drop(columns="seed").round(3)

# %% [markdown]
# *Table 1. This run, one seed. "accuracy": of the class, by a linear probe on the codes of all sensors; "first alone": on
# the first one's (a quarter, luminance, the photograph). Tested are images, of ETH-80 objects, that were not trained on.
# "nats shared": known, as above. "nats reached": the bound of (1) on new pairs, at most $\log 1000 = 6.9$; it says what
# this network finds in others, not what is there, and nothing where the head was not trained (untrained, prediction).
# "pixels" are of 8 × 8 at most.*
#
# ## The claims, and the sweep's verdicts
#
# Written in `notebooks/sweeps/gallery_multiview_coding.yaml` before the sweep ran, with fresh seeds. Most are the papers';
# pilots had led us to doubt most of those on ETH-80, where pixels won.

# %% tags=["hide-input", "reads-rows"]
mine = "gallery_multiview_coding"
sweep.show_claims(mine)

# %% [markdown]
# *Figure 1 and Table 2. Each claim with its interval (95 %, Student's, paired by seed) and its verdict.*

# %% tags=["picture", "hide-input", "reads-rows"]
swept = sweep.read_csv(mine)
source = swept if len(swept) else results
mean = source.groupby(["study", "arm"], sort=False).mean(numeric_only=True)
_, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
made, real = (mean[mean.index.isin([s], 0)] for s in ("synthetic", "infomin"))
for column in ("R² held", "R²", "R² rest"):
    left.plot(made["nats shared"], made[column], "o-", label=column)
left.set(xlabel="nats that view 1 shares", ylabel="R² from its code")
for (_, arm), row in real.iterrows():
    if arm == "pixels":
        right.axhline(row["accuracy"], color="0.6", label=arm)
    else:
        right.plot(row["nats shared"], row["accuracy"], "o", color="#0173b2")
        right.annotate(f" {arm}", row[["nats shared", "accuracy"]], fontsize=6)
right.axvline(math.log(8), color="#d55e00", label="what the task asks")
right.set(xlabel="nats that partners share", ylabel="accuracy")
for axis in (left, right):
    axis.legend(fontsize=6)

# %% [markdown]
# *Figure 2. The figure to remember. Left: made views, 2 to 4 of them. What others hold is in view 1's code; what none holds
# is mostly lost. Right: photographs of unseen objects, by what partners share in training. Means over the sweep's seeds (of
# this run, where there is none; empty, where a study did not run).*

# %% tags=["hide-input", "reads-rows"]
by = ["study", "arm"]
tables.mean_std(source[results.columns], by, best=["accuracy"])

# %% [markdown]
# *Table 3. The same rows, mean ± standard deviation over n seeds. Bold: of each study the best accuracy, and what these seeds
# cannot tell from it.*
#
# What the sweep of five seeds says:
#
# - **Made views: what others hold is learned, and more sensors make more of it held.** Each further view lets view 1's code
#   tell more of the scene (+.23, then +.18). What no other view holds is mostly lost: whether below .15 is undecided.
# - **Colour and digits: contrast learns, and leads prediction by little.** The code of one quarter of a digit is ahead of
#   prediction's and of an untrained one (+.02, +.03); all four together have .98 by contrast and by prediction. Of colours
#   it is .04 above an untrained network, less than the .05 that was claimed (it fails), and whether it leads prediction by
#   .02 is undecided. Two codes tell .10 more than luminance alone, but of untrained networks .11: contrast has no part in
#   it.
# - **ETH-80: no network is shown ahead of pixels.** Of photographs and masks, and of two, four or eight sides, no network
#   is shown to be better than an untrained one; pixels of 8 × 8 are .08 above eight sides. Of sides, more training than the
#   pilot's (51 200 images in each arm, not 9 600 to 30 720) did not change that. That more sides help is undecided.
# - **InfoMin's question: no optimum is shown.** Partners of one category, which share what the task asks for, lead those of one
#   object, which share more, by .05, but [−.00, .11]; to share less costs .01, undecided. Pixels are above all of them.
#
# ## What this does not show
#
# - **The paper's sizes.** Small networks, minutes of training, 127 or 255 negatives. None of its numbers is repeated.
# - **Other objects.** Each seed deals the same 80 objects anew. Intervals over seeds say nothing of a ninth category, and
#   the splits overlap, so that they are too narrow for other objects of these eight.
# - **The best rival.** The decoder was built once, to cost about what contrast does, and not tuned.
# - **That information is quality.** Nats shared are of *pairs drawn from the list of training photographs*, and known only
#   because of how pairs are drawn. Blocks differ in more than this number: in what is shared, and in whether labels chose
#   the partners.
# - **More sides at equal steps.** All arms of *turns* see as many images. So eight sides have 50 steps, two have 200.
# - **Probes of single images.** The networks' batch norm takes its statistics from all images that it codes at once.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** A code knows nothing, and all $S_{bc}$ are equal. What is $L$ of (1), for $J$ views of
# $B$ scenes? Write `nothing(B, J)`, in nats. What would a perfect code of scenes that are told apart with certainty have, as
# $\tau \to 0$?
#
# <details><summary>Hint</summary>
#
# One of $B$ candidates is as likely as another. How many ordered pairs of views are there?
#
# </details>


# %% tags=["solution", "hide-input"]
def nothing(B, J):
    """→ nats, 0 or more."""
    return J * (J - 1) * math.log(B)  # each ordered pair a fair draw of B


# %% tags=["check"]
for B, J in [(4, 2), (16, 3)]:
    same = [torch.ones(B, 5) for _ in range(J)]
    assert abs(nothing(B, J) - full_graph(same).item()) < 1e-3, (
        f"B = {B}, J = {J}: {nothing(B, J):.4f}, (1) says otherwise"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(nothing(1, 3)) < 1e-12, "of a single scene nothing is to be told"
assert abs(nothing(7, 4) - 12 * math.log(7)) < 1e-9, "12 ordered pairs"

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** The paper has a cheaper loss beside the full graph, the *core*
# view: view 1 is contrasted with each other one, and those never with each other. Write `core(codes)`. In the synthetic
# study, what does the code of view 1 lose? And that of view 2?
#
# <details><summary>Hint</summary>
#
# $J - 1$ terms of `contrast`. View 2 shares one number with view 4, which view 1 has as well.
#
# </details>


# %% tags=["solution", "hide-input"]
def core(codes):
    """A list of J views' codes [B, D] → nats; the first is the core."""
    return sum(contrast(codes[0], other) for other in codes[1:])


# %% tags=["check"]
made = list(torch.randn(4, 9, 5, generator=random_stream(seed)))
assert abs(core(made[:2]) - full_graph(made[:2])) < 1e-5, "two views: no choice"
rest = full_graph(made[1:])
assert abs(core(made) + rest - full_graph(made)) < 1e-4, (
    "the full graph is the core and the graph of all others"
)

# %% tags=["hidden", "remove-cell"]
other = [made[0], made[2], made[1], made[3]]
assert abs(core(other) - core(made)) < 1e-5, "the others have no order"

# %% [markdown]
# ## References
#
# - Y. Tian, D. Krishnan, P. Isola. *Contrastive Multiview Coding.* ECCV 2020.
#   [arXiv:1906.05849](https://arxiv.org/abs/1906.05849)
# - Y. Tian, C. Sun, B. Poole and others. *What Makes for Good Views for Contrastive Learning?* NeurIPS 2020.
#   [arXiv:2005.10243](https://arxiv.org/abs/2005.10243)
# - B. Leibe, B. Schiele. *Analyzing Appearance and Contour Based Methods for Object Categorization.* CVPR 2003. (ETH-80)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Block identifiability, measured
#
# *Where all factors are known: does a loss on pairs find all of content and nothing of style, and does style mean the same on
# every content, which no loss on pairs can see?*
#
# In other chapters a view is an image that was cropped or painted. Here it is *another image*: one with the same content
# factors and new style factors. Nothing is distorted, all is known, and a theorem speaks: a code that agrees between views and
# is otherwise spread out holds all of content and nothing of style. Of a style part it says nothing. From pairs, the style
# on a square and the style on a triangle could be two codes that have nothing to do with each other
# (`theory/style_identifiability`): one is free to be turned against the other.
#
# **You will learn**
# - what a contrastive loss identifies, with a proof and a hypothesis that is easily forgotten,
# - how far finite training on images stays behind,
# - why BYOL's agreement is not enough,
# - how to measure a style part that means different things on different contents, which pairs cannot tell.
#
# **You need** `theory/style_identifiability`, `experiments/partitioned` for the methods.
#
# **Time:** 20 minutes to read; about 25 seconds to run on one CPU core.
# The sweeps behind the figures are run by `experiments/partitioned`.

# %% tags=["parameters", "hide-input"]
dataset = "sprites"  # or scenes
# [one of sprites, scenes]
size = 16  # side of the images in pixels; 0 leaves them as they are [0 or more]
variants = "repel,shared_contrast"  # what is trained here, with parts
# [some of two_heads, none, repel_predicted, repel,
# orthogonal, shared, shared_contrast]
seed = 0  # of everything that is drawn [seed]
steps = 200  # training steps of each [1 or more]
batch_size = 64  # images a step, two views of each
# [2 or more, a multiple of 2]
latent_dim = 64  # size of the code [2 or more]
style_dim = 16  # of which style [1 or more, below latent_dim]
max_images = 5000  # at most so many training images [100 or more]
probe_views = 900  # views that readers learn from; half as many test them
# [200 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from scipy import stats

import mdlib
from mdlib import data, sweep
from mdlib.data import scenes, sprites
from mdlib.devices import pick_device
from mdlib.evaluation import probes, protocol
from mdlib.figures import plots
from mdlib.methods import create
from mdlib.methods.style_terms import repulsion
from mdlib.methods.variants import TITLES, VARIANTS
from mdlib.notebook import provenance
from mdlib.training import SampleViews, fit
from mdlib.views import Redrawn

plots.theme()
started = time.time()
device = pick_device(device)
chosen = variants.replace(" ", "").split(",")
draw = torch.Generator().manual_seed(seed)
LABELS = plots.LABELS | TITLES

# %% [markdown]
# ## Views that are other images

# %% tags=["hide-input"]
GRIDS = {"sprites": sprites, "scenes": scenes}
STYLE = {
    "sprites": ["x", "y"],
    "scenes": ["floor_hue", "wall_hue", "orientation"],
}
grid = data.load(dataset, "all", size=size or None).to(device)
train = data.load(dataset, size=size or None).sample(max_images).to(device)
test = data.load(dataset, "test", size=size or None).to(device)
law = Redrawn(grid, STYLE[dataset])
shared_law = Redrawn(grid, STYLE[dataset], shared=True)

generator = torch.Generator(device).manual_seed(seed)
views, _ = law(train.factors[:8], 3, generator)
sheet = torch.cat([train.images[:8, None].float() / 255, views], 1)
plots.image_grid(
    sheet.transpose(0, 1), row_labels=["image", "view 1", "view 2", "view 3"]
)

# %% [markdown]
# *Figure 1. Images, and three views of each: the content factors are kept, the style factors drawn anew.*
#
# Let content $c$ be what the views of a pair share, and style $s$ what is drawn anew. Von Kügelgen et al. (2021) prove that
# codes which agree between views, with an entropy as large as can be, know all of content, and of style no more than content
# tells. A case that fits half a page:
#
# ```{prf:theorem} Content is found as a block
# :label: thm-id-blocks
#
# Let $c \in S^{D-1}$, $D \ge 3$, have a smooth density $p > 0$; given $c$, let $s, s^+ \in \mathbb{R}^q$ be drawn
# independently with a positive density; let $x = g(c, s)$, $x^+ = g(c, s^+)$, $g$ injective and smooth with a smooth
# inverse. Let $K \to \infty$, scores be cosines over any $\tau$, and $h = f \circ g$ be $C^1$ into $S^{D-1}$. The loss is
# least if and only if $h$ is a function of $c$ alone with a uniform law. Then $c \mapsto h(c)$ is a diffeomorphism.
# ```
#
# ```{prf:proof}
# The loss is $-\mathbb{E}[h \cdot h^+]/\tau + \mathbb{E} \log \mathbb{E}\, e^{h \cdot h'/\tau}$. The first term is at
# least $-1/\tau$, with equality if $h(c, s) = h(c, s^+)$ almost surely, so by continuity everywhere; the second is least
# for uniform codes ({prf:ref}`lem-id-uniform`). Both can be had, since a diffeomorphism carries $p$ to the uniform law
# (Moser).
#
# Now let $h(c)$ be uniform. By the area formula $1 = \sum_{h(c) = v} p(c) / |\det Dh(c)|$ for almost every $v$, so
# $|\det Dh(c)| \ge p(c)$, for almost every $c$ and by continuity for all. So $h$ is locally invertible; on a compact
# space it is then a covering; the sphere of dimension $D - 1 \ge 2$ is simply connected, so it has one sheet.
# ```
#
# The paper lets content and code lie in $\mathbb{R}^{n_c}$ and $(0, 1)^{n_c}$, and maximises alignment plus entropy
# (Theorem 4.4). The last step then rests on a proposition of [Zimmermann et al. 2021](https://arxiv.org/abs/2102.08850):
# a differentiable map between simply connected manifolds that takes a positive density to a positive density is a
# bijection. *Without compactness, or some condition at infinity, it is not:*
#
# ```{prf:example} Round and round
# :label: ex-id-round
#
# Let $c = (\log R, \theta + G)$, independent: $R$ the length of a standard normal vector of the plane, $\theta$ uniform on
# $[0, 2\pi]$, $G$ normal. Its density on $\mathbb{R}^2$ is smooth and positive. Let $\Phi$ be the normal distribution
# function and
#
# $$ h(c) = \big(\Phi(e^{c_1} \cos c_2),\; \Phi(e^{c_1} \sin c_2)\big). \tag{1} $$
#
# $h$ is smooth with invertible Jacobian and ignores style, and $h(c)$ is uniform on $(0, 1)^2$, of greatest entropy. Yet
# $h(c_1, c_2) = h(c_1, c_2 + 2\pi)$: turns are lost.
# ```

# %% tags=["theorem:round"]
N = 20_000
length = torch.randn(N, 2, generator=draw).double().norm(dim=1)
theta = 2 * math.pi * torch.rand(N, generator=draw).double()
c = torch.stack([length.log(), theta + torch.randn(N, generator=draw)], 1)


def round_and_round(c):
    plane = torch.stack([c[:, 1].cos(), c[:, 1].sin()], 1)
    return torch.special.ndtr(c[:, :1].exp() * plane)


u = round_and_round(c)
more = torch.tensor([0, 2 * math.pi], dtype=torch.float64)
assert (round_and_round(c + more) - u).abs().max() < 1e-9  # not injective
cells = torch.histogramdd(u.float(), bins=8, range=[0, 1, 0, 1]).hist
p = stats.chisquare(cells.flatten()).pvalue
assert p > 1e-5, p  # uniform on the square
f"Uniform in 64 cells? p of a χ² test: {p:.2f}"

# %% [markdown]
# InfoNCE asks for agreement and entropy in the limit of many negatives: its uniformity is the entropy. BYOL has no such
# term. Both speak of what the loss sees, behind the projector: $z_c$.
#
# ## What content is found?
#
# Every factor is read by nearest neighbours, for the theorem allows any invertible map; of the shape a linear probe tells
# the accuracy above chance. Five seeds; `experiments/partitioned` ran them, as `partitioned_sprites` and
# `partitioned_scenes`.

# %% tags=["hide-input"]
ORDER = ["infonce", "byol", "repel", "shared_contrast", "partitioned_vae", "untrained byol"]  # fmt: skip
PARTS = ["c", "s", "z c", "z s"]
kept = {on: sweep.read_csv(f"partitioned_{on}") for on in GRIDS}


def factor_heat(on):
    """R² of each factor (rows) from each part (columns), a panel a method."""
    rows, names = kept[on], GRIDS[on].FACTOR_NAMES
    names = [n for n in names if n not in STYLE[on]] + STYLE[on]
    there = [m for m in ORDER if m in set(rows["method"])]
    height = -(-len(there) // 3)
    _, axes = plt.subplots(height, 3, figsize=(7, 1.9 * height))
    for axis in axes.flat[len(there) :]:
        axis.set_axis_off()
    for i, (axis, name) in enumerate(zip(axes.flat, there, strict=False)):
        mean = rows[rows["method"] == name].mean(numeric_only=True)
        asked = {p: [mean.get(f"{n}, {p}") for n in names] for p in PARTS}
        heat = pd.DataFrame(asked, index=names).dropna(axis=1)
        sns.heatmap(
            heat, ax=axis, vmin=0, vmax=1, cmap="viridis", cbar=False,
            annot=True, fmt=".2f", annot_kws={"size": 6.5},
            yticklabels=i % 3 == 0,
        )  # fmt: skip
        axis.axhline(len(names) - len(STYLE[on]), color="w", lw=2)
        axis.tick_params(labelsize=7, length=0, rotation=0)
        axis.set_title(LABELS[name], fontsize=8)
    plt.show()


factor_heat("sprites")

# %% [markdown]
# *Figure 2. Sprites: $R^2$ for each factor, from each part at the encoder (c, s) and behind the projectors (z c, z s). Mean
# over seeds. Below the white line: the style factors. The prediction for the column z c of InfoNCE: 1 above the line, 0
# below it.*

# %% tags=["hide-input"]
factor_heat("scenes")

# %% [markdown]
# *Figure 3. The same for scenes.*
#
# **InfoNCE** comes close to the prediction for content: all of it on scenes; on sprites shape and size, and of the
# orientation a part, for that is seen last. Of style, the place of a sprite and the hue of the floor are nearly gone,
# where an untrained encoder has the place in full (in four of five seeds; the fifth keeps some of it). The hue of the
# wall and the camera are not: the prediction is for the loss's minimum, and no finite training is there.
#
# **BYOL** agrees on the size of a sprite and on little else. That is agreement, too: to spread codes out, the theorem's other
# half, is nothing that its loss asks for, and no style term makes up for that.

# %% tags=["hide-input"]
judged = pd.concat(sweep.claims(f"partitioned_{on}") for on in GRIDS)
plots.claims(judged)

# %% [markdown]
# *Figure 4. The claims of the two sweeps. "blocks": InfoNCE's $z_c$ tells the shape (content: .95 of what is above chance),
# and less than a tenth of style (style). Written after these seeds were seen, which the diamonds say.*
#
# So on both data sets *the shape is found*, and *style is out* on neither: undecided on sprites, and it fails on scenes.
#
# ## What style is found?
#
# Of the style part the theorem says nothing. **Contrast between images of the same view** makes the cleanest that we have
# seen: on scenes it knows all three style factors in full, and of content next to nothing, and the content part beside it
# does not lose the camera in return. The **partitioned VAE** moves style into $s$ entirely, and on scenes most of it out of
# $c$; but part of an object's size follows it, and shape, a matter of few pixels, is poor in both parts.
#
# Does $s$ alone say what the style is? Or only together with the content? A code is complete that adds nothing to its
# style part:

# %% tags=["hide-input"]
for on, rows in kept.items():
    plots.parts(
        rows, STYLE[on], ORDER[2:], {"s": "style part", "both": "both parts"}, LABELS
    )  # fmt: skip
    plt.show()

# %% [markdown]
# *Figure 5. $R^2$ of the style factors, from the style part alone and from the whole code: sprites, then scenes. Mean ± one
# standard deviation over seeds.*
#
# Of contrast and of the VAE the style part alone says it, and better than the whole code, in which neighbours are led
# astray by content. Of repel on sprites, the whole code has a little more. But a reader that is shown all contents can
# learn a different rule for each. So there is a harder question.
#
# ## What no loss on pairs can see
#
# {prf:ref}`pl-twist` says: turn the style codes of squares by one rotation, and those of triangles by another. Both views
# of an image are turned alike, so repel, and every loss of the cosines within pairs, is as it was. Swaps between images are wrong. To see
# it one has to compare **contents**: learn to read style on some shapes, and read it on the one that was left out.
#
# $$ \text{gap} = R^2(\text{learned on this content}) - R^2(\text{learned on other contents}) \tag{2} $$
#
# is near 0 where style means the same everywhere. Let us train two methods briefly, and ask it of the untrained encoder,
# of each method, and of each method *twisted by hand*. Style is read where its loss acts, behind the projector ($z_s$).


# %%
def build(name):
    kind, options = VARIANTS[name]
    return create(
        kind, image_shape=train.image_shape, latent_dim=latent_dim,
        style_dim=style_dim, arch="mlp-small", seed=seed, **options,
    ).to(device)  # fmt: skip


models = {"untrained": build(chosen[0])}
for name in chosen:
    models[name] = build(name)
    of = shared_law if "shared" in name else law
    fit(
        models[name], SampleViews(train.factors, of), steps=steps, lr=1e-3,
        batch_size=batch_size, seed=seed, device=device, progress=False,
    )  # fmt: skip

# %%
draw = torch.Generator(device).manual_seed(100 + seed)
n = probe_views + probe_views // 2
rows_ = torch.randint(len(test), (n,), generator=draw, device=device)
pairs, drawn = law(test.factors[rows_], 2, draw)  # two views of each image
content = test.labels[rows_]  # the shape
truth = torch.stack([drawn[name][:, 0, 0] for name in STYLE[dataset]], 1)
contents = content.unique().tolist()
taught = 2 * probe_views // 3 // len(contents)  # views of a content that teach


def styles_of(method):
    """z_s of both views of each image, unit vectors [N, 2, D]."""
    codes = [
        protocol.levels(method, pairs[:, j], style_dim)["z s"] for j in (0, 1)
    ]
    return F.normalize(torch.stack(codes, 1), dim=-1)


def twisted(s, generator):
    """A rotation of its own for the styles of each content."""
    turned = s.clone()
    for k in contents:
        matrix = torch.randn(2 * [s.shape[-1]], generator=generator)
        turned[content == k] = s[content == k] @ torch.linalg.qr(matrix)[0].to(s)  # fmt: skip
    return turned


# %%
def read(learn, new, s):
    """R² of style from s, learned on the rows `learn`, of the rows `new`."""
    return probes.knn_regression(s[learn], truth[learn], s[new], truth[new]).score  # fmt: skip


def meaning(s):
    """R² on each content, learned on it and on the others from as many views."""
    own, other = [], []
    for k in contents:
        here = (content == k).nonzero()[:, 0]
        learn, new = here[:taught], here[taught:]
        rest = (content != k).nonzero()[:, 0][: len(learn)]
        own.append(read(learn, new, s))
        other.append(read(rest, new, s))
    mean = [sum(scores) / len(contents) for scores in (own, other)]
    return {"this content": mean[0], "other contents": mean[1]}


def pair_loss(s):
    """The repel term of the two views' styles."""
    return repulsion(s[:, 0], s[:, 1])


# %%
found, turn = [], torch.Generator().manual_seed(200 + seed)
for name, method in models.items():
    straight = styles_of(method)
    by_hand = twisted(straight, turn)
    torch.testing.assert_close(
        pair_loss(by_hand), pair_loss(straight), atol=1e-5, rtol=0
    )
    for how, s in (("as trained", straight), ("twisted by hand", by_hand)):
        row = {"method": name, "style": how, "seed": seed}
        row["repel"] = pair_loss(s).mean().item()
        found.append(row | meaning(s[:, 0]))
mdlib.record(out, found)
found = pd.DataFrame(found)
found["gap"] = found["this content"] - found["other contents"]
found.set_index(["method", "style"]).drop(columns="seed").round(3).rename(
    index=LABELS
)

# %% [markdown]
# *Table 1. This run: the repel term of pairs, $R^2$ of the style factors read from $z_s$ on one shape by a reader that
# learned on that shape or on the others, and the gap (2). One seed, a short training. The repel term is asserted to be
# equal, pair by pair, in the two rows of a method.*

# %% tags=["hide-input"]
long = found.melt(["method", "style"], ["this content", "other contents"], "reader", "R²")  # fmt: skip
wide = long.assign(panel=long["style"]).pivot(
    index=["method", "reader"], columns="panel", values="R²"
)
plots.dots(
    wide.reset_index(), ["as trained", "twisted by hand"], list(models),
    hue="reader", labels=LABELS,
)  # fmt: skip

# %% [markdown]
# *Figure 6. The same. Blue: the reader learned on other shapes. Orange: on the shape itself. Left: the codes as they were
# trained; right: turned, for each shape by a rotation of its own. No loss of the cosines within pairs tells left from right.*
#
# **What we read from it.** The twist by hand changes no pair and takes the reader of other shapes its $R^2$, so the gap
# sees what the losses do not. The trained codes have nothing like that gap. Nobody asked for that: an untrained encoder
# has it, too, and training did not spoil it. A smooth network has one place for "left" whatever stands there. That is a
# habit of networks and of these images, and no property of the loss on pairs. Contrast *between images* of the same view
# does ask for it.
#
# ## What this does not show
#
# - **How codes generalise.** A redrawn view may be *any* image of the grid, those of the test split included: all of them
#   are possible training views, and 15 % (sprites) and 13 % (scenes) of the views that a probe is tested on in Figures 2
#   and 3 are, pixel for pixel, among those it learned from. These $R^2$ say what the code distinguishes.
# - **The theorem's limit.** Factors on a grid are not smooth, batches are finite, and so is training.
# - **That twists are rare.** One seed, two losses, images in which style is a place. Where a content hides a style (the
#   hue of something grey) it may be otherwise.
# - **A test that needs no truth.** The gap needs the style factors. Swaps between images, judged by a classifier of views,
#   ask the same where there is a decoder (`experiments/partitioned`).
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** How many style codes are there that no pair can tell apart? Let style be one of $K$
# places on a circle, and let each of $C$ contents turn it by a whole number of places. Write `gauge(C, K)`: the number of
# such codes, if two codes that differ by one turn of *all* contents count as one.
#
# <details><summary>Hint</summary>
#
# Each content has $K$ turns. Fix that of the first.
#
# </details>


# %% tags=["solution", "hide-input"]
def gauge(C, K):
    """→ a number of codes, an int."""
    return K ** (C - 1)


# %% tags=["check"]
import itertools

for C, K in ((1, 5), (2, 3), (3, 4)):
    different = {
        tuple((turn_ - turns[0]) % K for turn_ in turns)
        for turns in itertools.product(range(K), repeat=C)
    }
    assert gauge(C, K) == len(different), f"gauge({C}, {K}) = {gauge(C, K)}"

# %% tags=["hidden", "remove-cell"]
assert gauge(4, 6) == 216 and gauge(1, 100) == 1

# %% [markdown]
# **2 (medium, 3 points, 25 minutes).** A milder twist: for each content, styles are *shifted*. Write
# `centred(s, content)`: styles [N, D] minus the mean of their content [N], plus the mean of all. Which twists does it undo
# without knowing the style factors: shifts, rotations? Why does it need styles that are drawn by one law for all contents?
#
# <details><summary>Hint</summary>
#
# `F.one_hot(content).T` times `s` has the sum of each content's styles, `content.bincount()` how many there are. Index the
# means by `content`.
#
# </details>


# %% tags=["solution", "hide-input"]
def centred(s, content):
    """s [N, D], content [N] → [N, D]."""
    means = F.one_hot(content).to(s).T @ s
    means = means / content.bincount()[:, None].clamp(min=1)
    return s - means[content] + s.mean(0)


# %% tags=["check"]
s = styles_of(models[chosen[-1]])[:, 0]
steps_aside = torch.randn(len(contents), s.shape[1]).to(s)
moved = s + steps_aside[content]
torch.testing.assert_close(
    centred(moved, content) - centred(moved, content).mean(0),
    centred(s, content) - centred(s, content).mean(0), atol=1e-4, rtol=0,
)  # fmt: skip
assert meaning(moved)["other contents"] < meaning(s)["other contents"], (
    "the moved code means the same for other contents"
)
undone = meaning(centred(moved, content))
{"shifted": meaning(moved), "centred": undone, "as trained": meaning(s)}

# %% tags=["hidden", "remove-cell"]
two = torch.tensor([0, 0, 1, 1])
x = torch.tensor([[0.0], [2], [10], [14]])
expected = torch.tensor([[5.5], [7.5], [4.5], [8.5]])
torch.testing.assert_close(centred(x, two), expected)
uneven = centred(torch.tensor([[0.0], [2], [4], [10]]), two.new([0, 0, 0, 1]))
torch.testing.assert_close(uneven, torch.tensor([[2.0], [4], [6], [4]]))

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Can style codes be *aligned* after training, without style
# factors? Two images with one style and different contents are enough. Write `aligned(s, t)`: the orthogonal matrix [D, D]
# (a rotation, perhaps with a reflection) that takes styles s [N, D] nearest to t [N, D], where row i of both has one style
# on two contents (the orthogonal Procrustes problem). How many such pairs does it take to close the gap of a code that was
# twisted by hand? And what does it do to one that was trained?
#
# <details><summary>Hint</summary>
#
# The rotation that maximises $\mathrm{tr}(R^\top s^\top t)$ is $U V^\top$, where $s^\top t = U \Sigma V^\top$.
#
# </details>


# %% tags=["solution", "hide-input"]
def aligned(s, t):
    """s [N, D] and t [N, D] → R [D, D], with s R near t."""
    U, _, Vh = torch.linalg.svd(s.T @ t)
    return U @ Vh


# %% tags=["check"]
draw = torch.Generator().manual_seed(5)
turn_back, _ = torch.linalg.qr(torch.randn(6, 6, generator=draw))
styles = torch.randn(40, 6, generator=draw)
R = aligned(styles @ turn_back.T, styles)
torch.testing.assert_close(R, turn_back, atol=1e-4, rtol=0)
torch.testing.assert_close(R.T @ R, torch.eye(6), atol=1e-5, rtol=0)

# %% tags=["hidden", "remove-cell"]
noisy = styles + 0.1 * torch.randn(40, 6, generator=draw)
R = aligned(noisy @ turn_back.T, styles)
torch.testing.assert_close(R.T @ R, torch.eye(6), atol=1e-5, rtol=0)
before = (noisy @ turn_back.T - styles).square().sum()
assert (noisy @ turn_back.T @ R - styles).square().sum() < 0.2 * before

# %% [markdown]
# ## References
#
# - J. von Kügelgen et al. *Self-Supervised Learning with Data Augmentations Provably Isolates Content from Style.*
#   NeurIPS 2021. [arXiv:2106.04619](https://arxiv.org/abs/2106.04619)
# - H. Lee, H. Choi. *Partitioning Image Representation in Contrastive Learning.* 2022.
#   [arXiv:2203.10454](https://arxiv.org/abs/2203.10454). Abstract read, body not.
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

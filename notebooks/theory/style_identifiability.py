# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What no loss on pairs can see
#
# *Suppose that every loss on pairs of views is at its optimum. What can still be wrong with a code in two parts, and which
# data would tell?*
#
# A code in two parts is to put what the views of an image share, the **content**, into $c$, and in what they differ, the
# **style**, into $s$. We leave training aside, and write codes by hand for a world so small that everything can be
# counted. Then each loss can be asked which faults it sees. Every one is blind to some; and to one fault all are blind
# that compare codes and pictures of *one* image's views: a style whose meaning depends on the content.
#
# **You will learn**
# - which fault each loss overlooks, and what stops it,
# - a **gauge freedom** of style that no pair removes, when a VAE removes it, and which data do,
# - where content takes the part of style that it predicts,
# - what this leaves of the theorems on identifiability, and which losses they exclude.
#
# **You need** `theory/multiview_elbo` and `theory/byol_repulsion`, whose terms are judged here; entropy.
#
# **Time:** 35 minutes to read; about 10 seconds to run on one CPU core.
#
# [Lee & Choi (2022)](https://arxiv.org/abs/2203.10454) split a code by its loss alone; we could read their **abstract**
# only. Statements and proofs are ours unless a source is named.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
side = 8  # images are shrunk to side × side pixels [1 or more]
max_images = 500  # at most so many images [100 or more]
seed = 0  # of everything that is drawn [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import itertools
import math
import time
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown
from torch.nn import functional as F

import mdlib
from mdlib import data, losses
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.methods.style_terms import repulsion
from mdlib.notebook import provenance
from mdlib.views import apply

plots.theme()
started = time.time()
device = pick_device(device)
draw = torch.Generator().manual_seed(seed)


def randn(*shape):
    """Normal numbers in double precision, for comparing formulas."""
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


# %% tags=["setup", "hide-input"]
limits = {"size": size or None, "max_images": max_images}
whole = data.load(dataset, **limits).painted()
shrunk = F.adaptive_avg_pool2d(whole.images.float(), side).round().byte()
train = replace(whole, images=shrunk)
classes = train.labels
first = [int((classes == k).nonzero()[0]) for k in range(10)]

# %% [markdown]
# ## The idea in a picture
#
# Images are digits painted red, and views show them in all hues, each as likely as another. Here are two codes that
# nobody needs to train. Content is the image itself. Style is its hue, either *straight*, or *twisted*: turned by an
# angle that depends on the digit. Take the content of a row and the style of the picture at the top of a column, and
# decode.

# %% tags=["hide-input"]
palette = torch.arange(10) / 10 - 0.5
twist_of = torch.arange(10) * 0.3  # turns, for each class


def paint(images, hue):
    """Images [N, C, H, W] (red), each in its hue [N]."""
    turned = (hue + 0.5) % 1 - 0.5
    return apply(images, {"hue": turned.view(-1, 1, 1).float()})[:, 0]


sources = train.images[first[5:] + first[:5]]
source_class = torch.tensor([5, 6, 7, 8, 9, 0, 1, 2, 3, 4])
sheet, row_names = [paint(sources, palette)], ["style source"]
for kind in ("straight", "twisted"):
    turn = twist_of if kind == "twisted" else torch.zeros(10)
    code = palette + turn[source_class]  # the style code of each source
    for k in (0, 3, 8):
        images = train.images[first[k]].expand(10, -1, -1, -1)
        sheet.append(paint(images, code - turn[k]))
        row_names.append(f"{kind}, content {k}")
plots.image_grid(torch.stack(sheet), row_labels=row_names)

# %% [markdown]
# *Figure 1. Content of a row, style of the picture at the top of its column. Straight codes: a column has one hue.
# Twisted codes: it doesn't. Within each class both rebuild and swap every picture perfectly.*
#
# The twisted style knows nothing of the digit: whatever the digit, it is uniform on the circle. What loss on pairs of
# views could object?
#
# ## What the terms ask
#
# Two views of an image have codes $[c_a; s_a]$ and $[c_p; s_p]$, and were made with styles $w_a$, $w_p$, independent draws
# from one law. The terms on trial:
#
# | term | asks | from |
# |---|---|---|
# | attract c | $2 - 2\cos(c_a, c_p)$ low: alignment | BYOL, any alignment loss |
# | repel s | $2 + 2\cos(s_a, s_p)$ low | `theory/byol_repulsion` |
# | orthogonal s | $\lvert\text{mean} \cos(s_a, s_p)\rvert$ low | DDCL |
# | swap | $H(v_a \vert c_p, s_a)$ low: own style and the other view's content tell $v_a$ | `theory/multiview_elbo` |
# | pair | few nats to describe both views: (1) | the whole bound there |
# | differences | $H(w_a - w_p \vert s_a, s_p)$ low | AugSelf, on the style half |
# | shared style | $2 - 2\cos(s, s')$ low, for *different* images made with one $w$ | LooC, Eastwood et al. |
#
# In such a world the bound becomes a description length, the nats that the best possible decoder and priors need for a
# pair. There is *one* decoder, and nobody tells it whether it is handed its view's own content or the other's. So it pays
# for the even mixture of both: with $\tilde c = c_a$ or $c_p$ by the toss of a coin,
#
# $$ H(c) + 2\, H(s) + 2\, H(v_a|\tilde c, s_a) \;\ge\; H(c) + 2\, H(s) + H(v_a|c_a, s_a) + H(v_a|c_p, s_a). \tag{1} $$
#
# Entropy is concave, so two decoders would pay less (the right side), unless own and swapped contents leave one law of
# pictures.
#
# ## A world in which everything is counted
#
# $C = 4$ contents and $K = 6$ hues, all 24 pictures equally likely. Codes are written **by hand**, one as intended and
# nine with a known fault, and every term is evaluated exactly.


# %% tags=["setup", "hide-input"]
C, K = 4, 6
content_of, hue_of = torch.meshgrid(
    torch.arange(C), torch.arange(K), indexing="ij"
)


def circle(turns):
    return torch.stack(
        [(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()], -1
    )


def tensor(a, b):
    """All products of an entry of a and one of b."""
    return (a[..., :, None] * b[..., None, :]).flatten(-2)


one_hot = F.one_hot(content_of, C).double()
wheel = circle(hue_of.double() / K)
constant = torch.ones(C, K, 1).double()
bit = torch.where(hue_of < K // 2, 1.0, -1.0).double()[..., None]
parity = torch.where(hue_of % 2 == 0, 1.0, -1.0).double()[..., None]
thirds = F.one_hot(hue_of // 2, K // 2).double()
all_of_it = tensor(one_hot, wheel)
hand_made = {  # name: content part, style part, of each picture
    "as intended": (one_hot, wheel),
    "content constant": (constant, wheel),
    "style constant": (one_hot, constant),
    "style is one bit": (one_hot, bit),
    "style knows all": (one_hot, all_of_it),
    "content knows hue": (all_of_it, wheel),
    "content all, style constant": (all_of_it, constant),
    "content all, style a bit": (all_of_it, bit),
    "hue shared by both": (tensor(one_hot, thirds), parity),
    "twisted": (one_hot, circle((hue_of + content_of).double() / K)),
}


# %%
def names(*codes):
    """Numbers 0, 1, … that tell apart rows of codes [C, K, …], as [C, K]."""
    flat = torch.cat([c.reshape(C * K, -1).double() for c in codes], 1)
    return (
        flat.mul(1e6).round().unique(dim=0, return_inverse=True)[1].view(C, K)
    )


def entropy(*variables, p=None):
    """H of variables [...] that take the weights p [...], in nats."""
    rows = torch.stack([v.flatten() for v in variables], 1)
    which = rows.unique(dim=0, return_inverse=True)[1]
    p = (
        torch.ones(len(which)).double() / len(which)
        if p is None
        else p.flatten()
    )
    mass = torch.zeros(which.max() + 1).double().index_add(0, which, p.double())
    return -torch.xlogy(mass, mass).sum().item()


def pair_of(values):
    """For all (content, w_a, w_p): what `values` [C, K] says of each view."""
    return values[:, :, None].expand(C, K, K), values[:, None].expand(C, K, K)


def mean_cosine(part):
    unit = F.normalize(part, dim=-1)
    return (unit @ unit.transpose(1, 2)).mean().item()


# %%
def terms(content, style):
    """Every term at a code [C, K, …] of all pictures."""
    c, s, picture = names(content), names(style), content_of * K + hue_of
    (c_a, c_p), (s_a, s_p), (x_a, _) = map(pair_of, (c, s, picture))
    w_a, w_p = pair_of(hue_of)
    swap = entropy(x_a, c_p, s_a) - entropy(c_p, s_a)
    own = entropy(picture, c, s) - entropy(c, s)
    # what one decoder is given, and has to draw: (a, own), then (a, swapped)
    x, given = torch.stack([x_a, x_a]), torch.stack([s_a, s_a])
    either = torch.stack([c_a, c_p])
    decoder = entropy(x, either, given) - entropy(either, given)
    unit = F.normalize(style, dim=-1).transpose(0, 1)  # [K, C, …]
    across = (unit @ unit.transpose(1, 2)).sum() - C * K
    turn = (w_a - w_p) % K
    return {
        "attract c": 2 - 2 * mean_cosine(content),
        "repel s": 2 + 2 * mean_cosine(style),
        "orthogonal s": abs(mean_cosine(style)),
        "swap": swap,
        "pair (1)": entropy(c) + 2 * entropy(s) + 2 * decoder,
        "two decoders": entropy(c) + 2 * entropy(s) + own + swap,
        "differences": entropy(turn, s_a, s_p) - entropy(s_a, s_p),
        "shared style": (2 - 2 * across / (K * C * (C - 1))).item(),
    }


# %%
def swaps_right(content, style):
    """Content of A, style of B: how often is it A's content in B's hue?"""
    c, s = names(content).flatten(), names(style).flatten()
    fits = (c[:, None, None] == c) & (s[:, None] == s)  # [A, B, picture]
    wanted = content_of.flatten()[:, None] * K + hue_of.flatten()
    right = fits.gather(2, wanted[..., None])[..., 0] / fits.sum(2).clamp(min=1)
    return right.mean().item()


def truths(content, style):
    c, s = names(content), names(style)

    def information(a, b):
        return entropy(a) + entropy(b) - entropy(a, b)

    return {
        "I(c; hue)": information(c, hue_of),
        "I(s; content)": information(s, content_of),
        "swaps right": swaps_right(content, style),
    }


# %% tags=["theorem:terms"]
seen = pd.DataFrame({n: terms(*code) for n, code in hand_made.items()}).T
two_decoders = seen.pop("two decoders")
true = pd.DataFrame({n: truths(*code) for n, code in hand_made.items()}).T
judged = (seen - seen.loc["as intended"]).round(9).map(np.sign)
blind = judged == 0
assert (judged >= 0).all(axis=None)
assert blind.loc["content constant", "attract c"]
# (1): what the two rows cost by hand
style_in_content = "content all, style constant"
mixed = torch.tensor([7, 1, 1, 1, 1, 1]).double() / 12
price = math.log(C * K) - 2 * torch.xlogy(mixed, mixed).sum().item()
assert abs(seen.loc[style_in_content, "pair (1)"] - price) < 1e-9
gap = seen["pair (1)"] - seen.loc["as intended", "pair (1)"]
assert abs(gap["style knows all"] - 2 * math.log(C)) < 1e-9
overlooked = {"as intended", "style constant", "style is one bit", "twisted"}
assert set(gap[gap.abs() < 1e-9].index) == overlooked
assert (seen["pair (1)"] > two_decoders - 1e-9).all()
fooled = two_decoders.sub(two_decoders["as intended"]).abs() < 1e-9
assert set(fooled[fooled].index) - overlooked == {
    style_in_content, "hue shared by both",
}  # fmt: skip
# the table of faults, below
style_only = {"repel s", "orthogonal s", "differences", "shared style"}
overlooks = {
    "content constant": style_only | {"attract c"},
    "style constant": {"attract c", "shared style", "pair (1)"},
    "style is one bit": {"attract c", "pair (1)", *style_only}
    - {"differences"},
    "style knows all": {"attract c", "swap", *style_only} - {"shared style"},
    "content knows hue": style_only | {"swap"},
    "twisted": set(blind.columns) - {"shared style"},
}
for name, terms_ in overlooks.items():
    assert set(blind.columns[blind.loc[name]]) == terms_, name
assert true.loc["twisted", "I(s; content)"] < 1e-9
assert true.loc["twisted", "swaps right"] < 0.5

# %% tags=["hide-input"]
table = seen.join(true)
mdlib.record(out, table.rename_axis("code").reset_index())
grey = pd.DataFrame(np.nan, index=true.index, columns=true.columns)
verdict = judged.join(grey)
_, axis = plt.subplots(figsize=(7, 4.2))
sns.heatmap(
    verdict, ax=axis, cmap=["#e4e4e4", "#7fb2d9"], vmin=0, vmax=1,
    cbar=False, annot=(table.abs() * (table.abs() > 1e-9)), fmt=".2f",
    linewidths=1.5, annot_kws={"size": 8, "color": "k"},
)  # fmt: skip
for i, row in enumerate(true.to_numpy()):  # seaborn leaves the last three bare
    for j, value in enumerate(row):
        at = (seen.shape[1] + j + 0.5, i + 0.5)
        axis.text(*at, f"{abs(value):.2f}", ha="center", va="center", size=8)
axis.axvline(seen.shape[1], color="k", lw=1.5)
axis.xaxis.tick_top()
axis.tick_params(length=0, labelsize=8)
axis.set_xticks(
    axis.get_xticks(), axis.get_xticklabels(), rotation=35, ha="left"
)
axis.grid(False)
plt.show()

# %% [markdown]
# *Figure 2. Hand-made codes (rows) and what each term makes of them. Grey: the term cannot tell the code from the
# intended one. Blue: it sees the fault, its value is higher. To the right of the line, what no loss computes: what the
# content part knows of the hue and the style part of the content (nats), and how often a swap gives the right picture.
# Columns from "swap" to "differences" are in nats, the others have no unit.*
#
# One decoder matters. Two, one for own and one for swapped contents, would take a content that knows all for as good as
# the intended one. The single decoder cannot trust it, and (1) sees that.
#
# ```{prf:proposition} What the style terms cannot see
# :label: pl-blind
#
# (a) *Repel* is at its floor for every code with $\mathbb{E}[u|x] = 0$: among them one bit of $w$, $u = \pm e$ with
# equal probability, and codes that hold the whole content, $u = R(x)\, e(w)$ with any orthogonal $R(x)$ and
# $\mathbb{E}[e(w)] = 0$. (b) The same codes make the *orthogonal* term 0. (c) *Swap* is perfect for a style that knows
# all, whatever content does.
# ```
#
# ```{prf:proof}
# (a) $\mathbb{E}[R(x)\, e(w)|x] = R(x)\, \mathbb{E}[e(w)] = 0$; then {prf:ref}`pl-floor`. (b) The mean of a cosine whose
# mean is 0 given every $x$ is 0. (c) $v_a$ is a function of $s_a$.
# ```
#
# In `theory/byol_repulsion` the pushed half of a trained code knew little of the class. **Nothing demanded it.** Repel
# asks that style depends on $w$, not that it depends on nothing else. Nobody paid for the class, and a small network that
# is busy with the hue lets it go: a habit of training, not a property of the loss.
#
# And the constant style and the one bit, which (1) does not tell from the intended code, are a VAE's *posterior collapse*:
# to a decoder that can draw any distribution of pictures an unused style costs nothing, because the nats saved in the code
# are spent in the picture. Decoders of independent pixels cannot do that. There reconstruction needs the style.
#
# | fault | who likes it or overlooks it | what stops it |
# |---|---|---|
# | content constant | attract, and all that read only style | negatives, variance, predictor with stop-gradient; swap, (1) |
# | style constant | attract, shared; (1): what style does not say, a good decoder's noise says | repel, orthogonal, swap, differences |
# | style one bit | attract, repel, orthogonal, shared, (1) | swap, differences |
# | content in style | attract, repel, orthogonal, swap, differences | its rate in (1), $\beta_s$, width; shared |
# | style in content | all that read only style; swap | attract, *where it acts*; its rate in (1) |
# | twisted style | all but shared | shared style between images |
#
# Content in style and style in content are **leaks**; in the words of disentanglement, such a code is not *modular*, and
# where content is in both parts it is not *complete*.
#
# ## A gauge freedom of style
#
# The *twisted* row of Figure 2 is no accident.
#
# ```{prf:theorem} Twisted styles
# :label: pl-twist
#
# Let $(c, s)$ be a perfect code: pictures are $x = D(c, s)$, both parts are functions of the picture, and the styles of an
# image's views are independent draws from a law $P(s|c)$. For every content let $R_c$ be an invertible map that preserves
# $P(s|c)$, and let $\tilde s = R_c(s)$ and $\tilde D(c, \tilde s) = D(c, R_c^{-1}(\tilde s))$.
#
# 1. The code $(c, \tilde s)$ with the decoder $\tilde D$ gives each picture, and each swap *between views of one image*,
#    just as $(c, s)$ does, and $(c, \tilde s_a, \tilde s_p)$ has the law of $(c, s_a, s_p)$. So every loss that is a
#    function of these is equal, (1) among them; and $\tilde s$ is independent of $c$ where $s$ is.
# 2. If all $R_c$ are orthogonal, the cosines between the styles of two views of an image are equal, and with them repel
#    and the orthogonal term.
# 3. A swap between two *images* gives $D(c_A, R_{c_A}^{-1} R_{c_B}(s_B))$, which is right only where this is
#    $D(c_A, s_B)$: for all styles, only where $R_{c_A} = R_{c_B}$.
# ```
#
# ```{prf:proof}
# 1. $\tilde D(c, R_c(s)) = D(c, s)$, and views of an image share $c$, so their swaps use one $R_c$. Given $c$, both
# $\tilde s_a$ and $\tilde s_p$ are independent draws from the law that $R_c$ makes of $P(s|c)$, which is $P(s|c)$.
# 2. $\langle R_c u, R_c u'\rangle = \langle u, u'\rangle$. 3. Insert; $D$ is invertible.
# ```
#
# A change of the code that no observable notices is a **gauge freedom** to physicists and an *indeterminacy* in the
# theory of identifiability: from pairs, style is determined up to one map $R_c$ for each content, at best. All must be one
# map, if "the style of $B$ on the content of $A$" is to mean anything.
#
# Now all pairs of ten digits in 24 hues. The encoder reads pixels; content is the digit that it sees, style the hue,
# straight, or moved by a map of the content: a turn, or a scramble that keeps the law but is no rotation.


# %%
def see(views):
    """Digit and hue of views [N, C, H, W]: those of the nearest picture."""
    nearest = torch.cdist(views.flatten(1), pictures.flatten(1)).argmin(1)
    return content[nearest], hue[nearest]


# %% tags=["theorem:twist"]
STEPS, TURNS = 24, torch.arange(10) * 7 % 24  # all different
pictures = paint(
    train.images[:10].repeat_interleave(STEPS, 0),
    (torch.arange(STEPS) / STEPS).repeat(10),
)
content, hue = torch.arange(10).repeat_interleave(STEPS), torch.arange(STEPS)
hue = hue.repeat(10)


maps = {  # R_c, and back; 5 · 5 = 25 = 1 modulo 24
    "straight": (lambda c, s: s, lambda c, s: s),
    "turned": (lambda c, s: s + TURNS[c], lambda c, s: s - TURNS[c]),
    "scrambled": (
        lambda c, s: 5 * s + TURNS[c],
        lambda c, s: 5 * (s - TURNS[c]),
    ),
}
c_of, hue_seen = see(pictures)
blue, red = torch.meshgrid(*2 * [torch.arange(len(content))], indexing="ij")
same = content[blue] == content[red]  # views of one digit
wanted = pictures.view(10, STEPS, -1)[content[red], hue[blue]]
cosines, right = {}, {}
for name, (R, back) in maps.items():
    s = R(c_of, hue_seen) % STEPS
    for k in range(10):  # 1: the law of the style, given each content
        assert (s[c_of == k].bincount(minlength=STEPS) == 1).all()
    swapped = (
        back(c_of[red], s[blue]) % STEPS
    )  # content of one, style of the other
    drawn = pictures.view(10, STEPS, -1)[c_of[red], swapped]
    right[name] = (drawn == wanted).all(-1)
    assert right[name][same].all(), "1: swaps within an image"
    u = circle(s.double() / STEPS)
    cosines[name] = repulsion(u[blue], u[red])[same]
torch.testing.assert_close(cosines["turned"], cosines["straight"])  # 2
assert (cosines["scrambled"] - cosines["straight"]).abs().max() > 1
assert right["straight"].all()
torch.testing.assert_close(right["turned"], same)  # 3: only where R is one

# %% tags=["hide-input"]
Markdown(
    f"""With turned styles {right["turned"].double().mean():.0%} of all swaps are right: those within an image."""
)

# %% [markdown]
# A probe for the class in the style half finds nothing. "Differences", AugSelf's idea on the style half, does not see it
# either: an angle that belongs to the class cancels in a difference. Only a term that compares *different images made
# with one style* does.
#
# ### Where a VAE does see it
#
# The theorem speaks of codes, not of posteriors. A VAE's bound takes the posterior from a family, $q(c|v)\, q(s|v)$ with
# diagonal Gaussians. That can break the gauge.
#
# ```{prf:proposition} When the bound is blind, and when not
# :label: pl-family
#
# Let $R_c$ preserve the prior $p(s)$, and call a *cost* the gap of the best $q$ in the bound of $\log p(v)$.
# (a) If every view tells its content, a discrete one, so that $q(c|v)$ is the right point, and if with $q(s|v)$ the family
# also holds its image under each $R_c$, then a twist leaves the bound of `theory/multiview_elbo` as it was.
# (b) If the family is not closed under $R_c$, it need not: a style whose posterior is Gaussian with a diagonal precision
# $\Lambda$ costs a diagonal Gaussian nothing, and turned by 45° in the plane of its axes 1 and 2
#
# $$ \tfrac12 \log \frac{(\Lambda_{11} + \Lambda_{22})^2}{4\, \Lambda_{11} \Lambda_{22}} \ \text{nats a view.} \tag{2} $$
#
# (c) Nor if a view leaves the content open: let it be one of two with probability ½ each, and $R_0(s) = s$, $R_1(s) = -s$.
# A posterior $s \sim \mathcal{N}(m, \tau^2)$, independent of $c$, costs $q(c|v)\, q(s|v)$ nothing, and twisted
#
# $$ \min_{0 \le \pi \le 1}\; \log 2 - h_b(\pi) + 2 \pi (1 - \pi)\, m^2 / \tau^2, \tag{3} $$
#
# where $h_b$ is the entropy of a coin and $\pi = q(c = 1|v)$.
# ```
#
# ```{prf:proof}
# (a) Self and swap know which $R_c$ to undo, and a KL does not change if both laws are moved by one invertible map.
# (b) Among diagonal Gaussians, $\mathrm{KL}(q \| p)$ is least for the mean and $q$'s precisions $P_{jj}$, and is then
# $\frac12 (\sum_j \log P_{jj} - \log \det P)$, where $P = Q \Lambda Q^\top$ is the precision. At 45° both $P_{jj}$ are
# the mean of $\Lambda_{11}$ and $\Lambda_{22}$. (c) The posterior of $(c, \tilde s)$ is $\frac12 \mathcal{N}(\pm m,
# \tau^2)$. Given $\pi$, the best $q(\tilde s)$ is proportional to the geometric mean of both, and the cost is
# $-h_b(\pi) - \log \int (\frac12 \mathcal{N}(m, \tau^2))^{1 - \pi} (\frac12 \mathcal{N}(-m, \tau^2))^{\pi}$.
# ```
#
# (b) is how VAEs come by axes at all. It takes a posterior that is stretched along them; hue, on a circle, has none.

# %% tags=["theorem:family"]
decoder = torch.diag(torch.tensor([1, 0.3]).double())  # lengths of its columns
Lambda = torch.eye(2).double() + decoder @ decoder.T / 0.3  # noise of 0.3
quarter = torch.tensor([[1, -1], [1, 1]]).double() / 2**0.5
loss_of_q = {}
for name, Q in {"straight": torch.eye(2).double(), "turned": quarter}.items():
    P = Q @ Lambda @ Q.T
    log_scale = torch.zeros(2).double().requires_grad_()  # of q
    optimiser = torch.optim.LBFGS([log_scale], max_iter=100)

    def kl(P=P, log_scale=log_scale, optimiser=optimiser):
        optimiser.zero_grad()
        square = P.diagonal() @ (2 * log_scale).exp()
        value = (square - P.logdet() - 2) / 2 - log_scale.sum()
        value.backward()
        return value

    optimiser.step(kl)
    loss_of_q[name] = kl().item()
l_1, l_2 = Lambda.diagonal().tolist()
formula = 0.5 * math.log((l_1 + l_2) ** 2 / (4 * l_1 * l_2))  # (2)
assert abs(loss_of_q["straight"]) < 1e-6 and formula > 0
assert abs(loss_of_q["turned"] - formula) < 1e-6

# %% tags=["theorem:open"]
grid = torch.linspace(-12, 12, 2401).double()
spread, share = 24 / 2400, torch.linspace(1e-6, 1 - 1e-6, 4001).double()
h_b = -torch.xlogy(share, share) - torch.xlogy(1 - share, 1 - share)
open_content = {}
for distance in (0.3, 1.0, 2.0):  # m / τ, with τ = 1
    formula = math.log(2) - h_b + 2 * share * (1 - share) * distance**2  # (3)
    for name, sign in (("straight", 1), ("twisted", -1)):
        means = torch.tensor([[distance], [sign * distance]]).double()
        log_p = torch.distributions.Normal(means, 1).log_prob(grid)
        log_p = log_p - math.log(2)  # [content, style]
        found = []
        for start in (0.5, 0.9):  # by turns, from two starts
            q_c = torch.tensor([start, 1 - start]).double()
            for _ in range(300):
                log_q = (q_c @ log_p).log_softmax(0) - math.log(spread)
                q_s = log_q.exp() * spread
                q_c = (log_p @ q_s).softmax(0)
            cost = torch.outer(q_c, q_s) * (q_c.log()[:, None] + log_q - log_p)
            found.append(cost.sum().item())
        open_content[distance, name] = min(found)
    assert abs(open_content[distance, "straight"]) < 1e-6
    assert abs(open_content[distance, "twisted"] - formula.min()) < 1e-4

# %% tags=["hide-input"]
Markdown(f"""A linear style with decoder of lengths 1 and 0.3 and noise of variance 0.3, turned by 45°, costs a diagonal
$q$ {loss_of_q["turned"]:.3f} nats a view. A twist costs {open_content[1.0, "twisted"]:.3f} nats, if a view leaves two
contents open and its style is one standard deviation from 0.""")

# %% [markdown]
# ## What content predicts, content gets
#
# The second failure needs a dependence only. Let the hue of an image depend on what it shows: lemons are rarely blue.
#
# ```{prf:proposition} What content predicts, content gets
# :label: pl-dependence
#
# Let $w$ depend on the content $y$, with all discrete. A deterministic style $s$ from which, together with $y$, the hue
# $w$ can be told has $H(s) = H(w|y) + I(s; y)$. So the cheapest is independent of $y$, if there is one, and $s = w$
# costs $I(y; w)$ nats more than that, in (1) in every view.
# ```
#
# ```{prf:proof}
# Given $y$, $s$ is a function of $w$ and $w$ one of $s$. So $H(s|y) = H(w|y)$, and $H(s) = H(s|y) + I(s; y)$.
# ```
#
# The loss *prefers* the part of style that content does not predict, and gives the rest to content. In our world, let
# content $y$ take only the hues $y, y+1, y+2$, with weights ½, ¼, ¼:

# %% tags=["theorem:dependence"]
likely = torch.tensor([0.5, 0.25, 0.25, 0, 0, 0]).double()
p = torch.stack([likely.roll(y) for y in range(C)]) / C  # p(y, w)
step_ = (hue_of - content_of) % K  # how far the hue is from its content's own
cost = {}
for name, s in {"s = w": hue_of, "s = w − y": step_}.items():
    about = entropy(s, p=p) + entropy(content_of, p=p)
    cost[name] = {
        "H(s)": entropy(s, p=p),
        "pair (1)": entropy(content_of, p=p) + 2 * entropy(s, p=p),
        "I(s; content)": about - entropy(s, content_of, p=p),
    }
cost = pd.DataFrame(cost).T
known = entropy(hue_of, p=p) + entropy(content_of, p=p)
known -= entropy(hue_of, content_of, p=p)  # I(y; w)
saved = cost["pair (1)"].diff().iloc[-1]
assert abs(saved + 2 * known) < 1e-9 and known > 0.3
assert cost.loc["s = w − y", "I(s; content)"] < 1e-9
given_y = entropy(hue_of, content_of, p=p) - entropy(content_of, p=p)
for _ in range(50):  # other names of the hues, for each content
    s = torch.rand(C, K, generator=draw).argsort(1)
    about = entropy(s, p=p) + entropy(content_of, p=p)
    about -= entropy(s, content_of, p=p)
    assert abs(entropy(s, p=p) - given_y - about) < 1e-9
cost.round(3)

# %% [markdown]
# *Table 1. Two styles that, with the content, tell every picture exactly. Nats.*
#
# Whether that is a failure depends on what one calls style. [Von Kügelgen et al.
# (2021)](https://arxiv.org/abs/2106.04619) allow style to depend on content, and prove that what views share can be
# found, up to an invertible map, under conditions on how styles change, and by losses that align *and* keep entropy.
# This is **block identifiability** of content. Of the style block it says nothing, and {prf:ref}`pl-twist` shows that with
# pairs whose whole style is redrawn there is nothing to say. Under conditions of their own, pairs that differ in *some*
# coordinates of style identify it ([Locatello et al. 2020](https://arxiv.org/abs/2002.02886)), and so do heads that are
# each invariant to all augmentations but one ([Eastwood et al. 2023](https://arxiv.org/abs/2311.08815)).
#
# Where the theorem on content matters, use InfoNCE on the content half, whose uniformity is an entropy in the limit of many
# negatives. BYOL has no entropy term, and **neither has VICReg**: variance and covariance are satisfied by a few bits.

# %% tags=["theorem:bits"]
content = randn(20_000, 3)  # continuous
kinds = {  # what VICReg may make of it, and what an entropy would ask for
    "three bits": 1.001 * content.sign(),
    "injective": 1.001 * content,
}
vicreg_of = {
    name: (losses.variance_hinge(z) + losses.covariance_penalty(z)).item()
    for name, z in kinds.items()
}
# invariance is 0 for both; six covariances of independent signs, over D = 3,
# each err by N^(−1/2)
assert vicreg_of["three bits"] < 4.5**2 * 6 / 3 / 20_000
batch = {name: z[:512, None].expand(-1, 2, -1) for name, z in kinds.items()}
infonce_of = {k: losses.info_nce(z, 0.05).item() for k, z in batch.items()}
# a view cannot be told from those of its image and of others with its bits
ties = batch["three bits"][:, 0].unique(dim=0, return_counts=True)[1]
at_least = (ties / 512 * (2 * ties - 1).log()).sum().item()
assert len(ties) == 8 and infonce_of["three bits"] > at_least - 1e-4
assert infonce_of["injective"] < at_least  # no code of three bits gets there
pd.DataFrame({"VICReg": vicreg_of, "InfoNCE, τ = 0.05": infonce_of}).round(3)

# %% [markdown]
# *Table 2. Losses of two codes of a continuous content that both views share exactly.*
#
# ## What this does not show
#
# - **Identifiability in general.** {prf:ref}`pl-twist` gives one family of wrong answers. There may be more.
# - **What training does.** A network need not go where a loss allows. In `theory/byol_repulsion` it did not.
# - **That a twist is common.** A smooth network may well use one circle of hues for all digits. If so, it is not the loss
#   that made it.
# - **What Lee & Choi's terms are.** We know their abstract.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Turn the hue circle of each content by a whole number of hues, `turns` [C]. What share of all swaps between
# two pictures, those of one content included, is right? Write `right_share(turns)`.
#
# <details><summary>Hint</summary>
#
# A swap between two contents is right if both circles are turned by the same number of hues. Count pairs.
#
# </details>


# %% tags=["solution", "hide-input"]
def right_share(turns):
    """turns [C], whole numbers, a list or tensor → from 0 to 1."""
    # right where both contents have one turn: count those pairs
    counts = torch.as_tensor(turns).remainder(K).bincount(minlength=K)
    return (counts / len(turns)).square().sum().item()


# %% tags=["check"]
def turned(turns):
    """The style code [C, K, 2] of hues that are turned for each content."""
    return circle((hue_of + torch.as_tensor(turns)[:, None]).double() / K)


for turns in ([0, 0, 0, 0], [0, 1, 2, 3], [5, 5, 2, 2], [0, 6, 1, 3]):
    counted = swaps_right(one_hot, turned(turns))
    assert abs(right_share(turns) - counted) < 1e-6, (
        f"turns {turns}: {right_share(turns):.3f}, counted {counted:.3f}"
    )

# %% tags=["hidden", "remove-cell"]
assert right_share([0, K]) == 1, "K hues are a whole turn"
assert abs(right_share([0, 0, 1]) - 5 / 9) < 1e-6, right_share([0, 0, 1])

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Repel sees the mean of a style's law and nothing else ({prf:ref}`pl-uniformity`). Put Wang & Isola's
# *uniformity* in its place, within an image: write `uniformity(style)`, the mean over contents of $\log \mathbb{E}\,
# e^{-2\|u - u'\|^2}$ over two independent hues, for unit styles $u$ made from codes [C, K, D]. Which faults of Figure 2
# does it see that repel does not, and which does it still overlook?
#
# <details><summary>Hint</summary>
#
# For unit vectors $\|u - u'\|^2 = 2 - 2\,u^\top u'$. Mean over both hues, equal ones included, log, mean over
# contents.
#
# </details>


# %% tags=["solution", "hide-input"]
def uniformity(style):
    """style [C, K, D] → nats, a float, 0 or less."""
    u = F.normalize(style, dim=-1)
    squared = 2 - 2 * u @ u.transpose(1, 2)
    return (-2 * squared).exp().mean((1, 2)).log().mean().item()


# %% tags=["check"]
value = {name: uniformity(code) for name, (_, code) in hand_made.items()}
assert abs(value["style constant"]) < 1e-9, (
    f"one point: {value['style constant']:.4f}, expected 0"
)
assert (
    abs(value["style is one bit"] - math.log((1 + math.exp(-8)) / 2)) < 1e-9
), f"two points: {value['style is one bit']:.4f}"
found = pd.Series(value) - value["as intended"]
still_blind = {name for name in found.index if abs(found[name]) < 1e-9}
assert {"style knows all", "twisted"} <= still_blind, (
    f"it should not see these two, but found {still_blind} the same"
)
assert "style is one bit" not in still_blind and found.min() > -1e-9, (
    f"it should see the bit; the same for it are {still_blind}"
)

# %% tags=["hidden", "remove-cell"]
assert abs(uniformity(torch.ones(2, 5, 3))) < 1e-6, "nothing varies"
longer = uniformity(7 * hand_made["as intended"][1])
assert abs(longer - value["as intended"]) < 1e-6, "length does not count"
mixed = hand_made["as intended"][1].clone()
mixed[0] = mixed[0, :1]  # constant in one content
wheels = (1 - 1 / len(mixed)) * value["as intended"]
assert abs(uniformity(mixed) - wheels) < 1e-6, "the log first, then the mean"
odd = torch.tensor([[[1.0], [1.0], [-1.0]]]).double()
assert abs(uniformity(odd) + 0.58752) < 1e-4, "a mean over both hues, then log"

# %% [markdown]
# **3 (a research question, 6 points, 60 minutes).** Shared styles end the gauge freedom. How many does it take? Let "shared style" compare
# pictures of some *pairs of contents* only, `edges`. Of the $K^C$ codes with circles turned as in exercise 1, how many does
# it take for perfect? Write `twists_left(edges, C, K)`. Which smallest set of pairs leaves only turns of all circles at
# once? Then leave the toy: with `views.SharedStyle` and `shared_contrast` (`experiments/partitioned`), what share of a
# batch must have a shared style, and does it matter which classes share?
#
# <details><summary>Hint</summary>
#
# Contents that are joined, directly or by way of others, must turn together. Count the groups.
#
# </details>


# %% tags=["solution", "hide-input"]
def twists_left(edges, C, K):
    """edges: pairs of contents → the number of perfect codes, an int."""
    # contents that are joined, directly or by way of others, turn together
    group = list(range(C))
    for k, j in edges:
        group = [group[k] if g == group[j] else g for g in group]
    return K ** len(set(group))


# %% tags=["check"]
all_turns = torch.tensor(list(itertools.product(range(K), repeat=C)))
for edges in ([], [(0, 1)], [(0, 1), (2, 3)], [(0, 1), (1, 2), (0, 2)],
              [(0, 1), (1, 2), (2, 3)]):  # fmt: skip
    u = circle((hue_of + all_turns[..., None]).double() / K)  # [codes, C, K, 2]
    fits = torch.ones(len(u), dtype=torch.bool)
    for k, j in edges:
        fits &= repulsion(-u[:, k], u[:, j]).mean(1) < 1e-9  # 2 − 2 cos
    assert twists_left(edges, C, K) == fits.sum(), (
        f"{edges}: {twists_left(edges, C, K)}, counted {fits.sum()}"
    )
left_alone = [swaps_right(one_hot, circle_) for circle_ in u[fits]]
assert len(left_alone) == K and min(left_alone) > 1 - 1e-6, (
    "a tree is enough"
)  # a tree is enough

# %% tags=["hidden", "remove-cell"]
assert twists_left([], 2, 5) == 25, "nothing is joined"
round_trip = [(0, 1), (1, 2), (2, 3), (3, 0)]
assert twists_left(round_trip, 4, 7) == 7, "a ring: one turn for all"
by_others = [(0, 1), (2, 3), (1, 3)]
assert twists_left(by_others, 4, 7) == 7, "joined by way of others"

# %% [markdown]
# ## References
#
# - C. Eastwood et al. *Self-Supervised Disentanglement by Leveraging Structure in Data Augmentations.* 2023.
#   [arXiv:2311.08815](https://arxiv.org/abs/2311.08815)
# - J. von Kügelgen et al. *Self-Supervised Learning with Data Augmentations Provably Isolates Content from Style.*
#   NeurIPS 2021. [arXiv:2106.04619](https://arxiv.org/abs/2106.04619)
# - H. Lee, H. Choi. *Partitioning Image Representation in Contrastive Learning.* 2022.
#   [arXiv:2203.10454](https://arxiv.org/abs/2203.10454)
# - F. Locatello et al. *Weakly-Supervised Disentanglement without Compromises.* ICML 2020.
#   [arXiv:2002.02886](https://arxiv.org/abs/2002.02886)
# - T. Wang, P. Isola. *Understanding Contrastive Representation Learning through Alignment and Uniformity on the
#   Hypersphere.* ICML 2020. [arXiv:2005.10242](https://arxiv.org/abs/2005.10242)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

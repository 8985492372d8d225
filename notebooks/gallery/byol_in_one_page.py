# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # BYOL in one page
#
# *How little code is a whole self-supervised method, and which of its lines keep it alive?*
#
# BYOL ([Grill et al. 2020](https://arxiv.org/abs/2006.07733)) learns from pairs of views, without labels, negatives or
# a decoder. One network predicts what a slow copy of itself makes of the other view. Nothing in the loss forbids that all
# images get the same answer, and yet they do not.
#
# **You will learn**
# - a method from views to probe in one cell that needs only PyTorch and scikit-learn,
# - what becomes of it when a line is changed: predictor, target, batch norm.
#
# **You need** `methods/negative_free`, first half.
#
# **Time:** 12 minutes to read; about 30 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist, cifar10 [data set]
size = 0  # side of the images in pixels; 0: 8 for digits, else as they are
# [0 or more]
max_images = 5000  # at most so many training images, and so many test images
# [2 or more]
variants = "untrained,byol,no-predictor,online-target"  # what is compared
# [some of untrained, byol, no-predictor, online-target, online-target-alone, frozen-target, frozen-target-alone, no-batch-norm, layer-norm, infonce, or all]
steps = 400  # training steps of each [1 or more]
batch_size = 128  # images a step; each gives two views [2 or more]
lr = 1e-3  # learning rate at first; it falls to 0 along a cosine [above 0]
latent_dim = 32  # size of the code [1 or more]
head_dim = 32  # size of the projection [2 or more]
momentum = 0.99  # τ of the slow copy at first; it rises to 1 [0 to 1]
seed = 0  # of weights, batches and views [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown

import mdlib
from mdlib import data, nets, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes
from mdlib.figures import plots, tables
from mdlib.methods.byol import BYOL
from mdlib.methods.infonce import InfoNCE
from mdlib.notebook import provenance
from mdlib.training import fit
from mdlib.training.batches import Batch
from mdlib.training.callbacks import Watch

plots.theme()
started = time.time()
device = pick_device(device)
side = size or (8 if dataset == "digits" else None)
limits = {"size": side, "max_images": max_images}
train, test = (
    data.load(dataset, split, **limits).to(device)
    for split in ("train", "test")
)
x, x_test = (split.images.float() / 255 for split in (train, test))
y, y_test = train.labels, test.labels

# %% [markdown]
# ## The equation
#
# An encoder $f$ and a projector $g$, with weights $\theta$, make $h^j = f(x^j)$ and $z^j = g(h^j)$ of view $x^j$. The
# *target* is the same pair of networks with weights $\xi$. A predictor $q$ must say what the target makes of the other
# view, and the target follows slowly:
#
# $$ L = \sum_{j \neq k} \big(1 - \cos\big(q(z^j),\, \mathrm{sg}(z^k_\xi)\big)\big), \qquad
#    \xi \leftarrow \tau_t\, \xi + (1 - \tau_t)\, \theta, \qquad
#    1 - \tau_t = \frac{1 - \tau}{2} \Big(1 + \cos\frac{\pi t}{T}\Big), \tag{1} $$
#
# with $\mathrm{sg}$ for "counts as a constant", step $t$ of $T$, and both orders $(j, k)$ of the two views. (The
# authors' $2 - 2\cos$ for each order is twice this.)
#
# ## The page
#
# Views, model, loop, probe. It wants images `x`, `x_test` as floats [N, C, H, W] in [0, 1], their labels for the probe at
# the end, and the parameters above. Nothing else in it is ours: take it away.

# %% tags=["page"]
import copy
import math

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn


# views: each image turned, scaled, shifted, made lighter or darker, with noise
def view(x, draw):
    u = 2 * torch.rand(5, len(x), generator=draw, device=x.device) - 1
    cos = (1 + 0.15 * u[1]) * (0.25 * u[0]).cos()
    sin = (1 + 0.15 * u[1]) * (0.25 * u[0]).sin()
    rows = torch.stack([cos, -sin, u[2] / 4, sin, cos, u[3] / 4], 1)
    grid = F.affine_grid(rows.view(-1, 2, 3), x.shape, align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    x = x * (1 + 0.3 * u[4]).view(-1, 1, 1, 1)
    noise = torch.randn(x.shape, generator=draw, device=x.device)
    return (x + 0.1 * noise).clamp(0, 1)


# model: encoder and projector, their slow copy, and the predictor
def head(dim, hidden=256):
    layers = [nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden, head_dim, bias=False))


torch.manual_seed(seed)
layers = [nn.Flatten(), nn.Linear(x[0].numel(), 256), nn.ReLU()]
layers += [nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, latent_dim)]
online = nn.Sequential(nn.Sequential(*layers), head(latent_dim)).to(x.device)
predictor = head(head_dim).to(x.device)
target = copy.deepcopy(online).requires_grad_(False)

# loop: predict, step, follow
weights = [*online.parameters(), *predictor.parameters()]
optimiser = torch.optim.AdamW(weights, weight_decay=0.0, fused=True)
draw, history = torch.Generator(x.device).manual_seed(seed), []
for step in range(steps):
    cosine = 0.5 * (1 + math.cos(math.pi * (step / steps)))  # from 1 to 0
    optimiser.param_groups[0]["lr"] = lr * cosine
    rows = torch.randint(len(x), (batch_size,), generator=draw, device=x.device)
    a, b = view(x[rows], draw), view(x[rows], draw)
    p_a, p_b = predictor(online(a)), predictor(online(b))
    t_a, t_b = target(a).detach(), target(b).detach()
    cosines = F.cosine_similarity(p_a, t_b) + F.cosine_similarity(p_b, t_a)
    loss = (2 - cosines).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    for theta, xi in zip(online.parameters(), target.parameters(), strict=True):
        xi.lerp_(theta.detach(), (1 - momentum) * cosine)
    history.append(loss.item())

# probe: freeze the encoder, ask its code of a new view for the class
z, z_test = (online[0](view(v, draw)).detach().cpu() for v in (x, x_test))
probe = LogisticRegression(max_iter=5000).fit(z / z.std(0), y.cpu())
accuracy = probe.score(z_test / z.std(0), y_test.cpu())
print(f"loss {loss.item():.2f}, class of a new view {accuracy:.3f}")

# %% [markdown]
# Is that BYOL? The package has its own, with another loop around it. Give it the same seed, so that it starts from the
# same weights, and the batches of the page, drawn again in the same order. Then every loss of the whole training must be
# the same.


# %%
class SameDraws:
    """The page's batches once more, whatever `fit` asks for."""

    members, labels = 2, None

    def __init__(self):
        self.draw_again = torch.Generator(x.device).manual_seed(seed)

    def __len__(self):
        return len(x)

    def to(self, device):
        return self

    def draw(self, index, generator):
        g, n = self.draw_again, (batch_size,)
        rows = torch.randint(len(x), n, generator=g, device=x.device)
        pair = [view(x[rows], g) for _ in range(2)]
        return Batch(torch.stack(pair, 1))


def build(cls, **options):
    """A method of class `cls` with the page's sizes and first weights."""
    torch.manual_seed(seed)
    sizes = {"latent_dim": latent_dim, "head_dim": head_dim}
    return cls(
        image_shape=train.image_shape, arch="mlp-small", **sizes, **options
    )


def learn(method, **watched):
    """Train on the page's batches with the page's settings."""
    return fit(
        method, SameDraws(), steps=steps, batch_size=batch_size, lr=lr,
        device=device, progress=False, **watched,
    )  # fmt: skip


# %% tags=["same"]
again = learn(build(BYOL, momentum=momentum))["loss"]
apart = (again - history).abs().max()
if device.type == "cpu":  # on CUDA the package computes in bfloat16
    assert apart < 1e-5, apart
Markdown(f"{steps} losses; the largest difference is {apart:.0e}.")

# %% [markdown]
# ## What can be asked of it
#
# The abstract says that BYOL needs no negatives. Around it stands an old riddle: why does it not collapse? Each variant
# changes one thing or two:
#
# | variant | change to the page |
# |---|---|
# | no-predictor | `p_a, p_b = online(a), online(b)` |
# | online-target | $\tau = 0$: the target is the network itself, still behind $\mathrm{sg}$ (SimSiam's idea) |
# | frozen-target | $\tau = 1$: the target stays as it was drawn at random |
# | …-alone | the same, and no predictor |
# | no-batch-norm | projector and predictor without; the encoder has none anyway |
# | layer-norm | in its place: each image by itself, no statistics of the batch |
# | infonce | another loss, with negatives; same encoder, batches and steps |
#
# Two readings. The **gauge** of the projections of new views, as in `methods/negative_free`: 1 if they lie all over the
# sphere, 0 if at one point. And the **probe on views**: a new view of each image, and a linear probe that tells the class
# from the code.


# %%
class Variant(BYOL):
    """BYOL with a line changed."""

    def __init__(self, *args, norm="batch", target="slow", predicts=True, **kw):
        self.norm = norm
        super().__init__(*args, **kw)
        if norm != "batch":
            self.predictor = self.projector_of(self.head_dim)
        self.target, self.predicts = target, predicts

    def projector_of(self, dim):
        head = nets.projection(dim, self.head_hidden, self.head_dim)
        if self.norm == "layer":
            head[1] = nn.LayerNorm(self.head_hidden)
        return (
            head if self.norm != "none" else nn.Sequential(head[0], *head[2:])
        )

    def predict(self, z):
        return super().predict(z) if self.predicts else z

    def momentum_at(self, step, steps):
        fixed = {"online": 0.0, "frozen": 1.0}
        return fixed.get(self.target, super().momentum_at(step, steps))


ALONE = {"predicts": False}
VARIANTS = {
    "untrained": {},
    "byol": {},
    "no-predictor": ALONE,
    "online-target": {"target": "online"},
    "online-target-alone": {"target": "online"} | ALONE,
    "frozen-target": {"target": "frozen"},
    "frozen-target-alone": {"target": "frozen"} | ALONE,
    "no-batch-norm": {"norm": "none"},
    "layer-norm": {"norm": "layer"},
    "infonce": {},
}


def made(name):
    if name == "infonce":
        return build(InfoNCE)
    return build(Variant, momentum=momentum, **VARIANTS[name])


def gauge(z):
    return F.normalize(z, dim=1).std(0).mean().item() * z.shape[1] ** 0.5


def spread(method, views):
    """The gauge of what the loss compares. Heads normalise by this batch."""
    last = method.head if isinstance(method, InfoNCE) else method.projector
    with torch.no_grad():
        return gauge(last(method.encoder(views)).float())


# %%
g = torch.Generator(device).manual_seed(1000 + seed)
seen, new = view(x.repeat(2, 1, 1, 1), g), view(x_test.repeat(4, 1, 1, 1), g)
rows, curves = [], {}
for name in VARIANTS if variants == "all" else variants.split(","):
    method = made(name.strip()).to(device)
    every = max(1, steps // 40)
    watch = Watch(lambda method: {"gauge": spread(method, new[:256])}, every)
    if name != "untrained":
        learn(method, callbacks=[watch])
        curves[name] = watch.table()
    score = probes.linear(
        method.encode(seen), y.repeat(2), method.encode(new), y_test.repeat(4),
        penalties=(1e-1, 1e-2, 1e-3), tol=1e-3,
    ).score  # fmt: skip
    row = {"gauge": spread(method, new), "class of views": score}
    rows.append({"variant": name, "seed": seed} | row)
results = pd.DataFrame(rows)
mdlib.record(out, results)
results.set_index("variant").drop(columns="seed").round(3)

# %% [markdown]
# *Table 1. This run: one seed of each variant, which is an anecdote.*
#
# ## The claims, and the sweep's verdicts
#
# They were written down in `notebooks/sweeps/gallery_byol_in_one_page.yaml` before the sweep ran, with fresh seeds; the
# margins come from a pilot with two other seeds. Here is what its rows say:

# %% tags=["hide-input", "reads-rows"]
sweep.show_claims("gallery_byol_in_one_page")

# %% [markdown]
# *Figure 1 and Table 2. Each claim, its interval (95 %, Student's, paired by seed) and verdict after Holm's adjustment.*

# %% tags=["picture", "hide-input", "reads-rows"]
_, axes = plt.subplots(1, 2, figsize=(7, 3.1), width_ratios=[1, 1.25])
for name, curve in curves.items():
    axes[0].plot(curve["step"], curve["gauge"], label=name)
axes[0].set(xlabel="step", ylabel="gauge of the projections", ylim=(0, 1.1))
axes[0].legend(fontsize=6.5)
swept = sweep.read_csv("gallery_byol_in_one_page")
source = swept if len(swept) else results
for n, name in enumerate(v for v in VARIANTS if v in set(source["variant"])):
    dots = source[source["variant"] == name]
    axes[1].plot(
        dots["gauge"], dots["class of views"], "os^Dv<>Px*"[n], ms=5, label=name
    )
axes[1].set(xlabel="gauge of the projections", ylabel="class of new views")
axes[1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# *Figure 2. The figure to remember. Left: this run. Right: a dot a variant and seed of the sweep (of this run, where there is no sweep). Far left
# stand the collapsed: they tell a view's class about as well as an untrained network, or worse.*

# %% tags=["hide-input", "reads-rows"]
shown = source[["variant", "seed", "gauge", "class of views"]]
tables.mean_std(shown, "variant", best=["class of views"])

# %% [markdown]
# *Table 3. The same rows, mean ± standard deviation over n seeds. Bold: the best class of views, and what these seeds cannot
# tell from it.*
#
# What the sweep of five seeds says:
#
# - **No negatives are needed**, and BYOL does not collapse. But that it beats InfoNCE, our guess, fails: InfoNCE's code is
#   ahead.
# - **Two parts keep the projections apart:** predictor and batch norm. Without predictor the gauge falls to .02 if the
#   network is its own target; a slow or a frozen one stops it at .24 and .40. Without batch norm every image gets one answer, and layer norm does not stand in for it. In these
#   heads, at this length.
# - **The probe tells another story.** Without predictor the gauge falls by nearly three quarters, and whether the code lost anything
#   cannot be told. A frozen random network as the target is already worth most of what BYOL gains.
# - **A slow target** shows no advantage here over the network itself behind a stop-gradient, as SimSiam says; that both are
#   equal within 0.03 is not shown either.
#
# ## What this does not show
#
# - **Anything about ImageNet.** Encoder, images and training are tiny. The abstract's 74.3 % there is not tested here.
# - **What batch norm does in general.** It is gone from two heads above an encoder that never had any; depth, learning
#   rate and first weights were not tuned to do without.
# - **That InfoNCE is better or worse.** Neither was tuned: temperature, momentum and steps are customary values.
# - **That a low gauge is a useless code.** Without predictor the gauge falls by .63, and whether the code loses is
#   undecided (.02): neither reading replaces the other.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** A network whose projections are all one point $c$, whose target gives the same $c$, and whose predictor
# answers $p$ to it: what is its loss (1)? Write `collapsed_loss(p, c)` for vectors `p`, `c`, and find the predictor's best
# answer, `best_answer(c)`.
#
# <details><summary>Hint</summary>
#
# (1) is 2 − 2 cos. Which direction has the largest cosine with $c$?
#
# </details>


# %% tags=["solution", "hide-input"]
def collapsed_loss(p, c):
    """p [D] and c [D] → the loss, a tensor []."""
    return 2 - 2 * F.cosine_similarity(p, c, dim=0)


def best_answer(c):
    """c [D] → p [D]."""
    return c  # the loss is then 0, the least there is: collapse is a solution


# %% tags=["check"]
c = torch.randn(head_dim, generator=torch.Generator().manual_seed(seed))
p = torch.eye(head_dim)[0]
cosine = (p @ c / p.norm() / c.norm()).item()
assert abs(collapsed_loss(p, c).item() - 2 * (1 - cosine)) < 1e-5, (
    f"yours is {collapsed_loss(p, c).item():.4f}, (1) {2 * (1 - cosine):.4f}"
)
assert abs(collapsed_loss(best_answer(c), c).item()) < 1e-5, (
    "a better answer exists: the least loss is 0"
)

# %% tags=["hidden", "remove-cell"]
assert abs(collapsed_loss(3 * c, c).item()) < 1e-5, "length does not count"
assert abs(collapsed_loss(-c, c).item() - 4) < 1e-5, "the opposite: 4"

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** How slow is slow? Write `memory(tau)`: after how many steps with a constant $\tau$ has
# the target forgotten half of the weights it had? Then sweep `momentum` from 0 to 0.999 (mind that it rises to 1 along
# (1)): is there a best memory, and does it grow with `steps`?
#
# <details><summary>Hint</summary>
#
# After $n$ steps the share $\tau^n$ of the old weights is left. For which $n$ is it a half?
#
# </details>


# %% tags=["solution", "hide-input"]
def memory(tau):
    """τ between 0 and 1 → a number of steps, not rounded."""
    return math.log(0.5) / math.log(tau)


# %% tags=["check"]
for tau in (0.5, 0.9, 0.99):
    xi = torch.ones(1, dtype=torch.float64)
    for _ in range(100):
        xi.lerp_(torch.zeros_like(xi), 1 - tau)
    assert abs(0.5 ** (100 / memory(tau)) - xi.item()) < 1e-9, (
        f"τ = {tau}: after {memory(tau):.1f} steps not a half is left"
    )

# %% tags=["hidden", "remove-cell"]
assert abs(memory(0.5) - 1) < 1e-9, "τ = 1/2: one step"
assert 690 < memory(0.999) < 695, memory(0.999)

# %% [markdown]
# ## References
#
# - X. Chen, K. He. *Exploring Simple Siamese Representation Learning.* CVPR 2021.
#   [arXiv:2011.10566](https://arxiv.org/abs/2011.10566)
# - J.-B. Grill et al. *Bootstrap Your Own Latent.* NeurIPS 2020.
#   [arXiv:2006.07733](https://arxiv.org/abs/2006.07733)
# - A. van den Oord, Y. Li, O. Vinyals. *Representation Learning with Contrastive Predictive Coding.* 2018.
#   [arXiv:1807.03748](https://arxiv.org/abs/1807.03748)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Independent, given what?
#
# *Two attributes come together in training and part ways later. Should their codes be made independent?*
#
# If two attributes are correlated, codes that tell them are correlated, too: to force independence is to forget. What may be
# asked is less. *Given* the attribute that a code is for, the other code should say nothing more about it. This is the
# proposal of Funke et al. ([2022](https://arxiv.org/abs/2112.14754)), CMI for conditional mutual information: then no code can borrow from
# the other attribute what will be wrong once the correlation has changed.
#
# **You will learn**
# - why regression leans on the correlation, and what it costs when that turns round; exactly, in a linear model,
# - how to make codes conditionally independent by a game,
# - what independence without the condition does to the same network.
#
# **You need** mutual information of Gaussians, and the density-ratio trick of `gallery/total_correlation`.
#
# **Time:** 12 minutes to read; about 35 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or mnist [one of digits, mnist, fashion-mnist]
steps = 500  # training steps of each network [1 or more]
batch_size = 256  # pairs a step [8 or more]
labelled = 0  # pairs with labels, drawn once; 0: fresh ones at each step
# [0 or more]
correlation = 0.9  # of the two attributes in training [0 to 1]
occluded = 0.6  # share of the 4 × 4 patches that are blank [0 to 1]
mi_weights = "0.3"  # λ of the networks with MI = 0 [some numbers, above 0]
cmi_weights = "1"  # λ of those with CMI = 0 [some numbers, above 0]
lr = 1e-3  # learning rate at first; it falls to 0 along a cosine [above 0]
test_pairs = 5000  # pairs to test on, for each correlation [100 or more]
seed = 0  # of weights, pairs and blanks [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import math
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

import mdlib
from mdlib import data, nets, sweep
from mdlib.devices import pick_device
from mdlib.evaluation import probes
from mdlib.figures import plots
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)
PATCH, SIDE, WIDTH = 4, 28, 5  # pixels; pixels; dimensions of each code
COLOURS = {"base": "#7f7f7f", "MI = 0": "#de8f05", "CMI = 0": "#0173b2"}
COLOURS |= {"uncorrelated": "#029e73"}

# %% [markdown]
# ## The equation
#
# Of an image $x$ with attributes $s_1, s_2$ an encoder makes two codes, $z_1$ and $z_2$; head $R_k$ tells $s_k$ from $z_k$
# alone. With the other code written $z_{-k}$,
#
# $$ \min \; \sum_k \mathrm{CE}\big(s_k;\, R_k(z_k)\big) + \lambda \sum_k I(z_k; z_{-k} \mid s_k). \tag{1} $$
#
# The rival, "MI = 0", has $\lambda\, I(z_1; z_2)$ in the place of the second sum. The base has nothing there.
#
# ## What is exact
#
# Let $s \sim \mathcal N(0, S)$ with variances 1 and correlation $\rho$, and let each attribute be seen with noise of its own,
# $x = s + n$, $n \sim \mathcal N(0, \sigma^2 I)$, so that $\mathrm{Cov}(x) = C = S + \sigma^2 I$. Codes are $z = Wx$, and $\hat s_k = r_k z_k$. Three solutions:
#
# - *unrestricted*: regression, $\hat s = S C^{-1} x$. It uses both observations for each attribute.
# - *MI = 0*: $z = C^{-1/2} x$ is independent (turning it any further only fits worse), and $\hat s_k = \mathrm{Cov}(s_k, z_k)\, z_k$.
# - *CMI = 0*: $z = x$. Given $s_1$, all that varies in $z_1$ is its own noise. $\hat s = x / (1 + \sigma^2)$.
#
# Whatever the linear map $\hat s = Bx$, its variance explained under another correlation, with $S'$ and $C'$, is
# $1 - \frac12 \mathrm{tr}(S' - 2BS' + BC'B^\top)$.


# %%
def covariances(rho, noise):
    """S and C; `noise` is σ²."""
    S = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64)
    return S, S + noise * torch.eye(2, dtype=torch.float64)


def predictors(rho, noise):
    """B of the three, as they are fitted at the correlation `rho`."""
    S, C = covariances(rho, noise)
    values, vectors = torch.linalg.eigh(C)
    root = vectors @ torch.diag(values**-0.5) @ vectors.T  # C^(−1/2)
    alone = torch.eye(2, dtype=torch.float64) / (1 + noise)
    mi = (S @ root).diagonal()[:, None] * root
    return {"unrestricted": S @ C.inverse(), "MI = 0": mi, "CMI = 0": alone}


def explained(B, rho, noise):
    S, C = covariances(rho, noise)
    return 1 - torch.trace(S - 2 * B @ S + B @ C @ B.T).item() / 2


def information(W, rho, noise, given=False):
    """I(z_1; z_2) of z = Wx in nats; with `given`, I(z_1; z_2 | s_1)."""
    S, C = covariances(rho, noise)
    seen = (W @ S)[:, :1] if given else torch.zeros(2, 1).double()
    cov = W @ C @ W.T - seen @ seen.T
    return -0.5 * math.log(1 - cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1]))


# %%
rho, noise = 0.8, 0.1
table = {}
for name, B in predictors(rho, noise).items():
    table[name] = {f"ρ = {r:g}": explained(B, r, noise) for r in (0.8, 0, -0.8)}
    table[name]["I(z₁; z₂)"] = information(B, rho, noise)
    table[name]["I(z₁; z₂ | s₁)"] = information(B, rho, noise, given=True)
assert table["MI = 0"]["I(z₁; z₂)"] < 1e-9
assert table["CMI = 0"]["I(z₁; z₂ | s₁)"] < 1e-9
pd.DataFrame(table).T.round(4) + 0.0  # no -0

# %% [markdown]
# *Table 1. Fitted at ρ = 0.8 with σ² = 0.1: variance explained there, without correlation, and with the opposite one; then
# the information, in nats, between the codes in training.* CMI = 0 pays one point where it was trained and has the same everywhere.
# Independence is dear even at home.
#
# ## Real digits
#
# An image is two digits side by side, each a 3 or an 8; its attributes are which. In training both are of one class
# in 95 of 100 pairs, a correlation of 0.9. Blank patches leave each digit in doubt, so that the other one is a welcome hint.


# %% tags=["data"]
def classes(split):
    """All 3s, then all 8s, [N, 28, 28] in [0, 1]; and how many of each, [2]."""
    found = data.load(dataset, split, size=SIDE)
    both = [found.images[found.labels == c, 0].float() / 255 for c in (3, 8)]
    return torch.cat(both), torch.tensor([len(part) for part in both])


def choose(n, correlation, counts, generator):
    """Attributes [n, 2], 0 or 1, each as often; and rows [n, 2] of images that have them."""
    s = torch.randint(2, (n, 2), generator=generator)
    same = torch.rand(n, generator=generator) < (1 + correlation) / 2
    s[:, 1] = torch.where(same, s[:, 0], 1 - s[:, 0])
    among = (torch.rand(n, 2, generator=generator) * counts[s]).long()
    return s, among + counts[0] * s


def drawn(images, generator):
    """Of [n, 2, 28, 28] pairs side by side, with blanks: [n, 28 · 56]."""
    places = len(images), SIDE // PATCH, 2 * SIDE // PATCH
    seen = torch.rand(places, generator=generator) >= occluded
    seen = seen.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)
    return (torch.cat(images.unbind(1), 2) * seen).flatten(1)


# %%
g = torch.Generator().manual_seed(seed)
(digits, counts), (test_digits, test_counts) = map(classes, ("train", "test"))
_, rows = choose(8, correlation, counts, g)
examples = drawn(digits[rows], g).unflatten(1, (1, SIDE, 2 * SIDE))
plots.image_grid(examples[None])
plt.show()

# %% [markdown]
# *Figure 1. Eight training pairs.*
#
# ## The game
#
# If $z_{-k}$ is independent of $z_k$ given $s_k$, then nobody can tell codes from codes whose block $k$ was dealt out anew
# *among the images of the same $s_k$*. A critic with $s_k$ in hand tries to; the encoder is paid for being taken for the
# other, both ways. With all images in one group the same game is that of MI = 0.


# %% tags=["method"]
def dealt(group, generator):
    """A random permutation that leaves everyone in its group, int64 [n]."""
    place, taken = (
        (group.cpu() + torch.rand(len(group), generator=generator)).argsort()
        for _ in range(2)
    )
    partner = torch.empty_like(place)
    partner[place] = taken
    return partner


def rounds(z, s, kind, generator):
    """For each critic: codes as they are, and with one block dealt anew, with what it may know."""
    for k in range(2) if kind == "CMI = 0" else [0]:
        group = s[:, k] if kind == "CMI = 0" else torch.zeros_like(s[:, 0])
        known = F.one_hot(group, 2).float()
        block = slice(k * WIDTH, (k + 1) * WIDTH)
        fake = z.clone()
        fake[:, block] = z[dealt(group, generator)][:, block]
        yield torch.cat([z, known], 1), torch.cat([fake, known], 1)


def critic_loss(critic, real, fake):
    return (F.softplus(-critic(real)) + F.softplus(critic(fake))).mean() / 2


class Critic(nn.Sequential):
    def __init__(self, hidden=64):
        super().__init__(
            nn.Linear(2 * WIDTH + 2, hidden), nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )  # fmt: skip


# %% tags=["game"]
def game(z, s, kind, critics, optimiser, generator):
    """One step of the critics; then what the encoder has to pay."""
    z = (z - z.mean(0).detach()) / z.std(0).detach()
    played = list(rounds(z, s, kind, generator))
    optimiser.zero_grad()
    sum(
        critic_loss(critic, real.detach(), fake.detach())
        for critic, (real, fake) in zip(critics, played, strict=False)
    ).backward()
    optimiser.step()
    return sum(
        critic_loss(critic, fake, real)
        for critic, (real, fake) in zip(critics, played, strict=False)
    )


# %% [markdown]
# In `game` the encoder's loss is the critic's with real and fake exchanged. Codes are standardised before a critic
# sees them: to shrink is no way out.


# %%
def trained(kind, strength, correlation):
    """Encoder and heads."""
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(seed)
    encoder = nets.mlp([SIDE * 2 * SIDE, 50, 50, 2 * WIDTH])
    heads = nn.ModuleList(nn.Linear(WIDTH, 2) for _ in range(2))
    critics = nn.ModuleList(Critic() for _ in range(2))
    for part in (encoder, heads, critics):
        part.to(device)
    weights = [*encoder.parameters(), *heads.parameters()]
    optimiser = torch.optim.Adam(weights, lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    of_critics = torch.optim.Adam(critics.parameters(), lr, betas=(0.5, 0.999))
    few = choose(labelled, correlation, counts, g) if labelled else None
    for step in range(steps):
        if few:
            one = torch.randint(labelled, (batch_size,), generator=g)
            s, rows = few[0][one], few[1][one]
        else:
            s, rows = choose(batch_size, correlation, counts, g)
        z = encoder(drawn(digits[rows], g).to(device))
        s = s.to(device)
        loss = sum(
            F.cross_entropy(head(part), own)
            for head, part, own in zip(
                heads, z.split(WIDTH, 1), s.T, strict=True
            )
        )
        if strength:
            ramp = min(1, step / (0.3 * steps))
            paid = game(z, s, kind, critics, of_critics, g)
            loss = loss + strength * ramp * paid
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return encoder, heads


# %%
@torch.no_grad()
def judged(encoder, heads):
    """Accuracy by the correlation of the test; and what z₁ tells of s₂ where nothing is correlated."""
    found = {}
    tests = {"home": correlation, "0": 0, "away": -correlation}
    for name, rho in tests.items():
        g = torch.Generator().manual_seed(seed)
        s, rows = choose(test_pairs, rho, test_counts, g)
        z = encoder(drawn(test_digits[rows], g).to(device)).cpu()
        parts = z.split(WIDTH, 1)
        right = [
            (head.cpu()(part).argmax(1) == s[:, k]).float().mean().item()
            for k, (head, part) in enumerate(zip(heads, parts, strict=True))
        ]
        found[f"accuracy, {name}"] = sum(right) / 2
        if name == "0":
            other = [half for of in (parts[0], s[:, 1]) for half in of.chunk(2)]
            train_z, test_z, train_s, test_s = other
            probe = probes.linear(train_z, train_s, test_z, test_s, seed=seed)
            found["leak"] = probe.score
    return found


asked = [("base", 0.0, correlation), ("uncorrelated", 0.0, 0.0)]
for kind, words in (("MI = 0", mi_weights), ("CMI = 0", cmi_weights)):
    asked += [(kind, float(word), correlation) for word in words.split(",")]
results = pd.DataFrame(
    {"method": kind, "λ": strength} | judged(*trained(kind, strength, rho))
    for kind, strength, rho in asked
)
mdlib.record(out, results)
results.set_index(["method", "λ"]).round(3)

# %% [markdown]
# *Table 2. This run, one seed. Accuracy is the mean of both attributes, a guess has 0.5; "home" is the training's correlation, "away" its
# opposite. "leak": accuracy of a linear probe for $s_2$ from $z_1$, on uncorrelated pairs; 0.5 is none. "uncorrelated" was trained without
# correlation, as a mark of what can be had.*
#
# ## The claims, and the sweep's verdicts
#
# They were written down in `notebooks/sweeps/gallery_correlation_shift.yaml` before the sweep ran on MNIST, with seeds that no
# pilot had used.

# %% tags=["hide-input", "reads-rows"]
sweep.show_claims("gallery_correlation_shift", "difference")

# %% [markdown]
# *Figure 2 and Table 3. Each claim, its interval (95 %, Student's, by seed) and verdict after Holm's adjustment.*

# %% tags=["hide-input", "reads-rows"]
swept = sweep.read_csv("gallery_correlation_shift")
source = swept[swept["labelled"] == 0] if len(swept) else results
source = source.rename(columns={"accuracy, home": 1, "accuracy, 0": 0})
source = source.rename(columns={"accuracy, away": -1})
_, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
tested = torch.linspace(-rho, rho, 50)
for name, B in predictors(rho, noise).items():
    colour = COLOURS.get(name, COLOURS["base"])
    curve = [explained(B, float(r), noise) for r in tested]
    left.plot(tested, curve, color=colour, label=name)
for (name, strength), part in source.groupby(["method", "λ"], sort=False):
    mean = part[[-1, 0, 1]].mean()
    label = f"{name}, λ = {strength:g}" if strength else name
    faint = 0.3 + 0.7 * min(1, strength) if strength else 1
    style = {"color": COLOURS[name], "alpha": faint}
    right.plot([-1, 0, 1], mean, "o-", label=label, **style)
left.set(xlabel="ρ of the test", ylabel="variance explained", title="exact")
right.set(xlabel="correlation, test / training", ylabel="accuracy")
right.set(title="pairs of digits", xticks=[-1, 0, 1])
for axis in (left, right):
    axis.legend(fontsize=7)
plt.show()

# %% [markdown]
# *Figure 3. The figure to remember. Left, the linear model of Table 1; right, networks (means over the sweep's seeds; this run's, where
# there is no sweep). A robust code draws a level line.*
#
# What the sweep of five seeds says:
#
# - **The condition helps, and is cheap.** With CMI = 0 a code tells less of the other digit, is right more often away from
#   home in every seed, and as good as the base at home (equivalent within 2.5 points). With a thousand labelled pairs the
#   same holds. How *much* it helps is less sure than the pilot said: 4 points away from home and 1 without correlation
#   are both undecided.
# - **Whether plain independence has a good price is open.** A strong λ costs 9 points at home; a weak one has a third of
#   CMI's gain away from home. At the price between, we cannot tell it from CMI at either end. "Worse than CMI" holds for
#   two of the six contrasts, and is undecided for four.
# - **Most of the gap stays.** Trained without correlation, the same network loses nothing at the opposite correlation, and
#   is far above both.
#
# ## What this does not show
#
# - **That CMI is 0.** A critic that is fooled knows only what it had time to learn; that the line to the right still slopes is
#   a sign of it.
# - **The paper's tables**, which we have not read; nor its faces. Networks, steps and the way the game is stepped are ours.
# - **That the condition is free.** (1) needs all attributes of an image, in training. Without labels for one there is nothing to condition on.
# - **Causes.** If the correlation is there because one attribute makes the other, to lean on it is no mistake, as long as
#   it stays.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Where does regression do harm? Write `harm(rho, noise)`: variance explained at the *opposite* correlation, of
# CMI = 0 less that of the unrestricted predictor. When is it 0?
#
# <details><summary>Hint</summary>
#
# `predictors` at home, `explained` away, at −ρ.
#
# </details>


# %% tags=["solution", "hide-input"]
def harm(rho, noise):
    """A correlation and a variance → a difference of shares, a float."""
    B = predictors(rho, noise)
    one, other = (
        explained(B[name], -rho, noise) for name in ("CMI = 0", "unrestricted")
    )
    return one - other


# %% tags=["check"]
assert abs(harm(0.0, 0.5)) < 1e-12, "without correlation both are the same"
assert abs(harm(0.95, 0.5) - (1 / 1.5 - 0.0327)) < 1e-3, (
    f"ρ = .95, σ² = .5: 0.634, and not {harm(0.95, 0.5):.3f}"
)
assert harm(0.8, 0.1) > harm(0.8, 0.01) > 0, "no noise, no need of a hint"

# %% tags=["hidden", "remove-cell"]
assert abs(harm(0.6, 0.3) - harm(-0.6, 0.3)) < 1e-9
assert harm(0.9, 0.3) > harm(0.5, 0.3) > 0

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** Is independence given *one's own* attribute too much or too little? Write `given_both(W, rho, noise)`:
# $I(z_1; z_2 \mid s_1, s_2)$ in nats of the linear model. Show that it is 0 for $W = I$, and for which other $W$. Then let the critics
# above know both attributes: does accuracy away from home rise or fall?
#
# <details><summary>Hint</summary>
#
# Given both attributes only noise is left in $z$: its covariance is $W W^\top$ times the variance of the noise.
#
# </details>


# %% tags=["solution", "hide-input"]
def given_both(W, rho, noise):
    """A matrix [2, 2], a correlation, a variance → nats."""
    cov = noise * W @ W.T
    return -0.5 * math.log(1 - cov[0, 1] ** 2 / (cov[0, 0] * cov[1, 1]))


# %% tags=["check"]
B = predictors(0.8, 0.1)
turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
assert given_both(B["CMI = 0"], 0.8, 0.1) < 1e-12, "W = I mixes nothing"
assert given_both(turn, 0.8, 0.1) < 1e-12, "any rotation has it: too little"
assert given_both(B["unrestricted"], 0.8, 0.1) > 0.01, "regression mixes"
wide = torch.tensor([[1, 1], [0, 2]], dtype=torch.float64)
assert abs(given_both(wide, 0.8, 0.1) - math.log(2) / 2) < 1e-9, "in nats"

# %% [markdown]
# ## References
#
# - C. M. Funke, P. Vicol, K.-C. Wang, M. Kümmerer, R. Zemel, M. Bethge. *Disentanglement and Generalization Under Correlation Shifts.*
#   CoLLAs 2022. [arXiv:2112.14754](https://arxiv.org/abs/2112.14754)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

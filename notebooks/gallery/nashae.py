# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An autoencoder that hides from itself
#
# *Can a plain autoencoder find out how many factors there are, if each of its dimensions must be unpredictable from the
# others?*
#
# NashAE ([Yeats et al. 2022](https://arxiv.org/abs/2209.10677)) has no prior and no noise. For each dimension of the code a
# small regressor guesses it from all others, and the encoder is paid for guesses that go wrong. Dimensions that are not
# needed can only be copies of others, so they fall silent; those that are left can be counted.
#
# **You will learn**
# - a game between an autoencoder and its regressors, and which of its gradients flow where,
# - what λ does to the number of learned features, on signals with exactly two factors,
# - TAD, a score for binary attributes.
#
# **You need** autoencoders and covariance; `gallery/total_correlation` for the other way to independence.
#
# **Time:** 12 minutes to read; about 35 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
signals = "beams"  # two factors; or images, whose attributes TAD asks for
# [one of beams, sprites, scenes]
strengths = "0,0.2"  # the λ that are compared
# [some numbers, 0 or more, below 1]
steps = 1000  # steps of the autoencoder for each λ [1 or more]
rounds = 5  # steps of the regressors for each of those [1 or more]
batch_size = 100  # signals a step [2 or more]
latent_dim = 4  # m, dimensions of the code [2 or more]
max_images = 4000  # images, at most; there are 360 beams [200 or more]
seed = 0  # of weights and batches [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import nn

import mdlib
from mdlib import data, nets, sweep
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)

# %% [markdown]
# ## The equations
#
# The code is $z = \mathrm{sigmoid}(\phi(x)) \in (0, 1)^m$. Regressor $\rho_i$ sees $z$ with element $i$ set to 0, and says
# $z'_i$. Both sides have their own loss and their own optimiser:
#
# $$ L_\rho = \tfrac12 \sum_i \mathbb E\,(z_i - z'_i)^2, \qquad
#    L_{\text{AE}} = (1 - \lambda)\, \tfrac12\, \mathbb E\, \overline{(x - \psi(z))^2} + \lambda \sum_i \mathrm{Cov}(z_i, z'_i), \tag{1} $$
#
# the covariance over the batch, the squared error its mean over the signal. In $\mathrm{Cov}$, $z_i$ counts as a constant:
# the encoder can only make $z'_i$ worse, by what it lets the *others* tell. The regressors get several steps for each
# of the encoder's. At the best guess $z'_i = \mathbb E[z_i \mid z_{\text{others}}]$ the covariance is the variance that the
# others explain.
#
# ## The method


# %% tags=["method"]
class Regressors(nn.Module):
    """m networks m–40–40–1 with SELU, in one: what dimension i is, from all others."""

    def __init__(self, m, hidden=40):
        super().__init__()
        sizes = [(m, hidden), (hidden, hidden), (hidden, 1)]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(m, a, b) / a**0.5) for a, b in sizes
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(m, 1, b)) for _, b in sizes
        )
        self.register_buffer("others", 1 - torch.eye(m)[:, None])

    def forward(self, z):
        """[B, m] → [B, m]."""
        h = z * self.others  # [m, B, m]: for each, its own element is 0
        for n, (weight, bias) in enumerate(
            zip(self.weights, self.biases, strict=True)
        ):
            h = torch.baddbmm(bias, F.selu(h) if n else h, weight)
        return h[..., 0].T


def covariance(z, guess):
    """Of each dimension with its guess: [B, m] twice → [m]."""
    return (z * guess).mean(0) - z.mean(0) * guess.mean(0)


def regressors_loss(z, guess):
    return 0.5 * (z.detach() - guess).square().mean(0).sum()


def autoencoder_loss(x, decoded, z, guess, strength):
    """(1), with λ = strength."""
    error = 0.5 * (x - decoded).square().mean()
    return (1 - strength) * error + strength * covariance(
        z.detach(), guess
    ).sum()


# %%
def selu_net(sizes):
    """SELU layers, weights drawn to keep the variance, as released."""
    network = nets.mlp(sizes, activation=nn.SELU)
    for layer in network[::2]:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
        nn.init.zeros_(layer.bias)
    return network


def trained(x, strength, hidden):
    """Encoder, decoder and regressors on signals x [N, P]."""
    torch.manual_seed(seed)
    encoder = selu_net([x.shape[1], *hidden, latent_dim]).append(nn.Sigmoid())
    decoder = selu_net([latent_dim, *reversed(hidden), x.shape[1]])
    regressors = Regressors(latent_dim)
    parts = [part.to(x.device) for part in (encoder, decoder, regressors)]
    own = [*encoder.parameters(), *decoder.parameters()]
    of_autoencoder = torch.optim.Adam(own, lr=1e-3)
    of_regressors = torch.optim.Adam(regressors.parameters(), lr=1e-2)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch_size,), generator=draw)
        batch = x[rows.to(x.device)]
        z = encoder(batch)
        for _ in range(rounds if strength else 0):
            of_regressors.zero_grad()
            regressors_loss(z, regressors(z.detach())).backward()
            of_regressors.step()
        of_autoencoder.zero_grad()
        guess = regressors(z)
        autoencoder_loss(batch, decoder(z), z, guess, strength).backward()
        of_autoencoder.step()
    return parts


# %% [markdown]
# ## Signals with two factors
#
# Beams after the authors' beam synthesis, of its size: pulses of length 1000, with a frequency out of three and a duty cycle
# out of 120. Ours are square. (So only 212 of the 360 differ: at 20 periods, a step of the duty cycle is a quarter of a
# sample. Theirs come from a simulation.) An autoencoder with $m = 4$ has twice the
# dimensions it needs. For images there are the package's `sprites` and `scenes`.


# %% tags=["data", "hide-input"]
def beams(length=1000, frequencies=(10, 15, 20)):
    """Signals [360, length] of 0 and 1, and factors [360, 2]: frequency and duty cycle."""
    v = torch.cartesian_prod(torch.arange(3), torch.arange(120))
    periods = torch.tensor(frequencies)[v[:, :1]] * torch.arange(length)
    duty = 200 + 5 * v[:, 1:]  # in thousandths: 0.200 … 0.795
    return (1000 * (periods % length) < duty * length).float(), v


if signals == "beams":
    x, factors = beams()
    hidden = (200, 80, 40)
else:
    loaded = data.load(signals, "train", max_images=max_images)
    x = loaded.images.flatten(1).float() / 255
    factors, hidden = loaded.factors, (256, 128)
x = ((x - x.mean()) / x.std()).to(device)
_, axes = plt.subplots(1, 3, figsize=(7, 1.3), sharey=True)
for axis, row in zip(axes, (0, 170, 300), strict=True):
    axis.plot(beams()[0][row, :200], lw=1)
    axis.set(
        title="frequency {}, duty cycle {}".format(*beams()[1][row].tolist())
    )
    axis.title.set_fontsize(8)
plt.show()

# %% [markdown]
# *Figure 1. The first fifth of three beams.*
#
# ## How many features, how predictable, how good
#
# A dimension counts as **learned** if its range over the data exceeds 0.2. Its **predictability** is the squared correlation
# with its guess, the regressors being trained on after the game to see what there is to see. (Without that, a
# λ of 0 would have regressors that never learned.)


# %%
def learned(z, least=0.2):
    """Which dimensions of codes [N, m] are."""
    return z.amax(0) - z.amin(0) > least


def predictability(z, guess):
    """Squared correlation of each dimension with its guess; 0 for constants."""
    variance = z.var(0, correction=0) * guess.var(0, correction=0)
    squared = covariance(z, guess) ** 2
    return torch.where(variance > 1e-12, squared / variance, 0.0)


def tad(z, attributes, least=0.75):
    """Total AUROC difference of codes [N, m] and booleans [N, A]; also each AUROC [A, m].

    The AUROC is that of the ranks, where the authors sum over a hundred thresholds.
    """
    alive = learned(z)
    ranks = torch.from_numpy(rankdata(z.cpu().numpy(), axis=0))
    found = torch.full((attributes.shape[1], z.shape[1]), 0.5).double()
    for a, is_so in enumerate(attributes.T.cpu()):
        n = is_so.sum()
        above = ranks[is_so].sum(0) - n * (n + 1) / 2
        one = above / (n * (len(z) - n))
        found[a] = torch.where(alive.cpu(), torch.maximum(one, 1 - one), 0.5)
    best, second = found.topk(2, dim=1).values.T
    captured = best >= least
    return (best - second)[captured].sum().item(), captured.sum().item(), found


def one_value_each(v):
    """Factors [N, K] → booleans [N, A]: "factor j has value k", for all j and k."""
    return torch.cat([F.one_hot(column) for column in v.T], 1).bool()


# %%
rows, codes = [], {}
for strength in (float(word) for word in strengths.split(",")):
    encoder, decoder, regressors = trained(x, strength, hidden)
    with torch.no_grad():
        z = encoder(x)
        error = 0.5 * (x - decoder(z)).square().mean().item()
    again = torch.optim.Adam(regressors.parameters(), lr=1e-2)
    for _ in range(1000):  # after the game: all signals, the code held still
        again.zero_grad()
        regressors_loss(z, regressors(z)).backward()
        again.step()
    alive = learned(z)
    explained = predictability(z, regressors(z).detach())[alive]
    found = {
        "λ": strength,
        "learned": alive.sum().item(),
        "predictability": explained.mean().item() if len(explained) else 0.0,
        "error": error,
    }
    if signals != "beams":
        value, captured, _ = tad(z, one_value_each(factors))
        found |= {"TAD": value, "captured": captured}
    rows.append(found)
    codes[strength] = z.cpu()
results = pd.DataFrame(rows)
mdlib.record(out, results)
results.set_index("λ").round(3)

# %% [markdown]
# *Table 1. This run, one seed. "error" is half the mean squared error of standardised signals: 0.5 says nothing of them.*

# %% tags=["hide-input"]
figure, axes = plt.subplots(
    len(codes), latent_dim, figsize=(7, 1.5 * len(codes)), squeeze=False,
    sharex=True, sharey=True,
)  # fmt: skip
for line, (strength, z) in zip(axes, codes.items(), strict=True):
    for i, axis in enumerate(line):
        points = {"c": factors[:, 0], "s": 3, "cmap": "viridis"}
        axis.scatter(factors[:, -1], z[:, i], **points)
        faded = "0.6" if not learned(z)[i] else "k"
        axis.set_title(
            f"λ = {strength:g}, $z_{i + 1}$", fontsize=8, color=faded
        )
figure.supxlabel(
    "last factor (of beams: duty cycle); colour: first factor", fontsize=8
)
plt.show()

# %% [markdown]
# *Figure 2. The figure to remember. Each dimension of the code against one factor, coloured by another. Titles of dimensions
# that count as not learned are grey.*
#
# ## The claims, and the sweep's verdicts
#
# They were written down in `notebooks/sweeps/gallery_nashae.yaml` and `…_sprites.yaml` before the sweeps ran, with seeds that no pilot had used.

# %% tags=["hide-input", "reads-rows"]
names = ("gallery_nashae", "gallery_nashae_sprites")
pd.concat(sweep.show_claims(name) for name in names)

# %% [markdown]
# *Figures 3 and 4, Table 2. Each claim, its interval (95 %, Student's, by seed) and verdict after Holm's adjustment.*

# %% tags=["hide-input", "reads-rows"]
swept = pd.concat(sweep.read_csv(name) for name in names)
source = swept if len(swept) else results.assign(signals=signals)
source = source.assign(
    setting=source["signals"] + ", λ = " + source["λ"].map("{:g}".format)
)
order = list(dict.fromkeys(source["setting"]))
plots.dots(
    source, ["learned", "predictability", "error", "TAD"], order, by="setting",
    labels={name: name for name in order},
)  # fmt: skip
plt.show()

# %% [markdown]
# *Figure 5. The sweeps' seeds (this run's, where there is no sweep), mean ± one deviation. Beams have two factors.*
#
# What the sweep of five seeds says:
#
# - **It counts the factors of beams.** With λ = 0.2 two dimensions are left in all five runs; a plain autoencoder keeps 3.8 of
#   four. (Five equal whole numbers have no spread: the interval has no width, and says less than it seems to.)
# - **Less predictable, not unpredictable.** The squared correlation of a dimension with its guess falls from .92 to .51. The
#   error rises from .023 to .033.
# - **That the count does not hang on λ is undecided**: 2.6 with 0.1, and 2.2 with 0.3.
# - **On scenes TAD is higher by .9 [−.0, 1.9], undecided.** λ = 0.1 keeps 6.6 of ten dimensions, a plain autoencoder 8.2.
# - **On sprites** dimensions are less predictable (.78, not .94: holds), nine of ten are left (−1.0 [−1.9, −.1]), and TAD
#   is *lower*, .64 against 1.50: the claims of fewer features and of a higher TAD are undecided after Holm's adjustment,
#   and TAD points the wrong way. (The authors' λ for such images is .008, and their networks there have ReLU.)
# - **The network matters.** Our first sweep (seeds 5 to 9) had ReLU where the authors have SELU, and λ = 0.2 left 1.4
#   dimensions of beams: its main claim did not hold, while the count over λ and TAD on scenes (+2.5) did. Four trials with
#   SELU had left two dimensions before the sweep told here.
#
# ## What this does not show
#
# - **That the features are the factors.** Unpredictable dimensions may each mix several. With two factors and two learned
#   dimensions the count is right, and Figure 2 has to say the rest.
# - **That no number has to be given.** λ and the threshold of 0.2 are two, and where a factor is worth less error than
#   λ charges for it, it is lost.
# - **The paper's tables**, which we have not read, its images (CelebA is not used here), or its rivals: no VAE plays here.
# - **TAD as published**: a public port drops attributes that others give away; ours keeps all.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** What is $\mathrm{Cov}(z_i, z'_i)$ for the best guess? Write `best_guess(z)`, [N, 2] → [N, 2], for two dimensions
# of Gaussian codes, linear, each from the other; then the covariance is the variance times the squared correlation.
#
# <details><summary>Hint</summary>
#
# The best linear guess of one dimension from the other has the slope covariance / variance. Subtract the means first.
#
# </details>


# %% tags=["solution", "hide-input"]
def best_guess(z):
    """z [N, 2] → [N, 2]: each column guessed from the other one."""
    centred = z - z.mean(0)
    slope = (centred[:, 0] * centred[:, 1]).mean() / centred.square().mean(0)
    return z.mean(0) + centred.flip(1) * slope.flip(0)


# %% tags=["check"]
g = torch.Generator().manual_seed(seed)
a, b = torch.randn(2, 5000, generator=g)
z = torch.stack([a, 2 * (0.8 * a + 0.6 * b)], 1)
found = covariance(z, best_guess(z))
rho = torch.corrcoef(z.T)[0, 1]
torch.testing.assert_close(found, z.var(0, correction=0) * rho**2)
guessed = torch.corrcoef(torch.stack([best_guess(z)[:, 0], z[:, 1]]))[0, 1]
assert guessed.abs() > 0.999, (
    f"column 0 is guessed from column 1 alone, not with a correlation of {guessed:.3f}"
)

# %% tags=["hidden", "remove-cell"]
away = z + torch.tensor([3.0, -5.0])
moved, still = best_guess(away) - away.mean(0), best_guess(z) - z.mean(0)
torch.testing.assert_close(moved, still, atol=1e-3, rtol=1e-3)

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** The penalty has a free way out: shrink. Write `shrunk(z, s)`, codes with all deviations from
# their mean times $s$. By which power of $s$ does the sum of covariances fall, for the best guess? Then measure whether the
# learned ranges of Table 1 fall with λ, and try a penalty on the *correlation* instead.
#
# <details><summary>Hint</summary>
#
# The mean stays where it is.
#
# </details>


# %% tags=["solution", "hide-input"]
def shrunk(z, s):
    """z [N, D] → [N, D]."""
    return z.mean(0) + s * (z - z.mean(0))


# %% tags=["check"]
whole, half = (covariance(v, best_guess(v)) for v in (z, shrunk(z, 0.5)))
torch.testing.assert_close(half, whole * 0.5**2)

# %% tags=["hidden", "remove-cell"]
torch.testing.assert_close(shrunk(z, 1.0), z)
torch.testing.assert_close(shrunk(z, 0.0), z.mean(0).expand_as(z))

# %% [markdown]
# ## References
#
# - E. Yeats, F. Liu, D. Womble, H. Li. *NashAE: Disentangling Representations through Adversarial Covariance Minimization.*
#   ECCV 2022. [arXiv:2209.10677](https://arxiv.org/abs/2209.10677)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Concepts from gradients
#
# *A trained network's code mixes concepts that are correlated. Can they be had apart, afterwards?*
#
# PCA and ICA look for the answer in how codes are distributed, and correlation misleads them. Leemann et al.
# ([2023](https://arxiv.org/abs/2206.13872)) look at no distribution. They ask which pixels move a code: the *gradients* of a
# trained encoder give its concepts away, if each concept looks at pixels of its own, or at least in directions of its own.
#
# **You will learn**
# - two ways to undo a mixing of concepts by gradients, each exact where its assumption holds, and useless where the other's does,
# - how to do it with gradients of a real network, which keep to neither quite,
# - what becomes of PCA and ICA as correlation grows.
#
# **You need** Jacobians and eigenvectors; MCC, from `theory/disentanglement`.
#
# **Time:** 10 minutes to read; about 15 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
correlations = "0,0.8"  # of the bars' brightness, before it is made uniform
# [some numbers, 0 or more, below 1]
steps = 1000  # training steps of each network [1 or more]
batch_size = 128  # images a step [1 or more]
noise = 0.2  # deviation of the noise in its images [0 or more]
samples = 2000  # images that PCA and ICA are fitted on; as many test them
# [100 or more]
seed = 0  # of weights, data and draws [seed]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["setup", "hide-input"]
import time

import matplotlib.pyplot as plt
import pandas as pd
import torch
from scipy.linalg import qr
from sklearn.decomposition import PCA, FastICA
from torch import nn

import mdlib
from mdlib import metrics, nets, sweep
from mdlib.devices import pick_device
from mdlib.figures import plots
from mdlib.metrics.aggregate import completeness
from mdlib.notebook import provenance

plots.theme()
started = time.time()
device = pick_device(device)


def draws(seed):
    return torch.Generator().manual_seed(seed)


# %% [markdown]
# ## The equations
#
# Let a trained encoder be $f = M f^*$, with the concepts $f^*$ mixed by a matrix $M$. Then its Jacobian is $J = M J^*$,
# whatever the distribution of the concepts. Two assumptions on $J^*$ let us find a $W$ for which $WM$ is a permutation, up to scales:
#
# - **DMA**: each pixel moves one concept only. Then each column of $J$ is a column of $M$, times a number, so that
#   $W$ is the inverse of $d$ independent ones.
# - **IMA**: rows of $J^*$ are orthogonal, and the ratios of their lengths differ between points $a$ and $b$. Then $W = Q^\top U$ with
#   $U = \mathrm{chol}(J_a J_a^\top)^{-1}$ and $Q$ the eigenvectors of $U J_b J_b^\top U^\top$.


# %% tags=["solvers"]
def dma(J):
    columns = qr(J.numpy(), pivoting=True)[2][: len(J)]
    return J[:, columns.tolist()].inverse()


def ima(J_a, J_b):
    U = torch.linalg.cholesky(J_a @ J_a.T).inverse()
    Q = torch.linalg.eigh(U @ J_b @ J_b.T @ U.T).eigenvectors
    return Q.T @ U


def apart(W, M):
    """1 where |WM| is a permutation with scales: its completeness, columns counting alike."""
    share = (W @ M).abs()
    return completeness(share / share.sum(0))[0]


def gradients(kind, g, d=4, n=64):
    """J* [d, n] at two points."""
    if kind == "disjoint":  # and all rows as long, at both points
        owner = torch.arange(n) % d == torch.arange(d)[:, None]
        both = torch.randn(2, d, n, generator=g).double() * owner
        return both / both.norm(dim=2, keepdim=True)
    rows = torch.linalg.qr(torch.randn(n, d, generator=g).double())[0].T
    return rows * (0.5 + torch.rand(2, d, 1, generator=g).double())


# %%
exact, g = [], draws(seed)
for kind in ("disjoint", "orthogonal"):
    for _ in range(20):
        J_a, J_b = gradients(kind, g)
        M = torch.randn(4, 4, generator=g).double()
        scores = {"DMA": apart(dma(M @ J_a), M)}
        scores["IMA"] = apart(ima(M @ J_a, M @ J_b), M)
        exact.append({"gradients": kind} | scores)
exact = pd.DataFrame(exact)
exact.groupby("gradients").agg(["mean", "std"]).round(3)

# %% [markdown]
# *Table 1. Over 20 random mixings that are known: each solver needs its own assumption, and is then exact.*
#
# A network's gradients keep to no assumption quite. For these the authors minimise: rows of $WJ(x)$, in absolute value and of sum 1,
# form a matrix $R(x)$; the mean of $\Vert \text{off-diagonal of } RR^\top \Vert$ is small where rows don't overlap.
#
# Four bars whose brightness is correlated fill an image of 8 × 8. An autoencoder with a linear decoder removes noise from it:
# its code is then a linear mixing of brightness, which training has chosen. DMA sees gradients. PCA and ICA see codes.


# %% tags=["bars"]
def bars(n, rho, generator):
    """Images [n, 64], and brightness [n, 4], each uniform on [0, 1]."""
    shared = rho**0.5 * torch.randn(n, 1, generator=generator)
    own = (1 - rho) ** 0.5 * torch.randn(n, 4, generator=generator)
    s = torch.special.ndtr(shared + own)
    return s.repeat_interleave(2, 1).repeat(1, 8), s


def denoiser(rho):
    torch.manual_seed(seed)
    encoder, decoder, g = nets.mlp([64, 64, 4]), nn.Linear(4, 64), draws(seed)
    own = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(own, 3e-3)
    for _ in range(steps):
        clean, _ = bars(batch_size, rho, g)
        noisy = clean + noise * torch.randn(clean.shape, generator=g)
        optimiser.zero_grad()
        (decoder(encoder(noisy)) - clean).square().mean().backward()
        optimiser.step()
    return encoder


def learned_dma(J, steps=600):
    """W [d, d] from Jacobians [N, d, n]."""
    W = torch.eye(J.shape[1], requires_grad=True)
    optimiser, g = torch.optim.Adam([W], 1e-2), draws(seed)
    for _ in range(steps):
        R = (W @ J[torch.randint(len(J), (48,), generator=g)]).abs()
        R = R / R.sum(2, keepdim=True)
        overlap = (R @ R.mT) * (1 - torch.eye(len(W)))
        optimiser.zero_grad()
        overlap.norm(dim=(1, 2)).mean().backward()
        optimiser.step()
    return W.detach()


# %%
rows = []
for rho in map(float, correlations.split(",")):
    encoder = denoiser(rho)
    seen, _ = bars(samples, rho, draws(seed + 1))
    seen = seen + noise * torch.randn(seen.shape, generator=draws(seed + 2))
    test, truth = bars(samples, 0.0, draws(seed + 3))
    jacobian = torch.func.vmap(torch.func.jacrev(encoder))
    with torch.no_grad():
        z, z_test, J = encoder(seen), encoder(test), jacobian(seen[:500])
    ica = FastICA(whiten="unit-variance", max_iter=5000, random_state=seed)
    found = {
        "none": z_test,
        "PCA": PCA().fit(z.numpy()).transform(z_test.numpy()),
        "ICA": ica.fit(z.numpy()).transform(z_test.numpy()),
        "DMA": z_test @ learned_dma(J).T,
    }
    for name, codes in found.items():
        score = metrics.mcc(torch.as_tensor(codes), truth).score
        rows.append({"method": name, "ρ": rho, "MCC": score})
mdlib.record(out, rows)
results = pd.DataFrame(rows)
results.pivot(index="method", columns="ρ", values="MCC").round(3)

# %% [markdown]
# *Table 2. This run, one seed: MCC with the true brightness, on images without correlation; the columns are ρ in training.*
#
# ## The claims, and the sweep's verdicts
#
# They were written down in `notebooks/sweeps/gallery_posthoc_concepts.yaml` before the sweep ran, with seeds that no pilot had
# used.

# %% tags=["hide-input", "reads-rows"]
sweep.show_claims("gallery_posthoc_concepts")

# %% [markdown]
# *Figure 1 and Table 3. Each claim, its interval (95 %, Student's, by seed) and verdict after Holm's adjustment.*

# %% tags=["hide-input", "reads-rows"]
swept = sweep.read_csv("gallery_posthoc_concepts")
source = swept if len(swept) else results
_, axis = plt.subplots(figsize=(4.5, 2.8))
for name, part in source.groupby("method", sort=False):
    by_rho = part.groupby("ρ")["MCC"].agg(["mean", "std"]).fillna(0)
    axis.errorbar(by_rho.index, by_rho["mean"], by_rho["std"], label=name)
axis.set(xlabel="correlation in training", ylabel="MCC without correlation")
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# *Figure 2. The figure to remember: concepts from codes (PCA, ICA) and from gradients (DMA); mean ± one deviation over the
# sweep's seeds (this run, where there is no sweep). "none" is the code as it is.*
#
# DMA heeds no correlation: that holds. PCA leaves an uncorrelated code about as it is on average (Table 2's seed is
# worse), and makes one worse whose factors correlate by .4; at .8 that is undecided (no claims): bars of equal
# variance have no principal axes of their own, what they share has one. ICA is as good as DMA while concepts are independent, and about
# as bad as doing nothing at 0.8, with a wide spread over seeds. Both intervals on ICA lie beyond the margin of 0.1 that was asked for;
# after Holm's adjustment (p = .054) both claims are undecided all the same.
#
# ## What this does not show
#
# - **DMA on real images.** Bars share no pixel. Where concepts overlap it has nothing to hold on to: see exercise 2.
# - **Encoders that bend.** The linear decoder sees to it that the code mixes linearly. $f = M f^*$ is what everything above rests on.
# - **What gradients mean off the data.** Noise in the denoiser's input ties them down; without it they are what the initial weights left.
# - **The paper's tables**, which we have not read, and its more than 300 disentanglement models.
#
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** Why do bars not do for IMA? Write `ratios(J_a, J_b)`: how much longer each row of $J^*$ is at $a$ than at $b$, [d].
# For the first kind of gradients above they are all 1: then every rotation has orthogonal rows.
#
# <details><summary>Hint</summary>
#
# The length of a row: `norm` along the last axis.
#
# </details>


# %% tags=["solution", "hide-input"]
def ratios(J_a, J_b):
    """J* at two places, [d, n] each → [d]."""
    return J_a.norm(dim=1) / J_b.norm(dim=1)


# %% tags=["check"]
same = torch.ones(4).double()
torch.testing.assert_close(ratios(*gradients("disjoint", draws(1))), same)
spread = ratios(*gradients("orthogonal", draws(1))).std()
assert spread > 0.05, f"the second kind differs from row to row: {spread:.3f}"

# %% tags=["hidden", "remove-cell"]
J_b = torch.rand(3, 5, generator=draws(7)).double() + 0.1
factors = torch.tensor([0.5, 2.0, 3.0]).double()
torch.testing.assert_close(ratios(factors[:, None] * J_b, J_b), factors)

# %% [markdown]
# **2 (a small research question, 6 points, 60 minutes).** Is there anything in gradients if concepts share pixels? Write `overlapping(J, share)`: disjoint $J^*$ [d, n]
# whose rows get `share` times the next row (cyclically) added. Up to which share does DMA of four concepts stay above 0.9?
# Then give the bars of the network such an overlap.
#
# <details><summary>Hint</summary>
#
# `roll` along the rows: which sign puts the next row in the place of this one?
#
# </details>


# %% tags=["solution", "hide-input"]
def overlapping(J, share):
    """J* [d, n] and a share → [d, n]."""
    return J + share * J.roll(-1, 0)


# %% tags=["check"]
J, M = gradients("disjoint", draws(1))[0], torch.eye(4).double()
assert apart(dma(overlapping(J, 0.0)), M) > 0.999, "no overlap, no harm"
assert apart(dma(overlapping(J, 0.5)), M) < 0.7, (
    "half of the next row is too much"
)
# the overlap is a mixing: what DMA returns are rows that are disjoint, not the concepts
mixing = torch.eye(4).double() + 0.5 * torch.eye(4).double().roll(-1, 0)
assert apart(dma(overlapping(J, 0.5)), mixing) > 0.999, (
    "the next row, not the last"
)
quarter = overlapping(torch.eye(3), 0.25)[0]
torch.testing.assert_close(quarter, torch.tensor([1.0, 0.25, 0]))

# %% [markdown]
# ## References
#
# - T. Leemann, M. Kirchhof, Y. Rong, E. Kasneci, G. Kasneci. *When Are Post-hoc Conceptual Explanations Identifiable?*
#   UAI 2023. [arXiv:2206.13872](https://arxiv.org/abs/2206.13872)
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

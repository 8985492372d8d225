# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Sweeps: many runs, one table
#
# *How do you run a notebook a hundred times, lose nothing when something breaks, and know where each number came from?*
#
# **You will learn**
# - to write a sweep: a few lines of YAML that name a chapter, its parameters and its seeds,
# - to run it, to stop it, and to go on,
# - to read it: one table whose every row leads back to the notebook that made it,
# - why one seed is an anecdote, and how many make a result.
#
# **You need** `start_here`. No GPU.
#
# **Time:** 12 minutes to read; about 50 seconds to run on one CPU core.

# %% tags=["parameters", "hide-input"]
dataset = "digits"  # or fashion-mnist, mnist, sprites [data set]
size = 0  # side of the images in pixels; 0 leaves them as they are [0 or more]
seed = 0  # the first seed [seed]
seeds = 3  # how many [1 or more]
steps = 60  # training steps of a run [1 or more]
batch_size = 128  # images a step [2 or more]
device = "auto"  # where to compute [device]
out = ""  # folder for the results; empty writes none [text]

# %% tags=["hide-input"]
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import mdlib
from mdlib import sweep
from mdlib.figures import plots
from mdlib.io import write_json
from mdlib.notebook import provenance

plots.theme()
started = time.time()
folder = Path(tempfile.mkdtemp(prefix="sweep-"))

# %% [markdown]
# ## A question that one run cannot answer
#
# How many numbers does a code need? Take a VAE with a code $z \in \mathbb{R}^D$, train it, and ask a linear probe which
# digit it sees. The accuracy $a$ depends on $D$, and on the seed $s$, which decides the first weights, the order of the
# images and their views. We measure $a(D, s)$ on a grid and report, for each $D$,
#
# $$ \bar a(D) = \frac1n \sum_{s=1}^{n} a(D, s), \qquad
#    \hat\sigma^2(D) = \frac{1}{n-1} \sum_{s=1}^{n} \big(a(D, s) - \bar a(D)\big)^2. \tag{1} $$
#
# A sweep needs a chapter: a notebook with a cell tagged `parameters`, which records its numbers. This is the smallest
# that trains something. In the book, it would lie in `notebooks/`; here we write it into a temporary folder
# (with `~~` for `%%`, which would begin a cell of *this* notebook).

# %% tags=["hide-input"]
chapter = """
# ~~ tags=["parameters"]
latent_dim = 8  # D, the size of the code
steps = 60  # of training
batch_size = 128  # images a step
seed = 0  # of weights, order and views
dataset = "digits"  # what
size = 0  # side of the images; 0 leaves them as they are
device = "auto"  # where
out = ""  # the run's folder

# ~~
import mdlib
from mdlib import data
from mdlib.evaluation import probes
from mdlib.methods import create
from mdlib.training import ImageViews, fit
from mdlib.views import Views

train = data.load(dataset, size=size or None).sample(5000)
test = data.load(dataset, "test", size=size or None).sample(5000)
shape = train.image_shape
vae = create("vae", image_shape=shape, latent_dim=latent_dim,
             arch="mlp-small", seed=seed)
law = Views(crop=(0.4, 1.0), rotation=30, brightness=0.4)
fit(vae, ImageViews(train.images, law), steps=steps, batch_size=batch_size,
    seed=seed, device=device, progress=False)

# ~~
z, z_test = vae.encode(train.images), vae.encode(test.images)
score = probes.linear(z, train.labels, z_test, test.labels).score
mdlib.record(out, accuracy=score)
"""
_ = (folder / "size.py").write_text(chapter.replace("~~", "%%"))

# %% [markdown]
# ## Write
#
# A sweep is a file, `notebooks/sweeps/NAME.yaml`. Only `chapter` is required. `fixed` holds parameters of every run;
# `grid` holds lists, whose product is taken; `seeds` runs each point with each seed. (`points` would list the runs one by
# one; `record` would choose among the metrics.)


# %%
def write(sizes):
    text = f"""\
chapter: size.py
fixed:
  dataset: {dataset}
  size: {size}
  device: {device}
  steps: {steps}
  batch_size: {batch_size}
grid:
  latent_dim: {sizes}
seeds: {list(range(seed, seed + seeds))}
time_limit: 300 # seconds that a run may take
retries: 0 # how often a failed run is tried again
"""
    (folder / "size.yaml").write_text(text)
    return text


print(write([1, 2, 4, "8"]))

# %% [markdown]
# There is a mistake in it. It is found before anything starts, and named with its file and line. So are unknown keys and
# parameters, unknown data sets and methods, and points that are there twice:

# %%
try:
    sweep.load(folder / "size.yaml")
except sweep.SpecError as error:
    print(str(error).replace(f"{folder}/", ""))

# %%
write([1, 2, 4, 0])
spec = sweep.load(folder / "size.yaml")
[
    (p.number, p.parameters["latent_dim"], p.parameters["seed"])
    for p in spec.points
]

# %% [markdown]
# The runs have numbers, the last key of the grid the faster, the seeds the fastest. Run number $n$ means the same
# parameters on every machine. On the command line, `mdlib sweep NAME --dry-run` prints this list and the time to expect.
#
# ## Run
#
# `mdlib sweep NAME`, or in Python:

# %%
begin = time.time()
went = sweep.run(spec, folder / "runs", quiet=True)
print(f"{time.time() - begin:.0f} s: {dict(went.counts)}")
for message in list(went.failures.values())[:1]:
    print(message.replace(f"{folder}/", ""))

# %% [markdown]
# A code of size 0 makes no sense to the method, and these runs say so: each failure is named, with the notebook as far as
# it came, to be opened and read. The others are done, and stay done. `done + failed` is the number of points: a run is done
# when its folder, as *this* machine sees it, says so.
#
# A run is a folder. Its name is a hash of its parameters, a dash, and a hash of the sources: the code of the chapter and of
# what it imports, of mdlib and from its own folder. What a run only reads is in no hash: a folder of images, another
# sweep's rows (so it records what it took from them), variables of the environment; nor are other packages, whose versions
# `environment.json` has. `status` is written last and holds the checksums of metrics, notebook and environment; what has no
# true status is not done:

# %%
first = folder / "runs" / sweep.table(spec, folder / "runs")["run"][0]
sorted(path.name for path in first.iterdir() if path.name[0] != ".")

# %% [markdown]
# ## Stop, and go on
#
# Ctrl-C lets go: running chapters are interrupted and save their checkpoints. Or pull the plug. The same command goes on,
# because it skips what is done. If you edit the chapter while its sweep runs, the sweep stops and says so. Let us harm a run, mend the grid, and run again:

# %%
write_json(first / "metrics.json", [])  # by hand
write([1, 2, 4, 16])
spec = sweep.load(folder / "size.yaml")
before = pd.Series(sweep.states(spec, folder / "runs")).value_counts()
went = sweep.run(spec, folder / "runs", quiet=True)
print(f"before: {before.to_dict()}; after: {dict(went.counts)}")
assert went.counts == {"done": len(spec.points)}

# %% [markdown]
# The states are *done*, *failed*, *running*, *waiting*, and *stale*: done, but with other sources. A changed chapter makes
# all its runs stale, since its numbers are no longer those of the notebook that you would show. `mdlib sweep NAME --status`
# tells.
#
# ## Read
#
# `mdlib collect NAME` writes `NAME.csv` beside `NAME.yaml` and prints equation (1). In a chapter, the same table is:

# %%
table = sweep.table(spec, folder / "runs")
mdlib.record(out, table.drop(columns=["run_commit", "run"]))
table[["number", "latent_dim", "seed", "accuracy", "run_device", "run_seconds"]]

# %%
sweep.summary(table, spec)

# %% [markdown]
# *Table 1. Accuracy of a linear probe on the test set, mean ± standard deviation over n seeds.*

# %% tags=["hide-input"]
groups = table.groupby("latent_dim")["accuracy"]
_, axes = plt.subplots(figsize=(5, 3))
axes.errorbar(groups.mean().index, groups.mean(), groups.std(), marker="o")
axes.plot(table["latent_dim"], table["accuracy"], "x", color="0.5")
axes.set_xscale("log", base=2)
axes.set_xlabel("size of the code, $D$ (numbers)")
axes.set_ylabel("accuracy of a linear probe")
plt.show()

# %% [markdown]
# *Figure 1. Accuracy against the size of the code: mean ± one standard deviation over seeds; crosses are runs.*
#
# Of a sweep whose rows are collected, `mdlib plot NAME` draws the figures that all sweeps have, from `NAME.csv`: dots,
# differences from one setting with their intervals, and a curve along each numeric parameter of the grid. For a figure of
# your own, three lines of seaborn are enough, since the table has one row a measurement:
#
# ```python
# rows = sweep.read_csv("NAME")
# sns.lineplot(rows, x="latent_dim", y="accuracy", errorbar="sd", marker="o")
# plt.xscale("log", base=2)
# ```
#
# The claim that the seeds cannot turn, on digits:

# %%
mean = groups.mean()
if dataset == "digits" and steps >= 60:
    assert mean[16] > mean[1] + 0.1, mean.to_dict()

# %% [markdown]
# ## Elsewhere
#
# The same sweep runs on more machines through Dask (`pip install -e '.[cluster]'`). The folders of the book, the data and
# the runs must have the same paths on all of them. A worker that is lost loses the run it was at; another one begins it
# again, from its checkpoint if it saved one.
#
# ```sh
# # this machine, several workers
# mdlib sweep NAME --scheduler local
#
# # over SSH: a scheduler here, workers on the hosts of a list
# sh deploy/ssh/start.sh hosts.txt &
# mdlib sweep NAME --scheduler dask.json
#
# # on Slurm: all in one job, or a job for each worker
# sbatch -n 8 --gpus-per-task=1 deploy/slurm/sweep.sbatch NAME
# DASK_CONFIG=deploy/slurm mdlib sweep NAME --scheduler slurm --workers 8
#
# # on Kubernetes: the driver is a Job in the cluster (not tried)
# kubectl apply -f deploy/kubernetes/
# ```
#
# `deploy/README.md` says what each of them needs. A run takes a GPU of its own where there are several, and as many threads
# as its worker has cores.
#
# ## What this does not show
#
# - **That these codes are good.** Training takes seconds, and no setting was tuned.
# - **That $n$ seeds tell the whole spread.** The standard deviation of three numbers is itself uncertain by a half
#   (exercise 1). Nor do seeds cover another split of the data, or another machine.
# - **That a finished sweep is a fair one.** If you look at a table and then choose the best row, its mean is biased upwards
#   (exercise 3).

# %% [markdown]
# ## Exercises
#
# **1 (easy, 2 points, 10 minutes).** How uncertain is $\hat\sigma$? For normal numbers its relative standard deviation is about
# $1/\sqrt{2(n-1)}$. Write `seeds_needed(relative)`: the smallest $n$ for which that is at most `relative`.
#
# <details><summary>Hint</summary>
#
# Solve $1/\sqrt{2(n-1)} \le$ `relative` for $n$, and round up.
#
# </details>

# %% tags=["solution", "hide-input"]
import math


def seeds_needed(relative):
    """A relative error → a number of seeds, an int."""
    return math.ceil(1 + 1 / (2 * relative**2))


# %% tags=["check"]
for n in (3, 9, 51):
    assert seeds_needed(1 / math.sqrt(2 * (n - 1)) + 1e-9) == n, (
        f"{n} seeds have just this error, but yours are another number"
    )
draws = np.random.default_rng(seed).normal(size=(20000, 51)).std(1, ddof=1)
assert abs(draws.std() - 0.1) < 0.01, "the rule of thumb itself: 51 seeds, 10 %"
assert seeds_needed(0.1) == 51, (
    f"seeds_needed(0.1) = {seeds_needed(0.1)}, expected 51"
)

# %% tags=["hidden", "remove-cell"]
assert seeds_needed(1.0) == 2, "one seed has no deviation at all"
assert seeds_needed(0.06) == 140, seeds_needed(0.06)
assert seeds_needed(0.5) == 3 and seeds_needed(0.07) == 104, "the smallest"

# %% [markdown]
# **2 (medium, 3 points, 20 minutes).** Write a sweep with an explicit list of points, `points`, instead of a grid: sizes 1 and 16, each with
# seeds 0 and 1, so that all of size 1 comes first. Return its text.
#
# <details><summary>Hint</summary>
#
# `points:` is a list of dictionaries of parameters, and `seeds: 2` means 0 and 1.
#
# </details>


# %% tags=["solution", "hide-input"]
def by_points():
    """→ the YAML, a str. Its chapter is `size.py`."""
    return """\
chapter: size.py
points:
- latent_dim: 1
- latent_dim: 16
seeds: 2
"""


# %% tags=["check"]
(folder / "points.yaml").write_text(by_points())
order = [
    (p.parameters["latent_dim"], p.parameters["seed"])
    for p in sweep.load(folder / "points.yaml").points
]
assert order == [(1, 0), (1, 1), (16, 0), (16, 1)], (
    f"(size, seed) in this order: {order}"
)

# %% tags=["hidden", "remove-cell"]
import yaml

written = yaml.safe_load(by_points())
assert "grid" not in written and len(written["points"]) >= 2, written

# %% [markdown]
# **3 (a small research question, 6 points, 60 minutes).** Take $k$ settings that are all equally good, with seed noise $\sigma$, and report the
# best mean of $n$ seeds. By how much is it too high? Write `luck(k, n)`, in units of $\sigma$, by simulation.
#
# <details><summary>Hint</summary>
#
# Draw `trials` × $k$ × $n$ normal numbers. Means over the seeds, the largest of the settings, then the mean over
# trials.
#
# </details>


# %% tags=["solution", "hide-input"]
def luck(k, n, trials=4000):
    """→ how much too high the best mean is on average, in σ."""
    noise = np.random.default_rng(0).normal(size=(trials, k, n))
    return noise.mean(2).max(1).mean()


# %% tags=["check"]
assert abs(luck(1, 3)) < 0.05, (
    "who does not choose is not lucky"
)  # who does not choose is not lucky
assert abs(luck(2, 1) - 1 / math.sqrt(math.pi)) < 0.05, (
    f"luck(2, 1) = {luck(2, 1):.3f}, the larger of two normals: 1/√π = 0.564"
)
assert abs(luck(20, 4) - luck(20, 1) / 2) < 0.05, (
    "it shrinks with √n"
)  # it shrinks with √n

# %% tags=["hidden", "remove-cell"]
three = 3 / (2 * math.sqrt(math.pi))
assert abs(luck(3, 1) - three) < 0.05, f"the largest of three: {three:.3f}"

# %% [markdown]
# ## References
#
# - X. Bouthillier et al. *Accounting for Variance in Machine Learning Benchmarks.* MLSys 2021.
#   [arXiv:2103.03098](https://arxiv.org/abs/2103.03098)
# - [papermill](https://papermill.readthedocs.io), which executes the notebooks;
#   [Dask](https://distributed.dask.org), which finds the machines.
#
# ## Provenance

# %% tags=["provenance", "hide-input"]
provenance.environment(device, started)

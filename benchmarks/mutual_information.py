"""The standard Gaussian schedule with all estimators: together, and one after another.

    OMP_NUM_THREADS=2 .venv/bin/python benchmarks/mutual_information.py [--steps 200] [--device cpu]

- together: `mdlib.mi.train`, all critics in one pass over shared batches;
- one by one: a straightforward PyTorch script, each critic an nn.Sequential with an Adam of its
  own and batches of its own, its bound written out.

Both train the same critics (separable, 3 × 256 hidden units, 32 outputs) for as many steps of 64
pairs; they are timed in turn, several times, and the ratio of the medians is reported.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn
from torch.nn.functional import softplus

from mdlib import mi
from mdlib.devices import pick_device
from mdlib.mi import critics, tasks

DIM, BATCH, HIDDEN, EMBED = 20, 64, 256, 32
NAMES = [
    "infonce", "nwj", "dv", "mine", "js", "smile-1", "smile-5", "smile-inf",
    "interpolated-0.01", "interpolated-0.5",
]  # fmt: skip


def together(steps: int, device: torch.device) -> None:
    schedule, draw = tasks.staircase(steps), torch.Generator(device).manual_seed(0)
    task = {v: tasks.gaussian(v, dim=DIM) for v in set(schedule)}
    critic = critics.create("separable", DIM, DIM, len(NAMES)).to(device)
    mi.train(critic, NAMES, lambda s, n: task[schedule[s]].sample(n, draw), steps=steps)


# --- one by one -----------------------------------------------------------------------------------


def network() -> nn.Sequential:
    layers = [nn.Linear(DIM, HIDDEN), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Linear(HIDDEN, HIDDEN), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, EMBED))


def off_mean_exp(scores):
    off = scores - torch.diag(scores.new_full((len(scores),), math.inf))
    return off.logsumexp((0, 1)) - math.log(len(scores) * (len(scores) - 1))


def js_objective(scores):
    diagonal = scores.diagonal()
    off = (softplus(scores).sum() - softplus(diagonal).sum()) / (len(scores) * (len(scores) - 1))
    return -softplus(-diagonal).mean() - off


def interpolated(scores, alpha):
    n = len(scores)
    others = scores[None].repeat(n, 1, 1)  # others[k]: without row k
    others[torch.arange(n), torch.arange(n)] = -math.inf
    mean = others.logsumexp(1) - math.log(n - 1)
    mixed = torch.logaddexp(mean + math.log(alpha), scores.new_tensor(math.log(1 - alpha)))
    off = ~torch.eye(n, dtype=torch.bool, device=scores.device)
    joint = (scores.diagonal()[None] - mixed)[off].mean()
    return 1 + joint - (scores - mixed.diagonal()[None])[off].exp().mean()


def bound(name, scores, state):
    """What to climb, and what to report."""
    joint = scores.diagonal().mean()
    if name == "infonce":
        value = (scores.diagonal() - scores.logsumexp(1)).mean() + math.log(len(scores))
    elif name == "nwj":
        value = 1 + joint - 1 - off_mean_exp(scores - 1).exp()
    elif name == "dv":
        value = joint - off_mean_exp(scores)
    elif name == "mine":
        z = off_mean_exp(scores).exp()
        state["average"] = 0.9 * state.get("average", z.detach()) + 0.1 * z.detach()
        return joint - z / state["average"], joint - z.log()
    elif name == "js":
        return js_objective(scores), 1 + joint - off_mean_exp(scores).exp()
    elif name.startswith("smile"):
        clip = float(name.split("-")[1])
        return js_objective(scores), joint - off_mean_exp(scores.clamp(-clip, clip))
    else:
        value = interpolated(scores, float(name.split("-")[1]))
    return value, value


def one_by_one(steps: int, device: torch.device) -> None:
    for name in NAMES:
        g, h, state, values = network().to(device), network().to(device), {}, []
        optimiser = torch.optim.Adam([*g.parameters(), *h.parameters()], lr=5e-4)
        for step in range(steps):
            rho = math.sqrt(1 - math.exp(-4 * (1 + 5 * step // steps) / DIM))
            x = torch.randn(BATCH, DIM, device=device)
            y = rho * x + math.sqrt(1 - rho**2) * torch.randn(BATCH, DIM, device=device)
            objective, value = bound(name, g(x) @ h(y).T, state)
            optimiser.zero_grad()
            (-objective).backward()
            optimiser.step()
            values.append(value.item())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = pick_device(options.device)
    ways = {"together": together, "one by one": one_by_one}
    times = {name: [] for name in ways}
    for way in ways.values():
        way(10, device)  # warm up
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way(options.steps, device)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {len(NAMES)} "
        f"estimators, median of {options.repeats} × {options.steps} steps"
    )
    print(f"one by one / together: {medians['one by one'] / medians['together']:.2f}×")


if __name__ == "__main__":
    main()

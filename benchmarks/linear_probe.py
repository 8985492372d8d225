"""How fast is the linear probe? mdlib against scikit-learn on the same codes, in one run.

    OMP_NUM_THREADS=1 python benchmarks/linear_probe.py

Codes are random ReLU features: of generated classes in a correlated space with a decaying spectrum,
and of Fashion-MNIST where its raw files are at hand (--images). Both solvers get the same
standardised float32 codes, the same objective and their default tolerance. Those aren't the same
criterion (scikit-learn stops at 1e-4 on the largest entry of the gradient, mdlib at 3e-5 in its own
coordinates), so the last column says who came nearer to the minimum: the objective's mean over
samples, mdlib's less scikit-learn's; below 0, mdlib did. Ratios are scikit-learn's time over
mdlib's.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from mdlib.evaluation.inputs import standardise
from mdlib.evaluation.logistic import logistic_regression
from mdlib.evaluation.probes import linear

PENALTIES = [1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
IMAGES = Path(__file__).parents[2] / "shared/data/FashionMNIST/raw"


def random_relu(x: Tensor, width: int, draw: torch.Generator) -> Tensor:
    x = x - x.mean(0)
    weight = torch.randn(x.shape[1], width, generator=draw) / x.shape[1] ** 0.5
    return torch.relu(x @ weight + 0.1 * torch.randn(width, generator=draw))


def generated(n: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ten classes in 100 dimensions whose variance decays as 1/i, seen through a rotation."""
    labels = torch.randint(10, (n,), generator=draw)
    scales = torch.arange(1, 101) ** -0.5
    points = 0.3 * torch.randn(10, 100, generator=draw)[labels]
    points = (points + torch.randn(n, 100, generator=draw)) * scales
    rotation, _ = torch.linalg.qr(torch.randn(100, 100, generator=draw))
    return 10 * points @ rotation, labels


def fashion(n: int, folder: Path) -> tuple[Tensor, Tensor]:
    pixels = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    labels = np.frombuffer((folder / "train-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
    pixels = torch.tensor(pixels.reshape(-1, 784)[:n]) / 255
    return pixels, torch.tensor(labels[:n]).long()


def objective(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, l2: float) -> float:
    """Mean cross-entropy + (l2/2)·‖W‖² in float64."""
    loss = torch.nn.functional.cross_entropy(x.double() @ weight.double() + bias.double(), y)
    return float(loss + l2 / 2 * weight.double().square().sum())


def seconds(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def scikit(x: Tensor, y: Tensor, l2: float) -> tuple[Tensor, Tensor]:
    model = LogisticRegression(C=1 / (len(x) * l2), max_iter=100_000).fit(x.numpy(), y.numpy())
    return torch.from_numpy(model.coef_.T), torch.from_numpy(model.intercept_)


def scikit_grid(train: Tensor, y: Tensor, new: Tensor, penalties: list[float]) -> Tensor:
    """The probe's protocol by hand: hold out a fifth, choose, refit. Labels of `new`."""
    cut = len(train) // 5  # the samples are already in random order
    part, held = standardise(train[cut:], train[:cut])
    scores = []
    for l2 in penalties:
        w, b = scikit(part, y[cut:], l2)
        scores.append(float(((held @ w.float() + b).argmax(1) == y[:cut]).double().mean()))
    train, new = standardise(train, new)
    w, b = scikit(train, y, penalties[int(np.argmax(scores))])
    return (new @ w.float() + b).argmax(1)


def compare(name: str, codes: Tensor, labels: Tensor, n: int, penalties: list[float]) -> None:
    x, new, y, truth = codes[:n], codes[n:], labels[:n], labels[n:]
    print(f"\n{name}: {len(x)} × {x.shape[1]} codes, {len(new)} to test")
    print(f"{'':>12}  {'seconds':^16}  {'':>5}  {'accuracy %':^16}  objective")
    print(
        f"{'l2':>12}  {'mdlib':>7}  {'sklearn':>7}  ratio  {'mdlib':>7}  {'sklearn':>7}  difference"
    )

    def accuracy(predicted: Tensor) -> float:
        return 100 * float((predicted == truth).double().mean())

    def row(label, times, accuracies, difference=""):
        print(f"{label:>12}  {times[0]:7.2f}  {times[1]:7.2f}  {times[1] / times[0]:5.1f}", end="")
        print(f"  {accuracies[0]:7.2f}  {accuracies[1]:7.2f}  {difference:>10}", flush=True)

    here, there = standardise(x, new)
    for l2 in penalties:
        times, fits = zip(
            seconds(lambda l2=l2: logistic_regression(here, y, l2)),
            seconds(lambda l2=l2: scikit(here, y, l2)),
            strict=True,
        )
        accuracies = [accuracy((there @ w.float() + b).argmax(1)) for w, b in fits]
        mine, other = (objective(here, y, w, b, l2) for w, b in fits)
        row(f"{l2:.0e}", times, accuracies, f"{mine - other:+.0e}")
    ours, probe = seconds(lambda: linear(x, y, new, truth, penalties=penalties))
    theirs, labels_there = seconds(lambda: scikit_grid(x, y, new, penalties))
    row("whole grid", (ours, theirs), (100 * probe.score, accuracy(labels_there)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000, help="training codes")
    parser.add_argument("--test", type=int, default=10_000, help="test codes")
    parser.add_argument("--width", type=int, default=512, help="features of a code")
    parser.add_argument("--penalties", type=float, nargs="+", default=PENALTIES)
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder of raw Fashion-MNIST")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    print(
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}, "
    )
    print(f"{torch.get_num_threads()} thread(s), {platform.machine()}, float32, seed {args.seed}")
    draw, n = torch.Generator().manual_seed(args.seed), args.samples + args.test
    warm, labels = torch.randn(200, 8, generator=draw), torch.arange(200) % 3
    logistic_regression(warm, labels, 0.1), scikit(warm, labels, 0.1)  # lazy imports, thread pools

    points, labels = generated(n, draw)
    codes = random_relu(points, args.width, draw)
    compare("generated classes", codes, labels, args.samples, args.penalties)
    if (args.images / "train-images-idx3-ubyte").exists():
        pixels, labels = fashion(n, args.images)
        codes = random_relu(pixels, args.width, draw)
        compare("Fashion-MNIST", codes, labels, args.samples, args.penalties)
    else:
        print(f"\nno Fashion-MNIST at {args.images}: left out")


if __name__ == "__main__":
    main()
